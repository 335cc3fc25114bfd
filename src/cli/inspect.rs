//! `jtwbuild show` and `jtwbuild log`: what is known of one node.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use super::arguments::inspect::{Log, Show};
use super::arguments::{Global, UniverseArguments};
use super::load::{Loaded, Pinning, open_store};
use super::render;
use super::request::RunView;
use super::trouble::{Exit, Trouble};
use crate::derivation::{BuildKey, Input, NodeId};
use crate::diagnostic::did_you_mean;
use crate::inspect::prospect::input_trees;
use crate::plan::Plan;
use crate::store::Store;
use crate::store::facts::Facts;
use crate::store::tree::TreeHash;

/// A node of the plan with the build key that its inputs give it, as far as they are known.
struct Found {
    store: Arc<Store>,
    plan: Plan,
    node: NodeId,
    build: Option<BuildKey>,
}

pub(super) fn show(global: &Global, verb: &Show) -> Result<ExitCode, Trouble> {
    let found = find(global, &verb.universe, &verb.node)?;
    let derivation = found.plan.derivation(found.node);
    let action = derivation.action().expect("it was planned just now");
    let record = match found.build {
        Some(build) => found.store.layer(&Store::layer_id(derivation.kind.word(), &build))?,
        None => None,
    };
    if verb.json {
        let known = record.map(|record| serde_json::to_value(record).expect("a record has only text keys"));
        let value = serde_json::json!({
            "id": derivation.id(),
            "plan_key": found.plan.key(found.node),
            "build_key": found.build,
            "run": RunView::of_action(&action),
            "action": action,
            "record": known,
        });
        return Ok(render::data(&format!("{value:#}\n")));
    }
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}\n  plan key   {}", derivation.id(), found.plan.key(found.node));
    match found.build {
        Some(build) => drop(writeln!(text, "  build key  {build}")),
        None => drop(writeln!(text, "  build key  not known: an input has not been built")),
    }
    for input in &derivation.inputs {
        match input {
            Input::Node(id) => drop(writeln!(text, "  input      {}", found.plan.derivation(*id).id())),
            Input::Tree(tree) => drop(writeln!(text, "  input      {tree}")),
        }
    }
    match &record {
        Some(record) => {
            let status = serde_json::to_value(record.status).expect("a status is a word");
            let status = status.as_str().unwrap_or_default().to_owned();
            let _ = writeln!(text, "  status     {status} after {}", render::seconds(record.seconds));
            if let Some(error) = &record.error {
                let _ = writeln!(text, "  error      {error}");
            }
            if let Some(tree) = record.tree {
                let _ = writeln!(text, "  output     {}", found.store.tree_path(&tree).display());
            }
        }
        None => drop(writeln!(text, "  status     not built")),
    }
    if let Some(log) = log_of(&found) {
        let _ = writeln!(text, "  log        {}", log.display());
    }
    if let Some(run) = RunView::of_action(&action) {
        text += &run.commands_text("  ");
        text += &run.environment_text("  ");
        text += &run.mounts_text("  ");
    }
    let _ = writeln!(text, "{:#}", serde_json::to_value(&action).expect("an action has only text keys"));
    Ok(render::data(&text))
}

pub(super) fn log(global: &Global, verb: &Log) -> Result<ExitCode, Trouble> {
    let found = find(global, &verb.universe, &verb.node)?;
    let id = found.plan.derivation(found.node).id();
    let Some(path) = log_of(&found) else {
        let message = format!("there is no log of {id}");
        let help = "it was not built in this store with these inputs; `jtwbuild realise` builds it";
        return Err(Trouble::new(Exit::Input, "jtwbuild::log::missing", message, Some(help)));
    };
    let bytes = crate::store::disk::read_if_present(&path)?.unwrap_or_default();
    Ok(render::data(&String::from_utf8_lossy(&bytes)))
}

fn log_of(found: &Found) -> Option<std::path::PathBuf> {
    let kind = found.plan.derivation(found.node).kind.word();
    found.store.log_path(&Store::layer_id(kind, &found.build?))
}

fn find(global: &Global, arguments: &UniverseArguments, wanted: &str) -> Result<Found, Trouble> {
    let store = open_store(global)?;
    let mut loaded = Loaded::read(arguments, Pinning::Complete)?;
    let (plan, _) = loaded.plan(arguments, &store)?;
    let node = by_name(&plan, wanted)?;
    let facts = Facts::load(&store.plans().join("facts"));
    let trees: Option<Vec<TreeHash>> = input_trees(&plan, &store, &facts, node)?.into_iter().collect();
    let build = trees.map(|trees| plan.derivation(node).build_key(&trees));
    Ok(Found { store, plan, node, build })
}

/// The node with this id or, if that leaves no choice, this name; versions may be left out (`build/fmt`
/// for `build/fmt.0.9.0`).
pub(super) fn by_name(plan: &Plan, wanted: &str) -> Result<NodeId, Trouble> {
    if let Some(node) = plan.find(wanted) {
        return Ok(node);
    }
    let nodes_where = |is_it: &dyn Fn(&str) -> bool| -> Vec<NodeId> {
        let is_named = |node: &NodeId| {
            let derivation = plan.derivation(*node);
            is_it(&derivation.name) || is_it(&derivation.id())
        };
        plan.ids().filter(is_named).collect()
    };
    let mut named = nodes_where(&|name| name == wanted);
    if named.is_empty() {
        // No name of an opam package has a dot in it.
        named = nodes_where(&|name| name.split_once('.').is_some_and(|(name, _)| name == wanted));
    }
    if let [node] = named.as_slice() {
        return Ok(*node);
    }
    let ids: Vec<String> = plan.ids().map(|node| plan.derivation(node).id()).collect();
    let (message, help) = if named.is_empty() {
        let near = did_you_mean(wanted, ids.iter().map(String::as_str));
        (format!("the plan has no node `{wanted}`"), near.map(|near| format!("did you mean `{near}`?")))
    } else {
        let named: Vec<String> = named.iter().map(|node| plan.derivation(*node).id()).collect();
        (format!("`{wanted}` may be any of {}", named.join(", ")), Some("give the whole id".to_owned()))
    };
    Err(Trouble::new(Exit::Input, "jtwbuild::node::unknown", message, help.as_deref()))
}
