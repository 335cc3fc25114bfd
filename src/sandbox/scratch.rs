//! Scratch space on disk, for runs whose files do not fit into memory.

use std::path::PathBuf;

use super::{step, store_failed};
use crate::outcome::Failure;
use crate::store::{Store, disk};

/// A private directory of the store's scratch space, removed when dropped.
pub struct DiskScratch {
    pub path: PathBuf,
    /// Its device and number, by which the sandbox knows that it got no other.
    pub identity: (u64, u64),
}

impl DiskScratch {
    /// Makes one.
    pub fn make(store: &Store) -> Result<Self, Failure> {
        let path = store.scratch_path("sandbox").map_err(|error| store_failed(&error))?;
        disk::make_private_directory(&path).map_err(|error| store_failed(&error))?;
        let status = nix::sys::stat::lstat(&path).map_err(|errno| Failure::Machine {
            what: format!("looking at {}", path.display()),
            reason: errno.desc().to_owned(),
        })?;
        let made = Self { path, identity: (status.st_dev, status.st_ino) };
        step("scratch");
        Ok(made)
    }
}

impl Drop for DiskScratch {
    fn drop(&mut self) {
        // What stays goes with the store's scratch space.
        let _ = disk::remove_tree(&self.path);
    }
}
