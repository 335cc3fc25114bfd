//! `jtwbuild export-proof` and `reproduce`: one file, and nothing else, is enough to build it again.

use std::fs;

use serde_json::Value;

use crate::support::{TestUniverse, seed_archives};
use crate::{NODES, STEADY, realised};

/// Somebody else, who has the file and, so that no test needs the network, the downloads.
fn somebody_else(universe: &TestUniverse, proof: &str) -> TestUniverse {
    let other = TestUniverse::bare("");
    fs::remove_file(other.path("universe.toml")).unwrap();
    seed_archives(&universe.path("store"), &other.path("store"));
    fs::copy(universe.path(proof), other.path(proof)).unwrap();
    other
}

#[test]
fn a_universe_is_built_again_from_the_file_alone() {
    let Some(universe) = realised(STEADY) else { return };
    universe.run("export-proof universe.toml -o steady.proof").success();
    let other = somebody_else(&universe, "steady.proof");
    let json = other.run("reproduce steady.proof --offline --json").success().json();
    let verdicts: Vec<_> = json["nodes"].as_array().unwrap().iter().map(|node| &node["verdict"]).collect();
    assert_eq!(verdicts, ["same"; 3], "{json:#}");
    assert!(json["nodes"].as_array().unwrap().iter().all(|node| node["outcome"] == "built"), "{json:#}");
    // Nothing but the history stays of it.
    assert_eq!(other.trees(), [""; 0]);
    assert_eq!(other.leftovers(), [""; 0]);
    assert_eq!(other.run("history --json").success().json()["keys"].as_array().unwrap().len(), 3);

    let kept = other.run("reproduce steady.proof --offline --keep built").success();
    assert!(kept.stdout.contains("3 same, 0 differs, 0 follows, 0 missing"), "{kept}");
    assert!(other.path("built/trees").is_dir());
    let again = other.run("reproduce steady.proof --offline --keep built");
    assert_eq!(again.code, Some(3), "{again}");
    assert!(again.stderr.contains("jtwbuild::proof::occupied"), "{again}");
}

#[test]
fn what_comes_out_otherwise_is_named_and_what_follows_is_told_apart() {
    let Some(universe) = realised(NODES) else { return };
    universe.run("export-proof universe.toml -o nodes.proof").success();
    let other = somebody_else(&universe, "nodes.proof");
    let ended = other.run("reproduce nodes.proof --offline --json --statement nodes.statement");
    assert_eq!(ended.code, Some(6), "{ended}");
    let json = ended.json();
    let verdict = |name: &str| {
        let nodes = json["nodes"].as_array().unwrap().iter();
        nodes.filter(|node| node["node"] == name).map(|node| node["verdict"].clone()).next().unwrap()
    };
    assert_eq!(verdict("node/moody"), "differs");
    assert_eq!(verdict("node/after"), "follows");
    assert_eq!(verdict("node/steady"), "same");
    assert_eq!(verdict("node/sourced"), "same");
    assert!(!other.path("nodes.statement").exists(), "nobody states what did not come out");
}

#[test]
fn the_same_universe_gives_the_same_bytes_wherever_it_is() {
    let text = format!(
        "{STEADY}\n[[node]]\nname = \"sourced\"\nscript = \"cp -r /src $out/copy\"\nsource = \"data\"\n"
    );
    let (Some(one), Some(other)) = (realised(&text), realised(&text)) else { return };
    for universe in [&one, &other] {
        universe.run("export-proof universe.toml -o the.proof").success();
    }
    let bytes = fs::read_to_string(one.path("the.proof")).unwrap();
    assert_eq!(bytes, fs::read_to_string(other.path("the.proof")).unwrap());
    one.run("export-proof universe.toml -o again.proof").success();
    assert_eq!(bytes, fs::read_to_string(one.path("again.proof")).unwrap());
    assert!(!bytes.contains(one.directory().to_str().unwrap()));
    let proof: Value = serde_json::from_str(&bytes).unwrap();
    assert!(proof["recipes"].get("script.toml").is_some(), "the recipes that were used are in it");
    assert_eq!(proof["files"][0][0], "universe.toml");
    assert!(proof["lock"].as_str().unwrap().contains("[base."));
}

#[test]
fn there_is_no_proof_of_what_was_not_built() {
    let Some(universe) = TestUniverse::buildable(STEADY) else { return };
    let ended = universe.run("export-proof universe.toml -o steady.proof");
    assert_eq!(ended.code, Some(3), "{ended}");
    assert!(ended.stderr.contains("jtwbuild::proof::incomplete"), "{ended}");
    assert!(ended.stderr.contains("node/one"), "{ended}");
    assert!(!universe.path("steady.proof").exists());
}

#[test]
fn files_that_are_no_proofs_are_refused_before_anything_is_built() {
    let Some(universe) = realised(STEADY) else { return };
    universe.run("export-proof universe.toml -o steady.proof").success();
    let text = fs::read_to_string(universe.path("steady.proof")).unwrap();
    let changed = text.replace("echo one", "rm -rf /");
    assert_ne!(changed, text);
    for (content, code) in [
        (changed.as_str(), "contradiction"),
        (&text[..text.len() / 2], "malformed"),
        (&text.replacen("\"format\": 1", "\"format\": 9", 1), "format"),
        ("", "malformed"),
    ] {
        universe.write("bad.proof", content);
        let ended = universe.run("reproduce bad.proof");
        assert_eq!(ended.code, Some(3), "{ended}");
        assert!(ended.stderr.contains(&format!("jtwbuild::proof::{code}")), "{ended}");
    }
    let ended = universe.run("reproduce none.proof");
    assert!(ended.stderr.contains("jtwbuild::proof::unreadable"), "{ended}");
}
