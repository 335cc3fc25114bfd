(* findlib's META files: parser and variable look-up. *)

type definition = {
  variable : string;
  predicates : string list;  (* a leading '-' negates *)
  append : bool;             (* += *)
  value : string;
}

type t = {
  name : string;             (* "" at the top, else the sub-package's name *)
  definitions : definition list;
  children : t list;
}

exception Error of string

type token = Word of string | Quoted of string | Sign of string | Eof

let tokens text =
  let n = String.length text in
  let is_word = function
    | 'a' .. 'z' | 'A' .. 'Z' | '0' .. '9' | '_' | '.' | '-' -> true
    | _ -> false
  in
  let rec go i acc =
    if i >= n then List.rev (Eof :: acc)
    else
      match text.[i] with
      | ' ' | '\t' | '\r' | '\n' -> go (i + 1) acc
      | '#' ->
          let j = Option.value (String.index_from_opt text i '\n') ~default:n in
          go j acc
      | '"' ->
          let b = Buffer.create 40 in
          let rec quoted j =
            if j >= n then raise (Error "unterminated string")
            else
              match text.[j] with
              | '"' -> j + 1
              | '\\' when j + 1 < n -> Buffer.add_char b text.[j + 1]; quoted (j + 2)
              | c -> Buffer.add_char b c; quoted (j + 1)
          in
          let j = quoted (i + 1) in
          go j (Quoted (Buffer.contents b) :: acc)
      | '+' when i + 1 < n && text.[i + 1] = '=' -> go (i + 2) (Sign "+=" :: acc)
      | ('(' | ')' | ',' | '=') as c -> go (i + 1) (Sign (String.make 1 c) :: acc)
      | c when is_word c ->
          let rec stop j = if j < n && is_word text.[j] then stop (j + 1) else j in
          let j = stop i in
          go j (Word (String.sub text i (j - i)) :: acc)
      | c -> raise (Error (Printf.sprintf "unexpected character %C" c))
  in
  go 0 []

let parse text =
  let rest = ref (tokens text) in
  let next () =
    match !rest with
    | [] -> Eof
    | t :: r -> rest := r; t
  in
  let rec predicates acc =
    match next () with
    | Word p -> (
        match next () with
        | Sign "," -> predicates (p :: acc)
        | Sign ")" -> List.rev (p :: acc)
        | _ -> raise (Error "expected ',' or ')'"))
    | Sign ")" -> List.rev acc
    | _ -> raise (Error "expected a predicate")
  in
  let rec body ~closing name defs children =
    match next () with
    | Eof when not closing -> finish name defs children
    | Sign ")" when closing -> finish name defs children
    | Word "package" when (match !rest with Quoted _ :: _ -> true | _ -> false) -> (
        match next () with
        | Quoted child ->
            if next () <> Sign "(" then raise (Error "expected '(' after package");
            let child = body ~closing:true child [] [] in
            body ~closing name defs (child :: children)
        | _ -> assert false)
    | Word variable ->
        let sign, predicates =
          match next () with
          | Sign "(" ->
              let p = predicates [] in
              (next (), p)
          | t -> (t, [])
        in
        let append =
          match sign with
          | Sign "=" -> false
          | Sign "+=" -> true
          | _ -> raise (Error ("expected '=' after " ^ variable))
        in
        let value =
          match next () with
          | Quoted v -> v
          | _ -> raise (Error ("expected a string for " ^ variable))
        in
        body ~closing name ({ variable; predicates; append; value } :: defs) children
    | _ -> raise (Error "unexpected token")
  and finish name defs children =
    { name; definitions = List.rev defs; children = List.rev children }
  in
  body ~closing:false "" [] []

(* findlib's rule: of the '=' definitions that hold, the one with most
   predicates (the first of equals), then every '+=' that holds. *)
let lookup meta ~predicates variable =
  let holds d =
    d.variable = variable
    && List.for_all
         (fun p ->
           if p <> "" && p.[0] = '-' then
             not (List.mem (String.sub p 1 (String.length p - 1)) predicates)
           else List.mem p predicates)
         d.predicates
  in
  let sets, appends =
    List.partition (fun d -> not d.append) (List.filter holds meta.definitions)
  in
  let best =
    List.fold_left
      (fun acc d ->
        match acc with
        | Some b when List.length b.predicates >= List.length d.predicates -> acc
        | _ -> Some d)
      None sets
  in
  match (best, appends) with
  | None, [] -> None
  | _ ->
      let values = Option.to_list best @ appends in
      Some (String.concat " " (List.map (fun d -> d.value) values))

(* A list of names: separated by blanks or commas. *)
let words s =
  String.map (function ',' | '\t' | '\n' | '\r' -> ' ' | c -> c) s
  |> String.split_on_char ' '
  |> List.filter (fun w -> w <> "")

let archive meta =
  let value =
    match lookup meta ~predicates:[ "ppx_driver"; "byte" ] "archive" with
    | Some v -> v
    | None -> Option.value (lookup meta ~predicates:[ "byte" ] "archive") ~default:""
  in
  words value

let requires meta =
  words (Option.value (lookup meta ~predicates:[] "requires") ~default:"")

(* The first textual definition, predicates ignored. *)
let directory meta =
  List.find_opt (fun d -> d.variable = "directory") meta.definitions
  |> Option.map (fun d -> d.value)
