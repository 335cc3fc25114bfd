//! `jtwbuild history`: what was built more than once, and what came out.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::arguments::statements::History as Verb;
use super::arguments::{Global, UniverseArguments};
use super::inspect::by_name;
use super::load::{Loaded, Pinning, open_store};
use super::render;
use super::trouble::Trouble;
use crate::derivation::BuildKey;
use crate::inspect::outputs::outputs;
use crate::moment::utc;
use crate::store::Store;
use crate::store::facts::Facts;
use crate::store::history::{Origin, Realisation};
use crate::store::tree::TreeHash;

/// The object that `--json` prints.
#[derive(Serialize)]
struct Report {
    /// Which store's history it is: an id that says nothing of its machine.
    store: Option<String>,
    damaged: usize,
    keys: Vec<Line>,
}

/// One build key.
#[derive(Serialize)]
struct Line {
    /// None: the store has no layer of it, and the universe no node.
    node: Option<String>,
    key: BuildKey,
    verdict: &'static str,
    /// How often it was built, over all.
    times: u64,
    outputs: Vec<Output>,
}

/// One of the contents that a build key had.
#[derive(Serialize)]
struct Output {
    tree: TreeHash,
    times: u64,
    origins: BTreeMap<&'static str, u64>,
    first: u64,
    last: u64,
}

impl Line {
    fn new(key: BuildKey, realisations: &[Realisation], node: Option<String>) -> Self {
        let mut by_tree: BTreeMap<TreeHash, Output> = BTreeMap::new();
        for one in realisations {
            let output = by_tree.entry(one.tree).or_insert_with(|| Output {
                tree: one.tree,
                times: 0,
                origins: BTreeMap::new(),
                first: one.first,
                last: one.last,
            });
            output.times += u64::from(one.count);
            *output.origins.entry(one.origin.word()).or_default() += u64::from(one.count);
            output.first = output.first.min(one.first);
            output.last = output.last.max(one.last);
        }
        let outputs: Vec<Output> = by_tree.into_values().collect();
        let times = outputs.iter().map(|output| output.times).sum();
        let verdict = match (outputs.len(), times) {
            (1, 1) => "built-once",
            (1, _) => "reproduced",
            _ => "differs",
        };
        Self { node, key, verdict, times, outputs }
    }

    fn text(&self) -> String {
        let node = self.node.clone().unwrap_or_else(|| self.key.to_string());
        if let [_] = self.outputs.as_slice() {
            return match self.times {
                1 => format!("{node}: built once\n"),
                2 => format!("{node}: reproduced once\n"),
                times => format!("{node}: reproduced {} times\n", times - 1),
            };
        }
        let mut text =
            format!("{node}: same inputs, {} different outputs\n  {}\n", self.outputs.len(), self.key);
        for output in &self.outputs {
            let origins: Vec<String> =
                output.origins.iter().map(|(word, times)| format!("{word} {times}")).collect();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {}  {}, last {}", output.tree, origins.join(", "), utc(output.last));
        }
        text
    }
}

pub(super) fn run(global: &Global, verb: &Verb) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    let history = store.history()?;
    if history.damaged > 0 && !global.quiet {
        let what = "damaged records of the history are passed over; `jtwbuild verify` tells more";
        render::note(&format!("notice: {} {what}", history.damaged));
    }
    let mut by_key: HashMap<BuildKey, Vec<Realisation>> = HashMap::new();
    for one in history.realisations {
        by_key.entry(one.build).or_default().push(one);
    }
    let names = match &verb.universe {
        Some(universe) => of_universe(&store, universe, &verb.nodes)?,
        None => of_layers(&store, &by_key)?,
    };
    let mut lines: Vec<Line> = names
        .into_iter()
        .filter_map(|(key, node)| Some(Line::new(key, &by_key.remove(&key)?, Some(node))))
        .collect();
    if verb.universe.is_none() {
        lines.extend(by_key.into_iter().map(|(key, realisations)| Line::new(key, &realisations, None)));
    }
    lines.sort_by(|one, other| {
        let order = |line: &Line| (line.verdict != "differs", line.node.clone(), line.key);
        order(one).cmp(&order(other))
    });
    let text = if verb.json {
        let report = Report { store: history.id, damaged: history.damaged, keys: lines };
        let mut text = serde_json::to_string_pretty(&report).expect("a report has only text keys");
        text.push('\n');
        text
    } else {
        table(&lines, verb.all || !verb.nodes.is_empty())
    };
    Ok(render::data(&text))
}

fn table(lines: &[Line], all: bool) -> String {
    let mut text = String::new();
    for line in lines.iter().filter(|line| all || line.verdict != "built-once") {
        text += &line.text();
    }
    let count = |verdict| lines.iter().filter(|line| line.verdict == verdict).count();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} build keys: {} with different outputs, {} reproduced, {} built once",
        lines.len(),
        count("differs"),
        count("reproduced"),
        count("built-once")
    );
    text
}

/// What the nodes of a universe are now.
fn of_universe(
    store: &std::sync::Arc<Store>,
    universe: &std::path::Path,
    nodes: &[String],
) -> Result<Vec<(BuildKey, String)>, Trouble> {
    let arguments = UniverseArguments::of(universe.to_owned());
    let mut loaded = Loaded::read(&arguments, Pinning::Complete)?;
    let (plan, _) = loaded.plan(&arguments, store)?;
    let wanted = nodes.iter().map(|node| by_name(&plan, node)).collect::<Result<Vec<_>, _>>()?;
    let facts = Facts::load(&store.plans().join("facts"));
    let outputs = outputs(&plan, store, &facts)?;
    let nodes = plan.ids().filter(|id| wanted.is_empty() || wanted.contains(id));
    Ok(nodes.filter_map(|id| Some((outputs[id.index()].build?, plan.derivation(id).id()))).collect())
}

/// What layers say that the keys are.
fn of_layers(
    store: &Store,
    known: &HashMap<BuildKey, Vec<Realisation>>,
) -> Result<Vec<(BuildKey, String)>, Trouble> {
    let mut names = Vec::new();
    for id in store.layers()? {
        let key = id.rsplit_once('-').and_then(|(_, hex)| BuildKey::from_hex(hex));
        let Some(key) = key.filter(|key| known.contains_key(key)) else { continue };
        // One that cannot be read has no name here; `verify` tells of it.
        if let Ok(Some(layer)) = store.layer(&id) {
            names.push((key, format!("{}/{}", layer.kind, layer.package)));
        }
    }
    Ok(names)
}

/// Records what a run that was no part of this store's own work has come to.
pub(super) fn record(
    store: &Store,
    origin: Origin,
    built: impl Iterator<Item = (BuildKey, TreeHash)>,
) -> Result<(), Trouble> {
    for (build, tree) in built {
        store.record_realisation(&build, &tree, origin)?;
    }
    Ok(())
}
