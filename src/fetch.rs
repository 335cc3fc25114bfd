//! Fixed outputs: files known by their checksum, from wherever they may be had.
//!
//! ```text
//! Archive ──► store's archives (hashed again on every read)
//!               │ missing or damaged
//!               ▼
//!             places in order: URL, Debian source archive, mirror path, local path
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
pub mod mirror;
mod origins;
pub mod selection;
pub mod signature;
#[cfg(test)]
mod tests;
mod unpinned;
mod url;
pub mod version;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

pub use self::http::Limits;
use self::http::{Client, Sink, Trouble};
use self::mirror::{Located, Mirror, MirrorError};
use self::origins::Origins;
use crate::outcome::Failure;
use crate::source::checksum::{Digests, Hashing};
use crate::source::{Archive, Checksum, Checksums, Place};
use crate::store::{Store, StoreError};

/// How things are fetched.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// URL or directory of a Debian mirror; else see [`mirror::Mirror::find`].
    pub mirror: Option<String>,
    /// Never use the network. What is in the store or on this machine can still be had.
    pub offline: bool,
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
}

/// Called with bytes done so far and bytes in all, when they are known.
pub type Progress<'a> = &'a (dyn Fn(u64, Option<u64>) + Sync);

/// What one place gave.
enum Miss {
    /// Other bytes than wanted.
    Mismatch { url: String, expected: String, got: String, size: u64, kept: Option<String> },
    /// Nothing, for a reason that may pass.
    Transient(String),
    /// Nothing, and it will not.
    Lasting(String),
    /// It was not asked: the run is offline.
    Offline,
    /// No other place would do better.
    Fatal(Failure),
}

impl Fetcher {
    /// Makes a fetcher; nothing is connected or looked up yet.
    pub fn new(settings: Settings) -> Self {
        let client = Client::new(settings.limits);
        Self { settings, client, mirror: OnceLock::new(), origins: Origins::default() }
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
        if let Some(size) = stored(&target, &archive.checksums)? {
            // Bytes that came from elsewhere say nothing of a place that is new: it is asked once.
            if self.settings.offline || origins::is_known(store, archive) {
                progress(size, Some(size));
                return Ok(target);
            }
        }
        let (mut misses, mut wrong) = (Vec::new(), Vec::new());
        for (place, origin) in self.origins.in_order(&archive.places, self) {
            let get = |located: Result<Located, MirrorError>| match located {
                Ok(located) => self.get(store, &located, archive, &target, max, progress, stop),
                Err(error) => Err(Miss::Lasting(format!("{place}: {error}"))),
            };
            let got = match place {
                Place::Url(url) => get(Ok(Located::Url(url.clone()))),
                Place::Path(path) => get(Ok(Located::File(path.place()))),
                Place::Mirror(path) => get(self.mirror().and_then(|mirror| mirror.locate(path))),
                Place::Debian(file) => get(Mirror::source_path(file)
                    .and_then(|path| self.mirror().and_then(|mirror| mirror.locate(&path)))),
            };
            match got {
                Ok(()) => {
                    self.origins.distrust(wrong);
                    origins::remember(store, archive, place);
                    return Ok(target);
                }
                Err(Miss::Fatal(failure)) => return Err(failure),
                Err(miss) => {
                    if let (Miss::Mismatch { url, .. }, Some(origin)) = (&miss, origin) {
                        wrong.push((origin, url.clone()));
                    }
                    misses.push(miss);
                }
            }
        }
        Err(verdict(archive, misses))
    }

    /// Tries one place.
    #[expect(clippy::too_many_arguments, reason = "private, and all of them are one call's context")]
    fn get(
        &self,
        store: &Store,
        located: &Located,
        archive: &Archive,
        target: &Path,
        max: u64,
        progress: Progress,
        stop: &AtomicBool,
    ) -> Result<(), Miss> {
        if self.needs_network(located) {
            return Err(Miss::Offline);
        }
        let mut landing = Landing::new(store, &archive.checksums, progress)
            .map_err(|error| Miss::Fatal(machine(&error)))?;
        let done = match located {
            Located::Url(url) => self.client.download(url, max, stop, &mut landing),
            Located::File(path) => http::copy(path, max, stop, &mut landing),
        };
        let shown = show(located);
        match done {
            Ok(()) => {}
            Err(Trouble::Cancelled) => return Err(Miss::Fatal(Failure::Cancelled)),
            Err(Trouble::Write(error)) => {
                return Err(Miss::Fatal(io_failure("writing a download", &landing.path, &error)));
            }
            Err(trouble) if trouble.is_transient() => {
                return Err(Miss::Transient(format!("{shown}: {trouble}")));
            }
            Err(trouble) => return Err(Miss::Lasting(format!("{shown}: {trouble}"))),
        }
        let (digests, size) = landing.digests();
        if let Some((expected, got)) = archive.checksums.mismatch(&digests) {
            let kept = landing.keep(store, &digests);
            let (expected, got) = (written(&expected), written(&got));
            return Err(Miss::Mismatch { url: shown, expected, got, size, kept });
        }
        landing.publish(target).map_err(|error| Miss::Fatal(machine(&error)))
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

/// What all places together come to.
fn verdict(archive: &Archive, misses: Vec<Miss>) -> Failure {
    let what = match archive.places.first() {
        Some(place) => place.to_string(),
        None => {
            format!("the archive with {}, for which no place is known,", spoken(&archive.checksums.name()))
        }
    };
    if misses.iter().any(|miss| matches!(miss, Miss::Offline)) {
        return Failure::Offline { what };
    }
    let settled = !misses.iter().any(|miss| matches!(miss, Miss::Transient(_)));
    let mut tried = Vec::new();
    for miss in misses {
        match miss {
            Miss::Mismatch { url, expected, got, size, kept } if settled => {
                return Failure::HashMismatch { url, expected, got, size, kept };
            }
            Miss::Mismatch { url, expected, got, size, .. } => {
                tried.push(format!("{url}: wrong checksum {got} ({size} bytes), expected {expected}"));
            }
            Miss::Transient(reason) | Miss::Lasting(reason) => tried.push(reason),
            Miss::Offline | Miss::Fatal(_) => {}
        }
    }
    Failure::FetchFailed { what, tried }
}

/// A checksum as messages have it: the usual kind needs no name.
fn written(sum: &Checksum) -> String {
    match sum {
        Checksum::Sha256(sum) => sum.to_hex(),
        other => other.to_string(),
    }
}

fn spoken(sum: &Checksum) -> String {
    let kind = match sum {
        Checksum::Sha256(_) => "SHA-256",
        Checksum::Sha512(_) => "SHA-512",
        Checksum::Md5(_) => "MD5",
    };
    format!("{kind} {}", sum.to_hex())
}

/// The size of the stored archive, if it is there and its bytes are right. One whose bytes are not
/// those of its name is taken away: somebody has damaged or poisoned it. If they are, but are not
/// what another checksum says, no file can have both.
fn stored(path: &Path, expected: &Checksums) -> Result<Option<u64>, Failure> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_failure("opening an archive", path, &error)),
    };
    let read = |error| io_failure("reading an archive", path, &error);
    let mut hasher = Hashing::new(expected);
    let mut chunk = vec![0; 256 << 10];
    let mut size = 0;
    if file.metadata().map_err(read)?.is_file() {
        loop {
            match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => {
                    size += count as u64;
                    hasher.update(&chunk[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read(error)),
            }
        }
        match expected.mismatch(&hasher.finish()) {
            None => return Ok(Some(size)),
            Some((wrong, _)) if wrong == expected.name() => {}
            Some((wrong, got)) => {
                return Err(Failure::HashMismatch {
                    url: format!("the store's archive {}", expected.name()),
                    expected: written(&wrong),
                    got: written(&got),
                    size,
                    kept: None,
                });
            }
        }
    }
    match fs::remove_file(path) {
        // Another thread may have been faster.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_failure("removing a damaged archive", path, &error))
        }
        _ => Ok(None),
    }
}

/// A download on its way into the store's archives: a private file that is hashed while it is
/// written, and removed when dropped.
struct Landing<'a> {
    file: File,
    path: PathBuf,
    wanted: Checksums,
    hasher: Hashing,
    size: u64,
    total: Option<u64>,
    progress: Progress<'a>,
}

impl<'a> Landing<'a> {
    fn new(store: &Store, wanted: &Checksums, progress: Progress<'a>) -> Result<Self, StoreError> {
        let path = store.scratch_path("fetch")?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|source| StoreError::Io { operation: "create", path: path.clone(), source })?;
        Ok(Self { file, path, wanted: *wanted, hasher: Hashing::new(wanted), size: 0, total: None, progress })
    }

    fn digests(&self) -> (Digests, u64) {
        (self.hasher.clone().finish(), self.size)
    }

    /// Keeps bytes that nobody wanted for people to look at; where, from the store's root. That this
    /// fails changes nothing.
    fn keep(self, store: &Store, got: &Digests) -> Option<String> {
        let name = format!("download-{}", got.sha256);
        let kept = format!("quarantine/{name}");
        if !store.root().join(&kept).exists() {
            store.set_aside(&self.path, &name).ok()??;
        }
        Some(kept)
    }

    /// Flushes the file and gives it its name; then flushes the name.
    fn publish(self, target: &Path) -> Result<(), StoreError> {
        let io = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { operation, path, source }
        };
        self.file.sync_all().map_err(io("flush", &self.path))?;
        let directory = target.parent().unwrap_or(target);
        fs::create_dir_all(directory).map_err(io("create", directory))?;
        fs::rename(&self.path, target).map_err(io("publish", target))?;
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(io("flush", directory))
    }
}

impl Sink for Landing<'_> {
    fn start(&mut self, size: Option<u64>) -> io::Result<()> {
        use std::io::Seek;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.hasher = Hashing::new(&self.wanted);
        (self.size, self.total) = (0, size);
        (self.progress)(0, size);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        (self.progress)(self.size, self.total);
        Ok(())
    }
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove; else the store's cleaning gets it later.
        let _ = fs::remove_file(&self.path);
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
