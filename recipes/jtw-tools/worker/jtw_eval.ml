(* Evaluation of one cell: phrases are parsed, typed, run and printed one after
   the other, and reported as they finish. *)

open Js_of_ocaml

let stdout_text = Buffer.create 1024
let stderr_text = Buffer.create 1024

let capture () =
  Sys_js.set_channel_flusher stdout (Buffer.add_string stdout_text);
  Sys_js.set_channel_flusher stderr (Buffer.add_string stderr_text)

let flush_all_output () =
  Format.pp_print_flush Format.std_formatter ();
  Format.pp_print_flush Format.err_formatter ();
  flush stdout;
  flush stderr

let take buffer =
  let s = Buffer.contents buffer in
  Buffer.clear buffer;
  String.trim s

(* An exception as the compiler would show it, with an excerpt of the source. *)
let describe exn =
  let b = Buffer.create 200 in
  let ppf = Format.formatter_of_buffer b in
  (match exn with
  | Stack_overflow ->
      Format.fprintf ppf "Stack overflow: the browser's stack is smaller than a native program's."
  | exn -> (
      match Location.report_exception ppf exn with
      | () -> ()
      | exception other -> Format.fprintf ppf "Exception: %s." (Printexc.to_string other)));
  Format.pp_print_flush ppf ();
  String.trim (Buffer.contents b)

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
  | Ptop_dir { pdir_arg; pdir_loc; _ }, Jtw_libs.Error text ->
      let loc =
        match pdir_arg with Some a -> a.pdira_loc | None -> pdir_loc
      in
      Location.Error (Location.errorf ~loc "%s" text)
  | _ -> exn

(* Runs [code] in [env]. [on_phrase ~loc text] is called after each phrase that
   did not fail to parse or type. Answers (stdout, stderr). *)
let run env code ~on_phrase =
  let code = if String.ends_with ~suffix:";;" code then code else code ^ ";;" in
  Buffer.clear stdout_text;
  Buffer.clear stderr_text;
  let answer = Buffer.create 256 in
  let ppf = Format.formatter_of_buffer answer in
  let lexbuf = lexbuf_of code in
  let problem exn =
    flush_all_output ();
    Buffer.add_string stderr_text (describe exn);
    Buffer.add_char stderr_text '\n'
  in
  let notices () =
    List.iter
      (fun text -> Buffer.add_string stderr_text (text ^ "\n"))
      (Jtw_libs.take_notices ())
  in
  let execute (phrase : Parsetree.toplevel_phrase) =
    match phrase with
    | Ptop_def _ -> Toploop.execute_phrase true ppf phrase
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
        (match execute phrase with
        | (_ : bool) ->
            flush_all_output ();
            Format.pp_print_flush ppf ();
            notices ();
            on_phrase ~loc:(phrase_end lexbuf phrase) (take answer)
        | exception exn ->
            Format.pp_print_flush ppf ();
            Buffer.clear answer;
            problem (located phrase exn);
            Warnings.reset_fatal ();
            Btype.backtrack snapshot);
        phrases ()
  in
  Jtw_envs.within env phrases;
  flush_all_output ();
  let out = take stdout_text in
  (out, take stderr_text)

(* ---- directives ------------------------------------------------------- *)

let directives () =
  Toploop.add_directive "require"
    (Toploop.Directive_string
       (fun names -> List.iter Jtw_libs.require (Jtw_meta.words names)))
    { section = "Loading code"; doc = "Load a library of this universe and what it needs." };
  let refuse name _ =
    raise (Jtw_libs.Error (Printf.sprintf "#%s is not available in a browser." name))
  in
  let replace name directive =
    (Hashtbl.remove [@alert "-deprecated"] [@warning "-3"])
      (Toploop.directive_info_table [@alert "-deprecated"] [@warning "-3"]) name;
    Toploop.add_directive name directive
      { section = "Not available in a browser"; doc = "Answers with an error." }
  in
  List.iter
    (fun name -> replace name (Toploop.Directive_none (refuse name)))
    [ "quit"; "exit"; "untrace_all" ];
  List.iter
    (fun name -> replace name (Toploop.Directive_ident (refuse name)))
    [ "trace"; "untrace" ];
  List.iter
    (fun name -> replace name (Toploop.Directive_string (refuse name)))
    [ "ppx"; "use_output" ]

(* [exit] reaches a global called "quit" if there is one. *)
let survive_exit () =
  Js.Unsafe.set Js.Unsafe.global (Js.string "quit")
    (Js.wrap_callback (fun (code : int) : unit ->
         failwith (Printf.sprintf "exit %d: a toplevel in a browser does not end" code)))
