//! What the store promises about crashes: the same small work is done with the process killed, with
//! the power cut, with errors and with panics at every step, and the store is looked at afterwards.

mod caches;
mod contention;
mod door;
mod errors;
mod kill;
mod model;
mod power;
mod remove;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{self, MTIME};
use super::facts::{Fact, Facts};
use super::key::{BuildKey, PlanKey};
use super::layer::{LayerRecord, Status};
use super::tree::{BlobHash, LinkTarget, Node, RelPath, Tree, TreeHash};
use super::{Store, StoreError, staging};

/// A directory for a test's store: in memory where that is possible, because there are thousands.
fn place() -> tempfile::TempDir {
    let in_memory = tempfile::Builder::new().prefix("jtwbuild-store-").tempdir_in("/dev/shm");
    in_memory.unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// How much more than usual is tried, in the long variant of the tests.
fn rounds(usual: usize) -> usize {
    if std::env::var_os("JTWBUILD_LONG").is_some() { usual * 20 } else { usual }
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

fn key(number: u8) -> BuildKey {
    BuildKey::from_bytes([number; 32])
}

const LOG: &[u8] = b"what the builder printed\n";

/// The two trees of [`work`]: a small one, whose parts are flushed one by one, and one that is large
/// enough for a flush of the file system and a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Size {
    Small,
    Large,
}

fn files_of(size: Size) -> Vec<(String, Vec<u8>, bool)> {
    let long = vec![b'7'; 140_000];
    let mut files = vec![
        ("bin/tool".to_owned(), b"#!/bin/sh\n".to_vec(), true),
        ("lib/text".to_owned(), vec![b'x'; 5000], false),
    ];
    match size {
        Size::Small => files.push(("lib/long".to_owned(), long, false)),
        Size::Large => files.extend((0..7).map(|number| {
            let bytes = format!("file {number} of many");
            (format!("d{number}/e/f"), bytes.into_bytes(), false)
        })),
    }
    files
}

/// Takes a tree in.
fn put(store: &Arc<Store>, size: Size) -> Result<TreeHash, StoreError> {
    let staging = store.stage()?;
    let mut tree = Tree::default();
    for (name, bytes, executable) in files_of(size) {
        let file = staging.add(&mut &bytes[..], executable)?;
        tree.insert(&path(&name), Node::File(file)).unwrap();
    }
    tree.insert(&path("link"), Node::Link(LinkTarget::new(b"nowhere/at/all").unwrap())).unwrap();
    tree.insert(&path("empty"), Node::Directory(Arc::default())).unwrap();
    for number in 0..if size == Size::Large { 12 } else { 0 } {
        let target = LinkTarget::new(b"f").unwrap();
        tree.insert(&path(&format!("links/{number}")), Node::Link(target)).unwrap();
    }
    staging.publish(&tree)
}

/// The same without a store: what its name has to be.
fn expected(size: Size) -> TreeHash {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(directory.path()).unwrap());
    put(&store, size).unwrap()
}

fn record(number: u8, tree: TreeHash) -> LayerRecord {
    LayerRecord {
        package: "x".into(),
        kind: "build".into(),
        status: Status::Success,
        error: None,
        failure: None,
        failed_tries: 0,
        build_key: key(number),
        tree: Some(tree),
        started: 0,
        seconds: 0.5,
        document: serde_json::json!({ "format": 1 }),
    }
}

/// What a run does: trees, their layers, facts, a cache, and the flush at its end.
fn work(root: &Path) -> Result<(), StoreError> {
    let store = Arc::new(Store::open(root)?);
    let facts = Facts::load(&store.plans().join("facts"));
    for (number, size) in [(1, Size::Small), (2, Size::Large)] {
        let tree = put(&store, size)?;
        // The first was tried before, and failed: the second record takes the place of the first.
        for status in [Status::Failure, Status::Success].into_iter().skip(usize::from(number - 1)) {
            let draft = store.draft_layer(&Store::layer_id("build", &key(number)))?;
            disk::write_all(&mut draft.log()?, &draft.log_path(), LOG)?;
            draft.publish(&LayerRecord { status, ..record(number, tree) })?;
        }
        facts.remember(&PlanKey::from_bytes([number; 32]), Fact { build: key(number), tree })?;
    }
    store.write_whole(&store.plans().join("cache"), b"a cache")?;
    drop(facts);
    store.flush_names()
}

/// What is in the store at `root`, if all of it is whole; else what is wrong.
fn look(root: &Path) -> Result<Contents, String> {
    let store = Store::open(root).map_err(|error| format!("it cannot be opened: {error}"))?;
    let names = |what: &str| -> Result<Vec<PathBuf>, String> {
        let listed = fs::read_dir(root.join(what)).map_err(|error| format!("{what}: {error}"))?;
        Ok(listed.map(|entry| entry.unwrap().path()).collect())
    };
    let mut contents = Contents::default();
    for tree in names("trees")? {
        let name = tree.file_name().unwrap().to_str().unwrap();
        let hash = TreeHash::from_hex(name).ok_or_else(|| format!("trees/{name}: a strange name"))?;
        look_at_tree(&store, &tree, &hash).map_err(|wrong| format!("trees/{name}: {wrong}"))?;
        contents.trees.insert(hash);
    }
    for fan in names("files")? {
        for file in names(&format!("files/{}", fan.file_name().unwrap().to_str().unwrap()))? {
            let (fan, name) = (fan.file_name().unwrap(), file.file_name().unwrap());
            let name = format!("{}{}", fan.to_str().unwrap(), name.to_str().unwrap());
            look_at_file(&file, &name).map_err(|wrong| format!("files/{name}: {wrong}"))?;
        }
    }
    for id in store.layers().map_err(|error| error.to_string())? {
        look_at_layer(&store, &id).map_err(|wrong| format!("layers/{id}: {wrong}"))?;
        contents.layers.insert(id);
    }
    let facts = Facts::load(&store.plans().join("facts"));
    for (number, size) in [(1, Size::Small), (2, Size::Large)] {
        let fact = facts.planned(&PlanKey::from_bytes([number; 32]));
        let right = Fact { build: key(number), tree: expected_once(size) };
        if fact.is_some_and(|fact| fact != right) {
            return Err(format!("fact {number} is wrong"));
        }
    }
    drop(store);
    // A program that another test is just starting may still have our descriptors, and their locks.
    for _ in 0..500 {
        let store = Store::open(root).map_err(|error| error.to_string())?;
        store.scratch().map_err(|error| format!("no scratch space: {error}"))?;
        drop(store);
        if names("tmp")?.is_empty() {
            return Ok(contents);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Err(format!("left behind: {:?}", names("tmp")?))
}

/// The names that a store has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Contents {
    trees: BTreeSet<TreeHash>,
    layers: BTreeSet<String>,
}

impl Contents {
    /// What [`work`] leaves.
    fn whole() -> Self {
        Self {
            trees: [Size::Small, Size::Large].into_iter().map(expected_once).collect(),
            layers: [1, 2].into_iter().map(|number| Store::layer_id("build", &key(number))).collect(),
        }
    }

    fn is_part_of(&self, other: &Self) -> bool {
        self.trees.is_subset(&other.trees) && self.layers.is_subset(&other.layers)
    }
}

fn expected_once(size: Size) -> TreeHash {
    static KNOWN: std::sync::OnceLock<[TreeHash; 2]> = std::sync::OnceLock::new();
    KNOWN.get_or_init(|| [expected(Size::Small), expected(Size::Large)])[size as usize]
}

fn look_at_tree(store: &Store, at: &Path, hash: &TreeHash) -> Result<(), String> {
    let on_disk = staging::scan(at).map_err(|error| error.to_string())?;
    if on_disk.hash() != *hash {
        return Err(format!("holds {}", on_disk.hash()));
    }
    let known = store.tree(hash).map_err(|error| error.to_string())?;
    if *known != on_disk {
        return Err("another tree than its manifest".to_owned());
    }
    known.walk(&mut |path, node| {
        let whole = at.join(path.to_string());
        let metadata = fs::symlink_metadata(&whole).map_err(|error| error.to_string())?;
        let Node::File(file) = node else { return Ok(()) };
        if metadata.mtime() != MTIME {
            return Err(format!("{path}: its time is {}", metadata.mtime()));
        }
        let bytes = store.read(file).map_err(|error| format!("{path}: {error}"))?;
        let is_right = BlobHash::from_bytes(*blake3::hash(&bytes).as_bytes()) == file.blob;
        if is_right { Ok(()) } else { Err(format!("{path}: the pool has other bytes")) }
    })
}

fn look_at_file(at: &Path, name: &str) -> Result<(), String> {
    let bytes = fs::read(at).map_err(|error| error.to_string())?;
    let hex = BlobHash::from_bytes(*blake3::hash(&bytes).as_bytes()).to_hex();
    let is_executable = fs::metadata(at).unwrap().permissions().mode() & 0o111 != 0;
    let right = format!("{hex}{}", if is_executable { ".x" } else { "" });
    if name == right { Ok(()) } else { Err(format!("holds {} bytes of {right}", bytes.len())) }
}

fn look_at_layer(store: &Store, id: &str) -> Result<(), String> {
    let record = store.layer(id).map_err(|error| error.to_string())?.ok_or("has no record")?;
    if Store::layer_id(&record.kind, &record.build_key) != id {
        return Err("records another key".to_owned());
    }
    let log = store.log_path(id).and_then(|path| fs::read(path).ok()).ok_or("has no log")?;
    if log == LOG { Ok(()) } else { Err(format!("its log has {} bytes", log.len())) }
}
