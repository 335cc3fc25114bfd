//! Opam repositories: from where the user says they are to an index for the solver, and to single
//! opam files for those who build.
//!
//! ```text
//! directory ── followed: looked at, read again when something changed ──┐
//! archive ──┐                                                           ├─► table + contents ─► Index
//! git ──────┴─► packed: two files in the store, named by what they hold ┘
//! ```
//!
//! Whatever a repository was read from, its content has one name, a [`Pin`], which a lock keeps.
//! Pinned archives and git repositories come from the store without a look at where they came from.

mod built_in;
mod content;
mod directory;
mod import;
mod loaded;
mod memo;
mod open;
mod table;
mod trouble;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use self::loaded::{Loaded, Repository};
use self::table::Entry;
use crate::diagnostic::{SourceError, SourceFile};
use crate::fetch::{Fetcher, Progress};
use crate::name::PackageName;
use crate::opam::place::{Pin, Place};
use crate::opam::{self, Platform};
use crate::package::index::Index;
use crate::store::tree::RelPath;
use crate::store::{Store, StoreError};
use crate::version::Version;

pub use self::trouble::RepositoryError;

/// What opening repositories may use.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    pub store: &'a Arc<Store>,
    /// Says whether the run is offline, and downloads archives.
    pub fetcher: &'a Fetcher,
    /// Told of downloads of archives.
    pub progress: Progress<'a>,
    /// Set from another thread, it ends what is under way with [`RepositoryError::Stopped`].
    pub stop: &'a AtomicBool,
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
    store: Arc<Store>,
}

/// What the solver works on.
#[derive(Debug)]
pub struct Indexed {
    pub index: Index,
    /// Opam files that cannot be read. Their versions are not in the index.
    pub broken: Vec<SourceError>,
}

impl Repositories {
    /// Opens repositories. `pin` is what a lock says of each: without one, a git repository is asked
    /// for its newest commit and an archive is read anew, which is what `update` wants.
    ///
    /// A directory is never pinned: compare [`Repositories::pins`] with the lock to know whether it
    /// changed. Trees of all pins belong into the root of the run, or the collector takes them.
    pub fn open(asked: &[(Place, Option<Pin>)], ground: Ground<'_>) -> Result<Self, RepositoryError> {
        let mut opened = Self { list: Vec::new(), notices: Vec::new(), store: Arc::clone(ground.store) };
        for (place, pin) in asked {
            let repository = opened.open_one(place, pin.as_ref(), ground)?;
            opened.list.push(repository);
        }
        Ok(opened)
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

    /// All versions of all packages, for a platform: remembered in the store, or read.
    pub fn index(&self, platform: &Platform) -> Result<Indexed, RepositoryError> {
        let pins: Vec<&Pin> = self.list.iter().map(|repository| &repository.pin).collect();
        let name = memo::index_name(&pins, platform);
        let known = memo::read_index(&self.store, &name).and_then(|bytes| Index::decode(&bytes));
        if let Some(index) = known {
            return Ok(Indexed { index, broken: Vec::new() });
        }
        let indexed = self.read_index(platform)?;
        // What is broken is told in every run.
        if indexed.broken.is_empty() {
            memo::write_index(&self.store, &name, &indexed.index.encode());
        }
        Ok(indexed)
    }

    fn read_index(&self, platform: &Platform) -> Result<Indexed, RepositoryError> {
        let loaded = self.list.iter().map(Repository::load_whole).collect::<Result<Vec<_>, _>>()?;
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
        Ok(Indexed { index: Index::new(&entries)?, broken })
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

#[cfg(test)]
mod tests;
