//! `Plan`: the graph of derivations with their plan keys. Pure: equal input gives equal bytes.

pub mod compressed;
mod debian;
pub mod evaluate;
mod opam;
mod packages;
mod recipes;
mod scripts;
mod slots;
pub mod tools;

use std::collections::HashMap;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::derivation::{Derivation, Input, NodeId, PlanKey};

/// Digits of a plan key that tell namesakes apart.
const KEY_DIGITS: usize = 12;

/// A directed acyclic graph of derivations. Edges lead from an input to the node that needs it;
/// every node stands behind its inputs.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    graph: DiGraph<Derivation, (), u32>,
    keys: Vec<PlanKey>,
    by_id: HashMap<String, NodeId>,
    /// What each package was planned for that was asked for by itself.
    pub goals: Vec<Goal>,
}

/// A package that is asked for by itself, and the nodes that matter for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// `fmt.0.9.0`.
    pub name: Box<str>,
    pub build: Option<NodeId>,
    /// Its browser layer, and its universe; without a site there is neither.
    pub jtw: Option<NodeId>,
    pub assembly: Option<NodeId>,
}

impl Plan {
    /// Adds a derivation whose inputs are in the plan already, and gives it its plan key. An equal
    /// one that is there is kept. One that is built from other inputs than its namesake is called by
    /// the beginning of its key too: several universes may have the same version of a package.
    pub fn add(&mut self, mut derivation: Derivation) -> NodeId {
        let key = derivation.plan_key(|input| self.keys[input.index()]);
        if self.by_id.get(&derivation.id()).is_some_and(|known| self.keys[known.index()] != key) {
            let key = key.to_string();
            derivation.name = format!("{}@{}", derivation.name, &key[..KEY_DIGITS]).into();
        }
        self.add_keyed(derivation, key)
    }

    /// Adds a derivation whose plan key is known, because it was planned with more around it than
    /// is in this plan.
    pub fn add_keyed(&mut self, derivation: Derivation, key: PlanKey) -> NodeId {
        let name = derivation.id();
        if let Some(known) = self.by_id.get(&name) {
            return *known;
        }
        let needs: Vec<NodeId> = derivation.needs().collect();
        let node = self.graph.add_node(derivation);
        for input in needs {
            self.graph.add_edge(NodeIndex::new(input.index()), node, ());
        }
        let id = NodeId(u32::try_from(node.index()).expect("the graph counts nodes in 32 bits"));
        self.keys.push(key);
        self.by_id.insert(name, id);
        id
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// All nodes, inputs before the nodes that need them.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + ExactSizeIterator + use<> {
        (0..u32::try_from(self.keys.len()).expect("the graph counts nodes in 32 bits")).map(NodeId)
    }

    /// The node with this id (`build/fmt.0.9.0`).
    pub fn find(&self, id: &str) -> Option<NodeId> {
        self.by_id.get(id).copied()
    }

    /// The derivation of a node.
    pub fn derivation(&self, node: NodeId) -> &Derivation {
        &self.graph[NodeIndex::new(node.index())]
    }

    /// The plan key of a node.
    pub fn key(&self, node: NodeId) -> PlanKey {
        self.keys[node.index()]
    }

    /// The nodes that need this one.
    pub fn users(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let users = self.graph.neighbors_directed(NodeIndex::new(node.index()), Direction::Outgoing);
        users.map(|index| NodeId(u32::try_from(index.index()).expect("the graph counts nodes in 32 bits")))
    }

    /// The nodes that nobody needs: what a run is for.
    pub fn targets(&self) -> Vec<NodeId> {
        self.ids().filter(|id| self.users(*id).next().is_none()).collect()
    }

    /// For each node how many nodes stand on the longest way from it to a target, itself included,
    /// weighed by kind: what should start first.
    pub fn urgency(&self) -> Vec<u64> {
        let mut urgency = vec![0; self.len()];
        for node in self.ids().rev() {
            let behind = self.users(node).map(|user| urgency[user.index()]).max().unwrap_or(0);
            urgency[node.index()] = behind + self.derivation(node).kind.weight();
        }
        urgency
    }

    /// Content that the plan refers to and no node makes.
    pub fn given_trees(&self) -> Vec<crate::store::tree::TreeHash> {
        let inputs = self.ids().flat_map(|id| self.derivation(id).inputs.iter());
        let mut trees: Vec<_> = inputs
            .filter_map(|input| match input {
                Input::Tree(tree) => Some(*tree),
                Input::Node(_) => None,
            })
            .collect();
        trees.sort_unstable();
        trees.dedup();
        trees
    }
}
