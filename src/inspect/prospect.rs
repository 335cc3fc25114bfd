//! What a run would do with each node, as far as that can be known beforehand.

use serde::Serialize;

use crate::derivation::{BuildKey, Input, NodeId};
use crate::plan::Plan;
use crate::store::facts::Facts;
use crate::store::layer::{LayerRecord, Status};
use crate::store::tree::TreeHash;
use crate::store::{Store, StoreError};

/// What would happen to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prospect {
    /// Its output is there, under its plan key or under the build key that its inputs give it.
    Reuse,
    /// It would be built.
    Build,
    /// An input would be built first; whether anything runs is decided by what comes out.
    Decide,
    /// Its failure with these inputs is remembered.
    Failed,
    /// Nobody that would be built needs it.
    Ignore,
}

impl Prospect {
    /// The word that tables and JSON use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reuse => "reuse",
            Self::Build => "build",
            Self::Decide => "decide",
            Self::Failed => "failed",
            Self::Ignore => "ignore",
        }
    }

    /// Whether its output is not there yet.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Build | Self::Decide | Self::Failed)
    }
}

/// What would happen to one node, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Forecast {
    pub prospect: Prospect,
    /// Its build key, if its inputs are known.
    pub build: Option<BuildKey>,
    /// Its output, if it is there.
    pub tree: Option<TreeHash>,
    /// Whether its output is known by the build key only.
    pub by_build: bool,
}

/// The forecast of every node of the plan, by position.
pub fn forecasts(plan: &Plan, store: &Store, facts: &Facts) -> Result<Vec<Forecast>, StoreError> {
    let nothing = Forecast { prospect: Prospect::Ignore, build: None, tree: None, by_build: false };
    let mut forecasts = vec![nothing; plan.len()];
    let mut seen = vec![false; plan.len()];
    let mut to_look_at = plan.targets();
    while let Some(node) = to_look_at.pop() {
        if std::mem::replace(&mut seen[node.index()], true) {
            continue;
        }
        let fact = facts.planned(&plan.key(node)).filter(|fact| store.has_tree(&fact.tree));
        forecasts[node.index()] = match fact {
            Some(fact) => Forecast {
                prospect: Prospect::Reuse,
                build: Some(fact.build),
                tree: Some(fact.tree),
                by_build: false,
            },
            None => Forecast { prospect: Prospect::Decide, ..nothing },
        };
        if fact.is_none() {
            to_look_at.extend(plan.derivation(node).needs());
        }
    }
    for node in plan.ids() {
        if forecasts[node.index()].prospect == Prospect::Decide
            && let Some(trees) = inputs(plan, &forecasts, node)
        {
            forecasts[node.index()] = with_inputs(plan, store, facts, node, &trees)?;
        }
    }
    Ok(forecasts)
}

/// The contents of a node's inputs, as far as they are there.
pub fn input_trees(
    plan: &Plan,
    store: &Store,
    facts: &Facts,
    node: NodeId,
) -> Result<Vec<Option<TreeHash>>, StoreError> {
    let forecasts = forecasts(plan, store, facts)?;
    let inputs = plan.derivation(node).inputs.iter();
    let tree = |input: &Input| match input {
        Input::Tree(tree) => Some(*tree),
        Input::Node(id) if forecasts[id.index()].prospect == Prospect::Ignore => {
            facts.planned(&plan.key(*id)).map(|fact| fact.tree).filter(|tree| store.has_tree(tree))
        }
        Input::Node(id) => forecasts[id.index()].tree,
    };
    Ok(inputs.map(tree).collect())
}

/// The contents of a node's inputs, if all of them are there.
fn inputs(plan: &Plan, forecasts: &[Forecast], node: NodeId) -> Option<Vec<TreeHash>> {
    let tree = |input: &Input| match input {
        Input::Tree(tree) => Some(*tree),
        Input::Node(id) => forecasts[id.index()].tree,
    };
    plan.derivation(node).inputs.iter().map(tree).collect()
}

/// What a run finds under the build key.
fn with_inputs(
    plan: &Plan,
    store: &Store,
    facts: &Facts,
    node: NodeId,
    trees: &[TreeHash],
) -> Result<Forecast, StoreError> {
    let derivation = plan.derivation(node);
    let build = derivation.build_key(trees);
    let found = |prospect, tree| Forecast { prospect, build: Some(build), tree, by_build: true };
    let known = match facts.built(&build).filter(|tree| store.has_tree(tree)) {
        Some(tree) => return Ok(found(Prospect::Reuse, Some(tree))),
        None => store.layer(&Store::layer_id(derivation.kind.word(), &build))?,
    };
    Ok(match known {
        Some(LayerRecord { status: Status::Success, tree: Some(tree), .. }) if store.has_tree(&tree) => {
            found(Prospect::Reuse, Some(tree))
        }
        Some(LayerRecord { failure: Some(failure), .. }) if failure.is_verdict() => {
            found(Prospect::Failed, None)
        }
        _ => found(Prospect::Build, None),
    })
}
