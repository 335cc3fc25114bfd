//! Removal, or, in a dry run, the same without it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::inventory::{Condemned, Inventory, names, when_missing};
use super::mark::{Ids, Marks};
use super::measure::{Pooled, bytes_at, each_link, files_of, is_recent, place, pool};
use super::{Event, Kind, Options, Report, Watch};
use crate::source::Checksum;
use crate::store::disk::look;
use crate::store::facts::Facts;
use crate::store::key::BuildKey;
use crate::store::runs;
use crate::store::tree::TreeHash;
use crate::store::uses::Condemner;
use crate::store::{COLLECTED, Store, StoreError, disk, is_collected};

/// So many names go while whoever wants to write a root waits: a few milliseconds.
const BATCH: usize = 64;

/// Everything that a sweep needs.
pub(super) struct Sweep<'a> {
    pub store: &'a Store,
    pub options: &'a Options,
    pub marks: &'a mut Marks,
    pub report: &'a mut Report,
    pub watch: Watch<'a>,
    pub condemner: Condemner,
}

impl Sweep<'_> {
    pub fn run(mut self, mut inventory: Inventory) -> Result<(), StoreError> {
        if !self.options.dry_run {
            // A root that was removed and is back after a power cut would list what goes now.
            disk::sync_directory(&self.store.root().join("roots"))?;
        }
        let mut links: HashMap<u64, u64> = HashMap::new();
        let mut left: Ids = std::mem::take(&mut inventory.trees);
        let of = inventory.condemned.len();
        let mut trash = Vec::new();
        for (number, batch) in inventory.condemned.chunks(BATCH).enumerate() {
            (self.watch)(Event::Removing(batch));
            for condemned in self.batch(batch, &mut trash)? {
                if condemned.kind == Kind::Tree {
                    left.remove(&condemned.id);
                    if self.options.dry_run {
                        each_link(&place(self.store, condemned), &mut |inode| {
                            *links.entry(inode).or_default() += 1;
                        })?;
                    }
                }
            }
            if self.marks.is_unclear() {
                return self.empty(&mut trash);
            }
            (self.watch)(Event::Removed { done: (number * BATCH + batch.len()).min(of), of });
        }
        self.empty(&mut trash)?;
        self.manifests(&left)?;
        self.files(&links, &left)?;
        self.caches(&left)?;
        self.runs()?;
        self.history()?;
        self.for_people()
    }

    /// Removes what has no name any more, after the names are gone for good: after a power cut one of
    /// them might be back otherwise, with half of its content.
    fn empty(&self, trash: &mut Vec<PathBuf>) -> Result<(), StoreError> {
        if !trash.is_empty() {
            self.store.flush_names()?;
        }
        trash.drain(..).try_for_each(|path| disk::remove_tree(&path))
    }

    /// Takes the names of a batch away, and adds the places of their content to `trash`. What went.
    fn batch<'b>(
        &mut self,
        batch: &'b [Condemned],
        trash: &mut Vec<PathBuf>,
    ) -> Result<Vec<&'b Condemned>, StoreError> {
        let _roots = self.store.lock_roots()?;
        self.marks.refresh(self.store)?;
        let mut gone = Vec::new();
        if self.marks.is_unclear() {
            return Ok(gone);
        }
        for condemned in batch.iter().filter(|condemned| !self.marks.keep(&condemned.id)) {
            let path = place(self.store, condemned);
            let bytes = if condemned.kind == Kind::Tree { 0 } else { bytes_at(&path) };
            let take = || self.condemner.unless_used(&condemned.id, || self.take_away(condemned, &path));
            let taken = match take() {
                Err(error) if error.is_no_space() && !trash.is_empty() => {
                    // The disk is so full that `tmp/` cannot grow by a name: first there has to be room.
                    self.empty(trash)?;
                    take()
                }
                other => other,
            };
            match taken? {
                Some(place_in_tmp) => {
                    self.report.add(condemned.kind, condemned.name.as_str(), bytes);
                    trash.extend(place_in_tmp);
                    gone.push(condemned);
                }
                None => self.report.in_use += 1,
            }
        }
        Ok(gone)
    }

    /// Lets a name go away in one step.
    fn take_away(&self, condemned: &Condemned, path: &Path) -> Result<Option<PathBuf>, StoreError> {
        if self.options.dry_run {
            return Ok(None);
        }
        if condemned.kind == Kind::Archive {
            return disk::remove_file(path).map(|()| None);
        }
        let trash = self.store.root().join(format!("tmp/{COLLECTED}{}", condemned.name));
        if !disk::rename_new(path, &trash)? {
            // A collector that was killed has left one of that name.
            disk::remove_tree(&trash)?;
            disk::rename_new(path, &trash)?;
        }
        Ok(Some(trash))
    }

    /// Manifests of trees that are not there.
    fn manifests(&mut self, left: &Ids) -> Result<(), StoreError> {
        for name in names(self.store, "manifests")? {
            let Some(tree) = TreeHash::from_hex(&name).filter(|tree| !left.contains(tree.as_bytes())) else {
                continue;
            };
            let path = self.store.root().join("manifests").join(&name);
            let bytes = bytes_at(&path);
            let gone = self.condemner.unless_used(tree.as_bytes(), || match self.options.dry_run {
                true => Ok(true),
                false if self.store.has_tree(&tree) => Ok(false),
                false => disk::remove_file(&path).map(|()| true),
            })?;
            if gone == Some(true) {
                self.report.count(Kind::Manifest, bytes);
            }
        }
        Ok(())
    }

    /// Files of the pool that no tree has. `links`: how many links a dry run would have removed.
    fn files(&mut self, links: &HashMap<u64, u64>, left: &Ids) -> Result<(), StoreError> {
        let has_copies = self.store.has_copies();
        let copied = if has_copies { files_of(self.store, left)? } else { HashSet::new() };
        let is_alone = |file: &Pooled| {
            file.links - links.get(&file.inode).copied().unwrap_or(0) <= 1 && !copied.contains(&file.path)
        };
        let (alone, kept): (Vec<Pooled>, Vec<Pooled>) = pool(self.store)?.into_iter().partition(is_alone);
        for batch in alone.chunks(BATCH) {
            let _pool = self.store.clean_pool()?;
            for file in batch {
                if self.options.dry_run || remove_unlinked(&file.path)? {
                    self.report.count(Kind::File, file.bytes);
                }
            }
        }
        self.report.kept_files.count = kept.len() as u64;
        self.report.kept_files.bytes = kept.iter().map(|file| file.bytes).sum();
        Ok(())
    }

    /// Memos that no root goes with, notes on archives and facts of trees that are not there.
    fn caches(&mut self, left: &Ids) -> Result<(), StoreError> {
        for name in names(self.store, "plans")? {
            let memo = name.split_once('.').map_or(name.as_str(), |(memo, _)| memo);
            let path = self.store.plans().join(&name);
            if !memo.starts_with("memo-") || self.marks.has_memo(memo) || is_recent(&path, self.options.keep)
            {
                continue;
            }
            self.remove(Kind::Cache, &path, name)?;
        }
        self.origins()?;
        self.opam()?;
        let path = self.store.plans().join("facts");
        // A tree that came since then loses a fact, which costs time only.
        let is_there = |tree: &TreeHash| left.contains(tree.as_bytes());
        if let Some((bytes, saved)) = Facts::compacted(&path, is_there) {
            // A disk may still be too full for it; facts of trees that are gone do no harm.
            if self.options.dry_run || self.store.write_whole(&path, &bytes).is_ok() {
                self.report.count(Kind::Cache, saved);
            }
        }
        Ok(())
    }

    /// Removes one file that nothing rests on.
    fn remove(&mut self, kind: Kind, path: &Path, name: String) -> Result<(), StoreError> {
        let bytes = bytes_at(path);
        if !self.options.dry_run {
            disk::remove_file(path)?;
        }
        self.report.add(kind, name, bytes);
        Ok(())
    }

    /// Indexes of opam repositories, and what is remembered of directories and commits: made again in
    /// less than a second.
    fn opam(&mut self) -> Result<(), StoreError> {
        for name in names(self.store, "plans/opam").or_else(when_missing)? {
            let path = self.store.plans().join("opam").join(&name);
            if is_recent(&path, self.options.keep) {
                continue;
            }
            self.remove(Kind::Cache, &path, format!("opam/{name}"))?;
        }
        Ok(())
    }

    /// What is known about where archives came from that are not there.
    fn origins(&mut self) -> Result<(), StoreError> {
        let removed = self.report.removed.iter().filter(|removed| removed.kind == Kind::Archive);
        let removed: HashSet<String> = removed.map(|removed| removed.name.clone()).collect();
        for name in names(self.store, "plans/fetched").or_else(when_missing)? {
            let Some(archive) = Checksum::from_label(&name) else { continue };
            let path = self.store.plans().join("fetched").join(&name);
            let is_there = !removed.contains(&name) && disk::exists(&self.store.archive_path(&archive));
            if is_there || is_recent(&path, self.options.keep) {
                continue;
            }
            self.remove(Kind::Cache, &path, format!("fetched/{name}"))?;
        }
        Ok(())
    }

    /// Runs of universes that no root is for. Of the others the newest are kept, which is seen to by
    /// whoever writes one.
    fn runs(&mut self) -> Result<(), StoreError> {
        for name in names(self.store, runs::DIRECTORY).or_else(when_missing)? {
            let path = self.store.root().join(runs::DIRECTORY).join(&name);
            let universe = runs::parse_name(&name).map(|(universe, _)| universe);
            if universe.is_none_or(|universe| self.marks.has_universe(universe))
                || is_recent(&path, self.options.keep)
            {
                continue;
            }
            self.remove(Kind::Log, &path, format!("runs/{name}"))?;
        }
        Ok(())
    }

    /// What the history tells more than once, and the oldest keys that the store knows nothing else of.
    fn history(&mut self) -> Result<(), StoreError> {
        let layers: HashSet<BuildKey> = names(self.store, "layers")?
            .iter()
            .filter_map(|name| BuildKey::from_hex(name.rsplit_once('-')?.1))
            .collect();
        // A disk may still be too full for it; the history does no harm as it is.
        match self.store.collect_history(self.options.dry_run, |key| layers.contains(key)) {
            Ok(saved) if saved > 0 => self.report.count(Kind::Log, saved),
            Err(error) if !error.is_no_space() => return Err(error),
            _ => {}
        }
        Ok(())
    }

    /// Logs of interrupted runs, and what was set aside: both are for people.
    fn for_people(&mut self) -> Result<(), StoreError> {
        let mut is_flushed = self.options.dry_run;
        for (kind, directory) in [(Kind::Log, "interrupted"), (Kind::Quarantine, "quarantine")] {
            for name in names(self.store, directory).or_else(when_missing)? {
                let path = self.store.root().join(directory).join(&name);
                if is_recent(&path, self.options.keep) {
                    continue;
                }
                let bytes = bytes_at(&path);
                if !is_flushed && kind == Kind::Quarantine {
                    // Who moved it there may not have made sure that its old name stays away.
                    self.store.flush_names()?;
                    is_flushed = true;
                }
                if !self.options.dry_run {
                    let is_directory = look::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
                    if is_directory { disk::remove_tree(&path)? } else { disk::remove_file(&path)? }
                }
                self.report.add(kind, name, bytes);
            }
        }
        Ok(())
    }
}

/// Removes a name from the pool if its file has no other. Nobody publishes a tree meanwhile.
fn remove_unlinked(path: &Path) -> Result<bool, StoreError> {
    use std::os::unix::fs::MetadataExt;
    let is_alone = look::symlink_metadata(path).is_ok_and(|metadata| metadata.nlink() == 1);
    if is_alone {
        disk::remove_file(path)?;
    }
    Ok(is_alone)
}

/// Scratch of processes that are gone.
pub(super) fn leftovers(store: &Store, options: &Options, report: &mut Report) -> Result<(), StoreError> {
    let found = store.leftovers()?;
    if !options.dry_run && found.iter().any(|path| is_collected(path)) {
        // Who left them may not have come to it.
        store.flush_names()?;
    }
    for path in found {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let bytes = bytes_at(&path);
        report.add(Kind::Leftover, name, bytes);
        if is_collected(&path) && !options.dry_run {
            // Of a collector that was killed: there is no other.
            disk::remove_tree(&path)?;
        }
    }
    if options.dry_run { Ok(()) } else { store.clean_scratch() }
}

/// Roots whose universe file is gone.
pub(super) fn roots(
    store: &Store,
    options: &Options,
    marks: &mut Marks,
    report: &mut Report,
) -> Result<(), StoreError> {
    let forlorn = marks.forlorn();
    for name in &forlorn {
        let bytes = bytes_at(&store.root().join("roots").join(name));
        if !options.dry_run {
            store.remove_root(name)?;
        }
        report.add(Kind::Root, name.as_str(), bytes);
    }
    if !forlorn.is_empty() {
        *marks = Marks::without(store, &forlorn)?;
    }
    Ok(())
}
