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
        matches!(self, Self::Unreachable { .. } | Self::TimeOut { .. })
    }
}
