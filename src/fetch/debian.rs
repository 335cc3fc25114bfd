//! From a suite's name to pinned packages: release file, index, closure.
//!
//! ```text
//! InRelease ──signature──► checksums ──► Packages.xz ──► closure of the named packages
//! ```

pub mod catalogue;
pub mod closure;
mod extension;
pub mod libraries;
pub mod release;
pub mod sources;
mod suite;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use thiserror::Error;

pub use self::suite::Suite;

use super::Fetcher;
use super::archive::ArchiveError;
use super::mirror::MirrorError;
use super::signature::SignatureError;
use crate::source::{PinnedDeb, Sha256};

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
    #[error("`{name}` is not a package of OCaml libraries")]
    NotALibrary { name: String },
    #[error("`{package}` needs `{dependency}`, which the suite does not have")]
    Unsatisfiable { package: String, dependency: String },
    #[error(
        "`{package}` needs `{dependency}`, but the base is pinned to {base} {version}; \
         `jtwbuild update` takes both from the suite as it is now"
    )]
    OlderBase { package: String, dependency: String, base: String, version: String },
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
    Suite::open(fetcher, &spec.suite, &spec.components, &spec.arch, now, stop)?
        .resolve(&spec.packages, &spec.without)
}
