//! The store: content under its hash, the record of what made it, and the caches beside them.
//!
//! ```text
//! format                      the version of this layout
//! files/<xx>/<blob>[.x]       the bytes of every file once, hard-linked into the trees
//! trees/<treehash>/           outputs
//! manifests/<treehash>        a tree's names and hashes (a cache: can be made from the tree)
//! layers/<kind>-<buildkey>/   layer.json (document, outcome, tree), build.log
//! archives/<kind>/<xx>/<sum>  downloaded files, in the layout of opam's caches; the kind is the
//!                             first of sha256, sha512, md5 that they are known by
//! plans/                      caches keyed by plans (deletable)
//! roots/                      what gc must keep
//! runs/                       what runs decided that built something (for explanations; deletable)
//! history                     what each build key came to, each time it was built
//! interrupted/                logs of runs that ended without a verdict
//! statements                  which statements of others were accepted last
//! quarantine/                 what was damaged, for people to look at
//! locks/  tmp/
//! ```
//!
//! *The name is the record*: something is in the store exactly when its name is, and the name
//! appears by one rename after everything below it has been flushed.

pub mod disk;
pub mod facts;
pub mod gc;
pub mod history;
pub mod key;
pub mod layer;
pub mod lock;
mod pool;
mod quarantine;
pub mod roots;
pub mod runs;
pub mod staging;
pub mod statements;
pub mod tree;
pub mod uses;
pub mod verify;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use thiserror::Error;

use self::disk::{RangeLock, Sharing};
use self::staging::Staging;
use self::tree::{BlobHash, Tree, TreeError, TreeHash};
use self::uses::Uses;
use crate::source::Checksum;

/// The byte of `locks/store` that is held while something appears directly below `tmp`.
const SCRATCH: i64 = 1;

/// The layout that this version reads and writes.
const FORMAT: &str = "jtwbuild store 1\n";

/// The directories that every store has. `quarantine` comes to be when it is needed.
const DIRECTORIES: [&str; 10] =
    ["files", "trees", "manifests", "layers", "archives", "plans", "roots", "interrupted", "locks", "tmp"];

/// Trouble with the store, always with the operation and the path that met it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system refused or failed an operation.
    #[error("cannot {operation} `{}`: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: std::io::Error },
    /// The disk is full, or the quota, or the file as long as it may be. In bytes: what was to be
    /// written, and what is free on the disk, where that is known.
    #[error("cannot {operation} `{}`: {source}{}", path.display(), in_bytes(*needed, *free))]
    NoSpace {
        operation: &'static str,
        path: PathBuf,
        needed: Option<u64>,
        free: Option<u64>,
        source: std::io::Error,
    },
    /// The directory is a store of another version, or something else.
    #[error("`{}` is not a store that this version can use: its format is `{found}`", path.display())]
    Format { path: PathBuf, found: String },
    /// A tree refers to bytes that are not here.
    #[error("the store has no file {0}")]
    MissingBlob(BlobHash),
    /// No such tree is here.
    #[error("the store has no {0}")]
    MissingTree(TreeHash),
    /// Something in the store is not what its name says.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    /// What was to be stored is not a valid tree.
    #[error("`{path}` cannot be stored: {source}")]
    Tree { path: String, source: TreeError },
}

impl StoreError {
    /// Whether the disk (or the quota) is full.
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
    }
}

fn in_bytes(needed: Option<u64>, free: Option<u64>) -> String {
    match (needed, free) {
        (Some(needed), Some(free)) => format!(" ({needed} bytes to write, {free} bytes free)"),
        (Some(needed), None) => format!(" ({needed} bytes to write)"),
        (None, Some(free)) => format!(" ({free} bytes free)"),
        (None, None) => String::new(),
    }
}

/// An opened store. Any number of processes and threads may use one at the same time.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Held, shared, as long as the store is open: for those who have to be alone.
    _in_use: RangeLock,
    uses: Uses,
    scratch: OnceLock<Scratch>,
    trees: Mutex<HashMap<TreeHash, Arc<Tree>>>,
    pool_is_mended: Mutex<bool>,
    /// Trees that this process has looked at before it used them.
    checked: Mutex<HashSet<TreeHash>>,
}

/// This process's own directory below `tmp/`, removed when the store is closed.
#[derive(Debug)]
struct Scratch {
    /// The directory, opened before anything was written in it: a flush of the file system through
    /// it learns of every write that has failed since.
    handle: disk::File,
    own: OwnDirectory,
}

#[derive(Debug)]
struct OwnDirectory {
    directory: PathBuf,
    _alive: RangeLock,
}

impl Drop for OwnDirectory {
    fn drop(&mut self) {
        // What stays is removed by the next process that opens scratch space here.
        let _ = disk::remove_tree(&self.directory);
        let _ = disk::remove_file(&self.directory.with_extension("lock"));
    }
}

/// A file that is removed when it has not got another name by then.
struct Unfinished<'a>(&'a Path);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // What stays is removed by the next process that opens scratch space here.
        let _ = disk::remove_file(self.0);
    }
}

impl Store {
    /// Opens the store at `root`, making it when it is missing. A store of a newer format, or a
    /// directory that is something else, is refused.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let format = root.join("format");
        match disk::read_if_present(&format)? {
            Some(found) if found == FORMAT.as_bytes() => {}
            Some(found) => {
                let found = String::from_utf8_lossy(&found).trim().to_owned();
                return Err(StoreError::Format { path: root.to_owned(), found });
            }
            None => Self::create(root, &format)?,
        }
        let in_use = disk::lock(&root.join("locks/store"), 0, Sharing::Shared)?;
        Ok(Self {
            root: root.to_owned(),
            _in_use: in_use,
            uses: Uses::new(root),
            scratch: OnceLock::new(),
            trees: Mutex::new(HashMap::new()),
            pool_is_mended: Mutex::new(false),
            checked: Mutex::new(HashSet::new()),
        })
    }

    fn create(root: &Path, format: &Path) -> Result<(), StoreError> {
        for name in DIRECTORIES {
            disk::make_directories(&root.join(name))?;
        }
        // Whoever looks for leftovers in `tmp` has the lock too, and so leaves the draft alone.
        let _one_at_a_time = disk::lock(&root.join("locks/store"), SCRATCH, Sharing::Exclusive)?;
        if disk::exists(format) {
            return Ok(());
        }
        Self::make_use_files(root)?;
        let draft = root.join(format!("tmp/format-{}-{}", std::process::id(), next_number()));
        let _unfinished = Unfinished(&draft);
        let mut file = disk::create_new(&draft)?;
        disk::write_all(&mut file, &draft, FORMAT.as_bytes())?;
        disk::sync(&file, &draft)?;
        // Where the format is told, the directories are there. If it is lost it is told again.
        disk::sync_directory(root)?;
        disk::rename_over(&draft, format)
    }

    /// Where the store is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A directory of the caches that may be deleted at any time.
    pub fn plans(&self) -> PathBuf {
        self.root.join("plans")
    }

    /// The directory that holds the tree, as a lower layer for a sandbox.
    pub fn tree_path(&self, tree: &TreeHash) -> PathBuf {
        self.root.join("trees").join(tree.to_hex())
    }

    /// Whether the tree is here. It may be collected the next moment: see [`Store::use_tree`].
    pub fn has_tree(&self, tree: &TreeHash) -> bool {
        disk::exists(&self.tree_path(tree))
    }

    /// The tree of that name, from its manifest; a missing or damaged manifest is made again from
    /// the tree's files.
    pub fn tree(&self, hash: &TreeHash) -> Result<Arc<Tree>, StoreError> {
        if let Some(tree) = self.cache().get(hash) {
            return Ok(Arc::clone(tree));
        }
        let tree = self.tree_unshared(hash)?;
        let tree = Arc::new(tree);
        self.cache().insert(*hash, Arc::clone(&tree));
        Ok(tree)
    }

    /// As [`Store::tree`], without keeping it for others.
    fn tree_unshared(&self, hash: &TreeHash) -> Result<Tree, StoreError> {
        let manifest = self.root.join("manifests").join(hash.to_hex());
        let known = disk::read_if_present(&manifest)?.and_then(|bytes| Tree::decode(&bytes).ok());
        match known.filter(|tree| tree.hash() == *hash) {
            Some(tree) => Ok(tree),
            None => self.restore_manifest(hash, &manifest),
        }
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<TreeHash, Arc<Tree>>> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn restore_manifest(&self, hash: &TreeHash, manifest: &Path) -> Result<Tree, StoreError> {
        let path = self.tree_path(hash);
        if !disk::exists(&path) {
            return Err(StoreError::MissingTree(*hash));
        }
        let tree = staging::scan(&path)?;
        if tree.hash() != *hash {
            return Err(StoreError::Damaged { path, reason: format!("its content is {}", tree.hash()) });
        }
        if staging::is_worth_a_manifest(&tree) {
            self.write_whole(manifest, &tree.encode())?;
        }
        Ok(tree)
    }

    /// Where the archive of this name is or would be.
    pub fn archive_path(&self, name: &Checksum) -> PathBuf {
        self.root.join("archives").join(name.path())
    }

    /// A directory of this process for files on their way into the store, on the same file
    /// system. Leftovers of processes that are gone are removed on the way.
    pub fn scratch(&self) -> Result<&Path, StoreError> {
        self.own_scratch().map(|scratch| scratch.own.directory.as_path())
    }

    fn scratch_handle(&self) -> Result<&disk::File, StoreError> {
        self.own_scratch().map(|scratch| &scratch.handle)
    }

    fn own_scratch(&self) -> Result<&Scratch, StoreError> {
        if let Some(scratch) = self.scratch.get() {
            return Ok(scratch);
        }
        // Held until the result is in its place: of two threads, the second finds what the first made.
        let _one_at_a_time = disk::lock(&self.root.join("locks/store"), SCRATCH, Sharing::Exclusive)?;
        if let Some(scratch) = self.scratch.get() {
            return Ok(scratch);
        }
        let made = self.make_scratch()?;
        Ok(self.scratch.get_or_init(|| made))
    }

    fn make_scratch(&self) -> Result<Scratch, StoreError> {
        let tmp = self.root.join("tmp");
        remove_leftovers(&tmp)?;
        Self::make_use_files(&self.root)?;
        let number = next_number();
        let directory = tmp.join(format!("{}-{number}", std::process::id()));
        let alive = disk::lock_named(&directory.with_extension("lock"))?;
        let own = OwnDirectory { directory, _alive: alive };
        disk::remove_tree(&own.directory)?;
        disk::make_private_directory(&own.directory)?;
        Ok(Scratch { handle: disk::open(&own.directory)?, own })
    }

    /// A path in the scratch directory that nobody else uses.
    pub fn scratch_path(&self, what: &str) -> Result<PathBuf, StoreError> {
        Ok(self.scratch()?.join(format!("{what}-{}", next_number())))
    }

    /// Begins to take files in.
    pub fn stage(self: &Arc<Self>) -> Result<Staging, StoreError> {
        Staging::new(self)
    }

    /// Makes the names of published trees and layers survive a power cut. A name that is lost before
    /// costs one more build, nothing else, so this is done once a run. The collector does it too, so
    /// that names which went stay away.
    pub fn flush_names(&self) -> Result<(), StoreError> {
        disk::sync_directory(&self.root.join("trees"))?;
        disk::sync_directory(&self.root.join("layers"))
    }

    /// Writes a file that is replaced as a whole: readers see the old bytes or the new ones.
    pub fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let draft = self.scratch_path("whole")?;
        let mut file = disk::create_new(&draft)?;
        let written =
            disk::write_all(&mut file, &draft, bytes).and_then(|()| disk::rename_over(&draft, path));
        if written.is_err() {
            // What cannot be removed goes with the scratch directory.
            let _ = disk::remove_file(&draft);
        }
        written
    }
}

/// What the collector is about to remove begins with this, below `tmp/`.
const COLLECTED: &str = "collected-";

fn is_collected(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(COLLECTED))
}

impl Store {
    /// The directories below `tmp/` whose processes are gone, in order.
    fn leftovers(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut found = Vec::new();
        for entry in disk::list(&self.root.join("tmp"))? {
            let path = entry.path();
            let lock = path.with_extension("lock");
            let is_lock = path == lock;
            if !is_lock && (!disk::exists(&lock) || disk::try_lock_named(&lock)?.is_some()) {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Removes what processes that are gone have left below `tmp/`.
    pub fn clean_scratch(&self) -> Result<(), StoreError> {
        let _one_at_a_time = disk::lock(&self.root.join("locks/store"), SCRATCH, Sharing::Exclusive)?;
        remove_leftovers(&self.root.join("tmp"))
    }
}

/// Removes the directories below `tmp` whose processes are gone.
fn remove_leftovers(tmp: &Path) -> Result<(), StoreError> {
    let mut is_flushed = false;
    for entry in disk::list(tmp)? {
        let path = entry.path();
        let lock = path.with_extension("lock");
        if is_collected(&path) {
            // The collector removes these, this one or the next.
            continue;
        }
        if disk::try_lock_named(&lock)?.is_some() {
            if !is_flushed {
                // A replaced layer may be there whose process did not come to flush its name.
                disk::sync_directory(&tmp.with_file_name("layers"))?;
                is_flushed = true;
            }
            disk::remove_tree(&path.with_extension(""))?;
            disk::remove_file(&lock)?;
        }
    }
    Ok(())
}

/// A number that this process has not used: a process may have a store open more than once.
fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests;
