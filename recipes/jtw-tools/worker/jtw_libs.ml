(* findlib libraries of the universe: the index, and what [#require] does.

   The index lists META files. A library's first name component is the name of
   the directory that holds its META, so a META is fetched when one of its
   libraries is first wanted: starting up costs one request for the index,
   however large the universe is. *)

exception Error of string

let error fmt = Printf.ksprintf (fun s -> raise (Error s)) fmt

type library = {
  name : string;
  directory : string;         (* absolute URL, ending in '/' *)
  archives : string list;
  requires : string list;
}

(* In index order: own META files first, then those of nested universes. *)
let metas : (string * string) list ref = ref []   (* package name, META's URL *)

let libraries : (string, library list) Hashtbl.t = Hashtbl.create 32  (* by META URL *)

let loaded : (string, unit) Hashtbl.t = Hashtbl.create 32

(* ---- the index -------------------------------------------------------- *)

let package_of_url url =
  match List.rev (String.split_on_char '/' url) with
  | _ :: directory :: _ -> directory
  | _ -> url

let entries json keys =
  List.find_map (fun k -> Jtw_json.strings (Jtw_json.member k json)) keys
  |> Option.value ~default:[]

let parse_index text =
  match Jtw_json.of_string text with
  | json -> (entries json [ "meta_files"; "metas" ], entries json [ "universes"; "deps" ])
  | exception Jtw_json.Error e ->
      (* the oldest form: META paths separated by blanks *)
      let words = Jtw_meta.words text in
      if words <> [] && List.for_all (fun w -> Filename.basename w = "META") words
      then (words, [])
      else raise (Jtw_json.Error e)

let index_name url =
  let last = List.hd (List.rev (String.split_on_char '/' url)) in
  last = "findlib_index" || String.ends_with ~suffix:".json" last

let load_index url =
  let seen = Hashtbl.create 8 in
  let rec load ~top url =
    if Hashtbl.mem seen url then []
    else begin
      Hashtbl.replace seen url ();
      match Jtw_net.get url with
      | Error e when top -> error "cannot load the findlib index %s: %s" url e
      | Error e -> Jtw_net.log (Printf.sprintf "universe %s left out: %s" url e); []
      | Ok text -> (
          match parse_index text with
          | exception Jtw_json.Error e -> error "the findlib index %s is not usable: %s" url e
          | files, universes ->
              let own =
                List.map (fun f ->
                    let u = Jtw_net.resolve ~against:url f in
                    (package_of_url u, u))
                  files
              in
              own @ List.concat_map (nested url) universes)
    end
  and nested url entry =
    let u = Jtw_net.resolve ~against:url entry in
    if index_name u then load ~top:false u
    else
      let u = if String.ends_with ~suffix:"/" u then u else u ^ "/" in
      match load ~top:false (u ^ "findlib_index.json") with
      | [] -> load ~top:false (u ^ "findlib_index")
      | found -> found
  in
  metas := load ~top:true url

(* ---- META files ------------------------------------------------------- *)

let slash url = if String.ends_with ~suffix:"/" url then url else url ^ "/"

let library_directory ~parent ~meta_directory = function
  | None -> parent
  | Some "" | Some "." -> parent
  | Some "+" -> Jtw_net.resolve ~against:meta_directory "../"
  | Some d when d.[0] = '^' || d.[0] = '+' ->
      (* relative to the standard library's directory, which holds the
         directory of this META *)
      let rest = String.sub d 1 (String.length d - 1) in
      slash (Jtw_net.resolve ~against:meta_directory ("../" ^ rest))
  | Some d -> slash (Jtw_net.resolve ~against:parent d)

let rec flatten ~prefix ~parent ~meta_directory (meta : Jtw_meta.t) =
  let directory =
    library_directory ~parent ~meta_directory (Jtw_meta.directory meta)
  in
  { name = prefix; directory;
    archives = Jtw_meta.archive meta;
    requires = Jtw_meta.requires meta }
  :: List.concat_map
       (fun (child : Jtw_meta.t) ->
         flatten ~prefix:(prefix ^ "." ^ child.name) ~parent:directory ~meta_directory child)
       meta.children

let libraries_of (package, url) =
  match Hashtbl.find_opt libraries url with
  | Some l -> l
  | None ->
      let l =
        match Jtw_net.get url with
        | Error e -> error "cannot load %s: %s" url e
        | Ok text -> (
            match Jtw_meta.parse text with
            | exception Jtw_meta.Error e -> error "%s is not usable: %s" url e
            | meta ->
                let meta_directory = Jtw_net.resolve ~against:url "./" in
                flatten ~prefix:package ~parent:meta_directory ~meta_directory meta)
      in
      Hashtbl.replace libraries url l;
      l

let package_of_library name =
  match String.index_opt name '.' with
  | Some i -> String.sub name 0 i
  | None -> name

let candidates name =
  let package = package_of_library name in
  List.filter (fun (p, _) -> p = package) !metas

let find name =
  List.find_map
    (fun m -> List.find_opt (fun l -> l.name = name) (libraries_of m))
    (candidates name)

(* ---- suggestions ------------------------------------------------------ *)

let distance a b =
  let n = String.length b in
  let row = Array.init (n + 1) Fun.id in
  String.iteri
    (fun i c ->
      let diagonal = ref row.(0) in
      row.(0) <- i + 1;
      for j = 1 to n do
        let above = row.(j) in
        let cost = if c = b.[j - 1] then 0 else 1 in
        row.(j) <- min (min (above + 1) (row.(j - 1) + 1)) (!diagonal + cost);
        diagonal := above
      done)
    a;
  row.(n)

let near name =
  let siblings =
    List.concat_map (fun m -> List.map (fun l -> l.name) (libraries_of m)) (candidates name)
  in
  let fold = String.lowercase_ascii in
  let known = List.sort_uniq compare (List.map fst !metas @ siblings) in
  let score k =
    let a = fold name and b = fold k in
    let d = distance a b in
    if a <> "" && (String.starts_with ~prefix:a b || String.starts_with ~prefix:b a)
    then min d 2 else d
  in
  List.map (fun k -> (score k, k)) known
  |> List.filter (fun (d, _) -> d <= max 1 (String.length name / 3))
  |> List.sort compare
  |> List.filteri (fun i _ -> i < 5)
  |> List.map snd

let unknown name =
  let hint =
    match near name with
    | [] ->
        Printf.sprintf " It has %d packages with libraries." (List.length !metas)
    | l -> " Did you mean " ^ String.concat ", " (List.map (Printf.sprintf "%S") l) ^ "?"
  in
  Printf.sprintf "library %S is not in this universe.%s" name hint

(* ---- require ---------------------------------------------------------- *)

(* Parts of the toplevel that is running: a second copy would take its place. *)
let refused =
  [ "compiler-libs.toplevel"; "js_of_ocaml-compiler.dynlink"; "js_of_ocaml-toplevel"; "js_of_ocaml-toplevel.common" ]

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

let import library ~missing archive =
  let url =
    Jtw_net.resolve ~against:library.directory
      (Filename.remove_extension archive ^ ".cma.js")
  in
  match Jtw_net.import_script url with
  | Ok () -> ()
  | Error e when missing <> [] ->
      error
        "library %S cannot run in a browser: nothing here provides its C primitives %s (%s)"
        library.name (enumerate missing) e
  | Error e -> error "library %S could not be loaded from %s: %s" library.name url e

(* What the user did not name is not worth a notice: the library that was may do
   very well without those primitives. *)
let load ~asked library =
  let url = Jtw_net.resolve ~against:library.directory "dynamic_cmis.json" in
  if List.mem library.name refused then
    error "library %S is part of the toplevel itself and cannot be loaded into it" library.name;
  match Jtw_cmis.describe url with
  | Error _ when library.archives = [] -> ()
  | Error e -> error "library %S: %s" library.name e
  | Ok { set; missing_primitives = missing } ->
      List.iter (import library ~missing) library.archives;
      if asked && missing <> [] && library.archives <> [] then
        notices :=
          Printf.sprintf
            "Note: library %S works only in part, nothing here provides its C primitives %s."
            library.name (enumerate missing)
          :: !notices;
      Jtw_cmis.add set

(* Depth first, every library once in the worker's life. A library counts as
   loaded when its code ran; one that failed may be tried again. *)
let require name =
  let rec go ~chain name =
    if not (Hashtbl.mem loaded name || List.mem name chain) then
      match find name with
      | None when chain = [] -> error "%s" (unknown name)
      | None ->
          error "library %S needs library %S, which is not in this universe"
            (List.hd chain) name
      | Some library ->
          List.iter (go ~chain:(name :: chain)) library.requires;
          load ~asked:(chain = []) library;
          Hashtbl.replace loaded name ()
  in
  go ~chain:[] name
