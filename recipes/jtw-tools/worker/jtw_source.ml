(* Pieces of source as they are while somebody types: unfinished.

   Nothing here knows types; it is about tokens and phrases only. *)

(* The phrases of a source as evaluation would see them, and the errors of those
   that cannot be parsed; after an error the parser goes on behind the next ";;".
   Each definition is a phrase of its own here, which types twice as fast. *)
let phrases source =
  let lexbuf = Jtw_eval.lexbuf_of (Jtw_eval.ended source) in
  let add acc (phrase : Parsetree.toplevel_phrase) =
    match phrase with
    | Ptop_def items ->
        List.fold_left (fun acc item -> Ok (Parsetree.Ptop_def [ item ]) :: acc) acc items
    | Ptop_dir _ -> Ok phrase :: acc
  in
  let rec go acc =
    let start = lexbuf.Lexing.lex_curr_p.pos_cnum in
    match Parse.toplevel_phrase lexbuf with
    | phrase -> go (add acc phrase)
    | exception End_of_file -> List.rev acc
    | exception exn ->
        if lexbuf.Lexing.lex_curr_p.pos_cnum > start then go (Error exn :: acc)
        else List.rev (Error exn :: acc)
  in
  go []

(* Tokens of a first part of a source. [None]: it ends in a string or comment. *)
let tokens text =
  let lexbuf = Lexing.from_string text in
  Lexer.init ();
  let rec go acc =
    match Lexer.token lexbuf with
    | Parser.EOF -> Some (List.rev acc)
    | token -> go (token :: acc)
    | exception
        Lexer.Error
          ( ( Unterminated_comment _ | Unterminated_string
            | Unterminated_string_in_comment _ ), _ ) -> None
    | exception Lexer.Error _ -> go acc
  in
  go []

(* Whether an expression may begin after this token. *)
let expects_expression : Parser.token -> bool = function
  | EQUAL | MINUSGREATER | IN | LPAREN | BEGIN | SEMI | THEN | ELSE | DO | COMMA | LBRACKET
  | LBRACKETBAR | IF | WHEN | MATCH | TRY | WHILE | COLONEQUAL | LESSMINUS | COLONCOLON
  | LAZY | ASSERT | AMPERAMPER | BARBAR | INFIXOP0 _ | INFIXOP1 _ | INFIXOP2 _ | INFIXOP3 _
  | INFIXOP4 _ | PLUS | MINUS | STAR | LESS | GREATER | AMPERSAND -> true
  | _ -> false

(* What has to follow an expression at the end of [tokens] so that all that is
   open is closed, innermost first. *)
let closers tokens =
  let closing : Parser.token -> string option = function
    | LPAREN -> Some ")"
    | LBRACKET -> Some "]"
    | LBRACKETBAR -> Some "|]"
    | LBRACE -> Some "}"
    | BEGIN | STRUCT | SIG | OBJECT -> Some "end"
    | IF -> Some "then ()"
    | MATCH | TRY -> Some "with _ -> ()"
    | WHILE | FOR -> Some "do () done"
    | _ -> None
  in
  let pending = [ "in ()"; "then ()"; "with _ -> ()"; "do () done" ] in
  (* drops what the end of a bracket shows to be finished *)
  let rec until closer = function
    | c :: rest when c = closer -> rest
    | _ :: rest -> until closer rest
    | [] -> []
  in
  let rec finished what = function
    | c :: rest when c = what -> Some rest
    | c :: rest when List.mem c pending -> finished what rest
    | _ -> None
  in
  let finish what stack = Option.value (finished what stack) ~default:stack in
  let rec item = function
    | c :: rest when List.mem c pending -> item rest
    | stack -> stack
  in
  let step (stack, before) (token : Parser.token) =
    let stack =
      match token with
      | SEMISEMI -> []
      | LET when Option.fold ~none:false ~some:expects_expression before -> "in ()" :: stack
      | LET -> item stack
      | IN -> finish "in ()" stack
      | THEN -> finish "then ()" stack
      | WITH -> finish "with _ -> ()" stack
      | DO -> "done" :: finish "do () done" stack
      | DONE -> until "done" stack
      | RPAREN -> until ")" stack
      | RBRACKET -> until "]" stack
      | BARRBRACKET -> until "|]" stack
      | RBRACE -> until "}" stack
      | END -> until "end" stack
      | t -> ( match closing t with Some c -> c :: stack | None -> stack)
    in
    (stack, Some token)
  in
  fst (List.fold_left step ([], None) tokens)

(* The phrases of a source that may end in the middle of one. *)
let phrases_so_far source =
  let found = phrases source in
  if List.for_all Result.is_ok found then found
  else
    match tokens source with
    | None -> found
    | Some tokens ->
        let closed = phrases (String.concat " " (source :: closers tokens)) in
        let errors l = List.length (List.filter Result.is_error l) in
        if errors closed < errors found then closed else found

let hole = "jtw_hole__"

(* The phrases of [before], a name that is bound nowhere, and what closes the
   rest: when the place is one for an expression or a pattern. *)
let with_hole before =
  let complete source =
    let found = phrases source in
    match List.rev found with Ok _ :: _ -> Some found | _ -> None
  in
  Option.bind (tokens before) (fun tokens ->
      let closed = String.concat " " (closers tokens) in
      List.find_map
        (fun middle -> complete (String.concat " " [ before ^ hole; middle; closed ]))
        [ ""; "-> ()" ])

(* The phrases of [before] that are surely finished: up to one of the last ends of
   lines when that parses, else up to the last ";;" that does. *)
let complete_phrases before =
  let rec up_to_line tries stop =
    match if tries = 0 then None else String.rindex_from_opt before stop '\n' with
    | None | Some 0 -> List.filter Result.is_ok (phrases before)
    | Some stop ->
        let found = phrases (String.sub before 0 stop) in
        if List.for_all Result.is_ok found then found
        else up_to_line (tries - 1) (stop - 1)
  in
  up_to_line 40 (String.length before - 1)

(* The function whose arguments the end of [tokens] is among: the names of its
   path. *)
let applied tokens =
  let path : ([ `Start | `Open of string list | `Path of string list | `Other ] as 'a) -> _ -> 'a =
   fun head (token : Parser.token) ->
    match (head, token) with
    | `Start, LIDENT x -> `Path [ x ]
    | `Start, UIDENT m -> `Open [ m ]
    | `Open l, LIDENT x -> `Path (x :: l)
    | `Open l, UIDENT m -> `Open (m :: l)
    | `Open l, DOT -> `Open l
    | `Start, _ -> `Other
    | head, _ -> head
  in
  let step (head, outer) (token : Parser.token) =
    match token with
    | LPAREN | BEGIN | LBRACKET | LBRACKETBAR | LBRACE | STRUCT | SIG | OBJECT ->
        (`Start, head :: outer)
    | RPAREN | END | RBRACKET | BARRBRACKET | RBRACE -> (
        match outer with
        | `Start :: rest -> (`Other, rest)
        | head :: rest -> (head, rest)
        | [] -> (`Start, []))
    | SEMISEMI -> (`Start, [])
    | LET | BAR | OPEN | DONE -> (`Start, outer)
    | t when expects_expression t -> (`Start, outer)
    | t -> (path head t, outer)
  in
  match fst (List.fold_left step (`Start, []) tokens) with
  | `Path l -> Some (List.rev l)
  | _ -> None
