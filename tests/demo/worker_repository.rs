//! The demo universe with a worker whose tree is a repository of opam packages.

use std::path::Path;

use super::{REPOSITORY, assert_nothing_ran, demo, realise, set, token, with};
use crate::support::git::Repo;
use crate::support::{self, COMPILER_PACKAGES, TestUniverse, skip};

const LIBRARY: &str = "build/toplevel-worker.1.0";
const PROGRAM: &str = "build/toplevel-worker-bin.dev";
const TOOLS: &str = "jtw-tools/ocaml.5.4.1";
const COMPRESSED: &str = "compressed/jtw-tools";
const SITE: &str = "assembly/demo";

/// The demo universe with such a tree at `tree`, which its `[tools]` table names with `source`, realised
/// once. `prepare` is called when the tree is there. Nothing when what its packages are built in cannot be
/// had.
fn with_worker_repository(source: &str, prepare: impl Fn(&TestUniverse)) -> Option<TestUniverse> {
    let universe = demo()?;
    let repository = Path::new(REPOSITORY);
    support::copy_linked(&repository.join("tests/fixtures/worker-repository"), &universe.path("tree/ocaml"));
    support::copy_linked(&repository.join("recipes/jtw-tools/worker"), &universe.path("tree/ocaml/worker"));
    let here = universe.directory().to_str().unwrap();
    let tools = format!("[tools]\n{}\nlayout = \"opam\"\n", source.replace("HERE", here));
    universe.edit("[output]", &format!("{tools}\n[output]"));
    prepare(&universe);
    // The base of opam's builds is not in the demo's lock, and may not be in its store.
    let first = universe.run("realise universe.toml --json");
    if first.code == Some(4) {
        skip(&format!("the base of opam packages cannot be had: {first}"));
        return None;
    }
    let outcomes = first.success().outcomes();
    for node in [LIBRARY, PROGRAM, TOOLS] {
        assert!(outcomes.iter().any(|(id, _)| id == node), "{node}: {outcomes:?}");
    }
    let libraries = outcomes.iter().filter(|(id, _)| id.starts_with("jtw/"));
    let again: Vec<_> = libraries.filter(|(_, outcome)| outcome != "reused").collect();
    assert_eq!(again, Vec::<&(String, String)>::new(), "libraries do not depend on the worker");
    Some(universe)
}

/// Replaces a file of the tree, which is linked with one of the repository.
fn change(universe: &TestUniverse, file: &str, change: impl Fn(&str) -> String) {
    let path = universe.path("tree/ocaml").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = change(&text);
    assert_ne!(changed, text);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(path, changed).unwrap();
}

#[test]
fn a_worker_made_of_opam_packages_is_built_and_a_change_runs_what_it_reaches() {
    let Some(universe) = with_worker_repository("path = \"tree/ocaml\"", |_| ()) else { return };
    assert_nothing_ran(&realise(&universe, "-o site"));
    let compilers = std::fs::read_dir(universe.path("site/compiler/5.4.1")).unwrap();
    let compiler = compilers.map(|entry| entry.unwrap().path()).next().expect("one worker");
    for file in ["worker.js", "lib/ocaml/stdlib.cmi", "lib/ocaml/stdlib.cma.js"] {
        assert!(compiler.join(file).exists(), "{file}");
    }

    // Version control, dune and opam may leave there what they like.
    universe.write("tree/ocaml/.git/HEAD", &token());
    universe.write("tree/ocaml/_build/log", &token());
    assert_nothing_ran(&realise(&universe, ""));

    // All packages have the tree as their source; the program comes out as it was.
    let comment = |text: &str| format!("{text}(* {} *)\n", token());
    change(&universe, "bin/jtw.ml", comment);
    let changed = realise(&universe, "");
    assert_eq!(with(&changed, "built"), set(&[LIBRARY, PROGRAM]), "{changed}");
    assert_eq!(with(&changed, "cutoff"), set(&[TOOLS, COMPRESSED, SITE]), "{changed}");

    // The first package installs this file; the worker comes out as it was.
    change(&universe, "worker/worker.ml", comment);
    let changed = realise(&universe, "");
    assert_eq!(with(&changed, "built"), set(&[LIBRARY, PROGRAM, TOOLS]), "{changed}");
    assert_eq!(with(&changed, "cutoff"), set(&[COMPRESSED, SITE]), "{changed}");

    let known = "messages must be JSON texts, not objects";
    change(&universe, "worker/worker.ml", |text| text.replace(known, &token()));
    let changed = realise(&universe, "");
    assert_eq!(with(&changed, "built"), set(&[LIBRARY, PROGRAM, TOOLS, COMPRESSED, SITE]), "{changed}");
    assert_eq!(with(&changed, "cutoff"), set(&[]), "{changed}");

    change(&universe, "bin/jtw.ml", |text| text.replace("if asked.worker then", "if false then"));
    let failed = universe.run("realise universe.toml --locked --offline");
    assert_eq!(failed.code, Some(1), "{failed}");
    assert!(failed.stderr.contains("worker.js"), "{failed}");
    let log = universe.run(&format!("log universe.toml {TOOLS} --locked --offline")).success().stdout;
    assert!(log.contains("made no out/worker.js"), "{log}");
}

#[test]
fn a_push_to_the_branch_of_such_a_tree_is_followed() {
    let repo = |universe: &TestUniverse| Repo::new(universe.path("tree"));
    let source = "git = \"file://HERE/tree\"\nbranch = \"main\"\nsubdir = \"ocaml\"";
    let prepare = |universe: &TestUniverse| drop(repo(universe).commit());
    let Some(universe) = with_worker_repository(source, prepare) else { return };
    let repo = repo(&universe);
    let realise = || universe.run("realise universe.toml --json").success();
    assert_nothing_ran(&realise());

    // Beside the tree. The source was fetched while the universe was read.
    repo.commit_file("README.md", &token());
    assert_nothing_ran(&realise());

    change(&universe, "bin/jtw.ml", |text| format!("{text}(* {} *)\n", token()));
    repo.commit();
    let pushed = realise();
    assert_eq!(with(&pushed, "built"), set(&[LIBRARY, PROGRAM]), "{pushed}");
    assert_eq!(with(&pushed, "cutoff"), set(&[TOOLS, COMPRESSED, SITE]), "{pushed}");
    assert!(pushed.stderr.contains("branch main of file://"), "{pushed}");
    assert_nothing_ran(&realise());
}

#[test]
fn a_batch_is_made_with_the_worker_of_such_a_repository() {
    let prepare = |universe: &TestUniverse| drop(Repo::new(universe.path("tree/ocaml")).commit());
    let Some(universe) = with_worker_repository("path = \"tree/ocaml\"", prepare) else { return };
    for package in COMPILER_PACKAGES.into_iter().chain(["mine.1"]) {
        let name = package.split('.').next().unwrap();
        let fields = if name == "mine" { "depends: [\"ocaml\"]\n" } else { "" };
        let place = format!("repo/packages/{name}/{package}/opam");
        universe.write(&place, &format!("opam-version: \"2.0\"\n{fields}"));
    }
    let repository = universe.path("tree/ocaml");
    let command = format!(
        "batch --opam-repository repo --with-jtw --jtw-output site --jtw-tools-repo file://{} mine",
        repository.display()
    );
    // The bases are those of the demo's lock, and not what a mirror has today.
    assert_eq!(universe.run(&format!("{command} --offline --dry-run")).code, Some(4));
    let batches = std::fs::read_dir(universe.path("store/batch")).unwrap();
    let batch = batches.map(|entry| entry.unwrap().path()).next().expect("one batch");
    std::fs::copy(universe.path("universe.lock"), batch.join("universe.lock")).unwrap();

    let ended = universe.run(&command).success();
    assert!(ended.stdout.contains("success           mine.1"), "{ended}");
    let workers = || std::fs::read_dir(universe.path("site/compiler/5.4.1")).unwrap().count();
    assert_eq!(workers(), 1);
    let again = universe.run(&command).success();
    assert!(again.stderr.contains(" reused") && !again.stderr.contains(" built"), "{again}");

    change(&universe, "worker/worker.ml", |text| {
        text.replace("messages must be JSON texts, not objects", &token())
    });
    Repo { path: repository }.commit();
    let pushed = universe.run(&command).success();
    assert!(pushed.stderr.contains("built jtw-tools/"), "{pushed}");
    // Those that were published stay.
    assert_eq!(workers(), 2, "{pushed}");
}
