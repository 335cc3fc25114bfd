//! For tests: a store in a temporary directory, and trees written as lists of paths and texts.

use std::sync::Arc;

use crate::store::Store;
use crate::store::staging::Staging;
use crate::store::tree::{File, Node, RelPath, Tree};

pub(crate) struct Fixture {
    pub(crate) staging: Staging,
    pub(crate) store: Arc<Store>,
    pub(crate) directory: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        Self { staging: store.stage().unwrap(), store, directory }
    }

    pub(crate) fn add(&self, text: &str) -> File {
        self.staging.add_bytes(text.as_bytes(), false).unwrap()
    }

    pub(crate) fn tree(&self, files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            tree.insert(&RelPath::parse(path).unwrap(), Node::File(self.add(text))).unwrap();
        }
        tree
    }

    /// Paths of all files.
    pub(crate) fn listing(tree: &Tree) -> Vec<String> {
        tree.files().iter().map(|(path, _)| path.to_string()).collect()
    }

    /// The text of one file.
    pub(crate) fn text(&self, tree: &Tree, path: &str) -> String {
        match tree.get(&RelPath::parse(path).unwrap()) {
            Some(Node::File(file)) => String::from_utf8(self.staging.read(file).unwrap()).unwrap(),
            other => panic!("{path}: {other:?}"),
        }
    }
}
