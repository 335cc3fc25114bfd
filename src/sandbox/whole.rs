//! The other way to read a top directory: the layers with everything that the run made of them.
//!
//! Used where a run owns its overlay: setting a base up, and the working directory of a build.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstatat};

use super::layers::{NamedTree, bad, drop_empty, open_directory, trouble};
use super::{namespaces, store_failed};
use crate::outcome::Failure;
use crate::store::staging::Staging;
use crate::store::tree::{LinkTarget, MAX_DEPTH, Name, Node, RelPath, Tree};

/// What stands at the overlay's place in the end: the layers, changed as `top` says. `mount_points`
/// are paths that were made for other mounts. What a tree cannot hold is a [`Failure::BadOutput`].
pub fn capture(
    top: &OwnedFd,
    layers: &[NamedTree],
    mount_points: &[RelPath],
    staging: &Staging,
) -> Result<Tree, Failure> {
    let mut lower = Tree::default();
    for (layer, tree) in layers {
        lower.merge(tree).map_err(|error| bad(&RelPath::default(), format!("{layer}: {error}")))?;
    }
    let mut tree = changed(top, &RelPath::default(), Some(&lower), staging)?;
    for mount_point in mount_points.iter().filter(|path| lower.directory(path).is_none()) {
        drop_empty(&mut tree, mount_point);
    }
    Ok(tree)
}

/// The directory `top` over `lower`, which has the same path.
fn changed(top: &OwnedFd, path: &RelPath, lower: Option<&Tree>, staging: &Staging) -> Result<Tree, Failure> {
    if path.names().len() >= MAX_DEPTH {
        return Err(bad(path, format!("directories nest deeper than {MAX_DEPTH} levels")));
    }
    let hides = lower.is_some() && namespaces::is_opaque(top);
    let lower = lower.filter(|_| !hides);
    let mut tree = lower.cloned().unwrap_or_default();
    let mut listing = Dir::openat(top, ".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| trouble(path, errno))?;
    for entry in listing.iter() {
        let entry = entry.map_err(|errno| trouble(path, errno))?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let valid = Name::new(name.to_bytes()).map_err(|error| bad(path, error.to_string()))?;
        let at = path.join(valid.clone());
        let here = RelPath::default().join(valid);
        let status = fstatat(top, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(|errno| trouble(&at, errno))?;
        let node = match SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFREG => {
                let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
                let file = openat(top, name, flags, Mode::empty()).map_err(|errno| trouble(&at, errno))?;
                let added = staging.add(&mut std::fs::File::from(file), status.st_mode & 0o100 != 0);
                Node::File(added.map_err(|error| store_failed(&error))?)
            }
            SFlag::S_IFLNK => {
                let target = readlinkat(top, name).map_err(|errno| trouble(&at, errno))?;
                let target = LinkTarget::new(std::os::unix::ffi::OsStrExt::as_bytes(target.as_os_str()));
                Node::Link(target.map_err(|error| bad(&at, error.to_string()))?)
            }
            SFlag::S_IFDIR => {
                let directory = open_directory(top, name).map_err(|errno| trouble(&at, errno))?;
                let below = lower.and_then(|tree| tree.directory(&here));
                Node::Directory(Arc::new(changed(&directory, &at, below, staging)?))
            }
            SFlag::S_IFCHR if status.st_rdev == 0 => {
                tree.remove(&here);
                continue;
            }
            SFlag::S_IFIFO => return Err(bad(&at, "is a named pipe")),
            SFlag::S_IFSOCK => return Err(bad(&at, "is a socket")),
            _ => return Err(bad(&at, "is a device")),
        };
        tree.replace(&here, node).map_err(|error| bad(&at, error.to_string()))?;
    }
    Ok(tree)
}
