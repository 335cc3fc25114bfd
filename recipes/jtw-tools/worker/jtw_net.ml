(* Fetching, and the one rule for URLs.

   The worker's base is the directory that holds worker.js. A page that starts
   the worker through a blob tells it in the global [__global_rel_url]; else it
   is taken from the worker's own address. *)

open Js_of_ocaml

let base =
  lazy
    (let given = Js.Unsafe.get Js.Unsafe.global (Js.string "__global_rel_url") in
     if Js.Optdef.test given then Js.to_string given
     else
       let location = Js.Unsafe.get Js.Unsafe.global (Js.string "location") in
       let href = Js.to_string (Js.Unsafe.get location (Js.string "href")) in
       match String.rindex_opt href '/' with
       | Some i -> String.sub href 0 i
       | None -> href)

(* [resolve ~against url]: what a browser makes of [url] written in [against].
   Absolute URLs pass through, "/x" starts at the server's root. *)
let resolve ~against url =
  let constructor = Js.Unsafe.get Js.Unsafe.global (Js.string "URL") in
  match
    Js.Unsafe.new_obj constructor
      [| Js.Unsafe.inject (Js.string url); Js.Unsafe.inject (Js.string against) |]
  with
  | u -> Js.to_string (Js.Unsafe.get u (Js.string "href"))
  | exception _ -> failwith (Printf.sprintf "not a usable URL: %s (seen from %s)" url against)

(* Relative to the compiler directory. *)
let from_base url =
  let b = Lazy.force base in
  let b = if String.ends_with ~suffix:"/" b then b else b ^ "/" in
  resolve ~against:b url

let http_status = Printf.sprintf "HTTP status %d"
let not_found = http_status 404

let server_trouble = "the server could not be reached"

let meth o name args = Js.Unsafe.meth_call o name args

(* A GET that is not sent yet. (No ppx here, hence the untyped method calls.) *)
let request ~kind ~is_async url =
  let js s = Js.Unsafe.inject (Js.string s) in
  let xhr = XmlHttpRequest.create () in
  let () = meth xhr "open" [| js "GET"; js url; Js.Unsafe.inject (Js.bool is_async) |] in
  Js.Unsafe.set xhr (Js.string "responseType") (Js.string kind);
  xhr

(* What it was answered with. Only 200 is success. *)
let response xhr of_body =
  let status : int = Js.Unsafe.get xhr (Js.string "status") in
  if status = 200 then Ok (of_body (Js.Unsafe.get xhr (Js.string "response")))
  else if status = 0 then Error server_trouble
  else Error (http_status status)

let bytes : Typed_array.arrayBuffer Js.t -> string = Typed_array.String.of_arrayBuffer

(* One synchronous GET: bytes, or why there are none. *)
let get_once url =
  match
    let xhr = request ~kind:"arraybuffer" ~is_async:false url in
    let () = meth xhr "send" [||] in
    response xhr bytes
  with
  | r -> r
  | exception _ -> Error server_trouble

(* A server in trouble is asked twice: the type checker remembers for good that an
   interface was not there. *)
let from_server url =
  match get_once url with
  | Error e when e = server_trouble || String.starts_with ~prefix:(http_status 5) e ->
      get_once url
  | answer -> answer

(* What is here already and need not be asked for, by URL: it may turn out to be
   damaged, and then is asked for all the same. *)
let held : (string, unit -> string option) Hashtbl.t = Hashtbl.create 64

let is_held url = Hashtbl.mem held url

let get url =
  match Option.bind (Hashtbl.find_opt held url) (fun give -> give ()) with
  | Some bytes -> Ok bytes
  | None -> from_server url

(* Asks for [url] and goes on; [k] is called later, or at once where there are no
   asynchronous requests. *)
let get_later ~kind ~of_body url k =
  match
    let xhr = request ~kind ~is_async:true url in
    let on event f = Js.Unsafe.set xhr (Js.string event) (Js.wrap_callback f) in
    on "onload" (fun _ ->
        k (match response xhr of_body with r -> r | exception _ -> Error server_trouble));
    on "onerror" (fun _ -> k (Error server_trouble));
    meth xhr "send" [||]
  with
  | () -> ()
  | exception _ -> k (Error server_trouble)

(* What was fetched ahead, for the request that is about to be answered. *)
let ahead : string list ref = ref []
let scripts : (string, Js.js_string Js.t) Hashtbl.t = Hashtbl.create 16

let keep url bytes =
  Hashtbl.replace held url (fun () -> Some bytes);
  ahead := url :: !ahead

let forget_ahead () =
  List.iter (Hashtbl.remove held) !ahead;
  ahead := [];
  Hashtbl.reset scripts

(* Runs another script in this worker. *)
let import_script url =
  match
    match Hashtbl.find_opt scripts url with
    | None -> Worker.import_scripts [ url ]
    | Some text ->
        let named = 
          meth text "concat" [| Js.Unsafe.inject (Js.string ("\n//# sourceURL=" ^ url)) |]
        in
        ignore (meth Js.Unsafe.global "eval" [| Js.Unsafe.inject named |] : Js.Unsafe.any)
  with
  | () -> Ok ()
  | exception exn ->
      let text =
        match Js_error.of_exn exn with
        | Some e -> Js_error.message e
        | None -> Printexc.to_string exn
      in
      Error text

let log text : unit =
  Js.Unsafe.meth_call Console.console "log" [| Js.Unsafe.inject (Js.string text) |]
