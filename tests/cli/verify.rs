//! `jtwbuild verify`: every kind of damage as a user meets it, and what a repair makes of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;

use crate::TWO_NODES;
use crate::support::{Ended, TestUniverse, scrub};

/// A realised universe of two nodes, whose outputs are far from each other's bytes.
fn realised(text: &str) -> Option<TestUniverse> {
    let universe = TestUniverse::buildable(text)?;
    universe.run("realise universe.toml").success();
    let sound = universe.run("verify").success();
    assert!(sound.stderr.contains("nothing is damaged") && sound.stdout.is_empty(), "{sound}");
    Some(universe)
}

/// Where the output of a node is.
fn output(universe: &TestUniverse, node: &str) -> PathBuf {
    let json = universe.run("realise universe.toml --json").success().json();
    let nodes = json["nodes"].as_array().unwrap().iter();
    let mut trees = nodes.filter(|line| line["name"] == node).map(|line| line["tree"].as_str().unwrap());
    universe.path("store/trees").join(trees.next().unwrap().trim_start_matches("tree:"))
}

/// The run without what is said of this machine's base: how much it is, and that it was copied for
/// the test without its times.
fn shown(mut ended: Ended) -> Ended {
    assert!(ended.stderr.contains("verified "), "{ended}");
    let is_of_base = |line: &&str| line.starts_with("verified ") || line.starts_with("notice: trees/");
    let lines = ended.stderr.split_inclusive('\n').filter(|line| !is_of_base(line));
    ended.stderr = lines.collect();
    ended
}

fn corrupt(ended: Ended) -> Ended {
    assert_eq!(ended.code, Some(5), "{ended}");
    shown(ended)
}

fn append(path: &Path) {
    let bytes = [fs::read(path).unwrap(), b"!".to_vec()].concat();
    fs::write(path, bytes).unwrap();
}

#[test]
fn damage_to_outputs_is_named_and_made_good_by_building_again() {
    let Some(universe) = realised(TWO_NODES) else { return };
    let greeting = output(&universe, "greeting");
    append(&greeting.join("hello"));
    assert_snapshot!("verify_extended", corrupt(universe.run("verify")));
    // Nothing was changed by looking.
    let json = universe.run("verify --json").json();
    assert_eq!(json["archives"], 1);
    assert_snapshot!("verify_json", scrub(&format!("{:#}", json["damage"])));
    let repaired = universe.run("verify --repair --universe universe.toml");
    assert_eq!(repaired.code, Some(0), "{repaired}");
    assert_snapshot!("verify_rebuilt", shown(repaired));
    assert_eq!(fs::read(greeting.join("hello")).unwrap(), b"hello\n");
    universe.run("verify").success();
    let again = universe.run("realise universe.toml --json").success();
    assert!(again.outcomes().iter().all(|(_, outcome)| outcome == "reused"), "{again}");
}

#[test]
fn what_cannot_be_made_good_now_is_set_aside_and_built_when_it_is_needed() {
    let Some(universe) = realised(TWO_NODES) else { return };
    let greeting = output(&universe, "greeting");
    fs::remove_file(greeting.join("hello")).unwrap();
    assert_snapshot!("verify_removed", corrupt(universe.run("verify")));
    assert_snapshot!("verify_lost", corrupt(universe.run("verify --repair")));
    assert!(!greeting.exists());
    // The store is sound, if poorer.
    universe.run("verify").success();
    assert!(universe.run("verify --repair").success().stderr.contains("nothing to repair"));
    let again = universe.run("realise universe.toml --json").success();
    let outcomes: Vec<String> =
        again.outcomes().into_iter().map(|(id, word)| format!("{id} {word}")).collect();
    assert_eq!(outcomes, ["base/busybox reused", "node/greeting built", "node/shout cutoff"]);
    assert!(greeting.join("hello").exists());
    universe.run("verify").success();
}

#[test]
fn an_output_that_comes_out_differently_is_not_accepted_silently() {
    let text = TWO_NODES.replace("echo hello", "head -c 8 /dev/urandom | od -An -tx1");
    let Some(universe) = realised(&text) else { return };
    append(&output(&universe, "greeting").join("hello"));
    let ended = corrupt(universe.run("verify --repair --universe universe.toml"));
    // The names of files are those of random bytes.
    let told: String = ended.stdout.split_inclusive('\n').filter(|line| !line.contains("files/")).collect();
    assert_snapshot!("verify_unreproducible", Ended { stdout: told, ..ended });
    // What was made from the old output is made again from the new one.
    universe.run("realise universe.toml").success();
    universe.run("verify").success();
}

#[test]
fn archives_are_downloaded_again_from_where_their_documents_say() {
    let text = "name = \"x\"\n[[node]]\nname = \"a\"\narchive = { sha256 = \"SUM\", places = [{ path = \"data.tar\" }] }\n\
                script = \"cp -r /src $out/a\"\n";
    let Some(universe) = TestUniverse::buildable(text) else { return };
    universe.write("data/file", "content\n");
    let tar = universe.tool("tar").args(["-cf", "data.tar", "--sort=name", "--mtime=@0", "data"]).status();
    assert!(tar.unwrap().success());
    let sum = Command::new("sha256sum").arg(universe.path("data.tar")).output().unwrap().stdout;
    let sum = String::from_utf8(sum).unwrap()[..64].to_owned();
    universe.edit("SUM", &sum);
    universe.run("realise universe.toml").success();
    let archive = universe.path(&format!("store/archives/sha256/{}/{sum}", &sum[..2]));
    append(&archive);
    // Without the universe nobody knows from where its path leads.
    let alone = universe.run("verify --repair --offline");
    assert_eq!(alone.code, Some(5), "{alone}");
    assert!(
        alone.stdout.contains("lost, moved to quarantine: it came from a file of this machine"),
        "{alone}"
    );
    assert!(!archive.exists());
    fs::copy(universe.path("data.tar"), &archive).unwrap();
    append(&archive);
    let repaired = universe.run("verify --repair --universe universe.toml --offline").success();
    assert!(repaired.stdout.contains("downloaded again"), "{repaired}");
    assert_eq!(fs::read(archive).unwrap(), fs::read(universe.path("data.tar")).unwrap());
    universe.run("verify").success();
}

#[test]
fn notices_are_told_and_are_no_failure() {
    let Some(universe) = realised(TWO_NODES) else { return };
    universe.write("store/notes.txt", "mine");
    fs::write(universe.path("store/plans/facts"), "jtwbuild facts 1damaged").unwrap();
    let ended = universe.run("verify").success();
    assert_snapshot!("verify_notices", shown(ended));
}

#[test]
fn verifying_goes_on_beside_builds_without_false_alarms() {
    let nodes = |from: usize| -> String {
        let node = |n: usize| {
            format!("[[node]]\nname = \"n{n}\"\nscript = \"echo {n} > $out/n; seq {n} > $out/seq\"\n")
        };
        (from..from + 30).map(node).collect()
    };
    let Some(universe) = TestUniverse::buildable(&format!("name = \"x\"\n{}", nodes(0))) else { return };
    let mut rounds = 0;
    for round in 1..=2 {
        let build = universe.start("realise universe.toml");
        let layers = || fs::read_dir(universe.path("store/layers")).map_or(0, Iterator::count);
        while layers() <= 30 * round {
            let ended = universe.run("verify").success();
            assert!(ended.stderr.contains("nothing is damaged"), "{ended}");
            rounds += 1;
        }
        build.end().success();
        universe.write("universe.toml", &format!("name = \"x\"\n{}{}", nodes(0), nodes(30)));
    }
    assert!(rounds > 0);
}

/// A universe whose second node can be made to be built again, from an input with a manifest.
const LARGE_INPUT: &str = r#"
name = "large"

[[node]]
name   = "numbers"
script = "seq 1 20000 > $out/numbers; seq 1 9 > $out/few"

[[node]]
name   = "last"
inputs = ["numbers"]
script = "tail -n 1 /in/numbers/numbers > $out/last"
"#;

#[test]
fn a_damaged_input_ends_what_would_use_it_and_nothing_else() {
    let Some(universe) = realised(LARGE_INPUT) else { return };
    append(&output(&universe, "numbers").join("few"));
    universe.edit("tail -n 1", "tail -n 2");
    let ended = universe.run("realise universe.toml -j 1");
    assert_eq!(ended.code, Some(5), "{ended}");
    assert_snapshot!("a_damaged_input", ended);
    // It is no verdict on the node.
    universe.run("verify --repair --universe universe.toml -q").success();
    universe.run("realise universe.toml").success();
}

#[test]
fn only_a_paranoid_run_reads_every_byte_of_its_inputs() {
    let Some(universe) = realised(LARGE_INPUT) else { return };
    let numbers = output(&universe, "numbers").join("numbers");
    let bytes = fs::read(&numbers).unwrap();
    let mut flipped = bytes.clone();
    flipped[50_000] ^= 1;
    fs::write(&numbers, &flipped).unwrap();
    universe.edit("tail -n 1", "tail -n 2");
    universe.run("realise universe.toml").success();
    universe.edit("tail -n 2", "tail -n 3");
    let ended = universe.run("realise universe.toml --paranoid");
    assert_eq!(ended.code, Some(5), "{ended}");
    assert!(ended.stderr.contains("is damaged: its content is tree:"), "{ended}");
    fs::write(&numbers, &bytes).unwrap();
    universe.run("realise universe.toml --paranoid").success();
}
