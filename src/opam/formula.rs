//! Reads the formulas of `depends`, `depopts` and `conflicts`.
//!
//! Conditions mix versions and filters. A package whose condition is false vanishes from its formula,
//! wherever it stands; it does not make the formula false (opam 2 manual, "Package formulas").

use super::filter::{self, Scope};
use super::syntax::{Kind, Span, Value};
use crate::package::formula::{Atom, Formula, Versions};

/// What the items of a list have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Items {
    /// All have to hold: `depends`.
    All,
    /// Each is for itself: `depopts`, `conflicts`.
    Any,
}

/// Where a value stands that is no part of a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAFormula(pub Span);

/// Reads a formula, with its filters decided by `scope`. Nothing is left when every condition is
/// false.
pub fn read(value: &Value<'_>, items: Items, scope: &dyn Scope) -> Result<Option<Formula>, NotAFormula> {
    let (parts, all) = match &value.kind {
        Kind::List(parts) => (parts, items == Items::All),
        Kind::Group(parts) | Kind::And(parts) => (parts, true),
        Kind::Or(parts) => (parts, false),
        Kind::String(name) => return Ok(Some(atom(name, Versions::Every))),
        Kind::Option(inner, conditions) => {
            let Kind::String(name) = &inner.kind else { return Err(NotAFormula(inner.span)) };
            return Ok(match conjunction(conditions, scope) {
                Condition::True => Some(atom(name, Versions::Every)),
                Condition::Versions(versions) => Some(atom(name, versions)),
                Condition::False | Condition::Undefined => None,
            });
        }
        _ => return Err(NotAFormula(value.span)),
    };
    let mut left = Vec::with_capacity(parts.len());
    for part in parts {
        left.extend(read(part, items, scope)?);
    }
    Ok(match left.len() {
        0 => None,
        1 => left.pop(),
        _ if all => Some(Formula::All(left)),
        _ => Some(Formula::Any(left)),
    })
}

fn atom(name: &str, versions: Versions) -> Formula {
    Formula::Atom(Atom { name: name.to_owned(), versions })
}

/// What a condition comes to.
enum Condition {
    True,
    False,
    Undefined,
    Versions(Versions),
}

fn condition(value: &Value<'_>, scope: &dyn Scope) -> Condition {
    match &value.kind {
        Kind::Constraint(relation, version) => match filter::setting(version, scope) {
            Some(version) => Condition::Versions(Versions::That(*relation, version.as_text().to_owned())),
            None => Condition::Undefined,
        },
        Kind::And(parts) | Kind::Group(parts) => conjunction(parts, scope),
        Kind::Or(parts) => disjunction(parts, scope),
        Kind::Not(inner) => match condition(inner, scope) {
            Condition::True => Condition::False,
            Condition::False => Condition::True,
            Condition::Undefined => Condition::Undefined,
            Condition::Versions(versions) => Condition::Versions(versions.negated()),
        },
        _ => match filter::truth(value, scope) {
            Some(true) => Condition::True,
            Some(false) => Condition::False,
            None => Condition::Undefined,
        },
    }
}

/// False as soon as one part is, then undefined as soon as one part is.
fn conjunction(parts: &[Value<'_>], scope: &dyn Scope) -> Condition {
    let (mut versions, mut undefined) = (Vec::new(), false);
    for part in parts {
        match condition(part, scope) {
            Condition::True => {}
            Condition::False => return Condition::False,
            Condition::Undefined => undefined = true,
            Condition::Versions(part) => versions.push(part),
        }
    }
    match versions.len() {
        _ if undefined => Condition::Undefined,
        0 => Condition::True,
        1 => Condition::Versions(versions.remove(0)),
        _ => Condition::Versions(Versions::All(versions)),
    }
}

/// True as soon as one part is; parts that are undefined do not help.
fn disjunction(parts: &[Value<'_>], scope: &dyn Scope) -> Condition {
    let (mut versions, mut undefined) = (Vec::new(), false);
    for part in parts {
        match condition(part, scope) {
            Condition::True => return Condition::True,
            Condition::False => {}
            Condition::Undefined => undefined = true,
            Condition::Versions(part) => versions.push(part),
        }
    }
    match versions.len() {
        0 if undefined => Condition::Undefined,
        0 => Condition::False,
        1 => Condition::Versions(versions.remove(0)),
        _ => Condition::Versions(Versions::Any(versions)),
    }
}
