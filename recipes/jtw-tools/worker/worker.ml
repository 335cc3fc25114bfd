(* The toplevel worker: an OCaml toplevel that answers messages.

   Answering is synchronous; before it, what can be foreseen to be needed is
   fetched. Nothing that a user's program does may end the worker. *)

open Js_of_ocaml

let send json = Worker.post_message (Js.string (Jtw_json.to_string json))

let reason = function
  | Jtw_index.Error e | Failure e | Invalid_argument e | Jtw_protocol.Malformed e -> e
  | exn when Jtw_report.is_overflow exn ->
      "stack overflow: the source is nested too deeply for a browser"
  | exn -> Jtw_report.reason exn

let set_up = ref false

(* The client is told of each library that a request loads. *)
let progress about =
  Jtw_libs.hear (fun library finished total ->
      send (Jtw_protocol.progress ?about library ~finished ~total))

let initialize ~requires ~stdlib_dcs ~index =
  if not !set_up then begin
    let unavailable e = failwith ("the standard library is not available: " ^ e) in
    (match Jtw_cmis.describe (Jtw_net.from_base stdlib_dcs) with
    | Ok { set; _ } -> Jtw_cmis.add set
    | Error e -> unavailable e);
    (match Jtw_cmis.find "Stdlib" with
    | Some _ -> ()
    | None -> unavailable (String.concat "; " (Jtw_cmis.take_failures ()))
    | exception exn -> unavailable (Jtw_report.reason exn));
    Jtw_envs.initialize ();
    ignore (Jtw_envs.create "default" : Jtw_envs.t);
    Jtw_directives.install ();
    set_up := true
  end;
  Jtw_index.load (Jtw_net.from_base index);
  Jtw_libs.require requires;
  List.iter Jtw_net.log (Jtw_bundle.take_notices () @ Jtw_libs.take_notices ())

let initialized () =
  if not !set_up then failwith "the worker is not initialised: send \"init\" first"

let environment (about : Jtw_protocol.about) =
  initialized ();
  Jtw_envs.find about.env

let answer (request : Jtw_protocol.request) =
  let for_cell about f =
    send (match f () with v -> v | exception exn -> Jtw_protocol.eval_error about (reason exn))
  in
  let inside (about : Jtw_protocol.about) position =
    Jtw_positions.incoming about.units about.source position
  in
  match request with
  | Init { requires; stdlib_dcs; index } ->
      send
        (match initialize ~requires ~stdlib_dcs ~index with
        | () -> Jtw_protocol.ready
        | exception exn -> Jtw_protocol.init_error (reason exn))
  | Eval about ->
      for_cell about (fun () ->
          let on_output channel text = send (Jtw_protocol.stream about channel text) in
          let on_phrase ~loc text mime = send (Jtw_protocol.output_at about ~loc text mime) in
          Jtw_protocol.output about
            (Jtw_eval.run (environment about) about.source ~on_output ~on_phrase))
  | Complete (about, position) ->
      for_cell about (fun () ->
          Jtw_protocol.completions about
            (Jtw_complete.complete (environment about) about.source (inside about position)))
  | Type_at (about, position) ->
      for_cell about (fun () ->
          Jtw_protocol.types about
            (Jtw_analyse.types_at (environment about) about.source (inside about position)))
  | Errors about ->
      for_cell about (fun () ->
          Jtw_protocol.errors about (Jtw_analyse.errors (environment about) about.source))
  | Create_env env ->
      send
        (match initialized (); Jtw_envs.create env with
        | (_ : Jtw_envs.t) -> Jtw_protocol.env_created env
        | exception exn -> Jtw_protocol.init_error ~env (reason exn))
  | Destroy_env env ->
      Jtw_envs.destroy env;
      send (Jtw_protocol.env_destroyed env)
  | List_envs -> send (Jtw_protocol.envs (Jtw_envs.list ()))

let respond = function
  | Ok request ->
      (try answer request with exn -> send (Jtw_protocol.init_error (reason exn)));
      Jtw_net.forget_ahead ()
  | Error problem -> send (Jtw_protocol.init_error problem)

(* Messages are answered in their order, also those that come while files are
   fetched for one. *)
let waiting = Queue.create ()
let is_fetching = ref false

let rec go_on () =
  match if !is_fetching then None else Queue.take_opt waiting with
  | None -> ()
  | Some message ->
      let wanted =
        match message with
        | Ok request -> Jtw_ahead.wanted ~is_set_up:!set_up request
        | Error _ -> None
      in
      (match wanted with
      | None -> respond message
      | Some fetch ->
          progress (match message with Ok (Eval about) -> Some about | _ -> None);
          is_fetching := true;
          fetch (fun () ->
              is_fetching := false;
              respond message;
              go_on ()));
      go_on ()

let on_message data =
  Queue.add
    (match
       match Js.to_string (Js.typeof data) with
       | "string" -> Jtw_protocol.decode (Js.to_string data)
       | _ -> raise (Jtw_protocol.Malformed "messages must be JSON texts, not objects")
     with
    | request -> Ok request
    | exception exn -> Error (reason exn))
    waiting;
  go_on ()

let () =
  Clflags.color := Some Misc.Color.Never;
  Location.report_printer := (fun () -> Location.batch_mode_printer);
  Jtw_output.capture ();
  Jtw_eval.explain_exceptions ();
  Jtw_directives.survive_exit ();
  Jtw_cmis.install_hook ();
  Worker.set_onmessage on_message
