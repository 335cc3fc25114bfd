//! The search: depth first over demands in the order in which they come up, with jumps back to
//! the choice that is to blame.
//!
//! This is the place where a solver with clause learning can go when repositories get large: it
//! takes roots and a package set and gives a [`Selection`] or a [`DeadEnd`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::lock::Lock;
use crate::name::PackageName;
use crate::package::set::{Candidate, PackageSet};
use crate::package::{PackageRecipe, Requirement};
use crate::solve::{DependencyKind, SolveError};

/// Choices that a search may make before it is given up.
const MAX_STEPS: u64 = 200_000;

/// A requirement together with who has it.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    pub(super) requirement: Requirement,
    /// `None`: the universe.
    pub(super) by: Option<(PackageName, DependencyKind)>,
    /// The choice that it came with; 0 for the universe, else the choice's index plus one.
    level: usize,
}

/// What was chosen, and every demand that was met.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) chosen: BTreeMap<PackageName, Arc<PackageRecipe>>,
    pub(super) demands: Vec<Demand>,
}

impl Selection {
    /// The first chosen package that does not meet a demand from `start` on.
    fn first_violated(&self, start: usize) -> Option<PackageName> {
        self.demands[start..].iter().find_map(|demand| {
            let chosen = self.chosen.get(&demand.requirement.name)?;
            (!demand.requirement.allows(&chosen.version)).then(|| demand.requirement.name.clone())
        })
    }
}

/// Where the search first had no way on: demands on one package that no version meets.
#[derive(Debug)]
pub(super) struct DeadEnd {
    pub(super) package: PackageName,
    pub(super) demands: Vec<Demand>,
    /// What was chosen then: tells how each demand came about.
    pub(super) chosen: BTreeMap<PackageName, Arc<PackageRecipe>>,
    /// All demands then.
    pub(super) all_demands: Vec<Demand>,
}

/// One package for which a version is being chosen.
struct Choice<'s> {
    name: PackageName,
    /// Versions not tried yet, the best one last.
    untried: Vec<&'s Candidate>,
    /// Number of demands before the choice, and the demand that it answers.
    demands: usize,
    position: usize,
    /// Levels whose choices rule versions out.
    blame: BTreeSet<usize>,
}

struct Search<'s> {
    packages: &'s PackageSet<'s>,
    lock: Option<&'s Lock>,
    choices: Vec<Choice<'s>>,
    selection: Selection,
    /// Level at which each package was chosen.
    levels: BTreeMap<PackageName, usize>,
    /// The first dead end at which no version met all demands, or else the first of any kind.
    dead_end: Option<(bool, DeadEnd)>,
}

/// Searches for a selection that meets all roots.
pub(super) fn search(
    packages: &PackageSet<'_>,
    lock: Option<&Lock>,
    roots: &[Requirement],
) -> Result<Result<Selection, DeadEnd>, SolveError> {
    let demands = roots.iter().map(|root| Demand { requirement: root.clone(), by: None, level: 0 }).collect();
    let mut search = Search {
        packages,
        lock,
        choices: Vec::new(),
        selection: Selection { chosen: BTreeMap::new(), demands },
        levels: BTreeMap::new(),
        dead_end: None,
    };
    let mut position = 0;
    for _ in 0..MAX_STEPS {
        // Demands on packages that are chosen were checked when they came up.
        while let Some(demand) = search.selection.demands.get(position)
            && search.selection.chosen.contains_key(&demand.requirement.name)
        {
            position += 1;
        }
        let Some(demand) = search.selection.demands.get(position) else { return Ok(Ok(search.selection)) };
        let name = demand.requirement.name.clone();
        search.open_choice(name, position);
        let Some(next) = search.next_version()? else {
            let (_, dead_end) = search.dead_end.expect("a search that failed met a dead end");
            return Ok(Err(dead_end));
        };
        position = next;
    }
    Err(SolveError::TooHard { steps: MAX_STEPS })
}

impl Search<'_> {
    /// Begins to choose a version of a package.
    fn open_choice(&mut self, name: PackageName, position: usize) {
        let demands: Vec<&Demand> =
            self.selection.demands.iter().filter(|demand| demand.requirement.name == name).collect();
        let versions = self.packages.versions(&name);
        let allowed = |candidate: &&Candidate| {
            demands.iter().all(|demand| demand.requirement.allows(&candidate.version))
        };
        let mut untried: Vec<&Candidate> = versions.iter().filter(allowed).rev().collect();
        if let Some(pinned) = self.lock.and_then(|lock| lock.packages.get(&name))
            && let Some(index) = untried.iter().position(|candidate| candidate.version == *pinned)
        {
            let candidate = untried.remove(index);
            untried.push(candidate);
        }
        let blame = demands.iter().map(|demand| demand.level).collect();
        if untried.is_empty() {
            self.record_dead_end(&name, None);
        }
        let demands = self.selection.demands.len();
        self.choices.push(Choice { name, untried, demands, position, blame });
    }

    /// Takes the next version of the last choice that has one which agrees with what is chosen.
    /// Gives the demand to go on with, or `None` when there is no way on.
    fn next_version(&mut self) -> Result<Option<usize>, SolveError> {
        loop {
            let level = self.choices.len();
            let Some(choice) = self.choices.last_mut() else { return Ok(None) };
            let choice_demands = choice.demands;
            self.selection.demands.truncate(choice_demands);
            self.selection.chosen.remove(&choice.name);
            self.levels.remove(&choice.name);

            if let Some(candidate) = choice.untried.pop() {
                let recipe = self.packages.recipe(&choice.name, candidate)?;
                let (name, position) = (choice.name.clone(), choice.position);
                self.selection.chosen.insert(name.clone(), recipe.clone());
                self.levels.insert(name.clone(), level);
                self.selection.demands.extend(demands_of(&recipe, level));
                let Some(against) = self.selection.first_violated(choice_demands) else {
                    return Ok(Some(position));
                };
                choice.blame.extend(self.levels.get(&against));
                self.record_dead_end(&against, Some(&against));
                continue;
            }

            // No version is left: go back to the latest choice that is to blame.
            let Some(mut failed) = self.choices.pop() else { return Ok(None) };
            failed.blame.remove(&level);
            let culprit = failed.blame.pop_last().unwrap_or(0);
            if culprit == 0 {
                return Ok(None);
            }
            for dropped in self.choices.drain(culprit..) {
                self.selection.chosen.remove(&dropped.name);
                self.levels.remove(&dropped.name);
            }
            if let Some(choice) = self.choices.last_mut() {
                choice.blame.append(&mut failed.blame);
            }
        }
    }

    fn record_dead_end(&mut self, name: &PackageName, violated: Option<&PackageName>) {
        let demands: Vec<Demand> = self
            .selection
            .demands
            .iter()
            .filter(|demand| demand.requirement.name == *name)
            .cloned()
            .collect();
        let hopeless =
            violated.is_none()
                || !self.packages.versions(name).iter().any(|candidate| {
                    demands.iter().all(|demand| demand.requirement.allows(&candidate.version))
                });
        if matches!(&self.dead_end, Some((was_hopeless, _)) if *was_hopeless || !hopeless) {
            return;
        }
        let dead_end = DeadEnd {
            package: name.clone(),
            demands,
            chosen: self.selection.chosen.clone(),
            all_demands: self.selection.demands.clone(),
        };
        self.dead_end = Some((hopeless, dead_end));
    }
}

fn demands_of(recipe: &PackageRecipe, level: usize) -> Vec<Demand> {
    let kinds = [
        (DependencyKind::Runtime, &recipe.depends),
        (DependencyKind::Build, &recipe.build_depends),
        (DependencyKind::Primitives, &recipe.primitives_from),
    ];
    let demands = kinds.into_iter().flat_map(|(kind, requirements)| {
        requirements.iter().map(move |requirement| Demand {
            requirement: requirement.clone(),
            by: Some((recipe.name.clone(), kind)),
            level,
        })
    });
    demands.collect()
}
