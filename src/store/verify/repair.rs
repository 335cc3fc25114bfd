//! Making good what verification found, without ever changing anything in place.
//!
//! What is damaged is exchanged, by one rename, for a sound copy that was made beside it, or moved
//! away; either way it ends in `quarantine/`, so that a builder that is using it keeps it and a
//! person can look at it. In this order:
//!
//! 1. files of the pool: from themselves if only the mode is wrong, or from the twin with the other
//!    executable bit. A new file heals all trees that shared the old one, because
//! 2. trees are made again from the pool whenever what they should hold is known and there;
//! 3. other trees are lost: they go to quarantine together with the layers that name them, so that
//!    the next build that needs them makes them again;
//! 4. layers, archives and caches.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{Damage, Object};
use super::{Verified, hashing, pool};
use crate::source::Checksum;
use crate::store::disk::{self, Sharing, look};
use crate::store::staging::Staging;
use crate::store::tree::{BlobHash, File, Tree, TreeHash};
use crate::store::{Store, StoreError};

/// What became of one damaged object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// A sound copy has taken its place.
    Restored,
    /// It was downloaded again.
    Refetched,
    /// It was a cache, and was removed.
    Removed,
    /// It is in quarantine, and nothing has taken its place; why, if there is more to say.
    Lost { reason: Option<String> },
}

/// A tree that could not be made good.
#[derive(Debug)]
pub struct LostTree {
    pub tree: TreeHash,
    /// What it held, if that is known.
    pub expected: Option<Tree>,
    /// The nodes, as `kind/name`, whose output it was, and those that had it as an input.
    pub makers: Vec<String>,
    pub dependants: Vec<String>,
    /// The layers that went to quarantine with it, each with its place there.
    pub layers: Vec<(String, PathBuf)>,
}

/// What a repair did.
#[derive(Debug, Default)]
pub struct Repaired {
    pub remedies: Vec<(Object, Remedy)>,
    pub lost: Vec<LostTree>,
    /// Whether layers were lost of which nothing can be read, so that not even the node is known.
    pub has_lost_records: bool,
}

/// Downloads an archive again into the store, or says why it cannot.
pub type Refetch<'a> = &'a mut dyn FnMut(&Checksum) -> Result<(), String>;

/// Repairs what `verified` says is damaged. Two repairs of one store come one after the other.
pub fn repair(store: &Arc<Store>, verified: &Verified, refetch: Refetch) -> Result<Repaired, StoreError> {
    let lock = store.root().join("locks/store");
    let _one_at_a_time = disk::lock(&lock, 2, Sharing::Exclusive)?;
    let mut objects: BTreeMap<&Object, Vec<&Damage>> = BTreeMap::new();
    for finding in verified.damage.iter().chain(&verified.notices) {
        objects.entry(&finding.object).or_default().push(&finding.damage);
    }
    let mut work = Work { store, verified, staging: store.stage()?, lost_layers: BTreeSet::new() };
    let mut repaired = Repaired::default();
    // Files come before trees in the order of objects, and trees before layers.
    for (object, damages) in objects {
        let is_damaged = damages.iter().any(|damage| !damage.is_notice());
        let remedy = match object {
            Object::File(name) if is_damaged => work.file(name)?,
            Object::Tree(tree) if is_damaged => {
                let remedy = work.tree(tree)?;
                if matches!(remedy, Remedy::Lost { .. }) {
                    repaired.lost.push(work.lost(tree)?);
                }
                remedy
            }
            Object::Layer(id) if is_damaged => {
                for damage in &damages {
                    if let Damage::NoTree { tree } = damage
                        && !repaired.lost.iter().any(|lost| lost.tree == *tree)
                    {
                        repaired.lost.push(work.lost(tree)?);
                    }
                }
                work.layer(id, &damages)?
            }
            Object::Archive(sum) => work.archive(sum, refetch)?,
            Object::Manifest(name) => work.manifest(name)?,
            Object::Facts => {
                disk::remove_file(&store.plans().join("facts"))?;
                Remedy::Removed
            }
            Object::History => {
                store.repair_history()?;
                Remedy::Removed
            }
            Object::Statements => {
                store.repair_statements()?;
                Remedy::Removed
            }
            _ => continue,
        };
        repaired.remedies.push((object.clone(), remedy));
    }
    let is_known = |id: &String| verified.layers.iter().any(|layer| layer.id == *id);
    repaired.has_lost_records = !work.lost_layers.iter().all(is_known);
    if !work.lost_layers.is_empty() {
        // Facts and memos would still tell what these layers came to.
        disk::remove_tree(&store.plans())?;
        disk::make_directories(&store.plans())?;
    }
    store.flush_names()?;
    Ok(repaired)
}

impl LostTree {
    /// Publishes it and its layers again, if all of its files have come back.
    pub fn publish_again(&self, store: &Arc<Store>) -> Result<bool, StoreError> {
        let is_there = |file: &File| disk::exists(&store.file_path(file));
        let Some(tree) = &self.expected else { return Ok(false) };
        if !tree.files().iter().all(|(_, file)| is_there(file)) {
            return Ok(false);
        }
        store.stage()?.publish(tree)?;
        for (id, aside) in &self.layers {
            disk::rename_new(aside, &store.layer_path(id))?;
        }
        store.flush_names()?;
        Ok(true)
    }

    /// What its makers made in its place, if that is something else.
    pub fn successor(&self, store: &Store) -> Option<TreeHash> {
        let made = |(id, _): &(String, PathBuf)| store.layer(id).ok().flatten()?.tree;
        self.layers.iter().find_map(made).filter(|made| *made != self.tree)
    }
}

struct Work<'a> {
    store: &'a Arc<Store>,
    verified: &'a Verified,
    staging: Staging,
    lost_layers: BTreeSet<String>,
}

impl Work<'_> {
    /// Gives a sound thing that was made at `draft` the name `path`. What had the name goes to
    /// quarantine.
    fn put(&self, draft: &Path, path: &Path, what: &str) -> Result<(), StoreError> {
        if !disk::rename_new(draft, path)? {
            disk::exchange(draft, path)?;
            self.store.set_aside(draft, what)?;
        }
        Ok(())
    }

    /// Replaces a file of the pool, or moves it away.
    fn file(&self, name: &str) -> Result<Remedy, StoreError> {
        let path = self.store.root().join("files").join(name);
        let what = format!("file-{}", name.replace('/', ""));
        let parsed = name.split_once('/').and_then(|(shard, name)| pool::parse(shard, name));
        if let Some((blob, executable)) = parsed {
            for twin in [executable, !executable] {
                let from = self.store.file_path(&File { blob, size: 0, executable: twin });
                if let Some(draft) = self.sound_copy(&from, &blob, executable)? {
                    self.put(&draft, &path, &what)?;
                    return Ok(Remedy::Restored);
                }
            }
        }
        self.store.set_aside(&path, &what)?;
        Ok(Remedy::Lost { reason: None })
    }

    /// A flushed copy of the file at `from`, if that has these bytes.
    fn sound_copy(
        &self,
        from: &Path,
        blob: &BlobHash,
        executable: bool,
    ) -> Result<Option<PathBuf>, StoreError> {
        if !look::symlink_metadata(from).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(None);
        }
        let draft = self.store.scratch_path("file")?;
        disk::copy(from, &draft, executable)?;
        let copy = disk::open(&draft)?;
        let size = disk::io("read", &draft, copy.metadata())?.len();
        if disk::io("read", &draft, hashing::hash(&copy, size))? != *blob {
            disk::remove_file(&draft)?;
            return Ok(None);
        }
        disk::finish_file(&copy, &draft, executable)?;
        disk::sync(&copy, &draft)?;
        Ok(Some(draft))
    }

    /// Makes a tree again, or moves it away.
    fn tree(&self, hash: &TreeHash) -> Result<Remedy, StoreError> {
        let what = format!("tree-{}", hash.to_hex());
        let path = self.store.tree_path(hash);
        let expected = self.verified.expected.get(hash).filter(|tree| tree.hash() == *hash);
        if let Some(tree) = expected
            && self.has_files(&path, tree)?
        {
            self.put(&self.staging.draft_again(tree)?, &path, &what)?;
            return Ok(Remedy::Restored);
        }
        self.store.set_aside(&path, &what)?;
        Ok(Remedy::Lost { reason: None })
    }

    /// Whether all files of the tree are in the pool; those that are only in the tree are put there.
    fn has_files(&self, root: &Path, tree: &Tree) -> Result<bool, StoreError> {
        for (path, file) in tree.files() {
            if disk::exists(&self.store.file_path(&file)) {
                continue;
            }
            let names = path.names().iter().map(|name| OsStr::from_bytes(name.as_bytes()));
            let own = root.join(names.collect::<PathBuf>());
            let Some(draft) = self.sound_copy(&own, &file.blob, file.executable)? else { return Ok(false) };
            let pooled = self.store.file_path(&file);
            disk::make_directories(pooled.parent().unwrap_or(&pooled))?;
            self.put(&draft, &pooled, "file")?;
        }
        Ok(true)
    }

    /// The layers of a lost tree go where the tree went.
    fn lost(&mut self, tree: &TreeHash) -> Result<LostTree, StoreError> {
        let mut layers = Vec::new();
        for layer in self.verified.layers.iter().filter(|layer| layer.tree == Some(*tree)) {
            layers.extend(self.move_layer(&layer.id)?.map(|aside| (layer.id.clone(), aside)));
        }
        Ok(LostTree {
            tree: *tree,
            expected: self.verified.expected.get(tree).cloned(),
            makers: self.verified.makers(tree),
            dependants: self.verified.dependants(tree),
            layers,
        })
    }

    fn layer(&mut self, id: &str, damages: &[&Damage]) -> Result<Remedy, StoreError> {
        if damages.iter().all(|damage| **damage == Damage::NoLog) {
            let (path, draft) = (self.store.layer_path(id), self.store.scratch_path("layer")?);
            disk::make_directory(&draft)?;
            disk::copy(&path.join("layer.json"), &draft.join("layer.json"), false)?;
            let note = draft.join("build.log");
            let mut log = disk::create_new(&note)?;
            disk::write_all(&mut log, &note, b"(the log was lost)\n")?;
            disk::sync_file_system(&disk::open(&draft)?, &draft)?;
            self.put(&draft, &path, &format!("layer-{id}"))?;
            return Ok(Remedy::Restored);
        }
        self.move_layer(id)?;
        Ok(Remedy::Lost { reason: None })
    }

    fn move_layer(&mut self, id: &str) -> Result<Option<PathBuf>, StoreError> {
        self.lost_layers.insert(id.to_owned());
        self.store.set_aside(&self.store.layer_path(id), &format!("layer-{id}"))
    }

    fn archive(&self, sum: &Checksum, refetch: Refetch) -> Result<Remedy, StoreError> {
        self.store.set_aside(&self.store.archive_path(sum), &format!("archive-{}", sum.to_hex()))?;
        Ok(match refetch(sum) {
            Ok(()) => Remedy::Refetched,
            Err(reason) => Remedy::Lost { reason: Some(reason) },
        })
    }

    fn manifest(&self, name: &str) -> Result<Remedy, StoreError> {
        disk::remove_file(&self.store.root().join("manifests").join(name))?;
        Ok(Remedy::Removed)
    }
}
