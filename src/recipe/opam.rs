//! `opam.toml`: what every build of a package of an opam repository gets.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::{PackageName, RecipeName};
use crate::path::AbsolutePath;
use crate::recipe::template::Scope;
use crate::recipe::values::{Environment, limits};
use crate::recipe::{RecipeKind, purpose};
use crate::request::Limits;
use crate::toml_reader::{FromText, Table, Value};

/// Variables of the environment.
const SCOPE: Scope = Scope { variables: &["name", "version", "prefix", "workdir", "jobs"], facts: true };

/// Longer names of extensions are shortened: they are shown.
const MAX_EXTENSION_NAME: usize = 60;

/// What every such build gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpamRecipe {
    pub purpose: String,
    /// The base of builds whose compiler is built too.
    pub base: RecipeName,
    /// The base of builds with the distribution's compiler.
    pub system: RecipeName,
    /// Where packages are installed, whatever their hash.
    pub prefix: AbsolutePath,
    /// Where the source is, writable, and where commands run.
    pub workdir: AbsolutePath,
    /// What `${jobs}` is: the same on every machine, so that it can be part of the key.
    pub jobs: u32,
    /// Package recipes that every site gets.
    pub standard_libraries: Vec<PackageName>,
    pub env: Environment,
    pub limits: Limits,
    /// Packages whose JavaScript implements the primitives of the package with this name.
    pub javascript: BTreeMap<PackageName, Vec<PackageName>>,
}

impl OpamRecipe {
    /// What the lock calls an extension of a base by distribution packages.
    pub fn extension_name(base: &RecipeName, packages: &BTreeSet<&str>) -> RecipeName {
        let packages: Vec<&str> = packages.iter().copied().collect();
        let name = format!("{base}+{}", packages.join("+"));
        RecipeName::new(&name).filter(|_| name.len() <= MAX_EXTENSION_NAME).unwrap_or_else(|| {
            let digest = blake3::hash(name.as_bytes()).to_hex();
            let name = format!("{base}+{}-packages-{}", packages.len(), &digest[..12]);
            RecipeName::new(&name).expect("a base's name with digits behind it is a name")
        })
    }
}

impl RecipeKind for OpamRecipe {
    const PATH: &'static str = "opam.toml";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let purpose = purpose(table);
        let base = table.required("base", Value::text);
        let system = table.required("system", Value::text);
        let prefix = table.required("prefix", Value::text);
        let workdir = table.required("workdir", Value::text);
        let jobs = table.required("jobs", |value| u32::try_from(value.integer(1..=64)?).ok());
        let standard_libraries = table.optional("standard-libraries", |value| value.list(Value::text));
        let env = table.required("env", |value| Environment::read(value, &SCOPE));
        let limits = table.required("limits", limits);
        let javascript = table.optional("javascript", |value| {
            value.map(|place, name, value| {
                let name = PackageName::from_text(name)
                    .map_err(|error| place.problem(error.code, error.message, error.label, error.help));
                Some((name.ok()?, value.list(Value::text)?))
            })
        });
        Some(Self {
            purpose: purpose?,
            base: base?,
            system: system?,
            prefix: prefix?,
            workdir: workdir?,
            jobs: jobs?,
            standard_libraries: standard_libraries.unwrap_or_default(),
            env: env?,
            limits: limits?,
            javascript: javascript.unwrap_or_default().into_iter().collect(),
        })
    }
}
