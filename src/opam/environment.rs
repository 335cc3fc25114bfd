//! `setenv` and `build-env`: what packages do to the environment of commands.
//!
//! The operators are those of the opam 2 manual ("Environment updates"): `=` sets, `+=` and `=+` put
//! a value in front of or behind the old one, `:=` and `=:` do the same but keep the separator when
//! there is no old value.

use std::collections::BTreeMap;

use super::commands::{Filtered, MOST_BYTES, Misfit};
use super::filter::{self, Scope};
use super::syntax::{Kind, Value};
use crate::name::VariableName;
use crate::version::Relation;

/// What stands between the parts of a variable that holds several paths.
const SEPARATOR: char = ':';

/// How a new value meets the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Set,
    Before,
    After,
    BeforeSeparated,
    AfterSeparated,
}

/// One change of one variable.
struct Update<'v> {
    name: &'v str,
    operator: Operator,
    value: &'v str,
    whole: &'v Value<'v>,
}

const HELP: &str = "write `[NAME = \"value\"]`, or `+=`, `=+`, `:=`, `=:` in place of `=`";

/// Checks that a field holds changes of variables.
pub fn check(field: &Value<'_>) -> Result<(), Misfit> {
    updates(field, &mut |_| Ok(()))
}

/// Makes the changes of `field` to `environment`.
///
/// `fixed` is what `PATH` always begins with, a colon behind it included: changes of `PATH` are made
/// behind that.
pub fn apply(
    field: &Value<'_>,
    scope: &dyn Scope,
    environment: &mut BTreeMap<String, String>,
    fixed: &str,
) -> Result<(), Misfit> {
    updates(field, &mut |update| {
        let value = filter::interpolate(update.value, scope);
        let fixed = if update.name == "PATH" { fixed } else { "" };
        let old = environment.get(update.name).map_or("", String::as_str);
        let changed =
            format!("{fixed}{}", update.operator.changed(old.strip_prefix(fixed).unwrap_or(old), &value));
        if changed.len() > MOST_BYTES || changed.contains('\0') {
            let message =
                format!("`{}` would hold a NUL byte or more than {} MiB", update.name, MOST_BYTES >> 20);
            return Err(Misfit::new(update.whole, message, "a variable's value is at fault"));
        }
        environment.insert(update.name.to_owned(), changed);
        Ok(())
    })
}

impl Operator {
    fn changed(self, old: &str, new: &str) -> String {
        match self {
            Self::Set => new.to_owned(),
            Self::Before | Self::After if old.is_empty() => new.to_owned(),
            Self::Before | Self::BeforeSeparated => format!("{new}{SEPARATOR}{old}"),
            Self::After | Self::AfterSeparated => format!("{old}{SEPARATOR}{new}"),
        }
    }
}

/// Tells `each` the changes in written order: one, a list of them, or a list of lists.
fn updates(field: &Value<'_>, each: &mut dyn FnMut(Update<'_>) -> Result<(), Misfit>) -> Result<(), Misfit> {
    // What stands in braces behind a change is a remark.
    let value = Filtered::new(field).value;
    match &value.kind {
        Kind::List(parts) => parts.iter().try_for_each(|part| updates(part, each)),
        Kind::Update(operator, name, text) => {
            let operator = match *operator {
                "+=" | "=+=" => Operator::Before,
                "=+" => Operator::After,
                ":=" => Operator::BeforeSeparated,
                "=:" => Operator::AfterSeparated,
                _ => return Err(Misfit::new(value, "this is no change of a variable", HELP)),
            };
            update(value, name, operator, text, each)
        }
        Kind::Compare(Relation::Equal, name, text) => update(value, name, Operator::Set, text, each),
        _ => Err(Misfit::new(value, "this is no change of a variable", HELP)),
    }
}

fn update(
    whole: &Value<'_>,
    name: &Value<'_>,
    operator: Operator,
    text: &Value<'_>,
    each: &mut dyn FnMut(Update<'_>) -> Result<(), Misfit>,
) -> Result<(), Misfit> {
    let (Kind::Variable(variable), Kind::String(value)) = (&name.kind, &text.kind) else {
        return Err(Misfit::new(whole, "this is no change of a variable", HELP));
    };
    if VariableName::new(variable).is_none() {
        let message = format!("`{variable}` cannot be the name of an environment variable");
        return Err(Misfit::new(name, message, "letters, digits and `_`, no digit in front"));
    }
    if value.contains('\0') {
        return Err(Misfit::new(text, "no variable of the environment can hold a NUL byte", HELP));
    }
    each(Update { name: variable, operator, value, whole })
}
