//! An index in the terms of resolvo: names, solvables, sets of versions.
//!
//! Every name has solvables with ordinals. Besides packages there are two kinds of names. A conflict
//! class has one solvable for each package in it, and a version of a package requires its own: of a
//! name only one can be had. An alternative that holds several things is a name with one solvable that
//! requires them.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use jtwbuild::package::index::{Index, Need, Ordinal, PackageId, VersionSet};
use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider,
    HintDependenciesAvailable, Interner, KnownDependencies, NameId, Problem, Requirement, SolvableId, Solver,
    SolverCache, StringId, VersionSetId, VersionSetUnionId,
};

/// All that can be asked of one index.
pub struct World<'i> {
    index: &'i Index,
    /// The solvables of each name, best first; the packages have the first names.
    names: Vec<Vec<SolvableId>>,
    /// Name and ordinal of each solvable.
    solvables: Vec<(u32, Ordinal)>,
    dependencies: Vec<KnownDependencies>,
    sets: Vec<(u32, VersionSet)>,
    set_ids: HashMap<(u32, Vec<(Ordinal, Ordinal)>), VersionSetId>,
    unions: Vec<Vec<VersionSetId>>,
}

impl<'i> World<'i> {
    pub fn new(index: &'i Index) -> Self {
        let mut world = Self {
            index,
            names: Vec::new(),
            solvables: Vec::new(),
            dependencies: Vec::new(),
            sets: Vec::new(),
            set_ids: HashMap::new(),
            unions: Vec::new(),
        };
        let mut classes: BTreeMap<u32, Vec<PackageId>> = BTreeMap::new();
        for (id, package) in (0..).zip(index.packages()) {
            world.add_name(&package.preference);
            for ordinal in &package.preference {
                for class in &index.version(id, *ordinal).1.classes {
                    let members = classes.entry(*class).or_default();
                    if members.last() != Some(&id) {
                        members.push(id);
                    }
                }
            }
        }
        let count = world.solvables.len();
        let class_names: BTreeMap<u32, u32> = classes
            .iter()
            .map(|(class, members)| {
                let ordinals: Vec<Ordinal> = (0..).take(members.len()).collect();
                (*class, world.add_name(&ordinals))
            })
            .collect();
        for at in 0..count {
            let (package, ordinal) = world.solvables[at];
            let candidate = index.version(package, ordinal).1;
            let mut known = KnownDependencies::default();
            for need in &candidate.depends {
                world.require(need, &mut known.requirements);
            }
            for (other, set) in &candidate.conflicts {
                let count = Ordinal::try_from(index.package(*other).versions.len()).unwrap();
                let allowed = (0..count).filter(|ordinal| !set.contains(*ordinal));
                let allowed = VersionSet::new(allowed.map(|ordinal| (ordinal, ordinal + 1)).collect());
                known.constrains.push(world.set(*other, &allowed));
            }
            for class in &candidate.classes {
                let place = classes[class].iter().position(|member| *member == package).unwrap();
                let own = VersionSet::only(Ordinal::try_from(place).unwrap());
                known.requirements.push(world.set(class_names[class], &own).into());
            }
            world.dependencies[at] = known;
        }
        world
    }

    fn add_name(&mut self, ordinals: &[Ordinal]) -> u32 {
        let name = u32::try_from(self.names.len()).unwrap();
        let mut solvables = Vec::with_capacity(ordinals.len());
        for ordinal in ordinals {
            solvables.push(SolvableId::from_raw(u32::try_from(self.solvables.len()).unwrap()));
            self.solvables.push((name, *ordinal));
            self.dependencies.push(KnownDependencies::default());
        }
        self.names.push(solvables);
        name
    }

    fn set(&mut self, name: u32, set: &VersionSet) -> VersionSetId {
        let next = VersionSetId(u32::try_from(self.sets.len()).unwrap());
        let id = *self.set_ids.entry((name, set.ranges().collect())).or_insert(next);
        if id == next {
            self.sets.push((name, set.clone()));
        }
        id
    }

    /// Adds what `need` asks for.
    pub fn require(&mut self, need: &Need, requirements: &mut Vec<ConditionalRequirement>) {
        match need {
            Need::Package(package, set) => requirements.push(self.set(*package, set).into()),
            Need::All(parts) => parts.iter().for_each(|part| self.require(part, requirements)),
            Need::Any(parts) => {
                let sets: Vec<VersionSetId> = parts.iter().map(|part| self.alternative(part)).collect();
                requirements.push(match sets[..] {
                    [only] => Requirement::Single(only).into(),
                    _ => {
                        self.unions.push(sets);
                        VersionSetUnionId(u32::try_from(self.unions.len() - 1).unwrap()).into()
                    }
                });
            }
        }
    }

    fn alternative(&mut self, need: &Need) -> VersionSetId {
        if let Need::Package(package, set) = need {
            return self.set(*package, set);
        }
        let name = self.add_name(&[0]);
        let at = self.solvables.len() - 1;
        let mut requirements = Vec::new();
        self.require(need, &mut requirements);
        self.dependencies[at].requirements = requirements;
        self.set(name, &VersionSet::only(0))
    }

    /// What `roots` are for resolvo.
    pub fn requirements(&mut self, roots: &[Need]) -> Vec<ConditionalRequirement> {
        let mut requirements = Vec::new();
        roots.iter().for_each(|root| self.require(root, &mut requirements));
        requirements
    }

    /// A solver for any number of questions.
    pub fn solver(&self) -> Solver<Provider<'_>> {
        Solver::new(Provider(self))
    }

    /// The packages that resolvo selects, sorted; `None` when there is no solution.
    pub fn solve(
        &self,
        solver: &mut Solver<Provider<'_>>,
        requirements: Vec<ConditionalRequirement>,
    ) -> Option<Vec<(PackageId, Ordinal)>> {
        let solvables = solver.solve(Problem::new().requirements(requirements)).ok()?;
        let chosen = solvables.iter().map(|solvable| self.solvables[solvable.into_raw() as usize]);
        let is_package = |(name, _): &(u32, _)| (*name as usize) < self.index.packages().len();
        let mut selection: Vec<(PackageId, Ordinal)> = chosen.filter(is_package).collect();
        selection.sort_unstable();
        Some(selection)
    }
}

/// Answers resolvo's questions.
pub struct Provider<'w>(&'w World<'w>);

impl Interner for Provider<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        format!("{:?}", self.0.solvables[solvable.into_raw() as usize])
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        name.into_raw()
    }

    fn display_version_set(&self, set: VersionSetId) -> impl Display + '_ {
        set.0
    }

    fn display_string(&self, string: StringId) -> impl Display + '_ {
        string.0
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        NameId::from_raw(self.0.sets[set.0 as usize].0)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        NameId::from_raw(self.0.solvables[solvable.into_raw() as usize].0)
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.0.unions[union.0 as usize].iter().copied()
    }

    fn resolve_condition(&self, _: ConditionId) -> Condition {
        unreachable!("no requirement has a condition")
    }
}

impl DependencyProvider for Provider<'_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let set = &self.0.sets[set.0 as usize].1;
        let is_in = |solvable: &SolvableId| set.contains(self.0.solvables[solvable.into_raw() as usize].1);
        candidates.iter().copied().filter(|solvable| is_in(solvable) != inverse).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        Some(Candidates {
            candidates: self.0.names[name.into_raw() as usize].clone(),
            hint_dependencies_available: HintDependenciesAvailable::None,
            ..Candidates::default()
        })
    }

    /// Solvables were numbered in the order of preference.
    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        solvables.sort_unstable_by_key(|solvable| solvable.into_raw());
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        Dependencies::Known(self.0.dependencies[solvable.into_raw() as usize].clone())
    }
}
