//! Opam repositories: their files, and what of them matters for choosing versions.

pub mod beside;
pub mod commands;
pub mod config;
pub mod environment;
pub mod filter;
pub mod formula;
mod lexer;

pub mod patch;
pub mod paths;
pub mod pinned;
pub mod place;
pub mod print;
pub mod recipe;
pub mod syntax;
pub mod variables;

use std::collections::BTreeMap;

use self::filter::{Scope, Setting};
use self::formula::{Items, NotAFormula};
use self::syntax::{Kind, OpamFile, SyntaxError, Value};
use crate::diagnostic::{Problem, SourceError, SourceFile};
use crate::package::index::Entry;

/// The variables that describe a platform: `os`, `arch`, `os-family`, …
///
/// Variables that are not here are undefined. Without `sys-ocaml-version` no compiler of the system
/// is available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform(BTreeMap<String, String>);

/// The version of opam whose rules are followed; some packages ask for one.
const OPAM_VERSION: &str = "2.5.2";

impl Platform {
    /// The variables of Debian on x86-64, with `version` as its number.
    pub fn debian(version: &str) -> Self {
        let variables = [
            ("arch", "x86_64"),
            ("opam-version", OPAM_VERSION),
            ("os", "linux"),
            ("os-distribution", "debian"),
            ("os-family", "debian"),
            ("os-version", version),
        ];
        Self(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    /// Defines one more variable, or gives it another value.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// All names and values, sorted.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Variables while versions are chosen: nobody asks for tests or documentation yet.
struct Choosing<'a> {
    platform: &'a Platform,
    name: &'a str,
    version: &'a str,
}

impl Scope for Choosing<'_> {
    fn variable(&self, name: &str) -> Option<Setting<'_>> {
        match name {
            "build" | "post" => Some(Setting::Bool(true)),
            "with-test" | "with-doc" | "with-dev-setup" | "dev" => Some(Setting::Bool(false)),
            "name" | "_:name" => Some(Setting::Text(self.name.into())),
            "version" | "_:version" => Some(Setting::Text(self.version.into())),
            _ => self.platform.0.get(name).map(|text| Setting::Text(text.as_str().into())),
        }
    }
}

/// Reads what choosing versions needs from the opam file of one package version.
pub fn entry(
    name: &str,
    version: &str,
    file: &SourceFile,
    platform: &Platform,
) -> Result<Entry, SourceError> {
    let read = OpamFile::parse(&file.text).map_err(|error| unreadable(file, error))?;
    let scope = Choosing { platform, name, version };
    let formula = |field: &str, items| match read.field(field) {
        None => Ok(None),
        Some(value) => {
            formula::read(value, items, &scope).map_err(|NotAFormula(span)| not_a_formula(file, field, span))
        }
    };
    let flags = read.field("flags").map(words).unwrap_or_default();
    Ok(Entry {
        name: name.to_owned(),
        version: version.to_owned(),
        available: read.field("available").is_none_or(|filter| filter::truth(filter, &scope) == Some(true)),
        avoid: flags.iter().any(|flag| matches!(flag.as_str(), "avoid-version" | "deprecated")),
        depends: formula("depends", Items::All)?,
        conflicts: formula("conflicts", Items::Any)?,
        classes: read.field("conflict-class").map(words).unwrap_or_default(),
    })
}

fn unreadable(file: &SourceFile, error: SyntaxError) -> SourceError {
    let problem = Problem {
        code: "jtwbuild::opam::syntax".into(),
        message: format!("this is not an opam file: {}", error.message),
        span: error.span,
        label: "here".into(),
        help: None,
    };
    SourceError::new(file, vec![problem])
}

fn not_a_formula(file: &SourceFile, field: &str, span: syntax::Span) -> SourceError {
    let problem = Problem {
        code: "jtwbuild::opam::formula".into(),
        message: format!("`{field}` holds something that is no package"),
        span: span.range(),
        label: "neither a package nor a formula of packages".into(),
        help: Some("write `\"name\" {condition}`, joined by `&` and `|`".into()),
    };
    SourceError::new(file, vec![problem])
}

/// Words, one or a list of them, with or without quotes.
fn words(value: &Value<'_>) -> Vec<String> {
    match &value.kind {
        Kind::List(parts) => parts.iter().flat_map(words).collect(),
        Kind::String(text) => vec![text.clone().into_owned()],
        Kind::Variable(name) => vec![(*name).to_owned()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
