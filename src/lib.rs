//! jtwbuild: a content-addressed build-graph engine that turns sets of OCaml packages into browser
//! REPLs.

pub mod fetch;
pub mod findlib;
pub mod install;
pub mod jtw;
pub mod outcome;
pub mod request;
pub mod source;
pub mod store;
