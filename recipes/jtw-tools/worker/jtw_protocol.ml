(* The messages, one JSON text each. See the README of this directory. *)

open Jtw_json

type request =
  | Init of { requires : string list; stdlib_dcs : string; index : string }
  | Eval of { cell : int; env : string; code : string }
  | Complete of { cell : int; env : string; source : string; position : int }
  | Type_at of { cell : int; env : string; source : string; position : int }
  | Errors of { cell : int; env : string; source : string }
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
  | String "eval" ->
      Eval { cell = number json "cell_id"; env = text json "env_id"; code = text json "code" }
  | String "complete" ->
      Complete
        { cell = number json "cell_id"; env = text json "env_id";
          source = text json "source"; position = number json "position" }
  | String "type_at" ->
      Type_at
        { cell = number json "cell_id"; env = text json "env_id";
          source = text json "source"; position = number json "position" }
  | String "errors" ->
      Errors { cell = number json "cell_id"; env = text json "env_id"; source = text json "source" }
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

let output_at ~cell ~loc ~caml_ppf =
  message "output_at"
    [ ("cell_id", Int cell); ("loc", Int loc); ("caml_ppf", String caml_ppf);
      ("mime_vals", List []) ]

let output ~cell ~stdout ~stderr =
  message "output"
    [ ("cell_id", Int cell); ("stdout", String stdout); ("stderr", String stderr);
      ("caml_ppf", String ""); ("mime_vals", List []) ]

let eval_error ~cell reason =
  message "eval_error" [ ("cell_id", Int cell); ("message", String reason) ]

let completions ~cell (a : Jtw_complete.answer) =
  let entry (e : Jtw_complete.entry) =
    Assoc
      [ ("name", String e.name); ("kind", String e.kind); ("desc", String e.desc);
        ("info", String ""); ("deprecated", Bool e.deprecated) ]
  in
  message "completions"
    [ ("cell_id", Int cell);
      ( "completions",
        Assoc
          [ ("from", Int a.from); ("to", Int a.upto);
            ("entries", List (List.map entry a.entries)) ] ) ]

let location (l : Location.t) =
  let position (p : Lexing.position) =
    Assoc
      [ ("pos_cnum", Int p.pos_cnum); ("pos_lnum", Int p.pos_lnum);
        ("pos_bol", Int p.pos_bol) ]
  in
  Assoc [ ("loc_start", position l.loc_start); ("loc_end", position l.loc_end) ]

let types ~cell l =
  let entry (t : Jtw_analyse.typed) =
    Assoc
      [ ("loc", location t.at); ("type_str", String t.type_text); ("tail", String "no") ]
  in
  message "types" [ ("cell_id", Int cell); ("types", List (List.map entry l)) ]

let errors ~cell l =
  let entry (d : Jtw_analyse.diagnostic) =
    Assoc
      [ ("kind", String d.kind); ("loc", location d.loc); ("main", String d.main);
        ("sub", List (List.map (fun s -> String s) d.sub)); ("source", String d.source) ]
  in
  message "errors" [ ("cell_id", Int cell); ("errors", List (List.map entry l)) ]

let env_created id = message "env_created" [ ("env_id", String id) ]
let env_destroyed id = message "env_destroyed" [ ("env_id", String id) ]

let envs ids = message "envs" [ ("env_ids", List (List.map (fun s -> String s) ids)) ]
