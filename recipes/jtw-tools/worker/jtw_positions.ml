(* Positions count UTF-8 bytes inside; a client may ask for UTF-16 units, which
   are the indices of JavaScript's strings. *)

type unit_ = Bytes | Utf16

(* Calls [f byte utf16] at the start of each character, and at the end. *)
let scan source f =
  let n = String.length source in
  let rec go i u =
    if f i u && i < n then
      let d = String.get_utf_8_uchar source i in
      let width = if Uchar.to_int (Uchar.utf_decode_uchar d) > 0xFFFF then 2 else 1 in
      go (i + Uchar.utf_decode_length d) (u + width)
  in
  go 0 0

(* A client's position as a byte offset. What lies outside stays outside. *)
let incoming unit_ source position =
  match unit_ with
  | Bytes -> position
  | Utf16 ->
      let found = ref (String.length source + 1) in
      scan source (fun byte units ->
          if units >= position then found := min !found byte;
          units < position);
      if position < 0 then position else !found

(* A byte offset as the client wants it. *)
let outgoing unit_ source byte =
  match unit_ with
  | Bytes -> byte
  | Utf16 ->
      let found = ref byte in
      scan source (fun at units ->
          if at <= byte then found := units;
          at < byte);
      !found
