(* Bundles: files that hold other files, so that one request does for many.

     jtwbuild bundle 1
     <MD5> <size> <name>
     …

     <the files' bytes, one after the other>

   Names are relative to the bundle's own URL. What a bundle holds is there beside
   it, too: a bundle that is missing or damaged costs requests and nothing else. *)

type t = { url : string; size : int }

let head = "jtwbuild bundle 1"

(* In bytes before compression: what could be transferred while a request for
   something else waits for its answer (50 ms, 8 Mbit/s, compressed to a third).
   A bundle of up to this size is better than asking even once. *)
let price = 150_000

(* What the user should know. *)
let notices : string list ref = ref []

let take_notices () =
  let l = List.rev !notices in
  notices := [];
  l

let tried : (string, unit) Hashtbl.t = Hashtbl.create 16
let is_fresh bundle = not (Hashtbl.mem tried bundle.url)

let refuse url why =
  notices :=
    Printf.sprintf "Note: %s cannot be used: %s. Its files are fetched one by one." url why
    :: !notices

(* [described url json]: the bundle that a description at [url] names. *)
let described url json =
  let value = Jtw_json.member "jtw_bundle" json in
  match (Jtw_json.member "file" value, Jtw_json.member "bytes" value) with
  | String file, Int size -> (
      match Jtw_net.resolve ~against:url file with
      | url -> Some { url; size }
      | exception Failure _ -> None)
  | _ -> None

exception Damaged of string

(* Name, MD5, offset and size of each file. *)
let files content =
  let damaged why = raise (Damaged why) in
  let line from =
    match String.index_from_opt content from '\n' with
    | Some stop -> (String.sub content from (stop - from), stop + 1)
    | None -> damaged "it is cut off"
  in
  let rec entries from acc =
    match line from with
    | "", start -> (List.rev acc, start)
    | text, next -> (
        match String.split_on_char ' ' text with
        | [ md5; size; name ] when int_of_string_opt size <> None ->
            entries next ((name, md5, int_of_string size) :: acc)
        | _ -> damaged "it is damaged")
  in
  (match line 0 with
  | first, _ when first = head -> ()
  | _ | (exception Damaged _) -> damaged "it is no bundle");
  let entries, start = entries (String.length head + 1) [] in
  let stop, placed =
    List.fold_left_map (fun at (name, md5, size) -> (at + size, (name, md5, at, size))) start entries
  in
  if stop > String.length content then damaged "it is cut off";
  if stop < String.length content then damaged "it is damaged";
  placed

(* Holds what the bundle has, or says why not. Each file is compared with its
   checksum when it is first needed. *)
let accept bundle = function
  | Error why -> refuse bundle.url why
  | Ok content -> (
      match files content with
      | exception Damaged why -> refuse bundle.url why
      | files ->
          let urls = List.map (fun (name, _, _, _) -> Jtw_net.resolve ~against:bundle.url name) files in
          List.iter2
            (fun url (name, md5, at, size) ->
              Hashtbl.replace Jtw_net.held url (fun () ->
                  if Digest.to_hex (Digest.substring content at size) = md5 then
                    Some (String.sub content at size)
                  else begin
                    List.iter (Hashtbl.remove Jtw_net.held) urls;
                    refuse bundle.url (Printf.sprintf "%s in it is damaged" name);
                    None
                  end))
            urls files)

let fetch bundle =
  Hashtbl.replace tried bundle.url ();
  accept bundle (Jtw_net.from_server bundle.url)

(* Fetches it without waiting. *)
let fetch_later bundle k =
  Hashtbl.replace tried bundle.url ();
  Jtw_net.get_later ~kind:"arraybuffer" ~of_body:Jtw_net.bytes bundle.url (fun answer ->
      accept bundle answer;
      k ())
