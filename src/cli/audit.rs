//! `jtwbuild audit`: build again, compare, explain.

mod diffoscope;
mod display;
mod page;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use self::diffoscope::Diffoscope;
use self::display::AuditDisplay;
use super::arguments::Global;
use super::arguments::UniverseArguments;
use super::arguments::audit::{Audit, Question};
use super::inspect::by_name;
use super::load::{Loaded, Pinning, lock_path, open_store};
use super::progress::Display;
use super::realise::{loudness, processors, start_sandbox, stop_on_signals, tell_moves, watched};
use super::trouble::{Exit, Trouble};
use super::{history, render, summary};
use crate::audit::judge::{Judgement, Settings as Judging, Subject, Verdict, judge};
use crate::audit::{Rebuilder, Variation, Variations, is_built};
use crate::builder::LocalBuilder;
use crate::builder::machine::most_builders;
use crate::derivation::{Input, NodeId};
use crate::diagnostic::did_you_mean;
use crate::plan::Plan;
use crate::realise::{Place, Quiet, Run, Settings, Stop, realise_only};
use crate::store::Store;
use crate::store::facts::Facts;
use crate::store::tree::TreeHash;

/// The object that `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    universe: &'a str,
    vary: Variations,
    times: u32,
    seconds: f64,
    nodes: &'a [Line],
}

/// One node of the object.
#[derive(Serialize)]
pub(super) struct Line {
    pub id: String,
    #[serde(flatten)]
    pub judgement: Judgement,
    /// The node that stands in its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// The file in which diffoscope says what differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diffoscope: Option<PathBuf>,
}

pub(super) fn run(global: &Global, verb: &Audit) -> Result<ExitCode, Trouble> {
    match verb.question() {
        Question::Judge(universe) => judge_universe(global, verb, &universe),
        Question::Remember(verb) => history::run(global, &verb),
    }
}

fn judge_universe(global: &Global, verb: &Audit, universe: &UniverseArguments) -> Result<ExitCode, Trouble> {
    let begun = Instant::now();
    let vary = variations(&verb.vary)?;
    verb.report.as_deref().map_or(Ok(()), page::check)?;
    let store = open_store(global)?;
    // It forks this process: best done while that is small.
    let sandbox = start_sandbox();
    let mut loaded = Loaded::read(universe, Pinning::Complete)?;
    let (plan, pins) = loaded.plan(universe, &store)?;
    if loaded.write_lock()? && !global.quiet && !loaded.only_moved() {
        let path = lock_path(&universe.universe);
        render::note(&format!("wrote {}: it pins the bases' packages and all versions", path.display()));
    }
    tell_moves(global, &loaded);
    let nodes = chosen(&plan, &verb.nodes)?;
    let stop = stop_on_signals()?;
    let patience = Duration::from_secs(verb.diffoscope_timeout);
    let second =
        verb.diffoscope.as_deref().map(|directory| Diffoscope::new(&store, &stop, directory, patience));
    let second = second.transpose()?;
    let facts = Facts::load(&store.plans().join("facts"));
    let builder = LocalBuilder::new(&store, &pins, &loaded.fetcher, &sandbox);
    let vary = possible(global, vary, &builder);
    let wanted = verb.jobs.map_or_else(processors, usize::from);
    let jobs = most_builders().map_or(wanted, |most| wanted.min(most));
    let run = realise_inputs(
        global,
        &Place { plan: &plan, store: &store, facts: &facts },
        &nodes,
        &builder,
        &stop,
        jobs,
    );
    if !run.is_success() {
        render::error_text(&summary::root_causes(&store, &plan, &run));
    }
    let settings = Judging { times: verb.times, vary, bisect: !verb.no_bisect };
    let bench = Bench {
        plan: &plan,
        store: &store,
        facts: &facts,
        run: &run,
        builder: &builder,
        stop: &stop,
        second: second.as_ref(),
    };
    let lines = bench.judge_all(global, &nodes, settings, jobs)?;
    let seconds = begun.elapsed().as_secs_f64();
    let universe = loaded.universe.name.as_str();
    let is_interrupted = stop.is_requested();
    let printed = if verb.json {
        let report = Report { universe, vary, times: verb.times, seconds, nodes: &lines };
        let text = serde_json::to_string_pretty(&report).expect("a report has only text keys");
        render::data(&format!("{text}\n"))
    } else {
        render::data(&table::text(&lines))
    };
    if !global.quiet {
        render::note(&table::ending(universe, &lines, seconds));
    }
    if let Some(file) = &verb.report {
        page::write(file, (&plan, &nodes, &lines), universe, settings, (seconds, is_interrupted))?;
        if !global.quiet {
            render::note(&format!("wrote {}", file.display()));
        }
    }
    Ok(exit(&lines, &stop).map_or(printed, |exit| ExitCode::from(exit as u8)))
}

fn variations(text: &str) -> Result<Variations, Trouble> {
    text.parse::<Variations>().map_err(|unknown| {
        let names = Variation::ALL.into_iter().map(Variation::name);
        let help = match did_you_mean(&unknown.word, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", Variations::all()),
        };
        Trouble::new(Exit::Input, "jtwbuild::audit::variation", unknown, Some(&help))
    })
}

/// What this machine can vary; says what it cannot.
fn possible(global: &Global, vary: Variations, builder: &LocalBuilder<'_>) -> Variations {
    let impossible = builder.impossible(vary);
    for (variation, reason) in &impossible {
        if !global.quiet {
            render::note(&format!("notice: `{variation}` is not varied: {reason}"));
        }
    }
    vary.without(impossible.into_iter().map(|(variation, _)| variation).collect())
}

/// The nodes to judge, in the order of the plan.
fn chosen(plan: &Plan, names: &[String]) -> Result<Vec<NodeId>, Trouble> {
    if names.is_empty() {
        return Ok(plan.ids().filter(|node| is_built(plan.derivation(*node).kind)).collect());
    }
    let mut nodes = names.iter().map(|name| by_name(plan, name)).collect::<Result<Vec<_>, _>>()?;
    nodes.sort_unstable();
    nodes.dedup();
    if let Some(node) = nodes.iter().find(|node| !is_built(plan.derivation(**node).kind)) {
        let message = format!("{} is not built: its bytes are fetched", plan.derivation(*node).id());
        let help = "what is fetched is compared with its checksum each time; audit a node that uses it";
        return Err(Trouble::new(Exit::Input, "jtwbuild::audit::fetched", message, Some(help)));
    }
    Ok(nodes)
}

/// Makes what the nodes are made of.
fn realise_inputs(
    global: &Global,
    place: &Place<'_>,
    nodes: &[NodeId],
    builder: &LocalBuilder<'_>,
    stop: &Stop,
    jobs: usize,
) -> Run {
    let mut inputs: Vec<NodeId> =
        nodes.iter().flat_map(|node| place.plan.derivation(*node).needs()).collect();
    inputs.sort_unstable();
    inputs.dedup();
    let display = Display::new(place.plan, loudness(global));
    let settings = Settings { jobs, ..Settings::default() };
    let run = watched(&display, stop, || realise_only(place, inputs, builder, &display, stop, settings));
    display.finish();
    run
}

/// What nodes are judged with.
struct Bench<'a> {
    plan: &'a Plan,
    store: &'a Arc<Store>,
    facts: &'a Facts,
    run: &'a Run,
    builder: &'a LocalBuilder<'a>,
    stop: &'a Stop,
    second: Option<&'a Diffoscope<'a>>,
}

impl Bench<'_> {
    fn judge_all(
        &self,
        global: &Global,
        nodes: &[NodeId],
        settings: Judging,
        jobs: usize,
    ) -> Result<Vec<Line>, Trouble> {
        let display = AuditDisplay::new(self.plan, loudness(global), nodes.len(), self.second);
        let next = AtomicUsize::new(0);
        let results: Vec<Mutex<Option<Result<Line, Trouble>>>> =
            nodes.iter().map(|_| Mutex::default()).collect();
        let work = || {
            while let Some(node) = nodes.get(next.fetch_add(1, Ordering::Relaxed)) {
                let line = self.judge(*node, settings, &display);
                let at = nodes.binary_search(node).expect("it is one of them");
                *results[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..jobs.clamp(1, nodes.len().max(1)) {
                // With fewer threads than wanted it takes longer.
                if std::thread::Builder::new().spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
        display.finish();
        let result = |line: Mutex<Option<_>>| line.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.into_iter().filter_map(result).collect()
    }

    fn judge(&self, node: NodeId, settings: Judging, display: &AuditDisplay<'_>) -> Result<Line, Trouble> {
        let derivation = self.plan.derivation(node);
        let inputs = derivation.inputs.iter().map(|input| match input {
            Input::Tree(tree) => Ok(*tree),
            Input::Node(id) => self.run.report(*id).tree.ok_or_else(|| self.plan.derivation(*id).id()),
        });
        let line = match inputs.collect::<Result<Vec<TreeHash>, String>>() {
            Ok(trees) => {
                let stored = self.stored(node, &trees)?;
                let subject = Subject { node, derivation, trees: &trees, stored };
                let with = (self.store, &Quiet as &dyn crate::realise::Progress, self.stop, display as _);
                let judgement = judge(&subject, settings, self.builder, with);
                let diffoscope = display.explained(node);
                Line { id: derivation.id(), judgement, because: None, diffoscope }
            }
            Err(because) => {
                let (judgement, because) = (Judgement::none(), Some(because));
                Line { id: derivation.id(), judgement, because, diffoscope: None }
            }
        };
        display.judged(node, &line);
        Ok(line)
    }

    /// The output of a node that is in the store.
    fn stored(&self, node: NodeId, trees: &[TreeHash]) -> Result<Option<TreeHash>, Trouble> {
        let derivation = self.plan.derivation(node);
        let build = derivation.build_key(trees);
        let tree = match self.facts.built(&build) {
            Some(tree) => Some(tree),
            None => self
                .store
                .layer(&Store::layer_id(derivation.kind.word(), &build))?
                .and_then(|layer| layer.tree),
        };
        // From now on it is not collected.
        Ok(match tree {
            Some(tree) => self.store.use_tree(&tree)?.then_some(tree),
            None => None,
        })
    }
}

/// How the process ends, if not well.
fn exit(lines: &[Line], stop: &Stop) -> Option<Exit> {
    if stop.is_requested() {
        return Some(Exit::Interrupted);
    }
    let has = |verdict| lines.iter().any(|line| line.judgement.verdict == verdict);
    if has(Verdict::NotReproducible) {
        return Some(Exit::NotReproducible);
    }
    let is_verdict =
        |line: &Line| line.judgement.failure.as_ref().is_none_or(crate::outcome::Failure::is_verdict);
    let open: Vec<&Line> = lines.iter().filter(|line| line.judgement.verdict == Verdict::NotJudged).collect();
    match open.as_slice() {
        [] => None,
        open if open.iter().all(|line| is_verdict(line)) => Some(Exit::Failed),
        _ => Some(Exit::Environment),
    }
}
