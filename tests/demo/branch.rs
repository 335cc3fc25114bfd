//! The demo universe with a worker from a followed branch: what a push rebuilds.

use std::collections::BTreeSet;
use std::path::Path;

use super::support::git::Repo;
use super::support::{Ended, TestUniverse};
use super::{REPOSITORY, assert_nothing_ran, demo, set, token, with};

/// The nodes that a push can reach: what fetches the worker, what builds it, what compresses it, and
/// what publishes it.
const SOURCE: &str = "source/jtw-tools";
const TOOLS: &str = "jtw-tools/ocaml.5.4.1";
const COMPRESSED: &str = "compressed/jtw-tools";
const ASSEMBLY: &str = "assembly/demo";

/// The demo universe, whose worker is below `worker` in a repository of its own.
fn follow() -> Option<(TestUniverse, Repo)> {
    let universe = demo()?;
    let repo = Repo::new(universe.path("repository"));
    let built_in = Path::new(REPOSITORY).join("recipes/jtw-tools/worker");
    std::fs::create_dir(repo.path.join("worker")).unwrap();
    for file in std::fs::read_dir(built_in).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), repo.path.join("worker").join(file.file_name())).unwrap();
    }
    repo.commit_file("README.md", "A worker.\n");
    let tools = format!("[tools]\ngit = \"{}\"\nbranch = \"main\"\nsubdir = \"worker\"\n", repo.url());
    universe.edit("[output]", &format!("{tools}\n[output]"));
    Some((universe, repo))
}

#[track_caller]
fn assert_ran(ended: &Ended, built: &[&str], cut_off: &[&str]) {
    assert_eq!(with(ended, "built"), set(built), "{ended}");
    assert_eq!(with(ended, "cutoff"), set(cut_off), "{ended}");
    let others: BTreeSet<String> = ended
        .outcomes()
        .into_iter()
        .map(|(_, outcome)| outcome)
        .filter(|outcome| outcome != "reused")
        .collect();
    assert!(others.iter().all(|outcome| outcome == "built" || outcome == "cutoff"), "{ended}");
}

#[test]
fn a_push_to_the_branch_of_the_worker_runs_what_it_changes_and_nothing_else() {
    let Some((universe, repo)) = follow() else { return };
    let realise = || universe.run("realise universe.toml --json -o site").success();
    // The same worker as the built-in one, from elsewhere.
    assert_ran(&realise(), &[SOURCE], &[TOOLS, COMPRESSED, ASSEMBLY]);
    assert_nothing_ran(&realise());

    repo.commit_file("README.md", "A worker, beside which this file is.\n");
    assert_ran(&realise(), &[SOURCE], &[TOOLS, COMPRESSED, ASSEMBLY]);

    let token = token();
    repo.commit_file("worker/README.md", &token);
    assert_ran(&realise(), &[SOURCE, TOOLS], &[COMPRESSED, ASSEMBLY]);

    let path = repo.path.join("worker/worker.ml");
    let worker = std::fs::read_to_string(path).unwrap();
    repo.commit_file("worker/worker.ml", &format!("{worker}(* {token} *)\n"));
    assert_ran(&realise(), &[SOURCE, TOOLS], &[COMPRESSED, ASSEMBLY]);

    let known = "messages must be JSON texts, not objects";
    assert!(worker.contains(known));
    repo.commit_file("worker/worker.ml", &worker.replace(known, &token));
    let changed = realise();
    assert_ran(&changed, &[SOURCE, TOOLS, COMPRESSED, ASSEMBLY], &[]);
    assert!(changed.stderr.contains("branch main of file://"), "{changed}");
    assert_nothing_ran(&realise());

    // Back where it was: everything is known.
    repo.git("reset -q --hard HEAD~3");
    let back = realise();
    assert!(with(&back, "built").is_empty(), "{back}");
}
