//! A real store of a few trees, layers and archives, for damaging.

mod damage;
mod healing;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256 as Hasher};
use tempfile::TempDir;

use super::*;
use crate::source::{Checksum, Sha256};
use crate::store::facts::{Fact, Facts};
use crate::store::key::PlanKey;
use crate::store::layer::{LayerRecord, Status};
use crate::store::tree::{BlobHash, LinkTarget, Node, RelPath};

/// The bytes of a file that both trees share.
const SHARED: &str = "shared by all";

pub(super) struct Scene {
    directory: TempDir,
    pub store: Arc<Store>,
    /// A tree with a manifest, and one that is too small for it.
    pub big: TreeHash,
    pub small: TreeHash,
    pub big_layer: String,
    pub archive: Checksum,
}

/// A document, its members in the order in which they are hashed.
#[derive(Clone, Serialize)]
struct Document {
    format: u32,
    action: &'static str,
    inputs: Vec<TreeHash>,
}

fn key_of(head: &[u8], inputs: &[TreeHash]) -> BuildKey {
    let mut hasher = blake3::Hasher::new();
    hasher.update(head);
    for input in inputs {
        hasher.update(input.as_bytes());
    }
    BuildKey::from_bytes(*hasher.finalize().as_bytes())
}

impl Scene {
    pub fn new() -> Self {
        // Where flushing costs nothing, if there is such a place.
        let memory = Path::new("/dev/shm");
        let directory = TempDir::new_in(memory).or_else(|_| TempDir::new()).unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        let small = tree(&store, 1);
        let big = tree(&store, 30);
        layer(&store, "small.1", small, vec![]);
        let big_layer = layer(&store, "big.1", big, vec![small]);
        let bytes = b"an archive".repeat(1000);
        let archive = Checksum::from(Sha256::from_bytes(Hasher::digest(&bytes).into()));
        let path = store.archive_path(&archive);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        Self { directory, store, big, small, big_layer, archive }
    }

    pub fn verify(&self) -> Verified {
        let (counters, stop) = (Counters::default(), AtomicBool::new(false));
        verify(&self.store, &Watch { counters: &counters, stop: &stop, key_of: &key_of }).unwrap()
    }

    /// A path below the store.
    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join("store").join(below)
    }

    pub fn in_big(&self, below: &str) -> PathBuf {
        self.store.tree_path(&self.big).join(below)
    }

    pub fn in_small(&self, below: &str) -> PathBuf {
        self.store.tree_path(&self.small).join(below)
    }

    /// Everything that was found, one line each, with names in place of hashes.
    pub fn told(&self, findings: &[Finding]) -> Vec<String> {
        let line = |finding: &Finding| {
            let nodes = finding.nodes.join(", ");
            format!("{}: {} [{}] {nodes}", finding.place(), finding.damage, finding.damage.word())
                .replace(&self.big.to_hex(), "BIG")
                .replace(&self.small.to_hex(), "SMALL")
                .replace(self.big_layer.rsplit_once('-').unwrap().1, "KEY")
                .trim_end()
                .to_owned()
        };
        findings.iter().map(line).collect()
    }
}

/// Publishes a tree of so many files, with a program, a link, and a file that all trees share.
pub(super) fn tree(store: &Arc<Store>, files: usize) -> TreeHash {
    let staging = store.stage().unwrap();
    let mut tree = Tree::default();
    let mut put = |path: &str, text: &str, executable| {
        let file = staging.add_bytes(text.as_bytes(), executable).unwrap();
        tree.insert(&RelPath::parse(path).unwrap(), Node::File(file)).unwrap();
    };
    for number in 0..files {
        put(&format!("lib/f{number}"), &format!("file {number} of {files}"), false);
    }
    put("bin/run", &format!("#!/bin/sh\necho {files}\n"), true);
    put("shared", SHARED, false);
    let link = LinkTarget::new(b"lib/f0").unwrap();
    tree.insert(&RelPath::parse("link").unwrap(), Node::Link(link)).unwrap();
    staging.publish(&tree).unwrap()
}

/// Publishes a layer and its fact; gives its id.
fn layer(store: &Arc<Store>, package: &'static str, tree: TreeHash, inputs: Vec<TreeHash>) -> String {
    let document = Document { format: 1, action: package, inputs };
    let text = serde_json::to_string(&document).unwrap();
    let head = format!("{}}}", text.split(",\"inputs\"").next().unwrap());
    let key = key_of(head.as_bytes(), &document.inputs);
    let record = LayerRecord {
        package: package.to_owned(),
        kind: "build".to_owned(),
        status: Status::Success,
        error: None,
        failure: None,
        build_key: key,
        tree: Some(tree),
        started: 1,
        seconds: 1.0,
        failed_tries: 0,
        document,
    };
    let id = Store::layer_id("build", &key);
    store.draft_layer(&id).unwrap().publish(&record).unwrap();
    let facts = Facts::load(&store.plans().join("facts"));
    facts.remember(&PlanKey::from_bytes(*key.as_bytes()), Fact { build: key, tree }).unwrap();
    id
}

/// Changes one bit of a file without changing anything else of it.
pub(super) fn flip(path: &Path) {
    let times = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    rewrite(path, &bytes, times);
}

/// Writes into a file without making a new one, and gives it a time.
pub(super) fn rewrite(path: &Path, bytes: &[u8], time: std::time::SystemTime) {
    fs::write(path, bytes).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// A new file in the place of another, with the store's mode and time.
pub(super) fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    rewrite(path, bytes, std::time::UNIX_EPOCH + std::time::Duration::from_secs(1));
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}
