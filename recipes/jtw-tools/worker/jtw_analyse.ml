(* Diagnostics and types of a piece of source that is not run.

   The source is typed in the environment it would be evaluated in, and every
   unification made on the way is undone afterwards. *)

(* Runs [f] collecting warnings, leaving no trace in the type checker. *)
let quietly f =
  let collected = ref [] in
  let snapshot = Btype.snapshot () in
  let saved = Cmt_format.get_saved_types () in
  Fun.protect
    (fun () ->
      let hear d = collected := d :: !collected in
      let v = Jtw_report.listening ~silently:true hear f in
      (v, List.rev !collected))
    ~finally:(fun () ->
      Cmt_format.set_saved_types saved;
      Warnings.reset_fatal ();
      Btype.backtrack snapshot)

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
  let rec check env = function
    | [] -> []
    | Error exn :: rest -> Jtw_report.of_exn exn :: check env rest
    | Ok (Parsetree.Ptop_dir _) :: rest -> check env rest
    | Ok (Parsetree.Ptop_def items) :: rest -> (
        match type_items env items with
        | _, env -> check env rest
        | exception exn when Jtw_report.is_overflow exn -> raise Stack_overflow
        | exception exn ->
            Jtw_report.of_exn exn :: (if binds_nothing items then check env rest else []))
  in
  let failures, warnings =
    quietly (fun () -> check env.typing (Jtw_source.phrases source))
  in
  (* the end of the last phrase may be one that is not written *)
  let inside (p : Lexing.position) =
    { p with pos_cnum = min p.pos_cnum (String.length source) }
  in
  List.map
    (fun (d : Jtw_report.diagnostic) ->
      { d with
        loc = { d.loc with loc_start = inside d.loc.loc_start; loc_end = inside d.loc.loc_end } })
    (Jtw_report.sort (failures @ warnings))

(* The typing environment in the middle of a source, after its first part
   [before], passed to [f]: with the names that are bound there only, when the
   source is well enough for that. *)
let within (env : Jtw_envs.t) before f =
  (* an unbound name stands where the user is: the error says what was bound *)
  let at_hole (loc : Location.t) = loc.loc_start.pos_cnum >= String.length before in
  let rec go typing = function
    | [] -> typing
    | (Error _ | Ok (Parsetree.Ptop_dir _)) :: rest -> go typing rest
    | Ok (Parsetree.Ptop_def items) :: rest -> (
        match type_items typing items with
        | _, typing -> go typing rest
        | exception Env.Error (Lookup_error (loc, local, _)) when at_hole loc -> local
        | exception _ -> go typing rest)
  in
  let run () =
    f
      (go env.typing
         (match Jtw_source.with_hole before with
         | Some phrases -> phrases
         | None -> Jtw_source.complete_phrases before))
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
    let rec go env = function
      | [] -> ()
      | (Error _ | Ok (Parsetree.Ptop_dir _)) :: rest -> go env rest
      | Ok (Parsetree.Ptop_def items) :: rest -> (
          Cmt_format.set_saved_types [];
          match type_items env items with
          | str, env -> iterator.structure iterator str; go env rest
          | exception _ ->
              (* what was typed before the error *)
              List.iter part (Cmt_format.get_saved_types ());
              go env rest)
    in
    go env.typing (Jtw_source.phrases_so_far source);
    let size t = t.at.Location.loc_end.pos_cnum - t.at.loc_start.pos_cnum in
    List.stable_sort (fun a b -> compare (size a) (size b)) !found
  in
  fst (quietly run)
