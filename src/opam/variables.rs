//! The variables that commands, `substs` and environments see: of the machine, of the package
//! itself, and of the packages that are there.
//!
//! Names are those of the opam 2 manual ("Variables"): `jobs`, `_:name`, `ocaml:native`,
//! `lwt+ptime:enable`.

use std::collections::BTreeMap;

use super::Platform;
use super::config::Config;
use super::filter::{Scope, Setting, conjunction};

/// Global variables for one platform, as they are for a release that nobody tests or documents.
///
/// `jobs` is how many things a package's own build system may do at once; `prefix` where packages
/// are installed: `<root>/<switch>` for opam.
pub fn globals(platform: &Platform, jobs: u32, prefix: &str) -> BTreeMap<String, String> {
    let (root, switch) = prefix.rsplit_once('/').unwrap_or(("", prefix));
    let mut all: BTreeMap<String, String> =
        platform.variables().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let jobs = jobs.to_string();
    let fixed = [
        ("jobs", jobs.as_str()),
        ("make", "make"),
        ("root", root),
        ("switch", switch),
        ("user", "builder"),
        ("group", "builder"),
        ("pinned", "false"),
        ("dev", "false"),
        ("with-test", "false"),
        ("with-doc", "false"),
        ("with-dev-setup", "false"),
    ];
    all.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
    all
}

/// A package as variables show it.
#[derive(Clone, Debug)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// Whether it is there, rather than about to be built.
    pub is_installed: bool,
    /// What its `.config` file defines.
    pub config: Config,
}

/// All variables while one package is built.
#[derive(Clone, Debug)]
pub struct Variables {
    /// Those without a package: of the platform, `jobs`, …
    pub globals: BTreeMap<String, String>,
    pub prefix: String,
    /// Where the package itself is built.
    pub workdir: String,
    /// Names of the packages that are there, with the package that is built.
    pub packages: BTreeMap<String, Package>,
    /// The name of the package that is built.
    pub own: String,
    /// What it names itself and is there, as `name.version`.
    pub depends: Vec<String>,
}

/// The variables as `own` sees them: `_:x` and plain `name` and `version` are its.
#[derive(Clone, Copy, Debug)]
pub struct SeenBy<'a> {
    pub variables: &'a Variables,
    pub own: &'a str,
}

impl Scope for SeenBy<'_> {
    fn variable(&self, name: &str) -> Option<Setting<'_>> {
        match name.split_once(':') {
            None => self.global(name),
            Some((packages, name)) if self.are_several(packages) => self.of_several(packages, name),
            Some((package, name)) => self.of_package(package, name),
        }
    }

    fn words(&self, name: &str) -> Option<&[String]> {
        let (package, name) = name.split_once(':')?;
        let package = if package == "_" { self.own } else { package };
        self.variables.packages.get(package)?.config.words(name)
    }
}

fn text<'a>(text: impl Into<std::borrow::Cow<'a, str>>) -> Option<Setting<'a>> {
    Some(Setting::Text(text.into()))
}

impl<'a> SeenBy<'a> {
    fn global(&self, name: &str) -> Option<Setting<'a>> {
        let prefix = &self.variables.prefix;
        match name {
            "prefix" => text(prefix.as_str()),
            "lib" | "bin" | "sbin" | "share" | "doc" | "etc" | "man" => text(format!("{prefix}/{name}")),
            "stublibs" | "toplevel" => text(format!("{prefix}/lib/{name}")),
            _ => match self.variables.globals.get(name) {
                Some(value) => text(value.as_str()),
                None if matches!(name, "name" | "version" | "build" | "depends") => {
                    self.of_package("_", name)
                }
                None => None,
            },
        }
    }

    fn of_package(&self, package: &str, variable: &str) -> Option<Setting<'a>> {
        let variables = self.variables;
        let prefix = &variables.prefix;
        let package = if package == "_" { self.own } else { package };
        let known = variables.packages.get(package);
        let is_installed = known.is_some_and(|known| known.is_installed);
        match variable {
            "installed" => return Some(Setting::Bool(is_installed)),
            "enable" => return text(if is_installed { "enable" } else { "disable" }),
            "name" => return text(package.to_owned()),
            _ => {}
        }
        if let Some(setting) = known.and_then(|known| known.config.get(variable)) {
            return Some(setting.clone());
        }
        match variable {
            "version" => text(known?.version.as_str()),
            "pinned" | "dev" => known.map(|_| Setting::Bool(false)),
            "bin" | "sbin" | "man" => text(format!("{prefix}/{variable}")),
            "lib" | "doc" | "etc" | "share" => text(format!("{prefix}/{variable}/{package}")),
            "build" if package == variables.own => text(variables.workdir.as_str()),
            "depends" if package == variables.own => text(variables.depends.join(" ")),
            _ => None,
        }
    }

    /// A name may itself hold `+`: `conf-g++`.
    fn are_several(&self, packages: &str) -> bool {
        let mut parts = packages.split('+');
        packages.contains('+')
            && parts.all(|part| !part.is_empty())
            && !self.variables.packages.contains_key(packages)
    }

    /// `a+b:x` is true when it is true of all of them.
    fn of_several(&self, packages: &str, variable: &str) -> Option<Setting<'a>> {
        let asked = if variable == "enable" { "installed" } else { variable };
        let all = conjunction(packages.split('+').map(|package| match self.of_package(package, asked)? {
            Setting::Bool(truth) => Some(truth),
            Setting::Text(text) => match &*text {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
        }))?;
        match variable {
            "enable" => text(if all { "enable" } else { "disable" }),
            _ => Some(Setting::Bool(all)),
        }
    }
}
