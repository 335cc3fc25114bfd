//! What is not as its name says: which object, where in it, and in which way.

use std::fmt;

use crate::source::Checksum;
use crate::store::tree::{File, RelPath, TreeHash};

/// One thing in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// The bytes of a file in the pool; its name below `files/`.
    File(String),
    Tree(TreeHash),
    /// A layer by its id.
    Layer(String),
    Archive(Checksum),
    /// A tree's manifest: a cache.
    Manifest(String),
    /// The memory of facts: a cache.
    Facts,
    /// What was built for each key.
    History,
    /// Which statements of others were accepted.
    Statements,
    /// A path, from the store's root, that means nothing here.
    Foreign(String),
}

impl Object {
    /// The word that `--json` uses.
    pub fn word(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Tree(_) => "tree",
            Self::Layer(_) => "layer",
            Self::Archive(_) => "archive",
            Self::Manifest(_) => "manifest",
            Self::Facts => "facts",
            Self::History => "history",
            Self::Statements => "statements",
            Self::Foreign(_) => "foreign",
        }
    }

    /// Its path from the store's root.
    pub fn place(&self) -> String {
        match self {
            Self::File(name) => format!("files/{name}"),
            Self::Tree(tree) => format!("trees/{}", tree.to_hex()),
            Self::Layer(id) => format!("layers/{id}"),
            Self::Archive(sum) => format!("archives/{}", sum.path()),
            Self::Manifest(name) => format!("manifests/{name}"),
            Self::Facts => "plans/facts".into(),
            Self::History => "history".into(),
            Self::Statements => "statements".into(),
            Self::Foreign(path) => path.clone(),
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub object: Object,
    /// Where in a tree; empty for the object itself.
    pub path: RelPath,
    pub damage: Damage,
    /// The nodes, as `kind/name`, whose output the object is.
    pub nodes: Vec<String>,
}

impl Finding {
    pub(super) fn new(object: Object, damage: Damage) -> Self {
        Self::within(object, RelPath::default(), damage)
    }

    pub(super) fn within(object: Object, path: RelPath, damage: Damage) -> Self {
        Self { object, path, damage, nodes: Vec::new() }
    }

    /// The path from the store's root of what is damaged.
    pub fn place(&self) -> String {
        let place = self.object.place();
        if self.path.names().is_empty() { place } else { format!("{place}/{}", self.path) }
    }
}

/// In which way something is not what its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Other bytes, and as many as there should be.
    Bytes,
    /// Fewer bytes, or more, than there should be.
    Size { expected: u64, found: u64 },
    /// Other bytes; how many there should be is not known.
    Content { found: u64 },
    /// Permissions, in octal, that the store does not give.
    Mode { expected: u32, found: u32 },
    /// Something of the tree is not there.
    Missing { what: &'static str },
    /// Something that is not of the tree.
    Added { what: &'static str },
    /// A file where a directory should be, and the like.
    Kind { expected: &'static str, found: &'static str },
    /// A link that leads elsewhere.
    Target { expected: String, found: String },
    /// The executable bit is another one than the tree's.
    Executable { expected: bool },
    /// The tree has another hash, and there is no manifest that would say where; this was changed
    /// after the tree was made.
    Changed { what: &'static str },
    /// The tree has another hash, and nothing tells where.
    Structure { found: TreeHash },
    /// A tree has a file of the pool whose bytes are damaged; which, below `files/`.
    Shared { file: String },
    /// It cannot be read.
    Unreadable { reason: String },
    /// A record is not what its name says.
    Record { reason: String },
    /// A layer's tree is not in the store.
    NoTree { tree: TreeHash },
    /// A layer has no log.
    NoLog,

    /// A cache is damaged; it is made again when it is needed.
    Cache { reason: String },
    /// A file with the right bytes that is not the pool's.
    Copy,
    /// So many times are not the store's one.
    Time { entries: u64 },
    /// A name that means nothing here.
    Foreign,
}

impl Damage {
    /// Whether nothing is lost or wrong for it.
    pub fn is_notice(&self) -> bool {
        matches!(self, Self::Cache { .. } | Self::Copy | Self::Time { .. } | Self::Foreign)
    }

    /// The word that `--json` uses.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Size { expected, found } if found < expected => "truncated",
            Self::Size { .. } => "extended",
            Self::Content { .. } => "content",
            Self::Mode { .. } => "mode",
            Self::Missing { .. } => "missing",
            Self::Added { .. } => "added",
            Self::Kind { .. } => "kind",
            Self::Target { .. } => "link-target",
            Self::Executable { .. } => "executable",
            Self::Changed { .. } => "changed",
            Self::Structure { .. } => "structure",
            Self::Shared { .. } => "shared-file",
            Self::Unreadable { .. } => "unreadable",
            Self::Record { .. } => "record",
            Self::NoTree { .. } => "no-tree",
            Self::NoLog => "no-log",
            Self::Cache { .. } => "cache",
            Self::Copy => "copy",
            Self::Time { .. } => "time",
            Self::Foreign => "foreign",
        }
    }

    /// How a file with other bytes differs from the one that should be there.
    pub(super) fn of_bytes(expected: &File, found: &File) -> Self {
        if expected.size == found.size {
            Self::Bytes
        } else {
            Self::Size { expected: expected.size, found: found.size }
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes => f.write_str("other bytes, of the same length"),
            Self::Size { expected, found } if found < expected => {
                write!(f, "cut off: {found} of {expected} bytes")
            }
            Self::Size { expected, found } => write!(f, "too long: {found} instead of {expected} bytes"),
            Self::Content { found } => write!(f, "other bytes ({found} of them)"),
            Self::Mode { expected, found } => write!(f, "its mode is {found:o}, not {expected:o}"),
            Self::Missing { what } => write!(f, "{what} is missing"),
            Self::Added { what } => write!(f, "{what} that does not belong here"),
            Self::Kind { expected, found } => write!(f, "{found} where {expected} should be"),
            Self::Target { expected, found } => write!(f, "a link to `{found}`, not to `{expected}`"),
            Self::Executable { expected: true } => f.write_str("a file that should be executable"),
            Self::Executable { expected: false } => f.write_str("a file that should not be executable"),
            Self::Changed { what: "a directory" } => {
                f.write_str("something was added to, removed from or replaced in this directory")
            }
            Self::Changed { what } => write!(f, "{what} that was added or replaced"),
            Self::Structure { found } => write!(f, "its content is {found}"),
            Self::Shared { file } => write!(f, "the damaged file files/{file}"),
            Self::Unreadable { reason } => write!(f, "it cannot be read: {reason}"),
            Self::Record { reason } => f.write_str(reason),
            Self::NoTree { tree } => write!(f, "its output trees/{} is missing", tree.to_hex()),
            Self::NoLog => f.write_str("build.log is missing"),
            Self::Cache { reason } => write!(f, "{reason}; it is made again when it is needed"),
            Self::Copy => f.write_str("a copy of its own, with the right bytes"),
            Self::Time { entries: 1 } => f.write_str("its time has been changed"),
            Self::Time { entries } => write!(f, "the times of {entries} entries have been changed"),
            Self::Foreign => f.write_str("a name that means nothing here"),
        }
    }
}
