//! Open directories, below which names are made without looking up paths.

use std::ffi::OsStr;
use std::fs::File;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::stat::{Mode, UtimensatFlags};
use nix::sys::time::TimeSpec;

use super::file::pour;
use super::flush::sync_names;
use super::{MTIME, Operation, Step, act, attempt, errno, finish_file, io, open, sync};
use crate::store::StoreError;

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
            let next = nix::fcntl::openat(parent, OsStr::from_bytes(name), flags, Mode::empty())?;
            at = Some(next);
        }
        at.map(File::from).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    /// Makes a directory in this one and opens it. `whole` is for messages.
    #[cfg_attr(test, track_caller)]
    pub fn make(&self, name: &[u8], whole: &Path) -> Result<Self, StoreError> {
        let name = OsStr::from_bytes(name);
        let mode = Mode::from_bits_truncate(0o755);
        act(Step::new(Operation::MakeDirectory, whole), || {
            Ok(nix::sys::stat::mkdirat(&self.0, name, mode)?)
        })?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        errno("open", whole, nix::fcntl::openat(&self.0, name, flags, Mode::empty())).map(Self)
    }

    /// Makes a symbolic link in this directory.
    #[cfg_attr(test, track_caller)]
    pub fn link_to(&self, name: &[u8], target: &[u8], whole: &Path) -> Result<(), StoreError> {
        let link = Step::new(Operation::SymbolicLink, whole).bytes(target);
        let (name, target) = (OsStr::from_bytes(name), OsStr::from_bytes(target));
        act(link, || Ok(nix::unistd::symlinkat(target, &self.0, name)?))?;
        let time = TimeSpec::new(MTIME, 0);
        let flags = UtimensatFlags::NoFollowSymlink;
        act(Step::new(Operation::SetTime, whole), || {
            Ok(nix::sys::stat::utimensat(&self.0, name, &time, &time, flags)?)
        })
    }

    /// Gives the file at `from` another name in this directory; a file that cannot take another
    /// name is copied: then `false`.
    #[cfg_attr(test, track_caller)]
    pub fn add_file(
        &self,
        name: &[u8],
        from: &Path,
        executable: bool,
        whole: &Path,
    ) -> Result<bool, StoreError> {
        let name = OsStr::from_bytes(name);
        let step = Step::new(Operation::Link, whole).from(from);
        let linked =
            attempt(step, || Ok(nix::unistd::linkat(AT_FDCWD, from, &self.0, name, AtFlags::empty())?));
        match linked.as_ref().map_err(|error| error.raw_os_error().map(Errno::from_raw)) {
            Ok(()) => Ok(true),
            Err(Some(Errno::EMLINK | Errno::EXDEV | Errno::EPERM | Errno::ENOTSUP)) => {
                let mut source = open(from)?;
                let flags =
                    OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let mode = Mode::from_bits_truncate(0o644);
                let mut copy = act(Step::new(Operation::Create, whole), || {
                    Ok(File::from(nix::fcntl::openat(&self.0, name, flags, mode)?))
                })?;
                pour(&mut source, &mut copy, whole)?;
                finish_file(&copy, whole, executable)?;
                sync(&copy, whole).map(|()| false)
            }
            Err(_) => io("link", whole, linked).map(|()| true),
        }
    }

    /// Gives the directory the time that everything in the store has, and flushes it when asked.
    #[cfg_attr(test, track_caller)]
    pub fn finish(&self, flush: bool, whole: &Path) -> Result<(), StoreError> {
        let time = TimeSpec::new(MTIME, 0);
        act(Step::new(Operation::SetTime, whole), || Ok(nix::sys::stat::futimens(&self.0, &time, &time)?))?;
        if flush { sync_names(&self.0, whole) } else { Ok(()) }
    }
}
