//! The nodes of packages: source, build and browser layer of each, the tools, and the assembly.

use std::collections::HashMap;

use super::Goal;
use super::debian::Debian;
use super::evaluate::{PlanError, PlannedBase, Planner, bound};
use super::opam::Opam;
use super::recipes::plan_build;
use super::slots::Slots;
use super::tools::plan_tools;
use crate::derivation::{self, Action, AssemblyPackage, Derivation, Holds, Input, Kind, NodeId};
use crate::name::RecipeName;
use crate::package::Provision;
use crate::recipe::build::BuildRecipe;
use crate::recipe::opam::OpamRecipe;
use crate::recipe::template::Bindings;
use crate::recipe::{AssemblyRecipe, JtwRecipe, JtwToolsRecipe, Loaded, RecipeKind};
use crate::solution::{PackageId, Release, Target};

/// Raised when jtwbuild makes something else of the same inputs of such a node.
const JTW_REVISION: u32 = 3;
const ASSEMBLY_REVISION: u32 = 3;

/// Plans everything that the packages of the universe need; nothing when there are none.
pub(super) fn plan(planner: &mut Planner<'_>) -> Result<(), PlanError> {
    if planner.evaluation.universe.compiler.is_none() {
        return Ok(());
    }
    let solution = planner.evaluation.solution;
    let layers = plan_builds(planner)?;
    if !planner.evaluation.universe.has_site {
        add_goals(planner, &layers, &HashMap::new(), &[]);
        return Ok(());
    }
    let tools = plan_tools(planner)?;
    let mut sites = Sites::new(planner, tools, &layers)?;
    let mut assemblies = Vec::with_capacity(solution.targets.len());
    for target in &solution.targets {
        assemblies.push(sites.plan_assembly(planner, target)?);
    }
    let jtw = sites.jtw;
    add_goals(planner, &layers, &jtw, &assemblies);
    Ok(())
}

/// Plans the builds; gives the layer of every package that has one.
fn plan_builds(planner: &mut Planner<'_>) -> Result<HashMap<PackageId, NodeId>, PlanError> {
    let solution = planner.evaluation.solution;
    let recipe = BuildRecipe::load(planner.evaluation.recipes)?;
    let (mut opam, mut debian) = (None, None);
    let mut layers = HashMap::new();
    for (id, package) in solution.packages.iter().enumerate() {
        let node = match &package.release {
            Release::Recipe(own) => match &own.provision {
                Provision::Base => continue,
                Provision::Built { source, build } => {
                    let base = library_base(planner)?;
                    let source = source.as_ref();
                    let source =
                        source.map(|source| planner.source(&package.full_name(), source, Holds::Archive));
                    plan_build(planner, &recipe, &base, (id, own, build), source.transpose()?, &layers)?
                }
            },
            Release::Debian(release) => {
                let debian = match &debian {
                    Some(debian) => debian,
                    None => {
                        let base = library_base(planner)?;
                        debian.insert(Debian::new(planner, &base)?)
                    }
                };
                debian.plan_layer(planner, release)
            }
            Release::Opam(release) => {
                let opam = match &opam {
                    Some(opam) => opam,
                    None => {
                        let evaluation = planner.evaluation;
                        let recipe = OpamRecipe::load(evaluation.recipes)?;
                        let base = evaluation.universe.opam_base(&recipe.recipe).clone();
                        let chosen = (solution, evaluation.platform);
                        opam.insert(Opam::new(planner, recipe, base, chosen)?)
                    }
                };
                opam.plan_build(planner, (id, release), &layers)?
            }
        };
        layers.insert(id, node);
    }
    Ok(layers)
}

/// The base that libraries are compiled for the browser in, and that packages with recipes are built
/// in.
fn library_base(planner: &mut Planner<'_>) -> Result<PlannedBase, PlanError> {
    let universe = planner.evaluation.universe;
    if universe.repositories.has_opam() {
        // What the universe calls its base is for opam's builds.
        let base = JtwToolsRecipe::load(planner.evaluation.recipes)?.recipe.base;
        return planner.base(&base);
    }
    planner.base(&universe.base.recipe)
}

/// What all assemblies have in common.
struct Sites<'l> {
    base: PlannedBase,
    /// What is added to it.
    extra: Vec<(RecipeName, NodeId)>,
    prefix: String,
    recipe: Loaded<JtwRecipe>,
    tools: NodeId,
    layers: &'l HashMap<PackageId, NodeId>,
    /// Browser layers that are planned: several targets may offer one build.
    jtw: HashMap<PackageId, NodeId>,
}

impl<'l> Sites<'l> {
    fn new(
        planner: &mut Planner<'_>,
        tools: NodeId,
        layers: &'l HashMap<PackageId, NodeId>,
    ) -> Result<Self, PlanError> {
        let recipes = planner.evaluation.recipes;
        AssemblyRecipe::load(recipes)?;
        let prefix = BuildRecipe::load(recipes)?.recipe.prefix.to_string();
        let base = library_base(planner)?;
        let recipe = JtwRecipe::load(recipes)?;
        let extra = recipe.recipe.extra.iter().map(|name| Ok((name.clone(), planner.base(name)?.node)));
        let extra = extra.collect::<Result<_, PlanError>>()?;
        Ok(Self { base, extra, prefix, recipe, tools, layers, jtw: HashMap::new() })
    }

    fn plan_assembly(&mut self, planner: &mut Planner<'_>, target: &Target) -> Result<NodeId, PlanError> {
        let (universe, solution) = (planner.evaluation.universe, planner.evaluation.solution);
        let mut slots = Slots::default();
        let mut members = Vec::new();
        for id in solution.offered(target) {
            let Some(node) = self.plan_jtw(planner, id)? else { continue };
            let package = &solution.packages[id];
            members.push(AssemblyPackage {
                name: package.name().to_string(),
                version: package.version().to_string(),
                description: package.description().to_owned(),
                homepage: package.homepage().map(str::to_owned),
                license: package.license().map(str::to_owned),
                jtw: slots.bind(Input::Node(node)),
                asked_for: target.roots.contains(&id),
            });
        }
        // A part of a site has no page of its own.
        let page = planner.evaluation.page.filter(|_| target.name.is_none());
        let page = page.map(|page| slots.bind(Input::Tree(page)));
        let name = target.name.as_deref().unwrap_or(universe.name.as_str());
        let action = Action::Assembly(derivation::Assembly {
            universe: name.to_owned(),
            compiler: self.base.facts.get("ocaml-version").cloned().unwrap_or_default(),
            effects: universe.effects,
            tools: slots.bind(Input::Node(self.tools)),
            packages: members,
            page,
            is_part: target.name.is_some(),
            revision: ASSEMBLY_REVISION,
        });
        Ok(planner.plan.add(Derivation::new(Kind::Assembly, name.into(), &action, slots.0)))
    }

    /// The browser layer of a package, if it has a layer.
    fn plan_jtw(&mut self, planner: &mut Planner<'_>, id: PackageId) -> Result<Option<NodeId>, PlanError> {
        if let Some(node) = self.jtw.get(&id) {
            return Ok(Some(*node));
        }
        let Some(layer) = self.layers.get(&id) else { return Ok(None) };
        let Loaded { recipe, file } = &self.recipe;
        let (universe, solution) = (planner.evaluation.universe, planner.evaluation.solution);
        let package = &solution.packages[id];
        let mut bindings = Bindings::default();
        bindings.set("name", package.name().as_str());
        bindings.set("version", package.version().as_str());
        bindings.set("prefix", self.prefix.as_str());
        bindings.set("effects", universe.effects.as_str());
        bindings.set_facts(&self.base.facts);
        let mut slots = Slots::default();
        let root = slots.layer("base", Input::Node(self.base.node));
        let extra = self.extra.iter().map(|(name, node)| slots.layer(name.as_str(), Input::Node(*node)));
        let extra = extra.collect();
        let primitives = package.primitives_from.iter().filter_map(|from| {
            let node = self.layers.get(from)?;
            Some(slots.layer(&solution.packages[*from].full_name(), Input::Node(*node)))
        });
        let primitives = primitives.collect();
        let action = Action::Jtw(derivation::Jtw {
            package: package.name().to_string(),
            version: package.version().to_string(),
            base: root,
            extra,
            layer: slots.bind(Input::Node(*layer)),
            prefix: self.prefix.clone(),
            primitives,
            command: bound(recipe.command.expand(&bindings), file)?,
            effects: universe.effects,
            env: bound(recipe.env.expand(&bindings), file)?,
            limits: recipe.limits,
            revision: JTW_REVISION,
        });
        let name = package.full_name().into();
        let node = planner.plan.add(Derivation::new(Kind::Jtw, name, &action, slots.0));
        self.jtw.insert(id, node);
        Ok(Some(node))
    }
}

/// Remembers which nodes matter for each package that was asked for by itself.
fn add_goals(
    planner: &mut Planner<'_>,
    layers: &HashMap<PackageId, NodeId>,
    jtw: &HashMap<PackageId, NodeId>,
    assemblies: &[NodeId],
) {
    for (at, target) in planner.evaluation.solution.targets.iter().enumerate() {
        if let (Some(name), Some(root)) = (&target.name, target.roots.last()) {
            planner.plan.goals.push(Goal {
                name: name.clone(),
                build: layers.get(root).copied(),
                jtw: jtw.get(root).copied(),
                assembly: assemblies.get(at).copied(),
            });
        }
    }
}
