//! The recipes that a question can touch, as an index for the search, and back from numbers to
//! recipes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::lock::Lock;
use crate::name::PackageName;
use crate::package::formula::{Atom, Formula, Versions};
use crate::package::index::{Entry, Index, Need, Ordinal, PackageId, VersionSet};
use crate::package::set::{PackageError, PackageSet};
use crate::package::{PackageRecipe, Requirement};
use crate::solution::DependencyKind;

/// Every recipe that is reachable from the roots, in whatever version, and its place in the index.
pub(super) struct Catalogue {
    pub(super) index: Index,
    pub(super) roots: Vec<Need>,
    recipes: BTreeMap<(PackageId, Ordinal), Arc<PackageRecipe>>,
}

impl Catalogue {
    /// Reads the recipes. A version that the lock pins comes first among its package's versions.
    pub(super) fn new(
        packages: &PackageSet<'_>,
        roots: &[Requirement],
        lock: Option<&Lock>,
    ) -> Result<Self, PackageError> {
        let mut read: Vec<Arc<PackageRecipe>> = Vec::new();
        let mut seen: BTreeSet<PackageName> = BTreeSet::new();
        let mut left: Vec<PackageName> = roots.iter().map(|root| root.name.clone()).collect();
        while let Some(name) = left.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            for candidate in packages.versions(&name) {
                let recipe = packages.recipe(&name, candidate)?;
                left.extend(needs(&recipe).map(|(_, requirement)| requirement.name.clone()));
                read.push(recipe);
            }
        }
        let entries: Vec<Entry> = read.iter().map(|recipe| entry(recipe)).collect();
        let mut index = Index::new(&entries).map_err(PackageError::TooMany)?;
        // Of roots that there is no package of, [`super::explain`] has told before.
        let roots = roots.iter().filter_map(|root| {
            let (id, package) = index.find(root.name.as_str())?;
            Some(Need::Package(id, VersionSet::of(&condition(root), &package.versions)))
        });
        let roots = roots.collect();
        let places = read.into_iter().filter_map(|recipe| {
            let (id, package) = index.find(recipe.name.as_str())?;
            let version = recipe.version.as_str();
            let ordinal = (0..).zip(&package.versions).find(|(_, known)| ***known == *version)?.0;
            Some(((id, ordinal), recipe))
        });
        let recipes = places.collect();
        for (name, version) in lock.into_iter().flat_map(|lock| &lock.packages) {
            index.prefer(name.as_str(), version.as_str());
        }
        Ok(Self { index, roots, recipes })
    }

    /// The recipe of a version.
    pub(super) fn recipe(&self, package: PackageId, ordinal: Ordinal) -> Option<&Arc<PackageRecipe>> {
        self.recipes.get(&(package, ordinal))
    }
}

/// What a recipe needs, in the order of its dependencies in the index.
pub(super) fn needs(recipe: &PackageRecipe) -> impl Iterator<Item = (DependencyKind, &Requirement)> {
    let kinds = [
        (DependencyKind::Runtime, &recipe.depends),
        (DependencyKind::Build, &recipe.build_depends),
        (DependencyKind::Primitives, &recipe.primitives_from),
    ];
    kinds.into_iter().flat_map(|(kind, needs)| needs.iter().map(move |requirement| (kind, requirement)))
}

fn entry(recipe: &PackageRecipe) -> Entry {
    let depends = needs(recipe).map(|(_, requirement)| Formula::Atom(atom(requirement))).collect();
    Entry {
        depends: Some(Formula::All(depends)),
        ..Entry::new(recipe.name.as_str(), recipe.version.as_str())
    }
}

fn atom(requirement: &Requirement) -> Atom {
    Atom { name: requirement.name.to_string(), versions: condition(requirement) }
}

fn condition(requirement: &Requirement) -> Versions {
    let constraints = requirement.constraints.iter();
    let conditions = constraints.map(|c| Versions::That(c.relation, c.version.as_str().to_owned()));
    Versions::All(conditions.collect())
}
