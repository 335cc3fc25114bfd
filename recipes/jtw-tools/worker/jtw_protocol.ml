(* The messages, one JSON text each. See the README of this directory. *)

open Jtw_json

(* What a request is about, and how it counts positions. *)
type about = { cell : int; env : string; source : string; units : Jtw_positions.unit_ }

type request =
  | Init of { requires : string list; stdlib_dcs : string; index : string }
  | Eval of about
  | Complete of about * int        (* position *)
  | Type_at of about * int
  | Errors of about
  | Create_env of string
  | Destroy_env of string
  | List_envs

exception Malformed of string

let malformed fmt = Printf.ksprintf (fun s -> raise (Malformed s)) fmt

let text json key =
  match member key json with
  | String s -> s
  | _ -> malformed "field %S must be a string" key

let number json key =
  match member key json with
  | Int i -> i
  | _ -> malformed "field %S must be an integer" key

let optional json key ~default =
  match member key json with Null -> default | _ -> text json key

let about json key =
  let units =
    match optional json "position_encoding" ~default:"utf-8" with
    | "utf-8" -> Jtw_positions.Bytes
    | "utf-16" -> Utf16
    | other -> malformed "position_encoding %S: there are \"utf-8\" and \"utf-16\"" other
  in
  { cell = number json "cell_id"; env = text json "env_id"; source = text json key; units }

let decode message =
  let json =
    match of_string message with
    | j -> j
    | exception Error e -> malformed "%s" e
  in
  match member "type" json with
  | String "init" ->
      let requires =
        match member "findlib_requires" json with
        | Null -> []
        | v -> (
            match strings v with
            | Some l -> l
            | None -> malformed "field \"findlib_requires\" must be an array of strings")
      in
      Init
        { requires;
          stdlib_dcs = optional json "stdlib_dcs" ~default:"lib/ocaml/dynamic_cmis.json";
          index = optional json "findlib_index" ~default:"findlib_index.json" }
  | String "eval" -> Eval (about json "code")
  | String "complete" -> Complete (about json "source", number json "position")
  | String "type_at" -> Type_at (about json "source", number json "position")
  | String "errors" -> Errors (about json "source")
  | String "create_env" -> Create_env (text json "env_id")
  | String "destroy_env" -> Destroy_env (text json "env_id")
  | String "list_envs" -> List_envs
  | String other -> malformed "Unknown message type: %s" other
  | _ -> malformed "the message has no field \"type\""

(* ---- answers ---------------------------------------------------------- *)

let message kind fields = Assoc (("type", String kind) :: fields)

let ready = message "ready" []

(* [env]: which environment, for failed environment operations. *)
let init_error ?env reason =
  message "init_error"
    (("message", String reason)
    :: (match env with None -> [] | Some id -> [ ("env_id", String id) ]))

let mime values =
  let value (m : Mime_printer.t) =
    Assoc
      (("mime_type", String m.mime_type) :: ("data", String m.data)
      ::
      (match m.encoding with
      | Noencoding -> []
      | Base64 -> [ ("encoding", String "base64") ]))
  in
  List (List.map value values)

(* Positions in answers are bytes; [place] makes what was asked for of them. *)
let place about = Jtw_positions.outgoing about.units about.source

let location about (l : Location.t) =
  let position (p : Lexing.position) =
    Assoc
      [ ("pos_cnum", Int (place about p.pos_cnum)); ("pos_lnum", Int p.pos_lnum);
        ("pos_bol", Int (place about p.pos_bol)) ]
  in
  Assoc [ ("loc_start", position l.loc_start); ("loc_end", position l.loc_end) ]

let diagnostics about l =
  let entry (d : Jtw_report.diagnostic) =
    Assoc
      [ ("kind", String d.kind); ("loc", location about d.loc); ("main", String d.main);
        ("sub", List (List.map (fun s -> String s) d.sub)); ("source", String d.source) ]
  in
  List (List.map entry l)

let cell about = ("cell_id", Int about.cell)

let stream about (channel : Jtw_output.channel) text =
  message "stream"
    [ cell about; ((match channel with Stdout -> "stdout" | Stderr -> "stderr"), String text) ]

(* [about]: the cell that requires libraries; none during [init]. *)
let progress ?about library ~finished ~total =
  message "progress"
    (Option.to_list (Option.map cell about)
    @ [ ("library", String library); ("done", Int finished); ("total", Int total) ])

let output_at about ~loc caml_ppf values =
  message "output_at"
    [ cell about; ("loc", Int (place about loc)); ("caml_ppf", String caml_ppf);
      ("mime_vals", mime values) ]

let output about (r : Jtw_eval.result) =
  message "output"
    ([ cell about; ("stdout", String r.stdout); ("stderr", String r.stderr);
       ("caml_ppf", String ""); ("mime_vals", mime r.mime) ]
    @ if r.diagnostics = [] then [] else [ ("errors", diagnostics about r.diagnostics) ])

let eval_error about reason =
  message "eval_error" [ cell about; ("message", String reason) ]

let completions about (a : Jtw_complete.answer) =
  let entry (e : Jtw_complete.entry) =
    Assoc
      [ ("name", String e.name); ("kind", String e.kind); ("desc", String e.desc);
        ("info", String ""); ("deprecated", Bool e.deprecated) ]
  in
  message "completions"
    [ cell about;
      ( "completions",
        Assoc
          [ ("from", Int (place about a.from)); ("to", Int (place about a.upto));
            ("entries", List (List.map entry a.entries)) ] ) ]

let types about l =
  let entry (t : Jtw_analyse.typed) =
    Assoc
      [ ("loc", location about t.at); ("type_str", String t.type_text); ("tail", String "no") ]
  in
  message "types" [ cell about; ("types", List (List.map entry l)) ]

let errors about l = message "errors" [ cell about; ("errors", diagnostics about l) ]

let env_created id = message "env_created" [ ("env_id", String id) ]
let env_destroyed id = message "env_destroyed" [ ("env_id", String id) ]

let envs ids = message "envs" [ ("env_ids", List (List.map (fun s -> String s) ids)) ]
