//! The two scenes: what a plan would build now, and what a run has built.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::Value;

use super::history::{Earlier, History, Indexed};
use super::prospect::{Forecast, Prospect};
use super::why::{Bound, Scene, Standing};
use crate::derivation::{BuildKey, Input, NodeId};
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::store::facts::Facts;
use crate::store::runs::{NodeRecord, RunRecord};
use crate::store::tree::TreeHash;

/// What would be built now.
pub struct Would<'a> {
    plan: &'a Plan,
    facts: &'a Facts,
    forecasts: &'a [Forecast],
    history: &'a History<'a>,
    /// Whether content is in the store, or could be taken into it.
    has: &'a dyn Fn(&TreeHash) -> bool,
    ids: Vec<String>,
}

impl<'a> Would<'a> {
    /// The scene of a plan with what is known of its nodes.
    pub fn new(
        plan: &'a Plan,
        facts: &'a Facts,
        forecasts: &'a [Forecast],
        history: &'a History<'a>,
        has: &'a dyn Fn(&TreeHash) -> bool,
    ) -> Self {
        let ids = plan.ids().map(|node| plan.derivation(node).id()).collect();
        Self { plan, facts, forecasts, history, has, ids }
    }

    fn node(node: usize) -> NodeId {
        NodeId(u32::try_from(node).expect("positions of nodes have 32 bits"))
    }

    fn output(&self, node: NodeId) -> Option<TreeHash> {
        let forecast = &self.forecasts[node.index()];
        match forecast.prospect {
            Prospect::Ignore => self.facts.planned(&self.plan.key(node)).map(|fact| fact.tree),
            _ => forecast.tree,
        }
    }
}

impl Scene for Would<'_> {
    fn len(&self) -> usize {
        self.ids.len()
    }

    fn id(&self, node: usize) -> &str {
        &self.ids[node]
    }

    fn standing(&self, node: usize) -> Standing {
        match self.forecasts[node].prospect {
            Prospect::Build => Standing::WouldBuild,
            Prospect::Decide => Standing::MayBuild,
            // It would not even be tried.
            Prospect::Reuse | Prospect::Failed | Prospect::Ignore => Standing::Known,
        }
    }

    fn build(&self, node: usize) -> Option<BuildKey> {
        let planned = || self.facts.planned(&self.plan.key(Self::node(node))).map(|fact| fact.build);
        self.forecasts[node].build.or_else(planned)
    }

    fn bound(&self, node: usize) -> Vec<Bound> {
        let bound = |input: &Input| match input {
            Input::Node(id) => Bound::Node(id.index()),
            Input::Tree(_) => Bound::Given,
        };
        self.plan.derivation(Self::node(node)).inputs.iter().map(bound).collect()
    }

    fn content(&self, node: usize, slot: usize) -> Option<TreeHash> {
        match self.plan.derivation(Self::node(node)).inputs.get(slot)? {
            Input::Tree(tree) => Some(*tree),
            Input::Node(id) => self.output(*id),
        }
    }

    fn action(&self, node: usize) -> Option<Value> {
        let action = self.plan.derivation(Self::node(node)).action().ok()?;
        serde_json::to_value(action).ok()
    }

    fn earlier(&self, node: usize) -> Earlier {
        let now = self.build(node);
        let is_there = |id: &str| self.plan.find(id).is_some();
        self.history.earlier(&self.ids[node], now.as_ref(), None, &is_there)
    }

    fn has(&self, tree: &TreeHash) -> bool {
        (self.has)(tree)
    }
}

/// What a run has built.
pub struct Did<'a> {
    run: Rc<Indexed>,
    history: &'a History<'a>,
    /// The document that was looked at last: one question about a node follows another.
    latest: RefCell<Option<(usize, Option<Value>)>>,
}

impl<'a> Did<'a> {
    /// The scene of one run of a history.
    pub fn new(run: Rc<Indexed>, history: &'a History<'a>) -> Self {
        Self { run, history, latest: RefCell::default() }
    }

    /// Its number, and what it was about.
    pub fn number(&self) -> u64 {
        self.run.number
    }

    pub fn record(&self) -> &RunRecord {
        &self.run.run
    }

    fn at(&self, node: usize) -> &NodeRecord {
        &self.run.run.nodes[node]
    }

    /// What `take` finds in the document of a node.
    fn document<T>(&self, node: usize, take: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let mut latest = self.latest.borrow_mut();
        if latest.as_ref().is_none_or(|(known, _)| *known != node) {
            let kind = self.at(node).id.split('/').next().unwrap_or_default();
            let document = self.at(node).build.and_then(|build| self.history.document(kind, &build));
            *latest = Some((node, document));
        }
        latest.as_ref().and_then(|(_, document)| take(document.as_ref()?))
    }
}

impl Scene for Did<'_> {
    fn len(&self) -> usize {
        self.run.run.nodes.len()
    }

    fn id(&self, node: usize) -> &str {
        &self.at(node).id
    }

    fn standing(&self, node: usize) -> Standing {
        let Some(decided) = &self.at(node).decided else { return Standing::Known };
        match (&decided.outcome, decided.ran) {
            (Outcome::Built, _) => Standing::Built,
            (Outcome::Cutoff, _) => Standing::Cutoff,
            (Outcome::Failed(_), true) => Standing::Failed,
            (Outcome::NotDecided { .. }, true) => Standing::Stopped,
            _ => Standing::Known,
        }
    }

    fn build(&self, node: usize) -> Option<BuildKey> {
        self.at(node).build
    }

    fn bound(&self, node: usize) -> Vec<Bound> {
        let inputs = self.at(node).decided.iter().flat_map(|decided| &decided.inputs);
        inputs.map(|input| input.map_or(Bound::Given, |at| Bound::Node(at as usize))).collect()
    }

    fn content(&self, node: usize, slot: usize) -> Option<TreeHash> {
        self.document(node, |document| serde_json::from_value(document["inputs"].get(slot)?.clone()).ok())
    }

    fn action(&self, node: usize) -> Option<Value> {
        self.document(node, |document| document.get("action").cloned())
    }

    fn earlier(&self, node: usize) -> Earlier {
        let is_there = |id: &str| self.run.run.find(id).is_some();
        let (id, build) = (&self.at(node).id, self.at(node).build);
        self.history.earlier(id, build.as_ref(), Some(self.run.number), &is_there)
    }

    fn has(&self, tree: &TreeHash) -> bool {
        self.history.has(tree)
    }
}
