//! Universes whose packages come from an opam repository: what is said when they cannot be had, and
//! real builds by their opam files.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::TestUniverse;
use crate::support::git::Repo;

/// Packages that a shell builds; `mini` stands for the compiler.
const PACKAGES: &[(&str, &str)] = &[
    ("mini.1", "flags: compiler"),
    ("mini.2", "flags: compiler"),
    ("low.1", r#"depends: ["mini"] install: ["sh" "-c" "echo low > %{lib}%/low"]"#),
    ("low.2", r#"depends: ["mini" {>= "2"}] install: ["sh" "-c" "echo newer > %{lib}%/low"]"#),
    ("top.1", r#"depends: ["mini" "low"] install: ["cp" "%{lib}%/low" "%{lib}%/top"]"#),
    ("fussy.1", r#"depends: ["mini" "low" {>= "2"}]"#),
    ("broken.1", r#"depends: ["mini"] build: ["false"]"#),
    ("above.1", r#"depends: ["mini" "broken"]"#),
    (
        "optional.1",
        r#"depends: ["mini"] depopts: ["low"]
install: ["sh" "-c" "echo %{low:installed}% %{low:version}% > %{lib}%/optional"]"#,
    ),
    (
        "weak.1",
        r#"depends: ["mini"] url { src: "http://127.0.0.1:1/x.tar" checksum: "md5=d41d8cd98f00b204e9800998ecf8427e" }"#,
    ),
    ("nothing.1", r#"depends: ["mini"] url { src: "http://127.0.0.1:1/x.tar" }"#),
];

fn write_repository(universe: &TestUniverse) {
    for (package, text) in PACKAGES {
        let (name, _) = package.split_once('.').unwrap();
        let install = if text.contains("install:") {
            // Directories are made by whoever puts the first file there.
            text.replacen("install: [", r#"install: [["mkdir" "-p" lib] ["#, 1) + "]"
        } else {
            (*text).to_owned()
        };
        let text = format!("opam-version: \"2.0\"\nsynopsis: \"{name}\"\n{install}\n");
        universe.write(&format!("repo/packages/{name}/{package}/opam"), &text);
    }
}

fn text(more: &str) -> String {
    format!(
        "name = \"x\"\ncompiler = \"mini.1\"\nsite = false\n{more}\n\
         [[repository]]\nopam = \"repo\"\n[base]\nrecipe = \"busybox\"\n"
    )
}

fn planned(more: &str) -> TestUniverse {
    let universe = TestUniverse::planned(&text(more));
    write_repository(&universe);
    universe
}

#[test]
fn packages_that_cannot_be_had_together() {
    assert_snapshot!(planned("packages = [\"top\", \"fussy\"]").run("realise universe.toml"));
}

#[test]
fn package_that_no_repository_has() {
    assert_snapshot!(planned("packages = [\"tup\", \"low.3\"]").run("realise universe.toml"));
}

#[test]
fn constraint_on_what_nobody_has() {
    let more = "packages = [\"top\"]\nconstraints = [\"low = 7\"]";
    assert_snapshot!(planned(more).run("realise universe.toml"));
}

#[test]
fn archives_that_only_a_weak_checksum_knows() {
    assert_snapshot!(planned("packages = [\"weak\"]").run("realise universe.toml"));
    assert_snapshot!("none at all", planned("packages = [\"nothing\"]").run("realise universe.toml"));
}

#[test]
fn weak_checksums_may_be_allowed() {
    let ended = planned("allow-weak-checksums = true\npackages = [\"weak\"]").run("plan universe.toml");
    assert_eq!(ended.code, Some(0), "{ended}");
}

#[test]
fn repositories_that_are_none() {
    let universe = planned("packages = [\"top\"]");
    universe.edit("opam = \"repo\"", "opam = \"elsewhere\"");
    assert_snapshot!(universe.run("realise universe.toml"));
    universe.edit("opam = \"elsewhere\"", "opam = \"gopher://x\"");
    assert_snapshot!("not a place", universe.run("realise universe.toml"));
    universe.edit("opam = \"gopher://x\"", "opam = \"repo\"\ndebian = \"forky\"");
    assert_snapshot!("two at once", universe.run("realise universe.toml"));
}

#[test]
fn what_is_for_opam_packages_needs_a_repository() {
    let text = "name = \"x\"\ncompiler = \"ocaml\"\npackages = \"latest\"\nsolve = \"each\"\n\
                archive-mirrors = [\"cache\"]\n";
    assert_snapshot!(TestUniverse::planned(text).run("realise universe.toml"));
}

#[test]
fn why_not_tells_the_chain_or_that_there_is_no_reason() {
    let universe = planned("packages = []");
    assert_snapshot!(universe.run("why-not universe.toml fussy"));
    assert_snapshot!("it can be had", universe.run("why-not universe.toml top"));
    assert_snapshot!("no such package", universe.run("why-not universe.toml tup"));
    assert_snapshot!("not a package", universe.run("why-not universe.toml ==1"));
}

fn buildable(more: &str) -> Option<TestUniverse> {
    let universe = TestUniverse::buildable(&text(more))?;
    write_repository(&universe);
    Some(universe)
}

fn output(universe: &TestUniverse, ended: &Value, node: &str, file: &str) -> String {
    let nodes = ended["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|one| one["kind"] == "build" && one["name"] == node);
    let tree = node.and_then(|node| node["tree"].as_str()).unwrap_or_else(|| panic!("{ended}"));
    let tree = tree.trim_start_matches("tree:");
    std::fs::read_to_string(universe.path(&format!("store/trees/{tree}/{file}"))).unwrap()
}

#[test]
fn packages_are_built_by_their_opam_files_and_see_the_whole_solution() {
    let Some(universe) = buildable("packages = [\"optional\", \"top\"]") else { return };
    let ended = universe.run("realise --json universe.toml").success().json();
    assert_eq!(output(&universe, &ended, "top.1", "lib/top"), "low\n");
    // It was asked for before `low` was, and is built with it all the same.
    assert_eq!(output(&universe, &ended, "optional.1", "lib/optional"), "true 1\n");
    let again = universe.run("realise --json universe.toml").success();
    assert!(again.outcomes().iter().all(|(_, outcome)| outcome == "reused"), "{again}");

    // By itself it is another build, beside which the first one stays.
    universe.edit("site = false", "site = false\nsolve = \"each\"");
    let ended = universe.run("realise --json universe.toml").success().json();
    assert_eq!(output(&universe, &ended, "optional.1", "lib/optional"), "false\n");
    assert_eq!(output(&universe, &ended, "top.1", "lib/top"), "low\n");
}

#[test]
fn a_changed_opam_file_builds_what_it_reaches() {
    let Some(universe) = buildable("packages = [\"top\", \"optional\"]") else { return };
    universe.run("realise universe.toml").success();
    let low = "repo/packages/low/low.1/opam";
    let before = std::fs::read_to_string(universe.path(low)).unwrap();
    universe.write(low, &before.replace("\"low\"", "\"low\" # and a comment"));
    let commented = universe.run("realise --json universe.toml").success();
    assert!(commented.outcomes().iter().all(|(_, outcome)| outcome == "reused"), "{commented}");
    universe.write(low, &before.replace("echo low", "echo other"));
    let changed = universe.run("realise --json universe.toml").success();
    let built: Vec<String> = changed
        .outcomes()
        .into_iter()
        .filter(|(_, outcome)| outcome == "built")
        .map(|(node, _)| node)
        .collect();
    assert_eq!(built, ["build/low.1", "build/top.1", "build/optional.1"], "{changed}");
}

#[test]
fn a_package_is_built_from_a_commit_that_its_opam_file_or_the_universe_names() {
    let Some(universe) = buildable("packages = [\"kept\"]") else { return };
    let repo = Repo::new(universe.path("source"));
    let commit = repo.commit_file("file", "one\n");
    repo.commit_file("file", "two\n");
    let with_url = |url: &str| {
        let opam = format!(
            "opam-version: \"2.0\"\nsynopsis: \"k\"\ndepends: [\"mini\"]\n\
             install: [[\"mkdir\" \"-p\" lib] [\"cp\" \"file\" \"%{{lib}}%/kept\"]]\n\
             url {{ src: \"git+{}{url}\" }}\n",
            repo.url()
        );
        universe.write("repo/packages/kept/kept.1/opam", &opam);
    };
    with_url("#main");
    let refused = universe.run("realise universe.toml");
    assert!(refused.stderr.contains("jtwbuild::opam::git"), "{refused}");
    assert!(refused.stderr.contains("its id belongs behind `#`"), "{refused}");
    with_url(&format!("#{commit}"));
    let ended = universe.run("realise --json universe.toml").success().json();
    assert_eq!(output(&universe, &ended, "kept.1", "lib/kept"), "one\n");

    let source = format!("[source.kept.\"1\"]\ngit = \"{}\"\nbranch = \"main\"\n\n[base]", repo.url());
    universe.edit("[base]", &source);
    let ended = universe.run("realise --json universe.toml").success().json();
    assert_eq!(output(&universe, &ended, "kept.1", "lib/kept"), "two\n");
    assert_eq!(ended["sources"][0]["substituted"], true, "{ended}");
    assert_eq!(ended["sources"][0]["checksums"], format!("git={}", repo.git("rev-parse HEAD")));
    repo.commit_file("file", "three\n");
    let ended = universe.run("realise --json universe.toml").success().json();
    assert_eq!(output(&universe, &ended, "kept.1", "lib/kept"), "three\n");
}

#[test]
fn a_batch_tells_how_each_package_ended_and_one_failure_marks_no_other() {
    let Some(universe) = buildable("packages = []") else { return };
    let opam = include_str!("../../recipes/opam.toml").replace("\"opam\" ", "\"busybox\" ");
    universe.write("mine/opam.toml", &opam);
    universe
        .write("packages.json", r#"{"packages": ["top", "above", "broken.1", "fussy", "no-such", "low.1"]}"#);
    let command = "batch --opam-repository repo --ocaml-version mini.1 --recipes mine \
                   --json report.json --md report.md @packages.json";
    let ended = universe.run(command);
    assert_eq!(ended.code, Some(1), "{ended}");
    let report: Value =
        serde_json::from_slice(&std::fs::read(universe.path("report.json")).unwrap()).unwrap();
    let statuses: Vec<(&str, &str)> = report["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["status"].as_str().unwrap()))
        .collect();
    assert_eq!(
        statuses,
        [
            ("top.1", "success"),
            ("above.1", "dependency_failed"),
            ("broken.1", "failure"),
            ("low.1", "success"),
            ("fussy", "no_solution"),
            ("no-such", "no_solution"),
        ],
        "{ended}"
    );
    assert_eq!(report["counts"]["success"], 2);
    let markdown = std::fs::read_to_string(universe.path("report.md")).unwrap();
    assert!(markdown.contains("| above.1 | dependency failed | build/broken.1 |"), "{markdown}");

    universe.write("plain.txt", "# a list\ntop\nlow.1   # the old one\n");
    let good = universe.run(&command.replace("@packages.json", "@plain.txt")).success();
    assert!(good.to_string().contains("2 success"), "{good}");
    let one = "health-check --opam-repository repo --ocaml-version mini.1 --recipes mine";
    assert_eq!(universe.run(&format!("{one} top.1")).code, Some(0));
    assert_eq!(universe.run(&format!("{one} broken")).code, Some(1));
}

#[test]
fn batches_that_ask_for_nothing() {
    let universe = planned("packages = []");
    let batch = "batch --opam-repository repo --ocaml-version mini.1";
    assert_snapshot!(universe.run(&format!("{batch} @packages.json")));
    universe.write("empty.json", "{\"packages\": []}");
    assert_snapshot!("an empty list", universe.run(&format!("{batch} @empty.json")));
    universe.write("bad.json", "{\"packages\": [1]}");
    assert_snapshot!("no list", universe.run(&format!("{batch} @bad.json")));
    assert_snapshot!("no repository", universe.run("batch top"));
}
