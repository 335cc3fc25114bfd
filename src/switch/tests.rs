//! An installed OCaml of a few files, with scripts in the place of its programs: what is found, what
//! is run, what is written. The real programs are in `tests/switch`.

mod find;
mod fixture;
mod output;
mod runs;
