//! The demo universe with a worker whose tree is a repository of opam packages.

use std::path::Path;

use super::{REPOSITORY, assert_nothing_ran, demo, realise, set, token, with};
use crate::support::{self, TestUniverse, skip};

const LIBRARY: &str = "build/toplevel-worker.1.0";
const PROGRAM: &str = "build/toplevel-worker-bin.dev";
const TOOLS: &str = "jtw-tools/ocaml.5.4.1";
const SITE: &str = "assembly/demo";

/// The demo universe with such a tree, realised once. Nothing when what its packages are built in cannot
/// be had.
fn with_worker_repository() -> Option<TestUniverse> {
    let universe = demo()?;
    let repository = Path::new(REPOSITORY);
    support::copy_linked(&repository.join("tests/fixtures/worker-repository"), &universe.path("tree"));
    support::copy_linked(&repository.join("recipes/jtw-tools/worker"), &universe.path("tree/worker"));
    universe.edit("[output]", "[tools]\npath = \"tree\"\nlayout = \"opam\"\n\n[output]");
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
    let path = universe.path("tree").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = change(&text);
    assert_ne!(changed, text);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(path, changed).unwrap();
}

#[test]
fn a_worker_made_of_opam_packages_is_built_and_a_change_runs_what_it_reaches() {
    let Some(universe) = with_worker_repository() else { return };
    assert_nothing_ran(&realise(&universe, "-o site"));
    let compilers = std::fs::read_dir(universe.path("site/compiler/5.4.1")).unwrap();
    let compiler = compilers.map(|entry| entry.unwrap().path()).next().expect("one worker");
    for file in ["worker.js", "lib/ocaml/stdlib.cmi", "lib/ocaml/stdlib.cma.js"] {
        assert!(compiler.join(file).exists(), "{file}");
    }

    // Version control, dune and opam may leave there what they like.
    universe.write("tree/.git/HEAD", &token());
    universe.write("tree/_build/log", &token());
    assert_nothing_ran(&realise(&universe, ""));

    // All packages have the tree as their source; the program comes out as it was.
    let comment = |text: &str| format!("{text}(* {} *)\n", token());
    change(&universe, "bin/jtw.ml", comment);
    let changed = realise(&universe, "");
    assert_eq!(with(&changed, "built"), set(&[LIBRARY, PROGRAM]), "{changed}");
    assert_eq!(with(&changed, "cutoff"), set(&[TOOLS, SITE]), "{changed}");

    // The first package installs this file; the worker comes out as it was.
    change(&universe, "worker/worker.ml", comment);
    let changed = realise(&universe, "");
    assert_eq!(with(&changed, "built"), set(&[LIBRARY, PROGRAM, TOOLS]), "{changed}");
    assert_eq!(with(&changed, "cutoff"), set(&[SITE]), "{changed}");

    let known = "messages must be JSON texts, not objects";
    change(&universe, "worker/worker.ml", |text| text.replace(known, &token()));
    let changed = realise(&universe, "");
    assert_eq!(with(&changed, "built"), set(&[LIBRARY, PROGRAM, TOOLS, SITE]), "{changed}");
    assert_eq!(with(&changed, "cutoff"), set(&[]), "{changed}");

    change(&universe, "bin/jtw.ml", |text| text.replace("if asked.worker then", "if false then"));
    let failed = universe.run("realise universe.toml --locked --offline");
    assert_eq!(failed.code, Some(1), "{failed}");
    assert!(failed.stderr.contains("worker.js"), "{failed}");
    let log = universe.run(&format!("log universe.toml {TOOLS} --locked --offline")).success().stdout;
    assert!(log.contains("made no out/worker.js"), "{log}");
}
