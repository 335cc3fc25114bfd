//! Why repositories cannot be used.

use std::path::Path;

use thiserror::Error;

use super::directory;
use crate::fetch::archive::ArchiveError;
use crate::fetch::git::GitError;
use crate::opam::place::Place;
use crate::outcome::Failure;
use crate::package::index::TooManyVersions;
use crate::store::StoreError;
use crate::store::tree::TreeHash;

/// Why repositories cannot be used.
#[derive(Debug, Error)]
pub enum RepositoryError {
    /// Something is there, and it is no repository.
    #[error("`{place}` is not an opam repository: {reason}")]
    NotARepository { place: String, reason: String },
    /// It holds names that are made to be taken for something else.
    #[error("`{place}` holds names that no package has:\n  {}", names.join("\n  "))]
    Names { place: String, names: Vec<String> },
    /// A file or directory of it cannot be read.
    #[error("`{place}`: {path}: {source}")]
    Io { place: String, path: String, source: std::io::Error },
    /// Together its files are larger than those of any repository.
    #[error("`{place}` is too large for an opam repository")]
    TooLarge { place: String },
    /// A file is not what it was when the repository was read.
    #[error("`{place}` changed while it was used: {path}")]
    Changed { place: String, path: String },
    /// An archive does not hold what the lock says.
    #[error("`{place}` holds other packages than the lock says (it says {pinned}, and they are {found})")]
    NotAsPinned { place: String, pinned: TreeHash, found: TreeHash },
    /// It has to be had from somewhere, and the run is offline.
    #[error("`{place}` is not in the store, and the run is offline")]
    Offline { place: String },
    #[error("`{place}` cannot be unpacked: {source}")]
    Archive { place: String, source: ArchiveError },
    #[error("`{place}` cannot be had: {failure}")]
    Download { place: String, failure: Box<Failure> },
    #[error(transparent)]
    Git(GitError),
    #[error(transparent)]
    TooManyVersions(#[from] TooManyVersions),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it was stopped")]
    Stopped,
}

impl RepositoryError {
    /// Whether trying again later may help, with nothing changed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Git(error) => error.is_transient(),
            Self::Changed { .. } | Self::Stopped => true,
            Self::Download { failure, .. } => !failure.is_verdict(),
            _ => false,
        }
    }

    pub(super) fn directory(place: &Place, root: &Path, trouble: directory::Trouble) -> Self {
        let (place, path) = (place.written.clone(), root);
        match trouble {
            directory::Trouble::NoPackages => {
                let reason = if !path.exists() {
                    "there is no such directory"
                } else if path.join("objects").is_dir() && path.join("HEAD").is_file() {
                    "it is a git repository without files: write `git+file://` before its path"
                } else {
                    "there is no directory `packages` in it"
                };
                Self::NotARepository { place, reason: reason.into() }
            }
            directory::Trouble::Io { path, source } => Self::Io { place, path, source },
            directory::Trouble::TooLarge => Self::TooLarge { place },
        }
    }

    pub(super) fn archive(place: &Place, error: ArchiveError) -> Self {
        let place = place.written.clone();
        match error {
            ArchiveError::Store(error) => Self::Store(error),
            ArchiveError::TooLarge(_) | ArchiveError::TooMany(_) => Self::TooLarge { place },
            source => Self::Archive { place, source },
        }
    }

    pub(super) fn download(place: &Place, failure: Failure) -> Self {
        let place = place.written.clone();
        match failure {
            Failure::Offline { .. } => Self::Offline { place },
            Failure::Cancelled => Self::Stopped,
            failure => Self::Download { place, failure: Box::new(failure) },
        }
    }
}

impl From<GitError> for RepositoryError {
    fn from(error: GitError) -> Self {
        match error {
            GitError::Stopped => Self::Stopped,
            GitError::Store(error) => Self::Store(error),
            error => Self::Git(error),
        }
    }
}
