//! For tests: files in memory, and trees written as lists of paths and texts.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::Blobs;
use crate::store::StoreError;
use crate::store::tree::{BlobHash, File, Node, RelPath, Tree};

#[derive(Default)]
pub(crate) struct Memory(RefCell<BTreeMap<BlobHash, Vec<u8>>>);

impl Memory {
    pub(crate) fn add(&self, bytes: &[u8]) -> File {
        let blob = BlobHash::from_bytes(*blake3::hash(bytes).as_bytes());
        self.0.borrow_mut().insert(blob, bytes.to_vec());
        File { blob, size: bytes.len() as u64, executable: false }
    }

    pub(crate) fn read(&self, file: &File) -> Vec<u8> {
        self.0.borrow()[&file.blob].clone()
    }

    pub(crate) fn tree(&self, files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            let file = self.add(text.as_bytes());
            tree.insert(&RelPath::parse(path).unwrap(), Node::File(file)).unwrap();
        }
        tree
    }

    /// Calls `body` with the two functions that production code gets from a store.
    pub(crate) fn blobs<T>(&self, body: impl FnOnce(&Blobs<'_>) -> T) -> T {
        let read = |file: &File| -> Result<Vec<u8>, StoreError> { Ok(self.read(file)) };
        let add = |bytes: &[u8]| -> Result<File, StoreError> { Ok(self.add(bytes)) };
        body(&Blobs { read: &read, add: &add })
    }

    /// Paths of all files.
    pub(crate) fn listing(tree: &Tree) -> Vec<String> {
        tree.files().iter().map(|(path, _)| path.to_string()).collect()
    }

    /// The text of one file.
    pub(crate) fn text(&self, tree: &Tree, path: &str) -> String {
        match tree.get(&RelPath::parse(path).unwrap()) {
            Some(Node::File(file)) => String::from_utf8(self.read(file)).unwrap(),
            other => panic!("{path}: {other:?}"),
        }
    }
}
