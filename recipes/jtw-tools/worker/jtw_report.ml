(* Errors and warnings, as texts and as data. *)

open Js_of_ocaml

type diagnostic = {
  kind : string;
  source : string;
  loc : Location.t;
  main : string;
  sub : string list;
}

(* Where [part] is in [text], from [i] on. *)
let rec find ?(from = 0) part text =
  if from + String.length part > String.length text then None
  else if String.sub text from (String.length part) = part then Some from
  else find ~from:(from + 1) part text

(* A stack that is full may overflow again while js_of_ocaml looks at the error. *)
let is_overflow = function
  | Stack_overflow -> true
  | exn -> (
      match Js_error.of_exn exn with
      | None -> false
      | Some e ->
          let message = String.lowercase_ascii (Js_error.message e) in
          find "maximum call stack" message <> None)

(* An exception as the compiler would show it, with an excerpt of the source. *)
let describe exn =
  let b = Buffer.create 200 in
  let ppf = Format.formatter_of_buffer b in
  (match exn with
  | exn when is_overflow exn ->
      Format.fprintf ppf "Stack overflow: the browser's stack is smaller than a native program's."
  | exn -> (
      match Location.report_exception ppf exn with
      | () -> ()
      | exception other -> Format.fprintf ppf "Exception: %s." (Printexc.to_string other)));
  Format.pp_print_flush ppf ();
  String.trim (Buffer.contents b)

let text doc = String.trim (Format.asprintf "%a" Format_doc.Doc.format doc)

let of_report ~source (r : Location.report) =
  let kind =
    match r.kind with
    | Report_error -> "error"
    | Report_warning w -> "warning:" ^ w
    | Report_warning_as_error w -> "warning_as_error:" ^ w
    | Report_alert a -> "alert:" ^ a
    | Report_alert_as_error a -> "alert_as_error:" ^ a
  in
  { kind; source; loc = r.main.loc; main = text r.main.txt;
    sub = List.map (fun (m : Location.msg) -> text m.txt) r.sub }

let of_exn exn =
  let source =
    match exn with
    | Lexer.Error _ -> "lexer"
    | Syntaxerr.Error _ -> "parser"
    | Env.Error _ | Persistent_env.Error _ | Cmi_format.Error _ -> "env"
    | _ -> "typer"
  in
  match Location.error_of_exn exn with
  | Some (`Ok report) -> of_report ~source report
  | Some `Already_displayed | None ->
      { kind = "error"; source = "unknown"; loc = Location.none; main = describe exn; sub = [] }

(* Why something failed that is not about a source: no place, no excerpt. *)
let reason exn =
  match Location.error_of_exn exn with
  | Some (`Ok { main; _ }) when main.loc = Location.none -> text main.txt
  | _ -> describe exn

(* Runs [f]; each warning and alert goes to [hear], and is printed too unless
   [silently]. *)
let listening ~silently hear f =
  let warnings = !Location.warning_reporter and alerts = !Location.alert_reporter in
  let heard report =
    Option.iter (fun r -> hear (of_report ~source:"warning" r)) report;
    if silently then None else report
  in
  Location.warning_reporter := (fun loc w -> heard (warnings loc w));
  Location.alert_reporter := (fun loc a -> heard (alerts loc a));
  Fun.protect f ~finally:(fun () ->
      Location.warning_reporter := warnings;
      Location.alert_reporter := alerts)

(* Only places in what the user wrote are worth telling, in their order. *)
let sort diagnostics =
  List.filter (fun d -> d.loc.Location.loc_start.pos_lnum > 0) diagnostics
  |> List.stable_sort (fun a b ->
         compare a.loc.Location.loc_start.pos_cnum b.loc.Location.loc_start.pos_cnum)

(* "at f (eval at … worker.js:1:2), <anonymous>:3:4)" is line 3 of what was made of
   a phrase; other frames are of libraries, or of the worker itself. *)
let frame line =
  let find part = find part line in
  match (find " (", find "<anonymous>:", find "/worker.js") with
  | Some name, Some place, _ ->
      Some
        (Printf.sprintf "%s (phrase:%s" (String.sub line 0 name)
           (String.sub line (place + 12) (String.length line - place - 12)))
  | _, _, Some _ -> None
  | _ -> Some line

(* The calls that led to [exn], where JavaScript knows them, as it does for
   errors of its own. *)
let backtrace exn =
  match Option.bind (Js_error.of_exn exn) Js_error.stack with
  | None -> None
  | Some stack ->
      let frames =
        String.split_on_char '\n' stack |> List.map String.trim
        |> List.filter (String.starts_with ~prefix:"at ")
        |> List.filter_map frame
        |> List.filteri (fun i _ -> i < 8)
      in
      if frames = [] then None
      else Some (String.concat "\n  " ("Called in JavaScript:" :: frames))
