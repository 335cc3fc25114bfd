//! The nodes of the user's own (`[[node]]`).

use petgraph::graph::{DiGraph, NodeIndex};

use super::evaluate::{PlanError, Planner, bound, in_sequence};
use crate::derivation::{self, Action, Derivation, Holds, Input, Kind, NodeId, OUT};
use crate::recipe::template::Bindings;
use crate::recipe::{Loaded, RecipeKind, ScriptRecipe};
use crate::request::{Layer, Limits, Mount, Request};
use crate::universe::Universe;
use crate::universe::node::{Node, NodeSource, Run};

/// Steps of a circle that an error shows in the file; its message names all of them.
const MAX_STEPS: usize = 20;

/// Plans the user's nodes, inputs first. Nodes that need each other in a circle are an error.
pub(super) fn plan(planner: &mut Planner<'_>) -> Result<(), PlanError> {
    let universe = planner.evaluation.universe;
    if universe.nodes.is_empty() {
        return Ok(());
    }
    let recipe = ScriptRecipe::load(planner.evaluation.recipes)?;
    let mut planned = vec![None; universe.nodes.len()];
    for index in order(universe)? {
        planned[index] = Some(plan_node(planner, &recipe, &universe.nodes[index], &planned)?);
    }
    Ok(())
}

/// The positions of all nodes, each behind its inputs.
fn order(universe: &Universe) -> Result<Vec<usize>, PlanError> {
    let inputs: usize = universe.nodes.iter().map(|node| node.inputs.len()).sum();
    let mut graph = DiGraph::<(), (), u32>::with_capacity(universe.nodes.len(), inputs);
    // By name, so that the order in which nodes are written down is in no plan.
    let mut by_name: Vec<usize> = (0..universe.nodes.len()).collect();
    by_name.sort_unstable_by_key(|index| &universe.nodes[*index].name);
    let mut place = vec![NodeIndex::end(); by_name.len()];
    for index in &by_name {
        place[*index] = graph.add_node(());
    }
    for index in &by_name {
        for input in sorted_inputs(universe, &universe.nodes[*index]) {
            graph.add_edge(place[*index], place[input], ());
        }
    }
    // Components come with those that they point to first: here, inputs before users.
    let components = petgraph::algo::tarjan_scc(&graph);
    let is_circle =
        |component: &Vec<NodeIndex>| component.len() > 1 || graph.contains_edge(component[0], component[0]);
    if let Some(circle) = components.iter().find(|component| is_circle(component)) {
        let circle: Vec<usize> = circle.iter().map(|node| by_name[node.index()]).collect();
        return Err(circle_error(universe, &circle));
    }
    Ok(components.into_iter().flatten().map(|node| by_name[node.index()]).collect())
}

/// The positions of a node's inputs, by name.
fn sorted_inputs(universe: &Universe, node: &Node) -> Vec<usize> {
    let mut inputs: Vec<usize> = node.inputs.iter().map(|input| input.node).collect();
    inputs.sort_unstable_by_key(|input| &universe.nodes[*input].name);
    inputs
}

/// Shows one way around, from the first node of the file that is on it.
fn circle_error(universe: &Universe, circle: &[usize]) -> PlanError {
    let start = circle.iter().copied().min().unwrap_or_default();
    let mut way = vec![start];
    loop {
        let here = way.last().copied().unwrap_or(start);
        let next = universe.nodes[here].inputs.iter().map(|input| input.node);
        let mut next = next.filter(|node| circle.contains(node));
        let Some(next) = next.next() else { break };
        if let Some(at) = way.iter().position(|seen| *seen == next) {
            way.drain(..at);
            way.push(next);
            break;
        }
        way.push(next);
    }
    let name = |index: usize| universe.nodes[index].name.as_str();
    let names: Vec<&str> = way.iter().map(|index| name(*index)).collect();
    let whole = format!("nodes need each other in a circle: {}", names.join(" → "));
    let help = "an input must not need the node that it is an input of".to_owned();
    let mut error = universe.error_at(
        universe.nodes[way[0]].span,
        "jtwbuild::universe::circle",
        whole,
        "this node is on the circle",
        Some(help),
    );
    // Each step of the way, where it is written down, as far as that is in the same file.
    let steps = way.windows(2).filter_map(|step| {
        let input = universe.nodes[step[0]].inputs.iter().find(|input| input.node == step[1])?;
        (input.span.file == universe.nodes[way[0]].span.file).then_some(())?;
        let message = format!("`{}` needs `{}`", name(step[0]), name(step[1]));
        let label = "a step of the circle";
        Some(universe.error_at(input.span, "jtwbuild::universe::circle", message, label, None))
    });
    error.problems.extend(steps.flat_map(|step| step.problems).take(MAX_STEPS));
    error.omitted = (way.len() - 1).saturating_sub(MAX_STEPS);
    PlanError::Source(error)
}

fn plan_node(
    planner: &mut Planner<'_>,
    Loaded { recipe, file }: &Loaded<ScriptRecipe>,
    node: &Node,
    planned: &[Option<NodeId>],
) -> Result<NodeId, PlanError> {
    let name = node.name.as_str();
    let base = planner.base(node.base.as_ref().map_or(&recipe.base, |(base, _)| base))?;
    let mut bindings = Bindings::default();
    bindings.set("name", name);
    bindings.set("inputs", recipe.inputs.as_str());
    bindings.set("source", recipe.source.as_str());
    bindings.set("out", recipe.out.as_str());
    bindings.set("workdir", recipe.workdir.as_str());
    bindings.set_facts(&base.facts);

    let mut inputs = vec![Input::Node(base.node)];
    let layer = |inputs: &mut Vec<Input>, name: &str, input| {
        inputs.push(input);
        Layer { name: name.to_owned(), tree: inputs.len() - 1 }
    };
    let mut mounts = vec![
        Mount::Overlay {
            at: "/".into(),
            layers: vec![Layer { name: "base".into(), tree: 0 }],
            capture: None,
        },
        Mount::Overlay { at: recipe.out.to_string(), layers: Vec::new(), capture: Some(OUT.into()) },
    ];
    let universe = planner.evaluation.universe;
    for input in sorted_inputs(universe, node) {
        let id = planned[input].expect("inputs are planned first");
        let name = universe.nodes[input].name.as_str();
        let tree = layer(&mut inputs, name, Input::Node(id));
        mounts.push(Mount::ReadOnly { at: format!("{}/{name}", recipe.inputs), tree });
    }
    let source = match &node.source {
        NodeSource::None => None,
        NodeSource::Local { path, .. } => planner.evaluation.sources.get(path).map(|tree| Input::Tree(*tree)),
        NodeSource::Archive { archive, .. } => {
            Some(Input::Node(planner.fixed_output(name, archive, Holds::Archive)?))
        }
        NodeSource::Git { source, .. } => Some(Input::Node(planner.git(name, source)?)),
    };
    if let Some(source) = source {
        let tree = layer(&mut inputs, "source", source);
        mounts.push(Mount::ReadOnly { at: recipe.source.to_string(), tree });
    }
    let argv = match &node.run {
        Run::Command(argv) => argv.clone(),
        Run::Script(script) => {
            let mut argv = bound(recipe.shell.expand(&bindings), file)?;
            argv.push(script.clone());
            argv
        }
    };
    let mut env = bound(recipe.env.expand(&bindings), file)?;
    env.extend(node.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    let limits = Limits {
        seconds: node.timeout.unwrap_or(recipe.limits.seconds),
        memory: node.memory.unwrap_or(recipe.limits.memory),
        ..recipe.limits
    };
    let request = Request { mounts, stages: in_sequence(vec![argv], recipe.workdir.as_str()), env, limits };
    let mut outputs: Vec<String> = node.outputs.iter().map(ToString::to_string).collect();
    outputs.sort_unstable();
    let action = Action::Script(derivation::Script { request, outputs });
    Ok(planner.plan.add(Derivation::new(Kind::Node, name.into(), &action, inputs)))
}
