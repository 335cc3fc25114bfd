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
use crate::plan::Plan;
use crate::store::Store;
use crate::store::facts::Facts;

/// What would happen to a node.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Prospect {
    /// Its output is there under this plan.
    Reuse,
    /// It would be built.
    Build,
    /// An input would be built first; whether anything runs is decided by what comes out.
    Decide,
    /// Nobody that would be built needs it.
    Ignore,
}

impl Prospect {
    fn word(self) -> &'static str {
        match self {
            Self::Reuse => "reuse",
            Self::Build => "build",
            Self::Decide => "decide",
            Self::Ignore => "ignore",
        }
    }
}

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
    let prospects = prospects(&plan, &store, &facts);
    let text = match (verb.json, verb.dot) {
        (true, _) => json(&plan, &prospects),
        (_, true) => dot(&plan, &prospects),
        _ => table(&plan, &prospects),
    };
    Ok(render::data(&text))
}

fn prospects(plan: &Plan, store: &Store, facts: &Facts) -> Vec<Prospect> {
    let mut prospects = vec![Prospect::Ignore; plan.len()];
    let mut to_look_at = plan.targets();
    let mut seen = vec![false; plan.len()];
    while let Some(node) = to_look_at.pop() {
        if std::mem::replace(&mut seen[node.index()], true) {
            continue;
        }
        let known = facts.planned(&plan.key(node)).is_some_and(|fact| store.has_tree(&fact.tree));
        prospects[node.index()] = if known { Prospect::Reuse } else { Prospect::Build };
        if !known {
            to_look_at.extend(plan.derivation(node).needs());
        }
    }
    for node in plan.ids() {
        let would_build =
            |input: NodeId| matches!(prospects[input.index()], Prospect::Build | Prospect::Decide);
        if prospects[node.index()] == Prospect::Build && plan.derivation(node).needs().any(would_build) {
            prospects[node.index()] = Prospect::Decide;
        }
    }
    prospects
}

fn inputs(plan: &Plan, node: NodeId) -> Vec<String> {
    let inputs = plan.derivation(node).inputs.iter().map(|input| match input {
        Input::Node(id) => plan.derivation(*id).id(),
        Input::Tree(tree) => tree.to_string(),
    });
    inputs.collect()
}

fn json(plan: &Plan, prospects: &[Prospect]) -> String {
    let nodes = plan.ids().map(|node| NodeLine {
        id: plan.derivation(node).id(),
        kind: plan.derivation(node).kind,
        name: &plan.derivation(node).name,
        plan_key: plan.key(node).to_string(),
        inputs: inputs(plan, node),
        action: prospects[node.index()],
    });
    let document = Document { nodes: nodes.collect() };
    let mut text = serde_json::to_string_pretty(&document).expect("a plan has only text keys");
    text.push('\n');
    text
}

fn dot(plan: &Plan, prospects: &[Prospect]) -> String {
    let mut text =
        String::from("digraph plan {\n  rankdir = LR;\n  node [shape = box, fontname = \"sans-serif\"];\n");
    for node in plan.ids() {
        let style = match prospects[node.index()] {
            Prospect::Reuse | Prospect::Ignore => "color = gray, fontcolor = gray",
            Prospect::Build => "style = bold",
            Prospect::Decide => "style = dashed",
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

fn table(plan: &Plan, prospects: &[Prospect]) -> String {
    let mut text = String::new();
    for node in plan.ids() {
        let prospect = prospects[node.index()];
        if prospect == Prospect::Ignore {
            continue;
        }
        let why = match prospect {
            Prospect::Reuse => "its plan key is known".to_owned(),
            Prospect::Build => "its plan key is new, and its inputs are known".to_owned(),
            Prospect::Decide => {
                let waits = plan
                    .derivation(node)
                    .needs()
                    .filter(|input| matches!(prospects[input.index()], Prospect::Build | Prospect::Decide));
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
    let count = |wanted| prospects.iter().filter(|prospect| **prospect == wanted).count();
    let _ = writeln!(
        text,
        "{} nodes: {} to build, {} depend on their inputs, {} to reuse, {} not looked at",
        plan.len(),
        count(Prospect::Build),
        count(Prospect::Decide),
        count(Prospect::Reuse),
        count(Prospect::Ignore)
    );
    text
}
