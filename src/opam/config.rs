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
pub struct Config {
    variables: BTreeMap<String, Setting<'static>>,
    /// Those that are lists, once more.
    lists: BTreeMap<String, Vec<String>>,
}

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
        let mut config = Self::default();
        for Item { name, span, content } in &file.items {
            let start = span.range().start;
            match (*name, content) {
                ("variables", Content::Section { items, .. }) => {
                    for item in items {
                        let start = item.span.range().start;
                        config.define(item).map_err(|message| at(start, message))?;
                    }
                }
                // Files of the system that the package was made for: the base does not change.
                ("opam-version" | "file-depends", Content::Field(_)) => {}
                (name, _) if name.starts_with("x-") => {}
                (name, _) => return Err(at(start, format!("`{name}` is unknown in a .config file"))),
            }
        }
        Ok(config)
    }

    /// The value of a variable; the words of a list with blanks between them.
    pub fn get(&self, name: &str) -> Option<&Setting<'static>> {
        self.variables.get(name)
    }

    /// The words of a variable that is a list.
    pub fn words(&self, name: &str) -> Option<&[String]> {
        self.lists.get(name).map(Vec::as_slice)
    }

    fn define(&mut self, item: &Item<'_>) -> Result<(), String> {
        let name = item.name;
        let bad = || format!("`{name}` is neither a string nor a list of strings nor true or false");
        let Content::Field(value) = &item.content else { return Err(bad()) };
        if name.contains([':', '+']) {
            return Err(format!("`{name}` cannot be the name of a variable"));
        }
        let setting = match &value.kind {
            Kind::Bool(truth) => Setting::Bool(*truth),
            Kind::Integer(number) => Setting::Text(number.to_string().into()),
            Kind::List(parts) => {
                let words: Option<Vec<String>> =
                    parts.iter().map(|part| Some(text(part)?.to_owned())).collect();
                let words = words.ok_or_else(bad)?;
                let joined = words.join(" ");
                self.lists.insert(name.to_owned(), words);
                Setting::Text(joined.into())
            }
            _ => Setting::Text(text(value).ok_or_else(bad)?.to_owned().into()),
        };
        match self.variables.insert(name.to_owned(), setting) {
            None => Ok(()),
            Some(_) => Err(format!("`{name}` is defined twice")),
        }
    }
}

fn text<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match &value.kind {
        Kind::String(text) => Some(text),
        _ => None,
    }
}
