(* The directives of this toplevel that others do not have, or have otherwise. *)

open Js_of_ocaml

let require names = Jtw_libs.require (Jtw_meta.words names)

(* On the standard formatter, as all directives. *)
let list () =
  let entry (package, libraries) =
    let shown (name, loaded) = if loaded then name ^ " (loaded)" else name in
    Format.printf "%s@."
      (match libraries with
      | [] -> package
      | l -> String.concat ", " (List.map shown l))
  in
  List.iter entry (Jtw_libs.listing ());
  Format.printf "@."

let refuse name _ =
  raise (Jtw_index.Error (Printf.sprintf "#%s is not available in a browser." name))

let replace name directive =
  (Hashtbl.remove [@alert "-deprecated"] [@warning "-3"])
    (Toploop.directive_info_table [@alert "-deprecated"] [@warning "-3"]) name;
  Toploop.add_directive name directive
    { section = "Not available in a browser"; doc = "Answers with an error." }

let install () =
  let loading = "Loading code" in
  Toploop.add_directive "require" (Toploop.Directive_string require)
    { section = loading;
      doc = "Load libraries of this universe, and what they need: names with blanks or commas." };
  Toploop.add_directive "list" (Toploop.Directive_none list)
    { section = loading; doc = "List the packages of this universe." };
  List.iter
    (fun name -> replace name (Toploop.Directive_none (refuse name)))
    [ "quit"; "exit"; "untrace_all" ];
  List.iter
    (fun name -> replace name (Toploop.Directive_ident (refuse name)))
    [ "trace"; "untrace" ];
  List.iter
    (fun name -> replace name (Toploop.Directive_string (refuse name)))
    [ "ppx"; "use_output"; "cd" ]

(* [exit] reaches a global called "quit" if there is one. *)
let survive_exit () =
  Js.Unsafe.set Js.Unsafe.global (Js.string "quit")
    (Js.wrap_callback (fun (code : int) : unit ->
         failwith (Printf.sprintf "exit %d: a toplevel in a browser does not end" code)))
