//! The documents of sources: fixed outputs, which are known before they are fetched.

use serde::{Deserialize, Serialize};

use crate::source::Archive;

/// See [`Action::Fetch`](super::Action::Fetch).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    pub archive: Archive,
    /// What the archive's bytes are, if they are not simply unpacked.
    #[serde(default, skip_serializing_if = "Holds::is_archive")]
    pub holds: Holds,
    /// Leading path components that are dropped; absent: the one top directory, if all is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip: Option<u32>,
    /// Most bytes of the archive, and of what is in it.
    pub archive_bytes: u64,
    pub unpacked_bytes: u64,
    pub members: u64,
}

/// What the bytes of a fixed output are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// An archive, which is unpacked.
    #[default]
    Archive,
    /// One file, whatever its bytes look like: the tree is that file under this name.
    File(String),
    /// An archive if the first bytes are those of one, else one file of this name. Opam goes by the
    /// bytes too: URLs of archives often end in no extension at all.
    ArchiveOrFile(String),
}

impl Holds {
    fn is_archive(&self) -> bool {
        *self == Self::Archive
    }
}

/// See [`Action::Git`](super::Action::Git). The commit's id stands for all of its content, that of submodules included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    pub url: String,
    /// Its id.
    pub commit: String,
    /// The directory whose content is taken; absent: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdir: Option<String>,
    /// Whether submodules are fetched, too.
    pub submodules: bool,
    /// Most bytes of all files together, and most files.
    pub bytes: u64,
    pub members: u64,
}
