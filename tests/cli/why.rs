//! Explanations: why nodes would be built and why they were, and by which ways one needs another.

use insta::assert_snapshot;

use crate::TWO_NODES;
use crate::support::git::Repo;
use crate::support::{Ended, TestUniverse};

/// Three nodes in a row, the first of which has a local source.
const CHAIN: &str = r#"
name = "chain"

[[node]]
name   = "first"
source = "data"
script = "cat /src/* > $out/text"

[[node]]
name   = "second"
inputs = ["first"]
script = "tr a-z A-Z < /in/first/text > $out/text"

[[node]]
name   = "third"
inputs = ["second"]
script = "wc < /in/second/text > $out/text"

[[node]]
name   = "alone"
script = "echo alone > $out/text"
"#;

fn chain() -> Option<TestUniverse> {
    let universe = TestUniverse::buildable(CHAIN)?;
    universe.write("data/one.txt", "one\ntwo\nthree\n");
    universe.write("data/other.txt", "other\n");
    Some(universe)
}

/// Several runs as one text.
fn all(ended: &[Ended]) -> String {
    ended.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn first_builds_have_nothing_to_be_compared_with() {
    let Some(universe) = chain() else { return };
    let before = universe.run("why-build universe.toml").success();
    universe.run("realise universe.toml").success();
    let after = universe.run("why-build universe.toml --all").success();
    assert_snapshot!("first_builds", all(&[before, after]));
}

#[test]
fn a_changed_source_is_the_cause_of_all_that_follows() {
    let Some(universe) = chain() else { return };
    universe.run("realise universe.toml").success();
    universe.write("data/one.txt", "one\n2\nthree\nfour\n");
    universe.write("data/new.txt", "new\n");
    std::fs::remove_file(universe.path("data/other.txt")).unwrap();
    let would = universe.run("why-build universe.toml").success();
    let node = universe.run("why-build universe.toml third").success();
    universe.run("realise universe.toml").success();
    let did = universe.run("why-build universe.toml --all").success();
    let one = universe.run("why-build universe.toml third").success();
    let untouched = universe.run("why-build universe.toml alone").success();
    assert_snapshot!("changed_source", all(&[would, node, did, one, untouched]));
}

#[test]
fn a_changed_command_may_be_cut_off_and_then_was() {
    let Some(universe) = chain() else { return };
    universe.run("realise universe.toml").success();
    universe.edit("cat /src/* >", "cat /src/*.txt >");
    let would = universe.run("why-build universe.toml --all").success();
    universe.run("realise universe.toml -j 1").success();
    let did = universe.run("why-build universe.toml --all").success();
    assert_snapshot!("changed_command", all(&[would, did]));
}

#[test]
fn every_kind_of_change_has_its_words() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    universe.run("realise universe.toml").success();
    universe.edit("name   = \"shout\"\ninputs = [\"greeting\"]\n", "name = \"shout\"\ninputs = [\"greeting\", \"more\"]\ntimeout = 7\nmemory = \"64M\"\noutputs = [\"hello\"]\nenv = { LC_ALL = \"C.UTF-8\", X = \"y z\" }\n");
    universe.edit(
        "[[node]]\nname = \"shout\"",
        "[[node]]\nname = \"more\"\nscript = \"echo more > $out/more\"\n\n[[node]]\nname = \"shout\"",
    );
    let added = universe.run("why-build universe.toml").success();
    universe.run("realise universe.toml").success();
    universe.edit("inputs = [\"greeting\", \"more\"]", "inputs = [\"more\"]");
    universe.edit("/in/greeting/hello", "/in/more/more");
    let removed = universe.run("why-build universe.toml").success();
    assert_snapshot!("kinds_of_change", all(&[added, removed]));
}

#[test]
fn a_base_whose_package_is_another_version_is_the_cause() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    universe.run("realise universe.toml").success();
    let lock = std::fs::read_to_string(universe.path("universe.lock")).unwrap();
    let line = lock.lines().find(|line| line.contains("version")).unwrap();
    let version = line.split('"').find(|part| part.starts_with(|c: char| c.is_ascii_digit())).unwrap();
    universe.write("universe.lock", &lock.replace(version, &format!("{version}+1")));
    let ended = universe.run("why-build universe.toml").success();
    assert_snapshot!("changed_base", ended.to_string().replace(version, "[version]"));
}

#[test]
fn a_commit_of_a_followed_branch_is_the_cause_of_all_that_follows() {
    let Some(universe) = TestUniverse::buildable("") else { return };
    let repo = Repo::new(universe.path("repo"));
    repo.commit_file("file", "one\n");
    let source = format!("source = {{ git = \"{}\" }}", repo.url());
    universe.write("universe.toml", &CHAIN.replace("source = \"data\"", &source));
    universe.run("realise universe.toml").success();
    repo.commit_file("file", "two\n");
    let would = universe.run("why-build universe.toml").success();
    universe.run("realise universe.toml").success();
    let did = universe.run("why-build universe.toml third").success();
    assert_snapshot!("followed_branch", all(&[would, did]));
}

/// Several nodes with one reason are told together, and no node tells everything unless asked to.
#[test]
fn what_is_alike_is_told_once_and_what_is_much_is_cut_short() {
    let nodes = |word: &str| -> String {
        let node = |number| format!("[[node]]\nname = \"n{number}\"\nscript = \"echo {word} > $out/text\"\n");
        let variables: Vec<String> = (0..9).map(|number| format!("V{number} = \"{word}\"")).collect();
        let many =
            format!("[[node]]\nname = \"many\"\nscript = \"true\"\nenv = {{ {} }}\n", variables.join(", "));
        format!("name = \"x\"\n{}{many}", (0..5).map(node).collect::<String>())
    };
    let Some(universe) = TestUniverse::buildable(&nodes("one")) else { return };
    universe.run("realise universe.toml").success();
    universe.write("universe.toml", &nodes("two"));
    assert_snapshot!("alike_and_much", universe.run("why-build universe.toml").success());
}

#[test]
fn failures_and_what_is_gone_are_told_as_such() {
    let text = TWO_NODES.replace("tr a-z A-Z <", "test -e /nowhere; cat <");
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    assert_eq!(universe.run("realise universe.toml").code, Some(1));
    let failed = universe.run("why-build universe.toml").success();
    let plan = universe.run("plan universe.toml").success();
    assert_eq!(universe.run("realise universe.toml --retry-failed").code, Some(1));
    let retried = universe.run("why-build universe.toml shout").success();
    universe.edit("test -e /nowhere; ", "");
    let mended = universe.run("why-build universe.toml").success();
    universe.run("realise universe.toml").success();
    let was_mended = universe.run("why-build universe.toml").success();
    // The output of the first node goes, by hand.
    let json = universe.run("show universe.toml greeting --json").success().json();
    let tree = json["record"]["tree"].as_str().unwrap().trim_start_matches("tree:").to_owned();
    let path = universe.path(&format!("store/trees/{tree}"));
    let open = |path: &std::path::Path| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    };
    open(&path);
    std::fs::remove_dir_all(&path).unwrap();
    universe.edit("cat <", "cat -u <");
    let gone = universe.run("why-build universe.toml").success();
    assert_snapshot!("failures_and_gone", all(&[failed, plan, retried, mended, was_mended, gone]));
}

#[test]
fn trouble_of_the_machine_and_stops_are_told_as_such() {
    let text = TWO_NODES
        .replace("echo hello >", "sleep 1000; echo hello >")
        .replace("script = \"sleep", "timeout = 1\nscript = \"sleep");
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    assert_eq!(universe.run("realise universe.toml").code, Some(1));
    let trouble = universe.run("why-build universe.toml").success();
    universe.edit("timeout = 1", "timeout = 500");
    let mut running = universe.start("realise universe.toml");
    running.wait_for("building node/greeting");
    running.signal("INT");
    assert_eq!(running.end().code, Some(130));
    let stopped = universe.run("why-build universe.toml").success();
    assert_snapshot!("trouble_and_stops", all(&[trouble, stopped]));
}

#[test]
fn reasons_as_json() {
    let Some(universe) = chain() else { return };
    universe.run("realise universe.toml").success();
    universe.write("data/one.txt", "one\n");
    assert_snapshot!("reasons_as_json", universe.run("why-build universe.toml --json").success());
}

/// A universe that has no run of its own is compared with what the store holds.
#[test]
fn layers_of_other_universes_are_compared_with_too() {
    let Some(universe) = chain() else { return };
    universe.run("realise universe.toml").success();
    universe.write("other.toml", &CHAIN.replace("echo alone", "echo not alone"));
    std::fs::copy(universe.path("universe.lock"), universe.path("other.lock")).unwrap();
    assert_snapshot!("layers_of_others", universe.run("why-build other.toml").success());
}

#[test]
fn only_runs_that_build_something_are_kept_and_damage_to_them_is_passed_over() {
    let Some(universe) = chain() else { return };
    let runs = || -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(universe.path("store/runs")) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(runs(), [""; 0]);
    universe.run("realise universe.toml").success();
    assert_eq!(runs().len(), 1);
    for _ in 0..2 {
        universe.run("realise universe.toml").success();
    }
    assert_eq!(runs().len(), 1);
    // By the short way, of which only a part is planned.
    universe.write("data/one.txt", "1\n");
    universe.run("realise universe.toml").success();
    assert_eq!(runs().len(), 2);
    let json = universe.run("why-build universe.toml --json").success().json();
    assert_eq!((&json["tense"], &json["run"]["number"]), (&"did".into(), &2.into()));
    let whole = universe.run("why-build universe.toml").success().stdout;
    assert!(whole.contains("node/first: its source changed: one.txt (3 lines)\n"), "{whole}");
    universe.run("verify").success();

    std::fs::write(universe.path("store/runs").join(&runs()[1]), "jtwbuild run   2…").unwrap();
    let passed_over = universe.run("why-build universe.toml").success();
    assert!(passed_over.stderr.contains("run 2 is passed over: another version"), "{passed_over}");
    std::fs::write(universe.path("store/runs").join(&runs()[1]), "damaged").unwrap();
    let passed_over = universe.run("why-build universe.toml").success();
    assert!(passed_over.stderr.contains("run 2 is passed over: it is damaged"), "{passed_over}");
    assert!(passed_over.stdout.contains("run 1, begun"), "{passed_over}");
    universe.run("realise universe.toml").success();

    // They stay as long as their universe has a root.
    universe.run("gc").success();
    assert_eq!(runs().len(), 2);
    let roots = universe.run("roots list --json").success().json();
    universe.run(&format!("roots remove {}", roots[0]["name"].as_str().unwrap())).success();
    universe.run("gc --dry-run").success();
    assert_eq!(runs().len(), 2);
    universe.run("gc").success();
    assert_eq!(runs(), [""; 0]);
}

#[test]
fn ways_from_one_node_to_another() {
    let universe = TestUniverse::planned(CHAIN);
    universe.write("data", "x");
    let ways =
        ["third base/busybox", "third base/busybox --all", "third alone", "first third", "first first"];
    let ended: Vec<Ended> =
        ways.iter().map(|way| universe.run(&format!("why-depends universe.toml {way}"))).collect();
    let codes: Vec<Option<i32>> = ended.iter().map(|ended| ended.code).collect();
    assert_eq!(codes, [Some(0), Some(0), Some(1), Some(1), Some(0)]);
    let json = universe.run("why-depends universe.toml third first --json").success();
    assert_snapshot!("ways", all(&ended) + "\n" + &json.to_string());
}
