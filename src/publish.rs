//! A site's tree → a directory that a web server may be serving at the same time.
//!
//! Directories below a content hash are staged, flushed and renamed into place; one that is there
//! is done and never touched. Then the few files that change are replaced one by one, those that
//! lead to others last, so whoever follows links meets complete directories only. Compressed variants
//! of a file go before it is replaced, and the new ones come after it, so that none is older than its
//! file. Older universes stay. Bytes are copied (shared by the file system where it can), never linked: nobody who edits
//! a site can damage the store.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use thiserror::Error;

use crate::assemble::{MARKER, UNIVERSE};
use crate::compress::{self, Coding};
use crate::store::disk::{self, Sharing};
use crate::store::tree::{File, Node, RelPath, Tree, TreeHash};
use crate::store::{Store, StoreError};

/// First line of the marker; the second is the hash of the site that was published last.
const MARKER_HEAD: &str = "jtwbuild site 1";
/// Held while publishing.
const LOCK: &str = ".jtwbuild-lock";
/// What is not in place yet. Whoever holds the lock owns it.
const DRAFTS: &str = ".jtwbuild-drafts";

/// Why a site was not published. What had been put in place stays, and trying again continues.
#[derive(Debug, Error)]
pub enum PublishError {
    /// A file operation failed, or the store lacks a file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory holds something that is not a site of ours.
    #[error("`{}` is not empty and is not a site made by jtwbuild (it has no `{MARKER}`)", .0.display())]
    NotOurs(PathBuf),
    /// Something else is where a directory is needed.
    #[error("`{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// The site holds a link; servers disagree on what that means.
    #[error("the site holds a link, `{0}`")]
    Link(RelPath),
}

/// What publication did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Directories below a content hash that were put in place, and that were there.
    pub added: usize,
    pub kept: usize,
    /// Other files that were written or replaced.
    pub replaced: usize,
    /// Bytes copied.
    pub bytes: u64,
}

/// Brings the directory `target` up to date with `site`, whose files are in `store`.
///
/// A target that shows this very site already costs a few look-ups.
///
/// # Errors
/// See [`PublishError`]; a target that holds anything else is left alone.
pub fn publish(store: &Store, site: &Tree, target: &Path) -> Result<Published, PublishError> {
    claim(target)?;
    let _alone = disk::lock(&target.join(LOCK), 0, Sharing::Exclusive)?;
    let marker = marker(&site.hash());
    let parts = Parts::of(site)?;
    let is_there = |(path, _): &&(RelPath, &Tree)| disk::exists(&on_disk(target, path));
    if disk::read_if_present(&target.join(MARKER))?.as_deref() == Some(marker.as_bytes())
        && parts.immutable.iter().all(|one| is_there(&one))
        && parts.mutable.iter().all(|(path, _)| disk::exists(&on_disk(target, path)))
    {
        return Ok(Published { kept: parts.immutable.len(), ..Published::default() });
    }
    let drafts = target.join(DRAFTS);
    disk::remove_tree(&drafts)?;
    disk::make_directories(&drafts)?;
    let done = Publication { store, target, drafts: &drafts }.run(&parts, &marker);
    disk::remove_tree(&drafts)?;
    done
}

/// Whether a site may be published to `target`: nothing is there, or a site of ours. Nothing is
/// written.
///
/// # Errors
/// What [`publish`] would refuse.
pub fn check(target: &Path) -> Result<(), PublishError> {
    if disk::exists(target) { is_claimed(target).map(|_| ()) } else { Ok(()) }
}

/// Whether the directory is a site of ours; an empty one is not yet, and anything else is refused.
fn is_claimed(target: &Path) -> Result<bool, PublishError> {
    if !target.is_dir() {
        return Err(PublishError::NotADirectory(target.to_owned()));
    }
    let known = disk::read_if_present(&target.join(MARKER))?;
    if known.is_some_and(|text| text.starts_with(MARKER_HEAD.as_bytes())) {
        return Ok(true);
    }
    // A marker that is not there yet may be about to be: only the lock was made.
    for entry in disk::list(target)? {
        if entry.file_name() != LOCK {
            return Err(PublishError::NotOurs(target.to_owned()));
        }
    }
    Ok(false)
}

/// Makes the directory a site of ours, unless it is one.
fn claim(target: &Path) -> Result<(), PublishError> {
    if !disk::exists(target) {
        disk::make_directories(target)?;
    }
    if is_claimed(target)? {
        return Ok(());
    }
    let path = target.join(MARKER);
    disk::write_all(&mut disk::create_new(&path)?, &path, format!("{MARKER_HEAD}\n").as_bytes())?;
    Ok(())
}

fn marker(site: &TreeHash) -> String {
    format!("{MARKER_HEAD}\n{site}\n")
}

fn on_disk(target: &Path, path: &RelPath) -> PathBuf {
    path.names()
        .iter()
        .fold(target.to_owned(), |at, name| at.join(std::ffi::OsStr::from_bytes(name.as_bytes())))
}

/// A site, taken apart by how it is published.
struct Parts<'a> {
    /// Directories below a hash; those that others lead to come first.
    immutable: Vec<(RelPath, &'a Tree)>,
    /// All other files, each before its compressed variants; [`UNIVERSE`] is last.
    mutable: Vec<(RelPath, File)>,
}

impl<'a> Parts<'a> {
    fn of(site: &'a Tree) -> Result<Self, PublishError> {
        let mut parts = Self { immutable: Vec::new(), mutable: Vec::new() };
        parts.collect(site, &RelPath::default())?;
        parts
            .immutable
            .sort_by_key(|(path, _)| path.names().first().is_some_and(|name| name.as_bytes() == b"u"));
        let universe = |path: &RelPath| match path.names() {
            [name] => compress::original(name.as_bytes()).unwrap_or(name.as_bytes()) == UNIVERSE.as_bytes(),
            _ => false,
        };
        parts.mutable.sort_by_key(|(path, _)| universe(path));
        Ok(parts)
    }

    fn collect(&mut self, tree: &'a Tree, at: &RelPath) -> Result<(), PublishError> {
        for (name, node) in tree.entries() {
            let path = at.join(name.clone());
            match node {
                Node::Link(_) => return Err(PublishError::Link(path)),
                Node::File(file) => self.mutable.push((path, *file)),
                Node::Directory(below) if is_hashed(&path) => {
                    if let Some(link) = first_link(below) {
                        return Err(PublishError::Link(path.extend(&link)));
                    }
                    self.immutable.push((path, below));
                }
                Node::Directory(below) => self.collect(below, &path)?,
            }
        }
        Ok(())
    }
}

/// `compiler/<version>/<hash>`, `p/<package>/<version>/<hash>` and `u/<hash>`.
fn is_hashed(path: &RelPath) -> bool {
    let top = path.names().first().and_then(|name| name.as_str());
    matches!((top, path.names().len()), (Some("compiler"), 3) | (Some("p"), 4) | (Some("u"), 2))
}

fn first_link(tree: &Tree) -> Option<RelPath> {
    let found = tree.walk(&mut |path, node| match node {
        Node::Link(_) => Err(path.clone()),
        _ => Ok(()),
    });
    found.err()
}

struct Publication<'a> {
    store: &'a Store,
    target: &'a Path,
    drafts: &'a Path,
}

impl Publication<'_> {
    fn run(&self, parts: &Parts<'_>, marker: &str) -> Result<Published, PublishError> {
        let mut done = Published::default();
        let mut drafts = Vec::new();
        let handle = disk::open(self.drafts)?;
        for (index, (path, tree)) in parts.immutable.iter().enumerate() {
            if disk::exists(&on_disk(self.target, path)) {
                done.kept += 1;
                continue;
            }
            let draft = self.drafts.join(index.to_string());
            done.bytes += self.stage(tree, &draft)?;
            drafts.push((draft, path));
        }
        if !drafts.is_empty() {
            disk::sync_file_system(&handle, self.drafts)?;
        }
        for (draft, path) in &drafts {
            let at = self.parent_of(path)?;
            if disk::rename_new(draft, &on_disk(self.target, path))? {
                done.added += 1;
            }
            disk::sync_directory(&at)?;
        }
        for (path, file) in &parts.mutable {
            let bytes = self.store.read(file)?;
            if self.replace(path, &bytes)? {
                done.replaced += 1;
                done.bytes += file.size;
            }
        }
        self.replace(&RelPath::parse(MARKER).expect("a word is a path"), marker.as_bytes())?;
        Ok(done)
    }

    /// Copies a tree to `draft` and says how many bytes that were.
    fn stage(&self, tree: &Tree, draft: &Path) -> Result<u64, PublishError> {
        disk::make_directories(draft)?;
        let made: Result<(), StoreError> = tree.walk(&mut |path, node| match node {
            Node::Directory(_) => disk::make_directories(&on_disk(draft, path)),
            _ => Ok(()),
        });
        made?;
        let files = tree.files();
        files.par_iter().try_for_each(|(path, file)| {
            disk::copy(&self.store.present_file(file)?, &on_disk(draft, path), file.executable)
        })?;
        Ok(files.iter().map(|(_, file)| file.size).sum())
    }

    /// Puts `bytes` at `path` in one step; `false` when they were there.
    fn replace(&self, path: &RelPath, bytes: &[u8]) -> Result<bool, PublishError> {
        let at = self.parent_of(path)?;
        let whole = on_disk(self.target, path);
        if disk::read_if_present(&whole)?.as_deref() == Some(bytes) {
            return Ok(false);
        }
        remove_variants(&whole, &at)?;
        let draft = self.drafts.join("file");
        let mut file = disk::create_new(&draft)?;
        disk::write_all(&mut file, &draft, bytes)?;
        disk::sync(&file, &draft)?;
        disk::rename_over(&draft, &whole)?;
        disk::sync_directory(&at)?;
        Ok(true)
    }

    /// The directory that `path` is to be in, made when it is missing. It is never a link.
    fn parent_of(&self, path: &RelPath) -> Result<PathBuf, PublishError> {
        let mut at = self.target.to_owned();
        let parents = path.parent().unwrap_or_default();
        for name in parents.names() {
            let next = at.join(std::ffi::OsStr::from_bytes(name.as_bytes()));
            match std::fs::symlink_metadata(&next) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => return Err(PublishError::NotADirectory(next)),
                Err(_) => {
                    disk::make_directories(&next)?;
                    disk::sync_directory(&at)?;
                }
            }
            at = next;
        }
        Ok(at)
    }
}

/// Removes the variants of a file that is about to be another one: no server may take them for its.
fn remove_variants(whole: &Path, at: &Path) -> Result<(), StoreError> {
    let mut has_removed = false;
    for coding in Coding::ALL {
        let mut variant = whole.as_os_str().to_owned();
        variant.push(coding.suffix());
        let variant = Path::new(&variant);
        if disk::exists(variant) {
            disk::remove_file(variant)?;
            has_removed = true;
        }
    }
    if has_removed { disk::sync_directory(at) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
