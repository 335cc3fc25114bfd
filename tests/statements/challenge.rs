//! `jtwbuild challenge`: several parties about one universe.

use std::fs;

use serde_json::Value;

use crate::party::{key, trust};
use crate::support::{Ended, TestUniverse, scrub};
use crate::{NODES, STEADY, realised};

/// Three parties who have built the universe, each in a store of their own, with their statements and a
/// trust file in the first one's directory.
fn three(text: &str) -> Option<[TestUniverse; 3]> {
    let parties = [realised(text)?, realised(text)?, realised(text)?];
    let mut entries = Vec::new();
    for (name, universe) in ["alice", "bob", "carol"].iter().zip(&parties) {
        entries.push(key(universe, name));
        let signed = format!("--party {name} --sign-with {name}.key --statement {name}.statement");
        universe.run(&format!("realise universe.toml {signed}")).success();
        let file = format!("{name}.statement");
        if *name != "alice" {
            fs::copy(universe.path(&file), parties[0].path(&file)).unwrap();
        }
    }
    let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
    trust(&parties[0], &entries);
    Some(parties)
}

fn node(json: &Value, name: &str) -> Value {
    json["nodes"].as_array().unwrap().iter().find(|node| node["node"] == name).unwrap().clone()
}

#[track_caller]
fn ended_with(code: i32, ended: Ended) -> Ended {
    assert_eq!(ended.code, Some(code), "{ended}");
    ended
}

#[test]
fn parties_that_agree_are_counted() {
    let Some([alice, ..]) = three(STEADY) else { return };
    let all = "challenge universe.toml alice.statement bob.statement carol.statement";
    let ended = ended_with(0, alice.run(all));
    insta::assert_snapshot!("agree", scrub(&ended.stdout));
    ended_with(0, alice.run(&format!("{all} --policy 3-of-3")));
    // One statement twice is one party.
    let two = "challenge universe.toml alice.statement alice.statement bob.statement";
    ended_with(0, alice.run(&format!("{two} --policy 2-of-3")));
    let few = ended_with(7, alice.run(&format!("{two} --policy 3-of-3 --json")));
    assert_eq!(node(&few.json(), "node/one")["verdict"], "too-few");
    let ended = ended_with(3, alice.run(&format!("{two} --policy 2-of-2")));
    assert!(ended.stderr.contains("jtwbuild::statement::policy"), "{ended}");
}

#[test]
fn two_trusted_parties_that_disagree_are_shown_and_neither_is_used() {
    let Some([alice, ..]) = three(NODES) else { return };
    let ended = ended_with(6, alice.run("challenge universe.toml bob.statement carol.statement --json"));
    let json = ended.json();
    let moody = node(&json, "node/moody");
    assert_eq!(moody["verdict"], "differs");
    assert_eq!(moody["disputed"], true);
    assert_eq!(moody["stated"].as_array().unwrap().len(), 2);
    assert_eq!(node(&json, "node/steady")["verdict"], "agrees");
    // With another input it has another key, of which the others say nothing.
    assert_eq!(node(&json, "node/after")["verdict"], "unknown");
    // 1-of-3 is fulfilled by both: that decides nothing.
    let policy = "challenge universe.toml bob.statement carol.statement --policy 1-of-3 --json";
    assert_eq!(node(&ended_with(6, alice.run(policy)).json(), "node/moody")["verdict"], "differs");
    let table = ended_with(6, alice.run("challenge universe.toml bob.statement carol.statement"));
    let conflict = table.stdout.split("differs  node/moody").nth(1).unwrap();
    assert!(conflict.starts_with(": not everybody has the same\n"), "{table}");
    for party in ["bob", "carol", "this store"] {
        assert!(conflict.contains(party), "{table}");
    }

    // Somebody who has built nothing: what is disputed leads no further.
    let nobody = TestUniverse::bare(NODES);
    for file in ["universe.lock", "trust.toml", "bob.statement", "carol.statement", "data/file"] {
        fs::create_dir_all(nobody.path(file).parent().unwrap()).unwrap();
        fs::copy(alice.path(file), nobody.path(file)).unwrap();
    }
    let json =
        ended_with(6, nobody.run("challenge universe.toml bob.statement carol.statement --json")).json();
    assert_eq!(node(&json, "node/moody")["verdict"], "differs");
    assert_eq!(node(&json, "node/after")["key"], Value::Null);
    assert_eq!(node(&json, "node/sourced")["verdict"], "agrees");
    // One alone says how it goes on.
    let json = ended_with(0, nobody.run("challenge universe.toml bob.statement --json")).json();
    assert_eq!(node(&json, "node/after")["verdict"], "agrees");
    assert_eq!(nobody.trees(), [""; 0], "nothing is taken from anybody");
}

#[test]
fn a_majority_decides_when_the_policy_says_so_and_the_conflict_is_shown() {
    let Some([alice, bob, carol]) = three(STEADY) else { return };
    // Carol's machine is broken: her store says something else of one key.
    drop(bob);
    let draft = "realise universe.toml --party carol --statement carol.statement";
    carol.run(draft).success();
    let text = fs::read_to_string(carol.path("carol.statement")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let claims = json["nodes"].as_array().unwrap();
    let tree = claims.iter().find(|claim| claim["node"] == "node/two").unwrap()["tree"].as_str().unwrap();
    carol.write("carol.statement", &text.replace(tree, &format!("tree:{}", "0".repeat(64))));
    carol.run("statement sign carol.statement --sign-with carol.key").success();
    fs::copy(carol.path("carol.statement"), alice.path("carol.statement")).unwrap();

    let all = "challenge universe.toml alice.statement bob.statement carol.statement";
    ended_with(6, alice.run(all));
    let ended = ended_with(0, alice.run(&format!("{all} --policy 2-of-3")));
    assert!(ended.stdout.contains("agrees   node/two: not everybody has the same"), "{ended}");
    assert!(ended.stdout.contains("000000000000 carol"), "{ended}");
    ended_with(6, alice.run(&format!("{all} --policy 3-of-3")));
    // Alone she contradicts what this store has.
    ended_with(6, alice.run("challenge universe.toml carol.statement"));
}

#[test]
fn what_the_own_store_has_seen_counts_too() {
    let Some(universe) = realised(NODES) else { return };
    let alice = key(&universe, "alice");
    trust(&universe, &[&alice]);
    let signed = "realise universe.toml --sign-with alice.key --statement alice.statement --party alice";
    universe.run(signed).success();
    ended_with(0, universe.run("challenge universe.toml alice.statement"));
    // Builds of an audit are made to differ if they can: they count for the history only.
    ended_with(6, universe.run("audit universe.toml moody --vary none --no-bisect"));
    let history = universe.run("history universe.toml moody").success();
    assert!(history.stdout.contains("audited 1"), "{history}");
    ended_with(0, universe.run("challenge universe.toml alice.statement"));
    universe.run("export-proof universe.toml -o nodes.proof").success();
    ended_with(6, universe.run("reproduce nodes.proof"));
    // Built again it was something else: the statement is not confirmed.
    let json = ended_with(6, universe.run("challenge universe.toml alice.statement --json")).json();
    assert_eq!(node(&json, "node/moody")["own"].as_array().unwrap().len(), 2);
}
