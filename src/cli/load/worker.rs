//! The worker's tree as a repository of opam packages (`[tools] layout = "opam"`): its packages are
//! found, and versions are chosen for what they need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Loaded;
use super::opam::overlay;
use crate::cli::trouble::{Exit, Trouble};
use crate::diagnostic::{SourceError, Span, did_you_mean};
use crate::name::{PackageName, RecipeName};
use crate::opam::Platform;
use crate::opam::pinned::{self, Pinned};
use crate::package::Requirement;
use crate::pins::Pins;
use crate::plan::evaluate::WorkerPackages;
use crate::recipe::opam::OpamRecipe;
use crate::recipe::overlay::Recipes;
use crate::recipe::{BaseRecipe, JtwToolsRecipe, RecipeKind};
use crate::releases::OpamReleases;
use crate::solution::Solution;
use crate::solve::opam::{Answer, OpamError, solve_opam};
use crate::store::Store;
use crate::universe::SYSTEM_COMPILER;
use crate::universe::layout::Layout;
use crate::version::{Constraint, Relation, Version};

/// The folder of the recipes with packages that stand for the compiler where no opam repository has
/// them.
const COMPILER: &str = "opam-compiler/";

/// The package of a base with the standard library.
const STDLIB: &str = "libstdlib-ocaml-dev";

/// The packages of the worker's tree, with everything that they are built with.
pub(super) struct WorkerSolution {
    pub solution: Solution,
    platform: Platform,
    /// What they are built in.
    pub base: RecipeName,
    recipe: JtwToolsRecipe,
}

impl WorkerSolution {
    /// The bases of their builds and of the run that makes the worker.
    pub fn bases(&self) -> impl Iterator<Item = RecipeName> + '_ {
        let all = [&self.base, &self.recipe.base].into_iter().chain(&self.recipe.extra);
        all.cloned()
    }

    /// With the files that the recipe has for that run.
    pub fn with_files(self, recipes: &Recipes, pins: &mut Pins) -> Result<WorkerPackages, Trouble> {
        let files = pins.pin_folder(recipes, self.recipe.worker.as_str())?;
        Ok(WorkerPackages { solution: self.solution, platform: self.platform, files })
    }
}

impl Loaded {
    /// Chooses versions for the packages of the worker's tree, if it is made of packages, and pins
    /// those that are not of the tree.
    pub(super) fn solve_worker(&mut self, store: &Arc<Store>) -> Result<Option<WorkerSolution>, Trouble> {
        let is_wanted = self.universe.compiler.is_some() && self.universe.has_site;
        let (Layout::Opam { packages: named }, true) = (self.universe.tools.layout.clone(), is_wanted) else {
            self.lock.tools = BTreeMap::new();
            return Ok(None);
        };
        let span = self.universe.tools.span();
        let recipe = JtwToolsRecipe::load_opam(&self.recipes)?.recipe;
        let base = OpamRecipe::load(&self.recipes)?.recipe.system;
        let platform = self.platform_of(&base)?;
        let tree = self.read_tree(&platform, store)?;
        let asked = self.asked_of(&tree, named, span)?;
        let compiler = self.worker_compiler(&base, span)?;

        let mut repositories = self.open_places(store)?;
        let has_repository = self.universe.repositories.has_opam();
        if !has_repository {
            repositories.put_last("jtwbuild's compiler packages", overlay(&self.recipes, COMPILER)?)?;
        }
        let files = tree.iter().map(|Pinned { name, version, file, .. }| {
            (format!("packages/{name}/{name}.{version}/opam"), file.text.as_bytes().to_vec())
        });
        repositories.put_first("the worker's tree", files)?;
        let mut indexed = self.index(&repositories, &platform)?;
        for Pinned { name, version, .. } in &tree {
            // Whatever else there is under this name, the tree's own is meant.
            indexed.index.restrict(name.as_str(), |other| other == version.as_str());
        }
        for (name, version) in &self.lock.tools {
            indexed.index.prefer(name.as_str(), version.as_str());
        }
        let universe = self.universe.of_worker(compiler, asked);
        let of_worker: BTreeSet<PackageName> = tree.iter().map(|one| one.name.clone()).collect();
        let releases = OpamReleases {
            universe: &universe,
            repositories: &repositories,
            platform: &platform,
            of_worker: &of_worker,
        };
        let Answer { solution, .. } = solve_opam(&universe, &indexed.index, &releases)
            .map_err(|error| if has_repository { error } else { without_repository(error) })?;
        self.lock.tools = solution.pins();
        self.lock.tools.retain(|name, _| !of_worker.contains(name));
        self.told.extend(tree.iter().filter(|one| one.pins_others).map(|one| {
            format!(
                "`{}`: `pin-depends` is not followed: a `[[repository]]` has to have what it names",
                one.file.name
            )
        }));
        let notices = repositories.notices().iter().cloned();
        let broken = indexed.broken.iter().map(|error| format!("left out: {error}"));
        for notice in notices.chain(broken) {
            if !self.told.contains(&notice) {
                self.told.push(notice);
            }
        }
        Ok(Some(WorkerSolution { solution, platform, base, recipe }))
    }

    /// The packages of the tree.
    fn read_tree(&self, platform: &Platform, store: &Arc<Store>) -> Result<Vec<Pinned>, Trouble> {
        let files = self.worker_files(store)?;
        let files = files.iter().map(|(path, file)| (path.as_str(), file.clone()));
        let packages = pinned::read(files, platform).map_err(Trouble::sources)?;
        if packages.is_empty() {
            let span = self.universe.tools.span();
            let message = "there is no opam file in the worker's tree";
            let help = "packages are described by `NAME.opam` at the tree's top or in its directory `opam/`; `layout = \"worker\"` is for a tree with a script `build.sh`";
            let code = "jtwbuild::tools::no-packages";
            return Err(self.universe.error_at(span, code, message, "no packages", Some(help.into())).into());
        }
        Ok(packages)
    }

    /// The packages of the tree that are asked for.
    fn asked_of(
        &self,
        tree: &[Pinned],
        named: Vec<Requirement>,
        span: Span,
    ) -> Result<Vec<Requirement>, Trouble> {
        if named.is_empty() {
            let asked = |one: &Pinned| Requirement { name: one.name.clone(), constraints: Vec::new(), span };
            return Ok(tree.iter().map(asked).collect());
        }
        let known = || tree.iter().map(|one| one.name.as_str());
        for asked in &named {
            if !known().any(|name| name == asked.name.as_str()) {
                let message = format!("the worker's tree has no package `{}`", asked.name);
                let help = match did_you_mean(asked.name.as_str(), known()) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("its packages are {}", known().collect::<Vec<_>>().join(", ")),
                };
                let code = "jtwbuild::tools::unknown-package";
                let error = self.universe.error_at(asked.span, code, message, "no such package", Some(help));
                return Err(error.into());
            }
        }
        Ok(named)
    }

    /// The compiler that the worker is built with: the one that the base has.
    fn worker_compiler(&self, base: &RecipeName, span: Span) -> Result<Requirement, Trouble> {
        let facts = BaseRecipe::load(&self.recipes, base)?.recipe.facts;
        let version =
            facts.get("ocaml-version").and_then(|version| Version::new(version)).ok_or_else(|| {
                let message = format!("the base `{base}` does not state its `ocaml-version`");
                Trouble::new(Exit::Input, "jtwbuild::tools::no-compiler", message, None)
            })?;
        let name = PackageName::new(SYSTEM_COMPILER).expect("a good name");
        Ok(Requirement { name, constraints: vec![Constraint { relation: Relation::Equal, version }], span })
    }

    /// The packages are built in one base, and the worker is made of them in another one: both have to
    /// have the same standard library.
    pub(super) fn check_worker_bases(&self, worker: &WorkerSolution) -> Result<(), Trouble> {
        let stdlib = |base: &RecipeName| {
            let packages = self.lock.bases.get(base).map(|base| base.packages.as_slice()).unwrap_or_default();
            packages.iter().find(|deb| deb.name == STDLIB).map(|deb| deb.version.as_str())
        };
        match stdlib(&worker.base).zip(stdlib(&worker.recipe.base)) {
            Some((build, tools)) if build != tools => {
                let message = format!(
                    "the base `{}` has the standard library of OCaml {build}, and `{}` that of {tools}",
                    worker.base, worker.recipe.base
                );
                let help = "`jtwbuild update` takes both from the suite as it is now";
                Err(Trouble::new(Exit::Input, "jtwbuild::base::other-compiler", message, Some(help)))
            }
            _ => Ok(()),
        }
    }
}

/// Says why a dependency cannot be had.
fn without_repository(error: OpamError) -> OpamError {
    let OpamError::Unsolvable(error) = error else { return error };
    let reason = "without a `[[repository]]` there are only the packages of the tree and the compiler";
    let problems = error.problems.into_iter().map(|mut problem| {
        problem.help = Some(match problem.help.filter(|help| !help.is_empty()) {
            Some(help) => format!("{help}\n{reason}"),
            None => reason.to_owned(),
        });
        problem
    });
    OpamError::Unsolvable(SourceError { problems: problems.collect(), ..error })
}
