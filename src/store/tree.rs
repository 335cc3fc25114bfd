//! `Tree`: the content of an output, valid by construction, and the hash that names it.
//!
//! A tree holds names, kinds, the executable bit, link targets and bytes (by hash), and nothing
//! else: no times, owners or extended attributes. Values of these types are proof that the rules
//! below have been checked, so nothing that comes from an archive or a builder reaches the disk
//! as a raw path.
//!
//! The file is longer than 500 lines because a tree, its encoding and its hash are one proof: taken
//! apart, the parts would have to trust each other.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// Directories may nest this deep; deeper trees are refused before they can exhaust the stack or
/// the kernel's path limits.
pub const MAX_DEPTH: usize = 128;

/// Context string of BLAKE3's key derivation for directories. Changing the encoding means
/// changing this string, and with it every tree hash.
const DIRECTORY_CONTEXT: &str = "jtwbuild 2026-11 tree directory v1";

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

/// One component of a path: not empty, not `.` or `..`, no slash, no NUL, at most 255 bytes.
/// Any other bytes are legal and kept as they are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Checks `bytes` against the rules of the type.
    pub fn new(bytes: &[u8]) -> Result<Self, TreeError> {
        let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        match bytes {
            b"" => Err(TreeError::EmptyName),
            b"." | b".." => Err(TreeError::ReservedName(shown())),
            _ if bytes.len() > 255 => Err(TreeError::LongName(shown())),
            _ if bytes.contains(&b'/') || bytes.contains(&0) => Err(TreeError::IllegalName(shown())),
            _ => Ok(Self(bytes.into())),
        }
    }

    /// The name as the bytes that the disk will hold.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as text, when it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// A relative path below a tree: names joined by `/`; the empty path is the tree itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelPath(Vec<Name>);

impl RelPath {
    /// Parses `a/b/c`. A leading `/`, empty components, `.` and `..` are errors.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, TreeError> {
        let text = text.as_ref();
        if text.is_empty() {
            return Ok(Self::default());
        }
        let names = text.split(|byte| *byte == b'/').map(Name::new).collect::<Result<Vec<_>, _>>();
        names.map(Self).map_err(|_| TreeError::NotRelative(String::from_utf8_lossy(text).into_owned()))
    }

    /// The components, outermost first.
    pub fn names(&self) -> &[Name] {
        &self.0
    }

    /// This path with one more component.
    #[must_use]
    pub fn join(&self, name: Name) -> Self {
        let mut names = self.0.clone();
        names.push(name);
        Self(names)
    }

    /// This path with another one below it.
    #[must_use]
    pub fn extend(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// The last component, if there is one.
    pub fn file_name(&self) -> Option<&Name> {
        self.0.last()
    }

    /// All but the last component, if there is one.
    pub fn parent(&self) -> Option<Self> {
        let (_, parents) = self.0.split_last()?;
        Some(Self(parents.to_vec()))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            write!(f, "{name}")?;
        }
        Ok(())
    }
}

/// What a symbolic link points to: any bytes the kernel would keep unchanged. Where it leads is
/// not checked here, because trees are never entered by following links.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkTarget(Box<[u8]>);

impl LinkTarget {
    /// Checks that `bytes` can be written as a link and read back as the same bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, TreeError> {
        if bytes.is_empty() || bytes.len() > 4095 || bytes.contains(&0) {
            return Err(TreeError::LinkTarget);
        }
        Ok(Self(bytes.into()))
    }

    /// The target as the bytes that the disk will hold.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Declares a 32-byte name of its own kind; none converts into another.
macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The printed form starts with this, so that the kinds cannot be confused.
            pub const PREFIX: &'static str = $prefix;

            /// Takes a finished digest.
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The digest.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// 64 lower-case hexadecimal digits, without the prefix.
            pub fn to_hex(&self) -> String {
                blake3::Hash::from_bytes(self.0).to_hex().to_string()
            }

            /// Reads 64 hexadecimal digits, without the prefix.
            pub fn from_hex(text: &str) -> Option<Self> {
                blake3::Hash::from_hex(text).ok().map(|hash| Self(*hash.as_bytes()))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}{}", Self::PREFIX, self.to_hex())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}{}", Self::PREFIX, &self.to_hex()[..12])
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                text.strip_prefix(Self::PREFIX)
                    .and_then(Self::from_hex)
                    .ok_or_else(|| serde::de::Error::custom(concat!("not a ", stringify!($name))))
            }
        }
    };
}
pub(crate) use hash_type;

hash_type! {
    /// The content of an output: the hash of its root directory.
    TreeHash, "tree:"
}
hash_type! {
    /// The bytes of one file (plain BLAKE3, as `b3sum` prints it).
    BlobHash, "blob:"
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
            let path = RelPath(vec![name.clone()]);
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

    /// The hash that names this tree: BLAKE3 over each directory's entries in byte order, where a
    /// subdirectory stands as its own hash (a Merkle tree).
    pub fn hash(&self) -> TreeHash {
        let mut hasher = blake3::Hasher::new_derive_key(DIRECTORY_CONTEXT);
        let mut head = Vec::with_capacity(320);
        for (name, node) in &self.entries {
            head.clear();
            encode_head(name, node, &mut head);
            if let Node::Directory(below) = node {
                head.extend_from_slice(below.hash().as_bytes());
            }
            hasher.update(&head);
        }
        TreeHash(*hasher.finalize().as_bytes())
    }

    /// The whole tree as bytes, from which [`Tree::decode`] makes an equal one.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        for (name, node) in &self.entries {
            encode_head(name, node, out);
            if let Node::Directory(below) = node {
                below.encode_into(out);
            }
        }
        out.push(b'.');
    }

    /// Reads what [`Tree::encode`] wrote. Anything else, even by one byte or out of order, is an
    /// error: `encode(decode(b)) = b` for every `b` that is accepted.
    pub fn decode(bytes: &[u8]) -> Result<Self, TreeError> {
        let mut decoder = Decoder { rest: bytes };
        let tree = decoder.tree(0)?;
        if decoder.rest.is_empty() { Ok(tree) } else { Err(TreeError::Encoding("bytes after the end")) }
    }
}

/// Kind, name and content of one entry; of a directory only kind and name.
fn encode_head(name: &Name, node: &Node, out: &mut Vec<u8>) {
    let kind = match node {
        Node::File(File { executable: false, .. }) => b'f',
        Node::File(File { executable: true, .. }) => b'x',
        Node::Link(_) => b'l',
        Node::Directory(_) => b'd',
    };
    out.push(kind);
    encode_bytes(name.as_bytes(), out);
    match node {
        Node::File(file) => {
            out.extend_from_slice(&file.size.to_le_bytes());
            out.extend_from_slice(file.blob.as_bytes());
        }
        Node::Link(target) => encode_bytes(target.as_bytes(), out),
        Node::Directory(_) => {}
    }
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    // Names and targets are at most 4095 bytes long by construction.
    let length = u16::try_from(bytes.len()).expect("names and link targets are shorter than 64 KiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], TreeError> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or(TreeError::Encoding("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TreeError> {
        self.take(N)?.try_into().map_err(|_| TreeError::Encoding("it ends too early"))
    }

    fn bytes(&mut self) -> Result<&'a [u8], TreeError> {
        let length = u16::from_le_bytes(self.array()?);
        self.take(usize::from(length))
    }

    fn tree(&mut self, depth: usize) -> Result<Tree, TreeError> {
        if depth > MAX_DEPTH {
            return Err(TreeError::Encoding("directories nest too deep"));
        }
        let mut entries = BTreeMap::new();
        loop {
            let kind = self.array::<1>()?[0];
            if kind == b'.' {
                return Ok(Tree { entries });
            }
            let name = Name::new(self.bytes()?)?;
            let node = match kind {
                b'f' | b'x' => Node::File(File {
                    size: u64::from_le_bytes(self.array()?),
                    blob: BlobHash(self.array()?),
                    executable: kind == b'x',
                }),
                b'l' => Node::Link(LinkTarget::new(self.bytes()?)?),
                b'd' => Node::Directory(Arc::new(self.tree(depth + 1)?)),
                _ => return Err(TreeError::Encoding("an unknown kind of node")),
            };
            if entries.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return Err(TreeError::Encoding("names out of order"));
            }
            entries.insert(name, node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Node {
        Node::File(File {
            blob: BlobHash(*blake3::hash(text.as_bytes()).as_bytes()),
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
