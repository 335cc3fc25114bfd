//! From a universe and a package set to exact versions, with the reason for each.
//!
//! The answer depends on nothing but the arguments: newest versions first, demands in written
//! order, no map whose order is not that of its keys.

mod catalogue;
pub mod check;
mod explain;
mod narrow;
mod order;
pub mod sat;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thiserror::Error;

use self::catalogue::Catalogue;
use self::order::Selection;
use self::sat::Solver;
use crate::diagnostic::SourceError;
use crate::lock::Lock;
use crate::name::PackageName;
use crate::package::set::{PackageError, PackageSet};
use crate::package::{PackageRecipe, Requirement};
use crate::universe::Universe;
use crate::version::Version;

/// A package of a solution: its index in [`Solution::packages`].
pub type PackageId = usize;

/// Exact versions that satisfy every demand, each package once.
#[derive(Clone, Debug, Default)]
pub struct Solution {
    /// Every package behind what it depends on; among equals, by name.
    pub packages: Vec<Chosen>,
    /// What the universe asks for, in written order, the compiler first; each once.
    pub roots: Vec<PackageId>,
}

/// One package of a solution.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub recipe: Arc<PackageRecipe>,
    /// Direct dependencies that users of the package see too, sorted by id.
    pub depends: Vec<PackageId>,
    /// Direct dependencies that only its build sees, sorted by id.
    pub build_depends: Vec<PackageId>,
    /// Packages whose JavaScript implements its primitives, sorted by id.
    pub primitives_from: Vec<PackageId>,
    /// Why it is here; never empty.
    pub reasons: Vec<Reason>,
}

impl Chosen {
    /// Its name.
    pub fn name(&self) -> &PackageName {
        &self.recipe.name
    }

    /// Its version.
    pub fn version(&self) -> &Version {
        &self.recipe.version
    }
}

/// Why a package is in a solution.
#[derive(Clone, Debug)]
pub enum Reason {
    /// The universe asks for it.
    Asked { requirement: Requirement },
    /// Another package of the solution does.
    NeededBy { package: PackageId, requirement: Requirement, kind: DependencyKind },
}

/// How one package needs another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DependencyKind {
    /// Its users need it too.
    Runtime,
    /// Only its build needs it.
    Build,
    /// Its C primitives are implemented there.
    Primitives,
}

impl DependencyKind {
    /// What a message says behind "needs".
    fn purpose(self) -> &'static str {
        match self {
            Self::Runtime => "",
            Self::Build => " to be built",
            Self::Primitives => " for its primitives",
        }
    }
}

impl Solution {
    /// The ids of `from` and of everything that they depend on at run time, sorted: every package
    /// behind its dependencies.
    pub fn runtime_closure(&self, from: impl IntoIterator<Item = PackageId>) -> Vec<PackageId> {
        let mut seen = BTreeSet::new();
        let mut left: Vec<PackageId> = from.into_iter().collect();
        while let Some(id) = left.pop() {
            if seen.insert(id) {
                left.extend(&self.packages[id].depends);
            }
        }
        seen.into_iter().collect()
    }

    /// What the build of a package sees: its dependencies of both kinds, and what those depend on
    /// at run time. Sorted; without the package itself.
    pub fn build_closure(&self, id: PackageId) -> Vec<PackageId> {
        let package = &self.packages[id];
        self.runtime_closure(package.depends.iter().chain(&package.build_depends).copied())
    }

    /// What the site offers: the roots and what they depend on at run time.
    pub fn offered(&self) -> Vec<PackageId> {
        self.runtime_closure(self.roots.iter().copied())
    }

    /// Finds a package by name.
    pub fn find(&self, name: &PackageName) -> Option<PackageId> {
        self.packages.iter().position(|package| package.name() == name)
    }

    /// Name and version of every package, for the lock.
    pub fn pins(&self) -> BTreeMap<PackageName, Version> {
        let pins = self.packages.iter().map(|package| (package.name().clone(), package.version().clone()));
        pins.collect()
    }
}

/// Why there is no solution.
#[derive(Debug, Error)]
pub enum SolveError {
    /// A recipe that is needed to know is not good.
    #[error(transparent)]
    Recipe(#[from] PackageError),
    /// The demands cannot be satisfied; told in terms of the universe file.
    #[error(transparent)]
    Unsolvable(SourceError),
}

/// Chooses the newest versions that satisfy all demands of the universe, build dependencies
/// included. A version that the lock pins is preferred as long as it is allowed.
pub fn solve(
    universe: &Universe,
    packages: &PackageSet<'_>,
    lock: Option<&Lock>,
) -> Result<Solution, SolveError> {
    let roots: Vec<Requirement> = universe.compiler.iter().chain(&universe.packages).cloned().collect();
    if let Some(error) = explain::hopeless(universe, packages, &roots) {
        return Err(SolveError::Unsolvable(error));
    }
    let catalogue = Catalogue::new(packages, &roots, lock)?;
    let Some(selection) = Solver::new(&catalogue.index).solve(&catalogue.roots) else {
        return Err(SolveError::Unsolvable(explain::conflict(universe, packages, &roots, &catalogue)));
    };
    debug_assert_eq!(check::check(&catalogue.index, &catalogue.roots, &selection), Ok(()));
    let recipes = selection.iter().filter_map(|(package, ordinal)| catalogue.recipe(*package, *ordinal));
    let chosen = recipes.map(|recipe| (recipe.name.clone(), Arc::clone(recipe))).collect();
    let selection = Selection::new(&roots, chosen);
    order::order(&selection).map_err(|cycle| SolveError::Unsolvable(explain::cycle(universe, &cycle)))
}

#[cfg(test)]
mod tests;
