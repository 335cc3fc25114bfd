//! `<package>.config` files: the variables that a package defines for those that depend on it.
//!
//! A package leaves such a file in its build directory (opam 2 manual, "&lt;pkgname&gt;.config").

use std::collections::BTreeMap;

use super::filter::Setting;
use super::syntax::{Content, Item, Kind, OpamFile, Value};
use crate::diagnostic::line_and_column;

/// Larger files are refused, in bytes.
pub const MAX_SIZE: usize = 1 << 20;

/// The variables of one package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config(BTreeMap<String, Setting<'static>>);

/// Why a text is not a `.config` file: one sentence, with its line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ConfigError {
    pub line: usize,
    pub message: String,
}

impl Config {
    /// Reads a file.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let plain = |message: String| ConfigError { line: 1, message };
        if bytes.len() > MAX_SIZE {
            return Err(plain(format!("the file has {} bytes, more than {MAX_SIZE}", bytes.len())));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| plain("the file is not UTF-8".into()))?;
        let at = |byte: usize, message: String| ConfigError { line: line_and_column(text, byte).0, message };
        let file = OpamFile::parse(text).map_err(|error| at(error.span.start, error.message))?;
        let mut variables = BTreeMap::new();
        for Item { name, span, content } in &file.items {
            let start = span.range().start;
            match (*name, content) {
                ("variables", Content::Section { items, .. }) => {
                    for item in items {
                        let start = item.span.range().start;
                        let setting = variable(item).map_err(|message| at(start, message))?;
                        if variables.insert(item.name.to_owned(), setting).is_some() {
                            return Err(at(start, format!("`{}` is defined twice", item.name)));
                        }
                    }
                }
                // Files of the system that the package was made for: the base does not change.
                ("opam-version" | "file-depends", Content::Field(_)) => {}
                (name, _) if name.starts_with("x-") => {}
                (name, _) => return Err(at(start, format!("`{name}` is unknown in a .config file"))),
            }
        }
        Ok(Self(variables))
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&Setting<'static>> {
        self.0.get(name)
    }
}

fn variable(item: &Item<'_>) -> Result<Setting<'static>, String> {
    let bad = || format!("`{}` is neither a string nor a list of strings nor true or false", item.name);
    let Content::Field(value) = &item.content else { return Err(bad()) };
    if item.name.contains([':', '+']) {
        return Err(format!("`{}` cannot be the name of a variable", item.name));
    }
    match &value.kind {
        Kind::Bool(truth) => Ok(Setting::Bool(*truth)),
        Kind::Integer(number) => Ok(Setting::Text(number.to_string().into())),
        Kind::List(parts) => {
            let words: Option<Vec<&str>> = parts.iter().map(text).collect();
            Ok(Setting::Text(words.ok_or_else(bad)?.join(" ").into()))
        }
        _ => Ok(Setting::Text(text(value).ok_or_else(bad)?.to_owned().into())),
    }
}

fn text<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match &value.kind {
        Kind::String(text) => Some(text),
        _ => None,
    }
}
