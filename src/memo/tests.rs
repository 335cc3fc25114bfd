//! Tests of what memos see, of their files, and of tables.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;
use crate::bytes::seal;
use crate::derivation::{Action, BuildKey, Derivation, Fetch, Holds, Input, Kind, NodeId};
use crate::plan::Plan;
use crate::source::git::{Commit, GitUrl, Question, Reference};
use crate::source::{Archive, Sha256};

/// Well after everything that a test has written.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(60)
}

#[test]
fn memo_holds_until_something_that_was_read_changes() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("sources")).unwrap();
    std::fs::write(at("sources/a"), "1").unwrap();
    std::fs::write(at("lock"), "pins").unwrap();
    let watched = || {
        let mut watched = Watched::default();
        assert!(watched.add(&at("sources"), later()).unwrap());
        assert!(watched.add(&at("recipes"), later()).unwrap());
        watched.add_content(&at("lock"), b"pins");
        watched
    };
    let before = watched();
    assert!(before.is_unchanged());
    std::fs::write(at("sources/b"), "new").unwrap();
    assert!(!before.is_unchanged(), "a file was added");
    let before = watched();
    std::fs::write(at("sources/a"), "2").unwrap();
    assert!(!before.is_unchanged(), "a file was changed");
    let before = watched();
    std::fs::create_dir(at("recipes")).unwrap();
    assert!(!before.is_unchanged(), "something appeared");
    let before = watched();
    std::fs::write(at("lock"), "pins").unwrap();
    assert!(before.is_unchanged(), "written again, but the same");
    std::fs::write(at("lock"), "other").unwrap();
    assert!(!before.is_unchanged());
}

#[test]
fn file_that_changed_during_the_run_is_not_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let begun = SystemTime::now();
    std::fs::write(directory.path().join("a"), "1").unwrap();
    assert!(!Watched::default().add(directory.path(), begun).unwrap());
}

#[test]
fn source_looks_changed_when_anything_in_it_does_or_might_have_during_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let begun = SystemTime::now();
    std::fs::create_dir_all(at("source/below")).unwrap();
    std::fs::write(at("source/below/a"), "1").unwrap();
    std::os::unix::fs::symlink("nowhere", at("source/link")).unwrap();
    let source = |since| Source::new(&at("source"), TreeHash::from_bytes([1; 32]), vec![(0, 0)], since);
    assert!(!source(begun).looks_unchanged(), "too fresh to tell");
    let before = source(later());
    assert!(before.looks_unchanged());
    std::fs::write(at("source/below/a"), "2").unwrap();
    assert!(!before.looks_unchanged(), "a file was changed");
    let before = source(later());
    std::fs::write(at("source/b"), "").unwrap();
    assert!(!before.looks_unchanged(), "a file was added");
    let before = source(later());
    std::fs::remove_file(at("source/link")).unwrap();
    assert!(!before.looks_unchanged(), "a link was removed");
    let before = source(later());
    std::fs::remove_dir_all(at("source")).unwrap();
    assert!(!before.looks_unchanged(), "all is gone");
    assert!(!source(later()).looks_unchanged(), "what is not there looks like nothing");
}

/// A source node and a user's node that has two given trees of the same content.
fn sample() -> (Table, Vec<u8>) {
    let archive = Archive::new(Sha256::from_bytes([4; 32]), vec![]);
    let fetch = Fetch {
        archive,
        holds: Holds::Archive,
        strip: None,
        archive_bytes: 1,
        unpacked_bytes: 2,
        members: 3,
    };
    let mut plan = Plan::default();
    let first = Derivation::new(Kind::Source, "first".into(), &Action::Fetch(fetch.clone()), vec![]);
    plan.add(first);
    let given = Input::Tree(TreeHash::from_bytes([8; 32]));
    let inputs = vec![given, Input::Node(NodeId(0)), given];
    plan.add(Derivation::new(Kind::Node, "second".into(), &Action::Fetch(fetch), inputs));
    let known = (Some(BuildKey::from_bytes([5; 32])), Some(TreeHash::from_bytes([6; 32])));
    Table::new(&plan, [known, (None, None)].into_iter())
}

#[test]
fn table_is_read_as_it_was_written_and_slots_change_one_by_one() {
    let (table, _) = sample();
    let (file, _) = table.clone().seal();
    let mut read = Table::read(file).unwrap();
    assert_eq!(read, table);
    assert_eq!((read.kind(0), read.name(0)), (Kind::Source, "first"));
    assert_eq!((read.kind(1), read.name(1)), (Kind::Node, "second"));
    assert_eq!(read.result(1), (None, None));
    assert_eq!(read.result(0).1, Some(TreeHash::from_bytes([6; 32])));
    let other = TreeHash::from_bytes([9; 32]);
    assert_eq!(read.give(1, 1, &other), None, "it is a node's output");
    assert_eq!(read.give(1, 3, &other), None, "there is no such slot");
    assert_eq!(read.give(2, 0, &other), None, "there is no such node");
    read.give(1, 2, &other).unwrap();
    let inputs: Vec<Input> = read.inputs(1).collect();
    let before = Input::Tree(TreeHash::from_bytes([8; 32]));
    assert_eq!(inputs, [before, Input::Node(NodeId(0)), Input::Tree(other)]);
}

/// Whatever stands in a file with a right checksum, reading it does not panic, nor does using it.
#[test]
fn table_with_any_byte_wrong_is_refused_or_can_be_used() {
    let (file, _) = sample().0.seal();
    let body = &file[..file.len() - WORD];
    let mut refused = 0;
    for at in 0..body.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut wrong = body.to_vec();
            wrong[at] = value;
            match Table::read(seal(wrong)) {
                Some(table) => {
                    for node in 0..table.len() {
                        let _ = (table.name(node).len(), table.kind(node), table.head(node).length);
                        assert!(table.inputs(node).count() < 10);
                    }
                }
                None => refused += 1,
            }
        }
    }
    assert!(refused > 100);
}

#[test]
fn memo_is_recalled_with_its_table_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let place = Place::new(&store, &[("universe", "u".to_owned())].into());
    assert!(place.recall().is_none());
    std::fs::write(directory.path().join("data"), "1").unwrap();
    let mut watched = Watched::default();
    watched.add_content(Path::new("/dev/null"), b"");
    assert!(watched.add(directory.path(), later()).unwrap());
    let source = directory.path().join("data");
    let tree = TreeHash::from_bytes([1; 32]);
    watched.sources.push(Source::new(&source, tree, vec![(1, 0), (1, 2)], later()));
    watched.sources.push(Source::new(Path::new("/nowhere"), tree, vec![], later()));
    let lost = ("node/lost".to_owned(), TreeHash::from_bytes([2; 32]));
    let site = Some((tree, "/site".into()));
    let note = SourceNote {
        name: "a.1".into(),
        checksums: "md5=00".into(),
        from: Some("there".into()),
        substituted: true,
        weak: false,
    };
    let sources = vec![note.clone(), SourceNote { from: None, substituted: false, weak: true, ..note }];
    let made = Made { universe: "u".into(), nodes: 2, targets: vec![lost], site, sources };
    let (table, heads) = sample();
    place.leave(&store, watched.clone(), made.clone(), table.clone(), Some(&heads)).unwrap();
    // Looking at the directory that holds the store sees the memo itself being written.
    assert!(place.recall().is_none());
    let of_nodes = watched.sources;
    let mut watched = Watched::default();
    watched.sources = of_nodes;
    let url = GitUrl::new("https://example.org/r").unwrap();
    for (reference, commit) in [(Reference::Head, "1"), (Reference::Branch("main".into()), "2")] {
        let question = Question { url: url.clone(), reference };
        watched.branches.push((question, Commit::new(&commit.repeat(40)).unwrap()));
    }
    place.leave(&store, watched.clone(), made.clone(), table.clone(), Some(&heads)).unwrap();
    let recalled = place.recall().unwrap();
    assert_eq!((&recalled.memo.watched, &recalled.memo.made), (&watched, &made));
    assert_eq!(recalled.suspects, [1]);
    assert!(!recalled.memo.has_outputs(&store));
    assert_eq!(place.table(&recalled.memo), Some(table.clone()));
    let mut other = table;
    other.give(1, 0, &tree).unwrap();
    place.leave(&store, watched, made, other, None).unwrap();
    assert_eq!(place.table(&recalled.memo), None, "it goes with another memo");
    let settings = BTreeMap::from([("universe", "v".to_owned())]);
    assert!(Place::new(&store, &settings).recall().is_none());
}
