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

(* Fields of the record that [path] (such as r or M.r) is bound to. *)
let fields_of env path =
  match Longident.unflatten path with
  | None -> None
  | Some lid -> (
      match
        let _, v = Env.find_value_by_name lid env in
        Types.get_desc (Ctype.expand_head env v.val_type)
      with
      | Types.Tconstr (p, _, _) -> (
          match Env.find_type_descrs p env with
          | Types.Type_record (labels, _) -> Some labels
          | _ -> None
          | exception _ -> None)
      | _ -> None
      | exception _ -> None)

let gather env ~path ~prefix =
  let found = Hashtbl.create 64 in
  let wanted name =
    String.starts_with ~prefix name
    && not (prefix = "" && name <> "" && name.[0] = '_')
  in
  let add name kind deprecated desc =
    if wanted name && not (Hashtbl.mem found (name, kind)) then
      Hashtbl.replace found (name, kind)
        { name; kind; deprecated; desc = (try squeeze (desc ()) with _ -> "") }
  in
  let show ty () = Jtw_analyse.print_type env ty in
  let field (l : Data_types.label_description) =
    add l.lbl_name "Label" (is_deprecated l.lbl_attributes) (fun () ->
        show l.lbl_res () ^ " -> " ^ show l.lbl_arg ())
  in
  let modules, values = List.partition is_upper path in
  let lid = Longident.unflatten modules in
  let each fold f = try fold (fun a b c () -> f a b c) lid env () with _ -> () in
  let each1 fold f = try fold (fun a () -> f a) lid env () with _ -> () in
  (match (values, fields_of env path) with
  | [], _ ->
      each Env.fold_values (fun name _ (v : Types.value_description) ->
          match name with
          | "" -> ()
          | _ when name.[0] = '*' -> ()   (* the checker's own *)
          | _ ->
              add name "Value" (is_deprecated v.val_attributes) (show v.val_type));
      each1 Env.fold_constructors (fun (c : Data_types.constructor_description) ->
          add c.cstr_name "Constructor" (is_deprecated c.cstr_attributes) (fun () ->
              match c.cstr_args with
              | [] -> show c.cstr_res ()
              | args ->
                  String.concat " * " (List.map (fun t -> show t ()) args)
                  ^ " -> " ^ show c.cstr_res ()));
      each1 Env.fold_labels field;
      each Env.fold_types (fun name _ (d : Types.type_declaration) ->
          add name "Type" (is_deprecated d.type_attributes) (fun () ->
              Printtyp.wrap_printing_env ~error:false env (fun () ->
                  Format.asprintf "%a" (Printtyp.type_declaration (Ident.create_local name)) d)));
      each Env.fold_modtypes (fun name _ (d : Types.modtype_declaration) ->
          add name "Modtype" (is_deprecated d.mtd_attributes) (fun () -> ""));
      (try
         Env.fold_modules
           (fun name _ _ () -> add name "Module" false (fun () -> ""))
           lid env ()
       with _ -> ());
      if lid = None then begin
        List.iter (fun m -> add m "Module" false (fun () -> "")) (Jtw_cmis.known_modules ());
        List.iter (fun k -> add k "Keyword" false (fun () -> "")) keywords
      end
  | _, Some labels -> List.iter field labels
  | _, None -> each1 Env.fold_labels field);
  Hashtbl.fold (fun _ e acc -> e :: acc) found []
  |> List.sort (fun a b -> compare (a.name, a.kind) (b.name, b.kind))

let complete env source position =
  if position <= 0 || position > String.length source then
    invalid_arg (Printf.sprintf "position %d is not inside the source" position);
  let rec start i = if i > 0 && is_part source.[i - 1] then start (i - 1) else i in
  let first = start position in
  let word = String.sub source first (position - first) in
  let nothing = { from = 0; upto = 0; entries = [] } in
  match List.rev (String.split_on_char '.' word) with
  | [] | [ "" ] -> nothing
  | prefix :: reversed ->
      let path = List.rev reversed in
      let is_number s = s = "" || (s.[0] >= '0' && s.[0] <= '9') in
      if List.exists is_number path || (path = [] && is_number prefix) then nothing
      else
        let entries =
          Jtw_analyse.after env (String.sub source 0 first) (fun typing ->
              gather typing ~path ~prefix)
        in
        { from = position - String.length prefix; upto = position; entries }
