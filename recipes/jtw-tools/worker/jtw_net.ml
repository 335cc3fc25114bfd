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

(* One synchronous GET: bytes, or why there are none. Only 200 is success.
   (No ppx here, hence the untyped method calls.) *)
let get_once url =
  let js s = Js.Unsafe.inject (Js.string s) in
  match
    let xhr = XmlHttpRequest.create () in
    let call name args : unit = Js.Unsafe.meth_call xhr name args in
    call "open" [| js "GET"; js url; Js.Unsafe.inject Js._false |];
    Js.Unsafe.set xhr (Js.string "responseType") (Js.string "arraybuffer");
    call "send" [||];
    let status : int = Js.Unsafe.get xhr (Js.string "status") in
    if status = 200 then
      let response : Typed_array.arrayBuffer Js.t =
        Js.Unsafe.get xhr (Js.string "response")
      in
      Ok (Typed_array.String.of_arrayBuffer response)
    else Error (http_status status)
  with
  | r -> r
  | exception _ -> Error server_trouble

(* A server in trouble is asked twice: the type checker remembers for good that an
   interface was not there. *)
let get url =
  match get_once url with
  | Error e when e = server_trouble || String.starts_with ~prefix:(http_status 5) e ->
      get_once url
  | answer -> answer

(* Runs another script in this worker. *)
let import_script url =
  match Worker.import_scripts [ url ] with
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
