//! `jtwbuild realise`: load, plan, realise, publish, report.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::load::{Loaded, Pinning, open_store};
use super::progress::{Display, Loudness};
use super::trouble::{Exit, Trouble};
use super::{Global, Realise, render};
use crate::builder::{LazySandbox, LocalBuilder};
use crate::derivation::{Kind, NodeId};
use crate::outcome::{Failure, Outcome};
use crate::plan::Plan;
use crate::publish::publish;
use crate::realise::{Place, Run, Settings, Stop, realise};
use crate::store::Store;
use crate::store::facts::Facts;

/// Lines of a failed node's log that are shown.
const LOG_LINES: usize = 20;

/// The object that `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    universe: &'a str,
    site: Option<String>,
    seconds: f64,
    nodes: Vec<NodeLine<'a>>,
}

/// One node of the object.
#[derive(Serialize)]
struct NodeLine<'a> {
    kind: Kind,
    name: &'a str,
    /// The build key, or null when it never came to be known.
    key: Option<String>,
    outcome: &'static str,
    seconds: f64,
    /// The output's tree, or null.
    tree: Option<String>,
}

pub(super) fn run(global: &Global, verb: &Realise) -> Result<ExitCode, Trouble> {
    let begun = Instant::now();
    let store = open_store(global)?;
    let mut loaded = Loaded::read(&verb.universe)?;
    let (plan, pins) = loaded.plan(&verb.universe, Pinning::Complete)?;
    if loaded.write_lock()? && !global.quiet {
        render::note("wrote universe.lock: it pins the bases' packages and all versions");
    }
    for notice in &loaded.notices {
        render::note(&format!("notice: {notice}"));
    }
    let facts = Facts::load(&store.plans().join("facts"));
    let builder = LocalBuilder {
        store: &store,
        pins: &pins,
        fetcher: &loaded.fetcher,
        directory: loaded.universe.directory.clone(),
        sandbox: LazySandbox::default(),
    };
    let loudness = match (global.quiet, global.verbose) {
        (true, _) => Loudness::Quiet,
        (_, true) => Loudness::Verbose,
        _ => Loudness::Normal,
    };
    let display = Display::new(&plan, loudness);
    let place = Place { plan: &plan, store: &store, facts: &facts };
    let jobs = verb.jobs.map_or_else(processors, usize::from);
    let settings = Settings { jobs, retry_failed: verb.retry_failed };
    let stop = stop_on_signals()?;
    let run = watched(&display, || realise(&place, &builder, &display, &stop, settings));
    display.finish();

    let site = match assembly(&plan).and_then(|node| run.report(node).tree) {
        Some(tree) => {
            let target = verb
                .output
                .clone()
                .unwrap_or_else(|| loaded.universe.output.below(&loaded.universe.directory));
            publish(&store, &*store.tree(&tree)?, &target)?;
            Some(target)
        }
        None => None,
    };
    let seconds = begun.elapsed().as_secs_f64();
    if !global.quiet || !run.is_success() {
        render::error_text(&summary(&store, &plan, &run, site.as_ref(), seconds));
    }
    let printed = match verb.json {
        true => render::data(&json(loaded.universe.name.as_str(), &plan, &run, site.as_ref(), seconds)),
        false => ExitCode::SUCCESS,
    };
    Ok(match exit(&run, &stop) {
        Some(exit) => ExitCode::from(exit as u8),
        None => printed,
    })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn assembly(plan: &Plan) -> Option<NodeId> {
    plan.ids().rev().find(|node| plan.derivation(*node).kind == Kind::Assembly)
}

/// Runs `work` while another thread speaks up now and then.
fn watched<T: Send>(display: &Display<'_>, work: impl FnOnce() -> T + Send) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let heart = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_secs(5));
                display.heartbeat();
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        heart.thread().unpark();
        result
    })
}

/// The first signal asks the run to stop; the second one ends the process, and with it every
/// sandbox.
fn stop_on_signals() -> Result<Arc<Stop>, Trouble> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let cannot = |error: std::io::Error| {
        let message = format!("signals cannot be handled: {error}");
        Trouble::new(Exit::Environment, "jtwbuild::environment::signals", message, None)
    };
    let stop = Arc::new(Stop::default());
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // The order matters: the second signal finds the flag set by the first.
        signal_hook::flag::register_conditional_shutdown(signal, Exit::Interrupted as i32, stop.shared())
            .map_err(cannot)?;
        signal_hook::flag::register(signal, stop.shared()).map_err(cannot)?;
    }
    Ok(stop)
}

fn exit(run: &Run, stop: &Stop) -> Option<Exit> {
    if run.is_success() {
        return None;
    }
    if stop.is_requested() {
        return Some(Exit::Interrupted);
    }
    let mut failures = run.root_causes().map(|(_, failure)| failure);
    let is_machine = failures.all(|failure| !failure.is_verdict() && !is_limit(failure));
    Some(if is_machine { Exit::Environment } else { Exit::Failed })
}

/// Limits are set by recipes: reaching one says as much about the package as about the machine.
fn is_limit(failure: &Failure) -> bool {
    matches!(failure, Failure::TimeOut { .. } | Failure::OutOfMemory { .. } | Failure::LogLimit { .. })
}

/// What a person reads at the end: root causes first, then counts, then where the site is.
fn summary(store: &Store, plan: &Plan, run: &Run, site: Option<&PathBuf>, seconds: f64) -> String {
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
            let _ = write!(text, "{tail}  log: {}\n", log.display());
        }
        if let Some(hint) = hint(failure) {
            let _ = writeln!(text, "  help: {hint}");
        }
    }
    let counts =
        ["built", "reused", "cutoff", "failed", "skipped", "not-decided"].map(|word| (word, run.count(word)));
    let counts = counts.iter().filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|(word, count)| format!("{count} {}", said(word))).collect();
    let total = run.nodes.len();
    let _ = writeln!(
        text,
        "{total} node{}: {} in {}",
        plural(total),
        counts.join(", "),
        render::seconds(seconds)
    );
    if let Some(site) = site {
        let _ = writeln!(text, "site: {}", site.display());
        let _ = writeln!(text, "look at it: jtwbuild serve {}", site.display());
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
    let skipped = |outcome: &Outcome| matches!(outcome, Outcome::Skipped { because } if *because == id);
    run.nodes.iter().filter(|report| skipped(&report.outcome)).count()
}

/// What the reader may do about a failure.
fn hint(failure: &Failure) -> Option<&'static str> {
    Some(match failure {
        Failure::BuilderExit { .. } | Failure::BuilderSignal { .. } | Failure::MissingOutput { .. } => {
            "the failure is remembered; after a change outside the recipe, `--retry-failed` tries again"
        }
        Failure::HashMismatch { .. } => "the bytes at this place are not those of the recipe: check both",
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
        Failure::BadOutput { .. }
        | Failure::BadInput { .. }
        | Failure::Cancelled
        | Failure::Machine { .. } => {
            return None;
        }
    })
}

fn json(universe: &str, plan: &Plan, run: &Run, site: Option<&PathBuf>, seconds: f64) -> String {
    let nodes = plan.ids().map(|node| {
        let (derivation, report) = (plan.derivation(node), run.report(node));
        NodeLine {
            kind: derivation.kind,
            name: &derivation.name,
            key: report.build.map(|key| key.to_string()),
            outcome: report.outcome.word(),
            seconds: report.seconds,
            tree: report.tree.map(|tree| tree.to_string()),
        }
    });
    let site = site.map(|site| site.display().to_string());
    let report = Report { universe, site, seconds, nodes: nodes.collect() };
    let mut text = serde_json::to_string_pretty(&report).expect("a report has only text keys");
    text.push('\n');
    text
}
