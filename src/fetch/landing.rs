//! The way of bytes into the store's archives, and the look at those that are there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::http::Sink;
use super::search::written;
use super::{Progress, io_failure};
use crate::outcome::Failure;
use crate::source::checksum::{Checksums, Digests, Hashing};
use crate::store::{Store, StoreError};

/// The size of the stored archive, if it is there and its bytes are right. One whose bytes are not
/// those of its name is taken away: somebody has damaged or poisoned it. If they are, but are not
/// what another checksum says, no file can have both.
pub(super) fn stored(path: &Path, expected: &Checksums) -> Result<Option<u64>, Failure> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_failure("opening an archive", path, &error)),
    };
    let read = |error| io_failure("reading an archive", path, &error);
    let mut hasher = Hashing::new(expected);
    let mut chunk = vec![0; 256 << 10];
    let mut size = 0;
    if file.metadata().map_err(read)?.is_file() {
        loop {
            match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => {
                    size += count as u64;
                    hasher.update(&chunk[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read(error)),
            }
        }
        match expected.mismatch(&hasher.finish()) {
            None => return Ok(Some(size)),
            Some((wrong, _)) if wrong == expected.name() => {}
            Some((wrong, got)) => {
                return Err(Failure::HashMismatch {
                    url: format!("the store's archive {}", expected.name()),
                    expected: written(&wrong),
                    got: written(&got),
                    size,
                    kept: None,
                });
            }
        }
    }
    match fs::remove_file(path) {
        // Another thread may have been faster.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_failure("removing a damaged archive", path, &error))
        }
        _ => Ok(None),
    }
}

/// A download on its way into the store's archives: a private file that is hashed while it is
/// written, and removed when dropped.
pub(super) struct Landing<'a> {
    file: File,
    pub path: PathBuf,
    wanted: Checksums,
    hasher: Hashing,
    size: u64,
    total: Option<u64>,
    progress: Progress<'a>,
}

impl<'a> Landing<'a> {
    pub fn new(store: &Store, wanted: &Checksums, progress: Progress<'a>) -> Result<Self, StoreError> {
        let path = store.scratch_path("fetch")?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|source| StoreError::Io { operation: "create", path: path.clone(), source })?;
        Ok(Self { file, path, wanted: *wanted, hasher: Hashing::new(wanted), size: 0, total: None, progress })
    }

    pub fn digests(&self) -> (Digests, u64) {
        (self.hasher.clone().finish(), self.size)
    }

    /// Keeps bytes that nobody wanted for people to look at; where, from the store's root. That this
    /// fails changes nothing.
    pub fn keep(self, store: &Store, got: &Digests) -> Option<String> {
        let name = format!("download-{}", got.sha256);
        let kept = format!("quarantine/{name}");
        if !store.root().join(&kept).exists() {
            store.set_aside(&self.path, &name).ok()??;
        }
        Some(kept)
    }

    /// Flushes the file and gives it its name; then flushes the name.
    pub fn publish(self, target: &Path) -> Result<(), StoreError> {
        let io = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { operation, path, source }
        };
        self.file.sync_all().map_err(io("flush", &self.path))?;
        let directory = target.parent().unwrap_or(target);
        fs::create_dir_all(directory).map_err(io("create", directory))?;
        fs::rename(&self.path, target).map_err(io("publish", target))?;
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(io("flush", directory))
    }
}

impl Sink for Landing<'_> {
    fn start(&mut self, size: Option<u64>) -> io::Result<()> {
        use std::io::Seek;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.hasher = Hashing::new(&self.wanted);
        (self.size, self.total) = (0, size);
        (self.progress)(0, size);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        (self.progress)(self.size, self.total);
        Ok(())
    }
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove; else the store's cleaning gets it later.
        let _ = fs::remove_file(&self.path);
    }
}
