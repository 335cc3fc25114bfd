//! Removal of whole trees, through directory handles.

use std::fs;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Operation, Step, attempt, io};
use crate::store::StoreError;

/// Removes a directory with everything below it, never following links; directories without
/// permissions (a crashed overlay leaves one) are opened up first.
#[cfg_attr(test, track_caller)]
pub fn remove_tree(path: &Path) -> Result<(), StoreError> {
    match attempt(Step::new(Operation::RemoveDirectory, path), || fs::remove_dir_all(path)) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path);
            io("remove", path, fs::remove_dir_all(path))
        }
        Err(error) => io("remove", path, Err(error)),
    }
}

fn open_up(path: &Path) {
    // Best effort: what stays closed is reported by the removal that follows.
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}
