//! What differs between two plans: which nodes came, went, do something else, or only follow; and what
//! became of their outputs, as far as the store has them.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;

use super::contents::{self, ContentDifference};
use super::document;
use super::explained::Explainer;
use super::history::stem;
use super::trees;
use super::why::Why;
use super::words::sentences;
use crate::derivation::{Derivation, Input, Kind, NodeId};
use crate::plan::Plan;
use crate::store::facts::{Fact, Facts};
use crate::store::layer::LayerRecord;
use crate::store::tree::TreeHash;
use crate::store::{Store, StoreError};

/// A node that is in both plans and does something else.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeDifference {
    pub before: String,
    /// Its id in the later plan, which a new version of a package changes.
    pub after: String,
    /// What differs in its own document, and in content that no node makes.
    pub reasons: Vec<Why>,
    /// The same in words.
    pub text: Vec<String>,
}

/// Everything in which the nodes of two plans differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NodeDifferences {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<NodeDifference>,
    /// Nodes that only have other inputs.
    pub follow: Vec<String>,
    /// Of all that changed or follow: those whose build key is the same, because their inputs came out
    /// the same. For the later plan nothing ran.
    pub cut_off: Vec<String>,
    /// Those that were built with another build key, and came out the same.
    pub same_bytes: Vec<String>,
    /// Those of which the store does not have both outputs.
    pub unknown: Vec<String>,
}

impl NodeDifferences {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty() && self.follow.is_empty()
    }
}

/// Compares two plans. Gives what differs between the nodes, and between outputs of nodes that are in
/// both; if `explains`, also inside the files of those.
pub fn compare(
    before: &Plan,
    after: &Plan,
    store: &Store,
    facts: &Facts,
    explains: bool,
) -> Result<(NodeDifferences, Vec<ContentDifference>), StoreError> {
    let pairs = pairs(before, after);
    let is_left = |plan: &Plan, taken: &HashSet<NodeId>| -> Vec<String> {
        plan.ids().filter(|id| !taken.contains(id)).map(|id| plan.derivation(id).id()).collect()
    };
    let mut nodes = NodeDifferences {
        added: is_left(after, &pairs.iter().map(|(_, node)| *node).collect()),
        removed: is_left(before, &pairs.iter().map(|(node, _)| *node).collect()),
        ..NodeDifferences::default()
    };
    let mut contents = Vec::new();
    let mut explainer = explains.then(Explainer::default);
    for (old, new) in pairs {
        let (old_key, new_key) = (before.key(old), after.key(new));
        if old_key == new_key {
            continue;
        }
        let (old, new) = (before.derivation(old), after.derivation(new));
        let reasons = reasons(old, new, store)?;
        if reasons.is_empty() {
            nodes.follow.push(new.id());
        } else {
            let text = sentences(&reasons, false);
            nodes.changed.push(NodeDifference { before: old.id(), after: new.id(), reasons, text });
        }
        match (facts.planned(&old_key), facts.planned(&new_key)) {
            (Some(old_fact), Some(new_fact)) if old_fact.tree == new_fact.tree => {
                if old_fact.build == new_fact.build { &mut nodes.cut_off } else { &mut nodes.same_bytes }
                    .push(new.id());
            }
            (Some(Fact { tree: one, .. }), Some(Fact { tree: other, .. }))
                if store.has_tree(&one) && store.has_tree(&other) =>
            {
                // What is in a site is at paths that depend on content, and in the other nodes' outputs;
                // and compressed variants say nothing that their files do not.
                if matches!(new.kind, Kind::Assembly | Kind::Compressed) {
                    continue;
                }
                let (one, other) = (store.tree(&one)?, store.tree(&other)?);
                let with_interfaces = matches!(new.kind, Kind::Build | Kind::JtwTools | Kind::Node);
                let read = |file: &_| store.read(file);
                let mut content = contents::compare(&new.id(), &one, &other, &read, with_interfaces)?;
                if let (Some(content), Some(explainer)) = (&mut content, &mut explainer) {
                    explainer.explain(content, Some(new.kind), (&one, &other), &read)?;
                }
                contents.extend(content);
            }
            _ => nodes.unknown.push(new.id()),
        }
    }
    Ok((nodes, contents))
}

/// Nodes of the two plans that are the same node: those of one id, then those of one package whose
/// version is another, where there is only one.
fn pairs(before: &Plan, after: &Plan) -> Vec<(NodeId, NodeId)> {
    let mut pairs: Vec<(NodeId, NodeId)> =
        after.ids().filter_map(|node| Some((before.find(&after.derivation(node).id())?, node))).collect();
    let (old, new): (HashSet<NodeId>, HashSet<NodeId>) = pairs.iter().copied().unzip();
    let by_stem = |plan: &Plan, taken: &HashSet<NodeId>| {
        let mut found: HashMap<String, Vec<NodeId>> = HashMap::new();
        for node in plan.ids().filter(|node| !taken.contains(node)) {
            found.entry(stem(&plan.derivation(node).id())).or_default().push(node);
        }
        found
    };
    let (old, new) = (by_stem(before, &old), by_stem(after, &new));
    for (stem, nodes) in new {
        if let ([after], Some([before])) = (nodes.as_slice(), old.get(&stem).map(Vec::as_slice)) {
            pairs.push((*before, *after));
        }
    }
    pairs.sort_by_key(|(_, node)| *node);
    pairs
}

/// What differs in two nodes themselves.
fn reasons(before: &Derivation, after: &Derivation, store: &Store) -> Result<Vec<Why>, StoreError> {
    let action = |derivation: &Derivation| {
        let action = derivation.action().ok();
        action.and_then(|action| serde_json::to_value(action).ok()).unwrap_or(Value::Null)
    };
    let inputs = |derivation: &Derivation| -> Vec<Option<TreeHash>> {
        let given = |input: &Input| match input {
            Input::Tree(tree) => Some(*tree),
            Input::Node(_) => None,
        };
        derivation.inputs.iter().map(given).collect()
    };
    let (old, new) = (inputs(before), inputs(after));
    compare_documents((&action(before), &old), (&action(after), &new), store)
}

/// Compares two actions, and the contents of their inputs as far as they are given: by slot.
fn compare_documents(
    (before, inputs_before): (&Value, &[Option<TreeHash>]),
    (after, inputs_after): (&Value, &[Option<TreeHash>]),
    store: &Store,
) -> Result<Vec<Why>, StoreError> {
    let comparison = document::compare(before, after);
    let mut reasons: Vec<Why> = comparison.fields.into_iter().map(Why::Field).collect();
    for pair in comparison.inputs {
        let of = |inputs: &[Option<TreeHash>], slot: Option<usize>| inputs.get(slot?).copied().flatten();
        match (pair.before, pair.after) {
            (None, _) => reasons.push(Why::InputAdded { input: pair.name }),
            (_, None) => reasons.push(Why::InputRemoved { input: pair.name }),
            (slot_before, slot_after) => {
                let (before, after) = (of(inputs_before, slot_before), of(inputs_after, slot_after));
                // The same input may be named twice.
                let is_told = |reasons: &[Why]| {
                    reasons.iter().any(|why| match why {
                        Why::Content { before: one, after: other, .. } => {
                            (Some(*one), Some(*other)) == (before, after)
                        }
                        _ => false,
                    })
                };
                if let (Some(before), Some(after)) = (before, after)
                    && before != after
                    && !is_told(&reasons)
                {
                    let files = files(store, &before, &after)?;
                    reasons.push(Why::Content { input: pair.name, node: None, before, after, files });
                }
            }
        }
    }
    Ok(reasons)
}

/// What differs between how two layers came to be.
pub fn compare_layers(
    before: &LayerRecord,
    after: &LayerRecord,
    store: &Store,
) -> Result<NodeDifferences, StoreError> {
    let mut nodes = NodeDifferences::default();
    if before.build_key == after.build_key {
        return Ok(nodes);
    }
    let inputs = |record: &LayerRecord| -> Vec<Option<TreeHash>> {
        let inputs = record.document["inputs"].as_array().into_iter().flatten();
        inputs.map(|input| serde_json::from_value(input.clone()).ok()).collect()
    };
    let (old, new) = (inputs(before), inputs(after));
    let actions = (&before.document["action"], &after.document["action"]);
    let reasons = compare_documents((actions.0, &old), (actions.1, &new), store)?;
    let id = |record: &LayerRecord| format!("{}/{}", record.kind, record.package);
    if before.tree.is_some() && before.tree == after.tree {
        nodes.same_bytes.push(id(after));
    }
    let text = sentences(&reasons, false);
    nodes.changed.push(NodeDifference { before: id(before), after: id(after), reasons, text });
    Ok(nodes)
}

fn files(
    store: &Store,
    before: &TreeHash,
    after: &TreeHash,
) -> Result<Option<Vec<trees::Difference>>, StoreError> {
    if !store.has_tree(before) || !store.has_tree(after) {
        return Ok(None);
    }
    let read = |file: &_| store.read(file);
    trees::differences(&*store.tree(before)?, &*store.tree(after)?, &read).map(Some)
}

/// What an assembly says about its site: compiler and effects mode, by what users call them.
pub fn toolchain(plan: &Plan) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    for node in plan.ids().filter(|node| plan.derivation(*node).kind == Kind::Assembly) {
        if let Ok(crate::derivation::Action::Assembly(assembly)) = plan.derivation(node).action() {
            known.insert("compiler".to_owned(), assembly.compiler);
            known.insert("effects".to_owned(), assembly.effects.as_str().to_owned());
        }
    }
    known
}
