//! How large things are, how long they were not used, and what may stay because of that.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::inventory::{Condemned, Inventory, names, when_missing};
use super::mark::{ById, Ids};
use super::{Kind, Options};
use crate::source::Checksum;
use crate::store::disk::look;
use crate::store::tree::{BlobHash, TreeHash};
use crate::store::uses::Id;
use crate::store::{Store, StoreError, disk};

/// Where a condemned thing is.
pub(super) fn place(store: &Store, condemned: &Condemned) -> PathBuf {
    let Condemned { kind, name, .. } = condemned;
    match kind {
        Kind::Archive => match Checksum::from_label(name) {
            Some(sum) => store.archive_path(&sum),
            None => store.root().join("archives").join(name),
        },
        Kind::Layer => store.root().join("layers").join(name),
        _ => store.root().join("trees").join(name),
    }
}

/// A file of the pool.
#[derive(Clone, Debug)]
pub(super) struct Pooled {
    pub path: PathBuf,
    pub inode: u64,
    pub links: u64,
    pub bytes: u64,
}

/// All files of the pool.
pub(super) fn pool(store: &Store) -> Result<Vec<Pooled>, StoreError> {
    let mut files = Vec::new();
    for directory in names(store, "files")? {
        let path = store.root().join("files").join(&directory);
        for entry in disk::list(&path).or_else(when_missing)? {
            let name = entry.file_name();
            if blob(&directory, &name).is_none() {
                continue;
            }
            // It may be gone by now.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() {
                let (inode, links, bytes) = (metadata.ino(), metadata.nlink(), metadata.len());
                files.push(Pooled { path: path.join(name), inode, links, bytes });
            }
        }
    }
    Ok(files)
}

/// The bytes that a name in the pool stands for, and whether they are a program.
fn blob(directory: &str, name: &OsStr) -> Option<(BlobHash, bool)> {
    let name = name.to_str()?;
    let (hex, executable) = name.strip_suffix(".x").map_or((name, false), |hex| (hex, true));
    Some((BlobHash::from_hex(&format!("{directory}{hex}"))?, executable))
}

/// The files of the pool that some tree of `trees` has. Only asked for where trees hold copies.
pub(super) fn files_of(store: &Store, trees: &Ids) -> Result<HashSet<PathBuf>, StoreError> {
    let mut needed = HashSet::new();
    for tree in trees {
        match store.tree(&TreeHash::from_bytes(*tree)) {
            Ok(tree) => needed.extend(tree.files().iter().map(|(_, file)| store.file_path(file))),
            Err(StoreError::MissingTree(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(needed)
}

/// Calls `visit` with the inode of every file below `path`, once for each of its names there.
pub(super) fn each_link(path: &Path, visit: &mut dyn FnMut(u64)) -> Result<(), StoreError> {
    for entry in disk::list(path).or_else(when_missing)? {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => each_link(&entry.path(), visit)?,
            Ok(kind) if kind.is_file() => visit(entry.metadata().map_or(0, |metadata| metadata.ino())),
            _ => {}
        }
    }
    Ok(())
}

/// The bytes of all files at and below `path`.
pub(super) fn bytes_at(path: &Path) -> u64 {
    let Ok(metadata) = look::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = disk::list(path).unwrap_or_default();
    entries.iter().map(|entry| bytes_at(&entry.path())).sum()
}

/// When the thing at `path` was made, or let go of by a root, in nanoseconds since 1970.
fn last_use(path: &Path) -> i128 {
    look::symlink_metadata(path).map_or(0, |metadata| nanoseconds(&metadata))
}

fn nanoseconds(metadata: &look::Metadata) -> i128 {
    i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec())
}

/// Whether something at `path` was used within the time that the options say.
pub(super) fn is_recent(path: &Path, keep: Duration) -> bool {
    !keep.is_zero() && last_use(path) > threshold(keep)
}

fn threshold(keep: Duration) -> i128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i128::try_from(now.as_nanos()).unwrap_or(i128::MAX) - i128::try_from(keep.as_nanos()).unwrap_or(i128::MAX)
}

/// The part of a layer's record that is of interest here.
#[derive(serde::Deserialize)]
struct Record {
    tree: Option<TreeHash>,
}

/// Takes what may stay out of the list: what was used lately, and what fits.
pub(super) fn spare(store: &Store, options: &Options, inventory: &mut Inventory) -> Result<(), StoreError> {
    let times = times(store, &inventory.condemned);
    let threshold = threshold(options.keep);
    let condemned = std::mem::take(&mut inventory.condemned);
    let mut aged: Vec<(i128, Condemned)> = times.into_iter().zip(condemned).collect();
    if !options.keep.is_zero() {
        aged.retain(|(time, _)| *time <= threshold);
    }
    if let Some(most) = options.max_size {
        aged = until_it_fits(store, most, aged)?;
    }
    inventory.condemned = aged.into_iter().map(|(_, condemned)| condemned).collect();
    inventory.condemned.sort_by_key(|condemned| condemned.kind);
    Ok(())
}

/// When each was used last. A layer and its tree were used when the later of them was.
fn times(store: &Store, condemned: &[Condemned]) -> Vec<i128> {
    let mut trees: ById<i128> = ById::default();
    let mut tree_of: HashMap<usize, Id> = HashMap::new();
    let mut times: Vec<i128> = condemned.iter().map(|one| last_use(&place(store, one))).collect();
    for (at, one) in condemned.iter().enumerate() {
        let output = match one.kind {
            Kind::Tree => Some(one.id),
            Kind::Layer => {
                let bytes = disk::read_if_present(&place(store, one).join("layer.json")).ok().flatten();
                let record: Option<Record> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
                record.and_then(|record| record.tree).map(|tree| *tree.as_bytes())
            }
            _ => None,
        };
        if let Some(tree) = output {
            tree_of.insert(at, tree);
            let time = trees.entry(tree).or_insert(times[at]);
            *time = times[at].max(*time);
        }
    }
    for (at, tree) in tree_of {
        times[at] = trees[&tree];
    }
    times
}

/// The things used longest ago, as many as have to go.
fn until_it_fits(
    store: &Store,
    most: u64,
    mut aged: Vec<(i128, Condemned)>,
) -> Result<Vec<(i128, Condemned)>, StoreError> {
    let mut links: HashMap<u64, (u64, u64)> = HashMap::new();
    let mut size = 0;
    for file in pool(store)? {
        // One without another name goes anyway.
        if file.links > 1 {
            size += file.bytes;
            links.insert(file.inode, (file.links - 1, file.bytes));
        }
    }
    for directory in ["layers", "manifests", "archives", "plans"] {
        size += bytes_at(&store.root().join(directory));
    }
    aged.sort_by_key(|(time, condemned)| (*time, condemned.kind));
    let mut gone = 0;
    let mut last = None;
    for (time, condemned) in &aged {
        // A layer and its tree go together.
        if size <= most && last != Some(*time) {
            break;
        }
        last = Some(*time);
        gone += 1;
        let path = place(store, condemned);
        if condemned.kind == Kind::Tree {
            size -= bytes_at(&store.root().join("manifests").join(&condemned.name)).min(size);
            each_link(&path, &mut |inode| {
                if let Some((left, bytes)) = links.get_mut(&inode) {
                    *left -= 1;
                    if *left == 0 {
                        size -= *bytes;
                        links.remove(&inode);
                    }
                }
            })?;
        } else {
            size -= bytes_at(&path).min(size);
        }
    }
    aged.truncate(gone);
    Ok(aged)
}
