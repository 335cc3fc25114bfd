//! The package model that every kind of repository yields, and its TOML form
//! (`recipes/packages/<name>/<version>.toml`).

pub mod formula;
pub mod index;
pub mod set;

use std::fmt;
use std::path::Path;

use crate::diagnostic::{SourceError, SourceFile, Span};
use crate::name::{LibraryName, PackageName, RecipeName};
use crate::path::RelativePath;
use crate::recipe::template::{Scope, Template};
use crate::recipe::values::{Argv, Environment, PackageSource, commands, package_source};
use crate::toml_reader::{FromText, Table, TextError, Value, one_of, read_file};
use crate::version::{Constraint, Relation, Version};

/// Variables of a package's commands.
pub const PACKAGE_SCOPE: Scope =
    Scope { variables: &["name", "version", "prefix", "workdir", "jobs"], facts: true };

/// A package and conditions on its version: `cmdliner >= 1.3 & < 2.0`.
#[derive(Clone, Debug)]
pub struct Requirement {
    pub name: PackageName,
    /// All must hold; none means any version.
    pub constraints: Vec<Constraint>,
    /// Where it is written: in a file of the universe, or, with file 0, in a recipe.
    pub span: Span,
}

impl Requirement {
    /// Whether `version` satisfies every condition.
    pub fn allows(&self, version: &Version) -> bool {
        self.constraints.iter().all(|constraint| constraint.allows(version))
    }

    /// Reads a requirement from the file with this index.
    pub fn read(value: Value<'_>, file: u32) -> Option<Self> {
        let mut requirement: Self = value.text()?;
        requirement.span = value.span_in(file);
        Some(requirement)
    }
}

/// As it would be written.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        self.constraints.iter().enumerate().try_for_each(|(index, constraint)| {
            write!(f, "{}{constraint}", if index == 0 { " " } else { " & " })
        })
    }
}

/// `name`, `name.version`, or `name` followed by conditions joined by `&`.
impl FromText for Requirement {
    fn from_text(text: &str) -> Result<Self, TextError> {
        let name_end = text.find(|c: char| c.is_whitespace() || ".=<>!&".contains(c)).unwrap_or(text.len());
        let name = PackageName::from_text(&text[..name_end])
            .map_err(|error| TextError { within: Some(0..name_end), ..error })?;
        let rest = &text[name_end..];
        let constraints = match rest.strip_prefix('.') {
            Some(version) => {
                let version = part(text, version, Version::from_text)?;
                vec![Constraint { relation: Relation::Equal, version }]
            }
            None if rest.trim().is_empty() => Vec::new(),
            None => rest
                .split('&')
                .map(|condition| part(text, condition, constraint))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self { name, constraints, span: Span::default() })
    }
}

/// Reads `part`, a slice of `text`, and lets its errors say where it is.
fn part<T>(text: &str, part: &str, read: impl FnOnce(&str) -> Result<T, TextError>) -> Result<T, TextError> {
    let trimmed = part.trim();
    read(trimmed).map_err(|error| {
        let start = trimmed.as_ptr() as usize - text.as_ptr() as usize;
        let within = error.within.clone().unwrap_or(0..trimmed.len());
        TextError { within: Some(start + within.start..start + within.end), ..error }
    })
}

fn constraint(text: &str) -> Result<Constraint, TextError> {
    for (symbol, relation) in Relation::ALL {
        if let Some(version) = text.strip_prefix(symbol) {
            return Ok(Constraint { relation, version: part(text, version, Version::from_text)? });
        }
    }
    let message = match text {
        "" => "a condition on a version is missing".to_owned(),
        _ => format!("`{}` is not a condition on a version", text.escape_debug()),
    };
    Err(TextError {
        code: "constraint",
        message,
        label: "not a condition".into(),
        help: Some("write `=`, `!=`, `<`, `<=`, `>` or `>=` and a version, joined by `&`".into()),
        within: None,
    })
}

/// One version of a package, as its recipe describes it.
#[derive(Clone, Debug)]
pub struct PackageRecipe {
    pub name: PackageName,
    pub version: Version,
    /// The recipe's file; spans of the requirements below are bytes of its text.
    pub file: SourceFile,
    pub description: String,
    /// For people: an `http` or `https` address, and an SPDX expression.
    pub homepage: Option<String>,
    pub license: Option<String>,
    /// What users of the package see too.
    pub depends: Vec<Requirement>,
    /// What only its build sees.
    pub build_depends: Vec<Requirement>,
    /// The findlib libraries that it installs.
    pub findlib: Vec<LibraryName>,
    pub provision: Provision,
    /// Packages whose JavaScript implements this package's C primitives.
    pub primitives_from: Vec<Requirement>,
}

/// Where a package comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provision {
    /// The base has it: nothing is built and there is no layer.
    Base,
    /// It is built, from a source if there is one.
    Built { source: Option<PackageSource>, build: Box<PackageBuild> },
}

/// How a package is built: what differs from its build system's preset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageBuild {
    /// The preset of `recipes/build.toml`.
    pub system: RecipeName,
    /// Bytes of the system's name in the recipe.
    pub system_span: std::ops::Range<usize>,
    /// Put behind the last build command of the preset.
    pub args: Vec<Template>,
    /// In place of the preset's build commands.
    pub commands: Option<Vec<Argv>>,
    /// In place of the preset's install commands.
    pub install: Option<Vec<Argv>>,
    /// A `.install` file below the working directory, in place of the preset's.
    pub install_file: Option<Template>,
    /// On top of the environment of every build.
    pub env: Environment,
}

impl PackageRecipe {
    /// Reads the recipe of `name` and `version`. Paths in it are relative to `directory`; a
    /// built-in recipe has none.
    pub fn parse(
        file: &SourceFile,
        name: &PackageName,
        version: &Version,
        directory: Option<&Path>,
    ) -> Result<Self, SourceError> {
        read_file(file, "package", |table| {
            let description = table.required("description", Value::line);
            let homepage = table.optional("homepage", |value| value.text_with(homepage));
            let license = table.optional("license", Value::line);
            let depends = requirements(table, "depends");
            let build_depends = requirements(table, "build-depends");
            let findlib = table.optional("findlib", |value| value.list(Value::text)).unwrap_or_default();
            let primitives_from = table
                .optional("javascript", |value| {
                    value.table(|table| Some(requirements(table, "primitives-from")))
                })
                .unwrap_or_default();
            let provision = provision(table, directory);
            Some(Self {
                name: name.clone(),
                version: version.clone(),
                file: file.clone(),
                description: description?,
                homepage,
                license,
                depends,
                build_depends,
                findlib,
                provision: provision?,
                primitives_from,
            })
        })
    }

    /// Whether the base has it, so that it has no layer of its own.
    pub fn is_provided_by_base(&self) -> bool {
        self.provision == Provision::Base
    }
}

fn homepage(text: &str) -> Result<String, TextError> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    if rest.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TextError {
            code: "homepage",
            message: format!("`{}` is not the address of a web page", text.escape_debug()),
            label: "not an address".into(),
            help: Some("write it as `https://example.org/`".into()),
            within: None,
        });
    }
    Ok(text.to_owned())
}

fn requirements(table: &mut Table<'_>, key: &'static str) -> Vec<Requirement> {
    table.optional(key, |value| value.list(|value| Requirement::read(value, 0))).unwrap_or_default()
}

fn provision(table: &mut Table<'_>, directory: Option<&Path>) -> Option<Provision> {
    let provided_by = table.get("provided-by");
    let source = table.get("source");
    let build = table.get("build");
    if let Some(provided_by) = provided_by {
        for value in [source, build].into_iter().flatten() {
            value.problem(
                "provided",
                "a package that the base provides is not built",
                "not with `provided-by`",
                None,
            );
        }
        return provided_by
            .text_with(|text| one_of(text, "provider", &[("base", ())]).map(|()| Provision::Base));
    }
    let source = match source {
        None => None,
        Some(source) => Some(package_source(source, directory)?),
    };
    let Some(build) = build else {
        let help = "say how it is built in `[build]`, or `provided-by = \"base\"`";
        table.problem("missing-key", "`build` is missing", "it belongs here", Some(help.into()));
        return None;
    };
    Some(Provision::Built { source, build: Box::new(build.table(package_build)?) })
}

fn package_build(table: &mut Table<'_>) -> Option<PackageBuild> {
    let system = table.required("system", |value| Some((value.text()?, value.span())));
    let args = table.get("args");
    let own_commands = table.get("commands");
    if let (Some(args), Some(_)) = (args, own_commands) {
        let help = "put the arguments into the commands";
        args.problem(
            "args",
            "`args` are for the system's own commands",
            "not with `commands`",
            Some(help.into()),
        );
    }
    let args = args.and_then(|value| value.list(|value| Template::read(value, &PACKAGE_SCOPE)));
    let own_commands = own_commands.and_then(|value| commands(value, &PACKAGE_SCOPE));
    let install = table.optional("install", |value| commands(value, &PACKAGE_SCOPE));
    let install_file = table.optional("install-file", |value| {
        let _: RelativePath = value.text()?;
        Template::read(value, &PACKAGE_SCOPE)
    });
    let env = table.optional("env", |value| Environment::read(value, &PACKAGE_SCOPE));
    let (system, system_span) = system?;
    Some(PackageBuild {
        system,
        system_span,
        args: args.unwrap_or_default(),
        commands: own_commands,
        install,
        install_file,
        env: env.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
