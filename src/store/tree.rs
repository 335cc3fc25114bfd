//! `Tree`: the content of an output, valid by construction, and the hash that names it.
//!
//! A tree holds names, kinds, the executable bit, link targets and bytes (by hash), and nothing
//! else: no times, owners or extended attributes. Values of these types are proof that the rules
//! below have been checked, so nothing that comes from an archive or a builder reaches the disk
//! as a raw path.

mod encoding;
mod hash;
mod name;

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

pub(crate) use self::hash::hash_type;
pub use self::hash::{BlobHash, TreeHash};
pub use self::name::{LinkTarget, Name, RelPath};

/// Directories may nest this deep; deeper trees are refused before they can exhaust the stack or
/// the kernel's path limits.
pub const MAX_DEPTH: usize = 128;

/// Why bytes are not a valid name, link, path or tree.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TreeError {
    #[error("a name may not be empty")]
    EmptyName,
    #[error("`{0}` cannot be a file name")]
    ReservedName(String),
    #[error("the name `{0}` holds a slash or a NUL byte")]
    IllegalName(String),
    #[error("the name `{0}…` is longer than 255 bytes")]
    LongName(String),
    #[error("the target of a link is empty, longer than 4095 bytes or holds a NUL byte")]
    LinkTarget,
    #[error("`{0}` is not a relative path below the tree")]
    NotRelative(String),
    #[error("`{path}` occurs twice, as {first} and as {second}")]
    Conflict { path: String, first: &'static str, second: &'static str },
    #[error("directories nest deeper than {MAX_DEPTH} levels at `{0}`")]
    TooDeep(String),
    #[error("the encoding of the tree is damaged: {0}")]
    Encoding(&'static str),
}

/// A regular file: its bytes by hash, its size in bytes, and whether it may be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct File {
    pub blob: BlobHash,
    pub size: u64,
    pub executable: bool,
}

/// What a name in a directory stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    File(File),
    Link(LinkTarget),
    Directory(Arc<Tree>),
}

impl Node {
    /// The word that messages use for this kind of node.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "a file",
            Self::Link(_) => "a link",
            Self::Directory(_) => "a directory",
        }
    }
}

/// A directory: distinct names in byte order, each with its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<Name, Node>,
}

impl Tree {
    /// The entries in byte order of their names.
    pub fn entries(&self) -> impl Iterator<Item = (&Name, &Node)> {
        self.entries.iter()
    }

    /// How many entries there are, without those of subdirectories.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The node of that name.
    pub fn child(&self, name: &Name) -> Option<&Node> {
        self.entries.get(name)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The node at `path`, without following links. The empty path has none: it is the tree.
    pub fn get(&self, path: &RelPath) -> Option<&Node> {
        let (last, parents) = path.names().split_last()?;
        self.descend(parents)?.entries.get(last)
    }

    /// The directory at `path`; the empty path is the tree itself.
    pub fn directory(&self, path: &RelPath) -> Option<&Self> {
        self.descend(path.names())
    }

    fn descend(&self, names: &[Name]) -> Option<&Self> {
        let mut here = self;
        for name in names {
            match here.entries.get(name) {
                Some(Node::Directory(next)) => here = next,
                _ => return None,
            }
        }
        Some(here)
    }

    /// Puts `node` at `path`, making the directories on the way.
    ///
    /// An equal node that is there already is fine, and two directories are merged; anything else
    /// at that path, or a parent that is not a directory, is a [`TreeError::Conflict`].
    pub fn insert(&mut self, path: &RelPath, node: Node) -> Result<(), TreeError> {
        self.insert_below(path.names(), node, path, 0)
    }

    fn insert_below(
        &mut self,
        names: &[Name],
        node: Node,
        whole: &RelPath,
        depth: usize,
    ) -> Result<(), TreeError> {
        if depth >= MAX_DEPTH {
            return Err(TreeError::TooDeep(whole.to_string()));
        }
        match names {
            [] => match node {
                Node::Directory(other) => self.merge(&other),
                _ => Err(TreeError::NotRelative(whole.to_string())),
            },
            [name] => match (self.entries.get_mut(name), node) {
                (None, node) => {
                    self.entries.insert(name.clone(), node);
                    Ok(())
                }
                (Some(Node::Directory(here)), Node::Directory(other)) => Arc::make_mut(here).merge(&other),
                (Some(there), node) if *there == node => Ok(()),
                (Some(there), node) => Err(TreeError::Conflict {
                    path: whole.to_string(),
                    first: there.kind(),
                    second: node.kind(),
                }),
            },
            [name, rest @ ..] => {
                let there =
                    self.entries.entry(name.clone()).or_insert_with(|| Node::Directory(Arc::default()));
                match there {
                    Node::Directory(here) => Arc::make_mut(here).insert_below(rest, node, whole, depth + 1),
                    other => Err(TreeError::Conflict {
                        path: whole.to_string(),
                        first: other.kind(),
                        second: "a directory",
                    }),
                }
            }
        }
    }

    /// Adds everything of `other`; equal nodes are fine, different ones at one path are a
    /// [`TreeError::Conflict`].
    pub fn merge(&mut self, other: &Self) -> Result<(), TreeError> {
        for (name, node) in &other.entries {
            let path = RelPath::default().join(name.clone());
            self.insert(&path, node.clone()).map_err(|error| match error {
                TreeError::Conflict { path, first, second } if path != name.to_string() => {
                    TreeError::Conflict { path: format!("{name}/{path}"), first, second }
                }
                other => other,
            })?;
        }
        Ok(())
    }

    /// Takes the node at `path` out, if there is one. Directories on the way stay, even empty.
    pub fn remove(&mut self, path: &RelPath) -> Option<Node> {
        let (last, parents) = path.names().split_last()?;
        let mut here = self;
        for name in parents {
            match here.entries.get_mut(name) {
                Some(Node::Directory(next)) => here = Arc::make_mut(next),
                _ => return None,
            }
        }
        here.entries.remove(last)
    }

    /// Puts `node` at `path` in place of whatever is there.
    pub fn replace(&mut self, path: &RelPath, node: Node) -> Result<(), TreeError> {
        self.remove(path);
        self.insert(path, node)
    }

    /// Calls `visit` for every node, parents before children, in byte order of the paths'
    /// components.
    pub fn walk<E>(&self, visit: &mut impl FnMut(&RelPath, &Node) -> Result<(), E>) -> Result<(), E> {
        self.walk_below(&RelPath::default(), visit)
    }

    fn walk_below<E>(
        &self,
        at: &RelPath,
        visit: &mut impl FnMut(&RelPath, &Node) -> Result<(), E>,
    ) -> Result<(), E> {
        for (name, node) in &self.entries {
            let path = at.join(name.clone());
            visit(&path, node)?;
            if let Node::Directory(below) = node {
                below.walk_below(&path, visit)?;
            }
        }
        Ok(())
    }

    /// The number of directories in it, itself included.
    pub fn directory_count(&self) -> usize {
        let below = self.entries.values().map(|node| match node {
            Node::Directory(tree) => tree.directory_count(),
            _ => 0,
        });
        1 + below.sum::<usize>()
    }

    /// All regular files with their paths, in walk order.
    pub fn files(&self) -> Vec<(RelPath, File)> {
        let mut files = Vec::new();
        let done: Result<(), std::convert::Infallible> = self.walk(&mut |path, node| {
            if let Node::File(file) = node {
                files.push((path.clone(), *file));
            }
            Ok(())
        });
        match done {
            Ok(()) => files,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Node {
        Node::File(File {
            blob: BlobHash::from_bytes(*blake3::hash(text.as_bytes()).as_bytes()),
            size: text.len() as u64,
            executable: false,
        })
    }

    fn path(text: &str) -> RelPath {
        RelPath::parse(text).expect("a path of the test")
    }

    fn sample() -> Tree {
        let mut tree = Tree::default();
        tree.insert(&path("lib/fmt/META"), file("meta")).unwrap();
        tree.insert(&path("lib/fmt/fmt.cmi"), file("cmi")).unwrap();
        tree.insert(&path("bin/link"), Node::Link(LinkTarget::new(b"../lib").unwrap())).unwrap();
        tree.insert(&path("empty"), Node::Directory(Arc::default())).unwrap();
        tree
    }

    #[test]
    fn names_that_could_leave_the_tree_are_refused() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"a\0b", &[b'a'; 256]] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
        assert!(Name::new(b"a\\b \xff").is_ok());
        for bad in ["/abs", "a//b", "a/../b", "./a", "a/"] {
            assert!(RelPath::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn encoding_round_trips_and_nothing_else_is_accepted() {
        let bytes = sample().encode();
        assert_eq!(Tree::decode(&bytes).unwrap(), sample());
        for cut in 0..bytes.len() {
            assert!(Tree::decode(&bytes[..cut]).is_err());
        }
        for flipped in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[flipped] ^= 0x41;
            if let Ok(tree) = Tree::decode(&damaged) {
                assert_eq!(tree.encode(), damaged);
                assert_ne!(tree.hash(), sample().hash());
            }
        }
    }

    #[test]
    fn different_nodes_at_one_path_conflict() {
        let mut tree = sample();
        tree.insert(&path("lib/fmt/META"), file("meta")).expect("equal bytes are fine");
        let conflict = tree.insert(&path("lib/fmt/META"), file("other")).unwrap_err();
        assert_eq!(conflict.to_string(), "`lib/fmt/META` occurs twice, as a file and as a file");
        assert!(tree.insert(&path("lib/fmt/META/below"), file("x")).is_err());
        assert!(tree.insert(&path("bin/link/below"), file("x")).is_err());
    }

    #[test]
    fn depth_is_limited() {
        let deep = vec!["d"; MAX_DEPTH + 2].join("/");
        let error = Tree::default().insert(&path(&deep), file("x")).unwrap_err();
        assert!(matches!(error, TreeError::TooDeep(_)));
    }

    #[test]
    fn hash_covers_every_part() {
        let base = sample().hash();
        let mut tree = sample();
        tree.replace(&path("lib/fmt/META"), file("changed")).unwrap();
        assert_ne!(tree.hash(), base);
        let mut tree = sample();
        tree.remove(&path("empty"));
        assert_ne!(tree.hash(), base);
    }
}
