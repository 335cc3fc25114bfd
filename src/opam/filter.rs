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

/// A string with the values of its variables: `%{name}%`, `%{name?yes:no}%`; `%%` is `%`. What is not
/// defined is empty.
pub fn interpolate<'a>(text: &'a str, scope: &dyn Scope) -> Cow<'a, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            result.push('%');
            rest = after;
        } else if let Some((inner, after)) = rest.strip_prefix('{').and_then(|inner| inner.split_once("}%")) {
            result.push_str(&expansion(inner, scope));
            rest = after;
        } else {
            result.push('%');
        }
    }
    result.push_str(rest);
    Cow::Owned(result)
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
