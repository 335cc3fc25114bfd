//! What a person reads at the end of a run: root causes first, then counts, then where the site is.

use std::fmt::Write as _;

use super::{render, sources};
use crate::derivation::{Action, NodeId};
use crate::memo::Made;
use crate::outcome::Failure;
use crate::plan::Plan;
use crate::realise::{EQUAL_TROUBLES, GivenUp, Run};
use crate::store::Store;

/// Lines of a failed node's log that are shown.
const LOG_LINES: usize = 20;

/// Outputs in the store that are named when there is no site.
const OUTPUTS: usize = 5;

/// The nodes that failed by themselves, each with what it blocks, its log and a hint.
pub(super) fn root_causes(store: &Store, plan: &Plan, run: &Run) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for (node, failure) in run.root_causes() {
        let _ = write!(text, "\n{} failed: {failure}\n", plan.derivation(node).id());
        let blocked = blocked_by(plan, run, node);
        if blocked > 0 {
            let _ = writeln!(text, "  it blocks {blocked} other node{}", plural(blocked));
        }
        let report = run.report(node);
        let kind = plan.derivation(node).kind.word();
        let kept = report.build.and_then(|build| store.log_path(&Store::layer_id(kind, &build)));
        if let Some(log) = report.log.clone().or(kept) {
            let tail = render::log_tail(&log, LOG_LINES);
            // Not every failure has something to say beyond itself.
            if !tail.is_empty() {
                let _ = writeln!(text, "{tail}  log: {}", log.display());
            }
        }
        let is_git = matches!(plan.derivation(node).action(), Ok(Action::Git(_)));
        let hint = if is_git { hint_for_commit(failure) } else { None }.or_else(|| hint(failure));
        if let Some(hint) = hint {
            let _ = writeln!(text, "  help: {hint}");
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// What was not even tried and why, and which builders cannot be relied on.
pub(super) fn remarks(plan: &Plan, run: &Run) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match run.given_up {
        GivenUp::Nothing => Ok(()),
        GivenUp::Fetching => writeln!(
            text,
            "after {EQUAL_TROUBLES} failed downloads in a row no more were tried; the same command goes on from here"
        ),
        GivenUp::Everything => writeln!(
            text,
            "nothing more was started after this trouble; once it is gone, the same command goes on from here"
        ),
    };
    for node in plan.ids().filter(|node| run.report(*node).is_flaky()) {
        let tries = run.report(node).failed_tries;
        let _ = writeln!(
            text,
            "FLAKY {}: it failed {tries} time{} before it succeeded; the log has all tries",
            plan.derivation(node).id(),
            plural(tries as usize)
        );
    }
    text
}

/// How many nodes ended in which way.
pub(super) fn counts(run: &Run) -> Vec<(&'static str, usize)> {
    let words = ["built", "reused", "cutoff", "failed", "skipped", "not-decided"];
    words.map(|word| (word, run.count(word))).into()
}

/// Counts, time, and where the site or the outputs are.
pub(super) fn ending(store: &Store, made: &Made, counts: &[(&str, usize)], seconds: f64) -> String {
    let counts = counts.iter().filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|(word, count)| format!("{count} {}", said(word))).collect();
    let mut text = format!(
        "{}: {} node{}: {} in {}\n",
        made.universe,
        made.nodes,
        plural(made.nodes),
        counts.join(", "),
        render::seconds(seconds)
    );
    text.push_str(&sources::told(&made.sources));
    // Writing to a string cannot fail.
    match &made.site {
        Some((_, site)) => {
            let _ = writeln!(text, "site: {}", site.display());
            let _ = writeln!(text, "look at it: jtwbuild serve {}", site.display());
        }
        None => {
            for (id, tree) in made.targets.iter().take(OUTPUTS) {
                let _ = writeln!(text, "{id}: {}", store.tree_path(tree).display());
            }
            let more = made.targets.len().saturating_sub(OUTPUTS);
            if more > 0 {
                let _ = writeln!(text, "and {more} more output{}: `--json` names them all", plural(more));
            }
        }
    }
    text
}

fn said(word: &str) -> &str {
    match word {
        "cutoff" => "cut off (inputs changed, content did not)",
        "not-decided" => "not decided",
        word => word,
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn blocked_by(plan: &Plan, run: &Run, node: NodeId) -> usize {
    let id = plan.derivation(node).id();
    run.nodes.iter().filter(|report| report.outcome.because() == Some(&id)).count()
}

/// What the reader may do where a commit could not be had.
pub(super) fn hint_for_commit(failure: &Failure) -> Option<&'static str> {
    Some(match failure {
        Failure::FetchFailed { lost: true, .. } => {
            "somebody has rewritten the branch, or the commit was never there: `jtwbuild update` takes what there is now"
        }
        Failure::FetchFailed { .. } => "check the URL and the network, then run the same command",
        Failure::BadInput { .. } => "this is remembered of the commit; another one is tried like any other",
        _ => return None,
    })
}

/// What the reader may do about a failure.
pub(super) fn hint(failure: &Failure) -> Option<&'static str> {
    Some(match failure {
        Failure::BuilderExit { .. } | Failure::BuilderSignal { .. } | Failure::MissingOutput { .. } => {
            "the failure is remembered; after a change outside the recipe, `--retry-failed` tries again"
        }
        Failure::HashMismatch { .. } => {
            "the bytes at this place are not those of the recipe: check both; `--retry-failed` tries again"
        }
        Failure::FetchFailed { lost: true, .. } => {
            "it is not there any more: name other places, or an archive mirror that has it"
        }
        Failure::FetchFailed { .. } => "check the network and the mirror, then run the same command",
        Failure::Offline { .. } => "run without `--offline` once",
        Failure::TimeOut { .. } => {
            "give it more time: `seconds` in the recipe's `[limits]`, `timeout` of a `[[node]]`"
        }
        Failure::OutOfMemory { .. } => {
            "give it more memory: `memory` in the recipe's `[limits]` or of a `[[node]]`"
        }
        Failure::LogLimit { .. } => "raise `log` in the recipe's `[limits]`",
        Failure::NoSpace { .. } => "free some space, then run the same command: nothing is lost",
        Failure::Sandbox { .. } => "`jtwbuild doctor` says what is missing and how to get it",
        Failure::Overlap { .. } => {
            "two dependencies install the same path: one of their recipes has to change"
        }
        Failure::Damaged { .. } => {
            "`jtwbuild verify --repair --universe UNIVERSE` says what is damaged and makes it good"
        }
        Failure::Internal { .. } => {
            "please report this, with the lines above that begin with `thread`; the other nodes are not concerned"
        }
        Failure::BadOutput { .. }
        | Failure::BadInput { .. }
        | Failure::Cancelled
        | Failure::Machine { .. } => {
            return None;
        }
    })
}
