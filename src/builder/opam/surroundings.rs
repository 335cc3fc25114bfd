//! What surrounds the build of an opam package: the variables that it sees, and the environment of
//! its commands.

use std::collections::BTreeMap;

use super::{LocalBuilder, of_file};
use crate::derivation::{CONFIG_DIRECTORY, OpamBuild, Present};
use crate::opam::config::Config;
use crate::opam::environment;
use crate::opam::syntax::OpamFile;
use crate::opam::variables::{Package, SeenBy, Variables};
use crate::outcome::Failure;
use crate::realise::{Job, machine_trouble};
use crate::store::tree::RelPath;

/// Everything that the fields of the opam file are evaluated with.
pub(super) struct Surroundings {
    variables: Variables,
    /// The whole environment of every command.
    pub environment: BTreeMap<String, String>,
}

impl Surroundings {
    /// Reads what the packages that are there define.
    pub fn read(
        builder: &LocalBuilder<'_>,
        job: &Job<'_>,
        build: &OpamBuild,
        fields: &OpamFile<'_>,
    ) -> Result<Self, Failure> {
        let mut packages = BTreeMap::new();
        for present in &build.present {
            let package = Package {
                name: present.package.clone(),
                version: present.version.clone(),
                is_installed: true,
                config: config(builder, job, present)?,
            };
            packages.insert(present.package.clone(), package);
        }
        let own = Package {
            name: build.package.clone(),
            version: build.version.clone(),
            is_installed: false,
            config: Config::default(),
        };
        packages.insert(build.package.clone(), own);
        let direct = build.present.iter().filter(|present| present.direct);
        let variables = Variables {
            globals: build.variables.clone(),
            prefix: build.prefix.clone(),
            workdir: build.workdir.clone(),
            packages,
            own: build.package.clone(),
            depends: direct.map(|present| format!("{}.{}", present.package, present.version)).collect(),
        };
        let environment = environment(build, &variables, fields)?;
        Ok(Self { variables, environment })
    }

    /// The variables as the package itself sees them.
    pub fn own_scope(&self) -> SeenBy<'_> {
        SeenBy { variables: &self.variables, own: &self.variables.own }
    }
}

/// What a dependency's `.config` file defines.
fn config(builder: &LocalBuilder<'_>, job: &Job<'_>, present: &Present) -> Result<Config, Failure> {
    let bad = |reason: &dyn std::fmt::Display| Failure::BadInput {
        what: format!("the .config file of {}.{}", present.package, present.version),
        reason: reason.to_string(),
    };
    let path = format!("{CONFIG_DIRECTORY}/{}.config", present.package);
    let path = RelPath::parse(path).map_err(|error| bad(&error))?;
    let layer = builder.tree(&job.trees[present.layer])?;
    let text = builder.store.read_in(&layer, &path).map_err(|error| machine_trouble(&error))?;
    text.map_or_else(|| Ok(Config::default()), |text| Config::parse(&text).map_err(|error| bad(&error)))
}

/// The fixed environment, what opam adds, what packages that are there set, and `build-env`.
fn environment(
    build: &OpamBuild,
    variables: &Variables,
    fields: &OpamFile<'_>,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut environment = build.request.env.clone();
    let global = |name: &str| build.variables.get(name).cloned().unwrap_or_default();
    let prefix = &build.prefix;
    let first = format!("{prefix}/bin:");
    let path = format!("{first}{}", environment.get("PATH").map_or("", String::as_str));
    let added = [
        ("PATH", path),
        ("MANPATH", format!(":{prefix}/man")),
        ("OPAM_SWITCH_PREFIX", prefix.clone()),
        ("OPAMSWITCH", global("switch")),
        ("OPAMROOT", global("root")),
        ("OPAMCLI", "2.0".to_owned()),
        ("OPAM_PACKAGE_NAME", build.package.clone()),
        ("OPAM_PACKAGE_VERSION", build.version.clone()),
        ("CDPATH", String::new()),
        ("MAKEFLAGS", String::new()),
        ("MAKELEVEL", String::new()),
    ];
    environment.extend(added.map(|(name, value)| (name.to_owned(), value)));
    for present in &build.present {
        let Some(setenv) = &present.setenv else { continue };
        let bad = |reason: &str| Failure::BadInput {
            what: format!("the opam file of {}.{}", present.package, present.version),
            reason: format!("`setenv`: {reason}"),
        };
        let text = format!("setenv: {setenv}\n");
        let file = OpamFile::parse(&text).map_err(|error| bad(&error.message))?;
        let scope = SeenBy { variables, own: &present.package };
        if let Some(value) = file.field("setenv") {
            environment::apply(value, &scope, &mut environment, &first)
                .map_err(|misfit| bad(&misfit.message))?;
        }
    }
    if let Some(value) = fields.field("build-env") {
        let scope = SeenBy { variables, own: &build.package };
        environment::apply(value, &scope, &mut environment, &first)
            .map_err(|misfit| of_file(build, &format!("`build-env`: {}", misfit.message)))?;
    }
    Ok(environment)
}
