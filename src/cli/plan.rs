//! `jtwbuild plan`: what would be done, and why.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::arguments::{Global, Plan as Verb};
use super::load::{Loaded, Pinning, open_store};
use super::realise::tell_moves;
use super::render;
use super::trouble::Trouble;
use crate::derivation::{Input, Kind, NodeId};
use crate::inspect::prospect::{Forecast, Prospect, forecasts};
use crate::plan::Plan;
use crate::store::facts::Facts;

/// The object that `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    nodes: Vec<NodeLine<'a>>,
}

#[derive(Serialize)]
struct NodeLine<'a> {
    id: String,
    kind: Kind,
    name: &'a str,
    plan_key: String,
    inputs: Vec<String>,
    action: Prospect,
}

pub(super) fn run(global: &Global, verb: &Verb) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    let mut loaded = Loaded::read(&verb.universe, Pinning::Complete)?;
    let (plan, _) = loaded.plan(&verb.universe, &store)?;
    tell_moves(global, &loaded);
    for remark in loaded.remarks() {
        render::note(&remark);
    }
    let facts = Facts::load(&store.plans().join("facts"));
    let forecasts = forecasts(&plan, &store, &facts)?;
    let text = match (verb.json, verb.dot) {
        (true, _) => json(&plan, &forecasts),
        (_, true) => dot(&plan, &forecasts),
        _ => table(&plan, &forecasts),
    };
    Ok(render::data(&text))
}

fn inputs(plan: &Plan, node: NodeId) -> Vec<String> {
    let inputs = plan.derivation(node).inputs.iter().map(|input| match input {
        Input::Node(id) => plan.derivation(*id).id(),
        Input::Tree(tree) => tree.to_string(),
    });
    inputs.collect()
}

fn json(plan: &Plan, forecasts: &[Forecast]) -> String {
    let nodes = plan.ids().map(|node| NodeLine {
        id: plan.derivation(node).id(),
        kind: plan.derivation(node).kind,
        name: &plan.derivation(node).name,
        plan_key: plan.key(node).to_string(),
        inputs: inputs(plan, node),
        action: forecasts[node.index()].prospect,
    });
    let document = Document { nodes: nodes.collect() };
    let mut text = serde_json::to_string_pretty(&document).expect("a plan has only text keys");
    text.push('\n');
    text
}

fn dot(plan: &Plan, forecasts: &[Forecast]) -> String {
    let mut text =
        String::from("digraph plan {\n  rankdir = LR;\n  node [shape = box, fontname = \"sans-serif\"];\n");
    for node in plan.ids() {
        let style = match forecasts[node.index()].prospect {
            Prospect::Reuse | Prospect::Ignore => "color = gray, fontcolor = gray",
            Prospect::Build => "style = bold",
            Prospect::Decide => "style = dashed",
            Prospect::Failed => "style = bold, color = red",
        };
        // Writing to a string cannot fail. Names of nodes need no quoting beyond the quotes.
        let _ = writeln!(text, "  n{} [label = \"{}\", {style}];", node.0, plan.derivation(node).id());
        for input in plan.derivation(node).needs() {
            let _ = writeln!(text, "  n{} -> n{};", input.0, node.0);
        }
    }
    text.push_str("}\n");
    text
}

fn table(plan: &Plan, forecasts: &[Forecast]) -> String {
    let mut text = String::new();
    for node in plan.ids() {
        let prospect = forecasts[node.index()].prospect;
        if prospect == Prospect::Ignore {
            continue;
        }
        let why = match prospect {
            Prospect::Reuse if forecasts[node.index()].by_build => "its build key is known".to_owned(),
            Prospect::Reuse => "its plan key is known".to_owned(),
            Prospect::Failed => "its failure is remembered; `--retry-failed` tries it again".to_owned(),
            Prospect::Build => "its plan key is new, and its inputs are known".to_owned(),
            Prospect::Decide => {
                let waits =
                    plan.derivation(node).needs().filter(|input| forecasts[input.index()].prospect.is_open());
                let waits: Vec<String> = waits.map(|input| plan.derivation(input).id()).collect();
                match waits.as_slice() {
                    [one] => format!("depends on what comes out of {one}"),
                    [first, rest @ ..] => {
                        format!("depends on what comes out of {first} and {} more", rest.len())
                    }
                    [] => String::new(),
                }
            }
            Prospect::Ignore => String::new(),
        };
        let _ = writeln!(text, "{:7} {:40} {why}", prospect.word(), plan.derivation(node).id());
    }
    let count = |wanted| forecasts.iter().filter(|forecast| forecast.prospect == wanted).count();
    let failed = match count(Prospect::Failed) {
        0 => String::new(),
        failed => format!("{failed} known to fail, "),
    };
    let _ = writeln!(
        text,
        "{} nodes: {} to build, {} depend on their inputs, {failed}{} to reuse, {} not looked at",
        plan.len(),
        count(Prospect::Build),
        count(Prospect::Decide),
        count(Prospect::Reuse),
        count(Prospect::Ignore)
    );
    text
}
