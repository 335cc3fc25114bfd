(* The toplevel worker: an OCaml toplevel that answers messages.

   Everything is synchronous: a message is answered before the next is looked
   at. Nothing that a user's program does may end the worker. *)

open Js_of_ocaml

let send json = Worker.post_message (Js.string (Jtw_json.to_string json))

let reason = function
  | Jtw_libs.Error e | Failure e | Invalid_argument e | Jtw_protocol.Malformed e -> e
  | Stack_overflow -> "stack overflow"
  | exn -> Jtw_eval.describe exn

let set_up = ref false

let initialize ~requires ~stdlib_dcs ~index =
  if not !set_up then begin
    let url = Jtw_net.from_base stdlib_dcs in
    (match Jtw_cmis.describe url with
    | Ok { set; _ } -> Jtw_cmis.add set
    | Error e -> failwith ("the standard library is not available: " ^ e));
    Jtw_envs.initialize ();
    ignore (Jtw_envs.create "default" : Jtw_envs.t);
    Jtw_eval.directives ();
    set_up := true
  end;
  Jtw_libs.load_index (Jtw_net.from_base index);
  List.iter Jtw_libs.require requires;
  List.iter Jtw_net.log (Jtw_libs.take_notices ())

let environment id =
  if not !set_up then failwith "the worker is not initialised: send \"init\" first";
  Jtw_envs.find id

let answer (request : Jtw_protocol.request) =
  let for_cell cell f =
    send (match f () with v -> v | exception exn -> Jtw_protocol.eval_error ~cell (reason exn))
  in
  match request with
  | Init { requires; stdlib_dcs; index } ->
      send
        (match initialize ~requires ~stdlib_dcs ~index with
        | () -> Jtw_protocol.ready
        | exception exn -> Jtw_protocol.init_error (reason exn))
  | Eval { cell; env; code } ->
      for_cell cell (fun () ->
          let on_phrase ~loc caml_ppf =
            send (Jtw_protocol.output_at ~cell ~loc ~caml_ppf)
          in
          let stdout, stderr = Jtw_eval.run (environment env) code ~on_phrase in
          Jtw_protocol.output ~cell ~stdout ~stderr)
  | Complete { cell; env; source; position } ->
      for_cell cell (fun () ->
          Jtw_protocol.completions ~cell
            (Jtw_complete.complete (environment env) source position))
  | Type_at { cell; env; source; position } ->
      for_cell cell (fun () ->
          Jtw_protocol.types ~cell (Jtw_analyse.types_at (environment env) source position))
  | Errors { cell; env; source } ->
      for_cell cell (fun () ->
          Jtw_protocol.errors ~cell (Jtw_analyse.errors (environment env) source))
  | Create_env env ->
      send
        (match
           if not !set_up then failwith "the worker is not initialised: send \"init\" first";
           Jtw_envs.create env
         with
        | (_ : Jtw_envs.t) -> Jtw_protocol.env_created env
        | exception exn -> Jtw_protocol.init_error ~env (reason exn))
  | Destroy_env env ->
      Jtw_envs.destroy env;
      send (Jtw_protocol.env_destroyed env)
  | List_envs -> send (Jtw_protocol.envs (Jtw_envs.list ()))

let on_message data =
  match
    match Js.to_string (Js.typeof data) with
    | "string" -> Jtw_protocol.decode (Js.to_string data)
    | _ -> raise (Jtw_protocol.Malformed "messages must be JSON texts, not objects")
  with
  | request -> (
      try answer request with exn -> send (Jtw_protocol.init_error (reason exn)))
  | exception exn -> send (Jtw_protocol.init_error (reason exn))

let () =
  Clflags.color := Some Misc.Color.Never;
  Location.report_printer := (fun () -> Location.batch_mode_printer);
  Jtw_eval.capture ();
  Jtw_eval.survive_exit ();
  Jtw_cmis.install_hook ();
  Worker.set_onmessage on_message
