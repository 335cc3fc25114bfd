//! What runs, what does not, and that it comes out the same.

use std::os::unix::fs::chown;
use std::process::Stdio;

use crate::TWO_NODES;
use crate::support::{PROGRAM, TestUniverse, copy_linked, seed_archives, skip};

/// The outcomes of all nodes but the base.
fn of_nodes(outcomes: Vec<(String, String)>) -> Vec<String> {
    let nodes = outcomes.into_iter().filter(|(id, _)| id.starts_with("node/"));
    nodes.map(|(id, outcome)| format!("{id} {outcome}")).collect()
}

#[test]
fn a_second_run_does_nothing() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    let first = universe.run("realise universe.toml --json").success();
    assert_eq!(of_nodes(first.outcomes()), ["node/greeting built", "node/shout built"]);
    let trees = universe.trees();
    let second = universe.run("realise universe.toml --json").success();
    assert_eq!(of_nodes(second.outcomes()), ["node/greeting reused", "node/shout reused"]);
    assert!(second.outcomes().iter().all(|(_, outcome)| outcome == "reused"), "{second}");
    assert_eq!(universe.trees(), trees);
    assert_eq!(universe.leftovers(), [""; 0]);
    insta::assert_snapshot!(universe.run("realise universe.toml").success());
}

#[test]
fn a_comment_rebuilds_one_node_and_cuts_off_what_comes_after_it() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    universe.run("realise universe.toml").success();
    universe.edit("> $out/hello\"\n\n", "> $out/hello # louder\"\n\n");
    let again = universe.run("realise universe.toml --json -j 1").success();
    assert_eq!(of_nodes(again.outcomes()), ["node/greeting built", "node/shout cutoff"]);
    universe.edit("louder", "still louder");
    insta::assert_snapshot!(universe.run("realise universe.toml -j 1").success());
}

#[test]
fn a_changed_source_rebuilds_what_uses_it() {
    let text = TWO_NODES.replace("echo hello > $out/hello\"", "cp /src/* $out/hello\"\nsource = \"data\"");
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    universe.write("data", "one");
    universe.run("realise universe.toml").success();
    universe.write("data", "two");
    let again = universe.run("realise universe.toml --json").success();
    assert_eq!(of_nodes(again.outcomes()), ["node/greeting built", "node/shout built"]);
    universe.write("data", "one");
    let back = universe.run("realise universe.toml --json").success();
    assert_eq!(of_nodes(back.outcomes()), ["node/greeting reused", "node/shout reused"]);
}

/// A universe of many nodes, each of which needs some of those before it.
fn many(count: usize) -> String {
    let mut text = "name = \"many\"\n".to_owned();
    for index in 0..count {
        let inputs: Vec<String> = [index / 2, index / 3]
            .iter()
            .filter(|input| **input < index)
            .collect::<std::collections::BTreeSet<_>>()
            .iter()
            .map(|input| format!("\"n{input}\""))
            .collect();
        text += &format!(
            "[[node]]\nname = \"n{index}\"\ninputs = [{}]\nscript = \"ls -R /in > $out/inputs || true; echo {index} > $out/n\"\n",
            inputs.join(", ")
        );
    }
    text
}

#[test]
fn one_and_four_jobs_give_the_same_trees() {
    let text = many(24);
    let Some(one) = TestUniverse::buildable(&text) else { return };
    let Some(four) = TestUniverse::buildable(&text) else { return };
    let keys = |universe: &TestUniverse, arguments: &str| {
        let json = universe.run(arguments).success().json();
        let nodes = json["nodes"].as_array().unwrap().iter();
        nodes
            .map(|node| (node["name"].clone(), node["key"].clone(), node["tree"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&one, "realise universe.toml --json -j 1"),
        keys(&four, "realise universe.toml --json -j 4")
    );
    assert_eq!(one.trees(), four.trees());
}

#[test]
fn a_base_from_scratch_is_the_same_as_before() {
    let Some(seeded) = TestUniverse::buildable(TWO_NODES) else { return };
    let fresh = TestUniverse::bare(TWO_NODES);
    std::fs::copy(seeded.path("universe.lock"), fresh.path("universe.lock")).unwrap();
    seed_archives(&seeded.path("store"), &fresh.path("store"));
    seeded.run("realise universe.toml").success();
    // Everything that is needed is among the archives.
    fresh.run("realise universe.toml --locked --offline").success();
    let seeded_trees = seeded.trees();
    let missing: Vec<_> = fresh.trees().into_iter().filter(|tree| !seeded_trees.contains(tree)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn two_processes_build_each_node_once_and_the_second_says_whom_it_waits_for() {
    let text = TWO_NODES.replace("echo hello", "sleep 1; echo hello");
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    let mut first = universe.start("realise universe.toml --json");
    first.wait_for("building node/greeting");
    let mut second = universe.start("realise universe.toml --json");
    second.wait_for("waiting for node/greeting: process ");
    let waited_for = universe_process(&second.end_of_line());
    let (first_id, first, second) = (first.id(), first.end().success(), second.end().success());
    assert_eq!(waited_for, first_id);
    let built = |outcomes: Vec<(String, String)>| outcomes.iter().filter(|(_, word)| word == "built").count();
    assert_eq!(built(first.outcomes()) + built(second.outcomes()), 2, "{first}{second}");
}

/// The number at the beginning of a line.
fn universe_process(line: &str) -> u32 {
    line.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn the_plan_is_the_same_from_anywhere_and_in_any_order() {
    let universe = TestUniverse::planned(&many(12));
    let plan = |command: &mut std::process::Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let here = plan(&mut universe.command("plan universe.toml --json"));
    let elsewhere = TestUniverse::planned("");
    let mut command = elsewhere.command("plan --json");
    command.arg(universe.path("universe.toml"));
    command.env("LC_ALL", "tr_TR.UTF-8").env("TZ", "Asia/Kathmandu").env("HOME", "/tmp").env("USER", "eve");
    assert_eq!(plan(&mut command), here);

    // The same nodes, written in another order.
    let text = many(12);
    let (head, nodes) = text.split_once("[[node]]").unwrap();
    let mut nodes: Vec<&str> = nodes.split("[[node]]").collect();
    nodes.reverse();
    universe.write("universe.toml", &format!("{head}[[node]]{}", nodes.join("[[node]]")));
    let keys = |text: &str| {
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        let nodes = json["nodes"].as_array().unwrap().iter();
        let mut keys: Vec<String> =
            nodes.map(|node| format!("{} {}", node["id"], node["plan_key"])).collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&plan(&mut universe.command("plan universe.toml --json"))), keys(&here));
}

#[test]
fn an_ordinary_user_can_do_all_of_it() {
    let Some(seeded) = TestUniverse::buildable(TWO_NODES) else { return };
    if std::os::unix::fs::MetadataExt::uid(&seeded.directory().metadata().unwrap()) != 0 {
        seeded.run("realise universe.toml").success();
        return;
    }
    // A user that nobody has heard of, in a directory of his own, with a copy of the program: the
    // one below target/ may be behind doors that are closed to him.
    let user = 54_321;
    let universe = TestUniverse::bare(TWO_NODES);
    // Copied, not linked: he is to own it.
    std::fs::create_dir(universe.path("store")).unwrap();
    let archives = [seeded.path("store/archives"), universe.path("store/archives")];
    assert!(universe.tool("cp").arg("-r").args(archives).status().unwrap().success());
    std::fs::copy(seeded.path("universe.lock"), universe.path("universe.lock")).unwrap();
    std::fs::copy(PROGRAM, universe.path("program")).unwrap();
    own(universe.directory(), user);
    let mut command = universe.tool("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".into()]);
    command.arg(universe.path("program")).args(["realise", "universe.toml", "--json"]);
    let Ok(output) = command.output() else { return skip("no `setpriv` of util-linux on this machine") };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("3 nodes: 3 built"), "{stderr}");
}

/// Gives everything to a user.
fn own(path: &std::path::Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            own(&entry.path(), user);
        } else {
            chown(entry.path(), Some(user), Some(user)).unwrap();
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = universe.command("realise universe.toml --json");
    let output = command.stdout(writer.try_clone().unwrap()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    // Also when nobody reads the messages.
    let mut command = universe.command("realise universe.toml -v");
    assert_eq!(command.stderr(writer).status().unwrap().code(), Some(0));
}

#[test]
fn a_store_may_be_moved() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    universe.run("realise universe.toml").success();
    copy_linked(&universe.path("store"), &universe.path("moved"));
    let moved = universe.run("--store moved realise universe.toml --json").success();
    assert!(moved.outcomes().iter().all(|(_, outcome)| outcome == "reused"), "{moved}");
}

#[test]
fn a_run_after_one_with_nothing_to_do_notices_every_kind_of_change() {
    let text =
        TWO_NODES.replace("echo hello > $out/hello\"", "cat /src/a/* > $out/hello\"\nsource = \"data\"");
    let text = format!("{text}\n[[include]]\npath = \"more.toml\"\n");
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    let more = |word: &str| {
        universe
            .write("more.toml", &format!("[[node]]\nname = \"more\"\nscript = \"echo {word} > $out/x\"\n"));
    };
    universe.write("data/a/one", "one");
    more("one");
    let script_recipe = include_str!("../../recipes/script.toml");
    let changes: [(&str, &dyn Fn()); 6] = [
        ("a file below a source", &|| universe.write("data/a/two", "two")),
        ("a file with other bytes", &|| universe.write("data/a/one", "eno")),
        ("an included file", &|| more("two")),
        ("a directory of recipes", &|| {
            universe.write("recipes/script.toml", &script_recipe.replace("\"UTC\"", "\"CET\""));
        }),
        ("a recipe", &|| universe.write("recipes/script.toml", &script_recipe.replace("\"UTC\"", "\"EST\""))),
        ("outputs that are gone", &|| {
            for tree in universe.trees() {
                if universe.path(&format!("store/trees/{tree}/hello")).exists() {
                    std::fs::remove_dir_all(universe.path(&format!("store/trees/{tree}"))).unwrap();
                }
            }
        }),
    ];
    let ran = |ended: crate::support::Ended| {
        ended.success().outcomes().into_iter().filter(|(_, outcome)| outcome != "reused").count()
    };
    assert_eq!(ran(universe.run("realise universe.toml --json")), 3);
    for (what, change) in changes {
        // What changed within the clock's grain of a run is looked at again anyway.
        std::thread::sleep(std::time::Duration::from_millis(50));
        for _ in 0..2 {
            assert_eq!(ran(universe.run("realise universe.toml --json")), 0, "before {what}");
        }
        change();
        assert!(ran(universe.run("realise universe.toml --json")) > 0, "{what} went unnoticed");
    }
}

/// Nodes with sources: two of one file, one of a directory, one of none.
const SOURCES: &str = r#"name = "sources"
[[node]]
name = "first"
source = "one"
script = "read a b < /src/one || true; test $a != bad; echo $a > $out/first"
[[node]]
name = "second"
source = "one"
inputs = ["first"]
script = "cat /src/one > $out/second"
[[node]]
name = "third"
source = "directory"
script = "cat /src/* > $out/third"
[[node]]
name = "last"
inputs = ["first", "third"]
script = "cat /in/first/first /in/third/third > $out/last"
[[node]]
name = "apart"
script = "echo apart > $out/apart"
"#;

/// What a run says, without the times in it.
fn said(universe: &TestUniverse) -> (Option<i32>, serde_json::Value, String) {
    let ended = universe.run("realise universe.toml --json -j 1 -q");
    let mut json = if ended.stdout.is_empty() { serde_json::Value::Null } else { ended.json() };
    json["seconds"] = 0.into();
    if let Some(nodes) = json["nodes"].as_array_mut() {
        nodes.iter_mut().for_each(|node| node["seconds"] = 0.into());
    }
    (ended.code, json, crate::support::scrub(&ended.stderr))
}

/// The files that a run leaves for the next one, but for the facts.
fn memos(universe: &TestUniverse) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(universe.path("store/plans")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    files.filter(|path| path.is_file() && path.file_name().is_some_and(|name| name != "facts")).collect()
}

#[test]
fn a_change_of_sources_is_told_the_same_with_and_without_a_memo() {
    let Some(with) = TestUniverse::buildable(SOURCES) else { return };
    let Some(without) = TestUniverse::buildable(SOURCES) else { return };
    let write = |path: &str, text: &str| [&with, &without].iter().for_each(|at| at.write(path, text));
    for universe in [&with, &without] {
        std::fs::create_dir(universe.path("directory")).unwrap();
    }
    let edits = [
        [("one", "1 x"), ("directory/a", "a")],
        [("one", "1 y"), ("directory/a", "a")],
        [("one", "1 y"), ("directory/b", "b")],
        [("one", "bad"), ("directory/b", "c")],
        [("one", "1 x"), ("directory/b", "c")],
        [("one", "1 x"), ("directory/b", "b")],
        [("one", "1 x"), ("directory/b", "b")],
    ];
    for (step, edit) in edits.iter().enumerate() {
        edit.iter().for_each(|(path, text)| write(path, text));
        memos(&without).iter().for_each(|path| std::fs::remove_file(path).unwrap());
        assert_eq!(said(&with), said(&without), "step {step}");
        assert_eq!(memos(&with).len(), 3, "step {step}");
    }
    assert_eq!(with.trees(), without.trees());
    for universe in [&with, &without] {
        std::fs::remove_file(universe.path("one")).unwrap();
    }
    memos(&without).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let (gone, expected) = (said(&with), said(&without));
    assert_eq!(gone, expected);
    assert!(gone.2.contains("cannot be read"), "{gone:?}");
}

#[test]
fn damaged_memos_cost_time_and_nothing_else() {
    let Some(universe) = TestUniverse::buildable(SOURCES) else { return };
    std::fs::create_dir(universe.path("directory")).unwrap();
    universe.write("directory/a", "a");
    universe.write("one", "0 x");
    universe.run("realise universe.toml").success();
    for (step, damaged) in memos(&universe).into_iter().enumerate() {
        let bytes = std::fs::read(&damaged).unwrap();
        std::fs::write(&damaged, &bytes[..bytes.len() - 1]).unwrap();
        universe.write("one", &format!("{step} y"));
        let again = universe.run("realise universe.toml --json").success();
        let nodes = of_nodes(again.outcomes());
        assert!(nodes.contains(&"node/second built".to_owned()), "{}: {nodes:?}", damaged.display());
        let again = universe.run("realise universe.toml --json").success();
        assert!(again.outcomes().iter().all(|(_, outcome)| outcome == "reused"), "{again}");
    }
}
