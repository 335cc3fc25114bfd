//! jtwbuild: a content-addressed build-graph engine that turns sets of OCaml packages into browser
//! REPLs.

// The library never prints, never ends the process, runs programs only in the sandbox (but git, see
// fetch/git.rs, and an installed OCaml, see switch/program.rs), and does not panic on input. See tests/layering.rs, which also says who may use whom.
#![deny(clippy::print_stdout, clippy::print_stderr, clippy::exit)]
#![deny(clippy::unwrap_used, clippy::disallowed_methods)]

pub mod assemble;
pub mod audit;
pub mod builder;
mod bytes;
pub mod cli;
pub mod compress;
pub mod derivation;
pub mod diagnostic;
pub mod effects;
pub mod explain;
pub mod fetch;
pub mod findlib;
pub mod inspect;
pub mod install;
pub mod jtw;
pub mod legible;
pub mod lock;
pub mod look;
pub mod memo;
pub mod moment;
pub mod name;
pub mod ocaml;
pub mod opam;
pub mod outcome;
pub mod package;
pub mod path;
pub mod pins;
pub mod plan;
pub mod proof;
pub mod publish;
pub mod realise;
pub mod recipe;
pub mod releases;
pub mod repository;
pub mod request;
pub mod sandbox;
pub mod serve;
pub mod solution;
pub mod solve;
pub mod source;
pub mod statement;
pub mod store;
pub mod switch;
pub mod toml_reader;
pub mod universe;
pub mod version;
