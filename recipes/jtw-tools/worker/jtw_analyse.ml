(* Diagnostics and types of a piece of source that is not run.

   The source is typed in the environment it would be evaluated in, and every
   unification made on the way is undone afterwards. *)

type diagnostic = {
  kind : string;
  source : string;
  loc : Location.t;
  main : string;
  sub : string list;
}

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
      { kind = "error"; source = "unknown"; loc = Location.none;
        main = Jtw_eval.describe exn; sub = [] }

(* Runs [f] collecting warnings, leaving no trace in the type checker. *)
let quietly f =
  let collected = ref [] in
  let collect report =
    Option.iter (fun r -> collected := of_report ~source:"warning" r :: !collected) report;
    None
  in
  let warnings = !Location.warning_reporter and alerts = !Location.alert_reporter in
  let snapshot = Btype.snapshot () in
  let saved = Cmt_format.get_saved_types () in
  Location.warning_reporter := (fun loc w -> collect (warnings loc w));
  Location.alert_reporter := (fun loc a -> collect (alerts loc a));
  Fun.protect
    (fun () -> let v = f () in (v, List.rev !collected))
    ~finally:(fun () ->
      Location.warning_reporter := warnings;
      Location.alert_reporter := alerts;
      Cmt_format.set_saved_types saved;
      Warnings.reset_fatal ();
      Btype.backtrack snapshot)

let parse source = Parse.use_file (Jtw_eval.lexbuf_of source)

let type_items env items =
  Typecore.reset_delayed_checks ();
  let str, _, _, _, env = Typemod.type_toplevel_phrase env items in
  Typecore.force_delayed_checks ();
  (str, env)

(* Only a failed expression binds nothing that later items could miss. *)
let binds_nothing (items : Parsetree.structure) =
  List.for_all
    (fun (i : Parsetree.structure_item) ->
      match i.pstr_desc with Pstr_eval _ | Pstr_attribute _ -> true | _ -> false)
    items

let errors (env : Jtw_envs.t) source =
  let check () =
    match parse source with
    | exception exn -> [ of_exn exn ]
    | phrases ->
        let rec go env = function
          | [] -> []
          | Parsetree.Ptop_dir _ :: rest -> go env rest
          | Parsetree.Ptop_def items :: rest -> (
              match type_items env items with
              | _, env -> go env rest
              | exception exn ->
                  of_exn exn :: (if binds_nothing items then go env rest else []))
        in
        go env.typing phrases
  in
  let failures, warnings = quietly check in
  List.filter (fun d -> d.loc.Location.loc_start.pos_lnum > 0) (failures @ warnings)
  |> List.stable_sort (fun a b ->
         compare a.loc.Location.loc_start.pos_cnum b.loc.Location.loc_start.pos_cnum)

(* The typing environment after as much of [source] as can be typed, passed to
   [f]: what completion in the middle of a cell can see. *)
let after (env : Jtw_envs.t) source f =
  let run () =
    let phrases =
      let until stop = match parse (String.sub source 0 stop) with
        | phrases -> Some phrases
        | exception _ -> None
      in
      let last_line = Option.value (String.rindex_opt source '\n') ~default:0 in
      let rec last_end i =
        if i < 1 then 0
        else if source.[i] = ';' && source.[i - 1] = ';' then i + 1
        else last_end (i - 1)
      in
      match until last_line with
      | Some (_ :: _ as phrases) -> phrases
      | _ -> Option.value (until (last_end (String.length source - 1))) ~default:[]
    in
    let typing =
      List.fold_left
        (fun env (phrase : Parsetree.toplevel_phrase) ->
          match phrase with
          | Ptop_dir _ -> env
          | Ptop_def items -> (
              match type_items env items with _, env -> env | exception _ -> env))
        env.typing phrases
    in
    f typing
  in
  fst (quietly run)

(* ---- types ------------------------------------------------------------ *)

type typed = { at : Location.t; type_text : string }

let print_type env ty =
  Printtyp.wrap_printing_env ~error:false env (fun () ->
      Format.asprintf "%a" Printtyp.type_scheme ty)

(* Expressions and patterns around byte [position], innermost first. *)
let types_at (env : Jtw_envs.t) source position =
  let found = ref [] in
  let around (loc : Location.t) =
    (not loc.loc_ghost) && loc.loc_start.pos_cnum <= position
    && position <= loc.loc_end.pos_cnum
  in
  let note loc env ty =
    if around loc && not (List.exists (fun t -> t.at = loc) !found) then
      found := { at = loc; type_text = print_type env ty } :: !found
  in
  let default = Tast_iterator.default_iterator in
  let iterator =
    { default with
      expr = (fun self e ->
          note e.exp_loc e.exp_env e.exp_type;
          default.expr self e);
      pat = (fun (type k) self (p : k Typedtree.general_pattern) ->
          note p.pat_loc p.pat_env p.pat_type;
          default.pat self p) }
  in
  let part (p : Cmt_format.binary_part) =
    match p with
    | Partial_structure s -> iterator.structure iterator s
    | Partial_structure_item i -> iterator.structure_item iterator i
    | Partial_expression e -> iterator.expr iterator e
    | Partial_pattern (_, p) -> iterator.pat iterator p
    | _ -> ()
  in
  let run () =
    let phrases = try parse source with _ -> [] in
    let rec go env = function
      | [] -> ()
      | Parsetree.Ptop_dir _ :: rest -> go env rest
      | Parsetree.Ptop_def items :: rest -> (
          Cmt_format.set_saved_types [];
          match type_items env items with
          | str, env -> iterator.structure iterator str; go env rest
          | exception _ ->
              (* what was typed before the error *)
              List.iter part (Cmt_format.get_saved_types ());
              go env rest)
    in
    go env.typing phrases;
    let size t = t.at.Location.loc_end.pos_cnum - t.at.loc_start.pos_cnum in
    List.stable_sort (fun a b -> compare (size a) (size b)) !found
  in
  fst (quietly run)
