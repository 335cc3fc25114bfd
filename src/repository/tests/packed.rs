//! Archives and git repositories: the same content as a directory, kept in the store.

use std::fs::{self, File};
use std::path::Path;

use super::{Bench, fixture, index, name, version, versions};
use crate::fetch::tests::repo::git;
use crate::fetch::{Fetcher, Settings};
use crate::repository::{Repositories, RepositoryError};
use crate::store::gc;
use crate::store::roots::{About, Keeps, Maker, Root, RootName, now};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A git repository of the fixture's content with one commit; its id.
fn commit_fixture(bench: &Bench) -> String {
    let at = bench.path("repo");
    copy(&fixture(), &at);
    git(&at, &["init", "-q"]);
    git(&at, &["add", "-A"]);
    git(&at, &["commit", "-qm", "one"]);
    git(&at, &["rev-parse", "HEAD"])
}

fn url(bench: &Bench) -> String {
    format!("git+file://{}", bench.path("repo").display())
}

/// The fixture as a tar archive below a directory of this name, or at the top.
fn tar_fixture(bench: &Bench, file: &str, below: &str) {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(if below.is_empty() { "." } else { below }, fixture()).unwrap();
    let bytes = builder.into_inner().unwrap();
    let file = File::create(bench.path(file)).unwrap();
    let mut encoder = zstd::Encoder::new(file, 3).unwrap();
    std::io::Write::write_all(&mut encoder, &bytes).unwrap();
    encoder.finish().unwrap();
}

fn all(repositories: &Repositories) -> (Vec<u8>, String, usize) {
    let file = repositories.file(&name("builder"), &version("2.1")).unwrap().unwrap();
    let extras = repositories.files(&name("builder"), &version("2.1")).unwrap();
    assert!(extras[1].executable && !extras[0].executable);
    (index(repositories).index.encode(), file.text.to_string(), extras.len())
}

#[test]
fn directory_archive_and_git_of_the_same_content_are_the_same() {
    let bench = Bench::new();
    let commit = commit_fixture(&bench);
    tar_fixture(&bench, "flat.tar.zst", "");
    tar_fixture(&bench, "deep.tar.zst", "opam-repository-0123abc");
    let directory = bench.open(&["repo"]).unwrap();
    let git = bench.open(&[&url(&bench)]).unwrap();
    assert_eq!(git.pins()[0].commit.as_ref().unwrap().as_str(), commit);
    for other in [&git, &bench.open(&["flat.tar.zst"]).unwrap(), &bench.open(&["deep.tar.zst"]).unwrap()] {
        assert_eq!(other.pins()[0].tree, directory.pins()[0].tree);
        assert_eq!(all(other), all(&directory));
        assert_eq!(other.notices(), [""; 0]);
    }
    assert_eq!(versions(&git, "pretty"), ["0.9.0", "1.0"]);
}

#[test]
fn what_is_pinned_comes_from_the_store_when_its_place_is_gone() {
    let bench = Bench::new();
    commit_fixture(&bench);
    tar_fixture(&bench, "r.tar.zst", "");
    for place in [url(&bench).as_str(), "r.tar.zst"] {
        let first = bench.open(&[place]).unwrap();
        let (pin, expected) = (first.pins().remove(0), all(&first));
        drop(first);
        for gone in ["repo", "r.tar.zst"] {
            let _ = fs::rename(bench.path(gone), bench.path(&format!("{gone}-away")));
        }
        for cached in [true, false] {
            if !cached {
                fs::remove_dir_all(bench.store.plans().join("opam")).unwrap();
            }
            let again = bench.open_pinned(&[(place, Some(pin.clone()))]).unwrap();
            assert_eq!(again.pins()[0], pin);
            assert_eq!(all(&again), expected, "{place}, cached: {cached}");
        }
        for gone in ["repo", "r.tar.zst"] {
            let _ = fs::rename(bench.path(&format!("{gone}-away")), bench.path(gone));
        }
    }
}

#[test]
fn a_pin_is_a_commit_and_not_the_branch_that_it_came_from() {
    let bench = Bench::new();
    let first = commit_fixture(&bench);
    let at = bench.path("repo");
    let pin = bench.open(&[&url(&bench)]).unwrap().pins().remove(0);
    // The branch moves, and forgets where it was.
    bench.package("repo", "news", "1", "");
    git(&at, &["add", "-A"]);
    git(&at, &["commit", "-q", "--amend", "-m", "another"]);
    let pinned = bench.open_pinned(&[(&url(&bench), Some(pin.clone()))]).unwrap();
    assert!(versions(&pinned, "news").is_empty());
    let renewed = bench.open(&[&url(&bench)]).unwrap();
    assert_eq!(versions(&renewed, "news"), ["1"]);
    assert_ne!(renewed.pins()[0], pin);
    // In another store, the pinned commit is fetched and nothing else.
    let other = Bench::new();
    let again = other.open_pinned(&[(&url(&bench), Some(pin.clone()))]).unwrap();
    assert_eq!(again.pins(), [pin]);
    // What is written behind `#` is stronger than a pin.
    let wanted = format!("{}#{first}", url(&bench));
    let there = bench.open_pinned(&[(&wanted, Some(renewed.pins().remove(0)))]).unwrap();
    assert_eq!(there.pins()[0].commit.as_ref().unwrap().as_str(), first);
}

#[test]
fn branches_come_before_tags_and_tags_give_their_commits() {
    let bench = Bench::new();
    let first = commit_fixture(&bench);
    let at = bench.path("repo");
    git(&at, &["tag", "-a", "-m", "noted", "noted"]);
    git(&at, &["tag", "both"]);
    git(&at, &["checkout", "-q", "-b", "both"]);
    bench.package("repo", "news", "1", "");
    git(&at, &["add", "-A"]);
    git(&at, &["commit", "-qm", "two"]);
    let second = git(&at, &["rev-parse", "HEAD"]);
    for (name, expected) in [("main", &first), ("noted", &first), ("both", &second)] {
        let opened = bench.open(&[&format!("{}#{name}", url(&bench))]).unwrap();
        assert_eq!(opened.pins()[0].commit.as_ref().unwrap().as_str(), expected, "{name}");
    }
}

/// A repository may bring hooks, attributes, filters, submodules and links: none of them does anything.
#[test]
fn a_git_repository_cannot_make_anything_run_or_be_followed() {
    let bench = Bench::new();
    commit_fixture(&bench);
    let at = bench.path("repo");
    let plain = bench.open(&[&url(&bench)]).unwrap().pins().remove(0);
    let trap = bench.path("trapped");
    let run = format!("#!/bin/sh\ntouch {}\n", trap.display());
    for hook in ["post-checkout", "post-merge", "reference-transaction", "pre-auto-gc", "post-index-change"] {
        let path = at.join(".git/hooks").join(hook);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &run).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    bench.write("repo/.gitattributes", "* filter=evil export-subst ident\n");
    bench.write("repo/.gitmodules", "[submodule \"x\"]\n  path = packages/x\n  url = ext::sh -c touch\n");
    std::os::unix::fs::symlink("/etc/passwd", at.join("packages/pretty/pretty.1.0/passwd")).unwrap();
    git(&at, &["-c", "core.hooksPath=/dev/null", "add", "-A"]);
    git(&at, &["-c", "core.hooksPath=/dev/null", "commit", "-qm", "trap"]);
    let git_settings =
        format!("[filter \"evil\"]\n  smudge = touch {0}\n  clean = touch {0}\n", trap.display());
    fs::write(at.join(".git/config"), git_settings + "[core]\n  repositoryformatversion = 0\n").unwrap();
    let opened = bench.open(&[&url(&bench)]).unwrap();
    assert!(!trap.exists());
    assert_eq!(opened.pins()[0].tree, plain.tree, "nothing of this belongs to the packages");
    assert_eq!(opened.notices().len(), 1, "{:?}", opened.notices());
    assert!(opened.notices()[0].contains("passwd"));
}

#[test]
fn offline_nothing_is_asked_and_what_is_here_is_used() {
    let mut bench = Bench::new();
    bench.fetcher = Fetcher::new(Settings { offline: true, ..Settings::default() });
    commit_fixture(&bench);
    bench.open(&[&url(&bench)]).expect("it is on this machine");
    for place in ["https://h.invalid/r.git", "https://h.invalid/r.tar.gz", "ssh://h.invalid/r"] {
        let error = bench.open(&[place]).unwrap_err();
        assert!(matches!(error, RepositoryError::Offline { .. }), "{error}");
    }
}

#[test]
fn the_collector_keeps_what_a_root_lists_and_takes_the_rest_and_all_caches() {
    let mut bench = Bench::new();
    commit_fixture(&bench);
    let pin = bench.open(&[&url(&bench)]).unwrap().pins().remove(0);
    let mut keeps = Keeps::default();
    keeps.add_tree(&pin.tree);
    let about = About {
        label: "x".into(),
        made_by: Maker::User,
        since: now(),
        universe: None,
        site: None,
        memo: None,
    };
    bench.store.register(&RootName::parse("x").unwrap(), &Root { about, keeps }).unwrap();
    let collect = |bench: &mut Bench| {
        // What this process has used would stay.
        bench.reopen();
        gc::collect(&bench.store, &gc::Options::default(), &mut |_| ()).unwrap()
    };
    index(&bench.open(&[&url(&bench)]).unwrap());
    let report = collect(&mut bench);
    assert_eq!(report.totals[&gc::Kind::Cache].count, 2, "an index and a commit");
    assert!(bench.store.has_tree(&pin.tree));
    index(&bench.open_pinned(&[(&url(&bench), Some(pin.clone()))]).unwrap());
    assert!(bench.store.remove_root("x").unwrap());
    collect(&mut bench);
    assert!(!bench.store.has_tree(&pin.tree));
    assert_eq!(collect(&mut bench).totals.len(), 0);
    // What the lock says is fetched again.
    assert_eq!(bench.open_pinned(&[(&url(&bench), Some(pin.clone()))]).unwrap().pins()[0], pin);
}

#[test]
fn a_run_that_is_stopped_leaves_git() {
    let bench = Bench::new();
    commit_fixture(&bench);
    bench.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(bench.open(&[&url(&bench)]).unwrap_err(), RepositoryError::Stopped));
}
