//! Filters: three-valued conditions over variables, and `%{…}%` in strings.
//!
//! A variable that is not defined makes what depends on it undefined; in the end that counts as
//! false (opam 2 manual, "Filters"; details found by trying, see the book).

use std::borrow::Cow;

use super::syntax::{Kind, Value};
use crate::version;

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting<'a> {
    Bool(bool),
    Text(Cow<'a, str>),
}

impl Setting<'_> {
    /// As a filter's argument or in a string.
    pub fn as_text(&self) -> &str {
        match self {
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
            Self::Text(text) => text,
        }
    }
}

/// Where variables have their values.
pub trait Scope {
    /// The value of a variable as it is written: `os`, `ocaml:native`, `_:name`.
    fn variable(&self, name: &str) -> Option<Setting<'_>>;

    /// The words of a variable that is a list: in a command, each is an argument.
    fn words(&self, _name: &str) -> Option<&[String]> {
        None
    }
}

/// The truth of a filter; `None` when it is undefined.
pub fn truth(filter: &Value<'_>, scope: &dyn Scope) -> Option<bool> {
    match &filter.kind {
        Kind::And(parts) | Kind::Group(parts) | Kind::List(parts) => {
            conjunction(parts.iter().map(|part| truth(part, scope)))
        }
        Kind::Or(parts) => {
            // `a | b` is `!(!a & !b)`.
            let negated = parts.iter().map(|part| truth(part, scope).map(|truth| !truth));
            conjunction(negated).map(|truth| !truth)
        }
        Kind::Not(inner) => truth(inner, scope).map(|truth| !truth),
        Kind::Defined(inner) => Some(match &inner.kind {
            Kind::Variable(name) => scope.variable(name).is_some(),
            _ => truth(inner, scope).is_some(),
        }),
        Kind::Compare(relation, left, right) => {
            let (left, right) = (setting(left, scope)?, setting(right, scope)?);
            let order = version::order(left.as_text().as_bytes(), right.as_text().as_bytes());
            Some(relation.holds(order))
        }
        _ => match setting(filter, scope)? {
            Setting::Bool(truth) => Some(truth),
            Setting::Text(text) => match &*text {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
        },
    }
}

/// All of them: false as soon as one is false, whatever else is undefined.
pub(super) fn conjunction(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(true);
    for part in parts {
        match part {
            Some(false) => return Some(false),
            Some(true) => {}
            None => all = None,
        }
    }
    all
}

/// What a string, a number, a constant or a variable stands for.
pub fn setting<'a>(value: &'a Value<'_>, scope: &'a dyn Scope) -> Option<Setting<'a>> {
    match &value.kind {
        Kind::Bool(truth) => Some(Setting::Bool(*truth)),
        Kind::Integer(number) => Some(Setting::Text(number.to_string().into())),
        Kind::String(text) => Some(Setting::Text(interpolate(text, scope))),
        Kind::Variable(name) => scope.variable(name),
        Kind::Group(parts) if parts.len() == 1 => setting(&parts[0], scope),
        Kind::And(_) | Kind::Or(_) | Kind::Not(_) | Kind::Defined(_) | Kind::Compare(..) | Kind::Group(_) => {
            truth(value, scope).map(Setting::Bool)
        }
        _ => None,
    }
}

/// Bytes that a string may have when it is filled in. What is longer is cut off there, which those who
/// use the string see by its length: none of them takes as much.
pub const MOST_BYTES: usize = 8 << 20;

/// A string with the values of its variables: `%{name}%`, `%{name?yes:no}%`; `%%` is `%`. What is not
/// defined is empty.
pub fn interpolate<'a>(text: &'a str, scope: &dyn Scope) -> Cow<'a, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let (filled, _) = fill(text.as_bytes(), scope, MOST_BYTES);
    Cow::Owned(String::from_utf8_lossy(&filled).into_owned())
}

/// The same for a whole file, whatever its encoding; `None` when that gives more than `most` bytes.
pub fn interpolate_bytes(text: &[u8], scope: &dyn Scope, most: usize) -> Option<Vec<u8>> {
    let (filled, is_whole) = fill(text, scope, most);
    is_whole.then_some(filled)
}

/// Fills `text` in, up to `most` bytes, and says whether that is all.
fn fill(text: &[u8], scope: &dyn Scope, most: usize) -> (Vec<u8>, bool) {
    let mut result = Vec::with_capacity(text.len().min(most));
    let mut rest = text;
    // With so many bytes left, this line has no `}%` any more: it is looked for once in a line.
    let mut unclosed = 0..0;
    while let Some(at) = memchr::memchr(b'%', rest) {
        result.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let inner = rest.strip_prefix(b"{").filter(|inner| !unclosed.contains(&inner.len()));
        if let Some(after) = rest.strip_prefix(b"%") {
            result.push(b'%');
            rest = after;
        } else if let Some(inner) = inner {
            let (end, is_closed) = end_of_variable(inner);
            if is_closed {
                match std::str::from_utf8(&inner[..end]) {
                    Ok(name) => result.extend_from_slice(expansion(name, scope).as_bytes()),
                    Err(_) => result.extend_from_slice(&text[text.len() - rest.len() - 1..][..end + 4]),
                }
                rest = &inner[end + 2..];
            } else {
                unclosed = inner.len() - end..inner.len();
                result.push(b'%');
            }
        } else {
            result.push(b'%');
        }
        if result.len() > most {
            result.truncate(most);
            return (result, false);
        }
    }
    result.extend_from_slice(rest);
    let is_whole = result.len() <= most;
    result.truncate(most);
    (result, is_whole)
}

/// Where the name that `inner` begins with is closed, or where its line ends without that.
fn end_of_variable(inner: &[u8]) -> (usize, bool) {
    for at in memchr::memchr2_iter(b'}', b'\n', inner) {
        match &inner[at..] {
            [b'}', b'%', ..] => return (at, true),
            [b'\n', ..] => return (at, false),
            _ => {}
        }
    }
    (inner.len(), false)
}

fn expansion(inner: &str, scope: &dyn Scope) -> String {
    let Some((name, choices)) = inner.split_once('?') else {
        return scope.variable(inner).map(|value| value.as_text().to_owned()).unwrap_or_default();
    };
    let (yes, no) = choices.split_once(':').unwrap_or((choices, ""));
    let value = scope.variable(name);
    let chosen = if value.is_some_and(|value| value.as_text() == "true") { yes } else { no };
    chosen.to_owned()
}
