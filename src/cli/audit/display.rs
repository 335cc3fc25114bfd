//! How an audit looks while it goes on: one bar on a terminal, one line per node elsewhere.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::diffoscope::Diffoscope;
use super::{Line, table};
use crate::audit::compare::Differing;
use crate::audit::judge::Audience;
use crate::audit::{Output, Variations};
use crate::cli::progress::Loudness;
use crate::cli::render;
use crate::derivation::NodeId;
use crate::plan::Plan;

/// Shows an audit on standard error.
pub(super) struct AuditDisplay<'a> {
    plan: &'a Plan,
    loudness: Loudness,
    bar: Option<ProgressBar>,
    second: Option<&'a Diffoscope<'a>>,
    /// What that has written.
    explained: Mutex<HashMap<NodeId, PathBuf>>,
}

impl<'a> AuditDisplay<'a> {
    /// The display of an audit of so many nodes, and who else is asked about those that differ.
    pub fn new(plan: &'a Plan, loudness: Loudness, nodes: usize, second: Option<&'a Diffoscope<'a>>) -> Self {
        let is_shown = std::io::stderr().is_terminal() && loudness != Loudness::Quiet && nodes > 0;
        let bar = is_shown.then(|| {
            let style = ProgressStyle::with_template("{bar:30.green} {pos}/{len} nodes, {elapsed} {msg}");
            let bar = ProgressBar::new(nodes as u64);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        Self { plan, loudness, bar, second, explained: Mutex::default() }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => render::note(line),
        }
    }

    /// A node is judged.
    pub fn judged(&self, _node: NodeId, line: &Line) {
        if self.loudness != Loudness::Quiet {
            self.say(&table::told(line));
        }
        self.bar.iter().for_each(|bar| bar.inc(1));
    }

    /// The file in which diffoscope says what differs in a node.
    pub fn explained(&self, node: NodeId) -> Option<PathBuf> {
        self.explained.lock().unwrap_or_else(PoisonError::into_inner).remove(&node)
    }

    /// Takes the bar away, so that what follows stands alone.
    pub fn finish(&self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

impl Audience for AuditDisplay<'_> {
    fn building(&self, node: NodeId, number: u32, varied: Variations) {
        let id = self.plan.derivation(node).id();
        let how = if varied.is_empty() { "nothing varied".to_owned() } else { format!("varied: {varied}") };
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{id}, build {number}"));
        }
        if self.loudness == Loudness::Verbose {
            self.say(&format!("building {id}, number {number}; {how}"));
        }
    }
    fn differ(&self, node: NodeId, before: &Output, after: &Output, differences: &[Differing]) {
        let Some(second) = self.second else { return };
        let id = self.plan.derivation(node).id();
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{id}, diffoscope"));
        }
        match second.compare(&id, before, after, differences) {
            Ok(file) => {
                self.explained.lock().unwrap_or_else(PoisonError::into_inner).insert(node, file);
            }
            Err(why) if self.loudness != Loudness::Quiet => {
                self.say(&format!("notice: diffoscope says nothing of {id}: {why}"));
            }
            Err(_) => {}
        }
    }
}
