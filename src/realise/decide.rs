//! Deciding one node whose inputs are realised: known, remembered as failed, or built now.

use std::io::Write;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::panic::contained;
use super::{Builder, Job, NodeReport, Place, Progress, Settings, Stop, machine_trouble};
use crate::derivation::{BuildKey, Derivation, NodeId};
use crate::outcome::{Failure, Outcome};
use crate::store::facts::Fact;
use crate::store::layer::{LayerDraft, LayerRecord, Status};
use crate::store::lock::{BuildLock, Holder};
use crate::store::tree::TreeHash;
use crate::store::{Store, StoreError};

/// What deciding a node needs besides the node.
pub(super) struct Decider<'a> {
    pub place: &'a Place<'a>,
    pub builder: &'a dyn Builder,
    pub progress: &'a dyn Progress,
    pub stop: &'a Stop,
    pub settings: Settings,
}

impl Decider<'_> {
    /// What the plan key alone tells: the output of an earlier run, if it is still there.
    pub fn known(&self, node: NodeId) -> Option<NodeReport> {
        let fact = self.place.facts.planned(&self.place.plan.key(node))?;
        // Trouble with the store is met again, and told, when the node is decided.
        let is_there = self.place.store.use_tree(&fact.tree).unwrap_or(false);
        is_there.then(|| NodeReport::known(Outcome::Reused, fact.tree, fact.build))
    }

    /// Decides a node. `found` is how finding its build key known is to be called.
    pub fn decide(&self, node: NodeId, trees: &[TreeHash], found: &Outcome) -> NodeReport {
        let begun = Instant::now();
        let derivation = self.place.plan.derivation(node);
        let build = derivation.build_key(trees);
        let mut report = match self.look_up(derivation, &build, found) {
            Ok(Some(report)) => report,
            Ok(None) => self.build(node, &build, trees, found).unwrap_or_else(|error| failed(&error)),
            Err(error) => failed(&error),
        };
        if let (Some(tree), true) = (report.tree, report.outcome.is_success()) {
            // A fact that cannot be written costs time in the next run, nothing else.
            let _ = self.place.facts.remember(&self.place.plan.key(node), Fact { build, tree });
        }
        report.build = Some(build);
        report.seconds = begun.elapsed().as_secs_f64();
        report
    }

    fn look_up(
        &self,
        derivation: &Derivation,
        build: &BuildKey,
        found: &Outcome,
    ) -> Result<Option<NodeReport>, StoreError> {
        let store = self.place.store;
        store.hold(build.as_bytes())?;
        if let Some(tree) = self.place.facts.built(build)
            && store.use_tree(&tree)?
        {
            return Ok(Some(NodeReport::known(found.clone(), tree, *build)));
        }
        let Some(record) = store.layer(&Store::layer_id(derivation.kind.word(), build))? else {
            return Ok(None);
        };
        Ok(match record {
            LayerRecord { status: Status::Success, tree: Some(tree), .. } => {
                store.use_tree(&tree)?.then(|| NodeReport::known(found.clone(), tree, *build))
            }
            LayerRecord { failure: Some(failure), .. }
                if failure.is_verdict() && !self.settings.retry_failed =>
            {
                Some(NodeReport::without_output(Outcome::Failed(failure)))
            }
            _ => None,
        })
    }

    fn build(
        &self,
        node: NodeId,
        build: &BuildKey,
        trees: &[TreeHash],
        found: &Outcome,
    ) -> Result<NodeReport, StoreError> {
        let derivation = self.place.plan.derivation(node);
        let lock = match self.lock(node, build)? {
            Ok(lock) => lock,
            Err(report) => return Ok(report),
        };
        // Whoever held the lock may have decided it.
        if let Some(report) = self.look_up(derivation, build, found)? {
            return Ok(report);
        }
        if lock.was_waited_for {
            // It has not: it failed or was killed. What it left goes now, or with the next run.
            let _ = self.place.store.clean_scratch();
        }
        let layer = self.place.store.draft_layer(&Store::layer_id(derivation.kind.word(), build))?;
        let (begun, started) = (Instant::now(), SystemTime::now());
        self.progress.started(node);
        let job = Job { node, derivation, trees, layer: &layer, stop: self.stop, progress: self.progress };
        let (result, failed_tries) = self.run(&job);
        if let Ok(tree) = &result
            && let Err(error) = self.place.store.record_realisation(build, tree, self.settings.origin)
            && let Ok(mut log) = layer.log()
        {
            // The build is good all the same; that a line of ours is missing is no harm.
            let _ = writeln!(log, "jtwbuild: the history does not know of this: {error}");
        }
        let record = LayerRecord {
            package: derivation.name.to_string(),
            kind: derivation.kind.word().to_owned(),
            status: if result.is_ok() { Status::Success } else { Status::Failure },
            error: result.as_ref().err().map(ToString::to_string),
            failure: result.as_ref().err().cloned(),
            build_key: *build,
            tree: result.as_ref().ok().copied(),
            started: started.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            seconds: begun.elapsed().as_secs_f64(),
            failed_tries,
            document: derivation.document(trees),
        };
        // Also where the record cannot be written.
        let report = finish(result, layer, &record).unwrap_or_else(|error| failed(&error));
        Ok(NodeReport { ran: true, ..report })
    }

    /// Waits for whoever decides the same, as long as there is patience; else the report of that.
    fn lock(&self, node: NodeId, build: &BuildKey) -> Result<Result<BuildLock, NodeReport>, StoreError> {
        let begun = Instant::now();
        let mut told = None;
        let lock = self.place.store.lock_build(build, &mut |holder| {
            if told.is_none_or(|told: Holder| told.process != holder.process) {
                self.progress.waiting(node, holder);
            }
            told = Some(holder);
            let is_over = self.settings.wait.is_some_and(|wait| begun.elapsed() >= wait);
            !is_over && !self.stop.is_requested()
        })?;
        Ok(lock.ok_or_else(|| match told {
            Some(holder) if !self.stop.is_requested() => {
                let reason = format!("it has been building this for {} s", holder.seconds);
                let what = format!("process {}", holder.process);
                NodeReport::without_output(Outcome::Failed(Failure::Machine { what, reason }))
            }
            _ => NodeReport::without_output(Outcome::NotDecided { because: None }),
        }))
    }

    /// Runs the builder, again when it fails and that is asked for. Also gives how often it failed
    /// before that.
    fn run(&self, job: &Job<'_>) -> (Result<TreeHash, Failure>, u32) {
        let mut failed_tries = 0;
        loop {
            let result = contained(|| self.builder.build(job)).flatten();
            match &result {
                Err(failure)
                    if failure.may_be_flaky()
                        && failed_tries < self.settings.retries
                        && !self.stop.is_requested() =>
                {
                    failed_tries += 1;
                    // The log holds all tries; that a line of ours is missing is no harm.
                    if let Ok(mut log) = job.layer.log() {
                        let _ = writeln!(log, "jtwbuild: {failure}; this is try {}", failed_tries + 1);
                    }
                }
                _ => return (result, failed_tries),
            }
        }
    }
}

fn finish<D: serde::Serialize>(
    result: Result<TreeHash, Failure>,
    layer: LayerDraft,
    record: &LayerRecord<D>,
) -> Result<NodeReport, StoreError> {
    match result {
        Ok(tree) => {
            layer.publish(record)?;
            let report = NodeReport::known(Outcome::Built, tree, record.build_key);
            Ok(NodeReport { failed_tries: record.failed_tries, ..report })
        }
        Err(failure) if failure.is_verdict() => {
            layer.publish(record)?;
            let report = NodeReport::without_output(Outcome::Failed(failure));
            Ok(NodeReport { failed_tries: record.failed_tries, ..report })
        }
        Err(failure) => {
            let log = layer.keep_log().ok();
            let outcome = match failure {
                Failure::Cancelled => Outcome::NotDecided { because: None },
                failure => Outcome::Failed(failure),
            };
            Ok(NodeReport { log, ..NodeReport::without_output(outcome) })
        }
    }
}

fn failed(error: &StoreError) -> NodeReport {
    NodeReport::without_output(Outcome::Failed(machine_trouble(error)))
}
