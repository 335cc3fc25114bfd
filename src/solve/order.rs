//! From a selection to a `Solution`: packages behind what they depend on, ids instead of names.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use crate::name::PackageName;
use crate::package::{PackageRecipe, Requirement};
use crate::solution::{Chosen, DependencyKind, PackageId, Reason, Release, Solution, Target};
use crate::solve::catalogue::needs;

/// A requirement together with who has it.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    requirement: Requirement,
    /// `None`: the universe.
    by: Option<(PackageName, DependencyKind)>,
}

/// What was chosen, and every demand that was met: those of the universe, then those of each package
/// in the order in which packages are first asked for.
#[derive(Debug, Default)]
pub(super) struct Selection {
    chosen: BTreeMap<PackageName, Arc<PackageRecipe>>,
    demands: Vec<Demand>,
}

impl Selection {
    pub(super) fn new(roots: &[Requirement], chosen: BTreeMap<PackageName, Arc<PackageRecipe>>) -> Self {
        let mut demands: Vec<Demand> =
            roots.iter().map(|root| Demand { requirement: root.clone(), by: None }).collect();
        let mut met = BTreeSet::new();
        let mut at = 0;
        while let Some(demand) = demands.get(at) {
            at += 1;
            let name = demand.requirement.name.clone();
            if met.insert(name.clone())
                && let Some(recipe) = chosen.get(&name)
            {
                demands.extend(needs(recipe).map(|(kind, requirement)| Demand {
                    requirement: requirement.clone(),
                    by: Some((name.clone(), kind)),
                }));
            }
        }
        Self { chosen, demands }
    }
}

/// Packages of which each needs the next one, and the last one the first.
#[derive(Debug)]
pub(super) struct Cycle {
    pub(super) packages: Vec<Arc<PackageRecipe>>,
    /// The first root that leads there.
    pub(super) root: Option<Requirement>,
}

/// Sorts a selection so that every package is behind what it depends on (at run time or for its
/// build); among those that could be next, the first by name is.
pub(super) fn order(selection: &Selection) -> Result<Solution, Cycle> {
    // First by name: the ids of the unsorted packages.
    let names: Vec<&PackageName> = selection.chosen.keys().collect();
    let id_of: BTreeMap<&PackageName, usize> = names.iter().copied().zip(0..).collect();
    let mut needs: Vec<Vec<usize>> = vec![Vec::new(); names.len()];
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); names.len()];
    for demand in &selection.demands {
        if let Some((by, DependencyKind::Runtime | DependencyKind::Build)) = &demand.by {
            needs[id_of[by]].push(id_of[&demand.requirement.name]);
        }
    }
    for (id, needs) in needs.iter_mut().enumerate() {
        needs.sort_unstable();
        needs.dedup();
        for &need in &*needs {
            needed_by[need].push(id);
        }
    }

    let mut missing: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..names.len()).filter(|&id| missing[id] == 0).map(Reverse).collect();
    let mut sorted = Vec::with_capacity(names.len());
    while let Some(Reverse(id)) = ready.pop() {
        sorted.push(id);
        for &user in &needed_by[id] {
            missing[user] -= 1;
            if missing[user] == 0 {
                ready.push(Reverse(user));
            }
        }
    }
    if sorted.len() < names.len() {
        let cycle = cycle_among(&needs, &missing);
        let roots = selection.demands.iter().filter(|demand| demand.by.is_none());
        let mut leading = roots.filter(|root| leads_to(&needs, id_of[&root.requirement.name], &cycle));
        let root = leading.next().map(|root| root.requirement.clone());
        let packages = cycle.iter().map(|&id| selection.chosen[names[id]].clone()).collect();
        return Err(Cycle { packages, root });
    }

    let mut new_id = vec![0; names.len()];
    for (new, &old) in sorted.iter().enumerate() {
        new_id[old] = new;
    }
    let id_of = |name: &PackageName| new_id[id_of[name]];
    let mut packages: Vec<Chosen> = sorted
        .iter()
        .map(|&old| Chosen {
            release: Release::Recipe(selection.chosen[names[old]].clone()),
            depends: Vec::new(),
            build_depends: Vec::new(),
            primitives_from: Vec::new(),
            reasons: Vec::new(),
        })
        .collect();
    let mut roots: Vec<PackageId> = Vec::new();
    for demand in &selection.demands {
        let id = id_of(&demand.requirement.name);
        let requirement = demand.requirement.clone();
        let Some((by, kind)) = &demand.by else {
            if !roots.contains(&id) {
                roots.push(id);
            }
            packages[id].reasons.push(Reason::Asked { requirement });
            continue;
        };
        let by = id_of(by);
        packages[id].reasons.push(Reason::NeededBy { package: by, requirement, kind: *kind });
        let user = &mut packages[by];
        match kind {
            DependencyKind::Runtime => user.depends.push(id),
            DependencyKind::Build => user.build_depends.push(id),
            DependencyKind::Primitives => user.primitives_from.push(id),
        }
    }
    for package in &mut packages {
        for ids in [&mut package.depends, &mut package.build_depends, &mut package.primitives_from] {
            ids.sort_unstable();
            ids.dedup();
        }
    }
    Ok(Solution { packages, targets: vec![Target { name: None, roots, compiler: None, extra: Vec::new() }] })
}

/// A cycle among the packages that still miss something.
fn cycle_among(needs: &[Vec<usize>], missing: &[usize]) -> Vec<usize> {
    let stuck = |id: &usize| missing[*id] > 0;
    let mut path: Vec<usize> = (0..needs.len()).find(stuck).into_iter().collect();
    while let Some(&last) = path.last() {
        // Whoever is stuck needs somebody who is.
        let Some(next) = needs[last].iter().copied().find(stuck) else { break };
        if let Some(start) = path.iter().position(|&id| id == next) {
            path.drain(..start);
            break;
        }
        path.push(next);
    }
    path
}

/// Whether following needs from `start` comes to one of `goals`.
fn leads_to(needs: &[Vec<usize>], start: usize, goals: &[usize]) -> bool {
    let mut seen = vec![false; needs.len()];
    let mut left = vec![start];
    while let Some(id) = left.pop() {
        if goals.contains(&id) {
            return true;
        }
        if !std::mem::replace(&mut seen[id], true) {
            left.extend(&needs[id]);
        }
    }
    false
}
