//! Content that a proof carries: bytes, and trees with all of their files.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::store::staging::Staging;
use crate::store::tree::{BlobHash, File, LinkTarget, Name, Node, RelPath, Tree, TreeHash};
use crate::store::{Store, StoreError};

/// The longest path, in bytes: it bounds how deep a tree may be.
const MAX_PATH: usize = 4096;

/// Bytes: as text where they are, else as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bytes {
    Text(String),
    Hex(String),
}

impl Bytes {
    /// In the one form that these bytes have.
    pub fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Hex(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }

    /// The bytes; nothing if these are no digits.
    pub fn get(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.as_bytes().to_vec()),
            Self::Hex(digits) => {
                let pairs = digits.as_bytes().chunks(2);
                pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
            }
        }
    }
}

/// A tree and everything in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    pub tree: TreeHash,
    pub entries: Vec<Entry>,
}

/// Something in a tree. Directories that hold something are not listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Entry {
    File { path: Bytes, executable: bool, content: Bytes },
    Link { path: Bytes, target: Bytes },
    Directory { path: Bytes },
}

impl Given {
    /// Reads a tree of the store.
    pub fn read(store: &Store, hash: &TreeHash) -> Result<Self, StoreError> {
        let mut entries = Vec::new();
        let tree = store.tree(hash)?;
        tree.walk(&mut |path, node| {
            let names: Vec<&[u8]> = path.names().iter().map(Name::as_bytes).collect();
            let path = Bytes::new(&names.join(&b'/'));
            entries.push(match node {
                Node::File(file) => {
                    Entry::File { path, executable: file.executable, content: Bytes::new(&store.read(file)?) }
                }
                Node::Link(target) => Entry::Link { path, target: Bytes::new(target.as_bytes()) },
                Node::Directory(below) if below.is_empty() => Entry::Directory { path },
                Node::Directory(_) => return Ok(()),
            });
            Ok::<(), StoreError>(())
        })?;
        Ok(Self { tree: *hash, entries })
    }

    /// The tree that the entries make, or why they make none.
    pub(super) fn to_tree(&self) -> Result<Tree, String> {
        self.build(&mut |bytes, executable| {
            let blob = BlobHash::from_bytes(*blake3::hash(bytes).as_bytes());
            Ok(File { blob, size: bytes.len() as u64, executable })
        })
    }

    /// Puts the tree into the store. The proof was read, so its hash is right.
    pub fn publish(&self, store: &Arc<Store>) -> Result<(), StoreError> {
        let staging: Staging = store.stage()?;
        let mut trouble = None;
        let tree = self.build(&mut |bytes, executable| {
            staging.add_bytes(bytes, executable).map_err(|error| {
                let reason = error.to_string();
                trouble = Some(error);
                reason
            })
        });
        match (tree, trouble) {
            (Ok(tree), _) => staging.publish(&tree).map(|_| ()),
            (Err(_), Some(error)) => Err(error),
            (Err(reason), None) => Err(StoreError::Damaged { path: self.tree.to_string().into(), reason }),
        }
    }

    fn build(&self, take: &mut dyn FnMut(&[u8], bool) -> Result<File, String>) -> Result<Tree, String> {
        let mut tree = Tree::default();
        for entry in &self.entries {
            let get = |bytes: &Bytes| bytes.get().ok_or("has digits that are none");
            let (path, node) = match entry {
                Entry::File { path, executable, content } => {
                    (path, Node::File(take(&get(content)?, *executable)?))
                }
                Entry::Link { path, target } => {
                    let target = LinkTarget::new(&get(target)?).map_err(|error| error.to_string())?;
                    (path, Node::Link(target))
                }
                Entry::Directory { path } => (path, Node::Directory(Arc::new(Tree::default()))),
            };
            let path = get(path)?;
            if path.is_empty() || path.len() > MAX_PATH {
                return Err("has a path of no or too many bytes".into());
            }
            let path = RelPath::parse(path).map_err(|error| format!("has a bad path: {error}"))?;
            if tree.get(&path).is_some() {
                return Err("has an entry twice".into());
            }
            tree.insert(&path, node).map_err(|error| format!("has a bad entry: {error}"))?;
        }
        Ok(tree)
    }
}
