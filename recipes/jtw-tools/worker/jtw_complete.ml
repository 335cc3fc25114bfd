(* Completion: what can stand at a position, seen from the environment. *)

type entry = { name : string; kind : string; desc : string; deprecated : bool }

type answer = { from : int; upto : int; entries : entry list }

let keywords =
  [ "and"; "as"; "assert"; "begin"; "class"; "constraint"; "do"; "done"; "downto";
    "effect"; "else"; "end"; "exception"; "external"; "false"; "for"; "fun"; "function";
    "functor"; "if"; "in"; "include"; "inherit"; "initializer"; "lazy"; "let";
    "match"; "method"; "module"; "mutable"; "new"; "nonrec"; "object"; "of";
    "open"; "or"; "private"; "rec"; "sig"; "struct"; "then"; "to"; "true";
    "try"; "type"; "val"; "virtual"; "when"; "while"; "with" ]

let is_part = function
  | 'a' .. 'z' | 'A' .. 'Z' | '0' .. '9' | '_' | '\'' | '.' | '\128' .. '\255' -> true
  | _ -> false

let is_deprecated attributes =
  Misc.Stdlib.String.Map.mem "deprecated" (Builtin_attributes.alerts_of_attrs attributes)

let squeeze text =
  String.split_on_char '\n' text |> List.map String.trim |> String.concat " "

let is_upper s = s <> "" && s.[0] >= 'A' && s.[0] <= 'Z'

let lookup env path =
  Option.bind (Longident.unflatten path) (fun lid ->
      match Env.find_value_by_name lid env with
      | _, v -> Some v.val_type
      | exception _ -> None)

(* The labels of a record type. *)
let labels_of env ty =
  match Types.get_desc (Ctype.expand_head env ty) with
  | Types.Tconstr (p, _, _) -> (
      match Env.find_type_descrs p env with
      | Types.Type_record (labels, _) -> Some labels
      | _ -> None
      | exception _ -> None)
  | _ -> None
  | exception _ -> None

let field_type env ty name =
  Option.bind (labels_of env ty) (fun labels ->
      match List.find (fun (l : Data_types.label_description) -> l.lbl_name = name) labels with
      | exception Not_found -> None
      | label -> (
          let _, argument, record = Ctype.instance_label ~fixed:false label in
          match Ctype.unify env record (Ctype.instance ty) with
          | () -> Some argument
          | exception _ -> None))

(* The type of r, M.r, or of a field: r.a.b. *)
let type_of env path =
  let rec modules before = function
    | name :: rest when is_upper name -> modules (name :: before) rest
    | value :: fields ->
        List.fold_left
          (fun ty field -> Option.bind ty (fun ty -> field_type env ty field))
          (lookup env (List.rev (value :: before)))
          fields
    | [] -> None
  in
  modules [] path

let fields_of env path = Option.bind (type_of env path) (labels_of env)

(* What is longer than a line or two is not read in a list. *)
let shorten text =
  if String.length text <= 240 then text
  else
    let rec cut i = if Char.code text.[i] land 0xC0 = 0x80 then cut (i - 1) else i in
    String.sub text 0 (cut 240) ^ " …"

type found = {
  env : Env.t;
  prefix : string;
  entries : (string * string, entry) Hashtbl.t;
}

let add found name kind deprecated desc =
  let wanted =
    String.starts_with ~prefix:found.prefix name
    && not (found.prefix = "" && name <> "" && name.[0] = '_')
    && not (String.starts_with ~prefix:"jtw_hole__" name)
  in
  if wanted && not (Hashtbl.mem found.entries (name, kind)) then
    Hashtbl.replace found.entries (name, kind)
      { name; kind; deprecated; desc = (try squeeze (desc ()) with _ -> "") }

(* Of what is still being typed, no variable is bound for good: no '_weak1. *)
let show found ty () =
  Printtyp.wrap_printing_env ~error:false found.env (fun () ->
      Format.asprintf "%a" Printtyp.type_expr ty)

let field found (l : Data_types.label_description) =
  add found l.lbl_name "Label" (is_deprecated l.lbl_attributes) (fun () ->
      show found l.lbl_res () ^ " -> " ^ show found l.lbl_arg ())

let module_type found mty () =
  Printtyp.wrap_printing_env ~error:false found.env (fun () ->
      shorten (Format.asprintf "%a" Printtyp.modtype mty))

(* Stdlib__List is what the compiler calls Stdlib.List. *)
let rec dotted name =
  match String.index_opt name '_' with
  | Some i when i > 0 && i + 2 < String.length name && name.[i + 1] = '_' ->
      String.sub name 0 i ^ "." ^ dotted (String.sub name (i + 2) (String.length name - i - 2))
  | _ -> name

(* Interfaces of whole units are not printed, nor fetched for it. *)
let describe_module found path (d : Types.module_declaration) () =
  match (path, d.md_type) with
  | _, Mty_alias p -> "= " ^ dotted (Path.name p)
  | Path.Pident id, _ when Ident.persistent id -> ""
  | _, mty -> module_type found mty ()

let gather_path found ~path =
  let env = found.env in
  let add name = add found name and show ty = show found ty in
  let modules, values = List.partition is_upper path in
  let lid = Longident.unflatten modules in
  let each fold f = try fold (fun a b c () -> f a b c) lid env () with _ -> () in
  let each1 fold f = try fold (fun a () -> f a) lid env () with _ -> () in
  match (values, if values = [] then None else fields_of env path) with
  | [], _ ->
      each Env.fold_values (fun name _ (v : Types.value_description) ->
          match name with
          | "" -> ()
          | _ when name.[0] = '*' && String.length name > 3 -> ()   (* the checker's own *)
          | _ ->
              add name "Value" (is_deprecated v.val_attributes) (show v.val_type));
      each1 Env.fold_constructors (fun (c : Data_types.constructor_description) ->
          add c.cstr_name "Constructor" (is_deprecated c.cstr_attributes) (fun () ->
              match c.cstr_args with
              | [] -> show c.cstr_res ()
              | args ->
                  String.concat " * " (List.map (fun t -> show t ()) args)
                  ^ " -> " ^ show c.cstr_res ()));
      each1 Env.fold_labels (field found);
      each Env.fold_types (fun name _ (d : Types.type_declaration) ->
          add name "Type" (is_deprecated d.type_attributes) (fun () ->
              Printtyp.wrap_printing_env ~error:false env (fun () ->
                  Format.asprintf "%a" (Printtyp.type_declaration (Ident.create_local name)) d)));
      each Env.fold_modtypes (fun name _ (d : Types.modtype_declaration) ->
          add name "Modtype" (is_deprecated d.mtd_attributes) (fun () ->
              match d.mtd_type with None -> "" | Some mty -> module_type found mty ()));
      each Env.fold_modules (fun name path (d : Types.module_declaration) ->
          add name "Module" (is_deprecated d.md_attributes) (describe_module found path d));
      if lid = None then begin
        List.iter (fun m -> add m "Module" false (fun () -> "")) (Jtw_cmis.known_modules ());
        List.iter (fun k -> add k "Keyword" false (fun () -> "")) keywords
      end
  | _, Some labels -> List.iter (field found) labels
  | _, None -> each1 Env.fold_labels (field found)

let gather_fields found =
  try Env.fold_labels (fun l () -> field found l) None found.env () with _ -> ()

(* The labelled arguments of the function at [path]; [sign] is what is typed,
   "~" or "?". *)
let gather_labels found ~sign path =
  let rec arguments ty =
    match Types.get_desc (Ctype.expand_head found.env ty) with
    | Types.Tarrow (label, argument, result, _) ->
        (match label with
        | Labelled l when sign = '~' -> add found ("~" ^ l) "Label" false (show found argument)
        | Optional l -> add found (Printf.sprintf "%c%s" sign l) "Label" false (show found argument)
        | _ -> ());
        arguments result
    | _ -> ()
  in
  Option.iter arguments (lookup found.env path)

let gather_methods found path =
  let shape ty = Types.get_desc (Ctype.expand_head found.env ty) in
  match Option.map shape (type_of found.env path) with
  | Some (Types.Tobject (fields, _)) ->
      List.iter
        (fun (name, kind, ty) ->
          if Types.field_kind_repr kind = Types.Fpublic then
            add found name "MethodCall" false (show found ty))
        (fst (Ctype.flatten_fields fields))
  | _ -> ()

let is_operator = function
  | '!' | '$' | '%' | '&' | '*' | '+' | '-' | '/' | ':' | '<' | '=' | '>' | '@' | '^' | '|' -> true
  | _ -> false

let complete env source position =
  if position <= 0 || position > String.length source then
    invalid_arg (Printf.sprintf "position %d is not inside the source" position);
  let rec back is i = if i > 0 && is source.[i - 1] then back is (i - 1) else i in
  let first = back is_part position in
  let word = String.sub source first (position - first) in
  let until stop = String.sub source 0 stop in
  (* entries for what begins at [from], in the environment there *)
  let answer ~from ~before gather =
    let prefix = String.sub source from (position - from) in
    let collect typing =
      let found = { env = typing; prefix; entries = Hashtbl.create 64 } in
      gather found;
      Hashtbl.fold (fun _ e acc -> e :: acc) found.entries []
      |> List.sort (fun a b -> compare (a.name, a.kind) (b.name, b.kind))
    in
    { from; upto = position; entries = Jtw_analyse.within env before collect }
  in
  let nothing = { from = 0; upto = 0; entries = [] } in
  let sign = if first > 0 then source.[first - 1] else ' ' in
  let is_number s = s <> "" && s.[0] >= '0' && s.[0] <= '9' in
  match (fst (Jtw_analyse.quietly (fun () -> Jtw_source.tokens (until first))), sign) with
  | None, _ | _, '`' -> nothing
  | Some _, ('~' | '?') when not (String.contains word '.') -> (
      let tokens = Jtw_source.tokens (until (first - 1)) in
      match Option.bind tokens Jtw_source.applied with
      | Some path ->
          answer ~from:(first - 1) ~before:(until (first - 1)) (fun found ->
              gather_labels found ~sign path)
      | None -> nothing)
  | Some _, '#' when not (String.contains word '.') ->
      let start = back is_part (first - 1) in
      let path = String.split_on_char '.' (String.sub source start (first - 1 - start)) in
      answer ~from:first ~before:(until start) (fun found -> gather_methods found path)
  | Some _, _ when word = "" ->
      let from = back is_operator position in
      if from = position then nothing
      else answer ~from ~before:(until from) (fun found -> gather_path found ~path:[])
  | Some _, _ -> (
      match List.rev (String.split_on_char '.' word) with
      | [ prefix; "" ] ->
          (* a field of something that has no name: (f x).fie *)
          answer ~from:(position - String.length prefix) ~before:(until first) gather_fields
      | prefix :: reversed
        when (reversed <> [] || not (is_number prefix))
             && not (List.exists (fun s -> s = "" || is_number s) reversed) ->
          answer ~from:(position - String.length prefix) ~before:(until first) (fun found ->
              gather_path found ~path:(List.rev reversed))
      | _ -> nothing)
