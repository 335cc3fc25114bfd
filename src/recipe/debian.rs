//! `debian.toml`: what is taken of the packages of libraries of a Debian suite.

use std::collections::BTreeMap;

use crate::name::PackageName;
use crate::path::RelativePath;
use crate::recipe::template::{Scope, Template};
use crate::recipe::{RecipeKind, purpose};
use crate::toml_reader::{FromText, Table, Value};

/// Only what the base states can be named.
const SCOPE: Scope = Scope { variables: &[], facts: true };

/// What is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebianRecipe {
    pub purpose: String,
    /// Components of the suite that are looked at.
    pub components: Vec<String>,
    /// Directories whose content is taken; the first that has a file decides.
    pub directories: Vec<Template>,
    /// The directory below the prefix of packages that it goes to.
    pub to: RelativePath,
    /// Patterns of what is taken, below those directories.
    pub keep: Vec<String>,
    /// Packages whose JavaScript implements the primitives of the package with this name.
    pub javascript: BTreeMap<PackageName, Vec<PackageName>>,
}

impl RecipeKind for DebianRecipe {
    const PATH: &'static str = "debian.toml";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let purpose = purpose(table);
        let components = table.required("components", |value| value.non_empty_list(Value::word));
        let directories = table
            .required("directories", |value| value.non_empty_list(|value| Template::read(value, &SCOPE)));
        let to = table.required("to", Value::text);
        let keep = table.required("keep", |value| value.non_empty_list(Value::line));
        let javascript = table.optional("javascript", |value| {
            value.map(|place, name, value| {
                let name = PackageName::from_text(name)
                    .map_err(|error| place.problem(error.code, error.message, error.label, error.help));
                Some((name.ok()?, value.list(Value::text)?))
            })
        });
        Some(Self {
            purpose: purpose?,
            components: components?,
            directories: directories?,
            to: to?,
            keep: keep?,
            javascript: javascript.unwrap_or_default().into_iter().collect(),
        })
    }
}
