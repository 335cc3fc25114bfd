//! From selections to builds: what each target's packages are built from, with what is built alike
//! for several targets being there once.
//!
//! A build is one version of a package together with the builds that it sees. What it sees is decided
//! within the solution of one target: an optional dependency counts when it is part of that solution
//! (opam 2 manual, "depopts").

use std::collections::{BTreeMap, HashMap};

use crate::package::index::{Ordinal, PackageId, VersionSet};

/// A build by its place in a [`Forest`].
pub type BuildId = usize;

/// What one version of a package may see, package by package in written order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    /// What its users see too.
    pub runtime: Vec<(PackageId, VersionSet)>,
    /// What only its build needs.
    pub build: Vec<(PackageId, VersionSet)>,
    /// What it takes when it is there; its users see it too.
    pub optional: Vec<(PackageId, VersionSet)>,
}

/// One version of a package, built from certain other builds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Build {
    pub package: PackageId,
    pub ordinal: Ordinal,
    /// Sorted; without those of `build`.
    pub runtime: Vec<BuildId>,
    /// Sorted.
    pub build: Vec<BuildId>,
}

/// All builds of some targets, each behind those that it is built from.
#[derive(Debug, Default)]
pub struct Forest {
    pub builds: Vec<Build>,
    ids: HashMap<Build, BuildId>,
}

/// Packages that are built from each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle(pub Vec<PackageId>);

impl Forest {
    /// Adds the solution of one target; gives the build of every package of it. `edges` has an entry
    /// for each version in `selection`.
    pub fn add(
        &mut self,
        selection: &[(PackageId, Ordinal)],
        roots: &[PackageId],
        edges: &HashMap<(PackageId, Ordinal), Edges>,
    ) -> Result<BTreeMap<PackageId, BuildId>, Circle> {
        let chosen: HashMap<PackageId, Ordinal> = selection.iter().copied().collect();
        let mut walk = Walk { forest: self, chosen, edges, done: BTreeMap::new(), path: Vec::new() };
        // From the roots first, so that the order is that of what was asked for.
        for package in roots.iter().copied().chain(selection.iter().map(|(package, _)| *package)) {
            walk.visit(package)?;
        }
        Ok(walk.done)
    }
}

/// The way through one solution.
struct Walk<'a> {
    forest: &'a mut Forest,
    chosen: HashMap<PackageId, Ordinal>,
    edges: &'a HashMap<(PackageId, Ordinal), Edges>,
    done: BTreeMap<PackageId, BuildId>,
    /// Packages that are being visited.
    path: Vec<PackageId>,
}

impl Walk<'_> {
    fn visit(&mut self, package: PackageId) -> Result<Option<BuildId>, Circle> {
        if let Some(done) = self.done.get(&package) {
            return Ok(Some(*done));
        }
        let Some(ordinal) = self.chosen.get(&package).copied() else { return Ok(None) };
        if let Some(at) = self.path.iter().position(|seen| *seen == package) {
            return Err(Circle(self.path[at..].to_vec()));
        }
        self.path.push(package);
        let edges = self.edges;
        let edges = edges.get(&(package, ordinal));
        let mut runtime = Vec::new();
        let mut build = Vec::new();
        if let Some(edges) = edges {
            self.see(&edges.runtime, &mut runtime)?;
            self.see(&edges.build, &mut build)?;
            for (other, versions) in &edges.optional {
                let depth = self.path.len();
                match self.see(&[(*other, versions.clone())], &mut runtime) {
                    Ok(()) => {}
                    // Whoever leads back here does without: it is optional.
                    Err(_) => self.path.truncate(depth),
                }
            }
        }
        self.path.pop();
        for seen in [&mut runtime, &mut build] {
            seen.sort_unstable();
            seen.dedup();
        }
        build.retain(|id| runtime.binary_search(id).is_err());
        let forest = &mut *self.forest;
        let made = Build { package, ordinal, runtime, build };
        let id = *forest.ids.entry(made).or_insert_with_key(|made| {
            forest.builds.push(made.clone());
            forest.builds.len() - 1
        });
        self.done.insert(package, id);
        Ok(Some(id))
    }

    fn see(&mut self, what: &[(PackageId, VersionSet)], seen: &mut Vec<BuildId>) -> Result<(), Circle> {
        for (package, versions) in what {
            if self.chosen.get(package).is_some_and(|ordinal| versions.contains(*ordinal)) {
                seen.extend(self.visit(*package)?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(packages: &[PackageId]) -> Vec<(PackageId, VersionSet)> {
        packages.iter().map(|package| (*package, VersionSet::all(9))).collect()
    }

    fn edges(all: &[(PackageId, Edges)]) -> HashMap<(PackageId, Ordinal), Edges> {
        all.iter().map(|(package, edges)| ((*package, 0), edges.clone())).collect()
    }

    fn runtime(packages: &[PackageId]) -> Edges {
        Edges { runtime: any(packages), ..Edges::default() }
    }

    #[test]
    fn what_is_built_alike_for_two_targets_is_there_once() {
        let optional = Edges { optional: any(&[2]), ..runtime(&[1]) };
        let edges = edges(&[(0, optional), (1, Edges::default()), (2, runtime(&[1]))]);
        let mut forest = Forest::default();
        let alone = forest.add(&[(0, 0), (1, 0)], &[0], &edges).unwrap();
        assert_eq!(forest.builds.len(), 2);
        let again = forest.add(&[(1, 0), (0, 0)], &[0], &edges).unwrap();
        assert_eq!((alone.clone(), forest.builds.len()), (again, 2));
        // With the optional package it is another build; what that needs is the same.
        let with = forest.add(&[(0, 0), (1, 0), (2, 0)], &[0], &edges).unwrap();
        assert_eq!(with[&1], alone[&1]);
        assert_ne!(with[&0], alone[&0]);
        assert_eq!(forest.builds[with[&0]].runtime, [with[&1], with[&2]]);
    }

    #[test]
    fn versions_that_do_not_suit_are_not_seen() {
        let only_old = Edges { optional: vec![(1, VersionSet::only(3))], ..Edges::default() };
        let edges = edges(&[(0, only_old), (1, Edges::default())]);
        let mut forest = Forest::default();
        let done = forest.add(&[(0, 0), (1, 0)], &[0], &edges).unwrap();
        assert_eq!(forest.builds[done[&0]].runtime, [0; 0]);
    }

    #[test]
    fn an_optional_dependency_that_leads_back_is_left_out_and_a_needed_one_is_a_circle() {
        let optional = Edges { optional: any(&[1]), ..Edges::default() };
        let round = edges(&[(0, optional), (1, runtime(&[0]))]);
        let mut forest = Forest::default();
        let done = forest.add(&[(0, 0), (1, 0)], &[0], &round).unwrap();
        assert_eq!(forest.builds[done[&0]].runtime, [0; 0]);
        assert_eq!(forest.builds[done[&1]].runtime, [done[&0]]);

        let round = edges(&[(0, runtime(&[1])), (1, runtime(&[0]))]);
        let circle = Forest::default().add(&[(0, 0), (1, 0)], &[0], &round).unwrap_err();
        assert_eq!(circle, Circle(vec![0, 1]));
    }

    #[test]
    fn what_users_see_is_not_counted_as_needed_for_the_build_only() {
        let both = Edges { build: any(&[1, 2]), ..runtime(&[1]) };
        let edges = edges(&[(0, both), (1, Edges::default()), (2, Edges::default())]);
        let mut forest = Forest::default();
        let done = forest.add(&[(0, 0), (1, 0), (2, 0)], &[0], &edges).unwrap();
        let build = &forest.builds[done[&0]];
        assert_eq!((&build.runtime[..], &build.build[..]), (&[done[&1]][..], &[done[&2]][..]));
    }
}
