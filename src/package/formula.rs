//! Formulas over packages: what one version of a package asks of others.

use crate::version::Relation;

/// What is asked of packages.
#[derive(Clone, Debug, PartialEq)]
pub enum Formula {
    Atom(Atom),
    /// All of them; without any there is no constraint.
    All(Vec<Formula>),
    /// At least one of them; never empty.
    Any(Vec<Formula>),
}

/// A package and the versions of it that will do. The name is as it was written: there may be no
/// such package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atom {
    pub name: String,
    pub versions: Versions,
}

/// A condition on versions. Those that it names are compared, and need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Versions {
    Every,
    That(Relation, String),
    All(Vec<Versions>),
    Any(Vec<Versions>),
    Not(Box<Versions>),
}

impl Formula {
    /// Tells `each` every atom, in written order.
    pub fn atoms<'f>(&'f self, each: &mut dyn FnMut(&'f Atom)) {
        match self {
            Self::Atom(atom) => each(atom),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.atoms(each)),
        }
    }
}

impl Versions {
    /// All other versions.
    pub fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}
