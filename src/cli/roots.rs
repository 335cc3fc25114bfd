//! `jtwbuild roots`, and the roots that `realise` leaves.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use super::arguments::store::{Roots, RootsAdd, RootsRemove, RootsVerb};
use super::arguments::{Global, Realise, UniverseArguments};
use super::inspect::by_name;
use super::load::{Loaded, Pinning, open_store};
use super::render;
use super::trouble::{Exit, Trouble};
use crate::assemble::MARKER;
use crate::derivation::{Action, Input, Kind, NodeId};
use crate::lock::Lock;
use crate::memo;
use crate::memo::table::Table;
use crate::plan::Plan;
use crate::realise::Run;
use crate::store::facts::Facts;
use crate::store::roots::{About, Keeps, Maker, Root, RootName, now};
use crate::store::tree::TreeHash;
use crate::store::{Store, disk};

/// The root of what one command makes, as far as it is known before it is loaded.
pub(super) struct CommandRoot<'a> {
    store: &'a Store,
    verb: &'a Realise,
    memo: &'a memo::Place,
}

/// What a command has made.
pub(super) struct Made<'a> {
    pub universe: &'a str,
    pub site: Option<&'a Path>,
    pub keeps: Keeps,
    /// After a failure, what the root kept before stays kept.
    pub is_success: bool,
}

impl<'a> CommandRoot<'a> {
    pub fn new(store: &'a Store, verb: &'a Realise, memo: &'a memo::Place) -> Self {
        Self { store, verb, memo }
    }

    /// Other recipes and another place for the site are other things to keep.
    fn name(&self, universe: &str) -> RootName {
        let mut settings = absolute(&self.verb.universe.universe).into_os_string().into_encoded_bytes();
        for path in self.verb.universe.recipes.iter().chain(&self.verb.output) {
            settings.push(0);
            settings.extend(absolute(path).into_os_string().into_encoded_bytes());
        }
        settings.extend([0, u8::from(self.verb.output.is_some())]);
        RootName::of_command(universe, &settings)
    }

    /// Whether what the memo tells of is kept.
    pub fn is_there(&self, universe: &str) -> bool {
        let about = self.store.about_root(&self.name(universe));
        about.is_some_and(|about| about.memo.as_deref() == self.memo.name())
    }

    /// What the root keeps after some nodes of `table` came out as `fresh` and no longer as `gone`: what
    /// it kept, archives and repositories among it, but for what nothing of the table is any more.
    /// `None` if there is no such root.
    pub fn updated(&self, universe: &str, table: &Table, mut gone: Keeps, fresh: &Keeps) -> Option<Keeps> {
        let before = self.store.root_named(self.name(universe).as_str()).ok().flatten()?;
        gone.finish();
        let mut still = Keeps::default();
        for node in 0..table.len() {
            let trees = trees_of(table, node).filter(|tree| is_among(&gone.trees, tree.as_bytes()));
            trees.for_each(|tree| still.add_tree(&tree));
            let layer = table.result(node).0.filter(|key| is_among(&gone.layers, key.as_bytes()));
            layer.iter().for_each(|key| still.add_layer(key));
        }
        still.finish();
        let mut keeps = before.keeps.without(&gone.without(&still));
        keeps.add_all(fresh);
        Some(keeps)
    }

    /// Leaves the root. That it cannot be left is told, and is no failure.
    pub fn register(&self, made: Made<'_>) {
        let name = self.name(made.universe);
        let mut keeps = made.keeps;
        let mut memo = self.memo.name().map(str::to_owned);
        if !made.is_success
            && let Ok(Some(before)) = self.store.root_named(name.as_str())
        {
            keeps.add_all(&before.keeps);
            memo = before.about.memo;
        }
        keeps.finish();
        let about = About {
            label: made.universe.to_owned(),
            made_by: Maker::Realise,
            since: now(),
            universe: Some(text(&absolute(&self.verb.universe.universe))),
            site: made.site.map(|site| text(&absolute(site))),
            memo,
        };
        let registered = self.store.register(&name, &Root { about, keeps });
        // A run that failed has said what the trouble is.
        if let (Err(error), true) = (registered, made.is_success) {
            render::note(&format!("notice: `jtwbuild gc` may remove what this run has made: {error}"));
        }
    }
}

fn is_among(sorted: &[[u8; 32]], id: &[u8; 32]) -> bool {
    sorted.binary_search(id).is_ok()
}

/// JSON knows text only. A path that is none is there for people.
fn text(path: &Path) -> PathBuf {
    PathBuf::from(path.to_string_lossy().into_owned())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What there is of a plan after a run.
pub(super) fn of_run(plan: &Plan, run: &Run) -> Keeps {
    let mut keeps = Keeps::default();
    for node in plan.ids() {
        let report = run.report(node);
        add_node(&mut keeps, plan, node, report.tree.as_ref());
        report.build.iter().for_each(|key| keeps.add_layer(key));
    }
    keeps
}

/// Opam repositories that the store holds for a lock.
pub(super) fn of_lock(store: &Store, lock: &Lock) -> Keeps {
    let mut keeps = Keeps::default();
    let trees = lock.repositories.iter().filter_map(|locked| TreeHash::from_hex(&locked.tree));
    // Directories are where they are.
    trees.filter(|tree| store.has_tree(tree)).for_each(|tree| keeps.add_tree(&tree));
    keeps
}

/// Adds what a node has made and what it reads that no node makes.
fn add_node(keeps: &mut Keeps, plan: &Plan, node: NodeId, output: Option<&TreeHash>) {
    let derivation = plan.derivation(node);
    output.into_iter().for_each(|tree| keeps.add_tree(tree));
    for input in &derivation.inputs {
        if let Input::Tree(tree) = input {
            keeps.add_tree(tree);
        }
    }
    // Reading an action takes a while, and there may be thousands that fetch nothing.
    if !matches!(derivation.kind, Kind::Source | Kind::Base) {
        return;
    }
    match derivation.action() {
        Ok(Action::Fetch(fetch)) => keeps.add_archive(&fetch.archive.checksums.name()),
        Ok(Action::Base(base)) => {
            base.packages.iter().for_each(|package| keeps.add_archive(&package.sha256.into()));
        }
        _ => {}
    }
}

/// What these nodes of a table are, have made, and read that no node makes; without archives.
pub(super) fn of_nodes(table: &Table, nodes: impl IntoIterator<Item = usize>) -> Keeps {
    let mut keeps = Keeps::default();
    for node in nodes {
        table.result(node).0.iter().for_each(|key| keeps.add_layer(key));
        trees_of(table, node).for_each(|tree| keeps.add_tree(&tree));
    }
    keeps
}

fn trees_of(table: &Table, node: usize) -> impl Iterator<Item = TreeHash> + '_ {
    let given = table.inputs(node).filter_map(|input| match input {
        Input::Tree(tree) => Some(tree),
        Input::Node(_) => None,
    });
    table.result(node).1.into_iter().chain(given)
}

pub(super) fn run(global: &Global, verb: &Roots) -> Result<ExitCode, Trouble> {
    match &verb.verb {
        RootsVerb::Add(verb) => add(global, verb),
        RootsVerb::List(verb) => list(global, verb.json),
        RootsVerb::Remove(verb) => remove(global, verb),
    }
}

fn add(global: &Global, verb: &RootsAdd) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    let (mut keeps, mut labels) = (Keeps::default(), Vec::new());
    for thing in &verb.things {
        labels.push(thing.clone());
        keeps.add_all(&match &verb.of {
            Some(universe) => of_universe(&store, universe, Some(thing))?,
            None => of_thing(&store, thing)?,
        });
    }
    keeps.finish();
    // Held first, then looked at: from here on nothing of it can be collected.
    for id in keeps.trees.iter().chain(&keeps.layers).chain(&keeps.archives) {
        store.hold(id)?;
    }
    let gone = |tree: &&[u8; 32]| !store.has_tree(&TreeHash::from_bytes(**tree));
    if let Some(tree) = keeps.trees.iter().find(gone) {
        let message = format!("the store has no {}", TreeHash::from_bytes(*tree));
        return Err(Trouble::new(Exit::Input, "jtwbuild::roots::missing", message, Some(NOT_BUILT)));
    }
    let universe =
        verb.of.as_deref().or_else(|| verb.things.first().map(Path::new).filter(|path| path.is_file()));
    let label = labels.join(" ");
    let name = match &verb.name {
        Some(name) => RootName::parse(name).ok_or_else(|| {
            let message = format!("`{name}` cannot be the name of a root");
            let help = "letters, digits and `.`, `-`, `_`, at most 100, and a letter or digit first";
            Trouble::new(Exit::Input, "jtwbuild::roots::name", message, Some(help))
        })?,
        None => RootName::of_command(&label.replace(['/', '.'], "-"), format!("user\0{label}").as_bytes()),
    };
    let universe = universe.map(|path| text(&absolute(path)));
    let about = About { label, made_by: Maker::User, since: now(), universe, site: None, memo: None };
    store.register(&name, &Root { about, keeps })?;
    Ok(render::data(&format!("{}\n", name.as_str())))
}

const NOT_BUILT: &str = "`jtwbuild realise` builds it";

/// A universe file, a site, or a tree, layer or archive of the store, by path or by name.
fn of_thing(store: &Arc<Store>, thing: &str) -> Result<Keeps, Trouble> {
    let path = Path::new(thing);
    if let Some(marker) = disk::read_if_present(&path.join(MARKER)).ok().flatten() {
        let line = String::from_utf8_lossy(&marker);
        let tree = line.lines().nth(1).and_then(|line| TreeHash::from_hex(line.strip_prefix("tree:")?));
        if let Some(tree) = tree {
            let mut keeps = Keeps::default();
            keeps.add_tree(&tree);
            return Ok(keeps);
        }
    }
    if path.is_file() {
        return of_universe(store, path, None);
    }
    let plain = thing.strip_prefix(TreeHash::PREFIX).unwrap_or(thing);
    let candidates =
        [path.to_owned(), store.root().join("trees").join(plain), store.root().join("layers").join(plain)];
    let known = candidates.iter().filter(|path| disk::exists(path));
    known.into_iter().find_map(|path| store.thing_at(path)).ok_or_else(|| {
        let message = format!("`{thing}` is no universe file, no site, and nothing in the store");
        let help = "for a node, say of which universe: `jtwbuild roots add --of universe.toml NODE`";
        Trouble::new(Exit::Input, "jtwbuild::roots::unknown", message, Some(help))
    })
}

/// What there is of a universe, or of one of its nodes and everything that the node needs.
fn of_universe(store: &Arc<Store>, universe: &Path, wanted: Option<&str>) -> Result<Keeps, Trouble> {
    let arguments = UniverseArguments::of(universe.to_owned());
    let mut loaded = Loaded::read(&arguments, Pinning::Complete)?;
    let (plan, _) = loaded.plan(&arguments, store)?;
    let facts = Facts::load(&store.plans().join("facts"));
    let mut to_look_at = match wanted {
        Some(wanted) => vec![by_name(&plan, wanted)?],
        None => plan.targets(),
    };
    let mut seen = vec![false; plan.len()];
    let mut keeps = Keeps::default();
    while let Some(node) = to_look_at.pop() {
        if std::mem::replace(&mut seen[node.index()], true) {
            continue;
        }
        let Some(fact) = facts.planned(&plan.key(node)) else {
            let message = format!("{} has not been built in this store", plan.derivation(node).id());
            return Err(Trouble::new(Exit::Input, "jtwbuild::roots::missing", message, Some(NOT_BUILT)));
        };
        let mut of_node = Keeps::default();
        add_node(&mut of_node, &plan, node, Some(&fact.tree));
        // Sources that no build had to look at need not be here.
        of_node
            .trees
            .retain(|tree| tree == fact.tree.as_bytes() || store.has_tree(&TreeHash::from_bytes(*tree)));
        of_node.add_layer(&fact.build);
        keeps.add_all(&of_node);
        to_look_at.extend(plan.derivation(node).needs());
    }
    if wanted.is_none() {
        keeps.add_all(&of_lock(store, &loaded.lock));
    }
    Ok(keeps)
}

/// One root, as `--json` prints it.
#[derive(Serialize)]
struct Line {
    name: String,
    label: Option<String>,
    made_by: Option<Maker>,
    since: Option<u64>,
    universe: Option<PathBuf>,
    site: Option<PathBuf>,
    /// How many things it keeps.
    keeps: usize,
    /// What is wrong with it.
    problem: Option<String>,
}

fn list(global: &Global, json: bool) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    let mut lines = Vec::new();
    for name in store.root_names()? {
        let root = name.to_str().map(|name| store.root_named(name));
        let name = name.to_string_lossy().into_owned();
        let empty = Line {
            name,
            label: None,
            made_by: None,
            since: None,
            universe: None,
            site: None,
            keeps: 0,
            problem: None,
        };
        lines.push(match root {
            Some(Ok(Some(Root { about, keeps }))) => {
                let gone = about.universe.as_ref().filter(|path| !disk::exists(path));
                Line {
                    problem: gone.map(|_| "its universe file is gone".to_owned()),
                    label: Some(about.label),
                    made_by: Some(about.made_by),
                    since: Some(about.since),
                    universe: about.universe,
                    site: about.site,
                    keeps: keeps.len(),
                    ..empty
                }
            }
            Some(Ok(None)) => continue,
            Some(Err(error)) => Line { problem: Some(error.to_string()), ..empty },
            None => Line { problem: Some("its name is not text".to_owned()), ..empty },
        });
    }
    if json {
        let mut text = serde_json::to_string_pretty(&lines).expect("roots have only text keys");
        text.push('\n');
        return Ok(render::data(&text));
    }
    let mut text = String::new();
    for line in &lines {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}  keeps {}", line.name, line.keeps);
        if let Some(universe) = &line.universe {
            let _ = write!(text, "  of {}", universe.display());
        } else if let Some(label) = &line.label {
            let _ = write!(text, "  {label}");
        }
        if let Some(site) = &line.site {
            let _ = write!(text, "  site {}", site.display());
        }
        if let Some(problem) = &line.problem {
            let _ = write!(text, "  ({problem})");
        }
        text.push('\n');
    }
    Ok(render::data(&text))
}

fn remove(global: &Global, verb: &RootsRemove) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    for name in &verb.names {
        if !store.remove_root(name)? {
            let message = format!("there is no root `{name}`");
            let help = "`jtwbuild roots list` names them";
            return Err(Trouble::new(Exit::Input, "jtwbuild::roots::unknown", message, Some(help)));
        }
    }
    Ok(ExitCode::SUCCESS)
}
