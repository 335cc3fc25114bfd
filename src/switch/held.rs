//! Bytes by their hash while artifacts are made: in memory, or where on the disk they are.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::jtw::Blobs;
use crate::store::StoreError;
use crate::store::tree::{BlobHash, File};

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
pub(super) enum Bytes {
    Memory(Arc<[u8]>),
    Disk(PathBuf),
}

/// All files of a run.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<BlobHash, Bytes>>);

impl Held {
    fn all(&self) -> MutexGuard<'_, HashMap<BlobHash, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a file of this machine in, which holds `bytes`.
    pub(super) fn add_file(&self, path: &Path, bytes: &[u8]) -> File {
        let blob = BlobHash::from_bytes(*blake3::hash(bytes).as_bytes());
        self.add_known(path, blob, bytes.len() as u64)
    }

    /// Takes a file in whose hash is known.
    pub(super) fn add_known(&self, path: &Path, blob: BlobHash, size: u64) -> File {
        self.all().entry(blob).or_insert_with(|| Bytes::Disk(path.to_owned()));
        File { blob, size, executable: false }
    }

    /// Where the bytes are.
    pub(super) fn bytes(&self, blob: &BlobHash) -> Option<Bytes> {
        self.all().get(blob).cloned()
    }
}

impl Blobs for Held {
    fn read(&self, file: &File) -> Result<Vec<u8>, StoreError> {
        match self.bytes(&file.blob).ok_or(StoreError::MissingBlob(file.blob))? {
            Bytes::Memory(bytes) => Ok(bytes.to_vec()),
            Bytes::Disk(path) => {
                fs::read(&path).map_err(|source| StoreError::Io { operation: "read", path, source })
            }
        }
    }

    fn add_bytes(&self, bytes: &[u8]) -> Result<File, StoreError> {
        let blob = BlobHash::from_bytes(*blake3::hash(bytes).as_bytes());
        self.all().entry(blob).or_insert_with(|| Bytes::Memory(bytes.into()));
        Ok(File { blob, size: bytes.len() as u64, executable: false })
    }
}
