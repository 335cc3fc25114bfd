//! Names: making, moving, listing and removing them by path.

use std::fs;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags};
use nix::sys::stat::UtimensatFlags;
use nix::sys::time::TimeSpec;

use super::{MTIME, Operation, Step, act, attempt, create_new, io, sync, write_all};
use crate::store::StoreError;

pub use std::fs::Metadata;

/// Makes `path` and its missing parents; directories of the store are for their owner alone to
/// write.
#[cfg_attr(test, track_caller)]
pub fn make_directories(path: &Path) -> Result<(), StoreError> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    match make(path, 0o755) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.parent().is_some() => {
            make_directories(path.parent().unwrap_or(path))?;
            match make(path, 0o755) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
                other => io("create", path, other),
            }
        }
        // Also where it could not be made, as on a file system that is mounted read-only.
        Err(_) if path.is_dir() => Ok(()),
        other => io("create", path, other),
    }
}

/// Makes the one directory `path`. What is in a private directory is private whatever its own mode.
#[cfg_attr(test, track_caller)]
pub fn make_directory(path: &Path) -> Result<(), StoreError> {
    io("create", path, make(path, 0o755))
}

/// Makes the one directory `path`, readable by nobody else.
#[cfg_attr(test, track_caller)]
pub fn make_private_directory(path: &Path) -> Result<(), StoreError> {
    io("create", path, make(path, 0o700))
}

#[cfg_attr(test, track_caller)]
fn make(path: &Path, mode: u32) -> io::Result<()> {
    attempt(Step::new(Operation::MakeDirectory, path), || fs::DirBuilder::new().mode(mode).create(path))
}

/// Publishes `from` as `to` in one step. `Ok(false)`: `to` was there already, and nothing changed.
#[cfg_attr(test, track_caller)]
pub fn rename_new(from: &Path, to: &Path) -> Result<bool, StoreError> {
    let step = Step::new(Operation::RenameNew, to).from(from);
    let flags = RenameFlags::RENAME_NOREPLACE;
    let renamed = attempt(step, || Ok(nix::fcntl::renameat2(AT_FDCWD, from, AT_FDCWD, to, flags)?));
    match renamed.as_ref().map_err(|error| error.raw_os_error().map(Errno::from_raw)) {
        Ok(()) => Ok(true),
        Err(Some(Errno::EEXIST | Errno::ENOTEMPTY)) => Ok(false),
        // File systems without the flag: a rename onto a directory that is not empty fails, and
        // content-addressed files are equal, so replacing one changes nothing.
        Err(Some(Errno::EINVAL)) if exists(to) => Ok(false),
        Err(Some(Errno::EINVAL)) => act(step, || fs::rename(from, to)).map(|()| true),
        Err(_) => io("publish", to, renamed).map(|()| true),
    }
}

/// Gives the file at `from` a second name. `Ok(false)`: there is no such file, or it cannot have one
/// more name.
#[cfg_attr(test, track_caller)]
pub fn link(from: &Path, to: &Path) -> Result<bool, StoreError> {
    let linked = attempt(Step::new(Operation::Link, to).from(from), || fs::hard_link(from, to));
    match linked.as_ref().map_err(|error| error.raw_os_error().map(Errno::from_raw)) {
        Ok(()) => Ok(true),
        Err(Some(Errno::ENOENT | Errno::EMLINK | Errno::EXDEV | Errno::EPERM | Errno::ENOTSUP)) => Ok(false),
        Err(_) => io("link", to, linked).map(|()| true),
    }
}

/// Lets `from` and `to`, which both exist, change places.
#[cfg_attr(test, track_caller)]
pub fn exchange(from: &Path, to: &Path) -> Result<(), StoreError> {
    let flags = RenameFlags::RENAME_EXCHANGE;
    act(Step::new(Operation::Exchange, to).from(from), || {
        Ok(nix::fcntl::renameat2(AT_FDCWD, from, AT_FDCWD, to, flags)?)
    })
}

/// Renames `from` to `to`, replacing a file that is there.
#[cfg_attr(test, track_caller)]
pub fn rename_over(from: &Path, to: &Path) -> Result<(), StoreError> {
    act(Step::new(Operation::RenameOver, to).from(from), || fs::rename(from, to))
}

/// Gives the file at `from` another name. `Ok(false)`: something was there already.
#[cfg_attr(test, track_caller)]
pub fn link_new(from: &Path, to: &Path) -> Result<bool, StoreError> {
    match attempt(Step::new(Operation::Link, to).from(from), || fs::hard_link(from, to)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => io("link", to, Err(error)),
    }
}

/// Replaces the file at `path`, or makes it: readers see the old bytes or the new ones, also after
/// a power cut.
#[cfg_attr(test, track_caller)]
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.new", std::process::id()));
    let draft = Path::new(&draft);
    let mut file = create_new(draft)?;
    let written = write_all(&mut file, draft, bytes).and_then(|()| sync(&file, draft));
    let replaced = written.and_then(|()| rename_over(draft, path));
    if replaced.is_err() {
        remove_file(draft)?;
    }
    replaced
}

/// Removes a file if it is there.
#[cfg_attr(test, track_caller)]
pub fn remove_file(path: &Path) -> Result<(), StoreError> {
    match attempt(Step::new(Operation::RemoveFile, path), || fs::remove_file(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => io("remove", path, Err(error)),
        _ => Ok(()),
    }
}

/// Makes the time of the last change of what is at `path` be now; everything that can be seen inside
/// of it stays.
#[cfg_attr(test, track_caller)]
pub fn touch(path: &Path) -> Result<(), StoreError> {
    let time = TimeSpec::new(MTIME, 0);
    let flags = UtimensatFlags::NoFollowSymlink;
    act(Step::new(Operation::SetTime, path), || {
        Ok(nix::sys::stat::utimensat(AT_FDCWD, path, &time, &time, flags)?)
    })
}

/// Whether something is at `path`, without following a last link.
pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// What `path`, or what it links to, is.
pub fn metadata(path: &Path) -> Result<fs::Metadata, StoreError> {
    io("read", path, fs::metadata(path))
}

/// The entries of a directory, in no order.
pub fn list(path: &Path) -> Result<Vec<fs::DirEntry>, StoreError> {
    io("list", path, fs::read_dir(path).and_then(Iterator::collect))
}

/// The target of a symbolic link.
pub fn read_link(path: &Path) -> Result<PathBuf, StoreError> {
    io("read", path, fs::read_link(path))
}
