//! Reading an installed OCaml, and remembering what was looked at: a later run that finds all of it
//! unchanged has nothing to do.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::SwitchError;
use crate::look::{Look, is_settled, look};

/// Every file and directory that a run asked for, and how it looked; `None` where nothing was.
pub(super) type Looks = BTreeMap<PathBuf, Option<Look>>;

/// The file system as one run sees it.
pub(super) struct Looked {
    /// When the run began: what changed after that may be read in two states.
    since: SystemTime,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    looks: Looks,
    is_unsettled: bool,
}

impl Looked {
    pub(super) fn new() -> Self {
        Self { since: SystemTime::now(), seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is at `path`, links followed.
    pub(super) fn at(&self, path: &Path) -> Option<Metadata> {
        let metadata = fs::metadata(path).ok();
        let mut seen = self.seen();
        seen.is_unsettled |= metadata.as_ref().is_some_and(|metadata| !is_settled(metadata, self.since));
        seen.looks.insert(path.to_owned(), metadata.as_ref().map(look));
        metadata
    }

    pub(super) fn is_file(&self, path: &Path) -> bool {
        self.at(path).is_some_and(|metadata| metadata.is_file())
    }

    pub(super) fn is_directory(&self, path: &Path) -> bool {
        self.at(path).is_some_and(|metadata| metadata.is_dir())
    }

    /// The bytes of a file.
    pub(super) fn read(&self, path: &Path) -> Result<Vec<u8>, SwitchError> {
        self.at(path);
        fs::read(path).map_err(|source| SwitchError::io("read", path, source))
    }

    /// The names in a directory that are UTF-8, sorted; none when there is no such directory.
    pub(super) fn names(&self, path: &Path) -> Result<Vec<String>, SwitchError> {
        self.at(path);
        let failed = |source| SwitchError::io("list", path, source);
        let entries = match fs::read_dir(path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            other => other.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry.map_err(failed)?.file_name().into_string().ok());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Everything that was looked at; `None` when something of it changed while the run went on.
    pub(super) fn into_looks(self) -> Option<Looks> {
        let seen = self.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        (!seen.is_unsettled).then_some(seen.looks)
    }
}

/// Whether `path` looks as it did.
pub(super) fn looks_like(path: &Path, known: Option<&Look>) -> bool {
    match (fs::metadata(path), known) {
        (Ok(metadata), Some(known)) => look(&metadata) == *known,
        (Err(error), None) => {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        }
        _ => false,
    }
}
