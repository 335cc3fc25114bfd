//! `batch` and `health-check` with the worker of another repository, which day10's options name.

use std::path::PathBuf;

use insta::assert_snapshot;

use crate::support::git::Repo;
use crate::support::{COMPILER_PACKAGES, Ended, TestUniverse};

/// A directory with an opam repository that has the package `mine`, and a worker's repository.
fn with_worker() -> (TestUniverse, Repo) {
    let universe = TestUniverse::planned("");
    for package in COMPILER_PACKAGES.into_iter().chain(["mine.1"]) {
        let name = package.split('.').next().unwrap();
        let depends = if name == "mine" { "depends: [\"ocaml\"]\n" } else { "" };
        let text = format!("opam-version: \"2.0\"\n{depends}");
        universe.write(&format!("repo/packages/{name}/{package}/opam"), &text);
    }
    let worker = Repo::new(universe.path("worker"));
    worker.write("toplevel.opam", "opam-version: \"2.0\"\nversion: \"1.0\"\ndepends: [\"ocaml\"]\n");
    worker.write("toplevel-bin.opam", "opam-version: \"2.0\"\ndepends: [\"toplevel\"]\n");
    worker.write("build.sh", "exit 1\n");
    worker.commit();
    (universe, worker)
}

/// The universe files that were written for batches, with the place of each.
fn written(universe: &TestUniverse) -> Vec<PathBuf> {
    let batches = std::fs::read_dir(universe.path("store/batch")).unwrap();
    batches.map(|entry| entry.unwrap().path().join("universe.toml")).collect()
}

/// What would be done, by bases that no mirror has. The command fails first, for want of a lock that
/// pins them.
fn dry(universe: &TestUniverse, command: &str) -> (String, Ended) {
    let command = format!("{command} --opam-repository repo --dry-run");
    let before = if universe.path("store/batch").exists() { written(universe) } else { Vec::new() };
    assert_eq!(universe.run(&format!("{command} --offline")).code, Some(4));
    let new: Vec<_> = written(universe).into_iter().filter(|path| !before.contains(path)).collect();
    let [path] = new.as_slice() else { panic!("{new:?}") };
    std::fs::copy(universe.path("universe.lock"), path.with_file_name("universe.lock")).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    (text.replace(universe.directory().to_str().unwrap(), "<here>"), universe.run(&command))
}

#[test]
fn the_worker_of_another_repository_is_planned_from_its_opam_packages() {
    let (universe, worker) = with_worker();
    let command = format!("batch --with-jtw --jtw-tools-repo {} mine", worker.url());
    let (text, ended) = dry(&universe, &command);
    assert_snapshot!(text);
    let planned = ended.success().stdout;
    for node in ["source/jtw-tools", "build/toplevel.1.0", "build/toplevel-bin.dev", "jtw/mine.1"] {
        assert!(planned.contains(node), "{node}: {planned}");
    }
    // The branch is followed from one batch to the next.
    worker.write("toplevel.opam", "opam-version: \"2.0\"\nversion: \"1.1\"\ndepends: [\"ocaml\"]\n");
    worker.commit();
    let followed = universe.run(&format!("{command} --opam-repository repo --dry-run")).success();
    assert!(followed.stdout.contains("build/toplevel.1.1"), "{followed}");
}

#[test]
fn branch_and_layout_of_the_worker_can_be_said() {
    let (universe, worker) = with_worker();
    worker.git("branch other");
    let (text, ended) = dry(
        &universe,
        &format!(
            "health-check mine --with-jtw --jtw-tools-repo {} --jtw-tools-branch other --jtw-tools-layout worker",
            worker.url()
        ),
    );
    assert!(text.contains("branch = \"other\"\nlayout = \"worker\"\n"), "{text}");
    let planned = ended.success().stdout;
    let fetched = planned.lines().find(|line| line.contains("source/jtw-tools")).unwrap_or_default();
    assert!(fetched.starts_with("build") && !planned.contains("toplevel"), "{planned}");
}

#[test]
fn repositories_of_workers_that_cannot_be_used() {
    let (universe, worker) = with_worker();
    // The name of what is written comes of its text, which must not hold a temporary directory.
    let batch = |url: &str, more: &str| {
        let arguments = format!("batch mine --opam-repository https://example.org/r.git --with-jtw{more}");
        let output = universe.command(&arguments).args(["--jtw-tools-repo", url]).output().unwrap();
        Ended::new(&format!("{arguments} --jtw-tools-repo '{url}'"), output)
    };
    assert_snapshot!("a directory", batch("../worker", ""));
    assert_snapshot!("nonsense", batch("file:///a\"\n[output]\\ '''\t\u{7f}", ""));
    assert_snapshot!("no branch", batch("https://example.org/w", " --jtw-tools-branch a..b"));
    worker.git("branch -m trunk");
    let there = format!("batch mine --opam-repository repo --with-jtw --jtw-tools-repo {}", worker.url());
    let none = universe.run(&there);
    assert_eq!(none.code, Some(3), "{none}");
    assert!(
        none.stderr.contains("has no branch `main`") && none.stderr.contains("branch = \"main\""),
        "{none}"
    );
}

#[test]
fn a_worker_is_for_browser_artifacts_only() {
    let universe = TestUniverse::planned("");
    let lines = [
        "batch @list --jtw-tools-repo https://example.org/w",
        "health-check fmt --jtw-tools-repo https://example.org/w",
        "batch @list --with-jtw --jtw-tools-branch main",
        "health-check fmt --with-jtw --jtw-tools-layout opam",
        "batch @list --with-jtw --jtw-tools-repo https://example.org/w --jtw-tools-layout dune",
    ];
    let all: Vec<String> = lines
        .iter()
        .map(|line| {
            let ended = universe.run(line);
            assert_eq!(ended.code, Some(2), "{ended}");
            ended.to_string()
        })
        .collect();
    assert_snapshot!(all.join("\n"));
}
