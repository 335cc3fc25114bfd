//! What is wrong with git sources, at the place that names them.

use super::{Exit, Shown, Trouble};
use crate::diagnostic::{Problem, SourceError, SourceFile};
use crate::fetch::git::GitError;
use crate::source::git::{Commit, GitSource, Reference};

/// A name of which this run does not know the commit.
pub(in crate::cli) struct Unanswered<'a> {
    pub source: &'a GitSource,
    /// The file that names it.
    pub file: &'a SourceFile,
    pub why: Why<'a>,
    /// The commit that the lock has for it.
    pub last: Option<&'a Commit>,
}

/// Why it does not.
#[derive(Clone, Copy)]
pub(in crate::cli) enum Why<'a> {
    /// That is what came of asking.
    Git(&'a GitError),
    /// The lock has none, and is to be obeyed.
    NotLocked,
    /// The lock has none, and there is no network to be used.
    Offline,
}

/// All of them, by file.
pub(in crate::cli) fn unanswered(all: &[Unanswered<'_>]) -> Trouble {
    let mut exit = None;
    let mut errors: Vec<(&SourceFile, Vec<Problem>)> = Vec::new();
    for one in all {
        let (its_exit, problem) = problem(one);
        exit.get_or_insert(its_exit);
        match errors.iter_mut().find(|(file, _)| *file == one.file) {
            Some((_, problems)) => problems.push(problem),
            None => errors.push((one.file, vec![problem])),
        }
    }
    let errors = errors.into_iter().map(|(file, problems)| SourceError::new(file, problems));
    Trouble { exit: exit.unwrap_or(Exit::Input), shown: Shown::Sources(errors.collect()) }
}

fn problem(one: &Unanswered<'_>) -> (Exit, Problem) {
    let source = one.source;
    let (url, reference) = (&source.url, &source.reference);
    let is_of_name = matches!(one.why, Why::Git(GitError::NoReference { .. }) | Why::NotLocked);
    let span = if is_of_name { source.reference_span.clone() } else { source.url_span.clone() };
    let (exit, code, message, label, help) = match one.why {
        Why::Git(error) => {
            let (exit, code, help) = of_git(error, source);
            let message = match (error, reference) {
                (GitError::NoReference { .. }, Reference::Head) => {
                    format!("`{url}` has no `HEAD` that could be followed")
                }
                (GitError::NoReference { name, .. }, Reference::Tag(_)) => {
                    format!("`{url}` has no tag `{name}`")
                }
                (GitError::NoReference { name, .. }, _) => format!("`{url}` has no branch `{name}`"),
                _ => error.to_string(),
            };
            let label = if is_of_name { "no such name there" } else { "this repository" };
            (exit, code, message, label, help)
        }
        Why::Offline => (
            Exit::Environment,
            "jtwbuild::git::offline",
            format!("the lock has no commit for {reference} of `{url}`, and the run is offline"),
            "this repository",
            "run once without `--offline`, or name the commit: `rev = \"…\"`".to_owned(),
        ),
        Why::NotLocked => (
            Exit::Input,
            "jtwbuild::git::not-locked",
            format!("the lock does not pin {reference} of `{url}`"),
            "not pinned",
            "run without `--locked` once, or `jtwbuild update`".to_owned(),
        ),
    };
    let help = match one.last {
        Some(last) => format!("{help}; `--locked` uses the last known commit {}", last.short()),
        None => help,
    };
    (exit, Problem { code: code.to_owned(), message, span, label: label.to_owned(), help: Some(help) })
}

fn of_git(error: &GitError, source: &GitSource) -> (Exit, &'static str, String) {
    match error {
        GitError::Missing { .. } => {
            (Exit::Environment, "jtwbuild::git::no-git", "install git: git sources need it".into())
        }
        GitError::Unreachable { .. } | GitError::TimeOut { .. } => {
            (Exit::Environment, "jtwbuild::git::unreachable", "check the URL and the network".into())
        }
        GitError::NotGit { .. } => (
            Exit::Input,
            "jtwbuild::git::not-git",
            "look at the URL in a browser: the one for `git clone` is wanted".into(),
        ),
        GitError::Forbidden { .. } if source.url.is_local() => (
            Exit::Environment,
            "jtwbuild::git::forbidden",
            "git reads a repository of this machine only if it is yours: clone it, and name the clone".into(),
        ),
        GitError::Forbidden { .. } => (
            Exit::Environment,
            "jtwbuild::git::forbidden",
            "nobody is asked for passwords: ssh keys are used by themselves, and `~/.netrc` for https".into(),
        ),
        GitError::NoReference { like, .. } => {
            let help = match (like, &source.reference) {
                (Some(like), _) => format!("did you mean `{like}`?"),
                (None, Reference::Head) => "name a branch: `branch = \"…\"`".to_owned(),
                (None, _) => "`git ls-remote URL` lists what there is".to_owned(),
            };
            (Exit::Input, "jtwbuild::git::no-name", help)
        }
        _ => (Exit::Environment, "jtwbuild::git::failed", "try the same with `git ls-remote URL`".into()),
    }
}
