//! Universe, solution, pins and recipes → the plan. No input is read here that is not an argument,
//! and no map is walked in any order but that of its keys.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use thiserror::Error;

use super::{Plan, packages, scripts};
use crate::derivation::{self, Action, Derivation, Holds, Kind, NodeId};
use crate::diagnostic::{SourceError, SourceFile};
use crate::name::RecipeName;
use crate::opam::Platform;
use crate::path::RelativePath;
use crate::pins::Pins;
use crate::recipe::opam::OpamRecipe;
use crate::recipe::overlay::Recipes;
use crate::recipe::template::{Bindings, Unbound};
use crate::recipe::values::{PackageSource, SourceArchive};
use crate::recipe::{BaseKindRecipe, BaseRecipe, Loaded, RecipeError, RecipeKind, SourceRecipe};
use crate::request::Command;
use crate::solution::Solution;
use crate::source::git::GitSource;
use crate::store::tree::TreeHash;
use crate::universe::Universe;

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// A recipe cannot be read.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Something in a file cannot be planned.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A base whose packages are not pinned.
    #[error("the lock does not pin the base `{0}`")]
    UnpinnedBase(RecipeName),
    /// A branch or tag whose commit is not pinned.
    #[error("the lock does not pin {} of `{}`", .0.reference, .0.url)]
    UnpinnedGit(Box<GitSource>),
}

/// Everything that planning reads.
pub struct Evaluation<'a> {
    pub universe: &'a Universe,
    pub solution: &'a Solution,
    pub recipes: &'a Recipes,
    pub pins: &'a Pins,
    /// Variables of opam files that describe the platform.
    pub platform: &'a Platform,
    /// Content of the local sources of nodes, by the path that the universe names.
    pub sources: &'a BTreeMap<RelativePath, TreeHash>,
    /// Content of the worker's source, and of the page; needed when there are packages.
    pub worker: Option<TreeHash>,
    /// When the worker's source is a repository of opam packages.
    pub worker_packages: Option<&'a WorkerPackages>,
    pub page: Option<TreeHash>,
}

/// The packages of the worker's source with everything that they are built with.
#[derive(Debug)]
pub struct WorkerPackages {
    pub solution: Solution,
    /// Variables of opam files that describe the platform.
    pub platform: Platform,
    /// Content of what lies beside the program that makes the worker.
    pub files: TreeHash,
}

/// Makes the plan.
pub fn evaluate(evaluation: &Evaluation<'_>) -> Result<Plan, PlanError> {
    let mut planner = Planner::new(evaluation);
    packages::plan(&mut planner)?;
    scripts::plan(&mut planner)?;
    Ok(planner.plan)
}

/// The plan being made.
pub(super) struct Planner<'a> {
    pub evaluation: &'a Evaluation<'a>,
    pub plan: Plan,
    bases: HashMap<RecipeName, PlannedBase>,
    source_recipe: Option<SourceRecipe>,
}

/// A base that is in the plan, and what its recipe states.
#[derive(Clone)]
pub(super) struct PlannedBase {
    pub node: NodeId,
    pub facts: BTreeMap<String, String>,
}

impl<'a> Planner<'a> {
    /// A plan without nodes.
    pub fn new(evaluation: &'a Evaluation<'a>) -> Self {
        Self { evaluation, plan: Plan::default(), bases: HashMap::new(), source_recipe: None }
    }

    /// The node of a base, added when it is not there.
    pub fn base(&mut self, name: &RecipeName) -> Result<PlannedBase, PlanError> {
        if let Some(base) = self.bases.get(name) {
            return Ok(base.clone());
        }
        let Loaded { recipe, file } = BaseRecipe::load(self.evaluation.recipes, name)?;
        let kind = BaseKindRecipe::load(self.evaluation.recipes)?;
        let packages =
            self.evaluation.pins.base(name).ok_or_else(|| PlanError::UnpinnedBase(name.clone()))?;
        let nothing = Bindings::default();
        let setup = recipe.setup.iter().map(|argv| argv.expand(&nothing)).collect::<Result<_, _>>();
        let action = Action::Base(derivation::Base {
            packages: packages.to_vec(),
            drop: recipe.drop,
            take: Vec::new(),
            prefix: recipe.prefix.map(|prefix| prefix.to_string()),
            setup: bound(setup, &file)?,
            env: bound(kind.recipe.env.expand(&nothing), &kind.file)?,
            limits: kind.recipe.limits,
        });
        let derivation = Derivation::new(Kind::Base, name.as_str().into(), &action, Vec::new());
        let node = self.plan.add(derivation);
        let base = PlannedBase { node, facts: recipe.facts };
        self.bases.insert(name.clone(), base.clone());
        Ok(base)
    }

    /// What the packages of a base are extended by, when that is anything: a layer above it.
    pub fn extension(
        &mut self,
        base: &RecipeName,
        packages: &BTreeSet<&str>,
    ) -> Result<Option<NodeId>, PlanError> {
        if packages.is_empty() {
            return Ok(None);
        }
        let name = OpamRecipe::extension_name(base, packages);
        let pinned = self.evaluation.pins.base(&name).ok_or_else(|| PlanError::UnpinnedBase(name.clone()))?;
        if pinned.is_empty() {
            return Ok(None);
        }
        if let Some(known) = self.plan.find(&format!("{}/{name}", Kind::Base)) {
            return Ok(Some(known));
        }
        let recipe = BaseRecipe::load(self.evaluation.recipes, base)?.recipe;
        let kind = BaseKindRecipe::load(self.evaluation.recipes)?;
        let action = Action::Base(derivation::Base {
            packages: pinned.to_vec(),
            drop: recipe.drop,
            prefix: None,
            take: Vec::new(),
            setup: Vec::new(),
            env: BTreeMap::new(),
            limits: kind.recipe.limits,
        });
        Ok(Some(self.plan.add(Derivation::new(Kind::Base, name.as_str().into(), &action, Vec::new()))))
    }

    /// The node that gets the source of a package; `holds` says what an archive is.
    pub fn source(&mut self, name: &str, source: &PackageSource, holds: Holds) -> Result<NodeId, PlanError> {
        match source {
            PackageSource::Archive(archive) => self.fixed_output(name, archive, holds),
            PackageSource::Git(source) => self.git(name, source),
        }
    }

    /// The node that fetches a commit.
    pub fn git(&mut self, name: &str, source: &GitSource) -> Result<NodeId, PlanError> {
        let commit = self.evaluation.pins.commit(source);
        let commit = commit.ok_or_else(|| PlanError::UnpinnedGit(Box::new(source.clone())))?;
        let recipe = self.source_recipe()?;
        let action = Action::Git(derivation::Git {
            url: source.url.to_string(),
            commit: commit.to_string(),
            subdir: source.subdir.as_ref().map(ToString::to_string),
            submodules: source.submodules,
            bytes: recipe.unpacked_bytes,
            members: recipe.members,
        });
        Ok(self.plan.add(Derivation::new(Kind::Source, name.into(), &action, Vec::new())))
    }

    fn source_recipe(&mut self) -> Result<&SourceRecipe, PlanError> {
        if self.source_recipe.is_none() {
            self.source_recipe = Some(SourceRecipe::load(self.evaluation.recipes)?.recipe);
        }
        Ok(self.source_recipe.as_ref().expect("it was filled"))
    }

    /// The node that fetches a file, which is unpacked or not.
    pub fn fixed_output(
        &mut self,
        name: &str,
        source: &SourceArchive,
        holds: Holds,
    ) -> Result<NodeId, PlanError> {
        let recipe = self.source_recipe()?;
        let action = Action::Fetch(derivation::Fetch {
            archive: source.archive.clone(),
            holds,
            strip: source.strip,
            archive_bytes: recipe.archive_bytes,
            unpacked_bytes: recipe.unpacked_bytes,
            members: recipe.members,
        });
        Ok(self.plan.add(Derivation::new(Kind::Source, name.into(), &action, Vec::new())))
    }
}

/// Turns a missing variable into an error at its place in `file`.
pub(super) fn bound<T>(result: Result<T, Unbound>, file: &SourceFile) -> Result<T, PlanError> {
    result.map_err(|unbound| PlanError::Source(unbound.in_file(file)))
}

/// One command a stage: they run one after another.
pub(super) fn in_sequence(commands: Vec<Vec<String>>, cwd: &str) -> Vec<Vec<Command>> {
    commands.into_iter().map(|argv| vec![Command { argv, cwd: cwd.to_owned() }]).collect()
}
