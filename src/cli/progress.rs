//! How a run looks while it goes on: bars on a terminal, one line per change elsewhere.

use std::collections::{HashMap, HashSet};
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::render;
use crate::derivation::NodeId;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::realise::{NodeReport, Progress};
use crate::store::lock::Holder;

/// Without a terminal, a run that says nothing for this long says what it is doing.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// How much is said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Loudness {
    Quiet,
    Normal,
    Verbose,
}

/// Shows a run on standard error.
pub(super) struct Display<'a> {
    plan: &'a Plan,
    loudness: Loudness,
    state: Mutex<State>,
    bars: Option<MultiProgress>,
}

struct State {
    begun: Instant,
    spoken: Instant,
    wanted: usize,
    decided: usize,
    weight: u64,
    weight_done: u64,
    running: HashMap<NodeId, (Instant, Option<ProgressBar>)>,
    overall: Option<ProgressBar>,
}

impl<'a> Display<'a> {
    pub(super) fn new(plan: &'a Plan, loudness: Loudness) -> Self {
        let terminal = std::io::stderr().is_terminal() && loudness != Loudness::Quiet;
        let state = State {
            begun: Instant::now(),
            spoken: Instant::now(),
            wanted: 0,
            decided: 0,
            weight: 0,
            weight_done: 0,
            running: HashMap::new(),
            overall: None,
        };
        Self { plan, loudness, state: Mutex::new(state), bars: terminal.then(MultiProgress::new) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn weight(&self, node: NodeId) -> u64 {
        self.plan.derivation(node).kind.weight()
    }

    fn say(&self, state: &mut State, line: &str) {
        state.spoken = Instant::now();
        match &self.bars {
            // Printing fails only when the terminal is gone.
            Some(bars) => drop(bars.println(line)),
            None => render::note(line),
        }
    }

    /// Takes the bars away, so that what follows stands alone.
    pub(super) fn finish(&self) {
        if let Some(bars) = &self.bars {
            drop(bars.clear());
        }
    }

    /// Says that the run is about to end before its time.
    pub(super) fn stopping(&self) {
        if self.loudness != Loudness::Quiet {
            let mut state = self.state();
            let running = state.running.len();
            let line =
                format!("stopping: {running} running node(s) are asked to end; once more ends them at once");
            self.say(&mut state, &line);
        }
    }

    /// To be called now and then: says what is going on when nothing was said for long.
    pub(super) fn heartbeat(&self) {
        let mut state = self.state();
        if self.bars.is_some() || self.loudness == Loudness::Quiet || state.spoken.elapsed() < HEARTBEAT {
            return;
        }
        let mut running: Vec<_> = state.running.iter().map(|(node, (since, _))| (*since, *node)).collect();
        running.sort_unstable_by_key(|(since, node)| (*since, node.0));
        let names = running.iter().map(|(since, node)| {
            let elapsed = render::seconds(since.elapsed().as_secs_f64());
            format!("{} ({elapsed})", self.plan.derivation(*node).id())
        });
        let names: Vec<String> = names.collect();
        let line = format!(
            "{}/{} decided; running: {}{}",
            state.decided,
            state.wanted,
            names.join(", "),
            left(&state)
        );
        self.say(&mut state, &line);
    }
}

/// How much longer it may take, judged by what was done so far.
fn left(state: &State) -> String {
    if state.weight_done == 0 || state.decided == state.wanted {
        return String::new();
    }
    let share = (state.weight - state.weight_done) as f64 / state.weight_done as f64;
    format!("; about {} left", render::seconds(state.begun.elapsed().as_secs_f64() * share))
}

impl Progress for Display<'_> {
    fn wanted(&self, nodes: &[NodeId]) {
        let mut state = self.state();
        state.wanted = nodes.len();
        if self.loudness == Loudness::Verbose {
            let wanted: HashSet<NodeId> = nodes.iter().copied().collect();
            for node in self.plan.ids().filter(|node| !wanted.contains(node)) {
                let line = format!("reused {}", self.plan.derivation(node).id());
                self.say(&mut state, &line);
            }
        }
        state.weight = nodes.iter().map(|node| self.weight(*node)).sum();
        if let Some(bars) = self.bars.as_ref().filter(|_| !nodes.is_empty()) {
            let style = ProgressStyle::with_template("{bar:30.green} {pos}/{len} nodes, {elapsed}{msg}");
            let bar = bars.add(ProgressBar::new(nodes.len() as u64));
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(500));
            state.overall = Some(bar);
        }
    }

    fn started(&self, node: NodeId) {
        let mut state = self.state();
        let id = self.plan.derivation(node).id();
        let bar = self.bars.as_ref().map(|bars| {
            let style = ProgressStyle::with_template("  {spinner} {prefix} {elapsed} {msg}");
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(id.clone());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        state.running.insert(node, (Instant::now(), bar));
        if self.bars.is_none() && self.loudness != Loudness::Quiet {
            self.say(&mut state, &format!("building {id}"));
        }
    }

    fn advanced(&self, node: NodeId, what: &str, done: u64, total: Option<u64>) {
        let state = self.state();
        let Some((_, Some(bar))) = state.running.get(&node) else { return };
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        bar.set_message(match total {
            Some(total) => format!("{what} {:.1}/{:.1} MiB", mib(done), mib(total)),
            None => format!("{what} {:.1} MiB", mib(done)),
        });
    }

    fn waiting(&self, node: NodeId, Holder { process, seconds }: Holder) {
        if self.loudness != Loudness::Quiet {
            let mut state = self.state();
            let line = format!(
                "waiting for {}: process {process} has been building it for {seconds} s",
                self.plan.derivation(node).id()
            );
            self.say(&mut state, &line);
        }
    }

    fn decided(&self, node: NodeId, report: &NodeReport) {
        let mut state = self.state();
        state.decided += 1;
        state.weight_done += self.weight(node);
        if let Some((_, Some(bar))) = state.running.remove(&node) {
            bar.finish_and_clear();
        }
        if let Some(overall) = &state.overall {
            overall.inc(1);
            overall.set_message(left(&state));
        }
        let id = self.plan.derivation(node).id();
        let took = render::seconds(report.seconds);
        let line = match (&report.outcome, self.loudness) {
            (_, Loudness::Quiet) => return,
            (Outcome::Built, _) => format!("built {id} in {took}"),
            (Outcome::Failed(failure), _) => format!("FAILED {id}: {failure}"),
            (_, Loudness::Normal) => return,
            (outcome, Loudness::Verbose) => format!("{} {id}", outcome.word()),
        };
        self.say(&mut state, &line);
    }
}
