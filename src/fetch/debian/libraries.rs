//! The OCaml libraries of a suite: packages whose files are compiled bytecode already.
//!
//! Debian's OCaml policy: `libfoo-ocaml-dev` has interfaces and native code, and, where a program that
//! is linked with the library needs files of it, `libfoo-ocaml` of the same source has META, bytecode
//! and stubs. Which packages fit together is written down as dependencies on virtual packages whose
//! names end in a digest of the interfaces: `libfoo-ocaml-dev-7drk8`. A package of libraries depends on
//! `ocaml-5.4.1`, whatever its name.

use std::collections::{BTreeMap, BTreeSet};

use super::DebianError;
use super::closure::{Index, Package, alternatives};
use crate::source::PinnedDeb;

/// What every package of libraries is called in the end; a few have other names.
pub const SUFFIX: &str = "-ocaml-dev";

/// A package of libraries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// `libfmt-ocaml-dev`
    pub name: String,
    /// One line.
    pub description: String,
    /// The package itself, then the one with its runtime files, if there is one.
    pub debs: Vec<PinnedDeb>,
    /// Names of the packages of libraries that it depends on, sorted.
    pub needs: Vec<String>,
}

/// Packages of libraries of one suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libraries {
    /// Sorted by name.
    pub libraries: Vec<Library>,
    /// Those that cannot be had, with the reason.
    pub left_out: Vec<(String, String)>,
    /// The version of OCaml that they are compiled for.
    pub compiler: String,
}

/// Which packages of libraries are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All that can be had.
    All,
    /// These, with what they depend on.
    Named(Vec<String>),
}

impl<'a> Index<'a> {
    /// The packages of libraries that are wanted, with those that they depend on.
    ///
    /// # Errors
    /// When one that is named, or one that it depends on, is not there or cannot be had.
    pub fn libraries(&self, wanted: &Wanted) -> Result<Libraries, DebianError> {
        let compiler = self.compiler().ok_or_else(|| self.unknown("ocaml"))?;
        let libraries = self.packages.values().filter(|package| is_library(package, compiler));
        let mut all: BTreeMap<&str, Result<Library, DebianError>> =
            libraries.map(|package| (package.name, self.library(package, compiler))).collect();
        let mut left_out = Vec::new();
        let kept = match wanted {
            Wanted::All => {
                left_out = drop_hopeless(&mut all);
                all.keys().copied().collect()
            }
            Wanted::Named(names) => self.reachable(names, &mut all)?,
        };
        all.retain(|name, _| kept.contains(name));
        let libraries = all.into_values().collect::<Result<_, _>>()?;
        Ok(Libraries { libraries, left_out, compiler: compiler.to_owned() })
    }

    /// The version of OCaml that the suite has: `ocaml` provides `ocaml-5.4.1`.
    fn compiler(&self) -> Option<&'a str> {
        let provided = self.provides.iter().filter(|(_, providers)| providers.contains_key("ocaml"));
        let versions = provided.filter_map(|(name, _)| name.strip_prefix("ocaml-"));
        versions.filter(|version| version.starts_with(|first: char| first.is_ascii_digit())).max()
    }

    fn library(&self, package: &Package<'a>, compiler: &str) -> Result<Library, DebianError> {
        let mut runtime = BTreeSet::new();
        let mut needs = BTreeSet::new();
        for group in package.groups() {
            let candidates = alternatives(group.split('|')).map(|wanted| self.candidates(wanted));
            let Some(first) = candidates.into_iter().find(|candidates| !candidates.is_empty()) else {
                if group.contains("ocaml") {
                    let (package, dependency) = (package.name.to_owned(), group.to_owned());
                    return Err(DebianError::Unsatisfiable { package, dependency });
                }
                // What the machine's programs lack is nothing to a browser.
                continue;
            };
            let first = first.iter().map(|name| &self.packages[name]);
            for other in first.filter(|other| other.name != package.name) {
                if is_library(other, compiler) {
                    needs.insert(other.name.to_owned());
                } else if other.name.ends_with("-ocaml") && other.source() == package.source() {
                    runtime.insert(other.name);
                }
            }
        }
        let debs = std::iter::once(package.name).chain(runtime).map(|name| self.packages[name].pin());
        Ok(Library {
            name: package.name.to_owned(),
            description: package.description.to_owned(),
            debs: debs.collect::<Result<_, _>>()?,
            needs: needs.into_iter().collect(),
        })
    }

    /// The names and what they lead to.
    fn reachable(
        &self,
        names: &[String],
        all: &mut BTreeMap<&'a str, Result<Library, DebianError>>,
    ) -> Result<BTreeSet<&'a str>, DebianError> {
        let mut kept = BTreeSet::new();
        let mut left: Vec<String> = names.to_vec();
        while let Some(name) = left.pop() {
            let Some((known, _)) = self.packages.get_key_value(name.as_str()) else {
                return Err(self.unknown(&name));
            };
            match all.get(known) {
                None => return Err(DebianError::NotALibrary { name }),
                Some(Ok(library)) if kept.insert(*known) => left.extend(library.needs.iter().cloned()),
                Some(Ok(_)) => {}
                Some(Err(_)) => drop(all.remove(known).transpose()?),
            }
        }
        Ok(kept)
    }
}

fn is_library(package: &Package<'_>, compiler: &str) -> bool {
    let is_compiler = |name: &str| name.strip_prefix("ocaml-") == Some(compiler);
    package.name.ends_with(SUFFIX)
        || package.groups().any(|group| alternatives(group.split('|')).any(|wanted| is_compiler(wanted.name)))
}

/// Takes away what cannot be had, and what needs that; gives the names and the reasons, sorted.
fn drop_hopeless(all: &mut BTreeMap<&str, Result<Library, DebianError>>) -> Vec<(String, String)> {
    let mut left_out = Vec::new();
    loop {
        let reason = |library: &Result<Library, DebianError>| match library {
            Err(error) => Some(error.to_string()),
            Ok(library) => {
                let missing = library.needs.iter().find(|needed| !all.contains_key(needed.as_str()))?;
                Some(format!("`{}` needs `{missing}`, which cannot be had", library.name))
            }
        };
        let hopeless: BTreeMap<String, String> =
            all.iter().filter_map(|(name, library)| Some(((*name).to_owned(), reason(library)?))).collect();
        if hopeless.is_empty() {
            left_out.sort();
            return left_out;
        }
        all.retain(|name, _| !hopeless.contains_key(*name));
        left_out.extend(hopeless);
    }
}
