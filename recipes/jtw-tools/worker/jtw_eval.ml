(* Evaluation of one cell: phrases are parsed, typed, run and printed one after
   the other, and reported as they finish. *)

type result = {
  stdout : string;
  stderr : string;
  diagnostics : Jtw_report.diagnostic list;
  mime : Mime_printer.t list;      (* pushed, and of no phrase that was reported *)
}

let ended code = if String.ends_with ~suffix:";;" code then code else code ^ ";;"

let lexbuf_of code =
  let lexbuf = Lexing.from_string code in
  Location.init lexbuf "//toplevel//";
  Location.input_lexbuf := Some lexbuf;
  Location.input_name := "//toplevel//";
  lexbuf

(* Where a phrase ends, as clients are told: its first item, or directive. *)
let phrase_end lexbuf (phrase : Parsetree.toplevel_phrase) =
  match phrase with
  | Ptop_def (item :: _) -> item.pstr_loc.loc_end.pos_cnum
  | Ptop_dir { pdir_loc; _ } -> pdir_loc.loc_end.pos_cnum
  | Ptop_def [] -> lexbuf.Lexing.lex_curr_p.pos_cnum

(* Errors of our own directives get the location of the directive's argument. *)
let located (phrase : Parsetree.toplevel_phrase) exn =
  match (phrase, exn) with
  | Ptop_dir { pdir_arg; pdir_loc; _ }, Jtw_index.Error text ->
      let loc =
        match pdir_arg with Some a -> a.pdira_loc | None -> pdir_loc
      in
      Location.Error (Location.errorf ~loc "%s" text)
  | _ -> exn

let no_effects =
  Printf.sprintf
    "Note: this universe was made with effects = %S. With effects = \"cps\" or \
     \"double-translation\" in universe.toml there are effect handlers."
    Jtw_config.effects

(* The toplevel prints an exception that a program does not catch; what is
   known beyond it is added: the calls that led there. *)
let explain_exceptions () =
  let print = !Toploop.print_out_phrase in
  Toploop.print_out_phrase :=
    fun ppf phrase ->
      let phrase =
        match phrase with
        | Outcometree.Ophr_exception (exn, value) when Jtw_report.is_overflow exn ->
            Outcometree.Ophr_exception (Stack_overflow, value)
        | phrase -> phrase
      in
      print ppf phrase;
      match phrase with
      | Outcometree.Ophr_exception (Failure text, _)
        when text = "Effect handlers are not supported" ->
          Jtw_output.note no_effects
      | Outcometree.Ophr_exception (Stack_overflow, _) -> ()
      | Outcometree.Ophr_exception (exn, _) ->
          Option.iter Jtw_output.note (Jtw_report.backtrace exn)
      | _ -> ()

let execute answer ppf (phrase : Parsetree.toplevel_phrase) =
  match phrase with
  | Ptop_def _ ->
      Jtw_output.while_program_runs (fun () -> Toploop.execute_phrase true ppf phrase)
  | Ptop_dir _ ->
      (* directives answer on the standard formatter *)
      let std = Format.std_formatter in
      Format.pp_print_flush std ();
      let before = Format.pp_get_formatter_out_functions std () in
      Format.pp_set_formatter_output_functions std (Buffer.add_substring answer) ignore;
      Fun.protect
        (fun () -> Toploop.execute_phrase true ppf phrase)
        ~finally:(fun () ->
          Format.pp_print_flush std ();
          Format.pp_set_formatter_out_functions std before)

(* Runs [code] in [env]. [on_phrase ~loc text mime] is called after each phrase
   that did not fail to parse or type; [on_output] receives what is printed. *)
let run env code ~on_output ~on_phrase =
  let code = ended code in
  Jtw_output.start on_output;
  ignore (Jtw_cmis.take_failures () : string list);
  ignore (Mime_printer.get () : Mime_printer.t list);
  let diagnostics = ref [] in
  let hear d = diagnostics := d :: !diagnostics in
  let answer = Buffer.create 256 in
  let ppf = Format.formatter_of_buffer answer in
  let lexbuf = lexbuf_of code in
  let notices () =
    List.iter Jtw_output.note
      (Jtw_bundle.take_notices () @ Jtw_libs.take_notices () @ Jtw_cmis.take_failures ())
  in
  let problem exn =
    Jtw_output.flush ();
    hear (Jtw_report.of_exn exn);
    Jtw_output.note (Jtw_report.describe exn);
    notices ()
  in
  let rec phrases () =
    let start = lexbuf.Lexing.lex_curr_p.pos_cnum in
    let snapshot = Btype.snapshot () in
    Env.reset_cache_toplevel ();
    match !Toploop.parse_toplevel_phrase lexbuf with
    | exception End_of_file -> ()
    | exception exn ->
        problem exn;
        Btype.backtrack snapshot;
        if lexbuf.Lexing.lex_curr_p.pos_cnum > start then phrases ()
    | phrase ->
        (match execute answer ppf phrase with
        | (_ : bool) ->
            Format.pp_print_flush ppf ();
            notices ();
            Jtw_output.flush ();
            let text = String.trim (Buffer.contents answer) in
            Buffer.clear answer;
            on_phrase ~loc:(phrase_end lexbuf phrase) text (Mime_printer.get ())
        | exception exn ->
            Format.pp_print_flush ppf ();
            Buffer.clear answer;
            problem (located phrase exn);
            Warnings.reset_fatal ();
            Btype.backtrack snapshot);
        phrases ()
  in
  Jtw_report.listening ~silently:false hear (fun () -> Jtw_envs.within env phrases);
  let stdout, stderr = Jtw_output.finish () in
  { stdout; stderr; diagnostics = Jtw_report.sort (List.rev !diagnostics);
    mime = Mime_printer.get () }
