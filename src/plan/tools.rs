//! The tools: the node that makes the worker and the standard library's artifacts.

use super::Plan;
use super::evaluate::{Evaluation, PlanError, Planner, WorkerPackages, bound, in_sequence};
use super::opam::Opam;
use super::slots::Slots;
use crate::derivation::{self, Action, Derivation, Input, Kind, NodeId, OUT};
use crate::recipe::opam::OpamRecipe;
use crate::recipe::template::Bindings;
use crate::recipe::{JtwToolsRecipe, Loaded, RecipeKind};
use crate::request::{Layer, Mount, Request};
use crate::universe::ToolsSource;

/// Raised when jtwbuild makes something else of the same inputs of such a node.
const REVISION: u32 = 2;

/// What the node is called that fetches the worker's source.
const SOURCE: &str = "jtw-tools";

/// The plan of the node alone that fetches the worker's source: whoever has to look into the source before
/// there is a plan. Nothing if no node fetches it.
pub fn source_alone(evaluation: &Evaluation<'_>) -> Result<Option<Plan>, PlanError> {
    let mut planner = Planner::new(evaluation);
    let source = worker_source(&mut planner)?;
    Ok(matches!(source, Some(Input::Node(_))).then_some(planner.plan))
}

/// The worker's source: a node that fetches it, or content that is known.
pub(super) fn worker_source(planner: &mut Planner<'_>) -> Result<Option<Input>, PlanError> {
    Ok(match &planner.evaluation.universe.tools.source {
        ToolsSource::Git(source) => Some(Input::Node(planner.git(SOURCE, source)?)),
        ToolsSource::BuiltIn | ToolsSource::Path { .. } => planner.evaluation.worker.map(Input::Tree),
    })
}

/// The node that makes the worker, whatever its source is laid out as.
pub(super) fn plan_tools(planner: &mut Planner<'_>) -> Result<NodeId, PlanError> {
    let recipes = planner.evaluation.recipes;
    match planner.evaluation.worker_packages {
        Some(packages) => {
            let recipe = JtwToolsRecipe::load_opam(recipes)?;
            let opam = OpamRecipe::load(recipes)?;
            let prefix = opam.recipe.prefix.to_string();
            let layers = plan_packages(planner, opam, packages)?;
            plan_run(
                planner,
                &recipe,
                ("what makes the worker", Some(Input::Tree(packages.files))),
                Some((prefix, layers)),
            )
        }
        None => {
            let recipe = JtwToolsRecipe::load(recipes)?;
            let source = worker_source(planner)?;
            plan_run(planner, &recipe, ("the worker's source", source), None)
        }
    }
}

/// The builds of the worker's packages: nodes like those of all other opam packages, and the same ones
/// where what they are built from is the same.
fn plan_packages(
    planner: &mut Planner<'_>,
    recipe: Loaded<OpamRecipe>,
    packages: &WorkerPackages,
) -> Result<Vec<(String, NodeId)>, PlanError> {
    let solution = &packages.solution;
    let base = recipe.recipe.system.clone();
    let layers = Opam::new(planner, recipe, base, (solution, &packages.platform))?.plan_all(planner)?;
    let layers = (0..solution.packages.len())
        .filter_map(|id| Some((solution.packages[id].full_name(), *layers.get(&id)?)));
    Ok(layers.collect())
}

/// The run that makes the worker, in a working directory that holds `files`; with a prefix, packages are
/// installed there.
fn plan_run(
    planner: &mut Planner<'_>,
    Loaded { recipe, file }: &Loaded<JtwToolsRecipe>,
    (name, files): (&str, Option<Input>),
    installed: Option<(String, Vec<(String, NodeId)>)>,
) -> Result<NodeId, PlanError> {
    let universe = planner.evaluation.universe;
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
    let mut mounts = vec![Mount::Overlay { at: "/".into(), layers: root, capture: None }];
    if let Some((prefix, installed)) = installed {
        bindings.set("prefix", prefix.as_str());
        let layers: Vec<Layer<_>> =
            installed.iter().map(|(name, node)| slots.layer(name, Input::Node(*node))).collect();
        mounts.push(Mount::Overlay { at: prefix, layers, capture: None });
    }
    let files: Vec<_> = files.into_iter().map(|input| slots.layer(name, input)).collect();
    mounts.push(Mount::Overlay { at: recipe.workdir.to_string(), layers: files, capture: Some(OUT.into()) });
    let commands = recipe.commands.iter().map(|argv| argv.expand(&bindings)).collect::<Result<_, _>>();
    let request = Request {
        mounts,
        stages: in_sequence(bound(commands, file)?, recipe.workdir.as_str()),
        env: bound(recipe.env.expand(&bindings), file)?,
        limits: recipe.limits,
    };
    let stdlib = base.facts.get("stdlib").cloned().unwrap_or_else(|| "/usr/lib/ocaml".into());
    let compiler = base.facts.get("ocaml-version").cloned().unwrap_or_default();
    let name = format!("ocaml.{compiler}");
    let action = Action::Tools(derivation::Tools { request, base: 0, stdlib, compiler, revision: REVISION });
    Ok(planner.plan.add(Derivation::new(Kind::JtwTools, name.into(), &action, slots.0)))
}
