(** Rich output: what is pushed while a phrase runs is handed to the client with that phrase.

    {[ Mime_printer.push "image/svg+xml" "<svg …></svg>" ]}

    The unit is part of the worker: no [#require] is needed. *)

(** How [data] is written down. *)
type encoding =
  | Noencoding  (** text, as it is *)
  | Base64      (** bytes in base64, for instance of an image *)

type t = { mime_type : string; encoding : encoding; data : string }

(** [push ?encoding mime_type data] adds one value to the phrase's output. [encoding] says what
    [data] is already ([Noencoding] unless given); nothing is converted.
    @raise Failure when a phrase pushes more than 16 MiB. *)
val push : ?encoding:encoding -> string -> string -> unit

(** Takes what was pushed and not yet handed over, oldest first. *)
val get : unit -> t list
