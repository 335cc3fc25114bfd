//! What is remembered of builds and exchanged between parties, with the real program: history, proofs,
//! statements, challenge.

#[path = "../support/mod.rs"]
mod support;

mod challenge;
mod history;
mod keys;
mod party;
mod passphrases;
mod proofs;
mod routes;

/// A node that is the same each time, one that never is, one that is made from it, and one with a
/// source.
const NODES: &str = r#"
name = "nodes"

[[node]]
name   = "steady"
script = "echo hello > $out/hello"

[[node]]
name   = "moody"
script = "head -c 16 /dev/urandom > $out/id"

[[node]]
name   = "after"
inputs = ["moody"]
script = "cp /in/moody/id $out/copy"

[[node]]
name   = "sourced"
script = "cp -r /src $out/copy"
source = "data"
"#;

/// Only what is the same each time.
const STEADY: &str = r#"
name = "steady"

[[node]]
name   = "one"
script = "echo one > $out/one"

[[node]]
name   = "two"
inputs = ["one"]
script = "cat /in/one/one > $out/two"
"#;

/// A universe with the source that [`NODES`] wants, realised.
fn realised(text: &str) -> Option<support::TestUniverse> {
    let universe = support::TestUniverse::buildable(text)?;
    universe.write("data/file", "content\n");
    universe.run("realise universe.toml").success();
    Some(universe)
}
