//! Why roots cannot be had together, found by narrowing: versions fall away one after the other until
//! nothing is left of a package that is needed.
//!
//! This finds what follows step by step, without supposing anything. Most contradictions of real
//! repositories show that way, and the steps make a story that can be told.

use std::collections::BTreeMap;

use crate::package::index::{Index, Need, Ordinal, PackageId, VersionSet};

/// Who asks for a package, or excludes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The root with this number.
    Asked(usize),
    /// This version, by its dependency with this number.
    Needs { package: PackageId, ordinal: Ordinal, need: usize },
    /// This version, by a conflict.
    Excludes { package: PackageId, ordinal: Ordinal },
}

/// Demands on one package that no version of it meets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Story {
    pub package: PackageId,
    /// Each begins with who has the demand and goes back to a root.
    pub chains: Vec<Vec<Step>>,
    /// Who has one of the demands, and has other versions that could be taken and do not help.
    pub others: Vec<PackageId>,
}

/// A moment: what came later explains nothing earlier.
type Time = u32;

#[derive(Debug)]
struct Demand {
    time: Time,
    step: Step,
    versions: VersionSet,
}

#[derive(Clone, Copy, Debug)]
enum Cause {
    /// Its dependency with this number cannot be met.
    Need(usize),
    /// It cannot be had beside this package, which is needed.
    Conflict(PackageId),
}

#[derive(Debug, Default)]
struct State {
    /// The versions that may still be had.
    left: Vec<bool>,
    /// When and why versions fell away.
    fallen: BTreeMap<Ordinal, (Time, Cause)>,
    /// What is asked of the package by what is certainly needed; it is needed when there is some.
    demands: Vec<Demand>,
}

struct Narrowing<'i> {
    index: &'i Index,
    states: BTreeMap<PackageId, State>,
    now: Time,
}

/// Tells why `roots` cannot be had together, if narrowing finds it.
pub(super) fn narrow(index: &Index, roots: &[Need]) -> Option<Story> {
    let mut narrowing = Narrowing { index, states: BTreeMap::new(), now: 0 };
    narrowing.visit(roots);
    for (number, root) in roots.iter().enumerate() {
        if let Need::Package(package, versions) = root {
            narrowing.demand(*package, Step::Asked(number), versions);
        }
    }
    loop {
        let before = narrowing.now;
        if let Some(package) = narrowing.impossible() {
            return Some(narrowing.tell(package));
        }
        narrowing.drop_versions();
        if let Some(package) = narrowing.impossible() {
            return Some(narrowing.tell(package));
        }
        narrowing.ask_further();
        if narrowing.now == before {
            return None;
        }
    }
}

impl Narrowing<'_> {
    /// Takes in every package that some version of what is asked for may need.
    fn visit(&mut self, roots: &[Need]) {
        let mut left: Vec<PackageId> = Vec::new();
        roots.iter().for_each(|root| packages_of(root, &mut left));
        while let Some(id) = left.pop() {
            if self.states.contains_key(&id) {
                continue;
            }
            let package = self.index.package(id);
            let mut state = State { left: vec![false; package.versions.len()], ..State::default() };
            for ordinal in &package.preference {
                state.left[usize::from(*ordinal)] = true;
                let needs = &package.candidates[usize::from(*ordinal)].depends;
                needs.iter().for_each(|need| packages_of(need, &mut left));
            }
            self.states.insert(id, state);
        }
    }

    fn tick(&mut self) -> Time {
        self.now += 1;
        self.now
    }

    /// The versions of a package that may still be had.
    fn left_of(&self, package: PackageId) -> impl Iterator<Item = Ordinal> + '_ {
        let state = self.states.get(&package);
        let left = state.into_iter().flat_map(|state| (0..).zip(&state.left));
        left.filter(|(_, left)| **left).map(|(ordinal, _)| ordinal)
    }

    fn is_needed(&self, package: PackageId) -> bool {
        self.states.get(&package).is_some_and(|state| !state.demands.is_empty())
    }

    /// The first package that is needed and of which nothing is left.
    fn impossible(&self) -> Option<PackageId> {
        let needed = self.states.iter().filter(|(_, state)| !state.demands.is_empty());
        needed.filter(|(_, state)| !state.left.contains(&true)).map(|(id, _)| *id).next()
    }

    fn demand(&mut self, package: PackageId, step: Step, versions: &VersionSet) {
        let time = self.now + 1;
        let Some(state) = self.states.get_mut(&package) else { return };
        let mut news = state.demands.is_empty();
        for (ordinal, left) in (0..).zip(&mut state.left) {
            if *left && !versions.contains(ordinal) {
                (*left, news) = (false, true);
            }
        }
        if news {
            state.demands.push(Demand { time, step, versions: versions.clone() });
            self.tick();
        }
    }

    /// Whether nothing that is left meets a need.
    fn is_dead(&self, need: &Need) -> bool {
        match need {
            Need::Package(package, versions) => {
                !self.left_of(*package).any(|ordinal| versions.contains(ordinal))
            }
            Need::All(parts) => parts.iter().any(|part| self.is_dead(part)),
            Need::Any(parts) => parts.iter().all(|part| self.is_dead(part)),
        }
    }

    /// Drops versions that need what cannot be had, or that exclude what is needed.
    fn drop_versions(&mut self) {
        let ids: Vec<PackageId> = self.states.keys().copied().collect();
        for id in ids {
            let left: Vec<Ordinal> = self.left_of(id).collect();
            for ordinal in left {
                if let Some(cause) = self.cause_against(id, ordinal) {
                    let time = self.tick();
                    if let Some(state) = self.states.get_mut(&id) {
                        state.left[usize::from(ordinal)] = false;
                        state.fallen.insert(ordinal, (time, cause));
                    }
                }
            }
        }
    }

    fn cause_against(&self, id: PackageId, ordinal: Ordinal) -> Option<Cause> {
        let candidate = self.index.version(id, ordinal).1;
        if let Some(need) = candidate.depends.iter().position(|need| self.is_dead(need)) {
            return Some(Cause::Need(need));
        }
        let excluded = candidate.conflicts.iter().find(|(other, versions)| {
            self.is_needed(*other) && self.left_of(*other).all(|ordinal| versions.contains(ordinal))
        });
        if let Some((other, _)) = excluded {
            return Some(Cause::Conflict(*other));
        }
        let needed = self.states.iter().filter(|(other, state)| **other != id && !state.demands.is_empty());
        let mut others = needed.map(|(other, _)| *other);
        others
            .find(|other| {
                self.left_of(*other).all(|version| {
                    let other = self.index.version(*other, version).1;
                    other.classes.iter().any(|class| candidate.classes.contains(class))
                        || other.conflicts.iter().any(|(p, set)| *p == id && set.contains(ordinal))
                })
            })
            .map(Cause::Conflict)
    }

    /// What all versions that are left of a needed package ask for is needed too.
    fn ask_further(&mut self) {
        let needed: Vec<PackageId> = self.states.keys().copied().filter(|id| self.is_needed(*id)).collect();
        for id in needed {
            // The one that would be tried first speaks for all.
            let preference = &self.index.package(id).preference;
            let state = &self.states[&id];
            let Some(&first) = preference.iter().find(|ordinal| state.left[usize::from(**ordinal)]) else {
                continue;
            };
            let mut asked = Vec::new();
            for (package, need, mut versions) in self.certain_needs(id, first) {
                let others = self.left_of(id).filter(|ordinal| *ordinal != first);
                let common = others.into_iter().all(|other| {
                    let needs = self.certain_needs(id, other);
                    let same = needs.into_iter().find(|(p, ..)| *p == package);
                    same.is_some_and(|(.., set)| {
                        versions = VersionSet::new(versions.ranges().chain(set.ranges()).collect());
                        true
                    })
                });
                if common {
                    asked.push((package, Step::Needs { package: id, ordinal: first, need }, versions));
                }
            }
            for (package, step, versions) in asked {
                self.demand(package, step, &versions);
            }
        }
    }

    /// Packages that a version needs in any case, the number of the dependency, and the versions.
    fn certain_needs(&self, id: PackageId, ordinal: Ordinal) -> Vec<(PackageId, usize, VersionSet)> {
        let mut found = Vec::new();
        let needs = &self.index.version(id, ordinal).1.depends;
        for (number, need) in needs.iter().enumerate() {
            let mut left = vec![need];
            while let Some(need) = left.pop() {
                match need {
                    Need::Package(package, versions) => found.push((*package, number, versions.clone())),
                    Need::All(parts) => left.extend(parts),
                    Need::Any(parts) => {
                        let mut alive = parts.iter().filter(|part| !self.is_dead(part));
                        if let (Some(only), None) = (alive.next(), alive.next()) {
                            left.push(only);
                        }
                    }
                }
            }
        }
        found
    }

    /// Makes the story of a package of which nothing is left.
    fn tell(&self, package: PackageId) -> Story {
        let (mut package, mut before) = (package, Time::MAX);
        // What is asked of the package beside its demands, and how that came about.
        let mut extra: Option<(Vec<Step>, VersionSet)> = None;
        loop {
            let state = &self.states[&package];
            let demands: Vec<&Demand> = state.demands.iter().filter(|demand| demand.time < before).collect();
            let meets = |ordinal: &Ordinal| {
                demands.iter().all(|demand| demand.versions.contains(*ordinal))
                    && extra.as_ref().is_none_or(|(_, versions)| versions.contains(*ordinal))
            };
            let mut preference = self.index.package(package).preference.iter();
            let fallen = preference.find(|ordinal| meets(ordinal)).and_then(|ordinal| {
                let (time, cause) = state.fallen.get(ordinal)?;
                Some((*ordinal, *time, *cause))
            });
            let Some((ordinal, time, cause)) = fallen else {
                return self.story(package, self.contradiction(package, &demands, extra));
            };
            let behind = match extra {
                Some((chain, _)) => chain,
                None => demands.first().map(|first| self.chain(first)).unwrap_or_default(),
            };
            match cause {
                Cause::Conflict(other) => {
                    let excluding = [vec![Step::Excludes { package, ordinal }], behind].concat();
                    let first = self.states[&other].demands.first();
                    let chains = std::iter::once(excluding).chain(first.map(|first| self.chain(first)));
                    return self.story(other, chains.collect());
                }
                Cause::Need(need) => {
                    let step = Step::Needs { package, ordinal, need };
                    let dead = self.dead_part(&self.index.version(package, ordinal).1.depends[need], time);
                    let chain = [vec![step], behind].concat();
                    let Some((next, versions)) = dead else { return self.story(package, vec![chain]) };
                    (package, before, extra) = (next, time, Some((chain, versions)));
                }
            }
        }
    }

    fn story(&self, package: PackageId, chains: Vec<Vec<Step>>) -> Story {
        let firsts = chains.iter().filter_map(|chain| chain.first());
        let mut others: Vec<PackageId> = firsts
            .filter_map(|step| match step {
                Step::Needs { package, .. } | Step::Excludes { package, .. } => Some(*package),
                Step::Asked(_) => None,
            })
            .filter(|package| {
                let demands = &self.states[package].demands;
                let meets =
                    |ordinal: &&Ordinal| demands.iter().all(|demand| demand.versions.contains(**ordinal));
                self.index.package(*package).preference.iter().filter(meets).count() > 1
            })
            .collect();
        others.sort_unstable();
        others.dedup();
        Story { package, chains, others }
    }

    /// The first package of a need that could not be had at that time.
    fn dead_part(&self, need: &Need, time: Time) -> Option<(PackageId, VersionSet)> {
        match need {
            Need::Package(package, versions) => {
                let state = self.states.get(package)?;
                let could = (0..).zip(&state.left).any(|(ordinal, left)| {
                    versions.contains(ordinal)
                        && (*left
                            || state.fallen.get(&ordinal).is_some_and(|(fell, _)| *fell >= time)
                            || was_cut_after(state, ordinal, time))
                });
                (!could).then(|| (*package, versions.clone()))
            }
            Need::All(parts) | Need::Any(parts) => parts.iter().find_map(|part| self.dead_part(part, time)),
        }
    }

    /// As few of the demands as contradict each other.
    fn contradiction(
        &self,
        package: PackageId,
        demands: &[&Demand],
        extra: Option<(Vec<Step>, VersionSet)>,
    ) -> Vec<Vec<Step>> {
        let mut kept: Vec<&Demand> = demands.to_vec();
        let available = &self.index.package(package).preference;
        let contradict = |kept: &[&Demand]| {
            !available.iter().any(|ordinal| {
                kept.iter().all(|demand| demand.versions.contains(*ordinal))
                    && extra.as_ref().is_none_or(|(_, versions)| versions.contains(*ordinal))
            })
        };
        for at in (0..kept.len()).rev() {
            let one = kept.remove(at);
            if !contradict(&kept) || (kept.is_empty() && extra.is_none()) {
                kept.insert(at, one);
            }
        }
        let chains = kept.iter().map(|demand| self.chain(demand));
        extra.iter().map(|(chain, _)| chain.clone()).chain(chains).collect()
    }

    /// How a demand came about, back to a root.
    fn chain(&self, demand: &Demand) -> Vec<Step> {
        let mut steps = vec![demand.step];
        let mut before = demand.time;
        while let Some(Step::Needs { package, .. }) = steps.last() {
            let earlier = self.states[package].demands.iter().find(|demand| demand.time < before);
            let Some(earlier) = earlier else { break };
            steps.push(earlier.step);
            before = earlier.time;
        }
        steps
    }
}

fn packages_of(need: &Need, found: &mut Vec<PackageId>) {
    match need {
        Need::Package(package, _) => found.push(*package),
        Need::All(parts) | Need::Any(parts) => parts.iter().for_each(|part| packages_of(part, found)),
    }
}

/// Whether it was a demand that took a version away, and not before that time.
fn was_cut_after(state: &State, ordinal: Ordinal, time: Time) -> bool {
    let cut = state.demands.iter().find(|demand| !demand.versions.contains(ordinal));
    !state.fallen.contains_key(&ordinal) && cut.is_some_and(|cut| cut.time >= time)
}
