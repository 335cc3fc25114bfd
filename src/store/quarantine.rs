//! `quarantine/`: what was taken out of the way because it is not what it should be, for people to
//! look at. Nothing here is used again, and all of it may be deleted.

use std::path::{Path, PathBuf};

use super::{Store, StoreError, disk};

impl Store {
    /// Moves what is at `path` to a name of its own in quarantine that begins with `what`, and says
    /// where it is now; `None` if nothing was there.
    pub fn set_aside(&self, path: &Path, what: &str) -> Result<Option<PathBuf>, StoreError> {
        let root = self.root().join("quarantine");
        disk::make_directories(&root)?;
        let mut aside = root.join(what);
        let mut number = 0;
        while disk::exists(path) {
            match disk::rename_new(path, &aside) {
                Ok(true) => return Ok(Some(aside)),
                Ok(false) => {
                    number += 1;
                    aside = root.join(format!("{what}.{number}"));
                }
                // Somebody else was faster.
                Err(_) if !disk::exists(path) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
