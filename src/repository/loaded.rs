//! One opened repository: its table, and its bytes from wherever they are.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::RepositoryError;
use super::table::{Entry, Table};
use crate::diagnostic::SourceFile;
use crate::opam::place::{Pin, Place};
use crate::store::tree::{self, BlobHash, Node, RelPath, Tree, TreeHash};
use crate::store::{Store, StoreError};

/// A repository whose content is known.
#[derive(Debug)]
pub(super) struct Repository {
    pub place: Place,
    pub pin: Pin,
    store: Arc<Store>,
    /// Read from the store when it is first needed.
    loaded: Mutex<Option<Arc<Loaded>>>,
}

/// What of a repository is in memory.
#[derive(Debug)]
pub(super) struct Loaded {
    pub table: Arc<Table>,
    pub bytes: Bytes,
}

/// Where the bytes of the files are.
#[derive(Debug)]
pub(super) enum Bytes {
    /// All of them, one behind the other.
    Memory(Vec<u8>),
    /// In a file of the store, one behind the other.
    Packed { file: File, path: PathBuf, blob: BlobHash },
    /// Files of this machine below this directory.
    Below(PathBuf),
}

impl Loaded {
    /// The bytes of a file, if they are in memory.
    fn slice(&self, entry: &Entry) -> Option<&[u8]> {
        match &self.bytes {
            Bytes::Memory(bytes) => slice(bytes, entry),
            _ => None,
        }
    }
}

fn slice<'b>(bytes: &'b [u8], entry: &Entry) -> Option<&'b [u8]> {
    let start = usize::try_from(entry.offset).ok()?;
    bytes.get(start..start.checked_add(entry.length)?)
}

impl Repository {
    /// A repository whose content was just read, or is in the store.
    pub fn new(place: &Place, pin: Pin, store: &Arc<Store>, loaded: Option<Loaded>) -> Self {
        let loaded = Mutex::new(loaded.map(Arc::new));
        Self { place: place.clone(), pin, store: Arc::clone(store), loaded }
    }

    /// Its table, and a way to its bytes.
    pub fn load(&self) -> Result<Arc<Loaded>, RepositoryError> {
        let mut place = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*place {
            return Ok(Arc::clone(loaded));
        }
        let loaded = Arc::new(unpack(&self.store, &self.pin.tree)?);
        *place = Some(Arc::clone(&loaded));
        Ok(loaded)
    }

    /// All bytes in memory, for who wants most of them. They are checked, and not kept.
    pub fn load_whole(&self) -> Result<Arc<Loaded>, RepositoryError> {
        let loaded = self.load()?;
        let Bytes::Packed { file, path, blob } = &loaded.bytes else { return Ok(loaded) };
        let length = usize::try_from(loaded.table.length()).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        let read = file.read_exact_at(&mut bytes, 0);
        let hash = blake3::Hasher::new().update_rayon(&bytes).finalize();
        if read.is_err() || hash.as_bytes() != blob.as_bytes() {
            return Err(damaged(path).into());
        }
        Ok(Arc::new(Loaded { table: Arc::clone(&loaded.table), bytes: Bytes::Memory(bytes) }))
    }

    /// The bytes of one of its files, which are as they were when the table was made.
    pub fn read(&self, loaded: &Loaded, entry: &Entry) -> Result<Vec<u8>, RepositoryError> {
        match &loaded.bytes {
            Bytes::Memory(_) => Ok(loaded.slice(entry).unwrap_or_default().to_vec()),
            Bytes::Packed { file, path, .. } => {
                let mut bytes = vec![0; entry.length];
                let read = file.read_exact_at(&mut bytes, entry.offset);
                let is_good = read.is_ok() && entry.is(&bytes);
                if is_good { Ok(bytes) } else { Err(damaged(path).into()) }
            }
            Bytes::Below(root) => {
                let bytes = std::fs::read(root.join(&*entry.path));
                bytes.ok().filter(|bytes| entry.is(bytes)).ok_or_else(|| RepositoryError::Changed {
                    place: self.place.written.clone(),
                    path: entry.path.to_string(),
                })
            }
        }
    }

    /// An opam file under the name that messages have for it. Bytes that are not UTF-8 become `�`: in
    /// comments and descriptions they do no harm.
    pub fn source(&self, loaded: &Loaded, entry: &Entry) -> Result<SourceFile, RepositoryError> {
        let name = format!("{}: {}", self.place, entry.path);
        if let Some(bytes) = loaded.slice(entry) {
            return Ok(SourceFile::new(name, &String::from_utf8_lossy(bytes)));
        }
        let bytes = self.read(loaded, entry)?;
        Ok(SourceFile::new(name, &String::from_utf8_lossy(&bytes)))
    }
}

fn damaged(path: &Path) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), reason: "its bytes are not those that were stored".into() }
}

/// The names of the two files of a packed repository.
const TABLE: &str = "table";
const CONTENTS: &str = "contents";

fn pack_of(table: tree::File, contents: tree::File) -> Tree {
    let mut tree = Tree::default();
    for (name, file) in [(TABLE, table), (CONTENTS, contents)] {
        let path = RelPath::parse(name).expect("it is a path");
        tree.insert(&path, Node::File(file)).expect("they are two different files");
    }
    tree
}

/// The name that content has in the store, whether it is there or not.
pub(super) fn name_of(table: &Table, contents: &[u8]) -> TreeHash {
    let file = |bytes: &[u8]| {
        let blob = BlobHash::from_bytes(*blake3::Hasher::new().update_rayon(bytes).finalize().as_bytes());
        tree::File { blob, size: bytes.len() as u64, executable: false }
    };
    pack_of(file(&table.encode()), file(contents)).hash()
}

/// Puts content into the store.
pub(super) fn pack(store: &Arc<Store>, table: &Table, contents: &[u8]) -> Result<TreeHash, StoreError> {
    let staging = store.stage()?;
    let table = staging.add_bytes(&table.encode(), false)?;
    let contents = staging.add_bytes(contents, false)?;
    staging.publish(&pack_of(table, contents))
}

fn unpack(store: &Store, hash: &TreeHash) -> Result<Loaded, StoreError> {
    let tree = store.tree(hash)?;
    let file = |name: &str| {
        let path = RelPath::parse(name).ok();
        match path.and_then(|path| tree.get(&path).cloned()) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(StoreError::Damaged {
                path: store.tree_path(hash),
                reason: "it is not a packed opam repository".into(),
            }),
        }
    };
    let (table, contents) = (file(TABLE)?, file(CONTENTS)?);
    let bytes = store.read(&table)?;
    let is_good = blake3::hash(&bytes).as_bytes() == table.blob.as_bytes();
    let path = store.file_path(&table);
    let table = Table::decode(&bytes).filter(|_| is_good).map(Arc::new).ok_or_else(|| damaged(&path))?;
    let path = store.present_file(&contents)?;
    let file = crate::store::disk::open(&path)?;
    Ok(Loaded { table, bytes: Bytes::Packed { file, path, blob: contents.blob } })
}
