//! What was compiled before, by what it was compiled from.
//!
//! ```text
//! <cache>/1/made/<xx>/<key>     one line: how the step ended, and the hash of what it made
//! <cache>/1/files/<xx>/<hash>   what steps made, once
//! <cache>/1/runs/<key>          what a run looked at and wrote (see `memo`)
//! <cache>/1/locks/<key>         held while an output directory is written
//! <cache>/1/tmp/                not finished; what is a day old goes
//! ```
//!
//! A key is a hash of everything that the result depends on, so nothing here is ever out of date, and
//! all of it may be deleted at any time. Files appear by a rename. What does not hold what its name
//! says counts as absent.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::SwitchError;
use crate::store::tree::BlobHash;

/// The layout that this version reads and writes.
const FORMAT: &str = "1";
/// What is older than this in `tmp/` was left by a process that was killed.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// With what it was to make.
    Made,
    /// With a bug of js_of_ocaml; the file is what it said.
    Bug,
}

/// What a step made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub how: How,
    pub blob: BlobHash,
    pub size: u64,
    /// Where the bytes are.
    pub path: PathBuf,
}

/// The cache's directory.
#[derive(Debug)]
pub(super) struct Cache {
    root: PathBuf,
    next: AtomicU64,
    is_temporary: bool,
}

impl Drop for Cache {
    fn drop(&mut self) {
        if self.is_temporary {
            // What stays is in the system's directory for such things.
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

impl Cache {
    /// The cache at `root`, made if it is missing; without one, a directory that goes with the value.
    pub(super) fn open(root: Option<&Path>) -> Result<Self, SwitchError> {
        let next = AtomicU64::new(0);
        let cache = match root {
            Some(root) => Self { root: root.join(FORMAT), next, is_temporary: false },
            None => {
                let root = std::env::temp_dir().join(format!("jtwbuild-{}", std::process::id()));
                // Not one that somebody else has prepared.
                fs::create_dir(&root).map_err(|source| SwitchError::io("make", &root, source))?;
                Self { root, next, is_temporary: true }
            }
        };
        for part in ["made", "files", "runs", "locks", "tmp"] {
            make_directories(&cache.root.join(part))?;
        }
        cache.sweep();
        Ok(cache)
    }

    /// Where the memo of a run is, and the lock of an output directory.
    pub(super) fn run_file(root: &Path, key: &blake3::Hash) -> PathBuf {
        root.join(FORMAT).join("runs").join(key.to_hex().as_str())
    }

    pub(super) fn lock_file(&self, key: &blake3::Hash) -> PathBuf {
        self.root.join("locks").join(key.to_hex().as_str())
    }

    /// A path below `tmp/` at which nothing is.
    pub(super) fn fresh(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.root.join("tmp").join(format!("{}-{number}", std::process::id()))
    }

    fn sweep(&self) {
        let Some(limit) = SystemTime::now().checked_sub(STALE) else { return };
        for entry in fs::read_dir(self.root.join("tmp")).into_iter().flatten().flatten() {
            let changed = entry.metadata().and_then(|metadata| metadata.modified());
            if changed.is_ok_and(|changed| changed < limit) {
                let path = entry.path();
                // One that cannot be removed is tried again next time.
                let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            }
        }
    }

    fn made(&self, key: &blake3::Hash) -> PathBuf {
        let key = key.to_hex();
        self.root.join("made").join(&key[..2]).join(key.as_str())
    }

    fn file(&self, blob: &str) -> PathBuf {
        self.root.join("files").join(&blob[..2]).join(blob)
    }

    /// What the step of this key made, if it is all there.
    pub(super) fn get(&self, key: &blake3::Hash) -> Option<Entry> {
        let line = fs::read_to_string(self.made(key)).ok()?;
        let (how, hash) = line.trim_end().split_once(' ')?;
        let how = match how {
            "made" => How::Made,
            "bug" => How::Bug,
            _ => return None,
        };
        let hash = blake3::Hash::from_hex(hash).ok()?;
        let path = self.file(hash.to_hex().as_str());
        let bytes = fs::read(&path).ok()?;
        let is_whole = blake3::hash(&bytes) == hash;
        is_whole.then(|| Entry {
            how,
            blob: BlobHash::from_bytes(*hash.as_bytes()),
            size: bytes.len() as u64,
            path,
        })
    }

    /// Keeps the file at `draft` as what the step of this key made.
    pub(super) fn put(&self, key: &blake3::Hash, how: How, draft: &Path) -> Result<Entry, SwitchError> {
        let bytes = fs::read(draft).map_err(|source| SwitchError::io("read", draft, source))?;
        let hash = blake3::hash(&bytes);
        let path = self.file(hash.to_hex().as_str());
        move_into(draft, &path)?;
        let word = if how == How::Made { "made" } else { "bug" };
        let line = self.fresh();
        write(&line, format!("{word} {}\n", hash.to_hex()).as_bytes())?;
        move_into(&line, &self.made(key))?;
        Ok(Entry { how, blob: BlobHash::from_bytes(*hash.as_bytes()), size: bytes.len() as u64, path })
    }
}

/// Writes a whole file.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), SwitchError> {
    fs::write(path, bytes).map_err(|source| SwitchError::io("write", path, source))
}

pub(super) fn make_directories(path: &Path) -> Result<(), SwitchError> {
    fs::create_dir_all(path).map_err(|source| SwitchError::io("make", path, source))
}

/// Moves a finished file to its place, whose directory is made if need be.
pub(super) fn move_into(from: &Path, to: &Path) -> Result<(), SwitchError> {
    if let Some(parent) = to.parent() {
        make_directories(parent)?;
    }
    fs::rename(from, to).map_err(|source| SwitchError::io("write", to, source))
}
