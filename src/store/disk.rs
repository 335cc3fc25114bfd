//! The one door to the disk: every raw file operation of the store goes through here, with the
//! name of the operation and the path kept for messages.
//!
//! What is published is flushed first and appears by one rename that never replaces anything.
//! Trees are filled through directory handles, so no name from a tree is ever looked up as a path.
//!
//! Everything that changes the disk is a [`Step`] and is done in [`attempt`]. In unit tests, and only
//! there, [`faults`] stands in that door: it counts and records the steps, and can fail, tear, stop
//! or panic at any of them. In the program, `attempt` is the operation and nothing else.
//!
//! Not steps, because nothing rests on them: locks and the notes in them.

mod directory;
#[cfg(test)]
pub mod faults;
mod file;
mod flush;
mod lock;
pub mod look;
mod names;
mod remove;

use std::io;
use std::path::Path;

pub use self::directory::Directory;
pub use self::file::{
    File, copy, create_new, finish_file, open, open_append, open_itself, read_if_present, read_some,
    truncate, write_all,
};
pub use self::flush::{sync, sync_directory, sync_file_system};
pub use self::lock::{
    LockFile, RangeLock, Sharing, free_space, lock, lock_named, open_lock, read_note, try_lock,
    try_lock_named, write_note,
};
#[cfg(test)]
pub use self::lock::{start, starting};
pub use self::names::{
    Metadata, exchange, exists, link, link_new, list, make_directories, make_directory,
    make_private_directory, metadata, read_link, remove_file, rename_new, rename_over, replace, touch,
};
pub use self::remove::remove_tree;

use super::StoreError;

/// The modification time, in seconds since 1970, of everything in the store: builders see it, so
/// it has to be the same everywhere.
pub const MTIME: i64 = 1;

/// Adds operation and path to an error of the operating system.
pub fn io<T>(operation: &'static str, path: &Path, result: io::Result<T>) -> Result<T, StoreError> {
    result.map_err(|source| trouble(operation, path, None, source))
}

/// The error of an operation that wanted to write so many bytes, as far as that is known.
fn trouble(operation: &'static str, path: &Path, needed: Option<u64>, source: io::Error) -> StoreError {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let path = path.to_owned();
    match source.kind() {
        StorageFull => {
            // What was to be made is not there; what it is in is.
            let free = path.ancestors().find_map(free_space);
            StoreError::NoSpace { operation, path, needed, free, source }
        }
        QuotaExceeded | FileTooLarge => StoreError::NoSpace { operation, path, needed, free: None, source },
        _ => StoreError::Io { operation, path, source },
    }
}

fn errno<T>(operation: &'static str, path: &Path, result: nix::Result<T>) -> Result<T, StoreError> {
    io(operation, path, result.map_err(io::Error::from))
}

/// What can be done to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A new file.
    Create,
    /// A file for appending, which is made when it is missing.
    OpenAppend,
    /// Bytes at the end of a file.
    Write,
    /// A file is cut to so many bytes.
    Truncate(u64),
    /// Permission bits of a file or directory.
    SetMode(u32),
    SetTime,
    /// A flush of a file's bytes and attributes.
    Flush,
    /// A flush of the names in a directory.
    FlushDirectory,
    FlushFileSystem,
    /// A rename that replaces nothing.
    RenameNew,
    RenameOver,
    /// Two names change places.
    Exchange,
    Link,
    SymbolicLink,
    MakeDirectory,
    RemoveFile,
    RemoveDirectory,
}

impl Operation {
    /// The words of messages: “cannot … `path`”.
    pub fn words(self) -> &'static str {
        match self {
            Self::Create | Self::SymbolicLink | Self::MakeDirectory => "create",
            Self::OpenAppend => "open",
            Self::Write | Self::Truncate(_) => "write",
            Self::SetMode(_) => "change the mode of",
            Self::SetTime => "set the time of",
            Self::Flush | Self::FlushDirectory | Self::FlushFileSystem => "flush",
            Self::RenameNew => "publish",
            Self::RenameOver | Self::Exchange => "replace",
            Self::Link => "link",
            Self::RemoveFile | Self::RemoveDirectory => "remove",
        }
    }
}

/// One change of the disk, about to be made.
#[derive(Clone, Copy, Debug)]
struct Step<'a> {
    operation: Operation,
    path: &'a Path,
    /// The other name of a rename or link.
    #[cfg_attr(not(test), allow(dead_code, reason = "read by the tests' recorder"))]
    from: Option<&'a Path>,
    /// What is written, or the target of a symbolic link.
    bytes: &'a [u8],
}

impl<'a> Step<'a> {
    fn new(operation: Operation, path: &'a Path) -> Self {
        Self { operation, path, from: None, bytes: &[] }
    }

    fn from(self, from: &'a Path) -> Self {
        Self { from: Some(from), ..self }
    }

    fn bytes(self, bytes: &'a [u8]) -> Self {
        Self { bytes, ..self }
    }
}

/// Takes one step, `run`.
#[cfg(not(test))]
#[inline]
fn attempt<T>(_: Step<'_>, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    run()
}

/// Takes one step; trouble comes with operation and path.
#[cfg_attr(test, track_caller)]
fn act<T>(step: Step<'_>, run: impl FnOnce() -> io::Result<T>) -> Result<T, StoreError> {
    attempt(step, run).map_err(|source| {
        let needed = (step.operation == Operation::Write).then_some(step.bytes.len() as u64);
        trouble(step.operation.words(), step.path, needed.filter(|needed| *needed > 0), source)
    })
}

#[cfg(test)]
#[track_caller]
fn attempt<T>(step: Step<'_>, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    faults::pass(step, std::panic::Location::caller(), run)
}
