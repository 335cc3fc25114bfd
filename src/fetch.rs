//! Fixed outputs: files known by their checksum, from wherever they may be had.
//!
//! ```text
//! Archive ──► store's archives (hashed again on every read)
//!               │ missing or damaged
//!               ▼
//!             archive mirrors, the document's places, the Debian archive (order: see `search`)
//!               │ private temporary file, hashed while it is written
//!               ▼
//!             checksum right ──► flushed, renamed into the store's archives
//!             checksum wrong ──► kept in the store's quarantine, for people to look at
//! ```
//!
//! [`archive`] turns such files into trees; [`debian`] finds what a suite holds, [`deb`] makes a
//! root file system of it.

pub mod archive;
pub mod deb;
pub mod debian;
pub mod git;
pub mod glob;
mod http;
mod landing;
pub mod mirror;
mod origins;
mod search;
pub mod selection;
pub mod signature;
#[cfg(test)]
pub(crate) mod tests;
mod unpinned;
mod url;
pub mod version;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use self::debian::catalogue::Catalogue;
pub use self::http::Limits;
use self::http::{Client, Trouble};
use self::landing::stored;
use self::mirror::{Located, Mirror, MirrorError};
use self::origins::Origins;
pub use self::origins::{Giver, Provenance};
use self::search::Search;
use crate::outcome::Failure;
use crate::source::Archive;
use crate::store::{Store, StoreError};

/// How things are fetched.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// URL or directory of a Debian mirror; else see [`mirror::Mirror::find`].
    pub mirror: Option<String>,
    /// Never use the network. What is in the store or on this machine can still be had.
    pub offline: bool,
    /// Caches of archives in the layout of opam's (`<kind>/<first two digits>/<digits>`): URLs or
    /// paths, in the order in which they are asked.
    pub archive_mirrors: Vec<String>,
    /// Suites of the Debian mirror whose source archives are looked through for an archive; none:
    /// only those that a document names are used. See [`debian::catalogue::SUITES`].
    pub source_suites: Vec<String>,
    /// Files with more `OpenPGP` keys to trust for the suites of a mirror.
    pub keyrings: Vec<PathBuf>,
    /// What to do with a suite that is past its `Valid-Until`.
    pub expired: Expired,
    pub limits: Limits,
}

/// What to do with a suite whose release file is past its `Valid-Until`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expired {
    /// An error.
    Refuse,
    /// Take it with a notice: signature and checksums are verified all the same.
    #[default]
    Warn,
}

/// Fetches files. One for a whole run, shared by all threads.
#[derive(Debug)]
pub struct Fetcher {
    settings: Settings,
    client: Client,
    mirror: OnceLock<Result<Mirror, MirrorError>>,
    origins: Origins,
    catalogue: Catalogue,
}

/// Called with bytes done so far and bytes in all, when they are known.
pub type Progress<'a> = &'a (dyn Fn(u64, Option<u64>) + Sync);

impl Fetcher {
    /// Makes a fetcher; nothing is connected or looked up yet.
    pub fn new(settings: Settings) -> Self {
        let client = Client::new(settings.limits);
        Self {
            settings,
            client,
            mirror: OnceLock::new(),
            origins: Origins::default(),
            catalogue: Catalogue::default(),
        }
    }

    /// Who gave wrong bytes so far, one line for each.
    pub fn notices(&self) -> Vec<String> {
        self.origins.notices()
    }

    /// The Debian mirror in force.
    pub fn mirror(&self) -> Result<&Mirror, MirrorError> {
        let found = self.mirror.get_or_init(|| Mirror::find(self.settings.mirror.as_deref()));
        found.as_ref().map_err(MirrorError::clone)
    }

    /// The path of the archive in `store`, fetched if it is not there. May be called from several threads.
    ///
    /// Nothing is published that has not the right checksum. If every place fails, the failure is
    /// [`Failure::HashMismatch`] only when all places were asked and none may do better later: it
    /// is remembered as a verdict. Else it is [`Failure::Offline`] or [`Failure::FetchFailed`].
    pub fn fetch(
        &self,
        store: &Store,
        archive: &Archive,
        progress: Progress,
        stop: &AtomicBool,
    ) -> Result<PathBuf, Failure> {
        self.fetch_within(store, archive, self.settings.limits.bytes, progress, stop)
    }

    /// [`Fetcher::fetch`] for a file that is at most `max` bytes long.
    pub(crate) fn fetch_within(
        &self,
        store: &Store,
        archive: &Archive,
        max: u64,
        progress: Progress,
        stop: &AtomicBool,
    ) -> Result<PathBuf, Failure> {
        let name = archive.checksums.name();
        store.hold(&name.id()).map_err(|error| machine(&error))?;
        let target = store.archive_path(&name);
        let there = stored(&target, &archive.checksums)?;
        // Bytes that came from elsewhere say nothing of a place that is new: it is asked once.
        if let Some(size) = there.filter(|_| self.settings.offline || origins::is_known(store, archive)) {
            progress(size, Some(size));
            return Ok(target);
        }
        let is_there = there.is_some();
        Search { fetcher: self, store, archive, target: &target, max, progress, stop }.run(is_there)?;
        Ok(target)
    }

    /// Reads a file of the mirror whole, at most `max` bytes: indexes, whose checksums the caller
    /// knows. Gives the place that was asked along with its trouble.
    fn read_mirror(&self, path: &str, max: u64, stop: &AtomicBool) -> Result<(String, Vec<u8>), MirrorRead> {
        let located = self.mirror().and_then(|mirror| mirror.locate(path)).map_err(MirrorRead::Mirror)?;
        let url = show(&located);
        if self.needs_network(&located) {
            return Err(MirrorRead::Offline { url });
        }
        let mut bytes = Vec::new();
        let done = match &located {
            Located::Url(url) => self.client.download(url, max, stop, &mut bytes),
            Located::File(path) => http::copy(path, max, stop, &mut bytes),
        };
        match done {
            Ok(()) => Ok((url, bytes)),
            Err(trouble) => Err(MirrorRead::Trouble { url, trouble }),
        }
    }

    fn needs_network(&self, located: &Located) -> bool {
        self.settings.offline && matches!(located, Located::Url(url) if !url.starts_with("file:"))
    }
}

/// Why a file of a mirror could not be read.
enum MirrorRead {
    Mirror(MirrorError),
    Offline { url: String },
    Trouble { url: String, trouble: Trouble },
}

fn show(located: &Located) -> String {
    match located {
        Located::Url(url) => url.clone(),
        Located::File(path) => path.display().to_string(),
    }
}

/// Trouble of the store as a failure of the node.
fn machine(error: &StoreError) -> Failure {
    match error {
        StoreError::Io { operation, path, source } => io_failure(operation, path, source),
        StoreError::NoSpace { .. } => Failure::NoSpace { what: error.to_string() },
        other => Failure::Machine { what: "the store".into(), reason: other.to_string() },
    }
}

/// Trouble with a file of this machine; a full disk has a failure of its own.
fn io_failure(operation: &str, path: &Path, error: &io::Error) -> Failure {
    let what = format!("{operation} `{}`", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Failure::NoSpace { what }
        }
        _ => Failure::Machine { what, reason: error.to_string() },
    }
}
