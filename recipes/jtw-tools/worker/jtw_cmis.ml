(* Compiled interfaces, fetched when the type checker first asks for a unit.

   A "dynamic cmi set" is one library directory, described by its
   dynamic_cmis.json. A unit is looked for beside that file first, so that a
   site can be moved as a whole, and at the file's [dcs_url] otherwise. *)

type set = {
  places : string list;       (* absolute URLs of directories, ending in '/' *)
  modules : string list;      (* units named in full *)
  prefixes : string list;     (* of file names: "base__" *)
  bundle : Jtw_bundle.t option;    (* all units of the set *)
}

type description = {
  set : set;
  missing_primitives : string list;
}

let sets : set list ref = ref []

(* Units already asked for in vain, until the next set is added. *)
let absent : (string, unit) Hashtbl.t = Hashtbl.create 64

(* Reads dynamic_cmis.json at [url]. *)
let describe url =
  match Jtw_net.get url with
  | Error e -> Error (Printf.sprintf "cannot load %s: %s" url e)
  | Ok text -> (
      match
        let json = Jtw_json.of_string text in
        let field name =
          match Jtw_json.strings (Jtw_json.member name json) with
          | Some l -> l
          | None -> raise (Jtw_json.Error ("no list of strings called " ^ name))
        in
        let dcs_url =
          match Jtw_json.member "dcs_url" json with
          | Jtw_json.String s -> s
          | _ -> raise (Jtw_json.Error "no dcs_url")
        in
        let own = Jtw_net.resolve ~against:url "./" in
        let other =
          let u = if String.ends_with ~suffix:"/" dcs_url then dcs_url else dcs_url ^ "/" in
          if String.starts_with ~prefix:"file:" u then own else Jtw_net.from_base u
        in
        { set =
            { places = (if other = own then [ own ] else [ own; other ]);
              modules = field "dcs_toplevel_modules";
              prefixes = field "dcs_file_prefixes";
              bundle = Jtw_bundle.described url json };
          missing_primitives =
            Option.value ~default:[]
              (Jtw_json.strings (Jtw_json.member "jtw_missing_primitives" json)) }
      with
      | d -> Ok d
      | exception (Jtw_json.Error e | Failure e) ->
          Error (Printf.sprintf "%s is not usable: %s" url e))

let add set =
  if not (List.mem set !sets) then begin
    sets := !sets @ [ set ];
    Hashtbl.reset absent;
    (* the type checker remembers which modules it did not find *)
    Env.reset_cache_toplevel ()
  end

(* Every unit that a user can name, for completion. *)
let known_modules () =
  List.sort_uniq compare ("Mime_printer" :: List.concat_map (fun s -> s.modules) !sets)

let may_hold unit_name set =
  let file = String.uncapitalize_ascii unit_name in
  List.mem unit_name set.modules
  || List.exists
       (fun p -> String.starts_with ~prefix:(String.uncapitalize_ascii p) file)
       set.prefixes

(* The checker's own errors name the file: the user should see where it is from. *)
let read url bytes =
  let name = "/jtw-cmi/" ^ Filename.basename url in
  if Sys.file_exists name then Sys.remove name;
  Js_of_ocaml.Sys_js.create_file ~name ~content:bytes;
  Fun.protect
    (fun () ->
      try Cmi_format.read_cmi name
      with Cmi_format.Error e ->
        raise
          (Cmi_format.Error
             (match e with
             | Not_an_interface _ -> Not_an_interface url
             | Wrong_version_interface (_, version) -> Wrong_version_interface (url, version)
             | Corrupted_interface _ -> Corrupted_interface url)))
    ~finally:(fun () -> Sys.remove name)

(* What could not be fetched since this was last asked for. *)
let failures : string list ref = ref []

let take_failures () =
  let l = List.rev !failures in
  failures := [];
  l

(* How many units were asked for one by one, by set. *)
let asked : (string list, int) Hashtbl.t = Hashtbl.create 16

(* Single units cost a request each, and the bundle may hold much that nobody
   needs. As long as the requests have cost less than the bundle would, they go
   on; so neither way costs more than twice what the better one would have. *)
let consider_bundle set =
  match set.bundle with
  | Some bundle when Jtw_bundle.is_fresh bundle ->
      let before = Option.value ~default:0 (Hashtbl.find_opt asked set.places) in
      if (before + 1) * Jtw_bundle.price >= bundle.size then Jtw_bundle.fetch bundle
      else Hashtbl.replace asked set.places (before + 1)
  | _ -> ()

(* The interface of the unit for rich output is a file inside worker.js. *)
let built_in = "/static/mime_printer.cmi"

(* A unit that is nowhere is not asked for again; what the server should have but
   did not give is told. *)
let find unit_name =
  let file = String.uncapitalize_ascii unit_name ^ ".cmi" in
  let failed = ref [] in
  let rec try_places set = function
    | [] -> None
    | place :: rest -> (
        let url = place ^ file in
        if not (Jtw_net.is_held url) then consider_bundle set;
        match Jtw_net.get url with
        | Ok bytes -> Some (url, read url bytes)
        | Error e ->
            if List.mem unit_name set.modules || e <> Jtw_net.not_found then
              failed := Printf.sprintf "cannot load %s: %s" url e :: !failed;
            try_places set rest)
  in
  let rec go = function
    | [] ->
        if !failed = [] then Hashtbl.replace absent unit_name ();
        List.iter
          (fun f -> if not (List.mem f !failures) then failures := f :: !failures)
          (List.rev !failed);
        None
    | set :: rest when may_hold unit_name set -> (
        match try_places set set.places with None -> go rest | found -> found)
    | _ :: rest -> go rest
  in
  if unit_name = "Mime_printer" then Some (built_in, Cmi_format.read_cmi built_in)
  else if Hashtbl.mem absent unit_name then None
  else go !sets

(* Must run before the typing environment is initialised. *)
let install_hook () =
  let before = !Persistent_env.Persistent_signature.load in
  Persistent_env.Persistent_signature.load :=
    fun ~allow_hidden ~unit_name ->
      match find unit_name with
      | Some (filename, cmi) ->
          Some { Persistent_env.Persistent_signature.filename; cmi;
                 visibility = Load_path.Visible }
      | None -> before ~allow_hidden ~unit_name
