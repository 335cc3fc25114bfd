//! What `realise` leaves for those who ask later why something was built.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use super::realise::Command;
use super::render;
use crate::derivation::{Input, NodeId};
use crate::memo::snapshot::Part;
use crate::memo::table::Table;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::realise::{NodeReport, Run};
use crate::store::runs::{About, Decided, NodeRecord, RunRecord};

/// The path by which the runs of a universe are found again.
pub(super) fn universe_path(universe: &std::path::Path) -> String {
    std::path::absolute(universe).unwrap_or_else(|_| universe.to_owned()).to_string_lossy().into_owned()
}

/// Leaves the record of a run that built something, or tried to. That it cannot be left costs an
/// explanation later, and nothing else.
pub(super) fn leave(command: &Command<'_>, universe: &str, plan: &Plan, run: &Run) {
    if run.nodes.iter().any(|report| report.ran) {
        let of = |node| {
            record(plan, node, run.report(node), positions(plan.derivation(node).inputs.iter().copied()))
        };
        let nodes = plan.ids().map(of).collect();
        write(command, universe, nodes);
    }
}

/// [`leave`] for a run that planned a part of its universe only; the table tells of the rest.
pub(super) fn leave_part(command: &Command<'_>, universe: &str, table: &Table, part: &Part, run: &Run) {
    if !run.nodes.iter().any(|report| report.ran) {
        return;
    }
    let id = |node: usize| format!("{}/{}", table.kind(node), table.name(node));
    let mut nodes: Vec<NodeRecord> = (0..table.len())
        .map(|node| NodeRecord { id: id(node), build: table.result(node).0, decided: None })
        .collect();
    for (node, place) in part.plan.ids().zip(&part.places) {
        // In the part, the outputs of nodes outside of it are given trees.
        let inputs = positions(table.inputs(*place));
        nodes[*place] = record(&part.plan, node, run.report(node), inputs);
    }
    write(command, universe, nodes);
}

/// The positions of the nodes that inputs come from.
fn positions(inputs: impl Iterator<Item = Input>) -> Vec<Option<u32>> {
    let position = |input| match input {
        Input::Node(id) => Some(id.0),
        Input::Tree(_) => None,
    };
    inputs.map(position).collect()
}

fn record(plan: &Plan, node: NodeId, report: &NodeReport, inputs: Vec<Option<u32>>) -> NodeRecord {
    // What the plan key told has taken no time.
    let is_told = report.outcome == Outcome::Reused && report.seconds == 0.0;
    let decided = (!is_told).then(|| Decided {
        outcome: report.outcome.clone(),
        ran: report.ran,
        plan: plan.key(node),
        tree: report.tree,
        #[expect(clippy::cast_possible_truncation, reason = "no run is so long that it matters")]
        seconds: report.seconds as f32,
        inputs,
    });
    NodeRecord { id: plan.derivation(node).id(), build: report.build, decided }
}

fn write(command: &Command<'_>, universe: &str, nodes: Vec<NodeRecord>) {
    let verb = command.verb;
    let recipes: Vec<String> = verb.universe.recipes.iter().map(|path| universe_path(path)).collect();
    let mut settings = BTreeMap::new();
    let mut set = |name: &str, value: String, is_set: bool| {
        if is_set {
            settings.insert(name.to_owned(), value);
        }
    };
    set("recipes", recipes.join(" "), !recipes.is_empty());
    set("locked", "true".into(), verb.universe.locked);
    set("offline", "true".into(), verb.universe.offline);
    set("retry-failed", "true".into(), verb.retry_failed);
    set("retry", verb.retry.to_string(), verb.retry > 0);
    let about = About {
        universe: universe.to_owned(),
        path: universe_path(&verb.universe.universe),
        started: command.since.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        seconds: command.begun.elapsed().as_secs_f64(),
        settings,
    };
    if let Err(error) = command.store.leave_run(&RunRecord { about, nodes })
        && command.global.verbose
    {
        render::note(&format!("notice: `jtwbuild why-build` will not know of this run: {error}"));
    }
}
