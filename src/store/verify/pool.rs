//! The pool: every file that trees share, hashed once.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::Path;

use rayon::prelude::*;

use super::finding::{Damage, Finding, Object};
use super::{Counters, Watch, hashing};
use crate::store::disk::{self, Directory, MTIME, look};
use crate::store::tree::{BlobHash, File, Node, Tree};
use crate::store::{Store, StoreError};

/// What opening a link without following it gives on Linux.
const ELOOP: i32 = 40;

/// A file of the pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pooled {
    /// What its name says, with the size that was found.
    pub file: File,
    /// Whether its bytes and mode are right.
    pub sound: bool,
}

/// The pool by inode.
#[derive(Debug)]
pub(super) struct Pool {
    files: HashMap<u64, Pooled, BuildHasherDefault<Inode>>,
    /// Whether directories of this file system list the inodes that their files have.
    pub lists_inodes: bool,
}

/// Inodes are numbers that differ: their bits only have to be spread.
#[derive(Default)]
struct Inode(u64);

impl Hasher for Inode {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

/// What was found under one name.
enum Looked {
    Sound(u64, File),
    Damaged(Option<(u64, File)>, Damage),
    /// It is gone: somebody removed it meanwhile.
    Gone,
}

impl Pool {
    /// Lists and hashes every file.
    pub fn read(store: &Store, watch: &Watch<'_>, found: &mut Vec<Finding>) -> Result<Self, StoreError> {
        let root = store.root().join("files");
        let mut shards = Vec::new();
        for name in super::records::list(&root)? {
            if name.len() == 2 && name.bytes().all(is_hex) && root.join(&name).is_dir() {
                shards.push(name);
            } else {
                found.push(Finding::new(Object::Foreign(format!("files/{name}")), Damage::Foreign));
            }
        }
        let read = |shard: &String| read_shard(&root.join(shard), shard, watch);
        let shards: Result<Vec<_>, StoreError> = shards.par_iter().map(read).collect();
        let mut pool = Self { files: HashMap::default(), lists_inodes: true };
        let mut damaged = Vec::new();
        for shard in shards? {
            pool.lists_inodes &= shard.lists_inodes;
            pool.files.extend(shard.files);
            found.extend(shard.foreign);
            damaged.extend(shard.damaged);
        }
        if !damaged.is_empty() {
            pool.learn_sizes(store, &mut damaged)?;
        }
        found.extend(damaged);
        Ok(pool)
    }

    /// A pool in which nothing is found, so that whoever looks has to read the file itself; except
    /// what is known to be damaged.
    pub fn only_damaged(&self) -> Self {
        let files = self.files.iter().filter(|(_, pooled)| !pooled.sound);
        Self { files: files.map(|(inode, pooled)| (*inode, *pooled)).collect(), lists_inodes: false }
    }

    pub fn get(&self, inode: u64) -> Option<Pooled> {
        self.files.get(&inode).copied()
    }

    /// The name of a file says nothing of its size, but manifests do.
    fn learn_sizes(&mut self, store: &Store, damaged: &mut [Finding]) -> Result<(), StoreError> {
        let wanted = self.files.values().filter(|pooled| !pooled.sound);
        let wanted: BTreeSet<BlobHash> = wanted.map(|pooled| pooled.file.blob).collect();
        let mut sizes = HashMap::new();
        let manifests = store.root().join("manifests");
        for name in super::records::list(&manifests)? {
            let Some(bytes) = disk::read_if_present(&manifests.join(name))? else { continue };
            if let Ok(tree) = Tree::decode(&bytes) {
                collect_sizes(&tree, &wanted, &mut sizes);
            }
        }
        for pooled in self.files.values_mut().filter(|pooled| !pooled.sound) {
            let Some(expected) = sizes.get(&pooled.file.blob) else { continue };
            let right = File { size: *expected, ..pooled.file };
            for finding in damaged.iter_mut() {
                if finding.object == Object::File(name_of(&right))
                    && let Damage::Content { found } = finding.damage
                {
                    finding.damage = Damage::of_bytes(&right, &File { size: found, ..right });
                }
            }
            pooled.file = right;
        }
        Ok(())
    }
}

fn collect_sizes(tree: &Tree, wanted: &BTreeSet<BlobHash>, sizes: &mut HashMap<BlobHash, u64>) {
    for (_, node) in tree.entries() {
        match node {
            Node::File(file) if wanted.contains(&file.blob) => drop(sizes.insert(file.blob, file.size)),
            Node::Directory(below) => collect_sizes(below, wanted, sizes),
            _ => {}
        }
    }
}

/// The name of a file below `files/`.
pub(super) fn name_of(file: &File) -> String {
    let hex = file.blob.to_hex();
    format!("{}/{}{}", &hex[..2], &hex[2..], if file.executable { ".x" } else { "" })
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// What the name of a file in a shard says: its hash and whether it may be executed.
pub(super) fn parse(shard: &str, name: &str) -> Option<(BlobHash, bool)> {
    let (digits, executable) = name.strip_suffix(".x").map_or((name, false), |digits| (digits, true));
    let hex = format!("{shard}{digits}");
    if hex.len() != 64 || !hex.bytes().all(is_hex) {
        return None;
    }
    BlobHash::from_hex(&hex).map(|blob| (blob, executable))
}

struct Shard {
    files: Vec<(u64, Pooled)>,
    foreign: Vec<Finding>,
    damaged: Vec<Finding>,
    lists_inodes: bool,
}

fn read_shard(path: &Path, shard: &str, watch: &Watch<'_>) -> Result<Shard, StoreError> {
    let mut names = Vec::new();
    let mut read = Shard { files: Vec::new(), foreign: Vec::new(), damaged: Vec::new(), lists_inodes: true };
    let entries = match look::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(read),
        entries => disk::io("list", path, entries)?,
    };
    for entry in entries {
        let entry = disk::io("list", path, entry)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match parse(shard, &name) {
            Some((blob, executable)) => names.push((entry.ino(), name, blob, executable)),
            None => {
                let foreign = Object::Foreign(format!("files/{shard}/{name}"));
                read.foreign.push(Finding::new(foreign, Damage::Foreign));
            }
        }
    }
    Counters::add(&watch.counters.files_found, names.len() as u64);
    // In this order, most file systems read from neighbouring places of a disk.
    names.sort_unstable();
    let directory = Directory::open(path)?;
    let look_twice = |(listed, name, blob, executable): &(u64, String, BlobHash, bool)| {
        if watch.is_stopped() {
            return (*listed, Looked::Gone);
        }
        let file = File { blob: *blob, size: 0, executable: *executable };
        let looked = match look_at(&directory, name, file, watch) {
            // A second look: only what is still so is reported.
            Looked::Damaged(..) => look_at(&directory, name, file, watch),
            sound => sound,
        };
        Counters::add(&watch.counters.files, 1);
        (*listed, looked)
    };
    let looked: Vec<(u64, Looked)> = names.par_iter().with_min_len(16).map(look_twice).collect();
    for ((_, name, ..), (listed, looked)) in names.iter().zip(looked) {
        match looked {
            Looked::Sound(inode, file) => {
                read.lists_inodes &= listed == inode;
                read.files.push((inode, Pooled { file, sound: true }));
            }
            Looked::Damaged(known, damage) => {
                let sound = damage.is_notice();
                read.files.extend(known.map(|(inode, file)| (inode, Pooled { file, sound })));
                read.damaged.push(Finding::new(Object::File(format!("{shard}/{name}")), damage));
            }
            Looked::Gone => {}
        }
    }
    Ok(read)
}

fn look_at(directory: &Directory, name: &str, file: File, watch: &Watch<'_>) -> Looked {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Looked::Gone,
        _ => Looked::Damaged(None, Damage::Unreadable { reason: error.to_string() }),
    };
    let wrong = |found| Looked::Damaged(None, Damage::Kind { expected: "a file", found });
    let opened = match directory.open_below(&[name.as_bytes()]) {
        Ok(opened) => opened,
        Err(error) if error.raw_os_error() == Some(ELOOP) => return wrong("a link"),
        Err(error) => return unreadable(error),
    };
    let metadata = match opened.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return unreadable(error),
    };
    if !metadata.is_file() {
        return wrong(if metadata.is_dir() { "a directory" } else { "something special" });
    }
    let found = File { size: metadata.len(), ..file };
    match hashing::hash(&opened, found.size) {
        Ok(blob) => {
            Counters::add(&watch.counters.bytes, found.size);
            let damage = if blob == file.blob {
                of_attributes(&metadata, found.executable)
            } else {
                content(found.size)
            };
            match damage {
                None => Looked::Sound(metadata.ino(), found),
                Some(damage) => Looked::Damaged(Some((metadata.ino(), found)), damage),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Looked::Damaged(Some((metadata.ino(), found)), Damage::Unreadable { reason: error.to_string() })
        }
        Err(error) => unreadable(error),
    }
}

fn content(found: u64) -> Option<Damage> {
    Some(Damage::Content { found })
}

/// Whether mode and time are those that the store gives.
pub(super) fn of_attributes(metadata: &look::Metadata, executable: bool) -> Option<Damage> {
    let (expected, found) = (if executable { 0o755 } else { 0o644 }, metadata.mode() & 0o7777);
    if found != expected {
        return Some(Damage::Mode { expected, found });
    }
    (metadata.mtime() != MTIME || metadata.mtime_nsec() != 0).then_some(Damage::Time { entries: 1 })
}
