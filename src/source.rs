//! Fixed outputs: bytes that come from outside and are known by their checksum beforehand.

pub mod checksum;
pub mod git;

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::checksum::{Checksum, ChecksumError, Checksums, Sha256};

/// One file known by its checksums, and the places where it may be had: all hold the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// All of them must be right. In documents they stand beside the places.
    #[serde(flatten)]
    pub checksums: Checksums,
    /// Tried in this order, after the store's own archives and the archive mirrors.
    pub places: Vec<Place>,
}

impl Archive {
    /// A file and where it may be had.
    pub fn new(checksums: impl Into<Checksums>, places: Vec<Place>) -> Self {
        Self { checksums: checksums.into(), places }
    }
}

/// The file name at the end of a URL: what a file that is no archive is placed under. Nothing for a
/// URL that ends in none.
pub fn file_name_of(url: &str) -> Option<&str> {
    let path = url.split(['?', '#']).next()?;
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let (_, name) = path.rsplit_once('/')?;
    let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['\0', '\\']);
    plain.then_some(name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_the_ends_of_urls() {
        let names = [
            ("https://example.org/a/b.tar.gz", Some("b.tar.gz")),
            ("https://example.org/a/b.tbz?raw=true#x", Some("b.tbz")),
            ("https://example.org/api/archive?sha=00/1", Some("archive")),
            ("file:///a/script.sh", Some("script.sh")),
            ("https://example.org/", None),
            ("https://example.org", None),
            ("https://example.org/a/..", None),
        ];
        for (url, name) in names {
            assert_eq!(file_name_of(url), name, "{url}");
        }
    }

    #[test]
    fn archives_with_a_sha256_only_are_written_as_they_always_were() {
        let archive =
            Archive::new(Sha256::from_bytes([1; 32]), vec![Place::Url("https://example.org/a".into())]);
        let text = serde_json::to_string(&archive).unwrap();
        let sum = "01".repeat(32);
        assert_eq!(text, format!(r#"{{"sha256":"{sum}","places":[{{"url":"https://example.org/a"}}]}}"#));
        assert_eq!(serde_json::from_str::<Archive>(&text).unwrap(), archive);
    }
}
