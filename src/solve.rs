//! From a universe and a package set to exact versions, with the reason for each.
//!
//! The answer depends on nothing but the arguments: newest versions first, demands in written
//! order, no map whose order is not that of its keys.

mod catalogue;
pub mod check;
pub mod debian;
mod explain;
pub mod forest;
mod narrow;
pub mod opam;
mod order;
pub mod sat;
pub mod story;

use std::sync::Arc;

use thiserror::Error;

use self::catalogue::Catalogue;
use self::order::Selection;
use self::sat::Solver;
use crate::diagnostic::SourceError;
use crate::lock::Lock;
use crate::package::Requirement;
use crate::package::set::{PackageError, PackageSet};
use crate::solution::Solution;
use crate::universe::Universe;

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
