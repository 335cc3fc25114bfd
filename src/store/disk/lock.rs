//! Locks that the kernel holds, on ranges of bytes of lock files, and the notes in these files.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::{errno, io};
use crate::store::StoreError;

/// Opens a lock file for reading and writing, making it when it is missing.
pub fn open_lock(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    io("open", path, options.read(true).write(true).create(true).truncate(false).mode(0o644).open(path))
}

/// A kernel lock on a range of bytes of an open file; the kernel lets go of it when the descriptor
/// is closed, however the process ends.
#[derive(Debug)]
pub struct RangeLock {
    file: File,
}

/// Programs that tests start, from here to the next item. Until such a program runs, it has every lock
/// of this process, and one that was let go of meanwhile is still held.
#[cfg(test)]
static STARTED: std::sync::RwLock<Option<std::time::Instant>> = std::sync::RwLock::new(None);

/// How long a program that was started may still be about to run: its starter is told before the
/// kernel has closed what the program is not to have.
#[cfg(test)]
const SETTLES: std::time::Duration = std::time::Duration::from_millis(200);

/// Held while a test starts a program.
#[cfg(test)]
pub struct Starting(std::sync::RwLockWriteGuard<'static, Option<std::time::Instant>>);

#[cfg(test)]
impl Drop for Starting {
    fn drop(&mut self) {
        *self.0 = Some(std::time::Instant::now());
    }
}

/// Says that a program is being started, until the result is dropped.
#[cfg(test)]
pub fn starting() -> Starting {
    Starting(STARTED.write().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Starts a program for a test, without anybody taking its beginning for the holder of a lock.
#[cfg(test)]
pub fn start(command: &mut std::process::Command) -> std::io::Result<std::process::Child> {
    let _starting = starting();
    command.spawn()
}

/// Whether somebody who asked for a lock at `since` and did not get it should ask again, because a
/// program may have it that was only just started.
#[cfg(test)]
fn may_settle(since: std::time::Instant) -> bool {
    let started = *STARTED.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    std::thread::sleep(std::time::Duration::from_millis(1));
    started.is_some_and(|started| started.elapsed() < SETTLES) && since.elapsed() < 2 * SETTLES
}

/// Which locks may be held beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    Shared,
    Exclusive,
}

/// Tries to lock one byte at `offset`. `Ok(None)`: somebody else holds it.
pub fn try_lock(path: &Path, offset: i64, sharing: Sharing) -> Result<Option<RangeLock>, StoreError> {
    let file = open_lock(path)?;
    Ok(seize(&file, path, offset, sharing)?.then_some(RangeLock { file }))
}

/// Locks one byte of an open file, unless somebody else holds it: then `false`.
fn seize(file: &File, path: &Path, offset: i64, sharing: Sharing) -> Result<bool, StoreError> {
    let request = range(offset, sharing);
    let once = || match nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_OFD_SETLK(&request)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => errno("lock", path, Err(error)),
    };
    #[cfg(test)]
    let since = std::time::Instant::now();
    #[cfg(test)]
    while !once()? && may_settle(since) {}
    once()
}

/// Locks one byte at `offset`, waiting for whoever holds it.
pub fn lock(path: &Path, offset: i64, sharing: Sharing) -> Result<RangeLock, StoreError> {
    let file = open_lock(path)?;
    let request = range(offset, sharing);
    loop {
        match nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLKW(&request)) {
            Ok(_) => return Ok(RangeLock { file }),
            Err(Errno::EINTR) => {}
            Err(error) => return errno("lock", path, Err(error)),
        }
    }
}

/// Locks a lock file that its holder removes, waiting for whoever has it. Only the holder may remove
/// the file, before it lets go.
pub fn lock_named(path: &Path) -> Result<RangeLock, StoreError> {
    loop {
        let lock = lock(path, 0, Sharing::Exclusive)?;
        if is_named(&lock.file, path)? {
            return Ok(lock);
        }
    }
}

/// Tries the same. `Ok(None)`: somebody else holds it.
pub fn try_lock_named(path: &Path) -> Result<Option<RangeLock>, StoreError> {
    loop {
        match try_lock(path, 0, Sharing::Exclusive)? {
            None => return Ok(None),
            Some(lock) if is_named(&lock.file, path)? => return Ok(Some(lock)),
            Some(_) => {}
        }
    }
}

/// Whether the name still stands for this very file: between opening and locking it, the holder may
/// have removed it, and somebody else may have made another one.
fn is_named(file: &File, path: &Path) -> Result<bool, StoreError> {
    let open = io("read", path, file.metadata())?;
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => io("read", path, Err(error)),
    }
}

fn range(offset: i64, sharing: Sharing) -> nix::libc::flock {
    let kind = match sharing {
        Sharing::Shared => nix::libc::F_RDLCK,
        Sharing::Exclusive => nix::libc::F_WRLCK,
    };
    nix::libc::flock {
        l_type: i16::try_from(kind).expect("lock kinds are 0, 1 and 2"),
        l_whence: 0,
        l_start: offset,
        l_len: 1,
        l_pid: 0,
    }
}

/// An open lock file with any number of locked bytes. All of them belong to this one open file: its
/// own locks never stand in its way.
#[derive(Debug)]
pub struct LockFile {
    file: File,
    path: PathBuf,
}

impl LockFile {
    /// Opens the file, making it when it is missing.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { file: open_lock(path)?, path: path.to_owned() })
    }

    /// Locks the byte at `offset`, waiting for whoever holds it.
    pub fn lock(&self, offset: i64, sharing: Sharing) -> Result<(), StoreError> {
        let request = range(offset, sharing);
        loop {
            match nix::fcntl::fcntl(&self.file, nix::fcntl::FcntlArg::F_OFD_SETLKW(&request)) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(error) => return errno("lock", &self.path, Err(error)),
            }
        }
    }

    /// Locks the byte at `offset`, unless somebody else holds it: then `false`.
    pub fn try_lock(&self, offset: i64, sharing: Sharing) -> Result<bool, StoreError> {
        seize(&self.file, &self.path, offset, sharing)
    }

    /// Lets go of the byte at `offset`.
    pub fn unlock(&self, offset: i64) -> Result<(), StoreError> {
        let mut request = range(offset, Sharing::Shared);
        request.l_type = i16::try_from(nix::libc::F_UNLCK).expect("lock kinds are 0, 1 and 2");
        let done = nix::fcntl::fcntl(&self.file, nix::fcntl::FcntlArg::F_OFD_SETLK(&request));
        errno("unlock", &self.path, done.map(drop))
    }
}

/// Writes `bytes` at `offset` of a lock file: a note for people about who holds the lock.
pub fn write_note(lock: &RangeLock, offset: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    // A note that cannot be written costs a name in a message, nothing else.
    let _ = lock.file.write_at(bytes, offset);
}

/// What [`write_note`] left at `offset`, if anything.
pub fn read_note<const N: usize>(path: &Path, offset: u64) -> Option<[u8; N]> {
    use std::os::unix::fs::FileExt;
    let mut bytes = [0; N];
    File::open(path).and_then(|file| file.read_exact_at(&mut bytes, offset)).ok()?;
    Some(bytes)
}

/// Bytes that are free for us on the file system of `path`, if it can tell.
pub fn free_space(path: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(path).ok()?;
    Some(stat.blocks_available() * stat.fragment_size())
}
