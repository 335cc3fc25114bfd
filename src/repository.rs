//! Opam repositories: from where the user says they are to an index for the solver, and to single
//! opam files for those who build.
//!
//! ```text
//! directory ── followed: looked at, read again when something changed ──┐
//! archive ──┐                                                           ├─► Table + contents ─► Index
//! git ──────┴─► packed: two files in the store, named by what they hold ┘
//! ```
//!
//! Whatever a repository was read from, its content has one name, a [`Pin`], which a lock keeps.
//! Pinned archives and git repositories come from the store without a look at where they came from.

mod built_in;
mod content;
#[allow(dead_code, reason = "the memo of directories comes next")]
mod directory;
#[allow(dead_code, reason = "packed repositories come next")]
mod table;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use thiserror::Error;

use self::content::{Content, first_of};
use self::table::{Entry, Table};
use crate::diagnostic::{SourceError, SourceFile};
use crate::fetch::Fetcher;
use crate::name::PackageName;
use crate::opam::place::{Kind, Pin, Place};
use crate::opam::{self, Platform};
use crate::package::index::{self, Index, TooManyVersions};
use crate::store::tree::{self, BlobHash, Node, RelPath, Tree};
use crate::store::{Store, StoreError};
use crate::version::Version;

/// What opening repositories may use.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    pub store: &'a Arc<Store>,
    pub fetcher: &'a Fetcher,
    /// Set from another thread, it ends what is under way with [`RepositoryError::Stopped`].
    pub stop: &'a AtomicBool,
}

/// Why repositories cannot be used.
#[derive(Debug, Error)]
pub enum RepositoryError {
    /// There is no `packages/` there.
    #[error("`{place}` is not an opam repository: {reason}")]
    NotARepository { place: String, reason: String },
    /// It holds names that are made to be taken for something else.
    #[error("`{place}` holds names that no package has:\n  {}", names.join("\n  "))]
    Names { place: String, names: Vec<String> },
    #[error("`{place}`: {path}: {source}")]
    Io { place: String, path: String, source: std::io::Error },
    /// Together its files are larger than any repository.
    #[error("`{place}` is too large for an opam repository")]
    TooLarge { place: String },
    /// A file is not what it was when the repository was read.
    #[error("`{place}` changed while it was used: {path}")]
    Changed { place: String, path: String },
    #[error(transparent)]
    TooManyVersions(#[from] TooManyVersions),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it was stopped")]
    Stopped,
}

/// A file beside an opam file, in `files/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// Below `files/`.
    pub path: RelPath,
    pub executable: bool,
    pub bytes: Vec<u8>,
}

/// Opened repositories, in the order in which they are asked: of several that have a version of a
/// package, the first counts.
#[derive(Debug)]
pub struct Repositories {
    list: Vec<Repository>,
    notices: Vec<String>,
}

/// What the solver works on.
#[derive(Debug)]
pub struct Indexed {
    pub index: Index,
    /// Opam files that cannot be read. Their versions are not in the index.
    pub broken: Vec<SourceError>,
}

#[derive(Debug)]
struct Repository {
    place: Place,
    pin: Pin,
    /// Read when it is first needed.
    loaded: Mutex<Option<Arc<Loaded>>>,
}

#[derive(Debug)]
struct Loaded {
    table: Table,
    bytes: Bytes,
}

/// Where the bytes of the files are.
#[derive(Debug)]
enum Bytes {
    /// All of them, one behind the other.
    Memory(Vec<u8>),
    /// Files of this machine below this directory.
    #[allow(dead_code, reason = "the memo of directories comes next")]
    Below(PathBuf),
}

impl Repositories {
    /// Opens repositories. `pin` is what a lock says of each: without one, a git repository is asked
    /// for its newest commit and an archive is read anew.
    ///
    /// What is there then may differ from what was pinned, if it is a directory: compare
    /// [`Repositories::pins`] with the lock.
    pub fn open(asked: &[(Place, Option<Pin>)], ground: Ground<'_>) -> Result<Self, RepositoryError> {
        let mut opened = Self { list: Vec::with_capacity(asked.len()), notices: Vec::new() };
        for (place, _pin) in asked {
            let repository = match &place.kind {
                Kind::Directory(path) => opened.open_directory(place, path, ground)?,
                Kind::Archive(_) | Kind::Download(_) | Kind::Git { .. } => {
                    return Err(RepositoryError::NotARepository {
                        place: place.written.clone(),
                        reason: "this kind of place is not supported yet".into(),
                    });
                }
            };
            opened.list.push(repository);
        }
        Ok(opened)
    }

    fn open_directory(
        &mut self,
        place: &Place,
        path: &Path,
        _ground: Ground<'_>,
    ) -> Result<Repository, RepositoryError> {
        let reading = directory::read(path).map_err(|trouble| directory_trouble(place, trouble))?;
        let (table, contents) = self.take_in(place, reading.content)?;
        let pin = Pin { commit: None, tree: packed(&table, &contents).hash() };
        let loaded = Loaded { table, bytes: Bytes::Memory(contents) };
        Ok(Repository { place: place.clone(), pin, loaded: Mutex::new(Some(Arc::new(loaded))) })
    }

    /// Checks what was read and puts its bytes together.
    fn take_in(&mut self, place: &Place, mut content: Content) -> Result<(Table, Vec<u8>), RepositoryError> {
        if !content.oddities.refused.is_empty() {
            let names = first_of(&content.oddities.refused);
            return Err(RepositoryError::Names { place: place.written.clone(), names });
        }
        content.note_twins();
        let notices = first_of(&content.oddities.ignored);
        self.notices.extend(notices.into_iter().map(|notice| format!("{place}: {notice}")));
        let table = Table::of(&content.members);
        let mut contents = Vec::with_capacity(usize::try_from(table.length()).unwrap_or_default());
        content.members.iter().for_each(|member| contents.extend(&member.bytes));
        Ok((table, contents))
    }

    /// What each repository holds now, for the lock, in order.
    pub fn pins(&self) -> Vec<Pin> {
        self.list.iter().map(|repository| repository.pin.clone()).collect()
    }

    /// What was left out while repositories were read, one sentence each. Repositories that come from
    /// the store say this only when they enter it.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// All versions of all packages, for a platform.
    pub fn index(&self, platform: &Platform) -> Result<Indexed, RepositoryError> {
        let loaded = self.list.iter().map(Repository::load).collect::<Result<Vec<_>, _>>()?;
        let mut seen: HashSet<(&str, &str)> = HashSet::new();
        let mut wanted = Vec::new();
        for (repository, loaded) in self.list.iter().zip(&loaded) {
            let files = loaded.table.opam_files();
            let news = files.filter(|(name, version, _)| seen.insert((name, version)));
            wanted.extend(news.map(|(name, version, entry)| (repository, loaded, name, version, entry)));
        }
        let read: Vec<_> = wanted
            .par_iter()
            .map(|(repository, loaded, name, version, entry)| {
                let file = repository.source(loaded, entry)?;
                Ok(opam::entry(name, version, &file, platform))
            })
            .collect::<Result<_, RepositoryError>>()?;
        let (mut entries, mut broken) = (Vec::with_capacity(read.len()), Vec::new());
        for one in read {
            match one {
                Ok(entry) => entries.push(entry),
                Err(error) => broken.push(error),
            }
        }
        Ok(Indexed { index: index::Index::new(&entries)?, broken })
    }

    /// The opam file of a version of a package, from the first repository that has it.
    pub fn file(&self, name: &PackageName, version: &Version) -> Result<Option<SourceFile>, RepositoryError> {
        self.first(name, version, Repository::source)
    }

    /// The files that lie beside the opam file in `files/`, by path; of the same repository.
    pub fn files(&self, name: &PackageName, version: &Version) -> Result<Vec<Extra>, RepositoryError> {
        let prefix = format!("packages/{name}/{name}.{}/files/", version.as_str());
        let files = self.first(name, version, |repository, loaded, _| {
            let entries = loaded.table.below(&prefix);
            let extra = entries.map(|entry| {
                let path = RelPath::parse(&entry.path[prefix.len()..]);
                let path =
                    path.map_err(|source| StoreError::Tree { path: entry.path.to_string(), source })?;
                let bytes = repository.read(loaded, entry)?;
                Ok(Extra { path, executable: entry.executable, bytes })
            });
            extra.collect()
        });
        files.map(Option::unwrap_or_default)
    }

    /// What the first repository says that has an opam file of this version.
    fn first<T>(
        &self,
        name: &PackageName,
        version: &Version,
        say: impl Fn(&Repository, &Loaded, &Entry) -> Result<T, RepositoryError>,
    ) -> Result<Option<T>, RepositoryError> {
        let path = format!("packages/{name}/{name}.{}/opam", version.as_str());
        for repository in &self.list {
            let loaded = repository.load()?;
            if let Some(entry) = loaded.table.find(&path) {
                return say(repository, &loaded, entry).map(Some);
            }
        }
        Ok(None)
    }
}

impl Loaded {
    /// The bytes of a file, if they are in memory.
    fn slice(&self, entry: &Entry) -> Option<&[u8]> {
        let Bytes::Memory(bytes) = &self.bytes else { return None };
        let start = usize::try_from(entry.offset).ok()?;
        bytes.get(start..start.checked_add(entry.length)?)
    }
}

impl Repository {
    fn load(&self) -> Result<Arc<Loaded>, RepositoryError> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.clone().ok_or_else(|| RepositoryError::NotARepository {
            place: self.place.written.clone(),
            reason: "it was not read".into(),
        })
    }

    /// The bytes of one of its files, which are as they were when the table was made.
    fn read(&self, loaded: &Loaded, entry: &Entry) -> Result<Vec<u8>, RepositoryError> {
        match &loaded.bytes {
            Bytes::Memory(_) => Ok(loaded.slice(entry).unwrap_or_default().to_vec()),
            Bytes::Below(root) => {
                let path = root.join(&*entry.path);
                std::fs::read(path).ok().filter(|bytes| entry.is(bytes)).ok_or_else(|| self.changed(entry))
            }
        }
    }

    fn changed(&self, entry: &Entry) -> RepositoryError {
        RepositoryError::Changed { place: self.place.written.clone(), path: entry.path.to_string() }
    }

    /// An opam file under the name that messages have for it. Bytes that are not UTF-8 become `�`: in
    /// comments and descriptions they do no harm.
    fn source(&self, loaded: &Loaded, entry: &Entry) -> Result<SourceFile, RepositoryError> {
        let name = format!("{}: {}", self.place, entry.path);
        if let Some(bytes) = loaded.slice(entry) {
            return Ok(SourceFile::new(name, &String::from_utf8_lossy(bytes)));
        }
        let bytes = self.read(loaded, entry)?;
        Ok(SourceFile::new(name, &String::from_utf8_lossy(&bytes)))
    }
}

/// The tree of a packed repository.
fn packed(table: &Table, contents: &[u8]) -> Tree {
    let file = |bytes: &[u8]| {
        let blob = BlobHash::from_bytes(*blake3::Hasher::new().update_rayon(bytes).finalize().as_bytes());
        Node::File(tree::File { blob, size: bytes.len() as u64, executable: false })
    };
    pack_of(file(&table.encode()), file(contents))
}

fn pack_of(table: Node, contents: Node) -> Tree {
    let mut tree = Tree::default();
    for (name, node) in [("table", table), ("contents", contents)] {
        let path = RelPath::parse(name).expect("it is a path");
        tree.insert(&path, node).expect("they are two different files");
    }
    tree
}

fn directory_trouble(place: &Place, trouble: directory::Trouble) -> RepositoryError {
    let place = place.written.clone();
    match trouble {
        directory::Trouble::NoPackages => {
            let reason = "there is no directory `packages` in it".into();
            RepositoryError::NotARepository { place, reason }
        }
        directory::Trouble::Io { path, source } => RepositoryError::Io { place, path, source },
        directory::Trouble::TooLarge => RepositoryError::TooLarge { place },
    }
}

#[cfg(test)]
mod tests;
