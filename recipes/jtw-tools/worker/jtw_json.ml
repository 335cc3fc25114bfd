(* JSON reading and writing, just as much as the worker needs.

   Text inside OCaml is UTF-8. Output is always valid UTF-8 even when the
   program printed arbitrary bytes: what is not UTF-8 becomes U+FFFD. *)

type t =
  | Null
  | Bool of bool
  | Int of int
  | Float of float
  | String of string
  | List of t list
  | Assoc of (string * t) list

exception Error of string

(* ---- writing ---------------------------------------------------------- *)

let add_string b s =
  Buffer.add_char b '"';
  let n = String.length s in
  let rec go i =
    if i < n then
      match s.[i] with
      | '"' -> Buffer.add_string b "\\\""; go (i + 1)
      | '\\' -> Buffer.add_string b "\\\\"; go (i + 1)
      | '\n' -> Buffer.add_string b "\\n"; go (i + 1)
      | '\t' -> Buffer.add_string b "\\t"; go (i + 1)
      | '\000' .. '\031' | '\127' ->
          Buffer.add_string b (Printf.sprintf "\\u%04x" (Char.code s.[i]));
          go (i + 1)
      | ' ' .. '~' -> Buffer.add_char b s.[i]; go (i + 1)
      | _ ->
          (* an invalid sequence decodes to U+FFFD, which is what we want *)
          let d = String.get_utf_8_uchar s i in
          Buffer.add_utf_8_uchar b (Uchar.utf_decode_uchar d);
          go (i + Uchar.utf_decode_length d)
  in
  go 0;
  Buffer.add_char b '"'

let rec add b = function
  | Null -> Buffer.add_string b "null"
  | Bool v -> Buffer.add_string b (string_of_bool v)
  | Int v -> Buffer.add_string b (string_of_int v)
  | Float v -> Buffer.add_string b (Printf.sprintf "%.17g" v)
  | String s -> add_string b s
  | List l ->
      Buffer.add_char b '[';
      List.iteri (fun i v -> if i > 0 then Buffer.add_char b ','; add b v) l;
      Buffer.add_char b ']'
  | Assoc l ->
      Buffer.add_char b '{';
      List.iteri
        (fun i (k, v) ->
          if i > 0 then Buffer.add_char b ',';
          add_string b k;
          Buffer.add_char b ':';
          add b v)
        l;
      Buffer.add_char b '}'

let to_string v =
  let b = Buffer.create 256 in
  add b v;
  Buffer.contents b

(* ---- reading ---------------------------------------------------------- *)

let of_string s =
  let n = String.length s in
  let pos = ref 0 in
  let fail what =
    raise (Error (Printf.sprintf "invalid JSON at byte %d: %s" !pos what))
  in
  let peek () = if !pos < n then s.[!pos] else '\000' in
  let rec blanks () =
    match peek () with
    | (' ' | '\t' | '\n' | '\r') when !pos < n -> incr pos; blanks ()
    | _ -> ()
  in
  let word w v =
    let l = String.length w in
    if !pos + l <= n && String.sub s !pos l = w then (pos := !pos + l; v)
    else fail "unexpected token"
  in
  let hex4 () =
    if !pos + 4 > n then fail "truncated \\u escape";
    let v =
      match int_of_string_opt ("0x" ^ String.sub s !pos 4) with
      | Some v -> v
      | None -> fail "bad \\u escape"
    in
    pos := !pos + 4;
    v
  in
  let text () =
    incr pos;
    let b = Buffer.create 32 in
    let uchar c =
      Buffer.add_utf_8_uchar b
        (if Uchar.is_valid c then Uchar.of_int c else Uchar.rep)
    in
    let rec go () =
      if !pos >= n then fail "unterminated string";
      match s.[!pos] with
      | '"' -> incr pos
      | '\\' ->
          incr pos;
          let c = peek () in
          incr pos;
          (match c with
          | 'n' -> Buffer.add_char b '\n'
          | 't' -> Buffer.add_char b '\t'
          | 'r' -> Buffer.add_char b '\r'
          | 'b' -> Buffer.add_char b '\b'
          | 'f' -> Buffer.add_char b '\012'
          | '"' | '\\' | '/' -> Buffer.add_char b c
          | 'u' ->
              let hi = hex4 () in
              if hi land 0xFC00 = 0xD800 && !pos + 6 <= n
                 && s.[!pos] = '\\' && s.[!pos + 1] = 'u'
              then begin
                let back = !pos in
                pos := !pos + 2;
                let lo = hex4 () in
                if lo land 0xFC00 = 0xDC00 then
                  uchar (0x10000 + ((hi land 0x3FF) lsl 10) + (lo land 0x3FF))
                else (pos := back; uchar hi)
              end
              else uchar hi
          | _ -> fail "bad escape");
          go ()
      | c -> Buffer.add_char b c; incr pos; go ()
    in
    go ();
    Buffer.contents b
  in
  let number () =
    let start = !pos in
    let rec go () =
      match peek () with
      | '0' .. '9' | '-' | '+' | '.' | 'e' | 'E' when !pos < n -> incr pos; go ()
      | _ -> ()
    in
    go ();
    let w = String.sub s start (!pos - start) in
    match int_of_string_opt w with
    | Some i -> Int i
    | None -> (
        match float_of_string_opt w with
        | Some f -> Float f
        | None -> fail "unexpected character")
  in
  let rec value depth =
    if depth > 200 then fail "nested too deeply";
    blanks ();
    match peek () with
    | '{' ->
        incr pos;
        blanks ();
        if peek () = '}' then (incr pos; Assoc [])
        else
          let rec members acc =
            blanks ();
            if peek () <> '"' then fail "expected a key";
            let k = text () in
            blanks ();
            if peek () <> ':' then fail "expected ':'";
            incr pos;
            let v = value (depth + 1) in
            blanks ();
            match peek () with
            | ',' -> incr pos; members ((k, v) :: acc)
            | '}' -> incr pos; Assoc (List.rev ((k, v) :: acc))
            | _ -> fail "expected ',' or '}'"
          in
          members []
    | '[' ->
        incr pos;
        blanks ();
        if peek () = ']' then (incr pos; List [])
        else
          let rec elements acc =
            let v = value (depth + 1) in
            blanks ();
            match peek () with
            | ',' -> incr pos; elements (v :: acc)
            | ']' -> incr pos; List (List.rev (v :: acc))
            | _ -> fail "expected ',' or ']'"
          in
          elements []
    | '"' -> String (text ())
    | 't' -> word "true" (Bool true)
    | 'f' -> word "false" (Bool false)
    | 'n' -> word "null" Null
    | _ -> number ()
  in
  let v = value 0 in
  blanks ();
  if !pos <> n then fail "text after the value";
  v

(* ---- access ----------------------------------------------------------- *)

let member key = function
  | Assoc l -> Option.value (List.assoc_opt key l) ~default:Null
  | _ -> Null

(* [Some l] when the value is an array of nothing but strings. *)
let strings = function
  | List l ->
      let rec go acc = function
        | [] -> Some (List.rev acc)
        | String s :: r -> go (s :: acc) r
        | _ -> None
      in
      go [] l
  | _ -> None
