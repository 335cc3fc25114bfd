//! `jtwbuild why-depends`: by which ways a node or a package needs another one.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::arguments::Global;
use super::arguments::inspect::WhyDepends;
use super::inspect::by_name;
use super::load::{Loaded, Pinning, open_store};
use super::render;
use super::trouble::{Exit, Trouble};
use crate::derivation::{Kind, NodeId};
use crate::inspect::depends::{Graph, Relation, Way};
use crate::plan::Plan;
use crate::solution::Solution;

/// With `--all`, so many ways are told.
const MOST: usize = 100;

/// The object that `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    user: &'a str,
    needed: &'a str,
    /// Whether the user needs the other one, and whether it is the other way round.
    needs: bool,
    is_needed: bool,
    ways: Vec<Vec<Step>>,
}

#[derive(Serialize)]
struct Step {
    user: String,
    needed: String,
    #[serde(flatten)]
    relation: Relation,
}

/// What a word of the user stands for.
enum Named {
    /// Positions in the solution.
    Packages(Vec<usize>),
    Node(usize),
}

pub(super) fn run(global: &Global, verb: &WhyDepends) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    let mut loaded = Loaded::read(&verb.universe, Pinning::Complete)?;
    let (plan, _) = loaded.plan(&verb.universe, &store)?;
    let solution = &loaded.solution;
    let user = named(&plan, solution, &verb.user)?;
    let needed = named(&plan, solution, &verb.needed)?;
    let (graph, from, to) = match (user, needed) {
        (Named::Packages(user), Named::Packages(needed)) => (Graph::of_packages(solution), user, needed),
        (user, needed) => {
            let graph = Graph::of_nodes(&plan, solution);
            let from = as_nodes(&plan, solution, user, &verb.user)?;
            (graph, from, as_nodes(&plan, solution, needed, &verb.needed)?)
        }
    };
    let ways =
        if verb.all { graph.all(&from, &to, MOST) } else { graph.shortest(&from, &to).into_iter().collect() };
    let is_needed = ways.is_empty() && graph.shortest(&to, &from).is_some();
    let printed = if verb.json {
        let ways = ways.iter().map(|way| steps(&graph, way)).collect::<Vec<_>>();
        let answer =
            Answer { user: &verb.user, needed: &verb.needed, needs: !ways.is_empty(), is_needed, ways };
        let mut text = serde_json::to_string_pretty(&answer).expect("an answer has only text keys");
        text.push('\n');
        render::data(&text)
    } else if ways.is_empty() {
        let other =
            if is_needed { format!("; but `{}` needs `{}`", verb.needed, verb.user) } else { String::new() };
        render::data(&format!("`{}` does not need `{}`{other}\n", verb.user, verb.needed))
    } else {
        let told: Vec<String> = ways.iter().map(|way| told(&graph, way)).collect();
        render::data(&told.join("\n"))
    };
    Ok(if ways.is_empty() && printed == ExitCode::SUCCESS {
        ExitCode::from(Exit::Failed as u8)
    } else {
        printed
    })
}

/// A node by its id; else the packages of that name, with or without version; else a node by its name.
fn named(plan: &Plan, solution: &Solution, word: &str) -> Result<Named, Trouble> {
    if let Some(node) = plan.find(word) {
        return Ok(Named::Node(node.index()));
    }
    let is_it = |at: &usize| {
        let package = &solution.packages[*at];
        package.name().as_str() == word || package.full_name() == word
    };
    let packages: Vec<usize> = (0..solution.packages.len()).filter(is_it).collect();
    if packages.is_empty() {
        return Ok(Named::Node(by_name(plan, word)?.index()));
    }
    Ok(Named::Packages(packages))
}

/// The nodes that packages are built by.
fn as_nodes(plan: &Plan, solution: &Solution, named: Named, word: &str) -> Result<Vec<usize>, Trouble> {
    let packages = match named {
        Named::Node(node) => return Ok(vec![node]),
        Named::Packages(packages) => packages,
    };
    let names: Vec<String> = packages.iter().map(|at| solution.packages[*at].full_name()).collect();
    let is_it = |node: &NodeId| {
        let derivation = plan.derivation(*node);
        let name = derivation.name.split('@').next().unwrap_or_default();
        !matches!(derivation.kind, Kind::Source | Kind::Jtw | Kind::Compressed)
            && names.iter().any(|known| known == name)
    };
    let nodes: Vec<usize> = plan.ids().filter(is_it).map(NodeId::index).collect();
    if nodes.is_empty() {
        let message = format!("no node builds the package `{word}`: it is a part of the base");
        let help = "ask for the base, or name two packages";
        return Err(Trouble::new(Exit::Input, "jtwbuild::node::unknown", message, Some(help)));
    }
    Ok(nodes)
}

fn steps(graph: &Graph, (start, way): &(usize, Way)) -> Vec<Step> {
    let users = std::iter::once(start).chain(way.iter().map(|(at, _)| at));
    let step = |(user, (needed, relation)): (&usize, &(usize, Relation))| Step {
        user: graph.names[*user].clone(),
        needed: graph.names[*needed].clone(),
        relation: relation.clone(),
    };
    users.zip(way).map(step).collect()
}

fn told(graph: &Graph, way: &(usize, Way)) -> String {
    let mut text = format!("{}\n", graph.names[way.0]);
    for (at, step) in steps(graph, way).iter().enumerate() {
        let needs = if at == 0 { "needs" } else { "which needs" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {needs} {}: {}", step.needed, step.relation.words());
    }
    if way.1.is_empty() {
        text.push_str("  is the same\n");
    }
    text
}
