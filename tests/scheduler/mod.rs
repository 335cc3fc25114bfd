//! A store, plans of nodes that do nothing by themselves, and builders that are closures.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use jtwbuild::derivation::{Action, Derivation, Input, Kind, NodeId, OUT, Script};
use jtwbuild::outcome::Failure;
use jtwbuild::plan::Plan;
use jtwbuild::realise::{Builder, Job, Place, Progress, Quiet, Run, Settings, Stop, realise};
use jtwbuild::request::{Command, Layer, Limits, Mount, Request};
use jtwbuild::store::Store;
use jtwbuild::store::facts::Facts;
use jtwbuild::store::layer::LayerRecord;
use jtwbuild::store::tree::{Node, RelPath, Tree, TreeHash};
use rand::Rng;
use rand::rngs::StdRng;

/// The seed of what is random: `JTWBUILD_SEED`, or another one each time. It is printed.
pub fn seed() -> u64 {
    let given = std::env::var("JTWBUILD_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed = given.unwrap_or_else(|| rand::thread_rng().r#gen());
    println!("replay with JTWBUILD_SEED={seed}");
    seed
}

/// A node that needs these.
pub fn node(name: &str, inputs: &[NodeId]) -> Derivation {
    kinds(Kind::Node, name, inputs)
}

/// A node of this kind that needs these. What it does is said by its name alone.
pub fn kinds(kind: Kind, name: &str, inputs: &[NodeId]) -> Derivation {
    scripted(kind, name, name, inputs)
}

/// A node whose document holds `word`.
pub fn scripted(kind: Kind, name: &str, word: &str, inputs: &[NodeId]) -> Derivation {
    let mounts = inputs.iter().enumerate().map(|(slot, _)| Mount::ReadOnly {
        at: format!("/in/{slot}"),
        tree: Layer { name: slot.to_string(), tree: slot },
    });
    let request = Request {
        mounts: mounts.collect(),
        stages: vec![vec![Command { argv: vec![word.to_owned()], cwd: "/".into() }]],
        env: BTreeMap::new(),
        limits: Limits { seconds: 1, memory: 1, log: 1, processes: 1 },
    };
    let action = Action::Script(Script { request, outputs: vec![OUT.into()] });
    Derivation::new(kind, name.into(), &action, inputs.iter().map(|id| Input::Node(*id)).collect())
}

/// The word of a [`scripted`] node.
pub fn word(job: &Job<'_>) -> String {
    let Ok(Action::Script(script)) = job.derivation.action() else { panic!("only scripts") };
    script.request.stages[0][0].argv[0].clone()
}

/// A graph in which each node needs up to three of those before it, mostly near ones.
pub fn random_plan(count: usize, random: &mut StdRng, kind: impl Fn(usize) -> Kind) -> Plan {
    let mut plan = Plan::default();
    let mut ids: Vec<NodeId> = Vec::new();
    for index in 0..count {
        let wanted = random.gen_range(0..4).min(index);
        let from = if random.gen_bool(0.7) { index.saturating_sub(100) } else { 0 };
        let inputs: BTreeSet<NodeId> = (0..wanted).map(|_| ids[random.gen_range(from..index)]).collect();
        let inputs: Vec<NodeId> = inputs.into_iter().collect();
        ids.push(plan.add(kinds(kind(index), &format!("n{index}"), &inputs)));
    }
    plan
}

/// Publishes a tree with one file that holds the node's word, its inputs and `more`.
pub fn write(store: &Arc<Store>, job: &Job<'_>, more: &str) -> TreeHash {
    publish(store, &format!("{} {:?} {more}", word(job), job.trees))
}

/// Publishes a tree with one file that holds `text`.
pub fn publish(store: &Arc<Store>, text: &str) -> TreeHash {
    let staging = store.stage().unwrap();
    let file = staging.add_bytes(text.as_bytes(), false).unwrap();
    let mut tree = Tree::default();
    tree.insert(&RelPath::parse("value").unwrap(), Node::File(file)).unwrap();
    staging.publish(&tree).unwrap()
}

/// Publishes a tree that is the same for all.
pub fn constant(store: &Arc<Store>) -> TreeHash {
    publish(store, "constant")
}

/// A builder that is a closure.
struct Does<'a, F>(&'a Arc<Store>, F);

impl<F> Builder for Does<'_, F>
where
    F: Fn(&Arc<Store>, &Job<'_>) -> Result<TreeHash, Failure> + Sync,
{
    fn build(&self, job: &Job<'_>) -> Result<TreeHash, Failure> {
        (self.1)(self.0, job)
    }
}

/// A store in a directory of its own.
pub struct Bench {
    directory: tempfile::TempDir,
}

/// A run with a shorter way to its words.
pub struct Ran(Run);

impl std::ops::Deref for Ran {
    type Target = Run;
    fn deref(&self) -> &Run {
        &self.0
    }
}

impl Ran {
    /// How each node ended.
    pub fn words(&self) -> Vec<&'static str> {
        self.nodes.iter().map(|report| report.outcome.word()).collect()
    }
}

impl Bench {
    pub fn new() -> Self {
        Self { directory: tempfile::Builder::new().prefix("jtwbuild-test-").tempdir().unwrap() }
    }

    /// The store's directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Realises a plan as a process of its own would.
    pub fn run<F>(&self, plan: &Plan, settings: Settings, build: F) -> Ran
    where
        F: Fn(&Arc<Store>, &Job<'_>) -> Result<TreeHash, Failure> + Sync,
    {
        self.run_shown(plan, &Quiet, &Stop::default(), settings, build)
    }

    /// The same with a progress and a stop.
    pub fn run_shown<F>(
        &self,
        plan: &Plan,
        progress: &dyn Progress,
        stop: &Stop,
        settings: Settings,
        build: F,
    ) -> Ran
    where
        F: Fn(&Arc<Store>, &Job<'_>) -> Result<TreeHash, Failure> + Sync,
    {
        let store = Arc::new(Store::open(self.path()).unwrap());
        let facts = Facts::load(&store.plans().join("facts"));
        let place = Place { plan, store: &store, facts: &facts };
        Ran(realise(&place, &Does(&store, build), progress, stop, settings))
    }

    /// Names of all trees.
    pub fn trees(&self) -> BTreeSet<String> {
        self.names("trees")
    }

    /// Names of what is below `tmp`.
    pub fn leftovers(&self) -> Vec<String> {
        self.names("tmp").into_iter().collect()
    }

    fn names(&self, below: &str) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.path().join(below)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn layer_id(plan: &Plan, run: &Run, node: NodeId) -> String {
        let build = run.report(node).build.expect("its build key came to be known");
        Store::layer_id(plan.derivation(node).kind.word(), &build)
    }

    /// The record of a node that a run decided.
    pub fn record(&self, plan: &Plan, run: &Run, node: NodeId) -> LayerRecord {
        let store = Store::open(self.path()).unwrap();
        store.layer(&Self::layer_id(plan, run, node)).unwrap().expect("there is a record")
    }

    /// The log of a node that a run decided.
    pub fn log(&self, plan: &Plan, run: &Run, node: NodeId) -> String {
        let store = Store::open(self.path()).unwrap();
        let path = store.log_path(&Self::layer_id(plan, run, node)).expect("there is a log");
        std::fs::read_to_string(path).unwrap()
    }
}
