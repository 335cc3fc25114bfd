//! `jtwbuild realise`: load, plan, realise, publish, report.

mod site;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use self::site::Site;
use super::arguments::{Global, Realise};
use super::load::{Loaded, Pinning, lock_path, open_store};
use super::progress::{Display, Loudness};
use super::roots::{self, CommandRoot};
use super::trouble::{Exit, Trouble};
use super::{render, runs, shortcut, sources, statement, summary};
use crate::builder::machine::most_builders;
use crate::builder::{AnySandbox, LocalBuilder};
use crate::derivation::{BuildKey, Kind, NodeId};
use crate::fetch::Fetcher;
use crate::fetch::git::Answers;
use crate::inspect::outputs::{Output, outputs};
use crate::memo::table::Table;
use crate::memo::{self, Made, SourceNote};
use crate::outcome::{Failure, Outcome};
use crate::pins::Pins;
use crate::plan::Plan;
use crate::publish;
use crate::realise::{NodeReport, Place, Run, Settings, Stop, realise};
use crate::statement::Claim;
use crate::store::Store;
use crate::store::facts::Facts;
use crate::store::tree::TreeHash;
use crate::store::verify::Scrutiny;
use crate::universe::repository::Solving;

/// The object that `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    universe: &'a str,
    site: Option<String>,
    seconds: f64,
    nodes: &'a [NodeLine],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    sources: &'a [SourceNote],
}

/// One node of the object.
#[derive(Serialize)]
pub(super) struct NodeLine {
    pub kind: Kind,
    pub name: String,
    /// The build key, or null when it never came to be known.
    pub key: Option<String>,
    pub outcome: &'static str,
    pub seconds: f64,
    /// The output's tree, or null.
    pub tree: Option<String>,
    /// Why it failed by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The node that stands in its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// How often its builder failed in this run before it ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_tries: Option<u32>,
}

impl NodeLine {
    /// The line of a node that this run decided, or did not.
    pub(super) fn new(kind: Kind, name: &str, report: &NodeReport) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            key: report.build.map(|key| key.to_string()),
            outcome: report.outcome.word(),
            seconds: report.seconds,
            tree: report.tree.map(|tree| tree.to_string()),
            failure: report.outcome.failure().cloned(),
            because: report.outcome.because().map(str::to_owned),
            failed_tries: Some(report.failed_tries).filter(|tries| *tries > 0),
        }
    }

    /// The line of a node that was not looked at: it is as an earlier run left it.
    pub(super) fn untouched(kind: Kind, name: &str, build: Option<BuildKey>, tree: Option<TreeHash>) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            key: build.map(|key| key.to_string()),
            outcome: Outcome::Reused.word(),
            seconds: 0.0,
            tree: tree.map(|tree| tree.to_string()),
            failure: None,
            because: None,
            failed_tries: None,
        }
    }
}

/// What the command is about.
pub(super) struct Command<'a> {
    pub global: &'a Global,
    pub verb: &'a Realise,
    pub store: &'a Arc<Store>,
    pub place: &'a memo::Place,
    pub root: &'a CommandRoot<'a>,
    pub begun: Instant,
    pub since: SystemTime,
}

pub(super) fn run(global: &Global, verb: &Realise) -> Result<ExitCode, Trouble> {
    // Before the key is in memory: builders could look for it in what is forked from this process.
    let sandbox = verb.signing.sign_with.as_ref().map(|_| start_sandbox());
    let key = statement::check_signing(&verb.signing)?;
    let code = realise_and_tell(global, verb, sandbox)?;
    if verb.signing.statement.is_none() || code != ExitCode::SUCCESS {
        return Ok(code);
    }
    let store = open_store(global)?;
    let mut loaded = Loaded::read(&verb.universe, Pinning::Complete)?;
    let (plan, _) = loaded.plan(&verb.universe, &store)?;
    statement::leave(global, &verb.signing, key, loaded.universe.name.as_str(), || claims(&plan, &store))
}

/// What the nodes of a plan came to, as far as the store knows.
fn claims(plan: &Plan, store: &Store) -> Result<Vec<Claim>, Trouble> {
    let outputs = outputs(plan, store, &Facts::load(&store.plans().join("facts")))?;
    let claim = |(node, output): (NodeId, Output)| {
        Some(Claim { key: output.build?, tree: output.tree?, node: plan.derivation(node).id() })
    };
    Ok(plan.ids().zip(outputs).filter_map(claim).collect())
}

/// `sandbox` is there if it was started already.
fn realise_and_tell(
    global: &Global,
    verb: &Realise,
    mut sandbox: Option<AnySandbox>,
) -> Result<ExitCode, Trouble> {
    let (begun, since) = (Instant::now(), SystemTime::now());
    let store = open_store(global)?;
    let place = memo_place(&store, verb);
    let root = CommandRoot::new(&store, verb, &place);
    let mut answers = Answers::new();
    // What no root keeps may be gone the next moment: then the whole way is taken.
    if let Some(recalled) = place.recall().filter(|recalled| root.is_there(&recalled.memo.made.universe)) {
        let command = Command { global, verb, store: &store, place: &place, root: &root, begun, since };
        if let Some(code) = shortcut::run(&command, recalled, &mut sandbox, &mut answers)? {
            return Ok(code);
        }
    }
    let command = Command { global, verb, store: &store, place: &place, root: &root, begun, since };
    let whole = whole_way(&command, sandbox.unwrap_or_else(start_sandbox), answers)?;
    let lines = lines(&whole.plan, &whole.run);
    let is_loud = whole.tell_troubles(global, &store);
    let printed = tell(verb, is_loud, &store, &whole.made, &summary::counts(&whole.run), &lines, begun);
    let code = whole.exit().map_or(printed, |exit| ExitCode::from(exit as u8));
    // The process is about to end: taking large graphs apart piece by piece would only cost time.
    std::mem::forget((whole, lines));
    Ok(code)
}

/// A run that went the whole way.
pub(super) struct Whole {
    pub loaded: Loaded,
    pub plan: Plan,
    pub run: Run,
    pub made: Made,
    stop: Arc<Stop>,
}

/// Loads, plans, realises and publishes. `answers` are those of git servers that were asked already.
pub(super) fn whole_way(
    command: &Command<'_>,
    sandbox: AnySandbox,
    answers: Answers,
) -> Result<Whole, Trouble> {
    let Command { global, verb, store, place, root, since, .. } = *command;
    let mut loaded = Loaded::read(&verb.universe, Pinning::Complete)?;
    loaded.answers = answers;
    let (plan, pins) = loaded.plan(&verb.universe, store)?;
    let target = verb.output.clone().unwrap_or_else(|| loaded.output());
    let is_each = loaded.universe.repositories.solving == Solving::Each;
    let site = Site::of(&plan, loaded.universe.name.as_str(), is_each, loaded.page);
    if site.is_some() {
        publish::check(&target)?;
    }
    let is_told = !global.quiet && !loaded.only_moved();
    if loaded.write_lock()? && is_told {
        let path = lock_path(&verb.universe.universe);
        render::note(&format!("wrote {}: it pins the bases' packages and all versions", path.display()));
    }
    tell_moves(global, &loaded);
    for remark in loaded.remarks() {
        render::note(&remark);
    }
    let stop = stop_on_signals()?;
    let facts = Facts::load(&store.plans().join("facts"));
    if global.verbose && facts.is_damaged() {
        render::note("notice: plans/facts in the store is damaged or of another version; it is made again");
    }
    let parts = (&plan, &pins, &sandbox, &facts);
    let run = realise_plan(global, verb, store, &loaded.fetcher, parts, &stop);
    runs::leave(command, loaded.universe.name.as_str(), &plan, &run);
    let tree = site.tree(&run, store, &pins)?;
    let mut keeps = roots::of_run(&plan, &run);
    tree.iter().for_each(|tree| keeps.add_tree(tree));
    keeps.add_all(&roots::of_lock(store, &loaded.lock));
    root.register(roots::Made {
        universe: loaded.universe.name.as_str(),
        site: site.is_some().then_some(target.as_path()),
        keeps,
        is_success: run.is_success(),
    });
    let site = match tree {
        Some(tree) => {
            publish::publish(store, &*store.tree(&tree)?, &target)?;
            Some((tree, target))
        }
        None => None,
    };
    let outputs = plan.targets().into_iter();
    let outputs = outputs.filter_map(|node| Some((plan.derivation(node).id(), run.report(node).tree?)));
    let made = Made {
        universe: loaded.universe.name.to_string(),
        nodes: plan.len(),
        targets: outputs.collect(),
        site,
        sources: sources::notes(&plan, &loaded.universe, &loaded.fetcher, store),
    };
    // What could not be had is told again in the next run.
    if run.is_success()
        && loaded.impossible.is_empty()
        && let Some(watched) = loaded.watched(&plan, since)
    {
        let results = run.nodes.iter().map(|report| (report.build, report.tree));
        let (table, heads) = Table::new(&plan, results);
        // That it cannot be left costs time in the next run, nothing else.
        let _ = place.leave(store, watched, made.clone(), table, Some(&heads));
    }
    Ok(Whole { loaded, plan, run, made, stop })
}

/// Says which branches and tags stand for other commits than the lock had.
pub(super) fn tell_moves(global: &Global, loaded: &Loaded) {
    if !global.quiet {
        loaded.moved.iter().for_each(|line| render::note(line));
    }
}

impl Whole {
    /// Says what went wrong; whether more is worth saying.
    pub(super) fn tell_troubles(&self, global: &Global, store: &Store) -> bool {
        if !self.run.is_success() {
            render::error_text(&summary::root_causes(store, &self.plan, &self.run));
            if self.stop.is_requested() && !global.quiet {
                render::note("stopped; the same command goes on from here");
            }
        }
        let is_loud = !global.quiet || !self.run.is_success();
        if is_loud {
            render::error_text(&summary::remarks(&self.plan, &self.run));
        }
        is_loud
    }

    /// How the process ends, if not well.
    pub(super) fn exit(&self) -> Option<Exit> {
        exit(&self.run, &self.stop).or(self.loaded.is_refused().then_some(Exit::Failed))
    }
}

/// Realises the plan, showing how it goes.
pub(super) fn realise_plan(
    global: &Global,
    verb: &Realise,
    store: &Arc<Store>,
    fetcher: &Fetcher,
    (plan, pins, sandbox, facts): (&Plan, &Pins, &AnySandbox, &Facts),
    stop: &Stop,
) -> Run {
    let scrutiny = if verb.paranoid { Scrutiny::Full } else { Scrutiny::Quick };
    let builder = LocalBuilder { scrutiny, ..LocalBuilder::new(store, pins, fetcher, sandbox) };
    let display = Display::new(plan, loudness(global));
    let wanted = verb.jobs.map_or_else(processors, usize::from);
    let jobs = most_builders().map_or(wanted, |most| wanted.min(most));
    if jobs < wanted && !global.quiet {
        let what = "the limit of open files (`ulimit -n`) allows no more";
        render::note(&format!("{jobs} nodes at a time instead of {wanted}: {what}"));
    }
    let settings = Settings {
        jobs,
        retry_failed: verb.retry_failed,
        retries: verb.retry,
        wait: verb.wait_timeout.map(Duration::from_secs),
        ..Settings::default()
    };
    let world = Place { plan, store, facts };
    let run = watched(&display, stop, || realise(&world, &builder, &display, stop, settings));
    display.finish();
    for notice in fetcher.notices() {
        render::note(&format!("notice: {notice}"));
    }
    run
}

pub(super) fn loudness(global: &Global) -> Loudness {
    match (global.quiet, global.verbose) {
        (true, _) => Loudness::Quiet,
        (_, true) => Loudness::Verbose,
        _ => Loudness::Normal,
    }
}

/// Starts the sandbox with what the environment says of it.
pub(super) fn start_sandbox() -> AnySandbox {
    let mib = std::env::var("JTWBUILD_SCRATCH_MEMORY").ok().and_then(|text| text.parse::<u64>().ok());
    AnySandbox::start(mib.map(|mib| mib.saturating_mul(1 << 20)))
}

/// Everything on the command line and around it that decides what the run reads.
pub(super) fn memo_place(store: &Store, verb: &Realise) -> memo::Place {
    let here = std::env::current_dir().unwrap_or_default();
    let show = |path: &Path| here.join(path).display().to_string();
    let recipes: Vec<String> = verb.universe.recipes.iter().map(|path| show(path)).collect();
    let settings = BTreeMap::from([
        ("universe", show(&verb.universe.universe)),
        ("recipes", recipes.join("\0")),
        ("output", verb.output.as_deref().map(show).unwrap_or_default()),
        ("locked", verb.universe.locked.to_string()),
    ]);
    memo::Place::new(store, &settings)
}

/// Prints how the run ended, for people and for programs.
pub(super) fn tell(
    verb: &Realise,
    is_loud: bool,
    store: &Store,
    made: &Made,
    counts: &[(&str, usize)],
    lines: &[NodeLine],
    begun: Instant,
) -> ExitCode {
    let seconds = begun.elapsed().as_secs_f64();
    if is_loud {
        render::error_text(&summary::ending(store, made, counts, seconds));
    }
    if !verb.json {
        return ExitCode::SUCCESS;
    }
    let site = made.site.as_ref().map(|(_, target)| target.display().to_string());
    let report = Report { universe: &made.universe, site, seconds, nodes: lines, sources: &made.sources };
    let mut text = serde_json::to_string_pretty(&report).expect("a report has only text keys");
    text.push('\n');
    render::data(&text)
}

pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Runs `work` while another thread speaks up now and then, and when the run is asked to stop.
pub(super) fn watched<T: Send>(display: &Display<'_>, stop: &Stop, work: impl FnOnce() -> T + Send) -> T {
    const GLANCE: Duration = Duration::from_millis(200);
    /// Builders that end at once when they are asked to are not worth a word.
    const PATIENCE: Duration = Duration::from_millis(500);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // A run that nobody speaks of is still a run: there may be no thread to be had.
        let heart = std::thread::Builder::new().spawn_scoped(scope, || {
            let (mut asked, mut is_told) = (None, false);
            while !done.load(Ordering::Relaxed) {
                std::thread::park_timeout(GLANCE);
                if stop.is_requested() && !is_told {
                    is_told = asked.get_or_insert_with(Instant::now).elapsed() >= PATIENCE;
                    if is_told {
                        display.stopping();
                    }
                }
                display.heartbeat();
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        if let Ok(heart) = &heart {
            heart.thread().unpark();
        }
        result
    })
}

/// The first signal asks the run to stop; the second one ends the process, and with it every
/// sandbox. Signals that are ignored already stay so: that is how `nohup` and shells ask for it.
pub(super) fn stop_on_signals() -> Result<Arc<Stop>, Trouble> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let cannot = |error: std::io::Error| {
        let message = format!("signals cannot be handled: {error}");
        Trouble::new(Exit::Environment, "jtwbuild::environment::signals", message, None)
    };
    let stop = Arc::new(Stop::default());
    let ignored = ignored_signals();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if ignored & (1 << (signal - 1)) != 0 {
            continue;
        }
        // The order matters: the second signal finds the flag set by the first.
        signal_hook::flag::register_conditional_shutdown(signal, Exit::Interrupted as i32, stop.shared())
            .map_err(cannot)?;
        signal_hook::flag::register(signal, stop.shared()).map_err(cannot)?;
    }
    Ok(stop)
}

/// A bit for each signal that this process ignores, the lowest for signal 1; none if the kernel does
/// not say.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

pub(super) fn exit(run: &Run, stop: &Stop) -> Option<Exit> {
    if run.is_success() {
        return None;
    }
    if stop.is_requested() {
        return Some(Exit::Interrupted);
    }
    if run.root_causes().any(|(_, failure)| matches!(failure, Failure::Internal { .. })) {
        return Some(Exit::Internal);
    }
    if run.root_causes().any(|(_, failure)| matches!(failure, Failure::Damaged { .. })) {
        return Some(Exit::Corrupt);
    }
    let mut failures = run.root_causes().map(|(_, failure)| failure);
    let is_machine = failures.all(|failure| !failure.is_verdict() && !is_limit(failure));
    Some(if is_machine { Exit::Environment } else { Exit::Failed })
}

/// Limits are set by recipes: reaching one says as much about the package as about the machine.
fn is_limit(failure: &Failure) -> bool {
    matches!(failure, Failure::TimeOut { .. } | Failure::OutOfMemory { .. } | Failure::LogLimit { .. })
}

fn lines(plan: &Plan, run: &Run) -> Vec<NodeLine> {
    let line = |node| {
        let derivation = plan.derivation(node);
        NodeLine::new(derivation.kind, &derivation.name, run.report(node))
    };
    plan.ids().map(line).collect()
}
