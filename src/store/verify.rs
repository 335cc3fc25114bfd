//! `verify`: everything in the store is read again and compared with its name.
//!
//! ```text
//! files/     each inode hashed once, however many trees share it
//!   │ inode → what its name says it is
//!   ▼
//! trees/     names, kinds, link targets; files by inode, those that are not the pool's are hashed
//! layers/    the record, its document against the key in its name, its tree
//! archives/  SHA-256
//! history    the checksums of its records
//! plans/facts, manifests/   caches: what contradicts the rest costs nothing but time
//! ```
//!
//! Nothing is changed here; [`repair`] does that. A build may go on meanwhile: whatever looks
//! damaged is looked at a second time before it is reported, because it may just have been added or
//! removed.

mod finding;
mod hashing;
mod inputs;
mod pool;
mod records;
pub mod repair;
#[cfg(test)]
mod tests;
mod trees;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

pub use self::finding::{Damage, Finding, Object};
pub use self::inputs::Scrutiny;
use self::pool::Pool;
pub use self::records::Layer;
use super::key::BuildKey;
use super::tree::{Tree, TreeHash};
use super::{Store, StoreError};

/// What is counted while a store is verified. Read it from another thread to show progress.
#[derive(Debug, Default)]
pub struct Counters {
    /// Files of the pool, as far as they are known.
    pub files_found: AtomicU64,
    pub files: AtomicU64,
    /// Bytes hashed, of files and archives.
    pub bytes: AtomicU64,
    pub trees: AtomicU64,
    /// Entries of trees.
    pub entries: AtomicU64,
    pub layers: AtomicU64,
    pub archives: AtomicU64,
}

impl Counters {
    fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

/// How a verification is run.
pub struct Watch<'a> {
    pub counters: &'a Counters,
    /// Set, the verification ends early.
    pub stop: &'a AtomicBool,
    /// The build key of a document: the part before its inputs as it is hashed, and the inputs.
    pub key_of: &'a (dyn Fn(&[u8], &[TreeHash]) -> BuildKey + Sync),
}

impl Watch<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What a verification found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Everything that is not what its name says, in the order of places.
    pub damage: Vec<Finding>,
    /// What is odd, but harms nothing.
    pub notices: Vec<Finding>,
    /// Every layer that can be read.
    pub layers: Vec<Layer>,
    /// What trees with findings should hold, where that is known.
    expected: BTreeMap<TreeHash, Tree>,
    /// Whether it was stopped before its end.
    pub stopped: bool,
    pub seconds: f64,
}

impl Verified {
    /// The nodes, as `kind/name`, whose output is this tree.
    pub fn makers(&self, tree: &TreeHash) -> Vec<String> {
        names(self.layers.iter().filter(|layer| layer.tree == Some(*tree)))
    }

    /// The nodes that had this tree as an input.
    pub fn dependants(&self, tree: &TreeHash) -> Vec<String> {
        names(self.layers.iter().filter(|layer| layer.inputs.contains(tree)))
    }
}

fn names<'a>(layers: impl Iterator<Item = &'a Layer>) -> Vec<String> {
    let mut names: Vec<String> = layers.map(Layer::node).collect();
    names.sort();
    names.dedup();
    names
}

/// Reads the whole store. An error means that it could not be read, not that it is damaged.
pub fn verify(store: &Store, watch: &Watch<'_>) -> Result<Verified, StoreError> {
    let begun = Instant::now();
    let mut found = Vec::new();
    records::names(store, &mut found)?;
    let pool = Pool::read(store, watch, &mut found)?;
    let expected = trees::check(store, &pool, watch, &mut found)?;
    let layers = records::layers(store, watch, &mut found)?;
    records::archives(store, watch, &mut found)?;
    records::manifests(store, watch, &mut found)?;
    records::facts(store, &layers, &mut found);
    records::history(store, &mut found)?;
    name_nodes(&layers, &mut found);
    found.sort_by_cached_key(Finding::place);
    let (notices, damage) = found.into_iter().partition(|finding| finding.damage.is_notice());
    Ok(Verified {
        damage,
        notices,
        layers,
        expected,
        stopped: watch.is_stopped(),
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// Says of each finding in a tree whose output it is.
fn name_nodes(layers: &[Layer], found: &mut [Finding]) {
    let mut makers: BTreeMap<TreeHash, Vec<String>> = BTreeMap::new();
    for finding in found.iter() {
        if let Object::Tree(tree) = finding.object {
            makers.insert(tree, Vec::new());
        }
    }
    if makers.is_empty() {
        return;
    }
    for layer in layers {
        if let Some(names) = layer.tree.and_then(|tree| makers.get_mut(&tree)) {
            names.push(layer.node());
        }
    }
    for finding in found {
        if let Object::Tree(tree) = finding.object {
            finding.nodes.clone_from(&makers[&tree]);
            finding.nodes.sort();
            finding.nodes.dedup();
        }
    }
}
