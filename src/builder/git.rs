//! Sources that are commits.

use super::{LocalBuilder, Product};
use crate::derivation::Git;
use crate::fetch::git::{Export, GitError, Limits};
use crate::outcome::Failure;
use crate::realise::{Job, machine_trouble};
use crate::source::git::{Commit, GitUrl};
use crate::store::tree::RelPath;

impl LocalBuilder<'_> {
    pub(super) fn git(&self, job: &Job<'_>, git: &Git) -> Result<Product, Failure> {
        let bad = |what: &str, reason: String| Failure::BadInput { what: what.to_owned(), reason };
        let url = GitUrl::new(&git.url).map_err(|error| bad(&git.url, error.to_string()))?;
        let commit = Commit::new(&git.commit).ok_or_else(|| bad(&git.commit, "it is no commit".into()))?;
        let subdir = git.subdir.as_deref().unwrap_or_default();
        let subdir = RelPath::parse(subdir).map_err(|error| bad(subdir, error.to_string()))?;
        let export = Export {
            url: &url,
            commit: &commit,
            near: self.pins.name_near(&url, &commit),
            subdir: &subdir,
            submodules: git.submodules,
            offline: self.fetcher.is_offline(),
            limits: Limits { bytes: git.bytes, members: git.members },
        };
        job.progress.advanced(job.node, "fetching", 0, None);
        let staging = self.stage()?;
        let what = format!("commit {} of {url}", commit.short());
        let tree = export.run(&staging, self.store, job.stop.flag()).map_err(|error| failure(what, error))?;
        Ok((tree, staging))
    }
}

/// What is wrong with a commit is a verdict; what is wrong with a server, or with the way to it, is not.
fn failure(what: String, error: GitError) -> Failure {
    let lost = match innermost(&error) {
        GitError::Stopped => return Failure::Cancelled,
        GitError::Store(error) => return machine_trouble(error),
        GitError::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            return Failure::NoSpace { what: "fetching a commit".into() };
        }
        GitError::Io(_) | GitError::Missing { .. } => {
            return Failure::Machine { what, reason: error.to_string() };
        }
        GitError::Offline { url, commit } => {
            return Failure::Offline { what: format!("commit {commit} of {url}") };
        }
        GitError::Unusable { .. } | GitError::NoDirectory { .. } | GitError::TooMuch { .. } => {
            return Failure::BadInput { what, reason: of_content(&error) };
        }
        GitError::NoCommit { .. } => true,
        _ => false,
    };
    Failure::FetchFailed { what, tried: vec![error.to_string()], lost }
}

/// The error of the submodule in which it happened.
fn innermost(error: &GitError) -> &GitError {
    match error {
        GitError::Submodule { source, .. } => innermost(source),
        error => error,
    }
}

/// What is wrong with the content of a commit, which is named already.
fn of_content(error: &GitError) -> String {
    match error {
        GitError::Unusable { path, why, .. } => format!("`{path}`: {why}"),
        GitError::NoDirectory { path, .. } => format!("there is no directory `{path}`"),
        GitError::TooMuch { what, most, .. } => format!("there are more than {most} {what}"),
        error => error.to_string(),
    }
}
