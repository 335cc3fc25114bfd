//! Trees: what each directory holds against the hash that names it.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::finding::{Damage, Finding, Object};
use super::pool::{Pool, name_of, of_attributes};
use super::{Counters, Watch, hashing};
use crate::store::disk::{self, MTIME, look};
use crate::store::tree::{BlobHash, File, LinkTarget, Name, Node, RelPath, Tree, TreeHash};
use crate::store::{Store, StoreError};

/// What a walk of one directory gave.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub tree: Tree,
    /// What is wrong whatever the tree's hash is.
    pub findings: Vec<(RelPath, Damage)>,
    /// What was changed after the tree was made: of use only when the hash is another one.
    suspects: Vec<(RelPath, Damage)>,
    /// Entries whose time is not the store's.
    times: Vec<RelPath>,
    /// Files that are nobody else's, and have mode and time as they should be.
    copies: Vec<RelPath>,
    /// Whether there is no directory at all.
    is_elsewhere: bool,
    /// Whether the size of a damaged file may be another one than the tree's.
    unsure: bool,
    entries: u64,
}

impl Walked {
    fn absorb(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.suspects.extend(other.suspects);
        self.times.extend(other.times);
        self.copies.extend(other.copies);
        self.unsure |= other.unsure;
        self.entries += other.entries;
    }
}

/// Checks every tree. Gives what the damaged ones should hold, as far as that is known.
pub(super) fn check(
    store: &Store,
    pool: &Pool,
    watch: &Watch<'_>,
    found: &mut Vec<Finding>,
) -> Result<BTreeMap<TreeHash, Tree>, StoreError> {
    let mut trees = Vec::new();
    for name in super::records::list(&store.root().join("trees"))? {
        match TreeHash::from_hex(&name).filter(|tree| tree.to_hex() == name) {
            Some(tree) => trees.push(tree),
            None => found.push(Finding::new(Object::Foreign(format!("trees/{name}")), Damage::Foreign)),
        }
    }
    let check = |tree: &TreeHash| {
        let looked =
            if watch.is_stopped() { Looked::default() } else { look_twice(store, pool, watch, tree) };
        (!looked.findings.is_empty()).then_some((*tree, looked))
    };
    let looked: Vec<(TreeHash, Looked)> = trees.par_iter().filter_map(check).collect();
    let mut expected = BTreeMap::new();
    for (tree, looked) in looked {
        found.extend(looked.findings);
        expected.extend(looked.expected.map(|expected| (tree, expected)));
    }
    Ok(expected)
}

/// What was found in one tree.
#[derive(Default)]
struct Looked {
    findings: Vec<Finding>,
    /// What it should hold, as far as that is known.
    expected: Option<Tree>,
}

/// Only what is so at a second look, without what was known of inodes, is reported: between the two
/// the tree, or the file that had an inode before, may have been removed.
fn look_twice(store: &Store, pool: &Pool, watch: &Watch<'_>, tree: &TreeHash) -> Looked {
    let place = Place { store, watch, root: &store.tree_path(tree) };
    let first = place.findings(pool, tree);
    // Damaged files of the pool have been looked at twice already.
    let is_certain =
        |finding: &Finding| finding.damage.is_notice() || matches!(finding.damage, Damage::Shared { .. });
    Counters::add(&watch.counters.trees, 1);
    match first {
        Ok(looked) if looked.findings.iter().all(is_certain) => looked,
        _ => match place.findings(&pool.only_damaged(), tree) {
            Ok(looked) => looked,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !disk::exists(place.root) => {
                Looked::default()
            }
            Err(error) => {
                let damage = Damage::Unreadable { reason: error.to_string() };
                let findings = vec![Finding::new(Object::Tree(*tree), damage)];
                Looked { findings, expected: manifest(store, tree) }
            }
        },
    }
}

/// One tree on the disk.
pub(super) struct Place<'a, 'b> {
    pub store: &'a Store,
    pub watch: &'a Watch<'b>,
    pub root: &'a Path,
}

impl Place<'_, '_> {
    fn findings(&self, pool: &Pool, hash: &TreeHash) -> io::Result<Looked> {
        let mut walked = self.walk(pool)?;
        Counters::add(&self.watch.counters.entries, walked.entries);
        let mut found = std::mem::take(&mut walked.findings);
        let mut expected = None;
        if walked.is_elsewhere {
            expected = manifest(self.store, hash);
        } else if walked.tree.hash() != *hash {
            match manifest(self.store, hash) {
                Some(tree) => {
                    differences(&tree, &walked.tree, &RelPath::default(), &mut found);
                    expected = Some(tree);
                }
                // The bytes of a shared file are to blame, and how many there were is not known.
                None if walked.unsure && walked.suspects.is_empty() && walked.copies.is_empty() => {}
                None => {
                    let replaced = |path| (path, Damage::Changed { what: "a file" });
                    found.extend(std::mem::take(&mut walked.copies).into_iter().map(replaced));
                    found.append(&mut walked.suspects);
                    if found.is_empty() {
                        found.push((RelPath::default(), Damage::Structure { found: walked.tree.hash() }));
                    }
                }
            }
        } else {
            found.extend(walked.copies.into_iter().map(|path| (path, Damage::Copy)));
            if let Some(first) = walked.times.first() {
                found.push((first.clone(), Damage::Time { entries: walked.times.len() as u64 }));
            }
            expected = Some(walked.tree);
        }
        let finding = |(path, damage)| Finding::within(Object::Tree(*hash), path, damage);
        Ok(Looked { findings: found.into_iter().map(finding).collect(), expected })
    }

    /// What the directory holds.
    pub fn walk(&self, pool: &Pool) -> io::Result<Walked> {
        self.directory(pool, self.root, &RelPath::default())
    }

    fn directory(&self, pool: &Pool, at: &Path, path: &RelPath) -> io::Result<Walked> {
        let mut walked = Walked::default();
        let metadata = look::symlink_metadata(at)?;
        if !metadata.is_dir() {
            let found = if metadata.is_symlink() { "a link" } else { "a file" };
            walked.findings.push((path.clone(), Damage::Kind { expected: "a directory", found }));
            walked.is_elsewhere = true;
            return Ok(walked);
        }
        if is_changed(&metadata) {
            walked.times.push(path.clone());
            walked.suspects.push((path.clone(), Damage::Changed { what: "a directory" }));
        }
        let mut directories = Vec::new();
        for entry in look::read_dir(at)? {
            let entry = entry?;
            walked.entries += 1;
            let Ok(name) = Name::new(entry.file_name().as_bytes()) else { continue };
            let below = path.join(name.clone());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                directories.push((name, entry.path(), below));
                continue;
            }
            let node = if kind.is_symlink() {
                link(&mut walked, &entry.path(), &below)?
            } else if kind.is_file() {
                self.file(pool, &mut walked, &entry, &below)?
            } else {
                walked.findings.push((below, Damage::Added { what: "something special" }));
                continue;
            };
            // A name occurs once in a directory.
            let _ = walked.tree.insert(&RelPath::default().join(name), node);
        }
        if path.names().len() >= crate::store::tree::MAX_DEPTH {
            return Ok(walked);
        }
        let below =
            |(name, at, path): (Name, PathBuf, RelPath)| Ok((name, self.directory(pool, &at, &path)?));
        let below: io::Result<Vec<(Name, Walked)>> = directories.into_par_iter().map(below).collect();
        for (name, mut below) in below? {
            let tree = std::mem::take(&mut below.tree);
            let _ = walked.tree.insert(&RelPath::default().join(name), Node::Directory(Arc::new(tree)));
            walked.absorb(below);
        }
        Ok(walked)
    }

    fn file(
        &self,
        pool: &Pool,
        walked: &mut Walked,
        entry: &look::DirEntry,
        path: &RelPath,
    ) -> io::Result<Node> {
        let listed = if pool.lists_inodes { entry.ino() } else { entry.metadata()?.ino() };
        let known = match pool.get(listed) {
            None if pool.lists_inodes => pool.get(entry.metadata()?.ino()),
            known => known,
        };
        if let Some(pooled) = known {
            if !pooled.sound {
                walked.findings.push((path.clone(), Damage::Shared { file: name_of(&pooled.file) }));
                walked.unsure |= is_unsure(&pooled.file, entry)?;
            }
            return Ok(Node::File(pooled.file));
        }
        // Not the pool's, or of the pool only since that was read.
        let metadata = entry.metadata()?;
        let blob = self.hash(&entry.path(), metadata.len())?;
        let executable = metadata.mode() & 0o100 != 0;
        let file = File { blob, size: metadata.len(), executable };
        let pooled = look::symlink_metadata(self.store.file_path(&file));
        if !pooled.is_ok_and(|pooled| pooled.ino() == metadata.ino()) {
            match of_attributes(&metadata, executable) {
                Some(damage @ Damage::Mode { .. }) => walked.findings.push((path.clone(), damage)),
                Some(_) => walked.times.push(path.clone()),
                None => {}
            }
            if is_changed(&metadata) {
                walked.suspects.push((path.clone(), Damage::Changed { what: "a file" }));
            } else if metadata.nlink() == 1 {
                walked.copies.push(path.clone());
            }
        }
        Ok(Node::File(file))
    }

    fn hash(&self, path: &Path, size: u64) -> io::Result<BlobHash> {
        let hash = hashing::hash(&look::open(path)?, size)?;
        Counters::add(&self.watch.counters.bytes, size);
        Ok(hash)
    }
}

/// Whether the size of a damaged file is the one that was found, for want of a better one.
fn is_unsure(pooled: &File, entry: &look::DirEntry) -> io::Result<bool> {
    Ok(entry.metadata()?.len() == pooled.size)
}

fn link(walked: &mut Walked, at: &Path, path: &RelPath) -> io::Result<Node> {
    let target = look::read_link(at)?;
    if is_changed(&look::symlink_metadata(at)?) {
        walked.times.push(path.clone());
        walked.suspects.push((path.clone(), Damage::Changed { what: "a link" }));
    }
    LinkTarget::new(target.as_os_str().as_bytes())
        .map(Node::Link)
        .map_err(|error| io::Error::other(error.to_string()))
}

fn is_changed(metadata: &look::Metadata) -> bool {
    metadata.mtime() != MTIME || metadata.mtime_nsec() != 0
}

/// The tree of that name as its manifest has it, if that is sound.
pub(super) fn manifest(store: &Store, hash: &TreeHash) -> Option<Tree> {
    let path = store.root().join("manifests").join(hash.to_hex());
    let bytes = disk::read_if_present(&path).ok()??;
    Tree::decode(&bytes).ok().filter(|tree| tree.hash() == *hash)
}

/// Where two trees differ.
fn differences(expected: &Tree, found: &Tree, at: &RelPath, into: &mut Vec<(RelPath, Damage)>) {
    for (name, node) in expected.entries() {
        let path = at.join(name.clone());
        match (node, found.child(name)) {
            (node, None) => into.push((path, Damage::Missing { what: node.kind() })),
            (node, Some(there)) if node == there => {}
            (Node::Directory(node), Some(Node::Directory(there))) => differences(node, there, &path, into),
            (Node::File(node), Some(Node::File(there))) => {
                let damage = if node.blob == there.blob {
                    Damage::Executable { expected: node.executable }
                } else {
                    Damage::of_bytes(node, there)
                };
                into.push((path, damage));
            }
            (Node::Link(node), Some(Node::Link(there))) => {
                let text = |link: &LinkTarget| String::from_utf8_lossy(link.as_bytes()).into_owned();
                into.push((path, Damage::Target { expected: text(node), found: text(there) }));
            }
            (node, Some(there)) => {
                into.push((path, Damage::Kind { expected: node.kind(), found: there.kind() }));
            }
        }
    }
    for (name, node) in found.entries().filter(|(name, _)| expected.child(name).is_none()) {
        into.push((at.join(name.clone()), Damage::Added { what: node.kind() }));
    }
}
