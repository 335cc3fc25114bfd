//! Reading the top directory of an overlay after a run: all that it holds, with the bytes of its
//! files taken into the store's staging area.
//!
//! The engine reads through a descriptor of the directory, never by a path from outside, and only
//! after every process of the sandbox is gone; it follows no link and copies all bytes, so no file
//! in the store is one that a builder ever had open.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstatat};
use rayon::prelude::*;

use super::namespaces;
use crate::outcome::Failure;
use crate::store::staging::Staging;
use crate::store::tree::{LinkTarget, MAX_DEPTH, Name, Node, RelPath};

/// From this many files on, all cores copy and hash.
const MANY_FILES: usize = 16;

/// The files of an output may say that they have so many bytes in all. Sparse ones take hardly any
/// space in a sandbox, and all of it in the store.
const MOST_BYTES: u64 = 16 << 30;

/// What a top directory holds. All lists are in the order of the paths.
#[derive(Debug, Default)]
pub struct Top {
    /// Files and links.
    pub leaves: Vec<(RelPath, Node)>,
    pub directories: Vec<RelPath>,
    /// Directories that hide what the layers have at their path. May include the top itself.
    pub opaque: Vec<RelPath>,
    /// Places where something of the layers was removed.
    pub removed: Vec<RelPath>,
    /// What its files say to have, in bytes.
    bytes: u64,
}

impl Top {
    /// Reads everything below `top`. What a tree cannot hold is a [`Failure::BadOutput`].
    pub fn read(top: &OwnedFd, staging: &Staging) -> Result<Self, Failure> {
        let mut found = Self::default();
        let mut files = Vec::new();
        found.walk(top, &RelPath::default(), &mut files)?;
        let take = |(path, executable): (RelPath, bool)| -> Result<(RelPath, Node), Failure> {
            let added = staging.add(&mut open_file(top, &path)?, executable);
            let file = added.map_err(|error| super::store_failed(&error))?;
            Ok((path, Node::File(file)))
        };
        let files: Vec<_> = if files.len() < MANY_FILES {
            files.into_iter().map(take).collect::<Result<_, _>>()?
        } else {
            files.into_par_iter().map(take).collect::<Result<_, _>>()?
        };
        found.leaves.extend(files);
        // The order of directory listings is chance; verdicts and messages must not be.
        found.leaves.sort_by(|(one, _), (other, _)| one.cmp(other));
        found.directories.sort();
        found.opaque.sort();
        found.removed.sort();
        Ok(found)
    }

    fn walk(
        &mut self,
        top: &OwnedFd,
        path: &RelPath,
        files: &mut Vec<(RelPath, bool)>,
    ) -> Result<(), Failure> {
        if path.names().len() >= MAX_DEPTH {
            return Err(bad(path, format!("directories nest deeper than {MAX_DEPTH} levels")));
        }
        if namespaces::is_opaque(top) {
            self.opaque.push(path.clone());
        }
        let mut listing = Dir::openat(top, ".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(|errno| trouble(path, errno))?;
        for entry in listing.iter() {
            let entry = entry.map_err(|errno| trouble(path, errno))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let valid = Name::new(name.to_bytes()).map_err(|error| bad(path, error.to_string()))?;
            let at = path.join(valid);
            let status =
                fstatat(top, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(|errno| trouble(&at, errno))?;
            match SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits()) {
                SFlag::S_IFREG => {
                    self.bytes = self.bytes.saturating_add(u64::try_from(status.st_size).unwrap_or(u64::MAX));
                    if self.bytes > MOST_BYTES {
                        let most = MOST_BYTES >> 30;
                        return Err(bad(&at, format!("the output's files have more than {most} GiB")));
                    }
                    files.push((at, status.st_mode & 0o100 != 0));
                }
                SFlag::S_IFLNK => {
                    let target = readlinkat(top, name).map_err(|errno| trouble(&at, errno))?;
                    let target = LinkTarget::new(target.as_os_str().as_bytes())
                        .map_err(|error| bad(&at, error.to_string()))?;
                    self.leaves.push((at, Node::Link(target)));
                }
                SFlag::S_IFDIR => {
                    let directory = open_directory(top, name).map_err(|errno| trouble(&at, errno))?;
                    self.walk(&directory, &at, files)?;
                    self.directories.push(at);
                }
                SFlag::S_IFCHR if status.st_rdev == 0 => self.removed.push(at),
                SFlag::S_IFIFO => return Err(bad(&at, "is a named pipe")),
                SFlag::S_IFSOCK => return Err(bad(&at, "is a socket")),
                _ => return Err(bad(&at, "is a device")),
            }
        }
        Ok(())
    }
}

/// The failure for something at `path` that cannot be part of an output.
pub fn bad(path: &RelPath, reason: impl Into<String>) -> Failure {
    Failure::BadOutput { path: path.to_string(), reason: reason.into() }
}

fn trouble(path: &RelPath, errno: Errno) -> Failure {
    match errno {
        Errno::ENAMETOOLONG => bad(path, "its path is too long"),
        errno => {
            Failure::Machine { what: format!("reading `{path}` of the output"), reason: errno.desc().into() }
        }
    }
}

/// Opens a directory that is known not to be a link, whatever mode the builder has left it with.
fn open_directory(at: &OwnedFd, name: &CStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat(at.as_fd(), name, flags, Mode::empty()) {
        Err(Errno::EACCES) => {
            fchmodat(at, name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
            openat(at.as_fd(), name, flags, Mode::empty())
        }
        result => result,
    }
}

/// Opens a regular file below the top directory; no component of `path` may be a link.
fn open_file(top: &OwnedFd, path: &RelPath) -> Result<File, Failure> {
    let bytes = path.names().iter().map(Name::as_bytes).collect::<Vec<_>>().join(&b'/');
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let open = || openat2(top, bytes.as_slice(), how);
    let opened = match open() {
        Err(Errno::EACCES) => {
            fchmodat(top, bytes.as_slice(), Mode::S_IRUSR | Mode::S_IWUSR, FchmodatFlags::FollowSymlink)
                .and_then(|()| open())
        }
        result => result,
    };
    opened.map(File::from).map_err(|errno| trouble(path, errno))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::store::Store;

    fn read(prepare: impl FnOnce(&Path)) -> Result<Top, Failure> {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        let top = directory.path().join("top");
        std::fs::create_dir(&top).unwrap();
        prepare(&top);
        Top::read(&OwnedFd::from(File::open(&top).unwrap()), &store.stage().unwrap())
    }

    #[test]
    fn only_files_links_and_directories_are_taken_in() {
        let make_pipe = |top: &Path| nix::unistd::mkfifo(&top.join("x"), Mode::S_IRWXU).unwrap();
        assert_eq!(read(make_pipe).unwrap_err(), bad(&RelPath::parse("x").unwrap(), "is a named pipe"));
        let make_socket = |top: &Path| drop(std::os::unix::net::UnixListener::bind(top.join("x")).unwrap());
        assert_eq!(read(make_socket).unwrap_err(), bad(&RelPath::parse("x").unwrap(), "is a socket"));
    }

    /// A builder may have handed a descriptor of its output to somebody who is still there.
    #[test]
    fn descriptor_that_outlives_a_run_reaches_nothing_that_is_stored() {
        use std::os::unix::fs::{FileExt, MetadataExt};
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        let path = directory.path().join("top");
        std::fs::create_dir(&path).unwrap();
        let names = [("small", 10), ("large", 1 << 20)];
        let leaked = names.map(|(name, size)| {
            std::fs::write(path.join(name), vec![b'a'; size]).unwrap();
            File::options().write(true).open(path.join(name)).unwrap()
        });
        let staging = store.stage().unwrap();
        let top = Top::read(&OwnedFd::from(File::open(&path).unwrap()), &staging).unwrap();
        leaked.iter().for_each(|file| file.write_all_at(b"between", 0).unwrap());
        let mut tree = crate::store::tree::Tree::default();
        for (path, node) in top.leaves {
            tree.insert(&path, node).unwrap();
        }
        let hash = staging.publish(&tree).unwrap();
        leaked.iter().for_each(|file| file.write_all_at(b"afterwards", 0).unwrap());
        for ((name, _), leaked) in names.iter().zip(&leaked) {
            let stored = std::fs::metadata(store.tree_path(&hash).join(name)).unwrap();
            let its = leaked.metadata().unwrap();
            assert_ne!((stored.dev(), stored.ino()), (its.dev(), its.ino()));
        }
        assert_eq!(crate::store::staging::scan(&store.tree_path(&hash)).unwrap().hash(), hash);
    }

    #[test]
    fn modes_names_and_targets_come_out_as_a_tree_has_them() {
        let top = read(|top| {
            let file = |name: &[u8], mode: u32| {
                let path = top.join(std::ffi::OsStr::from_bytes(name));
                std::fs::write(&path, name).unwrap();
                std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
            };
            file(b"plain", 0o644);
            file(b"setuid", 0o6755);
            file(b"group only", 0o654);
            file(b"closed", 0o000);
            file(b"caf\xe9\n\\", 0o600);
            symlink("/etc/passwd", top.join("outside")).unwrap();
            symlink("../../..", top.join("up")).unwrap();
            std::fs::create_dir(top.join("shut")).unwrap();
            std::fs::write(top.join("shut/inner"), "").unwrap();
            std::fs::set_permissions(top.join("shut"), PermissionsExt::from_mode(0o000)).unwrap();
        })
        .unwrap();
        let shown = |(path, node): &(RelPath, Node)| match node {
            Node::File(file) => format!("{path} {}", file.executable),
            Node::Link(target) => format!("{path} -> {}", String::from_utf8_lossy(target.as_bytes())),
            Node::Directory(_) => unreachable!("directories are no leaves"),
        };
        let leaves: Vec<_> = top.leaves.iter().map(shown).collect();
        let expected = [
            "caf\u{fffd}\n\\ false",
            "closed false",
            "group only false",
            "outside -> /etc/passwd",
            "plain false",
            "setuid true",
            "shut/inner false",
            "up -> ../../..",
        ];
        assert_eq!(leaves, expected);
        assert_eq!(top.directories, [RelPath::parse("shut").unwrap()]);
    }
}
