//! jtwbuild: a content-addressed build-graph engine that turns sets of OCaml packages into browser
//! REPLs.

pub mod derivation;
pub mod diagnostic;
pub mod fetch;
pub mod findlib;
pub mod install;
pub mod jtw;
pub mod lock;
pub mod name;
pub mod outcome;
pub mod package;
pub mod path;
pub mod plan;
pub mod realise;
pub mod recipe;
pub mod request;
pub mod solve;
pub mod sandbox;
pub mod source;
pub mod store;
pub mod toml_reader;
pub mod universe;
pub mod version;
