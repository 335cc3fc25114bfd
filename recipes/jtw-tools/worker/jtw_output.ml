(* What a cell prints: kept for the end, sent on the way, and bounded.

   A worker cannot set a timer while a program runs, so text is sent when the
   program flushes. Bursts go out at once; who flushes without end is sent in
   larger pieces, about a hundred messages a second. *)

open Js_of_ocaml

type channel = Stdout | Stderr

exception Too_much_output of string

(* Bytes of one cell, both channels together. *)
let limit = 4 * 1024 * 1024

let kept_stdout = Buffer.create 1024
let kept_stderr = Buffer.create 1024
let pending = Buffer.create 1024
let pending_channel = ref Stdout

(* Where text goes on the way; set for each cell. *)
let send : (channel -> string -> unit) ref = ref (fun _ _ -> ())

let total = ref 0
let cut = ref false

(* Whether a user's program is running, which an exception can end. *)
let program_runs = ref false

let now () : float =
  let date = Js.Unsafe.get Js.Unsafe.global (Js.string "Date") in
  Js.Unsafe.meth_call date "now" [||]

(* One message for each 10 ms that pass, and 32 saved up. *)
let allowance = ref 32.
let filled_at = ref 0.

let allowed () =
  let t = now () in
  allowance := Float.min 32. (!allowance +. ((t -. !filled_at) /. 10.));
  filled_at := t;
  let yes = !allowance >= 1. in
  if yes then allowance := !allowance -. 1.;
  yes

(* How many bytes of [s] are whole characters: a flush may come within one. *)
let whole s =
  let n = String.length s in
  let rec lead i =
    if i < 0 || i < n - 4 then n
    else
      match s.[i] with
      | '\x80' .. '\xbf' -> lead (i - 1)
      | '\xc0' .. '\xdf' when n - i < 2 -> i
      | '\xe0' .. '\xef' when n - i < 3 -> i
      | '\xf0' .. '\xf7' when n - i < 4 -> i
      | _ -> n
  in
  lead (n - 1)

let send_pending ~all =
  let text = Buffer.contents pending in
  let stop = if all then String.length text else whole text in
  if stop > 0 then begin
    Buffer.clear pending;
    Buffer.add_substring pending text stop (String.length text - stop);
    !send !pending_channel (String.sub text 0 stop)
  end

let add channel text =
  if text <> "" then begin
    Buffer.add_string (match channel with Stdout -> kept_stdout | Stderr -> kept_stderr) text;
    if !pending_channel <> channel then begin
      send_pending ~all:true;
      pending_channel := channel
    end;
    Buffer.add_string pending text
  end

(* What the worker itself has to say; never cut. *)
let note text = add Stderr (text ^ "\n")

let receive channel text =
  let room = limit - !total in
  let fits = String.length text <= room in
  total := min limit (!total + String.length text);
  add channel (if fits then text else String.sub text 0 (max 0 room));
  if not fits then begin
    cut := true;
    if !program_runs then
      raise
        (Too_much_output
           (Printf.sprintf "a cell may print %d bytes: the phrase was stopped" limit))
  end;
  if allowed () then send_pending ~all:false

(* There is nothing to read: a program that tries comes to the end of the file. *)
let capture () =
  Sys_js.set_channel_filler stdin (fun () -> "");
  Sys_js.set_channel_flusher stdout (receive Stdout);
  Sys_js.set_channel_flusher stderr (receive Stderr)

(* Everything printed so far is received and sent. *)
let flush () =
  Format.pp_print_flush Format.std_formatter ();
  Format.pp_print_flush Format.err_formatter ();
  Stdlib.flush stdout;
  Stdlib.flush stderr;
  send_pending ~all:true

(* Runs [f], which may run a user's program: too much output ends it. *)
let while_program_runs f =
  program_runs := true;
  Fun.protect f ~finally:(fun () -> program_runs := false)

let start sink =
  Buffer.clear kept_stdout;
  Buffer.clear kept_stderr;
  Buffer.clear pending;
  total := 0;
  cut := false;
  send := sink

(* All that was printed since [start], for the final answer: (stdout, stderr). *)
let finish () =
  flush ();
  if !cut then
    note (Printf.sprintf "Note: the output was cut, a cell may print %d bytes." limit);
  send_pending ~all:true;
  (send := fun _ _ -> ());
  (String.trim (Buffer.contents kept_stdout), String.trim (Buffer.contents kept_stderr))
