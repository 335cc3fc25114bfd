//! The part of a lock that pins commits of branches and tags.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::quoted;
use crate::source::git::{Commit, GitUrl, Question, Reference, is_reference};
use crate::toml_reader::{Table, TextError, Value};

pub(super) fn read(table: &mut Table<'_>) -> Option<(Question, Commit)> {
    let url = table.required("url", |value| {
        value.text_with(|text| GitUrl::new(text).map_err(|error| bad("git-url", error.to_string())))
    });
    let branch = table.optional("branch", name);
    let tag = table.optional("tag", name);
    if branch.is_some() && tag.is_some() {
        table.problem("git-name", "this is a branch and a tag", "one of them", None);
    }
    let commit = table.required("commit", |value| {
        value.text_with(|text| Commit::new(text).ok_or_else(|| bad("git-rev", "this is not a commit".into())))
    });
    let reference = match (branch, tag) {
        (Some(branch), _) => Reference::Branch(branch),
        (None, Some(tag)) => Reference::Tag(tag),
        (None, None) => Reference::Head,
    };
    Some((Question { url: url?, reference }, commit?))
}

fn name(value: Value<'_>) -> Option<String> {
    value.text_with(|text| {
        let good = is_reference(text).then(|| text.to_owned());
        good.ok_or_else(|| bad("git-name", "this is not the name of a branch or tag".into()))
    })
}

fn bad(code: &'static str, message: String) -> TextError {
    TextError { code, message, label: "cannot be used".into(), help: None, within: None }
}

pub(super) fn write(commits: &BTreeMap<Question, Commit>, text: &mut String) -> std::fmt::Result {
    for (Question { url, reference }, commit) in commits {
        writeln!(text, "\n[[git]]\nurl = {}", quoted(url.as_str()))?;
        match reference {
            Reference::Branch(name) => writeln!(text, "branch = {}", quoted(name))?,
            Reference::Tag(name) => writeln!(text, "tag = {}", quoted(name))?,
            // What a commit itself comes to is never asked, nor kept.
            Reference::Head | Reference::Rev(_) => {}
        }
        writeln!(text, "commit = {}", quoted(commit.as_str()))?;
    }
    Ok(())
}
