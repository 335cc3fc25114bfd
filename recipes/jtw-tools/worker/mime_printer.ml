type encoding = Noencoding | Base64
type t = { mime_type : string; encoding : encoding; data : string }

let limit = 16 * 1024 * 1024
let pushed = ref []
let held = ref 0

let push ?(encoding = Noencoding) mime_type data =
  let size = !held + String.length mime_type + String.length data in
  if size > limit then failwith "Mime_printer.push: more than 16 MiB in one phrase";
  held := size;
  pushed := { mime_type; encoding; data } :: !pushed

let get () =
  let values = List.rev !pushed in
  pushed := [];
  held := 0;
  values
