(* Fetching ahead: everything that a request is going to need, side by side.

   A request is answered synchronously, and fetches what it lacks one after the
   other while it runs. Before that begins, what can be foreseen is asked for at
   once, so that most of it is there. Nothing here fails: what did not come is
   asked for again when it is needed, and problems are told there. *)

(* Counts what is under way; [finish] is called when all of it is done. What is
   wrong with an address is told when it is needed. *)
let together finish start =
  let pending = ref 1 in
  let stop () =
    decr pending;
    if !pending = 0 then finish ()
  in
  let also fetch =
    let is_over = ref false in
    let stop () =
      if not !is_over then begin
        is_over := true;
        stop ()
      end
    in
    incr pending;
    try fetch stop with Failure _ -> stop ()
  in
  (try start also with Failure _ -> ());
  stop ()

(* Who waits for what is under way, by URL. *)
let under_way : (string, (unit -> unit) list) Hashtbl.t = Hashtbl.create 16

let get ~kind ~of_body ~keep url k =
  match Hashtbl.find_opt under_way url with
  | Some others -> Hashtbl.replace under_way url (k :: others)
  | None ->
      Hashtbl.replace under_way url [ k ];
      Jtw_net.get_later ~kind ~of_body url (fun answer ->
          let waiting = Hashtbl.find under_way url in
          Hashtbl.remove under_way url;
          Result.iter (keep url) answer;
          List.iter (fun k -> k ()) (List.rev waiting))

(* A file that is kept for this request. *)
let file url k =
  if Jtw_net.is_held url then k ()
  else get ~kind:"arraybuffer" ~of_body:Jtw_net.bytes ~keep:Jtw_net.keep url k

let script url k =
  if Hashtbl.mem Jtw_net.scripts url then k ()
  else get ~kind:"text" ~of_body:Fun.id ~keep:(Hashtbl.replace Jtw_net.scripts) url k

let bundle (bundle : Jtw_bundle.t) k =
  if Jtw_bundle.is_fresh bundle then Jtw_bundle.fetch_later bundle k else k ()

let is_small (bundle : Jtw_bundle.t) = bundle.size <= Jtw_bundle.price

(* ---- interfaces --------------------------------------------------------- *)

let unit_url (set : Jtw_cmis.set) name =
  List.hd set.places ^ String.uncapitalize_ascii name ^ ".cmi"

(* The description at [url], and of its interfaces those that are likely to be
   read: all of them when they are small, else the main module, which is what the
   users of a library name. *)
let interfaces url k =
  file url (fun () ->
      match if Jtw_net.is_held url then Jtw_cmis.describe url else Error "" with
      | Ok { set = { bundle = Some one; _ }; _ } when is_small one -> bundle one k
      | Ok { set = { modules = [ main ]; _ } as set; _ } -> file (unit_url set main) k
      | Ok _ | Error _ -> k ())

(* ---- libraries ---------------------------------------------------------- *)

(* META files of [names] and of what they need, one level after the other. *)
let rec metas ~seen names k =
  let names =
    List.sort_uniq compare names |> List.filter (fun name -> not (Hashtbl.mem seen name))
  in
  List.iter (fun name -> Hashtbl.replace seen name ()) names;
  let urls =
    List.concat_map (fun name -> List.map snd (Jtw_index.candidates name)) names
    |> List.sort_uniq compare
    |> List.filter (fun url -> not (Hashtbl.mem Jtw_index.libraries url))
  in
  if names = [] then k true
  else
    together
      (fun () ->
        if List.for_all Jtw_net.is_held urls then
          let needed name =
            match Jtw_index.find name with Some library -> library.requires | None -> []
          in
          match List.concat_map needed names with
          | needed -> metas ~seen needed k
          | exception (Jtw_index.Error _ | Failure _) -> k false
        else k false)
      (fun also -> List.iter (fun url -> also (file url)) urls)

(* Libraries by the [#require] that asks for them, as they will be loaded. *)
let orders requires =
  List.fold_left
    (fun (before, orders) names ->
      let order = Jtw_libs.plan ~before names in
      (before @ order, order :: orders))
    ([], []) requires
  |> snd |> List.rev

(* Code of all libraries, and interfaces of those that are [asked] for: others are
   seldom read. *)
let everything ~asked orders k =
  let progress =
    List.concat_map
      (fun order ->
        let total = List.length order in
        List.mapi (fun i (library : Jtw_libs.library) -> (library, i, total)) order)
      orders
  in
  let finished = Hashtbl.create 16 in
  (* The first that is not here yet is what is being waited for. *)
  let tell () =
    let rec go = function
      | (({ name; _ } : Jtw_libs.library), i, total) :: rest ->
          Jtw_libs.tell name i total;
          if Hashtbl.mem finished name then go rest
      | [] -> ()
    in
    go progress
  in
  tell ();
  together k (fun also ->
      List.iter
        (fun ((library : Jtw_libs.library), _, _) ->
          let library_done k () =
            Hashtbl.replace finished library.name ();
            tell ();
            k ()
          in
          also (fun k ->
              together (library_done k) (fun also ->
                  let description = Jtw_libs.description library in
                  also
                    ((if List.mem library.name asked then interfaces else file) description);
                  List.iter
                    (fun archive -> also (script (Jtw_libs.script library archive)))
                    library.archives)))
        progress)

let libraries requires k =
  let go () =
    metas ~seen:(Hashtbl.create 16) (List.concat requires) (fun are_there ->
        match if are_there then orders requires else [] with
        | orders -> everything ~asked:(List.concat requires) orders k
        | exception (Jtw_index.Error _ | Failure _) -> k ())
  in
  match !Jtw_index.bundle with Some one -> bundle one go | None -> go ()

(* ---- requests ----------------------------------------------------------- *)

(* The names in each [#require] of a source. *)
let required source =
  let rec scan : Parser.token list -> _ = function
    | HASH :: LIDENT "require" :: STRING (names, _, _) :: rest -> Jtw_meta.words names :: scan rest
    | _ :: rest -> scan rest
    | [] -> []
  in
  let tokens () = Option.value ~default:[] (Jtw_source.tokens source) in
  match Jtw_report.listening ~silently:true ignore tokens with
  | tokens -> List.filter (fun names -> names <> []) (scan tokens)
  | exception _ -> []

let is_loaded name = Hashtbl.mem Jtw_libs.loaded name

let init ~is_set_up ~requires ~stdlib_dcs ~index k =
  together
    (fun () ->
      match
        let index = Jtw_net.from_base index in
        requires <> [] && Jtw_net.is_held index && (Jtw_index.load index; true)
      with
      | true -> libraries [ requires ] k
      | false | (exception (Jtw_index.Error _ | Jtw_json.Error _ | Failure _)) -> k ())
    (fun also ->
      also (file (Jtw_net.from_base index));
      if not is_set_up then begin
        let description = Jtw_net.from_base stdlib_dcs in
        also (file description);
        (* what the type checker reads when it starts *)
        also (file (Jtw_net.resolve ~against:description "stdlib.cmi"))
      end)

(* Whether there is something to be fetched for this request before it is
   answered. If so, [k] is called when it is there. *)
let wanted ~is_set_up : Jtw_protocol.request -> ((unit -> unit) -> unit) option = function
  | Init { requires; stdlib_dcs; index } ->
      Some (init ~is_set_up ~requires ~stdlib_dcs ~index)
  | Eval { source; _ } when is_set_up -> (
      match required source with
      | requires when List.exists (fun names -> not (List.for_all is_loaded names)) requires ->
          Some (libraries requires)
      | _ -> None)
  | _ -> None
