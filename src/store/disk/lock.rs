//! Locks that the kernel holds, on ranges of bytes of lock files, and the notes in these files.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
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

/// Which locks may be held beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    Shared,
    Exclusive,
}

/// Tries to lock one byte at `offset`. `Ok(None)`: somebody else holds it.
pub fn try_lock(path: &Path, offset: i64, sharing: Sharing) -> Result<Option<RangeLock>, StoreError> {
    let file = open_lock(path)?;
    let request = range(offset, sharing);
    match nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&request)) {
        Ok(_) => Ok(Some(RangeLock { file })),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
        Err(error) => errno("lock", path, Err(error)),
    }
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
        let request = range(offset, sharing);
        match nix::fcntl::fcntl(&self.file, nix::fcntl::FcntlArg::F_OFD_SETLK(&request)) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(error) => errno("lock", &self.path, Err(error)),
        }
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

/// The process id that [`write_note`] left at `offset`; 0 when there is none.
pub fn read_note(path: &Path, offset: u64) -> u32 {
    use std::os::unix::fs::FileExt;
    let mut bytes = [0; 4];
    match File::open(path).and_then(|file| file.read_exact_at(&mut bytes, offset)) {
        Ok(()) => u32::from_le_bytes(bytes),
        Err(_) => 0,
    }
}

/// Bytes that are free for us on the file system of `path`, if it can tell.
pub fn free_space(path: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(path).ok()?;
    Some(stat.blocks_available() * stat.fragment_size())
}
