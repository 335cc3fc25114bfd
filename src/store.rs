//! The store: trees, layers, archives, and how they are published.

pub mod tree;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use self::tree::{BlobHash, File, Tree, TreeHash};

/// Trouble with the store, always with the operation and the path that met it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system refused or failed an operation.
    #[error("cannot {operation} `{}`: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: std::io::Error },
}

/// An opened store.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
}

/// Files on their way into the store; removed when dropped without being published.
#[derive(Debug)]
pub struct Staging {
    directory: PathBuf,
}

impl Store {
    /// Opens the store at `root`, making it when it is missing.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Ok(Self { root: root.to_owned() })
    }

    /// The directory that holds the tree, as a lower layer for a sandbox. Read-only for everybody.
    pub fn tree_path(&self, tree: &TreeHash) -> PathBuf {
        self.root.join("trees").join(tree.to_hex())
    }

    /// The tree of that name, read from its manifest (and kept in memory).
    pub fn tree(&self, _tree: &TreeHash) -> Result<Arc<Tree>, StoreError> {
        todo!("core")
    }

    /// The bytes of a stored file.
    pub fn read(&self, _blob: &BlobHash) -> Result<Vec<u8>, StoreError> {
        todo!("core")
    }

    /// Begins to take files in.
    pub fn stage(&self) -> Result<Staging, StoreError> {
        todo!("core")
    }

    /// Where the archive with this SHA-256 is or would be (the layout opam caches use).
    pub fn archive_path(&self, sha256: &crate::source::Sha256) -> PathBuf {
        let hex = sha256.to_hex();
        self.root.join("archives/sha256").join(&hex[..2]).join(hex)
    }
}

impl Staging {
    /// Copies the bytes of `from` in, hashing them on the way, and says what the tree should hold
    /// for them. May be called from several threads.
    pub fn add(&self, _from: &mut dyn Read, _executable: bool) -> Result<File, StoreError> {
        todo!("core")
    }

    /// Publishes `tree`, whose files are all in the store or added here.
    pub fn publish(&self, _tree: &Tree) -> Result<TreeHash, StoreError> {
        todo!("core {:?}", self.directory)
    }
}
