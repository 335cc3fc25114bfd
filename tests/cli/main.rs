//! The command line as a user meets it: the real program, whole outputs, exit codes.
//!
//! Golden files are in `snapshots/`; `INSTA_UPDATE=always cargo test --test cli` writes them anew.

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod builds;
mod collecting;
mod diff;
mod enter;
mod failures;
mod git;
mod limits;
mod locks;
mod machine;
mod opam;
mod output;
mod sources;
mod stopping;
mod terminals;
mod verdicts;
mod verify;
mod waiting;
mod why;
mod worker_repository;

/// Two nodes, the second of which needs the first.
const TWO_NODES: &str = r#"
name = "two"

[[node]]
name   = "greeting"
script = "echo hello > $out/hello"

[[node]]
name   = "shout"
inputs = ["greeting"]
script = "tr a-z A-Z < /in/greeting/hello > $out/hello"
"#;
