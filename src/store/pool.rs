//! The pool: the bytes of every file once, below `files/`, and how it is mended from the trees.
//!
//! A tree's own directories are flushed before its name appears; the directories of the pool are not,
//! because that would be a flush more for every new file. So on a disk that does not keep the order of
//! renames, a power cut may take a file's name in the pool and leave the tree that has it. The bytes
//! are in the tree then, and get their name back when somebody misses them.

use std::path::PathBuf;
use std::sync::PoisonError;

use super::disk::{self, Directory};
use super::tree::{BlobHash, File, Name, Node, RelPath, Tree, TreeHash};
use super::{Store, StoreError, staging};

impl Store {
    /// The path of a stored file's bytes.
    pub fn file_path(&self, file: &File) -> PathBuf {
        let hex = file.blob.to_hex();
        let suffix = if file.executable { ".x" } else { "" };
        self.root().join("files").join(&hex[..2]).join(format!("{}{suffix}", &hex[2..]))
    }

    /// The path of a stored file's bytes, which are there.
    pub fn present_file(&self, file: &File) -> Result<PathBuf, StoreError> {
        let path = self.file_path(file);
        if !disk::exists(&path) {
            self.mend_pool()?;
            if !disk::exists(&path) {
                return Err(StoreError::MissingBlob(file.blob));
            }
        }
        Ok(path)
    }

    /// The bytes of a stored file.
    pub fn read(&self, file: &File) -> Result<Vec<u8>, StoreError> {
        let path = self.file_path(file);
        if let Some(bytes) = disk::read_if_present(&path)? {
            return Ok(bytes);
        }
        self.mend_pool()?;
        disk::read_if_present(&path)?.ok_or(StoreError::MissingBlob(file.blob))
    }

    /// The bytes of the file at `path` in `tree`, or `None` when there is no file.
    pub fn read_in(&self, tree: &Tree, path: &RelPath) -> Result<Option<Vec<u8>>, StoreError> {
        match tree.get(path) {
            Some(Node::File(file)) => self.read(file).map(Some),
            _ => Ok(None),
        }
    }

    /// Gives the files of all trees their names in the pool, as far as their bytes are right: once for
    /// an open store, because it looks at everything.
    pub(super) fn mend_pool(&self) -> Result<(), StoreError> {
        let mut is_mended = self.pool_is_mended.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_mended {
            return Ok(());
        }
        for entry in disk::list(&self.root().join("trees"))? {
            let Some(hash) = entry.file_name().to_str().and_then(TreeHash::from_hex) else { continue };
            // What is wrong with a damaged tree is told by whoever uses it.
            if let Ok(tree) = self.tree_unshared(&hash) {
                self.mend_from(&hash, &tree)?;
            }
        }
        *is_mended = true;
        Ok(())
    }

    fn mend_from(&self, hash: &TreeHash, tree: &Tree) -> Result<(), StoreError> {
        let root = self.tree_path(hash);
        for (path, file) in tree.files() {
            let pooled = self.file_path(&file);
            if disk::exists(&pooled) {
                continue;
            }
            let names: Vec<_> = path.names().iter().map(Name::as_bytes).collect();
            let Ok(mut bytes) = Directory::open(&root)?.open_below(&names) else { continue };
            let whole = root.join(path.to_string());
            let is_executable = staging::is_executable(&disk::io("read", &whole, bytes.metadata())?);
            let mut hasher = blake3::Hasher::new();
            disk::io("read", &whole, hasher.update_reader(&mut bytes).map(drop))?;
            if BlobHash::from_bytes(*hasher.finalize().as_bytes()) == file.blob
                && is_executable == file.executable
            {
                disk::make_directories(pooled.parent().expect("it is below the store"))?;
                disk::link_new(&whole, &pooled)?;
            }
        }
        Ok(())
    }
}
