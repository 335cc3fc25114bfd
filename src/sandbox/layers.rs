//! Layers before and after a run: whether input layers get along, and what a run added to them.
//!
//! The engine reads a run's additions through a descriptor of the overlay's top directory, never
//! by a path, after every process of the sandbox is gone; it follows no link and copies all bytes,
//! so no file in the store is one that a builder ever had open.

use std::collections::{BTreeMap, HashSet};
use std::fs::File as Handle;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstatat};
use rayon::prelude::*;

use super::namespaces;
use crate::outcome::Failure;
use crate::store::staging::Staging;
use crate::store::tree::{LinkTarget, MAX_DEPTH, Name, Node, RelPath, Tree};

/// A layer for messages and comparison: its name and what it holds.
pub type NamedTree = (String, Arc<Tree>);

/// From this many files on, all cores copy and hash.
const MANY_FILES: usize = 16;

/// Checks that no two layers hold different things at one path. Equal files are fine, directories
/// merge. Only directories that several layers have are looked at, so a huge layer costs no more
/// than the small ones beside it.
pub fn check_overlap(layers: &[NamedTree]) -> Result<(), Failure> {
    let whole: Vec<_> = layers.iter().map(|(name, tree)| (name.as_str(), &**tree)).collect();
    check_directories(&whole, &RelPath::default())
}

fn check_directories(directories: &[(&str, &Tree)], path: &RelPath) -> Result<(), Failure> {
    let Some(largest) = (0..directories.len()).max_by_key(|index| directories[*index].1.len()) else {
        return Ok(());
    };
    let mut seen: BTreeMap<&Name, Vec<(usize, &Node)>> = BTreeMap::new();
    for (index, (_, tree)) in directories.iter().enumerate().filter(|(index, _)| *index != largest) {
        for (name, node) in tree.entries() {
            seen.entry(name).or_default().push((index, node));
        }
    }
    for (name, mut nodes) in seen {
        if let Some(node) = directories[largest].1.child(name) {
            nodes.push((largest, node));
            nodes.sort_by_key(|(index, _)| *index);
        }
        let Some(((first, one), others)) = nodes.split_first() else { continue };
        let mut below: Vec<(&str, &Tree)> = Vec::new();
        for (index, other) in others {
            match (one, other) {
                (Node::Directory(one), Node::Directory(other)) => {
                    if below.is_empty() {
                        below.push((directories[*first].0, one));
                    }
                    if !below.iter().any(|(_, known)| std::ptr::eq(*known, &raw const **other)) {
                        below.push((directories[*index].0, other));
                    }
                }
                (one, other) if one == other => {}
                _ => {
                    return Err(Failure::Overlap {
                        path: path.join(name.clone()).to_string(),
                        first: directories[*first].0.to_owned(),
                        second: directories[*index].0.to_owned(),
                    });
                }
            }
        }
        if below.len() > 1 {
            check_directories(&below, &path.join(name.clone()))?;
        }
    }
    Ok(())
}

/// Takes in what a run has put on top of `layers`: `top` is the top directory of the overlay, and
/// `mount_points` are paths in it that were made for other mounts.
///
/// Removing or changing a file of a layer, and anything that a tree cannot hold, is a
/// [`Failure::BadOutput`]; a file of a layer that was only copied up, and directories that were
/// only touched, are left out.
pub fn capture(
    top: &OwnedFd,
    layers: &[NamedTree],
    mount_points: &[RelPath],
    staging: &Staging,
) -> Result<Tree, Failure> {
    let lower: Vec<_> = layers.iter().map(|(name, tree)| (name.as_str(), &**tree)).collect();
    let mut found = Found::default();
    found.walk(top, &RelPath::default(), &lower)?;

    let take = |(path, executable): &(RelPath, bool)| -> Result<Node, Failure> {
        let mut file = open_file(top, path)?;
        staging.add(&mut file, *executable).map(Node::File).map_err(|error| super::store_failed(&error))
    };
    let nodes: Vec<Node> = if found.files.len() < MANY_FILES {
        found.files.iter().map(take).collect::<Result<_, _>>()?
    } else {
        found.files.par_iter().map(take).collect::<Result<_, _>>()?
    };
    let files = found.files.into_iter().map(|(path, _)| path).zip(nodes);

    let mut tree = Tree::default();
    let mut unchanged = HashSet::new();
    for (path, node) in files.chain(found.links) {
        match lookup(&lower, &path) {
            Some((_, there)) if *there == node => drop(unchanged.insert(path)),
            Some((layer, there)) => return Err(bad(&path, format!("changes {} of {layer}", there.kind()))),
            None => tree.insert(&path, node).map_err(|error| bad(&path, error.to_string()))?,
        }
    }
    for path in found.directories {
        let node = Node::Directory(Arc::default());
        tree.insert(&path, node).map_err(|error| bad(&path, error.to_string()))?;
    }
    for path in found.opaque {
        for (layer, hidden) in &lower {
            let Some(hidden) = hidden.directory(&path) else { continue };
            hidden.walk(&mut |below, node| {
                let whole = path.extend(below);
                match node {
                    Node::Directory(_) => Ok(()),
                    _ if unchanged.contains(&whole) => Ok(()),
                    _ => Err(bad(&whole, format!("removes {} of {layer}", node.kind()))),
                }
            })?;
        }
    }
    for mount_point in mount_points {
        drop_empty(&mut tree, mount_point);
    }
    Ok(tree)
}

/// Removes the directory at `path`, and those around it, as far as nothing is in them.
pub(super) fn drop_empty(tree: &mut Tree, path: &RelPath) {
    let mut path = path.clone();
    while !path.names().is_empty() && tree.directory(&path).is_some_and(Tree::is_empty) {
        tree.remove(&path);
        path = path.parent().unwrap_or_default();
    }
}

/// The node at `path` in the topmost layer that has one.
fn lookup<'a>(lower: &[(&'a str, &'a Tree)], path: &RelPath) -> Option<(&'a str, &'a Node)> {
    lower.iter().rev().find_map(|(layer, tree)| Some((*layer, tree.get(path)?)))
}

pub(super) fn bad(path: &RelPath, reason: impl Into<String>) -> Failure {
    Failure::BadOutput { path: path.to_string(), reason: reason.into() }
}

pub(super) fn trouble(path: &RelPath, errno: Errno) -> Failure {
    match errno {
        Errno::ENAMETOOLONG => bad(path, "its path is too long"),
        errno => {
            Failure::Machine { what: format!("reading `{path}` of the output"), reason: errno.desc().into() }
        }
    }
}

/// What a walk over a top directory finds, before any byte is read.
#[derive(Default)]
struct Found {
    files: Vec<(RelPath, bool)>,
    links: Vec<(RelPath, Node)>,
    /// Those that no layer has.
    directories: Vec<RelPath>,
    /// Those that hide what layers have at their path.
    opaque: Vec<RelPath>,
}

impl Found {
    /// Walks one directory; `lower` are the layers' directories at the same path.
    fn walk(&mut self, top: &OwnedFd, path: &RelPath, lower: &[(&str, &Tree)]) -> Result<(), Failure> {
        if path.names().len() >= MAX_DEPTH {
            return Err(bad(path, format!("directories nest deeper than {MAX_DEPTH} levels")));
        }
        if !lower.is_empty() && namespaces::is_opaque(top) {
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
            let at = path.join(valid.clone());
            let status =
                fstatat(top, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(|errno| trouble(&at, errno))?;
            let below: Vec<_> =
                lower.iter().filter_map(|(layer, tree)| Some((*layer, tree.child(&valid)?))).collect();
            match SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits()) {
                SFlag::S_IFREG => self.files.push((at, status.st_mode & 0o100 != 0)),
                SFlag::S_IFLNK => {
                    let target = readlinkat(top, name).map_err(|errno| trouble(&at, errno))?;
                    let target = LinkTarget::new(std::os::unix::ffi::OsStrExt::as_bytes(target.as_os_str()))
                        .map_err(|error| bad(&at, error.to_string()))?;
                    self.links.push((at, Node::Link(target)));
                }
                SFlag::S_IFDIR => {
                    let mut inner = Vec::with_capacity(below.len());
                    for (layer, node) in &below {
                        let Node::Directory(tree) = node else {
                            return Err(bad(&at, format!("changes {} of {layer}", node.kind())));
                        };
                        inner.push((*layer, &**tree));
                    }
                    if inner.is_empty() {
                        self.directories.push(at.clone());
                    }
                    let directory = open_directory(top, name).map_err(|errno| trouble(&at, errno))?;
                    self.walk(&directory, &at, &inner)?;
                }
                SFlag::S_IFCHR if status.st_rdev == 0 && !below.is_empty() => {
                    let (layer, node) = below[0];
                    return Err(bad(&at, format!("removes {} of {layer}", node.kind())));
                }
                SFlag::S_IFIFO => return Err(bad(&at, "is a named pipe")),
                SFlag::S_IFSOCK => return Err(bad(&at, "is a socket")),
                _ => return Err(bad(&at, "is a device")),
            }
        }
        Ok(())
    }
}

/// Opens a directory that is known not to be a link, whatever mode the builder has left it with.
pub(super) fn open_directory(at: &OwnedFd, name: &std::ffi::CStr) -> nix::Result<OwnedFd> {
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
fn open_file(top: &OwnedFd, path: &RelPath) -> Result<Handle, Failure> {
    let mut bytes = Vec::new();
    for name in path.names() {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b'/');
    }
    bytes.pop();
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
    opened.map(Handle::from).map_err(|errno| trouble(path, errno))
}
