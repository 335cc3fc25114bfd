//! Files: making, opening, reading and writing them.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::sys::time::TimeSpec;

use super::{MTIME, Operation, Step, act, io};
use crate::store::StoreError;

pub use std::fs::File;

/// Creates a file that must not exist yet, never following a link.
#[cfg_attr(test, track_caller)]
pub fn create_new(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).read(true).create_new(true).mode(0o644).custom_flags(nix::libc::O_NOFOLLOW);
    act(Step::new(Operation::Create, path), || options.open(path))
}

/// Opens a file for appending whole records, making it when it is missing.
#[cfg_attr(test, track_caller)]
pub fn open_append(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o644);
    act(Step::new(Operation::OpenAppend, path), || options.open(path))
}

/// Opens a file or directory for reading.
pub fn open(path: &Path) -> Result<File, StoreError> {
    io("open", path, File::open(path))
}

/// Opens a file for reading, if `path` is the file itself and no link, without waiting for anything.
pub fn open_itself(path: &Path) -> Result<File, StoreError> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    io("open", path, OpenOptions::new().read(true).custom_flags(flags).open(path))
}

/// The bytes of a file, or `None` when there is none.
pub fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => io("read", path, Err(error)),
    }
}

/// Writes all of `bytes`.
#[cfg_attr(test, track_caller)]
pub fn write_all(file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let step = Step::new(Operation::Write, path).bytes(bytes);
    #[cfg(test)]
    if let Some(count) = super::faults::torn(step) {
        io("write", path, file.write_all(&bytes[..count]))?;
    }
    act(step, || file.write_all(bytes))
}

/// Cuts a file to `length` bytes.
#[cfg_attr(test, track_caller)]
pub fn truncate(path: &Path, length: u64) -> Result<(), StoreError> {
    let file = io("open", path, OpenOptions::new().write(true).open(path))?;
    act(Step::new(Operation::Truncate(length), path), || file.set_len(length))
}

/// Reads as much as fits into `buffer`.
pub fn read_some(from: &mut dyn Read, path: &Path, buffer: &mut [u8]) -> Result<usize, StoreError> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return io("read", path, other),
        }
    }
}

/// Gives a file the mode and time that everything in the store has.
#[cfg_attr(test, track_caller)]
pub fn finish_file(file: &File, path: &Path, executable: bool) -> Result<(), StoreError> {
    set_mode(file, path, executable)?;
    let time = TimeSpec::new(MTIME, 0);
    act(Step::new(Operation::SetTime, path), || Ok(nix::sys::stat::futimens(file, &time, &time)?))
}

fn set_mode(file: &File, path: &Path, executable: bool) -> Result<(), StoreError> {
    let mode = if executable { 0o755 } else { 0o644 };
    let step = Step::new(Operation::SetMode(mode), path);
    act(step, || file.set_permissions(fs::Permissions::from_mode(mode)))
}

/// Copies the bytes of `from` to the new file `to`, sharing them where the file system can. The
/// copy is not flushed.
#[cfg_attr(test, track_caller)]
pub fn copy(from: &Path, to: &Path, executable: bool) -> Result<(), StoreError> {
    let mut source = open(from)?;
    let mut copy = create_new(to)?;
    pour(&mut source, &mut copy, to)?;
    set_mode(&copy, to, executable)
}

/// Copies the rest of `source` to `copy`, one step however long it is.
#[cfg_attr(test, track_caller)]
pub(super) fn pour(source: &mut File, copy: &mut File, to: &Path) -> Result<u64, StoreError> {
    let bytes = poured(source);
    act(Step::new(Operation::Write, to).bytes(&bytes), || io::copy(source, copy))
}

/// The bytes that are about to be copied, for the tests' recorder; the program does not look.
#[cfg(test)]
fn poured(source: &File) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let length = source.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = vec![0; usize::try_from(length).expect("tests have small files")];
    source.read_exact_at(&mut bytes, 0).expect("the source can be read");
    bytes
}

#[cfg(not(test))]
fn poured(_: &File) -> [u8; 0] {
    []
}
