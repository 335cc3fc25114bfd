//! `build.toml`: what every package build gets, and the presets of the build systems.

use std::collections::BTreeMap;

use crate::diagnostic::{Problem, SourceError, SourceFile};
use crate::name::RecipeName;
use crate::package::{PACKAGE_SCOPE, PackageBuild};
use crate::path::AbsolutePath;
use crate::recipe::template::{Scope, Template};
use crate::recipe::values::{Argv, Environment, commands, limits};
use crate::recipe::{RecipeKind, purpose};
use crate::request::Limits;
use crate::toml_reader::{Table, Value, suggestion};

/// Variables of a build system's commands and of the environment: those of packages.
const SCOPE: &Scope = &PACKAGE_SCOPE;

/// What every package build gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildRecipe {
    pub purpose: String,
    /// Where packages are installed, whatever their hash.
    pub prefix: AbsolutePath,
    /// Where the source is, writable, and where commands run.
    pub workdir: AbsolutePath,
    /// What `${jobs}` is: the same on every machine, so that it can be part of the key.
    pub jobs: u64,
    pub env: Environment,
    pub limits: Limits,
    systems: BTreeMap<RecipeName, System>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct System {
    build: Vec<Argv>,
    install: Vec<Argv>,
    install_file: Option<Template>,
}

/// The commands of one package: its build system's preset with what the package changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    pub build: Vec<Argv>,
    pub install: Vec<Argv>,
    /// A `.install` file below the working directory, which is followed after `install`.
    pub install_file: Option<Template>,
}

impl BuildRecipe {
    /// The commands of a package whose recipe is `file`.
    pub fn steps(&self, build: &PackageBuild, file: &SourceFile) -> Result<Steps, SourceError> {
        let Some(system) = self.systems.get(&build.system) else {
            let known = self.systems.keys().map(RecipeName::as_str);
            return Err(SourceError::new(
                file,
                vec![Problem {
                    code: "jtwbuild::package::unknown-system".into(),
                    message: format!("unknown build system `{}`", build.system),
                    span: build.system_span.clone(),
                    label: "not in `build.toml`".into(),
                    help: Some(suggestion(build.system.as_str(), known)),
                }],
            ));
        };
        let mut commands = system.build.clone();
        if let Some(last) = commands.pop() {
            commands.push(last.with(&build.args));
        }
        Ok(Steps {
            build: build.commands.clone().unwrap_or(commands),
            install: build.install.clone().unwrap_or_else(|| system.install.clone()),
            install_file: build.install_file.clone().or_else(|| system.install_file.clone()),
        })
    }
}

impl RecipeKind for BuildRecipe {
    const PATH: &'static str = "build.toml";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let purpose = purpose(table);
        let prefix = table.required("prefix", Value::text);
        let workdir = table.required("workdir", Value::text);
        let jobs = table.required("jobs", |value| value.integer(1..=64));
        let env = table.required("env", |value| Environment::read(value, SCOPE));
        let limits = table.required("limits", limits);
        let systems = table.required("system", |value| {
            value.map(|place, name, value| {
                let Some(name) = RecipeName::new(name) else {
                    place.problem("name", "this is not the name of a build system", "bad name", None);
                    return None;
                };
                Some((name, value.table(system)?))
            })
        });
        Some(Self {
            purpose: purpose?,
            prefix: prefix?,
            workdir: workdir?,
            jobs: jobs?,
            env: env?,
            limits: limits?,
            systems: systems?.into_iter().collect(),
        })
    }
}

fn system(table: &mut Table<'_>) -> Option<System> {
    let build = table.required("build", |value| commands(value, SCOPE));
    let install = table.required("install", |value| commands(value, SCOPE));
    let install_file = table.optional("install-file", |value| Template::read(value, SCOPE));
    Some(System { build: build?, install: install?, install_file })
}
