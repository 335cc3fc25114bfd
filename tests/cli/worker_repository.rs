//! Worker's trees that are made of opam packages: what is planned for them, and what is said of trees
//! that cannot be used. `tests/demo/` builds one.

use insta::assert_snapshot;

use crate::support::TestUniverse;
use crate::support::git::Repo;

const UNIVERSE: &str = "name = \"x\"\ncompiler = \"ocaml.5.4.1\"\npackages = [\"str\"]\n\
                        [tools]\npath = \"tree\"\nlayout = \"opam\"\n";

/// A universe whose worker's tree has these opam files.
fn with_tree(files: &[(&str, &str)]) -> TestUniverse {
    let universe = TestUniverse::planned(UNIVERSE);
    universe.write("tree/README.md", "A worker");
    for (path, text) in files {
        universe.write(&format!("tree/{path}"), &format!("opam-version: \"2.0\"\n{text}\n"));
    }
    universe
}

const LIBRARY: (&str, &str) = ("toplevel.opam", "version: \"1.0\"\ndepends: [\"ocaml\" {>= \"5.0\"}]");
const PROGRAM: (&str, &str) =
    ("opam/toplevel-bin.opam", "depends: [\"ocaml\" \"toplevel\" {= \"1.0\"}]\nbuild: [\"true\"]");

#[test]
fn packages_of_a_tree_are_planned_with_the_compiler_and_apart_from_the_rest() {
    let universe = with_tree(&[LIBRARY, PROGRAM]);
    assert_snapshot!(universe.run("plan universe.toml"));
    // The lock pins what the tree needs, and not the tree.
    let updated = universe.run("update universe.toml").success();
    assert!(updated.stderr.contains("for the worker, ocaml-system: 5.4.1 is new"), "{updated}");
    let lock = std::fs::read_to_string(universe.path("universe.lock")).unwrap();
    let pinned: Vec<&str> = lock.split("[[tools.package]]\n").skip(1).collect();
    assert!(pinned.iter().any(|package| package.starts_with("name = \"ocaml-system\"")), "{lock}");
    assert!(!lock.contains("toplevel"), "{lock}");
}

#[test]
fn tree_without_packages() {
    assert_snapshot!(with_tree(&[]).run("realise universe.toml"));
    let universe = with_tree(&[]);
    universe.edit("path = \"tree\"", "path = \"three\"");
    assert_snapshot!("no tree", universe.run("realise universe.toml"));
}

#[test]
fn opam_files_of_a_tree_that_cannot_be_read() {
    let bad = ("toplevel.opam", "depends: [\"ocaml\" {>= 5.0}]\nbuild: [make]");
    let worse = ("toplevel-bin.opam", "depends: [ \"toplevel\"");
    assert_snapshot!(with_tree(&[bad, worse]).run("realise universe.toml"));
}

#[test]
fn packages_that_a_tree_does_not_have() {
    let universe = with_tree(&[LIBRARY, PROGRAM]);
    universe.edit("layout = \"opam\"", "layout = \"opam\"\npackages = [\"toplevel-bim\"]");
    assert_snapshot!(universe.run("realise universe.toml"));
}

#[test]
fn dependency_of_a_tree_that_nobody_has() {
    let needy = ("toplevel.opam", "version: \"1.0\"\ndepends: [\"ocaml\" \"yojson\" {>= \"2.0\"}]");
    let universe = with_tree(&[needy, PROGRAM]);
    assert_snapshot!(universe.run("realise universe.toml"));
    universe.write("repo/packages/yojson/yojson.1.7.0/opam", "opam-version: \"2.0\"\n");
    universe.write("repo/packages/ocaml/ocaml.5.4.1/opam", "opam-version: \"2.0\"\n");
    for part in ["bigarray", "domains", "effects", "nnp", "threads", "unix"] {
        let place = format!("repo/packages/base-{part}/base-{part}.base/opam");
        universe.write(&place, "opam-version: \"2.0\"\n");
    }
    universe.edit("packages = [\"str\"]\n", "packages = []\n[[repository]]\nopam = \"repo\"\n");
    assert_snapshot!("only an older one", universe.run("realise universe.toml"));
}

#[test]
fn only_packages_that_are_asked_for_are_built_and_the_tree_hides_other_versions() {
    let other = (
        "toplevel-unix.opam",
        "depends: [\"lwt\"]\npin-depends: [[\"lwt.dev\" \"git+https://example.org/lwt.git\"]]",
    );
    let universe = with_tree(&[LIBRARY, PROGRAM, other]);
    universe.edit("layout = \"opam\"", "layout = \"opam\"\npackages = [\"toplevel-bin\"]");
    let ended = universe.run("plan universe.toml").success();
    let planned = &ended.stdout;
    assert!(planned.contains("build/toplevel.1.0") && !planned.contains("toplevel-unix"), "{planned}");
    let notice = "notice: `tree/toplevel-unix.opam`: `pin-depends` is not followed";
    assert!(ended.stderr.contains(notice), "{ended}");
}

#[test]
fn settings_that_do_not_go_with_a_layout() {
    let universe = with_tree(&[LIBRARY]);
    universe.edit("layout = \"opam\"", "layout = \"dune\"");
    assert_snapshot!(universe.run("plan universe.toml"));
    universe.edit("layout = \"dune\"", "packages = [\"toplevel\"]");
    assert_snapshot!("packages", universe.run("plan universe.toml"));
}

/// Opam files of a commit have to be known before there is a plan: the commit is fetched for it, once.
#[test]
fn tree_that_is_a_commit_is_fetched_to_plan_its_packages() {
    let universe = TestUniverse::planned(UNIVERSE);
    let repo = Repo::new(universe.path("repo"));
    let refused = |arguments: &str, code, why: &str| {
        let ended = universe.run(arguments);
        assert_eq!(ended.code, Some(code), "{ended}");
        assert!(ended.stderr.contains("jtwbuild::tools::source") && ended.stderr.contains(why), "{ended}");
    };
    let source = format!("git = \"{}\"\nbranch = \"main\"\nsubdir = \"ocaml\"", repo.url());
    universe.edit("path = \"tree\"", &source);
    repo.write("README.md", "Nothing here");
    repo.commit();
    refused("plan universe.toml", 3, "there is no directory `ocaml`");

    for (path, text) in [LIBRARY, PROGRAM] {
        repo.write(&format!("ocaml/{path}"), &format!("opam-version: \"2.0\"\n{text}\n"));
    }
    repo.commit();
    let planned = universe.run("plan universe.toml").success().stdout;
    let fetched = planned.lines().find(|line| line.contains("source/jtw-tools")).unwrap_or_default();
    assert!(fetched.starts_with("reuse"), "{planned}");
    assert!(
        planned.contains("build/toplevel.1.0") && planned.contains("build/toplevel-bin.dev"),
        "{planned}"
    );
    // Once known, the repository is not needed.
    universe.run("update universe.toml").success();
    std::fs::rename(&repo.path, universe.path("elsewhere")).unwrap();
    universe.run("plan universe.toml --locked --offline").success();
    std::fs::rename(universe.path("elsewhere"), &repo.path).unwrap();

    let lost = "0".repeat(40);
    universe.edit("branch = \"main\"", &format!("rev = \"{lost}\""));
    refused("plan universe.toml", 4, "could not be fetched");
    universe.edit(&format!("rev = \"{lost}\""), "branch = \"main\"");

    let commit = repo.commit_file("ocaml/toplevel.opam", "opam-version: \"2.0\"\ndepends: [ocaml\n");
    let broken = universe.run("plan universe.toml").to_string();
    let broken = broken.replace(universe.directory().to_str().unwrap(), "<here>");
    assert_snapshot!("broken in a commit", broken.replace(&commit[..12], "<commit>"));
}

/// What the recipe has in the place of an opam.
#[test]
fn questions_about_a_switch_are_answered_and_nothing_else_is_done() {
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/recipes/jtw-tools-opam/opam.sh");
    let answer = |arguments: &str| {
        let mut command = std::process::Command::new("sh");
        command.arg(recipe).args(arguments.split_whitespace());
        command.env("OPAM_SWITCH_PREFIX", "/opt/jtw").env("OPAMROOT", "/opt").env("OPAMSWITCH", "jtw");
        let output = command.output().unwrap();
        let text = String::from_utf8(if output.status.success() { output.stdout } else { output.stderr });
        text.unwrap().trim().to_owned()
    };
    for (question, expected) in [
        ("switch show", "jtw"),
        ("var prefix", "/opt/jtw"),
        ("var --switch jtw prefix", "/opt/jtw"),
        ("var prefix --switch=jtw", "/opt/jtw"),
        ("config var lib", "/opt/jtw/lib"),
        ("var fmt:share", "/opt/jtw/share/fmt"),
        ("exec -- echo -n a --switch b", "a --switch b"),
        ("exec --switch jtw -- echo x", "x"),
        ("exec echo -- y", "-- y"),
        ("--version", "2.5.2"),
    ] {
        assert_eq!(answer(question), expected, "opam {question}");
    }
    assert!(answer("env").contains("OPAM_SWITCH_PREFIX='/opt/jtw'; export OPAM_SWITCH_PREFIX;"));
    for refused in ["install fmt", "switch create x", "var unknown", "exec", "pin add x ."] {
        assert!(answer(refused).starts_with("opam: "), "opam {refused}: {}", answer(refused));
    }
}
