//! What a node was the last time: in earlier runs of its universe, else in any layer of the store.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::document::without_version;
use crate::derivation::BuildKey;
use crate::outcome::Outcome;
use crate::store::layer::LayerRecord;
use crate::store::runs::{NodeRecord, RunRecord};
use crate::store::tree::TreeHash;
use crate::store::{Store, disk};

/// The runs of one universe, and the layers of the store; both are read when they are asked for.
pub struct History<'a> {
    store: &'a Store,
    path: &'a str,
    /// The newest first.
    numbers: Vec<u64>,
    runs: RefCell<HashMap<u64, Option<Rc<Indexed>>>>,
    layers: OnceCell<HashMap<String, Vec<Layer>>>,
    /// What is wrong with runs that cannot be read.
    troubles: RefCell<Vec<String>>,
}

/// A run with its nodes by id, and by id without version.
pub struct Indexed {
    pub number: u64,
    pub run: RunRecord,
    by_id: HashMap<String, usize>,
    by_stem: HashMap<String, Vec<usize>>,
}

/// A layer, as far as it is looked at when a node's earlier one is sought.
struct Layer {
    build: BuildKey,
    started: u64,
}

/// What a node was before.
#[derive(Clone, Debug, Default)]
pub struct Earlier {
    /// The run that tells of it last, its build key then, and how that ended. Without an outcome it
    /// was known to that run.
    pub last: Option<(u64, BuildKey, Option<Outcome>)>,
    /// The newest build document that can be read, the run that tells of it, if one does, and its
    /// build key.
    pub document: Option<(Option<u64>, BuildKey, Value)>,
}

/// What stays the same when a package is another version, or a node has namesakes.
pub(super) fn stem(id: &str) -> String {
    let (kind, name) = id.split_once('/').unwrap_or(("", id));
    let name = name.split('@').next().unwrap_or(name);
    // Users may call their nodes what they like.
    if kind == "node" { id.to_owned() } else { format!("{kind}/{}", without_version(name)) }
}

fn kind(id: &str) -> &str {
    id.split('/').next().unwrap_or(id)
}

impl Indexed {
    fn new(number: u64, run: RunRecord) -> Self {
        let (mut by_id, mut by_stem) = (HashMap::new(), HashMap::<_, Vec<usize>>::new());
        for (at, node) in run.nodes.iter().enumerate() {
            by_id.insert(node.id.clone(), at);
            by_stem.entry(stem(&node.id)).or_default().push(at);
        }
        Self { number, run, by_id, by_stem }
    }

    /// The node of that id, else one of another version that is not there any more.
    fn find(&self, id: &str, is_there: &dyn Fn(&str) -> bool) -> Option<&NodeRecord> {
        let has_key = |node: &&NodeRecord| node.build.is_some();
        let same = self.by_id.get(id).map(|at| &self.run.nodes[*at]).filter(has_key);
        same.or_else(|| {
            let others = self.by_stem.get(&stem(id)).into_iter().flatten();
            others.map(|at| &self.run.nodes[*at]).filter(has_key).find(|node| !is_there(&node.id))
        })
    }
}

impl<'a> History<'a> {
    /// The history of the universe whose file is at `path`, absolute.
    pub fn new(store: &'a Store, path: &'a str) -> Self {
        let mut troubles = Vec::new();
        let numbers = store.runs(path).unwrap_or_else(|error| {
            troubles.push(error.to_string());
            Vec::new()
        });
        Self {
            store,
            path,
            numbers,
            runs: RefCell::default(),
            layers: OnceCell::new(),
            troubles: RefCell::new(troubles),
        }
    }

    /// Whether the store holds a tree.
    pub fn has(&self, tree: &TreeHash) -> bool {
        self.store.has_tree(tree)
    }

    /// The runs that can be read, the newest first.
    pub fn runs(&self) -> impl Iterator<Item = Rc<Indexed>> + '_ {
        self.numbers.iter().filter_map(|number| self.run(*number))
    }

    /// What was wrong with runs that were to be read.
    pub fn troubles(&self) -> Vec<String> {
        self.troubles.borrow().clone()
    }

    fn run(&self, number: u64) -> Option<Rc<Indexed>> {
        let mut runs = self.runs.borrow_mut();
        let read = || match self.store.run(self.path, number) {
            Ok(run) => run.map(|run| Rc::new(Indexed::new(number, run))),
            Err(error) => {
                self.troubles
                    .borrow_mut()
                    .push(format!("the record of run {number} is passed over: {error}"));
                None
            }
        };
        runs.entry(number).or_insert_with(read).clone()
    }

    /// What the node was before the run of that number (none: before now), and before it had the build
    /// key `now`. `is_there` tells whether a node of that id is among those that are asked about.
    pub fn earlier(
        &self,
        id: &str,
        now: Option<&BuildKey>,
        before: Option<u64>,
        is_there: &dyn Fn(&str) -> bool,
    ) -> Earlier {
        let mut earlier = Earlier::default();
        for indexed in self.runs().filter(|run| before.is_none_or(|before| run.number < before)) {
            let Some((node, build)) = indexed.find(id, is_there).and_then(|node| Some((node, node.build?)))
            else {
                continue;
            };
            if earlier.last.is_none() {
                let outcome = node.decided.as_ref().map(|decided| decided.outcome.clone());
                earlier.last = Some((indexed.number, build, outcome));
            }
            if now != Some(&build)
                && let Some(document) = self.document(kind(id), &build)
            {
                earlier.document = Some((Some(indexed.number), build, document));
                return earlier;
            }
        }
        // What this run has made comes after it began.
        let limit = before.and_then(|before| Some(self.run(before)?.run.about.started));
        let layers = self.layers.get_or_init(|| self.read_layers());
        let known = layers.get(&stem(id)).into_iter().flatten();
        let known = known
            .filter(|layer| now != Some(&layer.build) && limit.is_none_or(|limit| layer.started < limit));
        if let Some(layer) = known.max_by_key(|layer| layer.started)
            && let Some(document) = self.document(kind(id), &layer.build)
        {
            earlier.document = Some((None, layer.build, document));
        }
        earlier
    }

    /// The build document of a layer that is there.
    pub fn document(&self, kind: &str, build: &BuildKey) -> Option<Value> {
        self.store.layer(&Store::layer_id(kind, build)).ok().flatten().map(|layer| layer.document)
    }

    fn read_layers(&self) -> HashMap<String, Vec<Layer>> {
        let mut layers = HashMap::<_, Vec<Layer>>::new();
        for id in self.store.layers().unwrap_or_default() {
            let path = self.store.layer_path(&id).join("layer.json");
            let bytes = disk::read_if_present(&path).ok().flatten().unwrap_or_default();
            // One that cannot be read explains nothing.
            let Ok(record) = serde_json::from_slice::<LayerRecord<IgnoredAny>>(&bytes) else { continue };
            let layer = Layer { build: record.build_key, started: record.started };
            layers.entry(stem(&format!("{}/{}", record.kind, record.package))).or_default().push(layer);
        }
        layers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_namesakes_have_one_stem() {
        let same = ["build/fmt.0.9.0", "build/fmt.0.10", "build/fmt.v1@0123456789ab"];
        assert!(same.iter().all(|id| stem(id) == "build/fmt"), "{same:?}");
        assert_eq!(stem("node/report.2"), "node/report.2");
        assert_eq!(stem("base/ocaml"), "base/ocaml");
        assert_ne!(stem("jtw/fmt.0.9.0"), stem("build/fmt.0.9.0"));
    }
}
