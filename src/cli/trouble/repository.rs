//! What is wrong with opam repositories, with code, exit code and hint.

use super::{Exit, Trouble};
use crate::fetch::git::GitError;
use crate::repository::RepositoryError;

const OTHER_PLACES: &str =
    "a directory with the same content, or a .tar archive of it, does as well: `opam = \"path\"`";

impl From<RepositoryError> for Trouble {
    fn from(error: RepositoryError) -> Self {
        use RepositoryError as E;
        let error = match error {
            E::Store(error) => return error.into(),
            error => error,
        };
        let (exit, code, help) = match &error {
            E::Git(git) => of_git(git),
            E::NotARepository { .. } => (
                Exit::Input,
                "jtwbuild::repository::not-one",
                Some("a repository has opam files at `packages/NAME/NAME.VERSION/opam`".to_owned()),
            ),
            E::Names { .. } => (
                Exit::Input,
                "jtwbuild::repository::names",
                Some(
                    "nobody gives such names by accident: look at who made it before you use any of it"
                        .into(),
                ),
            ),
            E::TooLarge { .. } => (
                Exit::Input,
                "jtwbuild::repository::too-large",
                Some("a gibibyte is the most; the official repository has a fortieth of that".into()),
            ),
            E::Io { .. } | E::Store(_) => (Exit::Environment, "jtwbuild::repository::unreadable", None),
            E::Changed { .. } => (
                Exit::Environment,
                "jtwbuild::repository::changed",
                Some("run the same command again when nobody writes there".into()),
            ),
            E::NotAsPinned { .. } => (
                Exit::Input,
                "jtwbuild::repository::not-as-pinned",
                Some(
                    "`jtwbuild update` pins what is there now; with the archive of before, nothing changes"
                        .into(),
                ),
            ),
            E::Offline { .. } => (
                Exit::Environment,
                "jtwbuild::repository::offline",
                Some("run once without `--offline`; what is pinned stays in the store then".into()),
            ),
            E::Archive { .. } => (Exit::Input, "jtwbuild::repository::archive", None),
            E::Download { .. } => {
                (Exit::Environment, "jtwbuild::repository::unreachable", Some(OTHER_PLACES.into()))
            }
            E::TooManyVersions(_) => (Exit::Input, "jtwbuild::package::too-many-versions", None),
            E::Stopped => (Exit::Interrupted, "jtwbuild::repository::stopped", None),
        };
        Self::new(exit, code, error, help.as_deref())
    }
}

fn of_git(error: &GitError) -> (Exit, &'static str, Option<String>) {
    match error {
        GitError::Missing { .. } => (
            Exit::Environment,
            "jtwbuild::repository::no-git",
            Some(format!("install git, or do without: {OTHER_PLACES}")),
        ),
        GitError::Unreachable { .. } | GitError::TimeOut { .. } => {
            (Exit::Environment, "jtwbuild::repository::unreachable", Some(OTHER_PLACES.into()))
        }
        GitError::NotGit { .. } => (
            Exit::Input,
            "jtwbuild::repository::not-git",
            Some("look at the URL in a browser: the one for `git clone` is wanted".into()),
        ),
        GitError::Forbidden { .. } => (
            Exit::Environment,
            "jtwbuild::repository::forbidden",
            Some(
                "nobody is asked for passwords: ssh keys are used by themselves, and `~/.netrc` for https"
                    .into(),
            ),
        ),
        GitError::NoReference { like, .. } => {
            let help = like.as_ref().map(|name| format!("did you mean `{name}`?"));
            (Exit::Input, "jtwbuild::repository::no-branch", help)
        }
        GitError::NoCommit { .. } => (
            Exit::Input,
            "jtwbuild::repository::no-commit",
            Some("`jtwbuild update` pins the newest one".into()),
        ),
        _ => (Exit::Environment, "jtwbuild::repository::git", None),
    }
}

#[cfg(test)]
mod tests;
