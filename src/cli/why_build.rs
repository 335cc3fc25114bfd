//! `jtwbuild why-build`: root causes first, then what follows from them.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::arguments::Global;
use super::arguments::inspect::WhyBuild;
use super::inspect::by_name;
use super::load::{Loaded, Pinning, open_store};
use super::render;
use super::runs::universe_path;
use super::trouble::Trouble;
use crate::derivation::NodeId;
use crate::inspect::history::History;
use crate::inspect::prospect::{Prospect, forecasts};
use crate::inspect::scenes::{Did, Would};
use crate::inspect::why::{Explanation, Scene, Standing, Why, explain};
use crate::inspect::words::sentences;
use crate::moment::utc;
use crate::store::Store;
use crate::store::facts::Facts;
use crate::store::runs::{NodeRecord, RunRecord};
use crate::store::tree::TreeHash;

/// So many nodes are named where not all are.
const NAMED: usize = 3;

/// What is known of the whole question; what `--json` prints.
#[derive(Serialize)]
struct Answer {
    universe: String,
    /// `would`: what would be built now. `did`: what a run has built. `neither`: no such run is known.
    tense: &'static str,
    /// The run that is explained, or, for `would`, the newest one that is known.
    run: Option<RunLine>,
    node: Option<Line>,
    /// Nodes whose failure is remembered: they would not be tried.
    failed: Vec<String>,
    counts: Counts,
    causes: Vec<CauseLine>,
}

#[derive(Serialize)]
struct RunLine {
    number: u64,
    started: u64,
    seconds: f64,
}

#[derive(Clone, Serialize)]
struct Line {
    id: String,
    standing: Standing,
}

/// How many nodes stand how.
#[derive(Default, Serialize)]
struct Counts {
    would_build: usize,
    may_build: usize,
    built: usize,
    cutoff: usize,
    failed: usize,
    stopped: usize,
}

#[derive(Serialize)]
struct CauseLine {
    #[serde(flatten)]
    line: Line,
    /// The run whose build it was compared with; null if that is known from a layer of the store, or
    /// not at all.
    compared_with: Option<u64>,
    reasons: Vec<Why>,
    text: Vec<String>,
    followers: Vec<Line>,
    /// With a node: the way from there to this cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    way: Option<Vec<String>>,
}

pub(super) fn run(global: &Global, verb: &WhyBuild) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    let mut loaded = Loaded::read(&verb.universe, Pinning::Complete)?;
    let (plan, pins) = loaded.plan(&verb.universe, &store)?;
    let node = verb.node.as_deref().map(|node| by_name(&plan, node)).transpose()?;
    let facts = Facts::load(&store.plans().join("facts"));
    let forecasts = forecasts(&plan, &store, &facts)?;
    let path = universe_path(&verb.universe.universe);
    let history = History::new(&store, &path);
    // Local sources are compared with what they were in the store: there they have to be.
    let has = |tree: &TreeHash| store.has_tree(tree) || pins.provide(tree, &store).is_ok();
    let would = Would::new(&plan, &facts, &forecasts, &history, &has);
    let asked = node.map(NodeId::index);
    let is_open = |node: usize| would.standing(node).is_asked();
    let question = Question { store: &store, universe: loaded.universe.name.as_str(), asked, all: verb.all };
    let mut answer = if asked.map_or_else(|| (0..would.len()).any(is_open), is_open) {
        let newest = history.runs().next().map(|run| line_of(run.number, &run.run));
        question.answer(&would, "would", newest)
    } else {
        let id = node.map(|node| plan.derivation(node).id());
        let ran = |run: &RunRecord| match &id {
            Some(id) => run.find(id).is_some_and(NodeRecord::ran),
            None => run.nodes.iter().any(NodeRecord::ran),
        };
        match history.runs().find(|run| ran(&run.run)) {
            Some(run) => {
                let did = Did::new(run, &history);
                let asked = id.as_ref().and_then(|id| (0..did.len()).find(|node| did.id(*node) == id));
                let about = line_of(did.number(), did.record());
                Question { asked, ..question }.answer(&did, "did", Some(about))
            }
            None => question.answer(&would, "neither", None),
        }
    };
    let is_failed = |node: &usize| {
        forecasts[*node].prospect == Prospect::Failed && asked.is_none_or(|asked| asked == *node)
    };
    answer.failed = (0..would.len()).filter(is_failed).map(|node| would.id(node).to_owned()).collect();
    history.troubles().iter().for_each(|trouble| render::note(&format!("notice: {trouble}")));
    if verb.json {
        let mut text = serde_json::to_string_pretty(&answer).expect("an answer has only text keys");
        text.push('\n');
        return Ok(render::data(&text));
    }
    Ok(render::data(&answer.told(verb.all)))
}

fn line_of(number: u64, run: &RunRecord) -> RunLine {
    RunLine { number, started: run.about.started, seconds: run.about.seconds }
}

/// What is asked, whatever the scene is.
#[derive(Clone, Copy)]
struct Question<'a> {
    store: &'a Store,
    universe: &'a str,
    asked: Option<usize>,
    all: bool,
}

impl Question<'_> {
    fn answer(&self, scene: &dyn Scene, tense: &'static str, run: Option<RunLine>) -> Answer {
        let line = |node: usize| Line { id: scene.id(node).to_owned(), standing: scene.standing(node) };
        let explanation = match tense {
            "neither" => Explanation::default(),
            _ => explain(scene, self.store, self.asked),
        };
        let ways = self.asked.map(|node| explanation.chains(node));
        let cause = |cause: crate::inspect::why::Cause| {
            let found = &explanation.found[&cause.node];
            let way = ways.iter().flatten().find(|way| way.last() == Some(&cause.node));
            CauseLine {
                line: line(cause.node),
                compared_with: found.run,
                text: sentences(&found.whys, self.all),
                reasons: found.whys.clone(),
                followers: cause.followers.iter().map(|node| line(*node)).collect(),
                way: way.map(|way| way.iter().map(|node| scene.id(*node).to_owned()).collect()),
            }
        };
        Answer {
            universe: self.universe.to_owned(),
            tense,
            run,
            node: self.asked.map(line),
            failed: Vec::new(),
            counts: counts(scene, &explanation),
            causes: explanation.causes(scene).into_iter().map(cause).collect(),
        }
    }
}

fn counts(scene: &dyn Scene, explanation: &Explanation) -> Counts {
    let mut counts = Counts::default();
    for node in explanation.found.keys() {
        match scene.standing(*node) {
            Standing::WouldBuild => counts.would_build += 1,
            Standing::MayBuild => counts.may_build += 1,
            Standing::Built => counts.built += 1,
            Standing::Cutoff => counts.cutoff += 1,
            Standing::Failed => counts.failed += 1,
            Standing::Stopped => counts.stopped += 1,
            Standing::Known => {}
        }
    }
    counts
}

fn nodes(count: usize) -> String {
    format!("{count} node{}", if count == 1 { "" } else { "s" })
}

impl Answer {
    fn told(&self, all: bool) -> String {
        let mut text = self.headline();
        text.push('\n');
        // Writing to a string cannot fail.
        for id in &self.failed {
            let _ = writeln!(
                text,
                "{id} failed with these inputs, which is remembered: `--retry-failed` tries it again"
            );
        }
        let most = if all { usize::MAX } else { NAMED };
        for group in self.groups() {
            let first = group[0];
            let ids: Vec<&str> = group.iter().map(|cause| cause.line.id.as_str()).collect();
            match first.text.as_slice() {
                [one] => drop(writeln!(text, "{}: {one}", listed(&ids, most))),
                several => {
                    let _ = writeln!(text, "{}:", listed(&ids, most));
                    text.extend(several.iter().map(|one| format!("  {one}\n")));
                }
            }
            match (&first.way, group.len()) {
                (Some(way), 1) => {
                    if let [between @ .., _] = &way[1.min(way.len())..]
                        && !between.is_empty()
                    {
                        let _ = writeln!(
                            text,
                            "  by way of {}",
                            listed(&between.iter().rev().map(String::as_str).collect::<Vec<_>>(), usize::MAX)
                        );
                    }
                }
                _ => followers(&mut text, &group, all),
            }
        }
        text
    }

    fn headline(&self) -> String {
        let run = self.run.as_ref().map(|run| format!("run {}, begun {}", run.number, utc(run.started)));
        match (&self.node, self.tense, &run) {
            (Some(node), "would", run) => {
                let unless = if node.standing == Standing::MayBuild { " unless it is cut off" } else { "" };
                format!("{} would be built{unless}; {}", node.id, newest(run.as_deref()))
            }
            (Some(node), "did", Some(run)) => {
                let how = match node.standing {
                    Standing::Failed => "has failed",
                    Standing::Stopped => "was stopped",
                    _ => "was built",
                };
                format!("{} would not be built; it {how} in {run}", node.id)
            }
            (Some(node), ..) => format!("{} would not be built, and no run is known that built it", node.id),
            (None, "would", run) => {
                let Counts { would_build, may_build, .. } = self.counts;
                let may = match (would_build, may_build) {
                    (_, 0) => String::new(),
                    (_, more) => format!(", and {more} more unless cut off"),
                };
                format!("{} would be built{may}; {}", nodes(would_build), newest(run.as_deref()))
            }
            (None, "did", Some(run)) => {
                let Counts { built, cutoff, failed, stopped, .. } = self.counts;
                let told = [(built, "built"), (cutoff, "cut off"), (failed, "failed"), (stopped, "stopped")];
                let told = told.iter().filter(|(count, _)| *count > 0);
                let told: Vec<String> = told.map(|(count, word)| format!("{count} {word}")).collect();
                format!("nothing would be built; {run}: {}", told.join(", "))
            }
            (None, ..) => "nothing would be built, and no run is known that built something".to_owned(),
        }
    }

    /// Causes that differ in their nodes only, together.
    fn groups(&self) -> Vec<Vec<&CauseLine>> {
        let mut groups: Vec<Vec<&CauseLine>> = Vec::new();
        for cause in &self.causes {
            let is_same = |group: &&mut Vec<&CauseLine>| cause.way.is_none() && group[0].text == cause.text;
            match groups.iter_mut().find(is_same) {
                Some(group) => group.push(cause),
                None => groups.push(vec![cause]),
            }
        }
        groups
    }
}

fn newest(run: Option<&str>) -> String {
    run.map_or("no earlier run of this universe is known".to_owned(), |run| format!("the last was {run}"))
}

fn listed(ids: &[&str], most: usize) -> String {
    let named = &ids[..ids.len().min(most)];
    let more = ids.len() - named.len();
    let named = named.join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

/// How many nodes follow, or which.
fn followers(text: &mut String, group: &[&CauseLine], all: bool) {
    let mut seen = HashSet::new();
    let lines = group.iter().flat_map(|cause| &cause.followers);
    let lines: Vec<&Line> = lines.filter(|line| seen.insert(&line.id)).collect();
    if lines.is_empty() {
        return;
    }
    let count = |wanted: Standing| lines.iter().filter(|line| line.standing == wanted).count();
    let (may, cutoff) = (count(Standing::MayBuild), count(Standing::Cutoff));
    let of_them = |count: usize, word: &str| match count {
        0 => String::new(),
        all if all == lines.len() => format!(", {word}"),
        some => format!(", {some} of them {word}"),
    };
    let remark = of_them(may, "unless cut off") + &of_them(cutoff, "cut off");
    let end = if all { ":" } else { "" };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  and {} because of it{remark}{end}", nodes(lines.len()));
    if all {
        for line in lines {
            let remark = if line.standing == Standing::Cutoff { " (cut off)" } else { "" };
            let _ = writeln!(text, "    {}{remark}", line.id);
        }
    }
}
