//! From a suite's name to pinned packages: release file, index, closure.
//!
//! ```text
//! InRelease ──signature──► checksums ──► Packages.xz ──► closure of the named packages
//! ```

pub mod closure;
pub mod release;

use std::fmt;
use std::io::Read;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use sha2::{Digest, Sha256 as Hasher};
use thiserror::Error;

use self::closure::Index;
use self::release::Release;
use super::archive::{ArchiveError, decompress};
use super::http::Trouble;
use super::mirror::MirrorError;
use super::signature::{Keyring, SignatureError};
use super::{Expired, Fetcher, MirrorRead};
use crate::source::{PinnedDeb, Sha256};

/// Bytes of a release file and of an index, unpacked.
const MAX_RELEASE: u64 = 16 << 20;
const MAX_INDEX: u64 = 512 << 20;

/// Debian's name for this machine's architecture.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// What a base asks of a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseSpec {
    /// `forky`
    pub suite: String,
    /// `main`
    pub components: Vec<String>,
    /// Packages that must be there.
    pub packages: Vec<String>,
    /// Patterns of packages that dependencies do not bring in; packages named above stay.
    pub without: Vec<super::glob::Glob>,
    /// `amd64`
    pub arch: String,
}

/// What the suite gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The closure, sorted by name.
    pub debs: Vec<PinnedDeb>,
    /// `Date` of the release file, as it writes it.
    pub date: String,
    /// Fingerprint of the key that signed the release file.
    pub signer: String,
    pub notices: Vec<Notice>,
}

/// What the user should know although it is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The release file is past its `Valid-Until`.
    Expired { suite: String, until: String },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { suite, until } => {
                write!(
                    f,
                    "the release file of {suite} is past its date ({until}); signature and checksums are good"
                )
            }
        }
    }
}

/// Why a suite did not give the packages.
#[derive(Debug, Error)]
pub enum DebianError {
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    #[error("{url} is needed, but the run is offline")]
    Offline { url: String },
    #[error("{url}: {reason}")]
    Fetch { url: String, reason: String, transient: bool },
    #[error("{url}: {source}")]
    Signature { url: String, source: SignatureError },
    #[error("keyring `{path}`: {source}")]
    Keyring { path: String, source: SignatureError },
    #[error("keyring `{path}`: {source}")]
    ReadKeyring { path: String, source: std::io::Error },
    #[error("{url} is not a release file: {reason}")]
    Release { url: String, reason: &'static str },
    #[error("{url} is of `{got}`, not of the suite `{suite}`")]
    OtherSuite { url: String, suite: String, got: String },
    #[error("the release file of {suite} is valid only until {until}")]
    Expired { suite: String, until: String },
    #[error("the suite {suite} has no index `{index}`; its components are: {}", components.join(", "))]
    NoIndex { suite: String, index: String, components: Vec<String> },
    #[error("{url}: wrong checksum: expected {expected}, got {got} ({size} bytes)")]
    Checksum { url: String, expected: Sha256, got: Sha256, size: u64 },
    #[error("{url}: {source}")]
    Unpack { url: String, source: ArchiveError },
    #[error("index entry of `{package}`: {reason}")]
    Entry { package: String, reason: &'static str },
    #[error("the suite has no package `{name}`{}", did_you_mean(near))]
    Unknown { name: String, near: Vec<String> },
    #[error("`{package}` needs `{dependency}`, which the suite does not have")]
    Unsatisfiable { package: String, dependency: String },
    #[error("stopped")]
    Cancelled,
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; near are: {}", near.join(", ")) }
}

impl DebianError {
    /// Whether trying again later may end differently.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Offline { .. } | Self::Fetch { transient: true, .. } | Self::Cancelled)
    }
}

/// Finds the packages of `spec` and what they depend on, in a suite whose release file is signed
/// by a trusted key. Equal indexes give equal results. Nothing is written.
pub fn resolve(
    fetcher: &Fetcher,
    spec: &BaseSpec,
    now: SystemTime,
    stop: &AtomicBool,
) -> Result<Resolution, DebianError> {
    resolve_with(fetcher, &keyring(fetcher)?, spec, now, stop)
}

/// [`resolve`] that trusts `keyring` only.
fn resolve_with(
    fetcher: &Fetcher,
    keyring: &Keyring,
    spec: &BaseSpec,
    now: SystemTime,
    stop: &AtomicBool,
) -> Result<Resolution, DebianError> {
    let path = format!("dists/{}/InRelease", spec.suite);
    let (url, bytes) = read(fetcher, &path, MAX_RELEASE, stop)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| DebianError::Release { url: url.clone(), reason: "it is not UTF-8" })?;
    let verified =
        keyring.verify(&text, now).map_err(|source| DebianError::Signature { url: url.clone(), source })?;
    let release =
        Release::parse(&verified.text).map_err(|reason| DebianError::Release { url: url.clone(), reason })?;
    if !release.is_of(&spec.suite) {
        return Err(DebianError::OtherSuite { url, suite: spec.suite.clone(), got: release.names() });
    }
    let mut notices = Vec::new();
    if let Some((until, text)) = &release.valid_until
        && *until < now
    {
        let (suite, until) = (spec.suite.clone(), text.clone());
        match fetcher.settings.expired {
            Expired::Refuse => return Err(DebianError::Expired { suite, until }),
            Expired::Warn => notices.push(Notice::Expired { suite, until }),
        }
    }
    let mut texts = Vec::new();
    for component in &spec.components {
        texts.push(packages(fetcher, spec, &release, component, stop)?);
    }
    let index = Index::new(&texts, &spec.arch);
    let debs = index.closure(&spec.packages, &spec.without)?;
    Ok(Resolution { debs, date: release.date.clone(), signer: verified.signer, notices })
}

/// The text of one component's index.
fn packages(
    fetcher: &Fetcher,
    spec: &BaseSpec,
    release: &Release,
    component: &str,
    stop: &AtomicBool,
) -> Result<String, DebianError> {
    let stem = format!("{component}/binary-{}/Packages", spec.arch);
    let found = [".xz", ".gz", ""].iter().find_map(|extension| {
        let name = format!("{stem}{extension}");
        release.files.get(&name).map(|file| (name, *file))
    });
    let Some((name, (sha256, size))) = found else {
        let components = release.components.clone();
        return Err(DebianError::NoIndex { suite: spec.suite.clone(), index: stem, components });
    };
    let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
    let dists = format!("dists/{}", spec.suite);
    // Under its hash an index stays the same while the mirror is being updated.
    let mut paths = vec![format!("{dists}/{name}")];
    if release.by_hash {
        paths.insert(0, format!("{dists}/{directory}/by-hash/SHA256/{sha256}"));
    }
    let mut last = None;
    for path in paths {
        match read(fetcher, &path, size, stop) {
            Ok((url, bytes)) => {
                let got = Sha256::from_bytes(Hasher::digest(&bytes).into());
                if got == sha256 {
                    return text(&bytes).map_err(|source| DebianError::Unpack { url, source });
                }
                let size = bytes.len() as u64;
                last = Some(DebianError::Checksum { url, expected: sha256, got, size });
            }
            Err(DebianError::Cancelled) => return Err(DebianError::Cancelled),
            Err(error) => last = Some(error),
        }
    }
    Err(last.expect("there is at least one path"))
}

fn text(bytes: &[u8]) -> Result<String, ArchiveError> {
    let mut text = String::new();
    let mut reader = decompress(bytes)?.take(MAX_INDEX + 1);
    reader.read_to_string(&mut text).map_err(ArchiveError::Read)?;
    if text.len() as u64 > MAX_INDEX { Err(ArchiveError::TooLarge(MAX_INDEX)) } else { Ok(text) }
}

fn read(
    fetcher: &Fetcher,
    path: &str,
    max: u64,
    stop: &AtomicBool,
) -> Result<(String, Vec<u8>), DebianError> {
    fetcher.read_mirror(path, max, stop).map_err(|miss| match miss {
        MirrorRead::Mirror(error) => DebianError::Mirror(error),
        MirrorRead::Offline { url } => DebianError::Offline { url },
        MirrorRead::Trouble { trouble: Trouble::Cancelled, .. } => DebianError::Cancelled,
        MirrorRead::Trouble { url, trouble } => {
            DebianError::Fetch { url, reason: trouble.to_string(), transient: trouble.is_transient() }
        }
    })
}

/// Keys that come with the program, those of the host's Debian keyring (so that suites newer than
/// the program work), and those of the settings.
fn keyring(fetcher: &Fetcher) -> Result<Keyring, DebianError> {
    let embedded = |source| DebianError::Keyring { path: "built in".into(), source };
    let mut keyring = Keyring::embedded().map_err(embedded)?;
    for path in
        ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"]
    {
        // A keyring that is missing or of a format still to come is no loss: others are there.
        if let Ok(bytes) = std::fs::read(path) {
            let _ = keyring.add(&bytes);
        }
    }
    for path in &fetcher.settings.keyrings {
        let shown = path.display().to_string();
        let bytes =
            std::fs::read(path).map_err(|source| DebianError::ReadKeyring { path: shown.clone(), source })?;
        keyring.add(&bytes).map_err(|source| DebianError::Keyring { path: shown, source })?;
    }
    Ok(keyring)
}
