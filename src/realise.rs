//! `realise`: makes every wanted node's output be in the store, doing as little as possible.
//!
//! A node whose plan key is known costs a look at the store, and nothing below it is looked at. For
//! the others the inputs are realised first; then the build key decides: known means that nothing
//! runs (early cutoff), else the builder does. This module knows neither sandbox nor terminal: it
//! gets a [`Builder`] and a [`Progress`].

mod decide;
mod panic;
mod schedule;
#[cfg(test)]
mod tests;
mod trouble;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::derivation::{BuildKey, Derivation, NodeId};
use crate::outcome::{Failure, Outcome};
use crate::plan::Plan;
use crate::store::facts::Facts;
use crate::store::history::Origin;
use crate::store::layer::LayerDraft;
use crate::store::lock::Holder;
use crate::store::tree::TreeHash;
use crate::store::{Store, StoreError};

pub use schedule::{realise, realise_only};
pub use trouble::{EQUAL_TROUBLES, GivenUp};

/// One node to be built: its derivation, the content of its inputs in slot order, and where the
/// log goes.
pub struct Job<'a> {
    pub node: NodeId,
    pub derivation: &'a Derivation,
    pub trees: &'a [TreeHash],
    pub layer: &'a LayerDraft,
    pub stop: &'a Stop,
    pub progress: &'a dyn Progress,
}

/// Does what a derivation says.
pub trait Builder: Sync {
    /// Makes the output, publishes its tree in the store and returns its name.
    fn build(&self, job: &Job<'_>) -> Result<TreeHash, Failure>;
}

/// Is told how a run goes; called from several threads.
pub trait Progress: Sync {
    /// Which nodes have to be decided one by one; the others are known already.
    fn wanted(&self, _nodes: &[NodeId]) {}
    /// The builder begins with a node.
    fn started(&self, _node: NodeId) {}
    /// A running node has come this far, in bytes or steps of its own.
    fn advanced(&self, _node: NodeId, _what: &str, _done: u64, _total: Option<u64>) {}
    /// A node is being built by another process, which is waited for.
    fn waiting(&self, _node: NodeId, _holder: Holder) {}
    /// A node is decided.
    fn decided(&self, _node: NodeId, _report: &NodeReport) {}
}

/// A progress that nobody looks at.
pub struct Quiet;

impl Progress for Quiet {}

/// How the user asks a run to end.
#[derive(Debug, Default)]
pub struct Stop {
    requested: Arc<AtomicBool>,
}

impl Stop {
    /// Nothing more is started, and running builders are ended.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
    }

    /// Whether the run is to end.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// The flag itself, for those who poll it.
    pub fn flag(&self) -> &AtomicBool {
        &self.requested
    }

    /// The flag itself, for those who set it.
    pub fn shared(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.requested)
    }
}

/// What a run may do.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Nodes that may be built at the same time; at least 1.
    pub jobs: usize,
    /// Whether remembered failures are tried again.
    pub retry_failed: bool,
    /// How many more times a builder that fails is tried at once.
    pub retries: u32,
    /// How long another process that builds a node is waited for; without it, to its end.
    pub wait: Option<Duration>,
    /// What the history says of why something was built.
    pub origin: Origin,
}

impl Default for Settings {
    fn default() -> Self {
        Self { jobs: 1, retry_failed: false, retries: 0, wait: None, origin: Origin::Built }
    }
}

/// How one node ended.
#[derive(Clone, Debug)]
pub struct NodeReport {
    pub outcome: Outcome,
    /// Its output, if there is one.
    pub tree: Option<TreeHash>,
    /// Its build key, if it came to be known.
    pub build: Option<BuildKey>,
    /// Wall time, in seconds, that deciding it took.
    pub seconds: f64,
    /// Where its log is, if it ran and has no layer that holds it.
    pub log: Option<PathBuf>,
    /// How often its builder failed before this outcome of the same run.
    pub failed_tries: u32,
    /// Whether its builder ran, whatever came of that.
    pub ran: bool,
}

impl NodeReport {
    fn known(outcome: Outcome, tree: TreeHash, build: BuildKey) -> Self {
        Self { tree: Some(tree), build: Some(build), ..Self::without_output(outcome) }
    }

    fn without_output(outcome: Outcome) -> Self {
        Self { outcome, tree: None, build: None, seconds: 0.0, log: None, failed_tries: 0, ran: false }
    }

    /// Whether it was built after its builder had failed with the same inputs.
    pub fn is_flaky(&self) -> bool {
        self.failed_tries > 0 && self.outcome == Outcome::Built
    }
}

/// How a run ended: one report for each node of the plan, by position.
#[derive(Debug)]
pub struct Run {
    pub nodes: Vec<NodeReport>,
    /// What was not started any more because of trouble of the machine.
    pub given_up: GivenUp,
}

impl Run {
    /// The report of a node.
    pub fn report(&self, node: NodeId) -> &NodeReport {
        &self.nodes[node.index()]
    }

    /// How many nodes ended with this word.
    pub fn count(&self, word: &str) -> usize {
        self.nodes.iter().filter(|report| report.outcome.word() == word).count()
    }

    /// Whether every node has an output.
    pub fn is_success(&self) -> bool {
        self.nodes.iter().all(|report| report.outcome.is_success())
    }

    /// The nodes that failed by themselves, in plan order.
    pub fn root_causes(&self) -> impl Iterator<Item = (NodeId, &Failure)> {
        (0..).zip(&self.nodes).filter_map(|(index, report)| Some((NodeId(index), report.outcome.failure()?)))
    }
}

/// Where a run finds and leaves things.
pub struct Place<'a> {
    pub plan: &'a Plan,
    pub store: &'a Arc<Store>,
    pub facts: &'a Facts,
}

/// What a store's trouble means for the node that met it.
pub fn machine_trouble(error: &StoreError) -> Failure {
    match error {
        error if error.is_no_space() => Failure::NoSpace { what: error.to_string() },
        StoreError::Damaged { path, reason } => {
            Failure::Damaged { path: path.display().to_string(), reason: reason.clone() }
        }
        StoreError::MissingBlob(_) | StoreError::MissingTree(_) => {
            Failure::Damaged { path: "the store".into(), reason: error.to_string() }
        }
        _ => Failure::Machine { what: "the store".into(), reason: error.to_string() },
    }
}
