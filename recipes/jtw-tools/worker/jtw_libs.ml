(* What [#require] does: libraries are put in order, and loaded. *)

type library = Jtw_index.library

let loaded : (string, unit) Hashtbl.t = Hashtbl.create 32

(* Parts of the toplevel that is running: a second copy would take its place. *)
let refused =
  [ "compiler-libs.toplevel"; "js_of_ocaml-compiler.dynlink"; "js_of_ocaml-toplevel"; "js_of_ocaml-toplevel.common" ]

(* What the worker has built in, under the names that libraries have elsewhere. *)
let provided = [ "mime_printer" ]

(* Called before each library that is fetched or loaded: its name, how many of this
   request are done, and of how many. *)
let on_progress : (string -> int -> int -> unit) ref = ref (fun _ _ _ -> ())

let told : (string * int * int, unit) Hashtbl.t = Hashtbl.create 16

let hear f =
  Hashtbl.reset told;
  on_progress := f

(* What was told while it was fetched is not told again when it is loaded. *)
let tell library finished total =
  let news = (library, finished, total) in
  if not (Hashtbl.mem told news) then begin
    Hashtbl.replace told news ();
    !on_progress library finished total
  end

(* What the user should know about libraries that did load; taken by the
   evaluation that asked for them. *)
let notices : string list ref = ref []

let take_notices () =
  let l = List.rev !notices in
  notices := [];
  l

let enumerate names =
  let n = List.length names in
  let shown = List.filteri (fun i _ -> i < 8) names in
  String.concat ", " shown
  ^ if n > 8 then Printf.sprintf " and %d more" (n - 8) else ""

let script (library : library) archive =
  Jtw_net.resolve ~against:library.directory (Filename.remove_extension archive ^ ".cma.js")

let description (library : library) =
  Jtw_net.resolve ~against:library.directory "dynamic_cmis.json"

let import (library : library) ~missing archive =
  let url = script library archive in
  match Jtw_net.import_script url with
  | Ok () -> ()
  | Error e when missing <> [] ->
      Jtw_index.error
        "library %S cannot run in a browser: nothing here provides its C primitives %s (%s)"
        library.name (enumerate missing) e
  | Error e -> Jtw_index.error "library %S could not be loaded from %s: %s" library.name url e

(* What the user did not name is not worth a notice: the library that was may do
   very well without those primitives. *)
let load ~asked (library : library) =
  let url = description library in
  if List.mem library.name refused then
    Jtw_index.error "library %S is part of the toplevel itself and cannot be loaded into it"
      library.name;
  match Jtw_cmis.describe url with
  | Error _ when library.archives = [] -> ()
  | Error e -> Jtw_index.error "library %S: %s" library.name e
  | Ok { set; missing_primitives = missing } ->
      List.iter (import library ~missing) library.archives;
      if asked && missing <> [] && library.archives <> [] then
        notices :=
          Printf.sprintf
            "Note: library %S works only in part, nothing here provides its C primitives %s."
            library.name (enumerate missing)
          :: !notices;
      Jtw_cmis.add set

(* The libraries to load, each after those that it needs; those of [before] are
   about to be. *)
let plan ?(before = []) names =
  let order = ref [] in
  let rec go ~chain name =
    let known =
      Hashtbl.mem loaded name || List.mem name chain || List.mem name provided
      || List.exists (fun (l : library) -> l.name = name) (before @ !order)
    in
    if not known then
      match Jtw_index.find name with
      | None when chain = [] -> Jtw_index.error "%s" (Jtw_index.unknown name)
      | None ->
          Jtw_index.error "library %S needs library %S, which is not in this universe"
            (List.hd chain) name
      | Some library ->
          List.iter (go ~chain:(name :: chain)) library.requires;
          order := library :: !order
  in
  List.iter (go ~chain:[]) names;
  List.rev !order

(* Every library once in the worker's life. One counts as loaded when its code
   ran; one that failed may be tried again. An unknown name loads nothing. *)
let require names =
  let order = plan names in
  let total = List.length order in
  List.iteri
    (fun i (library : library) ->
      tell library.name i total;
      load ~asked:(List.mem library.name names) library;
      Hashtbl.replace loaded library.name ())
    order

(* Packages in the order of their names, with those of their libraries that are
   known so far (a META is read when it is first needed) and whether loaded. *)
let listing () =
  List.sort_uniq compare (List.map fst !Jtw_index.metas)
  |> List.map (fun package ->
         let known =
           List.concat_map
             (fun (p, url) ->
               if p <> package then []
               else Option.value ~default:[] (Hashtbl.find_opt Jtw_index.libraries url))
             !Jtw_index.metas
         in
         ( package,
           List.map (fun (l : library) -> (l.name, Hashtbl.mem loaded l.name)) known ))
