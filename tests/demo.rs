//! The demo universe: what runs again after a change, and what does not.
//!
//! `JTWBUILD_DEMO_STORE` names a store in which `universe.toml` was realised; `tests/run changes`
//! sets it. Set to nothing, it says that another step runs these tests.

#[path = "demo/branch.rs"]
mod branch;
mod support;
#[path = "demo/worker_repository.rs"]
mod worker_repository;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use support::{Ended, TestUniverse, skip};

/// Where this repository is.
const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// The store of the demo universe, if there is one.
#[track_caller]
fn demo_store() -> Option<PathBuf> {
    let Some(store) = std::env::var_os("JTWBUILD_DEMO_STORE") else {
        skip("JTWBUILD_DEMO_STORE names no store with the demo universe");
        return None;
    };
    if store.is_empty() {
        return None;
    }
    Some(Path::new(REPOSITORY).join(store))
}

/// A copy of the demo universe and of its store, if there is one.
#[track_caller]
fn demo() -> Option<TestUniverse> {
    let store = demo_store()?;
    Some(TestUniverse::copied(&Path::new(REPOSITORY).join("universe.toml"), &store))
}

/// Realises the universe without a network and with the versions of its lock.
#[track_caller]
fn realise(universe: &TestUniverse, more: &str) -> Ended {
    universe.run(&format!("realise universe.toml --locked --offline --json {more}")).success()
}

/// The nodes with this outcome.
fn with(ended: &Ended, outcome: &str) -> BTreeSet<String> {
    ended.outcomes().into_iter().filter(|(_, word)| word == outcome).map(|(id, _)| id).collect()
}

#[track_caller]
fn assert_nothing_ran(ended: &Ended) {
    let others: Vec<_> = ended.outcomes().into_iter().filter(|(_, word)| word != "reused").collect();
    assert_eq!(others, [], "{ended}");
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// A word that the store has never seen.
fn token() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("change-{}-{}", std::process::id(), now.as_nanos())
}

#[test]
fn realised_again_nothing_runs_and_the_site_is_there() {
    let Some(universe) = demo() else { return };
    // Once with everything looked at, then with the memo that this leaves.
    for _ in 0..2 {
        let again = realise(&universe, "-o site");
        assert_nothing_ran(&again);
        assert!(universe.path("site/universe.json").exists() || universe.path("site/u").exists());
        std::fs::remove_dir_all(universe.path("site")).unwrap();
    }
}

#[test]
fn a_comment_in_a_package_recipe_rebuilds_that_package_and_cuts_off_everything_after_it() {
    let Some(universe) = demo() else { return };
    let recipe = include_str!("../recipes/packages/fmt/0.9.0.toml");
    let (before, _) = recipe.split_once("[build]").expect("the recipe says how fmt is built");
    let command = "exec ocaml pkg/pkg.ml build --dev-pkg false --with-base-unix true --with-cmdliner true";
    let build = format!(
        "[build]\nsystem = \"topkg\"\ncommands = [[\"sh\", \"-euc\", \"# {}\\n{command}\"]]\n",
        token()
    );
    universe.write("recipes/packages/fmt/0.9.0.toml", &format!("{before}{build}"));
    let changed = realise(&universe, "");
    assert_eq!(with(&changed, "built"), set(&["build/fmt.0.9.0"]), "{changed}");
    let cut_off = with(&changed, "cutoff");
    assert!(cut_off.contains("jtw/fmt.0.9.0") && cut_off.len() > 1, "{changed}");
    let all = changed.outcomes().len();
    assert_eq!(with(&changed, "reused").len() + cut_off.len() + 1, all, "{changed}");
    let said =
        format!(": {all} nodes: 1 built, {} reused, {} cut off", all - 1 - cut_off.len(), cut_off.len());
    assert!(changed.stderr.contains(&said), "{said}\n{}", changed.stderr);
    assert_nothing_ran(&realise(&universe, ""));
}

/// The demo universe with a worker of its own, which is a copy of the built-in one.
fn with_own_worker() -> Option<TestUniverse> {
    let universe = demo()?;
    support::copy_linked(&Path::new(REPOSITORY).join("recipes/jtw-tools/worker"), &universe.path("worker"));
    universe.edit("[output]", "[tools]\npath = \"worker\"\n\n[output]");
    assert_nothing_ran(&realise(&universe, ""));
    Some(universe)
}

/// Replaces a file of the worker, which is linked with the one of the repository.
fn change_worker(universe: &TestUniverse, change: impl Fn(&str) -> String) {
    let path = universe.path("worker/worker.ml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(path, change(&text)).unwrap();
}

#[test]
fn a_changed_worker_rebuilds_the_tools_and_the_assembly_only() {
    let Some(universe) = with_own_worker() else { return };
    let known = "messages must be JSON texts, not objects";
    let token = token();
    change_worker(&universe, |text| {
        assert!(text.contains(known));
        text.replace(known, &token)
    });
    let changed = realise(&universe, "-o site");
    let built = with(&changed, "built");
    let kinds: BTreeSet<&str> = built.iter().filter_map(|id| id.split('/').next()).collect();
    assert_eq!(kinds, BTreeSet::from(["assembly", "compressed", "jtw-tools"]), "{changed}");
    assert!(built.len() == 3 && built.contains("compressed/jtw-tools"), "{changed}");
    assert_eq!(with(&changed, "cutoff"), set(&[]), "{changed}");
}

#[test]
fn a_comment_in_the_worker_rebuilds_the_tools_and_nothing_else() {
    let Some(universe) = with_own_worker() else { return };
    let token = token();
    change_worker(&universe, |text| format!("{text}(* {token} *)\n"));
    let changed = realise(&universe, "");
    let built = with(&changed, "built");
    assert_eq!(built.len(), 1, "{changed}");
    assert!(built.iter().all(|id| id.starts_with("jtw-tools/")), "{changed}");
    assert_eq!(with(&changed, "cutoff"), set(&["assembly/demo", "compressed/jtw-tools"]), "{changed}");
}

#[test]
fn a_built_package_can_be_looked_at() {
    let Some(universe) = demo() else { return };
    let shown = universe.run("show universe.toml build/fmt.0.9.0 --locked --offline").success().stdout;
    for line in [
        "status     success",
        "input      base/ocaml",
        "input      source/fmt.0.9.0",
        "output     store/trees/",
    ] {
        assert!(shown.contains(line), "no `{line}` in\n{shown}");
    }
    for name in ["fmt.0.9.0", "fmt"] {
        let log = universe.run(&format!("log universe.toml {name} --locked --offline"));
        assert_eq!(log.code, Some(3), "source, build and jtw have that name: {log}");
        assert!(log.stderr.contains("may be any of"), "{log}");
    }
    for name in ["build/fmt.0.9.0", "build/fmt"] {
        let log = universe.run(&format!("log universe.toml {name} --locked --offline")).success();
        assert!(log.stdout.contains("ocamlfind"), "{log}");
    }
}

#[test]
fn every_compiled_interface_of_the_store_can_be_read() {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "cmi") {
                found.push(path);
            }
        }
    }
    let Some(store) = demo_store() else { return };
    let mut paths = Vec::new();
    walk(&store.join("trees"), &mut paths);
    // Trees share their files.
    let mut seen = BTreeSet::new();
    paths.retain(|path| seen.insert(std::fs::metadata(path).unwrap().ino()));
    assert!(paths.len() > 500, "only {} interfaces", paths.len());
    for path in paths {
        let read = jtwbuild::ocaml::Interface::read(&std::fs::read(&path).unwrap());
        assert!(read.is_ok(), "{}: {}", path.display(), read.unwrap_err());
    }
}

/// A recipe of the repository, changed, beside the universe.
fn override_recipe(universe: &TestUniverse, path: &str, from: &str, to: &str) {
    let recipe = std::fs::read_to_string(Path::new(REPOSITORY).join("recipes").join(path)).unwrap();
    assert!(recipe.contains(from), "no `{from}` in {path}");
    universe.write(&format!("recipes/{path}"), &recipe.replacen(from, to, 1));
}

/// The nodes of these kinds that the run knows of.
fn of_kinds(ended: &Ended, kinds: &[&str]) -> BTreeSet<String> {
    let is_one = |id: &String| kinds.iter().any(|kind| id.starts_with(&format!("{kind}/")));
    ended.outcomes().into_iter().map(|(id, _)| id).filter(is_one).collect()
}

/// The nodes after browser layers and the worker: compressed variants, but for the page's, and the site.
fn after_layers(ended: &Ended) -> BTreeSet<String> {
    let mut nodes = of_kinds(ended, &["compressed", "assembly"]);
    assert!(nodes.remove("compressed/page"), "{ended}");
    nodes
}

#[test]
fn another_js_of_ocaml_compiles_all_for_the_browser_again_and_no_package() {
    let Some(universe) = demo() else { return };
    // What a new revision of Debian's package may be: other files, the same compiler.
    let drop = "drop = [\n";
    override_recipe(&universe, "base/js-of-ocaml.toml", drop, "drop = [\n  \"**.mli\",\n");
    let changed = realise(&universe, "-o site");
    let mut expected = of_kinds(&changed, &["jtw", "jtw-tools"]);
    assert!(expected.len() > 10, "{changed}");
    expected.insert("base/js-of-ocaml".into());
    assert_eq!(with(&changed, "built"), expected, "{changed}");
    assert_eq!(with(&changed, "cutoff"), after_layers(&changed), "{changed}");
}

#[test]
fn another_option_of_js_of_ocaml_concerns_browser_layers_and_the_site() {
    let Some(universe) = demo() else { return };
    let script = "if [ $1 = compile ]; then set -- \"$@\" --opt 3; fi; exec js_of_ocaml \"$@\"";
    let command = format!("[\"sh\", \"-euc\", '{script}', \"js_of_ocaml\"]");
    override_recipe(&universe, "jtw.toml", "[\"js_of_ocaml\"]", &command);
    let changed = realise(&universe, "-o site");
    // Layers of a few packages have no JavaScript, and are compressed already.
    let (built, cut_off) = (with(&changed, "built"), with(&changed, "cutoff"));
    let mut expected = of_kinds(&changed, &["jtw"]);
    expected.extend(after_layers(&changed));
    expected.remove("compressed/jtw-tools");
    assert_eq!(built.union(&cut_off).cloned().collect::<BTreeSet<_>>(), expected, "{changed}");
    assert!(built.is_superset(&of_kinds(&changed, &["jtw", "assembly"])), "{changed}");
    assert!(cut_off.iter().all(|id| id.starts_with("compressed/")), "{changed}");
}

#[test]
fn another_compiler_builds_every_package_again_and_equal_outputs_end_there() {
    let Some(universe) = demo() else { return };
    // A base that differs where no output shows it: what comes out is equal, so the site is not made anew.
    override_recipe(
        &universe,
        "base/ocaml.toml",
        "setup = [\n",
        "setup = [\n  [\"touch\", \"/etc/another\"],\n",
    );
    let changed = realise(&universe, "-o site");
    let mut expected = of_kinds(&changed, &["build", "jtw", "jtw-tools"]);
    assert!(expected.len() > 30, "{changed}");
    expected.insert("base/ocaml".into());
    assert_eq!(with(&changed, "built"), expected, "{changed}");
    assert_eq!(with(&changed, "cutoff"), after_layers(&changed), "{changed}");
}
