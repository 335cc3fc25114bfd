//! Sources that are commits of git repositories: what is followed, what is asked when, what runs after a
//! push, and what is said when a commit cannot be had.

use insta::assert_snapshot;

use crate::support::git::{FileServer, Repo};
use crate::support::{Ended, TestUniverse};

/// A node with what is in `source`, and one that needs it.
fn nodes(source: &str) -> String {
    format!(
        "name = \"git\"\n\n[[node]]\nname = \"copy\"\nsource = {{ {source} }}\n\
         script = \"cp /src/* $out\"\n\n[[node]]\nname = \"count\"\ninputs = [\"copy\"]\n\
         script = \"ls /in/copy > $out/names\"\n"
    )
}

/// A repository with one commit, and a universe beside it whose node has `more` of it as its source.
#[track_caller]
fn follow(more: &str) -> Option<(TestUniverse, Repo)> {
    let universe = TestUniverse::buildable("")?;
    let repo = Repo::new(universe.path("repo"));
    repo.commit_file("part/file", "one\n");
    universe.write("universe.toml", &nodes(&format!("git = \"{}\"{more}", repo.url())));
    Some((universe, repo))
}

/// The nodes that did anything, with what they did.
#[track_caller]
fn ran(ended: &Ended) -> Vec<String> {
    let outcomes = ended.outcomes().into_iter().filter(|(_, outcome)| outcome != "reused");
    outcomes.map(|(id, outcome)| format!("{id} {outcome}")).collect()
}

/// Without what is different in every run.
fn told(universe: &TestUniverse, ended: &Ended) -> String {
    ended.to_string().replace(universe.directory().to_str().unwrap(), "<here>")
}

/// The lines that say that something moved.
fn moves(ended: &Ended) -> Vec<&str> {
    ended.stderr.lines().filter(|line| line.contains(" moved: ")).collect()
}

#[test]
fn a_push_to_a_followed_branch_rebuilds_what_it_changes_and_moves_the_lock() {
    let Some((universe, repo)) = follow(", branch = \"main\", subdir = \"part\"") else { return };
    let first = universe.run("realise universe.toml --json").success();
    assert_eq!(ran(&first), ["source/copy built", "node/copy built", "node/count built"]);
    let again = universe.run("realise universe.toml --json").success();
    assert_eq!(ran(&again), [""; 0]);
    // Nothing that matters.
    repo.commit_file("README", "read me");
    let cut_off = universe.run("realise universe.toml --json").success();
    assert_eq!(ran(&cut_off), ["source/copy built", "node/copy cutoff", "node/count cutoff"]);
    // Another content of the same names.
    repo.commit_file("part/file", "two\n");
    let content = universe.run("realise universe.toml --json").success();
    assert_eq!(ran(&content), ["source/copy built", "node/copy built", "node/count built"]);
    repo.commit_file("part/more", "");
    let ended = universe.run("realise universe.toml -j 1").success();
    assert_snapshot!(told(&universe, &ended));
    assert_eq!(universe.leftovers(), [""; 0]);
    let lock = std::fs::read_to_string(universe.path("universe.lock")).unwrap();
    let entry = lock.split("\n\n").find(|entry| entry.starts_with("[[git]]")).unwrap();
    let head = repo.git("rev-parse HEAD");
    assert_eq!(entry, format!("[[git]]\nurl = \"{}\"\nbranch = \"main\"\ncommit = \"{head}\"", repo.url()));
    // A history that is written anew is followed like any other.
    repo.rewrite();
    let rewritten = universe.run("realise universe.toml --json").success();
    assert_eq!(ran(&rewritten), ["source/copy built", "node/copy cutoff", "node/count cutoff"]);
}

#[test]
fn a_run_without_changes_asks_the_server_once_and_a_plan_follows_too() {
    let Some((universe, repo)) = follow("") else { return };
    let server = FileServer::of(&repo.path.join(".git"));
    // A second source of the same repository.
    let other = format!(
        "[[node]]\nname = \"other\"\nscript = \"cp -r /src/* $out\"\nsource = {{ git = \"{}\" }}\n",
        server.url()
    );
    let first = nodes(&format!("git = \"{}\", branch = \"main\", subdir = \"part\"", server.url()));
    universe.write("universe.toml", &(first + &other));
    universe.run("realise universe.toml").success();
    let question = ["info/refs", "HEAD"];
    server.asked();
    for _ in 0..2 {
        let again = universe.run("realise universe.toml --json").success();
        assert_eq!(ran(&again), [""; 0]);
        assert_eq!(server.asked(), question);
    }
    // From now on the whole way is taken, which does not ask again.
    repo.commit_file("part/file", "two\n");
    let moved = universe.run("plan universe.toml").success();
    assert_eq!(moves(&moved).len(), 2, "{moved}");
    assert!(moved.stdout.contains("build   source/copy"), "{moved}");
    assert_eq!(server.asked(), question);
    universe.run("realise universe.toml").success();
    let asked = server.asked();
    assert_eq!(asked[..2], question);
    let fetches = asked.iter().filter(|path| *path == "info/refs").count() - 1;
    // Two nodes, each of which tries to get the commit alone before it takes the branch.
    assert!((2..=4).contains(&fetches), "{asked:?}");
    // What is to be obeyed is not asked about.
    for how in ["--locked", "--offline", "--locked --offline"] {
        let obeyed = universe.run(&format!("realise universe.toml --json {how}")).success();
        assert_eq!((ran(&obeyed), server.asked().len()), (vec![], 0), "{how}");
    }
}

#[test]
fn without_a_network_the_lock_and_the_store_are_enough() {
    let Some((universe, repo)) = follow(", branch = \"main\", subdir = \"part\"") else { return };
    universe.run("realise universe.toml").success();
    repo.commit_file("part/file", "two\n");
    std::fs::rename(&repo.path, universe.path("away")).unwrap();
    let offline = universe.run("realise universe.toml --json --offline").success();
    assert_eq!(ran(&offline), [""; 0]);
    let locked = universe.run("realise universe.toml --json --locked").success();
    assert_eq!(ran(&locked), [""; 0]);
    let gone = universe.run("realise universe.toml");
    assert_eq!(gone.code, Some(3), "{gone}");
    assert!(gone.stderr.contains("`--locked` uses the last known commit "), "{gone}");
    // Where the store has it not, the run says so.
    std::fs::remove_dir_all(universe.path("store/plans")).unwrap();
    std::fs::remove_dir_all(universe.path("store/layers")).unwrap();
    std::fs::remove_dir_all(universe.path("store/trees")).unwrap();
    universe.write(
        "universe.toml",
        &nodes("git = \"http://127.0.0.1:1/r\", rev = \"0123456789012345678901234567890123456789\""),
    );
    let ended = universe.run("realise universe.toml --offline -j 1");
    assert!(ended.stderr.contains("source/copy failed: commit 0123456789"), "{ended}");
    assert!(ended.stderr.contains("run without `--offline` once"), "{ended}");
}

#[test]
fn a_tag_stays_where_it_was_until_update_moves_it_and_a_commit_is_never_asked_about() {
    let Some((universe, repo)) = follow(", tag = \"v1\", subdir = \"part\"") else { return };
    repo.git("tag -a -m one v1");
    let before = repo.git("rev-parse HEAD");
    universe.run("realise universe.toml").success();
    repo.commit_file("part/file", "two\n");
    repo.git("tag -f -a -m two v1");
    let again = universe.run("realise universe.toml --json").success();
    assert_eq!((ran(&again), moves(&again)), (vec![], vec![]));
    universe.edit("ls /in/copy", "ls  /in/copy");
    let changed = universe.run("realise universe.toml --json").success();
    assert_eq!(ran(&changed), ["node/count built"]);
    let updated = universe.run("update universe.toml").success();
    let from_to = [before, repo.git("rev-parse HEAD")].map(|commit| commit[..12].to_owned()).join(" → ");
    assert_eq!(moves(&updated), [format!("tag v1 of {} moved: {from_to}", repo.url())]);
    let moved = universe.run("realise universe.toml --json").success();
    assert_eq!(ran(&moved), ["source/copy built", "node/copy built", "node/count built"]);

    let commit = repo.git("rev-parse HEAD");
    universe.edit("tag = \"v1\"", &format!("rev = \"{commit}\""));
    std::fs::rename(&repo.path, universe.path("away")).unwrap();
    // It is the commit that the tag has come to, and nobody need be asked for it.
    let written = universe.run("realise universe.toml --json").success();
    assert_eq!(ran(&written), [""; 0]);
    let lock = std::fs::read_to_string(universe.path("universe.lock")).unwrap();
    assert!(!lock.contains("[[git]]"), "{lock}");
}

#[test]
fn a_pinned_commit_that_was_lost_is_told_with_what_can_be_done() {
    let Some((universe, repo)) = follow(", branch = \"main\", subdir = \"part\"") else { return };
    universe.run("plan universe.toml").success();
    universe.run("update universe.toml").success();
    repo.rewrite();
    let lost = universe.run("realise universe.toml --locked -j 1");
    assert_eq!(lost.code, Some(4), "{lost}");
    let text = told(&universe, &lost);
    let said = text.lines().find(|line| line.contains("has no commit")).unwrap_or_default();
    // The rest of the line is what this git says of it.
    assert!(said.contains("`file://<here>/repo` has no commit"), "{text}");
    assert!(text.contains("source/copy failed: commit "), "{text}");
    assert!(text.contains("somebody has rewritten the branch"), "{text}");
    // Nothing of it is remembered.
    universe.run("realise universe.toml").success();
}

#[test]
fn what_is_in_a_commit_and_cannot_be_built_from_is_a_verdict() {
    let Some((universe, repo)) = follow(", branch = \"main\"") else { return };
    repo.commit_file("data.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    assert_snapshot!(told(&universe, &universe.run("realise universe.toml -j 1")));
    repo.git("rm -q data.bin");
    universe.edit("branch = \"main\"", "branch = \"main\", subdir = \"prat\"");
    repo.commit();
    assert_snapshot!("no such subdir", told(&universe, &universe.run("realise universe.toml -j 1")));
}

#[test]
fn names_and_servers_that_are_not_there() {
    let universe = TestUniverse::planned("");
    let repo = Repo::new(universe.path("repo"));
    repo.commit();
    // URLs with ports of five digits: they are as long in every run.
    let there = FileServer::of(&repo.path.join(".git"));
    let html = FileServer::always("200 OK", "<!doctype html><title>A repository</title>");
    let nothing = FileServer::always("404 Not Found", "");
    let closed = FileServer::always("401 Unauthorized", "");
    let servers = [(&there, "<url>"), (&html, "<html>"), (&nothing, "<nothing>"), (&closed, "<closed>")];
    let refused = |url: &str, more: &str| {
        universe.write("universe.toml", &nodes(&format!("git = \"{url}\"{more}")));
        let text = universe.run("plan universe.toml").to_string();
        let text = servers.iter().fold(text, |text, (server, word)| text.replace(&server.url(), word));
        without_words_of_git(&text)
    };
    assert_snapshot!("no such branch", refused(&there.url(), ", branch = \"mian\""));
    assert_snapshot!("no such tag", refused(&there.url(), ", tag = \"v1\""));
    assert_snapshot!("no repository", refused(&nothing.url(), ""));
    assert_snapshot!("a web page", refused(&html.url(), ""));
    assert_snapshot!("forbidden", refused(&closed.url(), ""));
    let nobody = "http://127.0.0.1:1/r";
    assert_snapshot!("unreachable", refused(nobody, ""));
    universe.write("universe.toml", &nodes(&format!("git = \"{nobody}\", branch = \"main\"")));
    assert_snapshot!("offline without a lock", universe.run("plan universe.toml --offline"));
    assert_snapshot!("not in the lock", universe.run("plan universe.toml --locked"));
    // With a lock there is a way out.
    let lock = std::fs::read_to_string(universe.path("universe.lock")).unwrap();
    let commit = "0123456789".repeat(4);
    let entry = format!("[[git]]\nurl = \"{nobody}\"\nbranch = \"main\"\ncommit = \"{commit}\"\n");
    universe.write("universe.lock", &lock.replacen("\n[", &format!("\n{entry}\n["), 1));
    assert_snapshot!("unreachable with a lock", refused(nobody, ", branch = \"main\""));
}

/// What git itself says depends on its version.
fn without_words_of_git(text: &str) -> String {
    let mut kept = String::new();
    let mut in_words = false;
    for line in text.lines() {
        let ours = ["could not be reached: ", "is not a git repository: ", "may not be read: "];
        if let Some(at) = ours.iter().find_map(|ours| Some(line.find(ours)? + ours.len())) {
            kept += &line[..at];
            kept += "[git]\n";
            in_words = true;
        } else if !in_words || !line.starts_with("  | ") {
            in_words = false;
            kept += line;
            kept.push('\n');
        }
    }
    kept
}

#[test]
fn every_place_that_names_something_that_is_not_there_is_told_at_once() {
    let server = FileServer::always("404 Not Found", "");
    let universe = TestUniverse::planned("");
    let node = |name: &str| {
        let source = format!("{{ git = \"{}\" }}", server.url());
        format!("[[node]]\nname = \"{name}\"\nsource = {source}\nscript = \"true\"\n")
    };
    universe.write("more.toml", &node("included").replace("/r\"", "/other\""));
    universe.write(
        "universe.toml",
        &format!("name = \"x\"\ninclude = [{{ path = \"more.toml\" }}]\n{}", node("n")),
    );
    let text = universe.run("plan universe.toml").to_string();
    assert!(text.contains("[universe.toml:5:18]") && text.contains("[more.toml:3:18]"), "{text}");
}

#[test]
fn a_package_recipe_can_follow_a_branch() {
    let universe = TestUniverse::planned(
        "name = \"x\"\ncompiler = \"ocaml.5.4.1\"\npackages = [\"mine\"]\nsite = false\n",
    );
    let repo = Repo::new(universe.path("repo"));
    let commit = repo.commit();
    let recipe = |more: &str| {
        let source = format!("[source]\ngit = \"{}\"\n{more}", repo.url());
        let recipe =
            format!("description = \"d\"\ndepends = [\"ocaml\"]\n{source}\n[build]\nsystem = \"none\"\n");
        universe.write("recipes/packages/mine/1.toml", &recipe);
    };
    recipe("branch = \"main\"");
    let followed = universe.run("plan universe.toml --json").success();
    recipe(&format!("rev = \"{commit}\""));
    // A branch is the commit that it stands for, and nothing else of it is in the plan.
    assert_eq!(universe.run("plan universe.toml --json").success().stdout, followed.stdout);
    assert!(followed.stdout.contains("\"source/mine.1\""), "{followed}");
    repo.commit_file("a", "");
    recipe("branch = \"main\"");
    assert_ne!(universe.run("plan universe.toml --json").success().stdout, followed.stdout);
    recipe("branch = \"nothing\"");
    let refused = universe.run("plan universe.toml");
    assert!(refused.stderr.contains("[recipes/packages/mine/1.toml:5:10]"), "{refused}");
}
