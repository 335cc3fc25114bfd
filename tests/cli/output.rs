//! What is printed where: JSON, graphs, tables, and how much.

use insta::assert_snapshot;

use crate::TWO_NODES;
use crate::support::TestUniverse;

#[test]
fn the_json_of_realise() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    assert_snapshot!(universe.run("realise universe.toml --json -q").success());
}

#[test]
fn the_json_of_a_run_that_failed() {
    let Some(universe) = TestUniverse::buildable(&TWO_NODES.replace("echo hello", "false")) else { return };
    let ended = universe.run("realise universe.toml --json -q");
    assert_eq!(ended.code, Some(1), "{ended}");
    assert_snapshot!(ended);
}

#[test]
fn the_plan_in_every_form() {
    let universe = TestUniverse::planned(TWO_NODES);
    assert_snapshot!("plan_as_json", universe.run("plan universe.toml --json").success());
    assert_snapshot!("plan_as_dot", universe.run("plan universe.toml --dot").success());
    assert_snapshot!("plan_as_table", universe.run("plan universe.toml").success());
    // Nothing was done.
    assert!(!universe.path("site").exists());
    assert_eq!(universe.trees(), [""; 0]);
}

#[test]
fn the_plan_of_what_is_there_and_of_what_has_changed() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    universe.run("realise universe.toml").success();
    assert_snapshot!("plan_when_all_is_there", universe.run("plan universe.toml").success());
    universe.edit("echo hello", "echo goodbye");
    assert_snapshot!("plan_after_a_change", universe.run("plan universe.toml").success());
}

#[test]
fn quiet_normal_and_verbose() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    let edits = [("hello", "one"), ("one", "two"), ("two", "three")];
    let all: Vec<String> =
        ["-q realise universe.toml -j 1", "realise universe.toml -j 1", "realise universe.toml -j 1 -v"]
            .iter()
            .zip(edits)
            .map(|(arguments, (from, to))| {
                universe.edit(&format!("echo {from}"), &format!("echo {to}"));
                universe.run(arguments).success().to_string()
            })
            .collect();
    assert_snapshot!(all.join("\n"));
}

#[test]
fn a_node_and_its_log() {
    let text = TWO_NODES.replace("echo hello >", "echo noise; echo hello >");
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    universe.run("realise universe.toml").success();
    assert_snapshot!("show_a_node", universe.run("show universe.toml greeting").success());
    assert_eq!(universe.run("log universe.toml node/greeting").success().stdout, "noise\n");
    assert_eq!(universe.run("log universe.toml shout").success().stdout, "");
    let json = universe.run("show universe.toml shout --json").success().json();
    assert_eq!(json["id"], "node/shout");
    assert_eq!(json["record"]["status"], "success");
}

#[test]
fn the_version_is_that_of_the_package() {
    let universe = TestUniverse::planned(TWO_NODES);
    let stdout = universe.run("--version").success().stdout;
    assert_eq!(stdout, format!("jtwbuild {}\n", env!("CARGO_PKG_VERSION")));
}
