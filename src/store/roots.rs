//! Roots: what the collector must keep, and why.
//!
//! A root is one file below `roots/`. Trees refer to nothing, so a root does not say where to begin:
//! it lists everything that it keeps.
//!
//! ```text
//! jtwbuild root 1                         for people and for `file`
//! { "label": …, "since": …, "trees": 3, "layers": 2, "archives": 1 }     one line of JSON
//! 3 × 32 bytes, 2 × 32 bytes, 1 × 32 bytes   tree hashes, build keys, SHA-256s, each list sorted
//! 32 bytes                                BLAKE3 of all before
//! ```
//! It is written whole and not flushed: what a power cut makes of it is noticed by the last line, and
//! as long as there is a root that cannot be read, everything is kept.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::disk::{self, RangeLock, Sharing, look};
use super::key::BuildKey;
use super::tree::TreeHash;
use super::uses::Id;
use super::{Store, StoreError};
use crate::source::checksum::{Checksum, KINDS, Sha256};

const MAGIC: &[u8] = b"jtwbuild root 1\n";
const CHECK: usize = 32;

/// The byte of `locks/store` that whoever writes a root holds, and the collector while it removes
/// names.
const ROOTS: i64 = 4;

/// Longer names would only make trouble.
const LONGEST_NAME: usize = 100;

/// The name of a root: letters, digits and `.`, `-`, `_`, at most 100 bytes, and the first one a letter
/// or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RootName(String);

impl RootName {
    /// Reads a name; `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let first = text.bytes().next()?;
        let valid = text.len() <= LONGEST_NAME && first.is_ascii_alphanumeric() && text.bytes().all(is_plain);
        valid.then(|| Self(text.to_owned()))
    }

    /// The root of what a command makes: readable, and the same for equal `settings` only.
    pub fn of_command(label: &str, settings: &[u8]) -> Self {
        let label: String =
            label.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(50).collect();
        let label = label.trim_start_matches(['-', '_']);
        let hash = blake3::hash(settings).to_hex();
        Self(format!("{}-{}", if label.is_empty() { "universe" } else { label }, &hash[..12]))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who made a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Maker {
    /// `realise`: it follows what the command makes.
    Realise,
    /// A user: it stays as it is.
    User,
}

/// What a root is, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What it keeps, in a few words.
    pub label: String,
    pub made_by: Maker,
    /// When it was first made, in seconds since 1970.
    pub since: u64,
    /// The universe file that it is for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub universe: Option<PathBuf>,
    /// Where its site was published.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub site: Option<PathBuf>,
    /// The memo that goes with it, a file of `plans/`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memo: Option<String>,
}

/// What a root keeps; each list is sorted and has everything once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keeps {
    pub trees: Vec<Id>,
    /// Build keys of layers.
    pub layers: Vec<Id>,
    pub archives: Vec<Id>,
}

impl Keeps {
    pub fn add_tree(&mut self, tree: &TreeHash) {
        self.trees.push(*tree.as_bytes());
    }

    pub fn add_layer(&mut self, key: &BuildKey) {
        self.layers.push(*key.as_bytes());
    }

    pub fn add_archive(&mut self, name: &Checksum) {
        self.archives.push(name.id());
    }

    /// Adds everything of `other`.
    pub fn add_all(&mut self, other: &Self) {
        self.trees.extend(&other.trees);
        self.layers.extend(&other.layers);
        self.archives.extend(&other.archives);
    }

    /// Sorts the lists. What is sorted already, or in long runs, takes no time.
    #[expect(clippy::stable_sort_primitive, reason = "the stable sort merges runs that are there")]
    pub fn finish(&mut self) {
        for list in [&mut self.trees, &mut self.layers, &mut self.archives] {
            list.sort();
            list.dedup();
        }
    }

    /// What `other` does not list of this; both are sorted.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self {
            trees: difference(&self.trees, &other.trees),
            layers: difference(&self.layers, &other.layers),
            archives: difference(&self.archives, &other.archives),
        }
    }

    /// How many things it lists.
    pub fn len(&self) -> usize {
        self.trees.len() + self.layers.len() + self.archives.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is in `list` and not in `other`, in one walk along both: they are sorted.
fn difference(list: &[Id], other: &[Id]) -> Vec<Id> {
    let mut other = other.iter().peekable();
    let is_left = |id: &&Id| {
        while other.next_if(|next| next < id).is_some() {}
        other.peek() != Some(id)
    };
    list.iter().filter(is_left).copied().collect()
}

/// A root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    pub about: About,
    pub keeps: Keeps,
}

/// Why a root does not say what it keeps.
#[derive(Debug, Error)]
pub enum RootError {
    /// It is cut off, or its bytes were changed, or it is something else.
    #[error("it is damaged or no root at all")]
    Damaged,
    /// A later version made it.
    #[error("a later version of jtwbuild made it")]
    Newer,
    /// It is a link to something that may or may not be in this store.
    #[error("it is a link to `{}`, which is no tree, layer or archive of this store", .0.display())]
    Link(PathBuf),
    /// It is a directory, a device …
    #[error("it is not a file")]
    NotAFile,
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(StoreError),
}

/// The line of JSON.
#[derive(Serialize, Deserialize)]
struct Head {
    #[serde(flatten)]
    about: About,
    trees: usize,
    layers: usize,
    archives: usize,
}

impl Root {
    fn write(&self) -> Vec<u8> {
        let Keeps { trees, layers, archives } = &self.keeps;
        let about = self.about.clone();
        let head = Head { about, trees: trees.len(), layers: layers.len(), archives: archives.len() };
        let mut bytes = MAGIC.to_vec();
        bytes.reserve(self.keeps.len() * 32 + 1024);
        serde_json::to_writer(&mut bytes, &head).expect("a head has only text keys, and paths are text");
        bytes.push(b'\n');
        for list in [trees, layers, archives] {
            bytes.extend(list.as_flattened());
        }
        let check = *blake3::hash(&bytes).as_bytes();
        bytes.extend(check);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Self, RootError> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            let is_newer = bytes.starts_with(&MAGIC[..MAGIC.len() - 2]);
            return Err(if is_newer { RootError::Newer } else { RootError::Damaged });
        };
        let (content, check) = bytes.split_last_chunk::<CHECK>().ok_or(RootError::Damaged)?;
        if *blake3::hash(content).as_bytes() != *check {
            return Err(RootError::Damaged);
        }
        let rest = &rest[..rest.len() - CHECK];
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(RootError::Damaged)?;
        let head: Head = serde_json::from_slice(&rest[..end]).map_err(|_| RootError::Damaged)?;
        let (ids, []) = rest[end + 1..].as_chunks::<32>() else { return Err(RootError::Damaged) };
        let (trees, ids) = ids.split_at_checked(head.trees).ok_or(RootError::Damaged)?;
        let (layers, archives) = ids.split_at_checked(head.layers).ok_or(RootError::Damaged)?;
        if archives.len() != head.archives {
            return Err(RootError::Damaged);
        }
        let keeps = Keeps { trees: trees.to_vec(), layers: layers.to_vec(), archives: archives.to_vec() };
        Ok(Self { about: head.about, keeps })
    }
}

/// The time now, in seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Store {
    fn roots(&self) -> PathBuf {
        self.root().join("roots")
    }

    /// While the result is held, nobody writes a root.
    pub(super) fn lock_roots(&self) -> Result<RangeLock, StoreError> {
        disk::lock(&self.root().join("locks/store"), ROOTS, Sharing::Exclusive)
    }

    /// Makes a root, or makes it keep something else. Nothing is written when it says so already.
    ///
    /// What it lists must be held by this process ([`Store::hold`]), or be kept by the root that it
    /// replaces: else it may be gone already. What it lets go of counts as used until now.
    pub fn register(&self, name: &RootName, root: &Root) -> Result<(), StoreError> {
        let path = self.roots().join(name.as_str());
        let before = self.root_named(name.as_str()).ok().flatten();
        let mut root = root.clone();
        if let Some(before) = &before {
            root.about.since = before.about.since;
            if root == *before {
                return Ok(());
            }
        }
        let _lock = self.lock_roots()?;
        if let Some(before) = &before {
            self.let_go(&before.keeps, &root.keeps);
        }
        self.write_whole(&path, &root.write())
    }

    /// The root of that name, if there is one.
    pub fn root_named(&self, name: &str) -> Result<Option<Root>, RootError> {
        let path = self.roots().join(name);
        match look::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(RootError::Unreadable(StoreError::Io { operation: "read", path, source }));
            }
            Ok(metadata) if metadata.is_symlink() => return self.linked_root(&path).map(Some),
            Ok(metadata) if !metadata.is_file() => return Err(RootError::NotAFile),
            Ok(_) => {}
        }
        let bytes = disk::read_if_present(&path).map_err(RootError::Unreadable)?;
        bytes.map(|bytes| Root::read(&bytes)).transpose()
    }

    /// What the root of that name says of itself, if it is whole as far as its length tells: for those
    /// who have no time to read it.
    pub fn about_root(&self, name: &RootName) -> Option<About> {
        let file = disk::open_itself(&self.roots().join(name.as_str())).ok()?;
        let mut start = Vec::with_capacity(1024);
        let mut reader = BufReader::with_capacity(1024, &file).take(64 * 1024);
        for _ in 0..2 {
            reader.read_until(b'\n', &mut start).ok()?;
        }
        let line = start.strip_prefix(MAGIC)?.strip_suffix(b"\n")?;
        let head: Head = serde_json::from_slice(line).ok()?;
        let things = head.trees.checked_add(head.layers)?.checked_add(head.archives)?;
        let length = things.checked_mul(32)?.checked_add(start.len() + CHECK)?;
        (file.metadata().ok()?.len() == length as u64).then_some(head.about)
    }

    /// A link to a tree, a layer or an archive is a root that a user made with `ln -s`. Only its text
    /// is looked at: nothing is followed.
    fn linked_root(&self, path: &Path) -> Result<Root, RootError> {
        let target = disk::read_link(path).map_err(RootError::Unreadable)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        let keeps = self.thing_at(&parent.join(&target)).ok_or_else(|| RootError::Link(target.clone()))?;
        let label = format!("a link to {}", target.display());
        let about = About { label, made_by: Maker::User, since: 0, universe: None, site: None, memo: None };
        Ok(Root { about, keeps })
    }

    /// The tree, layer or archive of this store that a path names, judged by the path alone.
    pub fn thing_at(&self, path: &Path) -> Option<Keeps> {
        let plain = |path: &Path| {
            let mut plain = PathBuf::new();
            for part in std::path::absolute(path).ok()?.components() {
                match part {
                    std::path::Component::ParentDir => drop(plain.pop()),
                    part => plain.push(part),
                }
            }
            Some(plain)
        };
        let below = plain(path)?;
        let below = below.strip_prefix(plain(self.root())?).ok()?;
        let names: Vec<&str> = below.iter().map(|name| name.to_str()).collect::<Option<_>>()?;
        let mut keeps = Keeps::default();
        match names.as_slice() {
            ["trees", tree] => keeps.add_tree(&TreeHash::from_hex(tree)?),
            ["layers", layer] => keeps.add_layer(&BuildKey::from_hex(layer.rsplit_once('-')?.1)?),
            ["archives", kind, _, archive] => keeps.add_archive(&Checksum::from_hex(kind, archive)?),
            _ => return None,
        }
        Some(keeps)
    }

    /// The names of everything below `roots/`, in order.
    pub fn root_names(&self) -> Result<Vec<std::ffi::OsString>, StoreError> {
        let mut names: Vec<_> =
            disk::list(&self.roots())?.into_iter().map(|entry| entry.file_name()).collect();
        names.sort();
        Ok(names)
    }

    /// Removes a root, whatever it is (a directory only if it is empty). `false`: there is none.
    pub fn remove_root(&self, name: &str) -> Result<bool, StoreError> {
        let path = self.roots().join(name);
        let is_name = Path::new(name).components().count() == 1 && Path::new(name).file_name().is_some();
        if !is_name || !disk::exists(&path) {
            return Ok(false);
        }
        let _lock = self.lock_roots()?;
        if let Ok(Some(root)) = self.root_named(name) {
            self.let_go(&root.keeps, &Keeps::default());
        }
        let is_directory = look::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
        if is_directory {
            disk::remove_tree(&path)?;
        } else {
            disk::remove_file(&path)?;
        }
        Ok(true)
    }

    /// What `before` keeps and `after` does not counts as used now: `--keep-days` goes by that.
    fn let_go(&self, before: &Keeps, after: &Keeps) {
        let dropped = before.without(after);
        // Best effort: what cannot be marked is collected earlier.
        for tree in dropped.trees {
            let _ = disk::touch(&self.tree_path(&TreeHash::from_bytes(tree)));
        }
        for archive in dropped.archives {
            let _ = self.archive_of(&archive).and_then(|path| disk::touch(&path));
        }
    }

    /// Where the archive that a root knows by `id` is: an id does not tell of which kind it is.
    fn archive_of(&self, id: &Id) -> Result<PathBuf, StoreError> {
        let path = self.archive_path(&Sha256::from_bytes(*id).into());
        if disk::exists(&path) {
            return Ok(path);
        }
        let hex = Sha256::from_bytes(*id).to_hex();
        for kind in KINDS {
            let shard = self.root().join("archives").join(kind).join(&hex[..2]);
            if !disk::exists(&shard) {
                continue;
            }
            let names =
                disk::list(&shard)?.into_iter().filter_map(|entry| entry.file_name().into_string().ok());
            let found = names.filter_map(|name| Checksum::from_hex(kind, &name)).find(|sum| sum.id() == *id);
            if let Some(sum) = found {
                return Ok(self.archive_path(&sum));
            }
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests;
