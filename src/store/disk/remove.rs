//! Removal of whole trees by handle: each directory is opened in the one that holds it, never through
//! a link and never across a mount, and its entries are removed through that handle. Whoever swaps
//! names meanwhile can keep something from being removed, and cannot lead us elsewhere.
//!
//! There is no recursion, and few descriptors are open however deep the tree is: what lies deeper is
//! first moved up, next to the entries of the top directory.

use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, RenameFlags, ResolveFlag, openat, openat2, renameat2};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::{Operation, Step, act, attempt, errno, io};
use crate::store::StoreError;

/// So many directories are open at most.
const DEEPEST: usize = 32;

/// So many names of a directory are kept at most.
const BATCH: usize = 4096;

/// Removes what is at `path`, if anything is: a directory with everything below it, or the one file
/// or link. Directories without permissions (a crashed overlay leaves one) are opened up first.
///
/// # Errors
/// What cannot be removed is named; what came before it in the directory is gone.
#[cfg_attr(test, track_caller)]
pub fn remove_tree(path: &Path) -> Result<(), StoreError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return io("remove", path, Err(io::ErrorKind::InvalidInput.into()));
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let name = CString::new(name.as_bytes()).map_err(io::Error::from);
    let name = io("remove", path, name)?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let parent = match openat(AT_FDCWD, parent, flags, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(()),
        other => errno("open", parent, other)?,
    };
    if remove_if_no_directory(parent.as_fd(), &name, path)? {
        return Ok(());
    }
    let Some(top) = Level::enter(parent.as_fd(), name, path.to_owned())? else { return Ok(()) };
    Removal { parent, levels: vec![top], lifted: 0 }.run()
}

struct Removal {
    /// The directory that holds the top one.
    parent: OwnedFd,
    /// The directories from the top to where the removal is.
    levels: Vec<Level>,
    /// How many directories were moved up.
    lifted: usize,
}

/// A directory that is being emptied.
struct Level {
    directory: Dir,
    name: CString,
    /// For messages.
    path: PathBuf,
    /// Directories in it that were seen and not entered.
    below: Vec<CString>,
    is_swept: bool,
}

impl Removal {
    fn run(mut self) -> Result<(), StoreError> {
        while let Some(level) = self.levels.last_mut() {
            if let Some(name) = level.below.pop() {
                self.enter(name)?;
            } else if level.is_swept {
                self.leave()?;
            } else {
                level.is_swept = level.sweep()? < BATCH;
            }
        }
        Ok(())
    }

    /// Goes on with a directory in the present one.
    fn enter(&mut self, name: CString) -> Result<(), StoreError> {
        let (here, depth) = (self.levels.last().expect("the loop looked"), self.levels.len());
        let path = here.path.join(OsStr::from_bytes(name.as_bytes()));
        let Some(next) = Level::enter(here.directory.as_fd(), name, path)? else { return Ok(()) };
        if depth < DEEPEST {
            self.levels.push(next);
            return Ok(());
        }
        loop {
            self.lifted += 1;
            let name = CString::new(format!(".{}", self.lifted)).expect("digits");
            let (top, here) = (&self.levels[0], &self.levels[depth - 1]);
            let step = Step::new(Operation::RenameNew, &next.path).from(&next.path);
            let flags = RenameFlags::RENAME_NOREPLACE;
            let (from, to) = (&here.directory, &top.directory);
            match attempt(step, || Ok(renameat2(from, next.name.as_c_str(), to, name.as_c_str(), flags)?)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // Somebody else took it away.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return io("remove", &next.path, Err(error)),
                Ok(()) => {
                    self.levels[0].below.push(name);
                    return Ok(());
                }
            }
        }
    }

    /// Removes the present directory, which should be empty.
    fn leave(&mut self) -> Result<(), StoreError> {
        let level = self.levels.last_mut().expect("the loop looked");
        let (name, path) = (level.name.clone(), level.path.clone());
        let above = match self.levels.len() {
            1 => self.parent.as_fd(),
            depth => self.levels[depth - 2].directory.as_fd(),
        };
        let step = Step::new(Operation::RemoveDirectory, &path);
        match attempt(step, || Ok(unlinkat(above, name.as_c_str(), UnlinkatFlags::RemoveDir)?)) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                // Somebody has put something in, or taken something out while names were read.
                let level = self.levels.last_mut().expect("the loop looked");
                if level.sweep()? == 0 { io("remove", &path, Err(error)) } else { Ok(()) }
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => io("remove", &path, Err(error)),
            _ => {
                self.levels.pop();
                Ok(())
            }
        }
    }
}

impl Level {
    /// Opens a directory, for us to read and write. `None`: it is gone, or was no directory any more
    /// and has been removed.
    #[cfg_attr(test, track_caller)]
    fn enter(above: BorrowedFd<'_>, name: CString, path: PathBuf) -> Result<Option<Self>, StoreError> {
        let directory = match open_directory(above, &name, OFlag::O_RDONLY) {
            Err(Errno::EACCES) => {
                open_up(above, &name, &path)?;
                open_directory(above, &name, OFlag::O_RDONLY)
            }
            other => other,
        };
        let directory = match directory {
            Ok(directory) => directory,
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                remove_if_no_directory(above, &name, &path)?;
                return Ok(None);
            }
            Err(error) => return errno("open", &path, Err(error)),
        };
        let mode = errno("read", &path, fstat(&directory))?.st_mode & 0o7777;
        if mode & 0o700 != 0o700 {
            act(Step::new(Operation::SetMode(0o700), &path), || {
                Ok(nix::sys::stat::fchmod(&directory, Mode::S_IRWXU)?)
            })?;
        }
        let directory = errno("list", &path, Dir::from_fd(directory))?;
        Ok(Some(Self { directory, name, path, below: Vec::new(), is_swept: false }))
    }

    /// Removes what is no directory, and notes what is one. Returns how many names it saw, at most
    /// [`BATCH`].
    fn sweep(&mut self) -> Result<usize, StoreError> {
        let mut found = Vec::new();
        for entry in self.directory.iter() {
            let entry = errno("list", &self.path, entry)?;
            if entry.file_name() == c"." || entry.file_name() == c".." {
                continue;
            }
            found.push((entry.file_name().to_owned(), entry.file_type() == Some(Type::Directory)));
            if found.len() == BATCH {
                break;
            }
        }
        let count = found.len();
        for (name, is_directory) in found {
            let path = self.path.join(OsStr::from_bytes(name.as_bytes()));
            if is_directory || !remove_if_no_directory(self.directory.as_fd(), &name, &path)? {
                self.below.push(name);
            }
        }
        Ok(count)
    }
}

/// Removes the file, link or whatever is at `name` but a directory. `false`: it is a directory.
#[cfg_attr(test, track_caller)]
fn remove_if_no_directory(above: BorrowedFd<'_>, name: &CStr, path: &Path) -> Result<bool, StoreError> {
    let step = Step::new(Operation::RemoveFile, path);
    let removed = attempt(step, || Ok(unlinkat(above, name, UnlinkatFlags::NoRemoveDir)?));
    match removed {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(false),
        Err(error) if error.kind() != io::ErrorKind::NotFound => io("remove", path, Err(error)),
        _ => Ok(true),
    }
}

/// Opens the directory `name` itself, not what a link or a mount would put in its place.
fn open_directory(above: BorrowedFd<'_>, name: &CStr, access: OFlag) -> nix::Result<OwnedFd> {
    let flags = access | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let resolve = ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_BENEATH;
    match openat2(above, name, OpenHow::new().flags(flags).resolve(resolve)) {
        // Kernels before 5.6, and filters that do not know the call.
        Err(Errno::ENOSYS | Errno::EPERM) => {
            let directory = openat(above, name, flags, Mode::empty())?;
            let is_here = fstat(&directory)?.st_dev == fstat(above)?.st_dev;
            if is_here { Ok(directory) } else { Err(Errno::EXDEV) }
        }
        other => other,
    }
}

/// Gives its owner all permissions on a directory that cannot be opened, by a handle for which it
/// needs none.
fn open_up(above: BorrowedFd<'_>, name: &CStr, path: &Path) -> Result<(), StoreError> {
    // The next attempt to open it tells what is the matter.
    let Ok(handle) = open_directory(above, name, OFlag::O_PATH) else { return Ok(()) };
    let kind = errno("read", path, fstat(&handle))?.st_mode & SFlag::S_IFMT.bits();
    if kind != SFlag::S_IFDIR.bits() {
        return Ok(());
    }
    // A handle of this kind cannot be given to fchmod; its name in /proc can, and leads nowhere else.
    let itself = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
    act(Step::new(Operation::SetMode(0o700), path), || {
        fs::set_permissions(&itself, fs::Permissions::from_mode(0o700))
    })
}
