//! The nodes of packages: source, build and browser layer of each, the tools, and the assembly.

use std::collections::HashMap;

use super::evaluate::{PlanError, PlannedBase, Planner, bound, in_sequence};
use crate::derivation::{self, Action, AssemblyPackage, Derivation, Input, Kind, NodeId, OUT, Slot, WORK};
use crate::package::{PackageBuild, Provision};
use crate::recipe::build::BuildRecipe;
use crate::recipe::template::Bindings;
use crate::recipe::{AssemblyRecipe, JtwRecipe, JtwToolsRecipe, Loaded, RecipeKind};
use crate::request::{Capture, Layer, Mount, Request};
use crate::solve::{Chosen, PackageId};

/// Raised when jtwbuild makes something else of the same inputs of such a node.
const TOOLS_REVISION: u32 = 1;
const JTW_REVISION: u32 = 1;
const ASSEMBLY_REVISION: u32 = 1;

/// The bindings of a node's slots, filled while its request is written.
#[derive(Default)]
struct Slots(Vec<Input>);

impl Slots {
    fn bind(&mut self, input: Input) -> Slot {
        let known = self.0.iter().position(|bound| *bound == input);
        known.unwrap_or_else(|| {
            self.0.push(input);
            self.0.len() - 1
        })
    }

    fn layer(&mut self, name: &str, input: Input) -> Layer<Slot> {
        Layer { name: name.to_owned(), tree: self.bind(input) }
    }
}

/// Plans everything that the packages of the universe need; nothing when there are none.
pub(super) fn plan(planner: &mut Planner<'_>) -> Result<(), PlanError> {
    if planner.evaluation.universe.compiler.is_none() {
        return Ok(());
    }
    let solution = planner.evaluation.solution;
    let recipe = BuildRecipe::load(planner.evaluation.recipes)?;
    let base = planner.base(&planner.evaluation.universe.base.recipe)?;
    let mut layers = HashMap::new();
    for (id, package) in solution.packages.iter().enumerate() {
        if let Provision::Built { source, build } = &package.recipe.provision {
            let name = full_name(package);
            let source = match source {
                Some(source) => Some(planner.source(&name, source)?),
                None => None,
            };
            let node = plan_build(planner, &recipe, &base, (id, build), source, &layers)?;
            layers.insert(id, node);
        }
    }
    let tools = plan_tools(planner)?;
    plan_assembly(planner, &base, tools, &layers, &recipe)
}

fn full_name(package: &Chosen) -> String {
    format!("{}.{}", package.name(), package.version())
}

fn plan_build(
    planner: &mut Planner<'_>,
    Loaded { recipe, file }: &Loaded<BuildRecipe>,
    base: &PlannedBase,
    (id, build): (PackageId, &PackageBuild),
    source: Option<NodeId>,
    layers: &HashMap<PackageId, NodeId>,
) -> Result<NodeId, PlanError> {
    let solution = planner.evaluation.solution;
    let package = &solution.packages[id];
    let name = full_name(package);
    let mut bindings = Bindings::default();
    bindings.set("name", package.name().as_str());
    bindings.set("version", package.version().as_str());
    bindings.set("prefix", recipe.prefix.as_str());
    bindings.set("workdir", recipe.workdir.as_str());
    bindings.set("jobs", recipe.jobs.to_string());
    bindings.set_facts(&base.facts);

    let own_file = &package.recipe.file;
    let steps = recipe.steps(build, own_file)?;
    let mut commands = Vec::new();
    for argv in steps.build.iter().chain(&steps.install) {
        // A command comes from the package's recipe or from the preset; both know the same names.
        commands.push(bound(argv.expand(&bindings), own_file)?);
    }
    let install_file = steps.install_file.map(|template| template.expand(&bindings)).transpose();
    let mut env = bound(recipe.env.expand(&bindings), file)?;
    env.extend(bound(build.env.expand(&bindings), own_file)?);

    let mut slots = Slots::default();
    let root = vec![slots.layer("base", Input::Node(base.node))];
    let dependencies = solution.build_closure(id).into_iter().filter_map(|dependency| {
        let layer = layers.get(&dependency)?;
        Some(slots.layer(&full_name(&solution.packages[dependency]), Input::Node(*layer)))
    });
    let prefix = dependencies.collect();
    let source = source.map(|node| slots.layer(&format!("source of {name}"), Input::Node(node)));
    let install_file = bound(install_file, own_file)?;
    let request = Request {
        mounts: vec![
            Mount::Overlay { at: "/".into(), layers: root, capture: None },
            Mount::Overlay { at: recipe.prefix.to_string(), layers: prefix, capture: Some(OUT.into()) },
            Mount::Overlay {
                at: recipe.workdir.to_string(),
                layers: source.iter().cloned().collect(),
                capture: install_file.as_ref().map(|_| Capture::whole(WORK)),
            },
        ],
        stages: in_sequence(commands, recipe.workdir.as_str()),
        env,
        limits: recipe.limits,
    };
    let action = Action::Build(derivation::Build {
        package: package.name().to_string(),
        version: package.version().to_string(),
        request,
        install_file,
        source: source.map(|layer| layer.tree),
        findlib: package.recipe.findlib.iter().map(ToString::to_string).collect(),
    });
    Ok(planner.plan.add(Derivation::new(Kind::Build, name.into(), &action, slots.0)))
}

fn plan_tools(planner: &mut Planner<'_>) -> Result<NodeId, PlanError> {
    let universe = planner.evaluation.universe;
    let Loaded { recipe, file } = JtwToolsRecipe::load(planner.evaluation.recipes)?;
    let base = planner.base(&recipe.base)?;
    let mut slots = Slots::default();
    let mut root = vec![slots.layer("base", Input::Node(base.node))];
    for extra in &recipe.extra {
        let node = planner.base(extra)?.node;
        root.push(slots.layer(extra.as_str(), Input::Node(node)));
    }
    let mut bindings = Bindings::default();
    bindings.set("workdir", recipe.workdir.as_str());
    bindings.set("effects", universe.effects.as_str());
    bindings.set("jobs", "1");
    bindings.set_facts(&base.facts);
    let worker = planner.evaluation.worker.map(Input::Tree);
    let worker: Vec<_> = worker.into_iter().map(|tree| slots.layer("the worker's source", tree)).collect();
    let commands = recipe.commands.iter().map(|argv| argv.expand(&bindings)).collect::<Result<_, _>>();
    let stages = in_sequence(bound(commands, &file)?, recipe.workdir.as_str());
    let request = Request {
        mounts: vec![
            Mount::Overlay { at: "/".into(), layers: root, capture: None },
            Mount::Overlay { at: recipe.workdir.to_string(), layers: worker, capture: Some(OUT.into()) },
        ],
        stages,
        env: bound(recipe.env.expand(&bindings), &file)?,
        limits: recipe.limits,
    };
    let stdlib = base.facts.get("stdlib").cloned().unwrap_or_else(|| "/usr/lib/ocaml".into());
    let compiler = base.facts.get("ocaml-version").cloned().unwrap_or_default();
    let action = Action::Tools(derivation::Tools {
        request,
        base: 0,
        stdlib,
        compiler: compiler.clone(),
        revision: TOOLS_REVISION,
    });
    let name = format!("ocaml.{compiler}");
    Ok(planner.plan.add(Derivation::new(Kind::JtwTools, name.into(), &action, slots.0)))
}

fn plan_assembly(
    planner: &mut Planner<'_>,
    base: &PlannedBase,
    tools: NodeId,
    layers: &HashMap<PackageId, NodeId>,
    build: &Loaded<BuildRecipe>,
) -> Result<(), PlanError> {
    let (universe, solution) = (planner.evaluation.universe, planner.evaluation.solution);
    let jtw = JtwRecipe::load(planner.evaluation.recipes)?;
    let mut slots = Slots::default();
    let mut members = Vec::new();
    for id in solution.offered() {
        let Some(layer) = layers.get(&id) else { continue };
        let package = &solution.packages[id];
        let node = plan_jtw(planner, &jtw, base, (id, *layer), layers, build)?;
        members.push(AssemblyPackage {
            name: package.name().to_string(),
            version: package.version().to_string(),
            description: package.recipe.description.clone(),
            jtw: slots.bind(Input::Node(node)),
            asked_for: solution.roots.contains(&id),
        });
    }
    AssemblyRecipe::load(planner.evaluation.recipes)?;
    let page = planner.evaluation.page.map(|page| slots.bind(Input::Tree(page)));
    let action = Action::Assembly(derivation::Assembly {
        universe: universe.name.to_string(),
        compiler: base.facts.get("ocaml-version").cloned().unwrap_or_default(),
        effects: universe.effects,
        tools: slots.bind(Input::Node(tools)),
        packages: members,
        page,
        revision: ASSEMBLY_REVISION,
    });
    let name = universe.name.as_str().into();
    planner.plan.add(Derivation::new(Kind::Assembly, name, &action, slots.0));
    Ok(())
}

fn plan_jtw(
    planner: &mut Planner<'_>,
    Loaded { recipe, file }: &Loaded<JtwRecipe>,
    base: &PlannedBase,
    (id, layer): (PackageId, NodeId),
    layers: &HashMap<PackageId, NodeId>,
    build: &Loaded<BuildRecipe>,
) -> Result<NodeId, PlanError> {
    let (universe, solution) = (planner.evaluation.universe, planner.evaluation.solution);
    let package = &solution.packages[id];
    let prefix = build.recipe.prefix.as_str();
    let mut bindings = Bindings::default();
    bindings.set("name", package.name().as_str());
    bindings.set("version", package.version().as_str());
    bindings.set("prefix", prefix);
    bindings.set("effects", universe.effects.as_str());
    bindings.set_facts(&base.facts);
    let mut slots = Slots::default();
    let root = slots.layer("base", Input::Node(base.node));
    let primitives = package.primitives_from.iter().filter_map(|from| {
        let node = layers.get(from)?;
        Some(slots.layer(&full_name(&solution.packages[*from]), Input::Node(*node)))
    });
    let primitives = primitives.collect();
    let action = Action::Jtw(derivation::Jtw {
        package: package.name().to_string(),
        version: package.version().to_string(),
        base: root,
        layer: slots.bind(Input::Node(layer)),
        prefix: prefix.to_owned(),
        primitives,
        command: bound(recipe.command.expand(&bindings), file)?,
        effects: universe.effects,
        env: bound(recipe.env.expand(&bindings), file)?,
        limits: recipe.limits,
        revision: JTW_REVISION,
    });
    let name = full_name(package).into();
    Ok(planner.plan.add(Derivation::new(Kind::Jtw, name, &action, slots.0)))
}
