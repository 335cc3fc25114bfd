//! Why nodes are built: which of them differ from what they were, in what, and which only follow.
//!
//! A [`Scene`] is what is asked about: what a plan would build now, or what a run has built. Each of
//! its nodes is compared with what it was before; where its own document differs, it is a *root
//! cause*, and where only the content of an input does, the reason is looked for there.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;
use serde_json::Value;

use super::document::{self, FieldChange};
use super::history::Earlier;
use super::trees::{self, Difference};
use crate::derivation::{BuildKey, FORMAT};
use crate::outcome::{Failure, Outcome};
use crate::store::Store;
use crate::store::tree::TreeHash;

/// How a node stands in what is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It would be built.
    WouldBuild,
    /// It would be built unless what comes out of its inputs is what is known already.
    MayBuild,
    Built,
    Cutoff,
    Failed,
    /// It was begun, and the run was stopped.
    Stopped,
    /// Nothing was done, or would be.
    Known,
}

impl Standing {
    /// Whether it is asked why.
    pub fn is_asked(self) -> bool {
        self != Self::Known
    }
}

/// What an input slot is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The output of the node at this position.
    Node(usize),
    /// Content that no node makes.
    Given,
}

/// What is asked about. Nodes are known by their positions, inputs before their users.
pub trait Scene {
    fn len(&self) -> usize;
    fn id(&self, node: usize) -> &str;
    fn standing(&self, node: usize) -> Standing;
    fn build(&self, node: usize) -> Option<BuildKey>;
    /// What the slots of a node are bound to, as far as that is known.
    fn bound(&self, node: usize) -> Vec<Bound>;
    /// The content of an input, if it is there.
    fn content(&self, node: usize, slot: usize) -> Option<TreeHash>;
    /// The node's action, as its document has it.
    fn action(&self, node: usize) -> Option<Value>;
    /// What the node was before.
    fn earlier(&self, node: usize) -> Earlier;

    /// Whether the content is in the store, where it can be compared.
    fn has(&self, tree: &TreeHash) -> bool;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One reason for which a node is built that lies in itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Why {
    /// Nothing earlier is known.
    First,
    /// A field of its document has another value.
    Field(FieldChange),
    /// An input's content is another one, and that is not because of a node that is asked about.
    Content {
        input: String,
        /// The node that it comes from.
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        before: TreeHash,
        after: TreeHash,
        /// What differs, where both are there.
        #[serde(skip_serializing_if = "Option::is_none")]
        files: Option<Vec<Difference>>,
    },
    InputAdded {
        input: String,
    },
    InputRemoved {
        input: String,
    },
    /// It was built with this build key, and its output or its layer is not in the store any more.
    Gone,
    /// It failed with this build key, and that is tried again.
    Retried {
        failure: Failure,
    },
    /// The machine was in trouble.
    Trouble {
        failure: Failure,
    },
    /// The last run was stopped before it was decided.
    Stopped,
    /// It was another one before, and the store does not hold what.
    Unrecorded,
}

/// What was found out of one node.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Reasons in itself; none: it only follows.
    pub whys: Vec<Why>,
    /// Inputs (positions of nodes) whose content is, or may become, another one.
    pub follows: Vec<usize>,
    /// The run that it was compared with.
    pub run: Option<u64>,
}

/// Every node that is asked about, and those that led to them.
#[derive(Default)]
pub struct Explanation {
    pub found: BTreeMap<usize, Found>,
}

/// A root cause with everything that follows from it.
#[derive(Clone, Debug)]
pub struct Cause {
    pub node: usize,
    /// Nodes that are asked about and have no reason in themselves.
    pub followers: Vec<usize>,
}

/// Explains the nodes of a scene; with `only`, that one and what leads to it.
pub fn explain(scene: &dyn Scene, store: &Store, only: Option<usize>) -> Explanation {
    let mut left: VecDeque<usize> = match only {
        Some(node) => VecDeque::from([node]),
        None => (0..scene.len()).filter(|node| scene.standing(*node).is_asked()).collect(),
    };
    let mut found = BTreeMap::new();
    while let Some(node) = left.pop_front() {
        if let Entry::Vacant(place) = found.entry(node) {
            let of_node = place.insert(look_at(scene, store, node));
            left.extend(&of_node.follows);
        }
    }
    let mut explanation = Explanation { found };
    explanation.leave_nobody_out(scene);
    explanation
}

impl Explanation {
    /// Who follows whom.
    fn users(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut users: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (node, found) in &self.found {
            found.follows.iter().for_each(|input| users.entry(*input).or_default().push(*node));
        }
        users
    }

    /// A node whose inputs lead to no cause has no other reason than that nobody knows it.
    fn leave_nobody_out(&mut self, scene: &dyn Scene) {
        let roots = self.found.iter().filter(|(_, found)| !found.whys.is_empty());
        let mut left: Vec<usize> = roots.map(|(node, _)| *node).collect();
        let (users, mut reached) = (self.users(), BTreeSet::new());
        while let Some(node) = left.pop() {
            if reached.insert(node) {
                left.extend(users.get(&node).into_iter().flatten());
            }
        }
        for (node, found) in &mut self.found {
            let standing = scene.standing(*node);
            if standing.is_asked() && standing != Standing::Cutoff && !reached.contains(node) {
                found.whys.push(Why::Unrecorded);
            }
        }
    }

    /// The root causes, inputs before their users.
    pub fn causes(&self, scene: &dyn Scene) -> Vec<Cause> {
        let users = self.users();
        let roots = self.found.iter().filter(|(_, found)| !found.whys.is_empty());
        let cause = |(node, _): (&usize, &Found)| {
            let (mut reached, mut left) = (BTreeSet::new(), vec![*node]);
            while let Some(at) = left.pop() {
                for user in users.get(&at).into_iter().flatten() {
                    if reached.insert(*user) {
                        left.push(*user);
                    }
                }
            }
            let follows = |node: &usize| scene.standing(*node).is_asked() && self.found[node].whys.is_empty();
            Cause { node: *node, followers: reached.into_iter().filter(follows).collect() }
        };
        roots.map(cause).collect()
    }

    /// The shortest ways from a node to each of its root causes: positions, the node first.
    pub fn chains(&self, node: usize) -> Vec<Vec<usize>> {
        let mut from: BTreeMap<usize, usize> = BTreeMap::new();
        let (mut left, mut chains) = (VecDeque::from([node]), Vec::new());
        while let Some(at) = left.pop_front() {
            let Some(found) = self.found.get(&at) else { continue };
            if !found.whys.is_empty() {
                let mut chain = vec![at];
                while let Some(before) =
                    chain.last().filter(|last| **last != node).and_then(|last| from.get(last))
                {
                    chain.push(*before);
                }
                chain.reverse();
                chains.push(chain);
            }
            for input in &found.follows {
                if *input != node && !from.contains_key(input) {
                    from.insert(*input, at);
                    left.push_back(*input);
                }
            }
        }
        chains
    }
}

/// Compares a node with what it was.
fn look_at(scene: &dyn Scene, store: &Store, node: usize) -> Found {
    let now = scene.build(node);
    let earlier = scene.earlier(node);
    if let (Some((run, build, outcome)), Some(now)) = (&earlier.last, now)
        && *build == now
        && scene.standing(node).is_asked()
    {
        let why = match outcome {
            Some(Outcome::Failed(failure)) if failure.is_verdict() => {
                Some(Why::Retried { failure: failure.clone() })
            }
            Some(Outcome::Failed(failure)) => Some(Why::Trouble { failure: failure.clone() }),
            Some(Outcome::NotDecided { .. }) => Some(Why::Stopped),
            // It is as it was, and was looked at because of what it is made from.
            _ if scene.standing(node) == Standing::Cutoff => None,
            _ => Some(Why::Gone),
        };
        let asked = |bound| match bound {
            Bound::Node(input) => Some(input).filter(|input| scene.standing(*input).is_asked()),
            Bound::Given => None,
        };
        let follows = scene.bound(node).into_iter().filter_map(asked).filter(|_| why.is_none());
        return Found { follows: follows.collect(), whys: why.into_iter().collect(), run: Some(*run) };
    }
    let Some((run, _, before)) = &earlier.document else {
        let why = if earlier.last.is_some() { Why::Unrecorded } else { Why::First };
        return Found { whys: vec![why], ..Found::default() };
    };
    let Some(action) = scene.action(node) else {
        return Found { whys: vec![Why::Unrecorded], run: *run, ..Found::default() };
    };
    let mut found = compare(scene, store, node, before, &action);
    found.run = *run;
    if found.whys.is_empty() && found.follows.is_empty() {
        if now.is_some_and(|now| earlier.document.as_ref().is_some_and(|(_, build, _)| *build == now)) {
            return found;
        }
        let own = scene.id(node).split_once('/').map(|(_, name)| name.split('@').next().unwrap_or(name));
        let others = [("format", Some(Value::from(FORMAT))), ("name", own.map(Value::from))];
        let changed = others.into_iter().filter(|(field, now)| before.get(field) != now.as_ref());
        found.whys.extend(changed.map(|(field, after)| {
            let before = before.get(field).cloned();
            Why::Field(FieldChange { path: field.to_owned(), before, after })
        }));
    }
    found
}

fn compare(scene: &dyn Scene, store: &Store, node: usize, before: &Value, action: &Value) -> Found {
    let inputs_before: Vec<Option<TreeHash>> = before["inputs"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|input| serde_json::from_value(input.clone()).ok())
        .collect();
    let document::Comparison { fields, inputs } = document::compare(&before["action"], action);
    let mut found = Found { whys: fields.into_iter().map(Why::Field).collect(), ..Found::default() };
    let bound = scene.bound(node);
    for pair in inputs {
        let Some(slot) = pair.after else {
            found.whys.push(Why::InputRemoved { input: pair.name });
            continue;
        };
        let from = match bound.get(slot) {
            Some(Bound::Node(input)) => Some(*input),
            _ => None,
        };
        let Some(before) = pair.before.and_then(|slot| *inputs_before.get(slot)?) else {
            found.whys.push(Why::InputAdded { input: pair.name });
            continue;
        };
        let after = scene.content(node, slot);
        if after == Some(before) {
            continue;
        }
        match (from, after) {
            // The reason lies there, if it is asked about, or is another one than it was.
            (Some(input), _) if scene.standing(input).is_asked() => found.follows.push(input),
            (Some(input), _) if is_another(scene, input) => found.follows.push(input),
            (from, Some(after)) => found.whys.push(Why::Content {
                input: pair.name,
                node: from.map(|input| scene.id(input).to_owned()),
                before,
                after,
                files: files(scene, store, &before, &after),
            }),
            (_, None) => {}
        }
    }
    found.follows.sort_unstable();
    found.follows.dedup();
    found
}

/// Whether a node that is known is another one than it was.
fn is_another(scene: &dyn Scene, node: usize) -> bool {
    let earlier = scene.earlier(node);
    let last = earlier.last.map(|(_, build, _)| build);
    earlier.document.is_some() && last.is_some() && scene.build(node).is_some_and(|now| last != Some(now))
}

fn files(scene: &dyn Scene, store: &Store, before: &TreeHash, after: &TreeHash) -> Option<Vec<Difference>> {
    let tree = |hash| scene.has(hash).then(|| store.tree(hash).ok()).flatten();
    trees::differences(&*tree(before)?, &*tree(after)?, &|file| store.read(file)).ok()
}
