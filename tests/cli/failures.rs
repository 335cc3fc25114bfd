//! Nodes that fail: what is said of them, what goes on all the same, and what is remembered.

use insta::assert_snapshot;

use crate::support::{Ended, TestUniverse};

/// Realises a universe, which must fail because of its nodes.
fn failed(universe: &TestUniverse) -> Ended {
    let ended = universe.run("realise universe.toml -j 1");
    assert_eq!(ended.code, Some(1), "{ended}");
    assert_eq!(universe.leftovers(), [""; 0]);
    ended
}

fn node(name: &str, rest: &str) -> String {
    format!("[[node]]\nname = \"{name}\"\n{rest}\n")
}

#[test]
fn a_failing_build_shows_the_end_of_its_log_and_what_it_blocks() {
    let text = [
        "name = \"x\"\n".to_owned(),
        node(
            "bad",
            "script = \"\"\"seq 1 100\necho 'bad.ml, line 3: \\u001b[31mtype error\\u001b[0m' >&2\nexit 7\"\"\"",
        ),
        node("after", "inputs = [\"bad\"]\nscript = \"true\""),
        node("last", "inputs = [\"after\"]\nscript = \"true\""),
        node("other", "script = \"echo fine > $out/fine\""),
    ];
    let Some(universe) = TestUniverse::buildable(&text.concat()) else { return };
    assert_snapshot!(failed(&universe));
    // It is remembered: nothing runs, and the message is the same.
    let again = universe.run("realise universe.toml --json");
    assert!(!again.stderr.contains("building"), "{again}");
    let outcomes: Vec<String> =
        again.outcomes().into_iter().map(|(id, word)| format!("{id} {word}")).collect();
    assert_eq!(
        outcomes,
        [
            "base/busybox reused",
            "node/bad failed",
            "node/after skipped",
            "node/last skipped",
            "node/other reused"
        ]
    );
    // Unless it is asked for.
    let retried = universe.run("realise universe.toml --retry-failed");
    assert!(retried.stderr.contains("building node/bad"), "{retried}");
    let log = universe.run("log universe.toml bad").success();
    assert!(log.stdout.starts_with("1\n2\n") && log.stdout.ends_with("type error\u{1b}[0m\n"), "{log}");
}

#[test]
fn a_wrong_checksum_names_place_expected_and_got() {
    let archive = "archive = { sha256 = \"1111111111111111111111111111111111111111111111111111111111111111\", \
                   places = [{ path = \"data.tar\" }] }\nscript = \"true\"";
    let Some(universe) = TestUniverse::buildable(&format!("name = \"x\"\n{}", node("a", archive))) else {
        return;
    };
    universe.write("data.tar", "these are other bytes\n");
    assert_snapshot!(failed(&universe));
    assert!(!universe.path("store/archives/sha256/11").exists(), "something was published");
}

#[test]
fn an_archive_that_is_nowhere() {
    let archive = "archive = { sha256 = \"1111111111111111111111111111111111111111111111111111111111111111\", \
                   places = [{ path = \"data.tar\" }, { url = \"file:///nowhere/data.tar\" }, \
                   { url = \"http://127.0.0.1:1/data.tar\" }] }\nscript = \"true\"";
    let Some(universe) = TestUniverse::buildable(&format!("name = \"x\"\n{}", node("a", archive))) else {
        return;
    };
    let ended = universe.run("realise universe.toml -j 1");
    assert_eq!(ended.code, Some(4), "{ended}");
    assert_snapshot!(ended);
    assert_snapshot!(
        "an_archive_that_is_nowhere_offline",
        universe.run("realise universe.toml -j 1 --offline")
    );
}

#[test]
fn an_archive_that_is_not_one() {
    let archive = "archive = { sha256 = \"d76f33c7db76cf2a4bd9e9a5a2a8a3e5c9fd1bb0a4f2bb4a7a2a3c9b4c3b4f6d\", \
                   places = [{ path = \"data.tar\" }] }\nscript = \"true\"";
    let Some(universe) = TestUniverse::buildable(&format!("name = \"x\"\n{}", node("a", archive))) else {
        return;
    };
    universe.write("data.tar", "this is no archive\n");
    // The message of the first run says which checksum is right.
    let got = failed(&universe).stderr;
    let got = got.split("got ").nth(1).unwrap().split(' ').next().unwrap();
    universe.edit("d76f33c7db76cf2a4bd9e9a5a2a8a3e5c9fd1bb0a4f2bb4a7a2a3c9b4c3b4f6d", got);
    assert_snapshot!(failed(&universe));
}

#[test]
fn an_output_that_was_declared_but_not_made() {
    let text =
        format!("name = \"x\"\n{}", node("a", "outputs = [\"doc/index.html\"]\nscript = \"mkdir $out/doc\""));
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    assert_snapshot!(failed(&universe));
}

#[test]
fn a_command_that_does_not_exist() {
    let text = format!("name = \"x\"\n{}", node("a", "command = [\"ocaml\", \"-version\"]"));
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    assert_snapshot!(failed(&universe));
}

#[test]
fn a_node_that_takes_too_long() {
    let text = format!("name = \"x\"\n{}", node("a", "timeout = 1\nscript = \"echo begun; sleep 1000\""));
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    assert_snapshot!(failed(&universe));
    // That is no verdict.
    assert!(universe.run("realise universe.toml").stderr.contains("building node/a"));
}

#[test]
fn a_node_that_writes_too_long_a_log() {
    let text = format!("name = \"x\"\n{}", node("a", "script = \"yes\""));
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    universe.write(
        "recipes/script.toml",
        &include_str!("../../recipes/script.toml").replace("\"64M\"", "\"1M\""),
    );
    let ended = failed(&universe);
    assert_snapshot!(ended);
}

#[test]
fn a_node_that_needs_too_much_memory() {
    let script = "script = \"head -c 200000000 /dev/zero | tr '\\\\0' x | sort > /dev/null\"";
    let text = format!("name = \"x\"\n{}", node("a", &format!("memory = \"32M\"\n{script}")));
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    assert_snapshot!(failed(&universe));
}

#[test]
fn several_failures_are_told_together_and_causes_come_first() {
    let text = [
        "name = \"x\"\n".to_owned(),
        node("a", "script = \"echo a >&2; exit 1\""),
        node("b", "script = \"echo b >&2; exit 2\""),
        node("c", "inputs = [\"a\", \"b\"]\nscript = \"true\""),
        node("d", "inputs = [\"c\"]\nscript = \"true\""),
    ];
    let Some(universe) = TestUniverse::buildable(&text.concat()) else { return };
    assert_snapshot!(failed(&universe));
}
