//! Directories of the host as trees, whose files can be read again.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::compress;
use crate::store::tree::{BlobHash, File, Name, Node, RelPath, Tree};
use crate::store::{StoreError, disk, staging};

/// A tree made of directories and files of the host.
#[derive(Debug, Default)]
pub struct Folder {
    pub tree: Tree,
    files: HashMap<BlobHash, PathBuf>,
}

impl Folder {
    /// What is in a directory, or one file under its own name.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        let mut folder = Self::default();
        folder.add(path, &RelPath::default())?;
        Ok(folder)
    }

    /// Adds what is at `path`, a directory or a file, below `at`. Gives the bytes of its files.
    pub fn add(&mut self, path: &Path, at: &RelPath) -> Result<u64, StoreError> {
        let part = staging::scan(path)?;
        let parent = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        let mut bytes = 0;
        for (below, file) in part.files() {
            bytes += file.size;
            self.files.insert(file.blob, on_disk(parent, &below));
        }
        let inserted = self.tree.insert(at, Node::Directory(part.into()));
        inserted.map_err(|source| StoreError::Tree { path: at.to_string(), source })?;
        Ok(bytes)
    }

    /// The same for a part of a site: compressed variants of files that are there say nothing new, and
    /// are passed over.
    pub fn add_published(&mut self, path: &Path, at: &RelPath) -> Result<u64, StoreError> {
        let mut bytes = self.add(path, at)?;
        let part = self.tree.directory(at).cloned().unwrap_or_default();
        for (below, file) in part.files() {
            let name = below.file_name().map(Name::as_bytes).unwrap_or_default();
            let original = compress::original(name).and_then(|name| Name::new(name).ok());
            let original = original.map(|name| below.parent().unwrap_or_default().join(name));
            if original.is_some_and(|original| part.get(&original).is_some()) {
                self.tree.remove(&at.extend(&below));
                bytes -= file.size;
            }
        }
        Ok(bytes)
    }

    /// The bytes of a file of this tree, if it is one.
    pub fn bytes(&self, file: &File) -> Result<Option<Vec<u8>>, StoreError> {
        match self.files.get(&file.blob) {
            Some(path) => disk::read_if_present(path),
            None => Ok(None),
        }
    }
}

/// The place of a path below a directory.
pub fn on_disk(directory: &Path, path: &RelPath) -> PathBuf {
    let names = path.names().iter().map(Name::as_bytes).map(OsStr::from_bytes);
    names.fold(directory.to_owned(), |path, name| path.join(name))
}
