//! Flushes. None is ever tried twice: after a flush has failed, the kernel may have dropped what it
//! could not write, and a second one would succeed.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use super::{Operation, Step, act, open};
use crate::store::StoreError;

/// Flushes a file to the disk.
#[cfg_attr(test, track_caller)]
pub fn sync(file: &impl AsFd, path: &Path) -> Result<(), StoreError> {
    act(Step::new(Operation::Flush, path), || Ok(nix::unistd::fsync(file)?))
}

/// Flushes a directory, so that the names in it survive a power cut.
#[cfg_attr(test, track_caller)]
pub fn sync_directory(path: &Path) -> Result<(), StoreError> {
    sync_names(&open(path)?, path)
}

/// Flushes an open directory.
#[cfg_attr(test, track_caller)]
pub(super) fn sync_names(directory: &impl AsFd, path: &Path) -> Result<(), StoreError> {
    act(Step::new(Operation::FlushDirectory, path), || Ok(nix::unistd::fsync(directory)?))
}

/// Flushes everything of the file system that holds the open directory at `path`: cheaper than file
/// by file when there are many. A write that has failed since the directory was *opened* is an error
/// here, so it should be opened before anything is written.
#[cfg_attr(test, track_caller)]
pub fn sync_file_system(directory: &File, path: &Path) -> Result<(), StoreError> {
    act(Step::new(Operation::FlushFileSystem, path), || Ok(nix::unistd::syncfs(directory.as_fd())?))
}
