//! From a universe and an index of opam repositories to a solution: versions, then builds.
//!
//! Roots are the compiler first, then what is asked for, all together or each by itself. The answer
//! depends on nothing but the arguments.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rayon::prelude::*;
use thiserror::Error;

use crate::diagnostic::SourceError;
use crate::name::PackageName;
use crate::package::Requirement;
use crate::package::formula::{Formula, Versions};
use crate::package::index::{Index, Need, Ordinal, PackageId, VersionSet};
use crate::solution::{Chosen, OpamRelease, Release, Solution, Target};
use crate::solve::check;
use crate::solve::explain;
use crate::solve::forest::{Edges, Forest};
use crate::solve::sat::Solver;
use crate::solve::story::story;
use crate::universe::Universe;
use crate::universe::repository::Solving;

/// What a package version asks of the packages that it is built with.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// What its users need too.
    pub runtime: Option<Formula>,
    /// Everything that its build needs.
    pub build: Option<Formula>,
    /// What it takes when it is there.
    pub optional: Option<Formula>,
}

/// Where package versions are read.
pub trait Releases: Sync {
    /// Reads one version that the index has.
    fn release(&self, name: &PackageName, version: &str) -> Result<(OpamRelease, Needs), ReleaseError>;
}

/// Why a version that the index has cannot be read.
#[derive(Debug, Error)]
pub enum ReleaseError {
    /// Its opam file is not good.
    #[error(transparent)]
    File(#[from] SourceError),
    /// The repository does not have it any more.
    #[error("{package} is not in the repository any more")]
    Missing { package: String },
    /// The repository cannot be read.
    #[error(transparent)]
    Elsewhere(Box<dyn std::error::Error + Send + Sync>),
}

/// Something that was asked for and cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impossible {
    /// As it was asked for: `fmt = 0.9.0`, or a name.
    pub asked: String,
    /// Why, in sentences; nothing when everything was asked for.
    pub story: Vec<String>,
}

/// What came of the question.
#[derive(Debug)]
pub struct Answer {
    pub solution: Solution,
    /// With [`Solving::Each`]: what has no solution, in written order.
    pub impossible: Vec<Impossible>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum OpamError {
    /// What is asked for is not there, or cannot be had together; told in terms of the universe file.
    #[error(transparent)]
    Unsolvable(SourceError),
    /// A file of the repository that a solution needs is not good.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// Packages of a solution are built from each other.
    #[error("packages are built from each other: {}", .0.join(" from "))]
    Circle(Vec<String>),
}

/// Chooses versions for everything that the universe asks for.
pub fn solve_opam(universe: &Universe, index: &Index, releases: &dyn Releases) -> Result<Answer, OpamError> {
    let asked = asked(universe, index);
    let compiler: Vec<Requirement> = universe.compiler.iter().cloned().collect();
    let listed: Vec<Requirement> = compiler.iter().chain(&asked).cloned().collect();
    // Each by itself, what there is not keeps nobody else from being had.
    let is_each = universe.repositories.solving == Solving::Each;
    let together = if is_each { &compiler } else { &listed };
    if let Some(error) = explain::not_there(universe, index, together) {
        return Err(OpamError::Unsolvable(error));
    }
    if let Some(error) = explain::not_there(universe, index, &universe.repositories.constraints) {
        return Err(OpamError::Unsolvable(error));
    }
    let questions: Vec<(Option<&Requirement>, Vec<Need>)> = match universe.repositories.solving {
        Solving::Joint => vec![(None, needs(index, &listed))],
        Solving::Each => {
            let question = |one: &Requirement| needs(index, compiler.iter().chain([one]));
            asked.iter().map(|one| (Some(one), question(one))).collect()
        }
    };
    let selections: Vec<Option<Vec<(PackageId, Ordinal)>>> = questions
        .par_iter()
        .map(|(asked, roots)| {
            if asked.is_some_and(|asked| explain::lacking(index, asked).is_some()) {
                return None;
            }
            let selection = Solver::new(index).solve(roots)?;
            debug_assert_eq!(check::check(index, roots, &selection), Ok(()));
            Some(selection)
        })
        .collect();
    if universe.repositories.solving == Solving::Joint && selections[0].is_none() {
        return Err(OpamError::Unsolvable(explain::opam_conflict(universe, index, &listed, &questions[0].1)));
    }
    let wanted: BTreeSet<(PackageId, Ordinal)> = selections.iter().flatten().flatten().copied().collect();
    let wanted: Vec<(PackageId, Ordinal)> = wanted.into_iter().collect();
    let read: Vec<(Arc<OpamRelease>, Edges)> = wanted
        .par_iter()
        .map(|(package, ordinal)| read(index, releases, *package, *ordinal))
        .collect::<Result<_, _>>()?;
    let mut released = HashMap::new();
    let mut edges = HashMap::new();
    for (version, (release, of)) in wanted.iter().zip(read) {
        released.insert(*version, release);
        edges.insert(*version, of);
    }
    let mut forest = Forest::default();
    let mut targets = Vec::new();
    let mut impossible = Vec::new();
    for ((asked, roots), selection) in questions.iter().zip(&selections) {
        let Some(selection) = selection else {
            let lacking = asked.and_then(|asked| explain::lacking(index, asked));
            let asked = asked.map(ToString::to_string).unwrap_or_default();
            if let Some(reason) = lacking {
                impossible.push(Impossible { asked, story: vec![reason] });
                continue;
            }
            let called: Vec<String> =
                compiler.iter().map(ToString::to_string).chain([asked.clone()]).collect();
            let is_told = universe.repositories.latest.is_none();
            let story = if is_told { story(index, roots, &called) } else { Vec::new() };
            impossible.push(Impossible { asked, story });
            continue;
        };
        let roots: Vec<PackageId> = roots.iter().filter_map(root).collect();
        let builds = forest.add(selection, &roots, &edges).map_err(|circle| {
            OpamError::Circle(
                circle.0.iter().map(|package| index.package(*package).name.to_string()).collect(),
            )
        })?;
        let ids = roots.iter().filter_map(|root| builds.get(root).copied());
        let mut seen = BTreeSet::new();
        let ids: Vec<usize> = ids.filter(|id| seen.insert(*id)).collect();
        let name = asked.and_then(|_| Some(full_name(&released[&of(selection, *roots.last()?)?]).into()));
        let compiler = builds.get(&index.find("ocaml").map_or(PackageId::MAX, |(id, _)| id)).copied();
        targets.push(Target { name, roots: ids, compiler, extra: Vec::new() });
    }
    let packages = forest.builds.into_iter().map(|build| Chosen {
        release: Release::Opam(Arc::clone(&released[&(build.package, build.ordinal)])),
        depends: build.runtime,
        build_depends: build.build,
        primitives_from: Vec::new(),
        reasons: Vec::new(),
    });
    Ok(Answer { solution: Solution { packages: packages.collect(), targets }, impossible })
}

/// What is asked for besides the compiler.
fn asked(universe: &Universe, index: &Index) -> Vec<Requirement> {
    let Some(span) = universe.repositories.latest else { return universe.packages.clone() };
    let names = index.packages().iter().filter(|package| !package.versions.is_empty());
    let names = names.filter_map(|package| PackageName::new(&package.name));
    names.map(|name| Requirement { name, constraints: Vec::new(), span }).collect()
}

/// Roots as the index knows them; those that it does not know are left out.
pub fn needs<'r>(index: &Index, roots: impl IntoIterator<Item = &'r Requirement>) -> Vec<Need> {
    let need = |root: &Requirement| {
        let (id, package) = index.find(root.name.as_str())?;
        let conditions = root.constraints.iter();
        let conditions = conditions.map(|c| Versions::That(c.relation, c.version.as_str().to_owned()));
        Some(Need::Package(id, VersionSet::of(&Versions::All(conditions.collect()), &package.versions)))
    };
    roots.into_iter().filter_map(need).collect()
}

fn root(need: &Need) -> Option<PackageId> {
    match need {
        Need::Package(id, _) => Some(*id),
        _ => None,
    }
}

fn of(selection: &[(PackageId, Ordinal)], package: PackageId) -> Option<(PackageId, Ordinal)> {
    selection.iter().copied().find(|(id, _)| *id == package)
}

fn read(
    index: &Index,
    releases: &dyn Releases,
    package: PackageId,
    ordinal: Ordinal,
) -> Result<(Arc<OpamRelease>, Edges), ReleaseError> {
    let name = PackageName::new(&index.package(package).name).expect("an index of checked names");
    let (release, needs) = releases.release(&name, index.version(package, ordinal).0)?;
    let edges = Edges {
        runtime: atoms(index, package, needs.runtime.as_ref()),
        build: atoms(index, package, needs.build.as_ref()),
        optional: atoms(index, package, needs.optional.as_ref()),
    };
    Ok((Arc::new(release), edges))
}

fn full_name(release: &OpamRelease) -> String {
    format!("{}.{}", release.name, release.version)
}

/// Every package that a formula names, with the versions that count.
fn atoms(index: &Index, own: PackageId, formula: Option<&Formula>) -> Vec<(PackageId, VersionSet)> {
    let mut atoms = Vec::new();
    if let Some(formula) = formula {
        formula.atoms(&mut |atom| {
            if let Some((id, package)) = index.find(&atom.name)
                && id != own
            {
                atoms.push((id, VersionSet::of(&atom.versions, &package.versions)));
            }
        });
    }
    atoms
}
