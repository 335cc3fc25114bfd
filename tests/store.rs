//! The store's promises: what is published is complete, equal things are stored once, leftovers
//! and damaged caches are mended.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use jtwbuild::store::key::BuildKey;
use jtwbuild::store::layer::{LayerRecord, Status};
use jtwbuild::store::tree::{File, LinkTarget, Node, RelPath, Tree, TreeHash};
use jtwbuild::store::{Store, StoreError};

fn open(root: &Path) -> Arc<Store> {
    Arc::new(Store::open(&root.join("store")).unwrap())
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

fn publish(store: &Arc<Store>, files: &[(&str, &[u8], bool)]) -> TreeHash {
    let staging = store.stage().unwrap();
    let mut tree = Tree::default();
    for (name, bytes, executable) in files {
        let file = staging.add(&mut &bytes[..], *executable).unwrap();
        tree.insert(&path(name), Node::File(file)).unwrap();
    }
    tree.insert(&path("link"), Node::Link(LinkTarget::new(b"nowhere/at/all").unwrap())).unwrap();
    staging.publish(&tree).unwrap()
}

#[test]
fn published_tree_is_on_disk_as_it_was_given() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let large = vec![7; 1_000_000];
    let hash = publish(&store, &[("bin/tool", b"#!/bin/sh\n", true), ("data/large", &large, false)]);
    let root = store.tree_path(&hash);
    assert_eq!(fs::read(root.join("data/large")).unwrap(), large);
    assert_eq!(fs::read_link(root.join("link")).unwrap(), Path::new("nowhere/at/all"));
    let tool = fs::metadata(root.join("bin/tool")).unwrap();
    assert_eq!(tool.permissions().mode() & 0o777, 0o755);
    assert_eq!(tool.mtime(), 1);
    assert_eq!(jtwbuild::store::staging::scan(&root).unwrap().hash(), hash);
    assert_eq!(open(directory.path()).tree(&hash).unwrap().hash(), hash);
}

#[test]
fn equal_files_of_two_trees_share_their_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let first = publish(&store, &[("a", b"same", false), ("only", b"first", false)]);
    let second = publish(&store, &[("b", b"same", false)]);
    let inode = |hash, name| fs::metadata(store.tree_path(&hash).join(name)).unwrap().ino();
    assert_eq!(inode(first, "a"), inode(second, "b"));
    let third = publish(&store, &[("b", b"same", true)]);
    assert_ne!(inode(third, "b"), inode(second, "b"), "the executable bit belongs to the file");
}

#[test]
fn same_tree_from_many_threads_is_one_tree() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let hashes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..16).map(|_| scope.spawn(|| publish(&store, &[("x/y", b"bytes", false)]))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
    assert_eq!(fs::read_dir(store.root().join("trees")).unwrap().count(), 1);
}

#[test]
fn nothing_but_the_published_stays_behind() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    publish(&store, &[("a", b"1", false)]);
    let abandoned = store.stage().unwrap();
    abandoned.add(&mut &b"never published"[..], false).unwrap();
    drop(abandoned);
    drop(store);
    assert_eq!(fs::read_dir(directory.path().join("store/tmp")).unwrap().count(), 0);
}

#[test]
fn leftovers_of_a_killed_process_are_removed_and_living_ones_kept() {
    let directory = tempfile::tempdir().unwrap();
    let alive = open(directory.path());
    let living = alive.scratch_path("draft").unwrap();
    fs::write(&living, "in use").unwrap();
    let leftover = directory.path().join("store/tmp/999999-0");
    fs::create_dir_all(leftover.join("work/closed")).unwrap();
    fs::set_permissions(leftover.join("work"), fs::Permissions::from_mode(0o000)).unwrap();
    open(directory.path()).scratch().unwrap();
    assert!(!leftover.exists());
    assert!(living.exists());
}

#[test]
fn lost_or_damaged_manifest_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..30).map(|number| format!("a/{number}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_bytes(), false)).collect();
    let hash = publish(&open(directory.path()), &files);
    let manifest = directory.path().join("store/manifests").join(hash.to_hex());
    fs::remove_file(&manifest).unwrap();
    assert_eq!(open(directory.path()).tree(&hash).unwrap().hash(), hash);
    fs::write(&manifest, b"damaged").unwrap();
    assert_eq!(open(directory.path()).tree(&hash).unwrap().hash(), hash);
    assert_ne!(fs::read(&manifest).unwrap(), b"damaged");
}

#[test]
fn trees_that_take_long_to_read_have_manifests() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let large = vec![7; 1_000_000];
    let many: Vec<String> = (0..30).map(|number| format!("a/{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), &b"x"[..], false)).collect();
    for (files, has_manifest) in
        [(&many[..], true), (&[("large", &large[..], false)], true), (&many[..2], false)]
    {
        let hash = publish(&store, files);
        assert_eq!(store.root().join("manifests").join(hash.to_hex()).exists(), has_manifest);
    }
}

#[test]
fn executable_bit_may_be_set_after_the_bytes_were_added() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let staging = store.stage().unwrap();
    let file = staging.add_bytes(b"program", false).unwrap();
    let mut tree = Tree::default();
    tree.insert(&path("bin/it"), Node::File(File { executable: true, ..file })).unwrap();
    tree.insert(&path("lib/it"), Node::File(file)).unwrap();
    assert_eq!(staging.read(&File { executable: true, ..file }).unwrap(), b"program");
    let hash = staging.publish(&tree).unwrap();
    let published = jtwbuild::store::staging::scan(&store.tree_path(&hash)).unwrap();
    assert_eq!(published, tree);
}

#[test]
fn tree_without_its_bytes_is_not_published() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let other = tempfile::tempdir().unwrap();
    let foreign = open(other.path());
    let hash = publish(&foreign, &[("a", b"bytes of another store", false)]);
    let tree = foreign.tree(&hash).unwrap();
    let error = store.stage().unwrap().publish(&tree).unwrap_err();
    assert!(matches!(error, StoreError::MissingBlob(_)), "{error}");
    assert!(!store.has_tree(&hash));
}

#[test]
fn store_of_another_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    fs::write(directory.path().join("store/format"), "jtwbuild store 99\n").unwrap();
    let error = Store::open(&directory.path().join("store")).unwrap_err();
    assert!(error.to_string().contains("jtwbuild store 99"), "{error}");
}

fn record(key: BuildKey, status: Status) -> LayerRecord {
    LayerRecord {
        package: "x".into(),
        kind: "build".into(),
        status,
        error: None,
        failure: None,
        build_key: key,
        tree: None,
        started: 0,
        seconds: 0.5,
        failed_tries: 0,
        document: serde_json::json!({ "format": 1 }),
    }
}

#[test]
fn failure_may_be_replaced_and_success_not() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let key = BuildKey::from_bytes([9; 32]);
    let id = Store::layer_id("build", &key);
    for status in [Status::Failure, Status::Success, Status::Failure] {
        store.draft_layer(&id).unwrap().publish(&record(key, status)).unwrap();
    }
    assert_eq!(store.layer(&id).unwrap().unwrap().status, Status::Success);
    assert_eq!(store.layers().unwrap(), [id]);
}

#[test]
fn second_holder_of_a_build_lock_is_told_whom_it_waits_for() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (open(directory.path()), open(directory.path()));
    let key = BuildKey::from_bytes([3; 32]);
    let held = first.lock_build(&key, &mut |_| unreachable!("nobody else has it")).unwrap().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut wait = |holder: jtwbuild::store::lock::Holder| tell.send(holder.process).is_ok();
            assert!(second.lock_build(&key, &mut wait).unwrap().unwrap().was_waited_for);
        });
        assert_eq!(told.recv().unwrap(), std::process::id());
        assert!(!waiter.is_finished());
        drop(held);
    });
}

#[test]
fn a_store_can_be_made_by_many_at_once() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("store");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let store = Store::open(&root).unwrap();
                    store.scratch_path("x").unwrap();
                });
            }
        });
    }
}
