//! The scheduler: which nodes are wanted, in which order they are decided, and by how many threads.
//!
//! A node is *wanted* until it is decided, *ready* when all its inputs have outputs, and *settled*
//! when it is decided or can never be. One function, [`Board::settle`], makes every transition, so
//! the counters cannot drift.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::decide::Decider;
use super::panic::{Shielded, contained};
use super::trouble::Troubles;
use super::{Builder, NodeReport, Place, Progress, Run, Settings, Stop};
use crate::derivation::{Input, NodeId};
use crate::outcome::{Failure, Outcome};
use crate::plan::Plan;
use crate::store::tree::TreeHash;

/// Realises the targets of a plan. Goes on after failures with everything that does not depend on
/// them; stops starting nodes when asked to, or when the machine is in trouble that they would meet
/// too (see [`super::GivenUp`]). With fewer threads than asked for if the machine has no more.
pub fn realise(
    place: &Place<'_>,
    builder: &dyn Builder,
    progress: &dyn Progress,
    stop: &Stop,
    settings: Settings,
) -> Run {
    realise_only(place, place.plan.targets(), builder, progress, stop, settings)
}

/// [`realise`] for these nodes in place of the plan's targets.
pub fn realise_only(
    place: &Place<'_>,
    targets: Vec<NodeId>,
    builder: &dyn Builder,
    progress: &dyn Progress,
    stop: &Stop,
    settings: Settings,
) -> Run {
    let progress = &Shielded(progress);
    let decider = Decider { place, builder, progress, stop, settings };
    let board = Board::new(&decider, targets);
    let wanted: Vec<NodeId> = place.plan.ids().filter(|node| board.wanted[node.index()]).collect();
    progress.wanted(&wanted);
    if !wanted.is_empty() {
        let shared = Shared { plan: place.plan, board: Mutex::new(board), changed: Condvar::new() };
        let threads = settings.jobs.clamp(1, wanted.len());
        std::thread::scope(|scope| {
            for _ in 1..threads {
                let thread = std::thread::Builder::new().name("builder".into());
                if thread.spawn_scoped(scope, || work(&shared, &decider)).is_err() {
                    break;
                }
            }
            work(&shared, &decider);
        });
        // Names that are lost in a power cut cost one more build, nothing else.
        let _ = place.store.flush_names();
        let board = shared.board.into_inner().unwrap_or_else(PoisonError::into_inner);
        return board.into_run(place);
    }
    board.into_run(place)
}

struct Shared<'a> {
    plan: &'a Plan,
    board: Mutex<Board>,
    changed: Condvar,
}

impl Shared<'_> {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides ready nodes, most urgent first, until nothing is left that could become ready.
fn work(shared: &Shared<'_>, decider: &Decider<'_>) {
    let mut board = shared.board();
    loop {
        if decider.stop.is_requested() {
            board.ready.clear();
        }
        let Some(node) = board.next(shared.plan) else {
            if board.running == 0 {
                shared.changed.notify_all();
                return;
            }
            board.waiting += 1;
            board = shared.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
            board.waiting -= 1;
            continue;
        };
        board.running += 1;
        let (trees, found) = board.inputs(shared.plan, node);
        drop(board);
        let report = contained(|| decider.decide(node, &trees, &found));
        let report = report.unwrap_or_else(|failure| NodeReport::without_output(Outcome::Failed(failure)));
        decider.progress.decided(node, &report);
        board = shared.board();
        board.running -= 1;
        board.settle(shared.plan, decider.progress, node, report);
        // This thread takes one itself. Waking another costs more than deciding what is known.
        if board.waiting > 0 && board.ready.len() > 1 {
            shared.changed.notify_all();
        }
    }
}

/// The state of a run.
struct Board {
    /// By position: whether a node has to be decided one by one.
    wanted: Vec<bool>,
    reports: Vec<Option<NodeReport>>,
    /// By position: wanted inputs without an output yet.
    missing: Vec<u32>,
    urgency: Vec<u64>,
    ready: BinaryHeap<Ready>,
    running: usize,
    /// Threads that wait for something to become ready, or for the end.
    waiting: usize,
    troubles: Troubles,
}

/// A ready node; the most urgent is the greatest, and of two the one planned first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Ready {
    urgency: u64,
    node: Reverse<NodeId>,
}

impl Board {
    /// Looks from the targets down to what is known.
    fn new(decider: &Decider<'_>, targets: Vec<NodeId>) -> Self {
        let plan = decider.place.plan;
        let mut board = Self {
            wanted: vec![false; plan.len()],
            reports: vec![None; plan.len()],
            missing: vec![0; plan.len()],
            urgency: Vec::new(),
            ready: BinaryHeap::new(),
            running: 0,
            waiting: 0,
            troubles: Troubles::default(),
        };
        let mut to_look_at = targets;
        while let Some(node) = to_look_at.pop() {
            let index = node.index();
            if board.wanted[index] || board.reports[index].is_some() {
                continue;
            }
            if let Some(report) = decider.known(node) {
                board.reports[index] = Some(report);
                continue;
            }
            board.wanted[index] = true;
            to_look_at.extend(plan.derivation(node).needs());
        }
        if board.wanted.contains(&true) {
            board.urgency = plan.urgency();
        }
        for node in plan.ids() {
            if !board.wanted[node.index()] {
                continue;
            }
            let missing = plan.derivation(node).needs().filter(|input| board.wanted[input.index()]).count();
            board.missing[node.index()] = u32::try_from(missing).expect("the graph counts nodes in 32 bits");
            if missing == 0 {
                board.make_ready(node);
            }
        }
        board
    }

    /// Takes the most urgent ready node that may be started.
    fn next(&mut self, plan: &Plan) -> Option<NodeId> {
        while let Some(Ready { node: Reverse(node), .. }) = self.ready.pop() {
            if self.troubles.may_start(plan.derivation(node).kind) {
                return Some(node);
            }
        }
        None
    }

    fn make_ready(&mut self, node: NodeId) {
        self.ready.push(Ready { urgency: self.urgency[node.index()], node: Reverse(node) });
    }

    /// The contents of a ready node's inputs, and what it is called when its build key is known:
    /// cut off when something below it was decided in this run.
    fn inputs(&self, plan: &Plan, node: NodeId) -> (Vec<TreeHash>, Outcome) {
        let mut found = Outcome::Reused;
        let trees = plan.derivation(node).inputs.iter().map(|input| match input {
            Input::Tree(tree) => *tree,
            Input::Node(input) => {
                let report = self.reports[input.index()].as_ref().expect("a ready node's inputs are decided");
                if matches!(report.outcome, Outcome::Built | Outcome::Cutoff) {
                    found = Outcome::Cutoff;
                }
                report.tree.expect("a ready node's inputs have outputs")
            }
        });
        (trees.collect(), found)
    }

    /// Enters a decided node, and everything that follows from it.
    fn settle(&mut self, plan: &Plan, progress: &dyn Progress, node: NodeId, report: NodeReport) {
        let success = report.outcome.is_success();
        let because = report.outcome.failure().map(|failure| behind(plan, node, failure));
        self.troubles.enter(plan.derivation(node).kind, &report.outcome);
        self.reports[node.index()] = Some(report);
        if success {
            for user in plan.users(node).filter(|user| self.wanted[user.index()]).collect::<Vec<_>>() {
                self.missing[user.index()] -= 1;
                if self.missing[user.index()] == 0 && self.reports[user.index()].is_none() {
                    self.make_ready(user);
                }
            }
        } else if let Some(outcome) = because {
            self.block_users(plan, progress, node, &outcome);
        }
    }

    /// Everything that needs a failed node ends with it.
    fn block_users(&mut self, plan: &Plan, progress: &dyn Progress, failed: NodeId, outcome: &Outcome) {
        let mut blocked: Vec<NodeId> = plan.users(failed).collect();
        while let Some(user) = blocked.pop() {
            if self.wanted[user.index()] && self.reports[user.index()].is_none() {
                let report = NodeReport::without_output(outcome.clone());
                progress.decided(user, &report);
                self.reports[user.index()] = Some(report);
                blocked.extend(plan.users(user));
            }
        }
    }

    /// Nodes that nobody looked at are as they were: their users' outputs are known. Wanted ones
    /// without a report were not decided.
    fn into_run(self, place: &Place<'_>) -> Run {
        let remembered = |node: NodeId| match place.facts.planned(&place.plan.key(node)) {
            Some(fact) => NodeReport::known(Outcome::Reused, fact.tree, fact.build),
            None => NodeReport::without_output(Outcome::Reused),
        };
        let reports = place.plan.ids().zip(self.reports).zip(self.wanted);
        let nodes = reports.map(|((node, report), wanted)| match (report, wanted) {
            (Some(report), _) => report,
            (None, true) => NodeReport::without_output(Outcome::NotDecided { because: None }),
            (None, false) => remembered(node),
        });
        Run { nodes: nodes.collect(), given_up: self.troubles.given_up() }
    }
}

/// How nodes end that need one that failed: a verdict on it is one on them, trouble of the machine
/// leaves them open.
fn behind(plan: &Plan, failed: NodeId, failure: &Failure) -> Outcome {
    let because = plan.derivation(failed).id();
    if failure.is_verdict() {
        Outcome::Skipped { because }
    } else {
        Outcome::NotDecided { because: Some(because) }
    }
}
