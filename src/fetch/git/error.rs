//! Why git did not give what was wanted.

use std::io;
use std::time::Duration;

use thiserror::Error;

use super::MAX_FETCHED;
use crate::store::StoreError;

/// Why git did not give what was wanted.
#[derive(Debug, Error)]
pub enum GitError {
    /// There is no such program.
    #[error("the program `git` is needed for `{url}`, and was not found")]
    Missing { url: String },
    #[error("`{url}` could not be reached: {said}")]
    Unreachable { url: String, said: String },
    /// Something answers there, and it is not git.
    #[error("`{url}` is not a git repository: {said}")]
    NotGit { url: String, said: String },
    #[error("`{url}` may not be read: {said}")]
    Forbidden { url: String, said: String },
    /// No branch or tag of that name, or no `HEAD`.
    #[error("`{url}` has no branch or tag `{name}`")]
    NoReference { url: String, name: String, like: Option<String> },
    #[error("`{url}` has no commit {commit}: {said}")]
    NoCommit { url: String, commit: String, said: String },
    #[error("`{url}`: git took longer than {} s", .after.as_secs())]
    TimeOut { url: String, after: Duration },
    #[error("`{url}` sends more than {} MiB", MAX_FETCHED >> 20)]
    TooLarge { url: String },
    /// Something in a commit is nothing to build from.
    #[error("`{path}` in commit {commit} of `{url}`: {why}")]
    Unusable { url: String, commit: String, path: String, why: String },
    #[error("there is no directory `{path}` in commit {commit} of `{url}`")]
    NoDirectory { url: String, commit: String, path: String },
    /// More than a source may have.
    #[error("commit {commit} of `{url}` has more than {most} {what}")]
    TooMuch { url: String, commit: String, what: &'static str, most: u64 },
    /// A repository within a repository.
    #[error("submodule `{path}`: {source}")]
    Submodule { path: String, source: Box<GitError> },
    /// A network would be needed, and may not be used.
    #[error("commit {commit} of `{url}` is not in the store, and the run is offline")]
    Offline { url: String, commit: String },
    /// Git said or did something else.
    #[error("`{url}`: git failed: {said}")]
    Failed { url: String, said: String },
    #[error("running git: {0}")]
    Io(#[source] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it was stopped")]
    Stopped,
}

impl GitError {
    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Submodule { source, .. } => source.is_transient(),
            _ => matches!(self, Self::Unreachable { .. } | Self::TimeOut { .. }),
        }
    }
}
