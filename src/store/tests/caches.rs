//! Caches that are lost or damaged, stores of other versions, and sources that do not keep still.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rand::{RngCore, SeedableRng, rngs::StdRng};

use super::{Contents, LOG, Size, expected_once, files_of, look, place, put, rounds, work};
use crate::store::disk::faults;
use crate::store::facts::{Fact, Facts};
use crate::store::key::{BuildKey, PlanKey};
use crate::store::tree::TreeHash;
use crate::store::{Store, StoreError};

/// What may be found where a cache was: nothing, less, nonsense, an older and a newer version, a
/// directory, a file that may not be read.
fn spoil(at: &Path, how: usize, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let bytes = fs::read(at).unwrap_or_default();
    let mut noise = vec![0; 1 + usize::try_from(random.next_u32() % 5000).unwrap()];
    random.fill_bytes(&mut noise);
    match how {
        0 => fs::remove_file(at).unwrap(),
        1 => {
            fs::write(at, &bytes[..usize::try_from(random.next_u64()).unwrap() % (bytes.len() + 1)]).unwrap();
        }
        2 => fs::write(at, noise).unwrap(),
        3 => fs::write(at, [&b"jtwbuild facts 0"[..], &bytes].concat()).unwrap(),
        4 => fs::write(at, [&b"jtwbuild facts 9"[..], &noise].concat()).unwrap(),
        5 => fs::write(at, [&bytes, &noise[..]].concat()).unwrap(),
        6 => {
            let mut bytes = bytes;
            let at_byte = usize::try_from(random.next_u64()).unwrap() % bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at_byte) {
                *byte ^= 1 << (random.next_u32() % 8);
            }
            fs::write(at, bytes).unwrap();
        }
        _ => {
            fs::remove_file(at).unwrap();
            fs::create_dir(at).unwrap();
        }
    }
}

const KINDS: usize = 8;

#[test]
fn caches_in_any_state_are_made_again_and_never_believed() {
    let mut tried = 0;
    for round in 0..rounds(5) {
        for how in 0..KINDS {
            let directory = place();
            let root = directory.path().join("store");
            work(&root).unwrap();
            let manifest = root.join("manifests").join(expected_once(Size::Large).to_hex());
            assert!(manifest.exists());
            for cache in [&root.join("plans/facts"), &manifest] {
                spoil(cache, how, round as u64 * 100 + how as u64);
                tried += 1;
            }
            let is_directory = how == KINDS - 1;
            if is_directory {
                // Nobody but a person makes that: it is told, and not passed over.
                let hash = expected_once(Size::Large);
                let error = Store::open(&root).unwrap().tree(&hash).unwrap_err();
                assert!(matches!(error, StoreError::Io { .. }), "{error}");
                fs::remove_dir(&manifest).unwrap();
                fs::remove_dir(root.join("plans/facts")).unwrap();
            }
            // Cut at a record's end or away, they are just fewer.
            let is_damaged = Facts::load(&root.join("plans/facts")).is_damaged();
            assert!(is_damaged || matches!(how, 0 | 1 | 7), "{how}");
            assert_eq!(look(&root).unwrap(), Contents::whole(), "{how}");
            work(&root).unwrap();
            let facts = Facts::load(&root.join("plans/facts"));
            for (number, size) in [(1, Size::Small), (2, Size::Large)] {
                let fact = facts.planned(&PlanKey::from_bytes([number; 32]));
                assert_eq!(fact.map(|fact| fact.tree), Some(expected_once(size)), "{how}");
            }
            let restored = fs::read(&manifest).map(|bytes| crate::store::tree::Tree::decode(&bytes));
            assert_eq!(restored.unwrap().unwrap().hash(), expected_once(Size::Large), "{how}");
        }
    }
    println!("{tried} spoiled caches");
}

/// Whatever bytes there are, a fact is what somebody remembered, or nothing.
#[test]
fn facts_with_any_byte_changed_are_right_or_nothing() {
    let directory = place();
    let path = directory.path().join("facts");
    let fact = |number: u8| Fact {
        build: BuildKey::from_bytes([number + 1; 32]),
        tree: TreeHash::from_bytes([number + 2; 32]),
    };
    let facts = Facts::load(&path);
    for number in [3, 80, 160] {
        facts.remember(&PlanKey::from_bytes([number; 32]), fact(number)).unwrap();
    }
    drop(facts);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for flip in [1, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            fs::write(&path, &bytes).unwrap();
            let facts = Facts::load(&path);
            for number in [3, 80, 160] {
                let found = facts.planned(&PlanKey::from_bytes([number; 32]));
                assert!(found.is_none_or(|found| found == fact(number)), "byte {at}");
            }
        }
    }
}

#[test]
fn store_of_a_newer_version_is_refused_by_name_and_not_touched() {
    let directory = place();
    let root = directory.path().join("store");
    work(&root).unwrap();
    let own = fs::read(root.join("format")).unwrap();
    for format in ["jtwbuild store 2\n", "jtwbuild store 0\n", "", "\0\0\0\0", "something else entirely"] {
        fs::write(root.join("format"), format).unwrap();
        let watch = faults::watch(directory.path());
        let error = Store::open(&root).unwrap_err();
        assert!(matches!(&error, StoreError::Format { found, .. } if found == format.trim()), "{error:?}");
        assert_eq!(watch.count(), 0, "{:?}", watch.records());
    }
    fs::write(root.join("format"), own).unwrap();
    assert_eq!(look(&root).unwrap(), Contents::whole());
}

#[test]
fn facts_of_keys_that_begin_alike_are_not_confused() {
    let directory = place();
    let path = directory.path().join("facts");
    let plan = |last: u8| {
        let mut bytes = [7; 32];
        bytes[31] = last;
        bytes
    };
    let tree = TreeHash::from_bytes([1; 32]);
    let fact = Fact { build: BuildKey::from_bytes(plan(1)), tree };
    Facts::load(&path).remember(&PlanKey::from_bytes(plan(1)), fact).unwrap();
    let facts = Facts::load(&path);
    assert_eq!(facts.planned(&PlanKey::from_bytes(plan(1))), Some(fact));
    assert_eq!(facts.planned(&PlanKey::from_bytes(plan(2))), None);
    assert_eq!(facts.built(&BuildKey::from_bytes(plan(1))), Some(tree));
    assert_eq!(facts.built(&BuildKey::from_bytes(plan(2))), None);
}

#[test]
fn tree_whose_manifest_is_lost_and_whose_bytes_are_others_is_damaged() {
    let directory = place();
    let root = directory.path().join("store");
    work(&root).unwrap();
    for size in [Size::Small, Size::Large] {
        let store = Store::open(&root).unwrap();
        let hash = expected_once(size);
        fs::write(store.tree_path(&hash).join("lib/text"), "other bytes").unwrap();
        let _ = fs::remove_file(root.join("manifests").join(hash.to_hex()));
        let error = store.tree(&hash).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    }
}

/// Each layer is a file of its own: one that cannot be read is told, and the others are as they were.
#[test]
fn record_that_cannot_be_read_is_damage_and_no_panic() {
    let directory = place();
    let root = directory.path().join("store");
    work(&root).unwrap();
    let store = Store::open(&root).unwrap();
    let ids = store.layers().unwrap();
    let record = store.layer_path(&ids[0]).join("layer.json");
    let whole = fs::read(&record).unwrap();
    for cut in 0..whole.len() - 1 {
        fs::write(&record, &whole[..cut]).unwrap();
        let error = store.layer(&ids[0]).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "cut at {cut}: {error}");
    }
    assert!(store.layer(&ids[1]).unwrap().is_some());
    assert_eq!(fs::read(store.log_path(&ids[0]).unwrap()).unwrap(), LOG);
}

#[test]
fn file_lost_from_the_pool_is_given_back_by_a_tree_that_has_it() {
    let directory = place();
    let root = directory.path().join("store");
    work(&root).unwrap();
    for fan in fs::read_dir(root.join("files")).unwrap() {
        fs::remove_dir_all(fan.unwrap().path()).unwrap();
    }
    let tree = Store::open(&root).unwrap().tree(&expected_once(Size::Small)).unwrap();
    let store = Arc::new(Store::open(&root).unwrap());
    for (_, file) in tree.files() {
        assert_eq!(store.read(&file).unwrap().len() as u64, file.size);
        assert!(store.present_file(&file).unwrap().exists());
    }
    // Bytes that are not what their name says are not given back.
    for fan in fs::read_dir(root.join("files")).unwrap() {
        fs::remove_dir_all(fan.unwrap().path()).unwrap();
    }
    for (name, ..) in files_of(Size::Small) {
        for size in [Size::Small, Size::Large] {
            let at = store.tree_path(&expected_once(size)).join(&name);
            if at.exists() {
                fs::write(at, "other bytes").unwrap();
            }
        }
    }
    let store = Arc::new(Store::open(&root).unwrap());
    for (_, file) in tree.files() {
        assert!(matches!(store.read(&file), Err(StoreError::MissingBlob(blob)) if blob == file.blob));
    }
}

#[test]
fn source_that_changes_while_it_is_copied_is_an_error() {
    let directory = place();
    let source = directory.path().join("source");
    fs::create_dir(&source).unwrap();
    let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
    let file = source.join("large");
    let old = vec![b'o'; 600_000];
    let changes: [(&str, fn(&Path)); 5] = [
        ("longer", |file| {
            use std::io::Write;
            fs::File::options().append(true).open(file).unwrap().write_all(b"more").unwrap();
        }),
        ("shorter", |file| fs::File::options().write(true).open(file).unwrap().set_len(599_000).unwrap()),
        ("other bytes of the same length", |file| fs::write(file, vec![b'n'; 600_000]).unwrap()),
        ("a new name beside it", |file| fs::write(file.with_file_name("new"), "x").unwrap()),
        ("gone", |file| fs::remove_file(file).unwrap()),
    ];
    for (what, change) in changes {
        let _ = fs::remove_dir_all(&source);
        fs::create_dir(&source).unwrap();
        fs::write(&file, &old).unwrap();
        let staging = store.stage().unwrap();
        let (watch, changed) = (faults::watch(store.root()), file.clone());
        // The copy is in the middle of the file then.
        watch.meanwhile(3, move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            change(&changed);
        });
        let added = staging.add_path(&source);
        assert!(watch.count() >= 3);
        drop(watch);
        let error = added.expect_err(what);
        assert!(error.to_string().contains("changed while it was read"), "{what}: {error}");
    }
    // One that keeps still, and the store is as good as new.
    assert!(put(&store, Size::Small).is_ok());
}
