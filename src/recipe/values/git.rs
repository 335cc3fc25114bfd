//! Reads git sources: the same keys in `[tools]`, in nodes, in recipes and in `[source]`.

use std::ops::Range;
use std::path::Path;

use super::{SourceArchive, source_archive_in};
use crate::source::git::{BadUrl, Commit, GitSource, GitUrl, Reference, is_reference};
use crate::toml_reader::{Table, TextError, Value};

/// Where the source of a package or of a node comes from, if it is not a directory of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackageSource {
    Archive(SourceArchive),
    Git(GitSource),
}

/// Keys that only archives have, and those that only git sources have.
const OF_ARCHIVES: [&str; 3] = ["sha256", "places", "strip"];
const OF_GIT: [&str; 5] = ["branch", "tag", "rev", "subdir", "submodules"];

/// Reads `{ git, … }` or `{ sha256, places, strip }`. For `directory` see
/// [`source_archive`](super::source_archive).
pub fn package_source(value: Value<'_>, directory: Option<&Path>) -> Option<PackageSource> {
    value.table(|table| package_source_in(table, directory))
}

/// [`package_source`] of a table that has other keys besides.
pub fn package_source_in(table: &mut Table<'_>, directory: Option<&Path>) -> Option<PackageSource> {
    if table.get("git").is_none() {
        refuse(table, &OF_GIT, "is for a git repository", "name it as in `git = \"https://…\"`");
        return source_archive_in(table, directory).map(PackageSource::Archive);
    }
    refuse(table, &OF_ARCHIVES, "is for an archive", "a commit is known by its id, and needs no checksum");
    git_source_in(table).map(PackageSource::Git)
}

/// Reads a table that must be a git source.
pub fn git_source(value: Value<'_>) -> Option<GitSource> {
    value.table(git_source_in)
}

/// Reads the keys of a git source; `git` must be there.
pub fn git_source_in(table: &mut Table<'_>) -> Option<GitSource> {
    let url = table.required("git", |value| Some((value.text_with(parse_url)?, value.span())));
    let url_span = url.as_ref().map(|(_, span)| span.clone()).unwrap_or_default();
    let reference = reference(table, &url_span);
    let subdir = table.get("subdir").map(Value::text);
    let submodules = table.get("submodules").map(Value::boolean);
    let (url, url_span) = url?;
    let (reference, reference_span) = reference?;
    Some(GitSource {
        url,
        url_span,
        reference,
        reference_span,
        subdir: subdir.map_or(Some(None), |subdir| subdir.map(Some))?,
        submodules: submodules.unwrap_or(Some(true))?,
    })
}

/// Reports keys that do not belong to a table which has no `git`.
pub fn refuse_git_keys(table: &mut Table<'_>) {
    refuse(table, &OF_GIT, "is for a git repository", "name it as in `git = \"https://…\"`");
}

fn refuse(table: &mut Table<'_>, keys: &[&'static str], why: &str, help: &str) {
    for key in keys {
        if table.has(key)
            && let Some(value) = table.get(key)
        {
            value.problem("git", format!("`{key}` {why}"), "not here", Some(help.into()));
        }
    }
}

/// What is wanted, and where it is said: at the URL, when nothing more is.
fn reference(table: &mut Table<'_>, url_span: &Range<usize>) -> Option<(Reference, Range<usize>)> {
    let name = |value: Value<'_>, make: fn(String) -> Reference| {
        Some((make(value.text_with(parse_name)?), value.span()))
    };
    let branch = table.get("branch").map(|value| (value, name(value, Reference::Branch)));
    let tag = table.get("tag").map(|value| (value, name(value, Reference::Tag)));
    let rev = table.get("rev").map(|value| {
        let commit = value.text_with(parse_commit);
        (value, commit.map(|commit| (Reference::Rev(commit), value.span())))
    });
    let mut given = [branch, tag, rev].into_iter().flatten();
    let Some((_, first)) = given.next() else {
        return Some((Reference::Head, url_span.clone()));
    };
    if let Some((second, _)) = given.next() {
        let message = "a commit is named by one of `branch`, `tag` and `rev`";
        let help = "keep the one that is meant; without any, the branch that `HEAD` names is followed";
        second.problem("git", message, "second name", Some(help.into()));
        return None;
    }
    first
}

fn parse_url(text: &str) -> Result<GitUrl, TextError> {
    GitUrl::new(text).map_err(|error| TextError {
        code: "git-url",
        message: format!("`{}` is not the URL of a git repository: {error}", text.escape_debug()),
        label: "bad URL".into(),
        help: Some(
            match error {
                BadUrl::Fragment => "write `branch = \"…\"`, `tag = \"…\"` or `rev = \"…\"` beside it",
                BadUrl::Password => {
                    "leave the password out: ssh keys are used by themselves, and `~/.netrc` for https"
                }
                _ => "write `https://…`, `ssh://user@host/…`, `git://…` or `file:///…`",
            }
            .into(),
        ),
        within: None,
    })
}

fn parse_name(text: &str) -> Result<String, TextError> {
    is_reference(text).then(|| text.to_owned()).ok_or_else(|| TextError {
        code: "git-name",
        message: format!("`{}` cannot be the name of a branch or tag", text.escape_debug()),
        label: "bad name".into(),
        help: Some("as `git branch` or `git tag` lists it, as in `main`".into()),
        within: None,
    })
}

fn parse_commit(text: &str) -> Result<Commit, TextError> {
    Commit::new(text).ok_or_else(|| TextError {
        code: "git-rev",
        message: format!("`{}` is not the id of a commit", text.escape_debug()),
        label: format!("{} characters", text.chars().count()),
        help: Some(
            "give all 40 or 64 digits, as `git rev-parse HEAD` prints them; for a name use `branch` or `tag`"
                .into(),
        ),
        within: None,
    })
}
