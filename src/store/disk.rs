//! The one door to the disk: every raw file operation of the store goes through here, with the
//! name of the operation and the path kept for messages.
//!
//! What is published is flushed first and appears by one rename that never replaces anything.
//! Trees are filled through directory handles, so no name from a tree is ever looked up as a path.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags};
use nix::sys::stat::{Mode, UtimensatFlags};
use nix::sys::time::TimeSpec;

use super::StoreError;

/// The modification time, in seconds since 1970, of everything in the store: builders see it, so
/// it has to be the same everywhere.
pub const MTIME: i64 = 1;

/// Adds operation and path to an error of the operating system.
pub fn io<T>(operation: &'static str, path: &Path, result: io::Result<T>) -> Result<T, StoreError> {
    result.map_err(|source| StoreError::Io { operation, path: path.to_owned(), source })
}

fn errno<T>(operation: &'static str, path: &Path, result: nix::Result<T>) -> Result<T, StoreError> {
    io(operation, path, result.map_err(io::Error::from))
}

/// Makes `path` and its missing parents; directories of the store are for their owner alone to
/// write.
pub fn make_directories(path: &Path) -> Result<(), StoreError> {
    io("create", path, fs::DirBuilder::new().recursive(true).mode(0o755).create(path))
}

/// Makes the one directory `path`. What is in a private directory is private whatever its own mode.
pub fn make_directory(path: &Path) -> Result<(), StoreError> {
    io("create", path, fs::DirBuilder::new().mode(0o755).create(path))
}

/// Makes the one directory `path`, readable by nobody else.
pub fn make_private_directory(path: &Path) -> Result<(), StoreError> {
    io("create", path, fs::DirBuilder::new().mode(0o700).create(path))
}

/// Creates a file that must not exist yet, never following a link.
pub fn create_new(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).read(true).create_new(true).mode(0o644).custom_flags(nix::libc::O_NOFOLLOW);
    io("create", path, options.open(path))
}

/// Opens a file for appending whole records, making it when it is missing.
pub fn open_append(path: &Path) -> Result<File, StoreError> {
    io("open", path, OpenOptions::new().append(true).create(true).mode(0o644).open(path))
}

/// Opens a lock file for reading and writing, making it when it is missing.
pub fn open_lock(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    io("open", path, options.read(true).write(true).create(true).truncate(false).mode(0o644).open(path))
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
pub fn write_all(file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    io("write", path, file.write_all(bytes))
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
pub fn finish_file(file: &File, path: &Path, executable: bool) -> Result<(), StoreError> {
    let mode = if executable { 0o755 } else { 0o644 };
    io("change the mode of", path, file.set_permissions(fs::Permissions::from_mode(mode)))?;
    let time = TimeSpec::new(MTIME, 0);
    errno("set the time of", path, nix::sys::stat::futimens(file, &time, &time))
}

/// Copies the bytes of `from` to the new file `to`, sharing them where the file system can. The
/// copy is not flushed.
pub fn copy(from: &Path, to: &Path, executable: bool) -> Result<(), StoreError> {
    let mut source = io("open", from, File::open(from))?;
    let mut copy = create_new(to)?;
    io("write", to, io::copy(&mut source, &mut copy))?;
    let mode = if executable { 0o755 } else { 0o644 };
    io("change the mode of", to, copy.set_permissions(fs::Permissions::from_mode(mode)))
}

/// Flushes a file or directory to the disk.
pub fn sync(file: &impl AsFd, path: &Path) -> Result<(), StoreError> {
    errno("flush", path, nix::unistd::fsync(file))
}

/// Flushes a directory, so that the names in it survive a power cut.
pub fn sync_directory(path: &Path) -> Result<(), StoreError> {
    sync(&io("open", path, File::open(path))?, path)
}

/// Flushes everything of the file system that holds `path`: cheaper than file by file when there
/// are many.
pub fn sync_file_system(path: &Path) -> Result<(), StoreError> {
    let directory = io("open", path, File::open(path))?;
    errno("flush", path, nix::unistd::syncfs(directory.as_fd()))
}

/// Publishes `from` as `to` in one step. `Ok(false)`: `to` was there already, and nothing changed.
pub fn rename_new(from: &Path, to: &Path) -> Result<bool, StoreError> {
    match nix::fcntl::renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST | Errno::ENOTEMPTY) => Ok(false),
        // File systems without the flag: a rename onto a directory that is not empty fails, and
        // content-addressed files are equal, so replacing one changes nothing.
        Err(Errno::EINVAL) => match fs::symlink_metadata(to) {
            Ok(_) => Ok(false),
            Err(_) => io("publish", to, fs::rename(from, to)).map(|()| true),
        },
        Err(error) => errno("publish", to, Err(error)),
    }
}

/// Lets `from` and `to`, which both exist, change places.
pub fn exchange(from: &Path, to: &Path) -> Result<(), StoreError> {
    let flags = RenameFlags::RENAME_EXCHANGE;
    errno("replace", to, nix::fcntl::renameat2(AT_FDCWD, from, AT_FDCWD, to, flags))
}

/// Renames `from` to `to`, replacing a file that is there.
pub fn rename_over(from: &Path, to: &Path) -> Result<(), StoreError> {
    io("replace", to, fs::rename(from, to))
}

/// Replaces the file at `path`, or makes it: readers see the old bytes or the new ones, also after
/// a power cut.
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

/// Whether something is at `path`, without following a last link.
pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Removes a file if it is there.
pub fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => io("remove", path, Err(error)),
        _ => Ok(()),
    }
}

/// Removes a directory with everything below it, never following links; directories without
/// permissions (a crashed overlay leaves one) are opened up first.
pub fn remove_tree(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
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

/// An open directory, below which names are made without looking up paths.
#[derive(Debug)]
pub struct Directory(OwnedFd);

impl Directory {
    /// Opens `path`, which must be a directory and not a link.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        errno("open", path, nix::fcntl::open(path, flags, Mode::empty())).map(Self)
    }

    /// Opens the file or directory at `names` for reading, below this directory whatever happens:
    /// a link is never followed, and a name that a path would treat specially is refused. Opening
    /// does not wait for anything.
    pub fn open_below(&self, names: &[&[u8]]) -> io::Result<File> {
        let mut at = None;
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() || *name == b"." || *name == b".." || name.contains(&b'/') {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let mut flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
            if index + 1 < names.len() {
                flags |= OFlag::O_DIRECTORY | OFlag::O_PATH;
            }
            let parent = at.as_ref().map_or(self.0.as_fd(), AsFd::as_fd);
            let next = nix::fcntl::openat(parent, std::ffi::OsStr::from_bytes(name), flags, Mode::empty())?;
            at = Some(next);
        }
        at.map(File::from).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    /// Makes a directory in this one and opens it. `whole` is for messages.
    pub fn make(&self, name: &[u8], whole: &Path) -> Result<Self, StoreError> {
        let name = std::ffi::OsStr::from_bytes(name);
        errno("create", whole, nix::sys::stat::mkdirat(&self.0, name, Mode::from_bits_truncate(0o755)))?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        errno("open", whole, nix::fcntl::openat(&self.0, name, flags, Mode::empty())).map(Self)
    }

    /// Makes a symbolic link in this directory.
    pub fn link_to(&self, name: &[u8], target: &[u8], whole: &Path) -> Result<(), StoreError> {
        let (name, target) = (std::ffi::OsStr::from_bytes(name), std::ffi::OsStr::from_bytes(target));
        errno("create", whole, nix::unistd::symlinkat(target, &self.0, name))?;
        let time = TimeSpec::new(MTIME, 0);
        let flags = UtimensatFlags::NoFollowSymlink;
        errno("set the time of", whole, nix::sys::stat::utimensat(&self.0, name, &time, &time, flags))
    }

    /// Gives the file at `from` another name in this directory; a file that cannot take another
    /// name is copied.
    pub fn add_file(
        &self,
        name: &[u8],
        from: &Path,
        executable: bool,
        whole: &Path,
    ) -> Result<(), StoreError> {
        let name = std::ffi::OsStr::from_bytes(name);
        match nix::unistd::linkat(AT_FDCWD, from, &self.0, name, AtFlags::empty()) {
            Ok(()) => Ok(()),
            Err(Errno::EMLINK | Errno::EXDEV | Errno::EPERM | Errno::ENOTSUP) => {
                let mut source = io("open", from, File::open(from))?;
                let flags =
                    OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let mode = Mode::from_bits_truncate(0o644);
                let copy = errno("create", whole, nix::fcntl::openat(&self.0, name, flags, mode))?;
                let mut copy = File::from(copy);
                io("write", whole, io::copy(&mut source, &mut copy))?;
                finish_file(&copy, whole, executable)?;
                sync(&copy, whole)
            }
            Err(error) => errno("link", whole, Err(error)),
        }
    }

    /// Gives the directory the time that everything in the store has, and flushes it when asked.
    pub fn finish(&self, flush: bool, whole: &Path) -> Result<(), StoreError> {
        let time = TimeSpec::new(MTIME, 0);
        errno("set the time of", whole, nix::sys::stat::futimens(&self.0, &time, &time))?;
        if flush { sync(&self.0, whole) } else { Ok(()) }
    }
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
