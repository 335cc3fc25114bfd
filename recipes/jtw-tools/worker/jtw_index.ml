(* What libraries the universe has: its index, and META files.

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

(* META files and descriptions of the universe, in one file. *)
let bundle : Jtw_bundle.t option ref = ref None

let libraries : (string, library list) Hashtbl.t = Hashtbl.create 32  (* by META URL *)

(* ---- the index -------------------------------------------------------- *)

let package_of_url url =
  match List.rev (String.split_on_char '/' url) with
  | _ :: directory :: _ -> directory
  | _ -> url

let entries json keys =
  List.find_map (fun k -> Jtw_json.strings (Jtw_json.member k json)) keys

(* A universe is for one compiler and one way to do effects: what was compiled
   otherwise would fail later, and in odd ways. Indexes that do not say are
   believed. *)
let check_made_for_this_worker json =
  let plain v =
    List.hd (String.split_on_char '~' (List.hd (String.split_on_char '+' v)))
  in
  (match Jtw_json.member "version" (Jtw_json.member "compiler" json) with
  | String v when plain v <> plain Sys.ocaml_version ->
      error "it was made for OCaml %s, and this worker is OCaml %s" v Sys.ocaml_version
  | _ -> ());
  match Jtw_json.member "effects" json with
  | String mode when mode <> Jtw_config.effects ->
      error
        "its code was compiled with effects = %S, and this worker with %S: start the worker \
         that the index names"
        mode Jtw_config.effects
  | _ -> ()

let parse_index url text =
  match Jtw_json.of_string text with
  | json -> (
      check_made_for_this_worker json;
      if !bundle = None then bundle := Jtw_bundle.described url json;
      match (entries json [ "meta_files"; "metas" ], entries json [ "universes"; "deps" ]) with
      | None, None -> raise (Jtw_json.Error "no list of strings called meta_files")
      | files, universes -> (Option.value files ~default:[], Option.value universes ~default:[]))
  | exception Jtw_json.Error e ->
      (* the oldest form: META paths separated by blanks *)
      let words = Jtw_meta.words text in
      if words <> [] && List.for_all (fun w -> Filename.basename w = "META") words
      then (words, [])
      else raise (Jtw_json.Error e)

let index_name url =
  let last = List.hd (List.rev (String.split_on_char '/' url)) in
  last = "findlib_index" || String.ends_with ~suffix:".json" last

let load url =
  let seen = Hashtbl.create 8 in
  let rec fetch ~top url =
    if Hashtbl.mem seen url then []
    else begin
      Hashtbl.replace seen url ();
      match Jtw_net.get url with
      | Error e when top -> error "cannot load the findlib index %s: %s" url e
      | Error e -> Jtw_net.log (Printf.sprintf "universe %s left out: %s" url e); []
      | Ok text -> (
          match parse_index url text with
          | exception (Jtw_json.Error e | Error e) when top ->
              error "the findlib index %s is not usable: %s" url e
          | exception (Jtw_json.Error e | Error e) ->
              Jtw_net.log (Printf.sprintf "universe %s left out: %s" url e); []
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
    if index_name u then fetch ~top:false u
    else
      let u = if String.ends_with ~suffix:"/" u then u else u ^ "/" in
      match fetch ~top:false (u ^ "findlib_index.json") with
      | [] -> fetch ~top:false (u ^ "findlib_index")
      | found -> found
  in
  bundle := None;
  metas := fetch ~top:true url

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
