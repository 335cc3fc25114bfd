//! `Index`: a set of packages reduced to what solving needs.
//!
//! Names and versions are numbers, every condition on versions is a set of them. What varies from
//! one question to the next (which packages are asked for) is not part of it.

mod encoding;
mod versions;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use crate::package::formula::Formula;
use crate::version;

pub use versions::{Ordinal, VersionSet};

/// A package by its place among the sorted names.
pub type PackageId = u32;

/// One version of a package, with the names of others as they were written.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    pub version: String,
    /// Whether it can be had on this platform.
    pub available: bool,
    /// Whether it is to be taken only for want of others.
    pub avoid: bool,
    pub depends: Option<Formula>,
    /// Whatever one of the atoms names cannot be had beside it.
    pub conflicts: Option<Formula>,
    /// Packages of different names that share a class cannot be had together.
    pub classes: Vec<String>,
}

impl Entry {
    /// A version that can be had and asks for nothing.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            available: true,
            avoid: false,
            depends: None,
            conflicts: None,
            classes: Vec::new(),
        }
    }
}

/// A formula over the packages of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    Package(PackageId, VersionSet),
    All(Vec<Need>),
    Any(Vec<Need>),
}

/// One version of a package, as the solver sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    pub avoid: bool,
    /// All of them have to hold, in written order; none of them is [`Need::All`].
    pub depends: Vec<Need>,
    /// Versions of other packages that cannot be had beside it.
    pub conflicts: Vec<(PackageId, VersionSet)>,
    /// Numbers of its conflict classes.
    pub classes: Vec<u32>,
}

/// A name and its versions. A name that is only asked for has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    pub name: Box<str>,
    /// Oldest first.
    pub versions: Vec<Box<str>>,
    /// For each version.
    pub candidates: Vec<Candidate>,
    /// The versions that can be had on this platform, in the order in which they are to be tried:
    /// those that are not to be avoided first, newest first.
    pub preference: Vec<Ordinal>,
}

/// Packages by their ids.
#[derive(Clone, Debug, Default)]
pub struct Index {
    packages: Vec<Package>,
    ids: HashMap<Box<str>, PackageId>,
}

/// A package with more versions than an index can number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` has {count} versions: that is more than can be handled")]
pub struct TooManyVersions {
    pub name: String,
    pub count: usize,
}

impl Index {
    /// Numbers packages and versions. Of several entries with equal versions the first stands.
    pub fn new(entries: &[Entry]) -> Result<Self, TooManyVersions> {
        let mut by_name: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        let mut mentioned: BTreeSet<&str> = BTreeSet::new();
        let mut classes: BTreeSet<&str> = BTreeSet::new();
        for entry in entries {
            by_name.entry(&entry.name).or_default().push(entry);
            for formula in [&entry.depends, &entry.conflicts].into_iter().flatten() {
                formula.atoms(&mut |atom| {
                    mentioned.insert(&atom.name);
                });
            }
            classes.extend(entry.classes.iter().map(String::as_str));
        }
        for name in mentioned {
            by_name.entry(name).or_default();
        }
        for (name, versions) in &mut by_name {
            versions.sort_by(|a, b| version::order(a.version.as_bytes(), b.version.as_bytes()));
            versions.dedup_by(|b, a| version::order(a.version.as_bytes(), b.version.as_bytes()).is_eq());
            if Ordinal::try_from(versions.len()).is_err() {
                return Err(TooManyVersions { name: (*name).to_owned(), count: versions.len() });
            }
        }
        let classes: BTreeMap<&str, u32> = classes.into_iter().zip(0..).collect();
        let by_name: Vec<(&str, Vec<&Entry>)> = by_name.into_iter().collect();
        let mut index = Self {
            ids: (0..).zip(&by_name).map(|(id, (name, _))| ((*name).into(), id)).collect(),
            packages: by_name
                .iter()
                .map(|(name, entries)| Package {
                    name: (*name).into(),
                    versions: entries.iter().map(|entry| entry.version.as_str().into()).collect(),
                    ..Package::default()
                })
                .collect(),
        };
        let candidates: Vec<Vec<Candidate>> = by_name
            .par_iter()
            .map(|(_, entries)| entries.iter().map(|entry| index.candidate(entry, &classes)).collect())
            .collect();
        for ((package, candidates), (_, entries)) in index.packages.iter_mut().zip(candidates).zip(&by_name) {
            package.candidates = candidates;
            let available = (0..).zip(entries).filter(|(_, entry)| entry.available);
            package.preference = available.map(|(ordinal, _)| ordinal).collect();
            package.preference.reverse();
            package.preference.sort_by_key(|ordinal| package.candidates[usize::from(*ordinal)].avoid);
        }
        Ok(index)
    }

    fn candidate(&self, entry: &Entry, classes: &BTreeMap<&str, u32>) -> Candidate {
        let mut conflicts = Vec::new();
        if let Some(formula) = &entry.conflicts {
            formula.atoms(&mut |atom| {
                if atom.name != entry.name {
                    let (id, package) = self.find(&atom.name).expect("every name was numbered");
                    conflicts.push((id, VersionSet::of(&atom.versions, &package.versions)));
                }
            });
        }
        let depends = match entry.depends.as_ref().map(|formula| self.need(formula)) {
            None => Vec::new(),
            Some(Need::All(parts)) => parts,
            Some(other) => vec![other],
        };
        let classes = entry.classes.iter().map(|class| classes[class.as_str()]).collect();
        Candidate { avoid: entry.avoid, depends, conflicts, classes }
    }

    fn need(&self, formula: &Formula) -> Need {
        match formula {
            Formula::Atom(atom) => {
                let (id, package) = self.find(&atom.name).expect("every name was numbered");
                Need::Package(id, VersionSet::of(&atom.versions, &package.versions))
            }
            Formula::All(parts) => {
                let mut flat = Vec::with_capacity(parts.len());
                for part in parts {
                    match self.need(part) {
                        Need::All(inner) => flat.extend(inner),
                        other => flat.push(other),
                    }
                }
                Need::All(flat)
            }
            Formula::Any(parts) => Need::Any(parts.iter().map(|part| self.need(part)).collect()),
        }
    }

    /// A package by its name, also one that is only asked for.
    pub fn find(&self, name: &str) -> Option<(PackageId, &Package)> {
        let id = *self.ids.get(name)?;
        Some((id, self.package(id)))
    }

    /// Lets a version be tried before all others of its package, if there is such a version.
    pub fn prefer(&mut self, name: &str, version: &str) {
        let Some(id) = self.ids.get(name) else { return };
        let Package { versions, preference, .. } = &mut self.packages[*id as usize];
        let is_it = |ordinal: &Ordinal| {
            version::order(versions[usize::from(*ordinal)].as_bytes(), version.as_bytes()).is_eq()
        };
        if let Some(at) = preference.iter().position(is_it) {
            preference[..=at].rotate_right(1);
        }
    }

    /// Takes only versions of a package that `allow` allows, if there is such a package.
    pub fn restrict(&mut self, name: &str, allow: impl Fn(&str) -> bool) {
        let Some(id) = self.ids.get(name) else { return };
        let Package { versions, preference, .. } = &mut self.packages[*id as usize];
        preference.retain(|ordinal| allow(&versions[usize::from(*ordinal)]));
    }

    /// The package with this id.
    pub fn package(&self, id: PackageId) -> &Package {
        &self.packages[id as usize]
    }

    /// All packages, by id.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// One version of a package.
    pub fn version(&self, id: PackageId, ordinal: Ordinal) -> (&str, &Candidate) {
        let package = self.package(id);
        (&package.versions[usize::from(ordinal)], &package.candidates[usize::from(ordinal)])
    }
}
