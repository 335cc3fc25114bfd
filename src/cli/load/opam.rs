//! Packages of opam repositories: opening what the universe names, choosing versions, pinning what
//! the chosen ones need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use super::Loaded;
use crate::cli::trouble::Trouble;
use crate::fetch::debian::{self, DebianError, Suite};
use crate::lock::{Lock, LockedBase, LockedRepository};
use crate::name::RecipeName;
use crate::opam::Platform;
use crate::opam::place::{Commit, Kind, Pin, Place};
use crate::package::PackageRecipe;
use crate::package::set::PackageSet;
use crate::recipe::opam::OpamRecipe;
use crate::recipe::overlay::Recipes;
use crate::recipe::{BaseRecipe, RecipeKind};
use crate::releases::OpamReleases;
use crate::repository::{Ground, Indexed, Repositories};
use crate::solution::{Chosen, PackageId, Release, Solution};
use crate::solve::opam::{Answer, Impossible, solve_opam};
use crate::store::Store;
use crate::store::tree::TreeHash;
use crate::universe::Universe;
use crate::universe::repository::{RepositoryChoice, Solving};
use crate::version::Version;

/// The folder of the recipes with opam packages of our own.
const OVERLAY: &str = "opam/";

/// Opened repositories with everything that can be asked of them.
pub(in crate::cli) struct Opened {
    pub repositories: Repositories,
    pub platform: Platform,
    pub indexed: Indexed,
}

impl Loaded {
    /// The platform that packages of opam repositories are built for.
    pub(super) fn platform(&self) -> Result<Platform, Trouble> {
        let recipe = OpamRecipe::load(&self.recipes)?.recipe;
        self.platform_of(self.universe.opam_base(&recipe))
    }

    /// The platform that a base is: Debian, as the base states it.
    pub(super) fn platform_of(&self, base: &RecipeName) -> Result<Platform, Trouble> {
        let facts = BaseRecipe::load(&self.recipes, base)?.recipe.facts;
        let mut platform = Platform::debian(facts.get("os-version").map_or("", String::as_str));
        if let Some(version) = facts.get("ocaml-version") {
            platform.set("sys-ocaml-version", version);
        }
        Ok(platform)
    }

    /// Opens the opam repositories of the universe, as the lock pins them, and pins the others; and
    /// reads what they have.
    pub(in crate::cli) fn open_repositories(&mut self, store: &Arc<Store>) -> Result<Opened, Trouble> {
        let repositories = self.open_places(store)?;
        let platform = self.platform()?;
        let indexed = self.index(&repositories, &platform)?;
        Ok(Opened { repositories, platform, indexed })
    }

    /// What repositories have for a platform, under the universe's constraints.
    pub(super) fn index(&self, repositories: &Repositories, platform: &Platform) -> Result<Indexed, Trouble> {
        let mut indexed = repositories.index(platform)?;
        for constraint in &self.universe.repositories.constraints {
            indexed.index.restrict(constraint.name.as_str(), |version| {
                Version::new(version).is_some_and(|version| constraint.allows(&version))
            });
        }
        Ok(indexed)
    }

    /// Opens the opam repositories of the universe, and puts our own before them.
    pub(super) fn open_places(&mut self, store: &Arc<Store>) -> Result<Repositories, Trouble> {
        let mut asked = Vec::new();
        for choice in &self.universe.repositories.choices {
            let RepositoryChoice::Opam { place, span } = choice else { continue };
            let parsed = Place::parse(place, &self.universe.directory).map_err(|error| {
                let (code, help) = ("jtwbuild::universe::repository", error.help.to_owned());
                self.universe.error_at(*span, code, error.to_string(), error.reason, Some(help))
            })?;
            asked.push((parsed, pin_of(&self.lock, place)));
        }
        let stop = AtomicBool::new(false);
        let ground = Ground { store, fetcher: &self.fetcher, progress: &|_, _| (), stop: &stop };
        let mut repositories = Repositories::open(&asked, ground)?;
        self.lock.repositories =
            asked.iter().zip(repositories.pins()).map(|((place, _), pin)| locked(place, &pin)).collect();
        self.directories = asked
            .iter()
            .filter_map(|(place, _)| match &place.kind {
                Kind::Directory(path) => Some(path.clone()),
                _ => None,
            })
            .collect();
        repositories.put_first("jtwbuild's own packages", overlay(&self.recipes, OVERLAY)?)?;
        Ok(repositories)
    }

    /// Chooses versions from opam repositories.
    pub(super) fn solve_opam(&mut self, store: &Arc<Store>) -> Result<Solution, Trouble> {
        let mut opened = self.open_repositories(store)?;
        let is_joint = self.universe.repositories.solving == Solving::Joint;
        if is_joint {
            for (name, version) in &self.lock.packages {
                opened.indexed.index.prefer(name.as_str(), version.as_str());
            }
        }
        let Opened { repositories, platform, indexed } = &opened;
        let releases =
            OpamReleases { universe: &self.universe, repositories, platform, of_worker: &BTreeSet::new() };
        let Answer { mut solution, impossible } = solve_opam(&self.universe, &indexed.index, &releases)?;
        self.lock.packages = if is_joint { solution.pins() } else { BTreeMap::new() };
        self.told.extend(repositories.notices().iter().cloned());
        self.told.extend(indexed.broken.iter().map(|error| format!("left out: {error}")));
        self.impossible = impossible;
        if self.universe.has_site {
            add_standard_libraries(&self.recipes, &mut solution)?;
            solution.lend_javascript(&OpamRecipe::load(&self.recipes)?.recipe.javascript);
        }
        Ok(solution)
    }

    /// Pins the distribution packages by which the base of a solution's builds has to be extended.
    /// `known` is what the lock pinned before.
    pub(super) fn pin_extensions(
        &mut self,
        solution: &Solution,
        base: &RecipeName,
        known: &BTreeMap<RecipeName, LockedBase>,
    ) -> Result<(), Trouble> {
        let mut wanted: BTreeMap<RecipeName, Vec<String>> = BTreeMap::new();
        for id in 0..solution.packages.len() {
            let packages = solution.depexts(id);
            if !packages.is_empty() {
                let name = OpamRecipe::extension_name(base, &packages);
                wanted.entry(name).or_insert_with(|| packages.into_iter().map(str::to_owned).collect());
            }
        }
        let Some(of) = self.lock.bases.get(base).cloned() else { return Ok(()) };
        let recipe = BaseRecipe::load(&self.recipes, base)?.recipe;
        let mut missing = Vec::new();
        for (name, packages) in wanted {
            let asked = format!("{}+{}", of.asked, packages.join("+"));
            let is_it = |known: &&LockedBase| known.suite == of.suite && known.asked == asked;
            match known.get(&name).filter(is_it) {
                Some(known) => drop(self.lock.bases.insert(name, known.clone())),
                None => missing.push((name, packages, asked)),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let (components, arch) = (&recipe.components, debian::architecture());
        let (now, stop) = (SystemTime::now(), AtomicBool::new(false));
        let suite = Suite::open(&self.fetcher, &of.suite, components, arch, now, &stop)?;
        // Reading the suite takes longer than everything that is asked of it.
        let index = suite.index();
        let mut lacking = BTreeSet::new();
        for (name, mut packages, asked) in missing {
            // What the suite lacks is told, and left to the package that asks for it: it finds out.
            let debs = loop {
                match index.extension(&of.packages, &packages) {
                    Err(
                        DebianError::Unknown { name, .. } | DebianError::Unsatisfiable { package: name, .. },
                    ) if packages.contains(&name) => {
                        packages.retain(|package| *package != name);
                        lacking.insert(name);
                    }
                    other => break other?,
                }
            };
            let release_date = suite.date.clone();
            let locked = LockedBase { suite: of.suite.clone(), asked, release_date, packages: debs };
            self.lock.bases.insert(name, locked);
        }
        self.told.extend(lacking.iter().map(|name| {
            format!("a package asks for the distribution's `{name}`, which {} does not have", of.suite)
        }));
        Ok(())
    }
}

/// What the lock says of a repository.
fn pin_of(lock: &Lock, place: &str) -> Option<Pin> {
    let locked = lock.repositories.iter().find(|locked| locked.place == place)?;
    let tree = TreeHash::from_hex(&locked.tree)?;
    Some(Pin { commit: locked.commit.as_deref().and_then(Commit::new), tree })
}

fn locked(place: &Place, pin: &Pin) -> LockedRepository {
    LockedRepository {
        place: place.written.clone(),
        commit: pin.commit.as_ref().map(ToString::to_string),
        tree: pin.tree.to_hex(),
    }
}

/// The files of a repository of our own, which is that folder of the recipes, by their paths in it.
pub(super) fn overlay(recipes: &Recipes, folder: &str) -> Result<Vec<(String, Vec<u8>)>, Trouble> {
    let files = recipes.list(folder).into_iter().filter(|path| path[folder.len()..].starts_with("packages/"));
    files.map(|path| Ok((path[folder.len()..].to_owned(), recipes.bytes(path)?.to_vec()))).collect()
}

/// Adds the libraries that come with the compiler and that every site gets.
fn add_standard_libraries(recipes: &Recipes, solution: &mut Solution) -> Result<(), Trouble> {
    let packages = PackageSet::new(recipes)?;
    let opam = OpamRecipe::load(recipes)?.recipe;
    let mut added: BTreeMap<String, PackageId> = BTreeMap::new();
    let mut found: Vec<Arc<PackageRecipe>> = Vec::new();
    let mut names: Vec<_> = opam.standard_libraries.clone();
    while let Some(name) = names.pop() {
        if found.iter().any(|recipe| recipe.name == name) {
            continue;
        }
        let Some(candidate) = packages.versions(&name).first() else { continue };
        let recipe = packages.recipe(&name, candidate)?;
        names.extend(recipe.depends.iter().map(|requirement| requirement.name.clone()));
        found.push(recipe);
    }
    // Dependencies first: none of these recipes needs one that needs it.
    while !found.is_empty() {
        let ready = found
            .iter()
            .position(|recipe| recipe.depends.iter().all(|need| added.contains_key(need.name.as_str())));
        let Some(ready) = ready else { break };
        let recipe = found.remove(ready);
        let depends = recipe.depends.iter().filter_map(|need| added.get(need.name.as_str()).copied());
        let chosen = Chosen {
            depends: depends.collect::<BTreeSet<_>>().into_iter().collect(),
            build_depends: Vec::new(),
            primitives_from: Vec::new(),
            reasons: Vec::new(),
            release: Release::Recipe(Arc::clone(&recipe)),
        };
        added.insert(recipe.name.to_string(), solution.packages.len());
        solution.packages.push(chosen);
    }
    let extra: Vec<PackageId> = added.into_values().collect();
    for target in &mut solution.targets {
        target.extra.clone_from(&extra);
    }
    Ok(())
}

/// What was asked for and cannot be had, one line each.
pub(in crate::cli) fn impossible_lines(universe: &Universe, impossible: &[Impossible]) -> Vec<String> {
    if universe.repositories.latest.is_some() && !impossible.is_empty() {
        return vec![format!(
            "{} packages cannot be had with this compiler: `jtwbuild why-not` tells why",
            impossible.len()
        )];
    }
    impossible.iter().map(|one| format!("no solution for {}", one.asked)).collect()
}
