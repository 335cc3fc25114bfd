//! Readers of the small values that several kinds of recipe and the universe share: sizes, limits,
//! archives, git repositories, argument vectors, environments.

mod git;

use std::collections::BTreeMap;
use std::path::Path;

pub use self::git::{
    PackageSource, git_source, git_source_in, package_source, package_source_in, refuse_git_keys,
};

use crate::name::VariableName;
use crate::recipe::template::{Bindings, Scope, Template, Unbound};
use crate::request::Limits;
use crate::source::{Archive, LocalPath, Place, Sha256};
use crate::toml_reader::{Table, TextError, Value};

/// Longest time that a recipe or a node can ask for: a week, in seconds.
const MAX_SECONDS: u64 = 7 * 24 * 3600;

/// Directories that an archive's members may be asked to lose.
const MAX_STRIP: u64 = 16;

/// A program with its arguments. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argv(Vec<Template>);

impl Argv {
    /// Reads an array of templates.
    pub fn read(value: Value<'_>, scope: &Scope) -> Option<Self> {
        let templates = value.non_empty_list(|value| Template::read(value, scope))?;
        // Empty only when every element was wrong, and then the file is refused.
        (!templates.is_empty()).then_some(Self(templates))
    }

    /// The same program with `args` behind its own arguments.
    #[must_use]
    pub fn with(mut self, args: &[Template]) -> Self {
        self.0.extend_from_slice(args);
        self
    }

    /// Program and arguments, expanded.
    pub fn expand(&self, bindings: &Bindings) -> Result<Vec<String>, Unbound> {
        self.0.iter().map(|template| template.expand(bindings)).collect()
    }
}

/// Reads an array of argument vectors, which may be empty.
pub fn commands(value: Value<'_>, scope: &Scope) -> Option<Vec<Argv>> {
    value.list(|value| Argv::read(value, scope))
}

/// An environment whose values may hold variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<VariableName, Template>);

impl Environment {
    /// Reads a table from names to templates.
    pub fn read(value: Value<'_>, scope: &Scope) -> Option<Self> {
        let entries = value
            .map(|place, key, value| Some((variable_name(place, key)?, Template::read(value, scope)?)))?;
        Some(Self(entries.into_iter().collect()))
    }

    /// All variables, expanded.
    pub fn expand(&self, bindings: &Bindings) -> Result<BTreeMap<String, String>, Unbound> {
        self.0
            .iter()
            .map(|(name, template)| Ok((name.as_str().to_owned(), template.expand(bindings)?)))
            .collect()
    }
}

/// Checks the key of an environment table.
pub fn variable_name(place: Value<'_>, key: &str) -> Option<VariableName> {
    let name = VariableName::new(key);
    if name.is_none() {
        let message = format!("`{}` is not the name of an environment variable", key.escape_debug());
        place.problem("name", message, "bad name", None);
    }
    name
}

/// A size in bytes: a number, or a string of a number and `K`, `M`, `G` or `T` (powers of 1,024).
pub fn byte_size(value: Value<'_>) -> Option<u64> {
    if value.is_integer() {
        return value.integer(1..=u64::MAX >> 1);
    }
    value.text_with(|text| {
        parse_byte_size(text).ok_or_else(|| TextError {
            code: "size",
            message: format!("`{}` is not a size", text.escape_debug()),
            label: "not a size".into(),
            help: Some("write bytes, or a whole number with `K`, `M`, `G` or `T`: `\"512M\"`".into()),
            within: None,
        })
    })
}

fn parse_byte_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok().filter(|number| *number > 0)?;
    let shift = match &text[digits..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift).filter(|size| *size <= u64::MAX >> 1)
}

/// A time in whole seconds.
pub fn seconds(value: Value<'_>) -> Option<u64> {
    value.integer(1..=MAX_SECONDS)
}

/// What a run may use; all four are needed.
pub fn limits(value: Value<'_>) -> Option<Limits> {
    value.table(|table| {
        let seconds = table.required("seconds", seconds);
        let memory = table.required("memory", byte_size);
        let log = table.required("log", byte_size);
        let processes = table.required("processes", |value| value.integer(1..=1 << 20));
        Some(Limits { seconds: seconds?, memory: memory?, log: log?, processes: processes? })
    })
}

/// An archive known by its checksum, and how its members are placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceArchive {
    pub archive: Archive,
    /// Leading directories that members lose. `None`: the one top directory is dropped if
    /// everything is in one.
    pub strip: Option<u32>,
}

/// Reads `{ sha256, places, strip }`. Paths among the places are relative to `directory`; without
/// one (a built-in recipe) they are refused.
pub fn source_archive(value: Value<'_>, directory: Option<&Path>) -> Option<SourceArchive> {
    value.table(|table| source_archive_in(table, directory))
}

/// [`source_archive`] of a table that has other keys besides.
pub fn source_archive_in(table: &mut Table<'_>, directory: Option<&Path>) -> Option<SourceArchive> {
    let sha256 = table.required("sha256", |value| value.text_with(parse_sha256));
    let places = table.required("places", |value| {
        value.non_empty_list(|value| value.table(|table| place(table, directory)))
    });
    let strip = table.optional("strip", |value| value.integer(0..=MAX_STRIP));
    let strip = strip.and_then(|strip| u32::try_from(strip).ok());
    Some(SourceArchive { archive: Archive::new(sha256?, places?), strip })
}

fn parse_sha256(text: &str) -> Result<Sha256, TextError> {
    Sha256::from_hex(text).ok_or_else(|| TextError {
        code: "checksum",
        message: "this is not a SHA-256 checksum".into(),
        label: format!("{} characters", text.chars().count()),
        help: Some("expected 64 hexadecimal digits".into()),
        within: None,
    })
}

fn place(table: &mut Table<'_>, directory: Option<&Path>) -> Option<Place> {
    let url = table.get("url").map(|value| value.text_with(parse_url).map(Place::Url));
    let debian = table.get("debian").map(|value| value.text_with(parse_file_name).map(Place::Debian));
    let path = table.get("path").map(|value| local_place(value, directory));
    let mut given = [url, debian, path].into_iter().flatten();
    if let (Some(place), None) = (given.next(), given.next()) {
        return place;
    }
    table.problem("place", "a place has exactly one of `url`, `debian` and `path`", "not one place", None);
    None
}

fn local_place(value: Value<'_>, directory: Option<&Path>) -> Option<Place> {
    let path = value.line()?;
    let Some(directory) = directory else {
        value.problem("place", "a built-in recipe cannot name a path", "a path of which machine?", None);
        return None;
    };
    Some(Place::Path(LocalPath { written: path, directory: directory.to_owned() }))
}

/// Checks an `https:`, `http:` or `file:` URL as far as putting it on one line needs.
pub fn parse_url(text: &str) -> Result<String, TextError> {
    let after_scheme = ["https://", "http://", "file://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let good = after_scheme.is_some_and(|rest| !rest.is_empty())
        && text.chars().all(|character| !character.is_whitespace() && !character.is_control());
    good.then(|| text.to_owned()).ok_or_else(|| TextError {
        code: "url",
        message: format!("`{}` is not a URL that can be used here", text.escape_debug()),
        label: "bad URL".into(),
        help: Some("it begins with `https://`, `http://` or `file://` and has no spaces".into()),
        within: None,
    })
}

fn parse_file_name(text: &str) -> Result<String, TextError> {
    let good = !text.is_empty()
        && !text.starts_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+~-".contains(&byte));
    good.then(|| text.to_owned()).ok_or_else(|| TextError {
        code: "file-name",
        message: format!("`{}` is not the name of an archive", text.escape_debug()),
        label: "bad file name".into(),
        help: Some("give the base name of a source archive, as in `ocaml-fmt_0.9.0.orig.tar.bz2`".into()),
        within: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024_and_never_overflow() {
        assert_eq!(parse_byte_size("512M"), Some(512 << 20));
        assert_eq!(parse_byte_size("1"), Some(1));
        assert_eq!(parse_byte_size("4G"), Some(4 << 30));
        for bad in ["", "0", "M", "1.5G", "1MB", "1 M", "-1", "99999999999T", "18446744073709551616"] {
            assert_eq!(parse_byte_size(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn urls_are_one_word_with_a_known_scheme() {
        assert!(parse_url("https://example.org/a.tar.gz").is_ok());
        assert!(parse_url("file:///tmp/a").is_ok());
        for bad in ["", "https://", "ftp://example.org/a", "https://example.org/a b", "-o x", "https://a\n"] {
            assert!(parse_url(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_archive_name_is_a_file_name() {
        assert!(parse_file_name("ocaml-fmt_0.9.0.orig.tar.bz2").is_ok());
        for bad in ["", "..", "a/b", "a b", ".hidden"] {
            assert!(parse_file_name(bad).is_err(), "{bad:?}");
        }
    }
}
