//! Fixed outputs: bytes that come from outside and are known by their checksum beforehand.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A SHA-256 digest: what Debian indexes and package recipes name bytes by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// Takes a finished digest.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        // BLAKE3's hexadecimal reader serves any 32 bytes.
        blake3::Hash::from_hex(text).ok().map(|digest| Self(*digest.as_bytes()))
    }

    /// 64 lower-case hexadecimal digits.
    pub fn to_hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

impl Serialize for Sha256 {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("expected 64 hexadecimal digits"))
    }
}

/// One file known by its checksum, and the places where it may be had: all hold the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    pub sha256: Sha256,
    /// Tried in this order, after the store's own archives.
    pub places: Vec<Place>,
}

/// Where a file may be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// An `https:`, `http:` or `file:` URL.
    Url(String),
    /// The base name of a source archive (`ocaml-fmt_0.9.0.orig.tar.bz2`) in the Debian archive
    /// of whatever mirror is in force.
    Debian(String),
    /// A path below the mirror's root (`pool/main/o/ocaml/ocaml_5.4.1-1_amd64.deb`).
    Mirror(String),
    /// A file of this machine.
    Path(LocalPath),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Debian(file) => write!(f, "Debian source archive {file}"),
            Self::Mirror(path) => write!(f, "Debian mirror {path}"),
            Self::Path(path) => f.write_str(&path.written),
        }
    }
}

/// A path as a file names it. Only that is part of a key: where on this machine the file lies is
/// not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LocalPath {
    /// Absolute, or relative to the directory of the file that names it.
    pub written: String,
    #[serde(skip)]
    pub directory: PathBuf,
}

impl LocalPath {
    /// Where the file is.
    pub fn place(&self) -> PathBuf {
        self.directory.join(&self.written)
    }
}

/// A distribution package as the lock pins it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedDeb {
    pub name: String,
    pub version: String,
    /// Path below the mirror's root.
    pub path: String,
    /// Bytes of the `.deb`.
    pub size: u64,
    pub sha256: Sha256,
}
