//! Files of roots: what is written is read, and nothing else is.

use super::*;

fn sample() -> Root {
    let mut keeps = Keeps::default();
    for byte in [9, 1, 5] {
        keeps.add_tree(&TreeHash::from_bytes([byte; 32]));
        keeps.add_layer(&BuildKey::from_bytes([byte + 1; 32]));
    }
    keeps.add_archive(&Sha256::from_bytes([b'\n'; 32]).into());
    keeps.add_tree(&TreeHash::from_bytes([5; 32]));
    keeps.finish();
    let about = About {
        label: "de\nmo".into(),
        made_by: Maker::Realise,
        since: 1_700_000_000,
        universe: Some("/a \"b\"/universe.toml".into()),
        site: None,
        memo: Some("memo-1".into()),
    };
    Root { about, keeps }
}

#[test]
fn a_root_is_read_as_it_was_written_and_every_damage_is_noticed() {
    let root = sample();
    let bytes = root.write();
    assert_eq!(Root::read(&bytes).unwrap(), root);
    assert_eq!(root.keeps.len(), 3 + 3 + 1);
    for cut in 0..bytes.len() {
        assert!(Root::read(&bytes[..cut]).is_err(), "{cut}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(Root::read(&damaged).is_err(), "{at}");
    }
    let longer = [bytes.as_slice(), b"x"].concat();
    assert!(Root::read(&longer).is_err());
}

#[test]
fn a_root_of_a_later_version_is_told_apart_from_damage() {
    let bytes = String::from_utf8_lossy(&sample().write()).replace("root 1\n", "root 2\n");
    assert!(matches!(Root::read(bytes.as_bytes()), Err(RootError::Newer)));
    assert!(matches!(Root::read(b"something else"), Err(RootError::Damaged)));
}

#[test]
fn only_plain_names_are_names() {
    for name in ["a", "release-1", "A.b_c", "0", &"x".repeat(100)] {
        assert!(RootName::parse(name).is_some(), "{name}");
    }
    for name in ["", ".", "..", ".hidden", "-x", "a/b", "a b", "ä", "a\0", "a\n", &"x".repeat(101)] {
        assert!(RootName::parse(name).is_none(), "{name:?}");
    }
    for label in ["demo", "", "../../etc", "- ü", "--x", &"y".repeat(300)] {
        let name = RootName::of_command(label, b"settings");
        assert_eq!(RootName::parse(name.as_str()), Some(name));
    }
    assert_ne!(RootName::of_command("a", b"1"), RootName::of_command("a", b"2"));
}

#[test]
fn registering_the_same_again_writes_nothing_and_keeps_the_date() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let name = RootName::parse("name").unwrap();
    assert!(store.about_root(&name).is_none());
    let root = sample();
    store.register(&name, &root).unwrap();
    assert_eq!(store.about_root(&name), Some(root.about.clone()));
    let watch = disk::faults::watch(store.root());
    let mut later = root.clone();
    later.about.since += 100;
    store.register(&name, &later).unwrap();
    assert_eq!(watch.count(), 0);
    later.keeps.archives.clear();
    store.register(&name, &later).unwrap();
    assert!(watch.count() > 0);
    let read = store.root_named("name").unwrap().unwrap();
    assert_eq!((read.about.since, read.keeps), (root.about.since, later.keeps));
}

#[test]
fn a_damaged_root_is_replaced_by_the_next_run() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let name = RootName::parse("name").unwrap();
    store.register(&name, &sample()).unwrap();
    let path = store.root().join("roots/name");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(store.about_root(&name).is_none());
    assert!(store.root_named("name").is_err());
    store.register(&name, &sample()).unwrap();
    assert_eq!(store.root_named("name").unwrap().unwrap(), sample());
}

#[test]
fn only_what_is_below_roots_can_be_removed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    for name in ["", ".", "..", "../format", "/", "a/b", "nothing"] {
        assert!(!store.remove_root(name).unwrap(), "{name}");
    }
    std::os::unix::fs::symlink("../format", store.root().join("roots/link")).unwrap();
    assert!(store.remove_root("link").unwrap());
    assert!(store.root().join("format").exists());
}

#[test]
fn archives_of_every_kind_are_known_by_their_paths_and_touched_when_let_go() {
    use crate::source::checksum::{Checksum, KINDS};
    use std::time::{Duration, SystemTime};
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let name = RootName::parse("name").unwrap();
    for kind in KINDS {
        let digits = match kind {
            "sha256" => 64,
            "sha512" => 128,
            _ => 32,
        };
        let sum = Checksum::from_hex(kind, &"ab12".repeat(digits / 4)).unwrap();
        let path = store.archive_path(&sum);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "x").unwrap();
        let keeps = store.thing_at(&path).unwrap();
        assert_eq!(keeps.archives, [sum.id()]);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        let mut root = sample();
        root.keeps = keeps;
        store.register(&name, &root).unwrap();
        assert!(store.remove_root("name").unwrap());
        let touched = std::fs::metadata(&path).unwrap().modified().unwrap();
        // Everything of a store has the same time; what counts is when that was set.
        assert_ne!(touched, long_ago, "{kind}");
        std::fs::remove_file(path).unwrap();
    }
    assert!(store.thing_at(&store.root().join("archives/sha1/aa/aa")).is_none());
}
