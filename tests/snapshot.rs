//! The short way of a run against the whole one: random graphs, random edits of sources, two stores.
//! One store always gets the whole plan, the other only what the changed sources reach.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use jtwbuild::derivation::{Action, BuildKey, Derivation, Input, Kind, NodeId, PlanKey, Script};
use jtwbuild::memo::snapshot::plan_part;
use jtwbuild::memo::table::Table;
use jtwbuild::memo::{self, Made, Source, Watched};
use jtwbuild::outcome::Failure;
use jtwbuild::plan::Plan;
use jtwbuild::realise::{Builder, Job, Place, Quiet, Run, Settings, Stop, realise};
use jtwbuild::request::{Command, Limits, Request};
use jtwbuild::store::Store;
use jtwbuild::store::facts::Facts;
use jtwbuild::store::tree::{Node, RelPath, Tree, TreeHash};

/// Sources whose first byte is this make their users fail.
const BAD: u8 = 3;

/// What a source holds: what its users read of it, and what they do not.
type Content = (u8, u8);

/// A universe of nodes without anything but inputs and sources.
struct Graph {
    /// For each node its inputs, all before it, and its source.
    nodes: Vec<(Vec<usize>, Option<usize>)>,
    sources: Vec<Content>,
}

impl Graph {
    fn random(random: &mut StdRng) -> Self {
        let count = random.gen_range(2..40);
        let sources = random.gen_range(1..6);
        let node = |index: usize, random: &mut StdRng| {
            let wanted = random.gen_range(0..4).min(index);
            let mut inputs: Vec<usize> = (0..wanted).map(|_| random.gen_range(0..index)).collect();
            inputs.sort_unstable();
            inputs.dedup();
            (inputs, random.gen_bool(0.4).then(|| random.gen_range(0..sources)))
        };
        let nodes = (0..count).map(|index| node(index, random)).collect();
        Self { nodes, sources: vec![(0, 0); sources] }
    }

    fn tree(&self, source: usize) -> TreeHash {
        let mut bytes = [u8::try_from(source).unwrap(); 32];
        (bytes[0], bytes[1]) = self.sources[source];
        TreeHash::from_bytes(bytes)
    }

    fn plan(&self) -> Plan {
        let mut plan = Plan::default();
        for (index, (inputs, source)) in self.nodes.iter().enumerate() {
            let request = Request {
                mounts: vec![],
                stages: vec![vec![Command { argv: vec![index.to_string()], cwd: "/".into() }]],
                env: BTreeMap::new(),
                limits: Limits { seconds: 1, memory: 1, log: 1, processes: 1 },
            };
            let action = Action::Script(Script { request, outputs: vec![] });
            let inputs = inputs.iter().map(|input| Input::Node(NodeId(u32::try_from(*input).unwrap())));
            let inputs = inputs.chain(source.map(|source| Input::Tree(self.tree(source)))).collect();
            plan.add(Derivation::new(Kind::Node, format!("n{index}").into(), &action, inputs));
        }
        plan
    }

    /// Every source, as a run that planned this leaves it.
    fn watched(&self) -> Watched {
        let mut watched = Watched::default();
        for source in 0..self.sources.len() {
            let users = self.nodes.iter().enumerate().filter(|(_, (_, used))| *used == Some(source));
            let users = users.map(|(node, (inputs, _))| (position(node), position(inputs.len()))).collect();
            let path = format!("/nowhere/{source}");
            let source = Source::new(Path::new(&path), self.tree(source), users, SystemTime::now());
            watched.sources.push(source);
        }
        watched
    }

    fn edit(&mut self, random: &mut StdRng) {
        for _ in 0..random.gen_range(1..3) {
            let source = random.gen_range(0..self.sources.len());
            let value = if random.gen_bool(0.15) { BAD } else { random.gen_range(0..3) };
            let read = if random.gen_bool(0.5) { self.sources[source].0 } else { value };
            self.sources[source] = (read, random.gen_range(0..3));
        }
    }
}

fn position(index: usize) -> u32 {
    u32::try_from(index).unwrap()
}

/// Writes the node's name, the first byte of its source and a third of what its inputs hold: some
/// changes get through, some do not.
struct Writer<'a>(&'a Arc<Store>);

impl Builder for Writer<'_> {
    fn build(&self, job: &Job<'_>) -> Result<TreeHash, Failure> {
        let Ok(Action::Script(script)) = job.derivation.action() else { panic!("only scripts") };
        let node = &script.request.stages[0][0].argv[0];
        let mut text = format!("{node}\n");
        for tree in job.trees {
            // Given trees end in 28 equal bytes.
            let bytes = tree.as_bytes();
            if bytes[4..].iter().all(|byte| *byte == bytes[4]) {
                if bytes[0] == BAD {
                    return Err(Failure::BuilderExit { command: "bad".into(), status: 1 });
                }
                text += &format!("source {}\n", bytes[0]);
            } else if bytes[0].is_multiple_of(3) {
                text += &format!("input {tree}\n");
            }
        }
        let staging = self.0.stage().unwrap();
        let file = staging.add_bytes(text.as_bytes(), false).unwrap();
        let mut tree = Tree::default();
        tree.insert(&RelPath::parse("value").unwrap(), Node::File(file)).unwrap();
        Ok(staging.publish(&tree).unwrap())
    }
}

fn run(store: &Arc<Store>, plan: &Plan) -> Run {
    let facts = Facts::load(&store.plans().join("facts"));
    let settings = Settings { jobs: 2, ..Settings::default() };
    let place = Place { plan, store, facts: &facts };
    realise(&place, &Writer(store), &Quiet, &Stop::default(), settings)
}

/// What a run tells of a node.
type Told = (PlanKey, &'static str, Option<BuildKey>, Option<TreeHash>);

fn told(plan: &Plan, run: &Run) -> Vec<Told> {
    let told = |node: NodeId| {
        let report = run.report(node);
        (plan.key(node), report.outcome.word(), report.build, report.tree)
    };
    plan.ids().map(told).collect()
}

fn made(nodes: usize) -> Made {
    Made { universe: "random".into(), nodes, targets: vec![], site: None, sources: vec![] }
}

/// Leaves what a successful run of the whole plan leaves.
fn leave(place: &memo::Place, store: &Store, graph: &Graph, plan: &Plan, run: &Run) {
    let (table, heads) = Table::new(plan, run.nodes.iter().map(|report| (report.build, report.tree)));
    place.leave(store, graph.watched(), made(plan.len()), table, Some(&heads)).unwrap();
}

/// Goes the short way from what is in the store; `None` if it is not there.
fn run_short(place: &memo::Place, store: &Arc<Store>, graph: &Graph) -> Option<Vec<Told>> {
    let mut memo = place.recall()?.memo;
    let mut table = place.table(&memo)?;
    let trees: Vec<TreeHash> = (0..graph.sources.len()).map(|source| graph.tree(source)).collect();
    let sources = memo.watched.sources.iter().zip(&trees);
    let changes: Vec<_> = sources.filter(|(source, tree)| source.tree != **tree).collect();
    let changes: Vec<_> = changes.into_iter().map(|(source, tree)| (source, *tree)).collect();
    let part = plan_part(&mut table, &place.heads(), store, &changes)?;
    let run = run(store, &part.plan);
    let mut told: Vec<Told> = Vec::new();
    for node in 0..table.len() {
        let (build, tree) = table.result(node);
        told.push((table.plan_key(node), "reused", build, tree));
    }
    for (report, node) in run.nodes.iter().zip(&part.places) {
        told[*node] = (table.plan_key(*node), report.outcome.word(), report.build, report.tree);
        if let (Some(build), Some(tree)) = (report.build, report.tree) {
            table.set_result(*node, &build, &tree);
        }
    }
    if run.is_success() {
        for (source, tree) in memo.watched.sources.iter_mut().zip(trees) {
            source.tree = tree;
        }
        place.leave(store, memo.watched, memo.made, table, None).unwrap();
    }
    Some(told)
}

#[test]
fn short_and_whole_way_tell_the_same_of_every_node() {
    let mut words = BTreeMap::<&str, usize>::new();
    let mut short_runs = 0;
    for seed in 0..12 {
        let mut random = StdRng::seed_from_u64(seed);
        let directory = tempfile::tempdir().unwrap();
        let whole = Arc::new(Store::open(&directory.path().join("whole")).unwrap());
        let short = Arc::new(Store::open(&directory.path().join("short")).unwrap());
        let place = memo::Place::new(&short, &BTreeMap::new());
        let mut graph = Graph::random(&mut random);
        for step in 0..8 {
            let plan = graph.plan();
            let expected = told(&plan, &run(&whole, &plan));
            let got = run_short(&place, &short, &graph);
            short_runs += usize::from(got.is_some());
            let got = got.unwrap_or_else(|| {
                assert_eq!(step, 0, "seed {seed}: the short way was not found");
                let run = run(&short, &plan);
                leave(&place, &short, &graph, &plan, &run);
                told(&plan, &run)
            });
            assert_eq!(got, expected, "seed {seed}, step {step}");
            expected.iter().for_each(|(_, word, _, _)| *words.entry(*word).or_default() += 1);
            graph.edit(&mut random);
        }
    }
    assert_eq!(short_runs, 12 * 7);
    for word in ["built", "reused", "cutoff", "failed", "skipped"] {
        assert!(words.get(word).is_some_and(|count| *count > 20), "too little {word}: {words:?}");
    }
}

#[test]
fn output_that_is_gone_leads_to_the_whole_way() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(directory.path()).unwrap());
    let place = memo::Place::new(&store, &BTreeMap::new());
    let nodes = vec![(vec![], None), (vec![], Some(0)), (vec![0, 1], None)];
    let mut graph = Graph { nodes, sources: vec![(0, 0)] };
    let plan = graph.plan();
    let first = run(&store, &plan);
    leave(&place, &store, &graph, &plan, &first);
    graph.sources[0] = (0, 1);
    assert!(run_short(&place, &store, &graph).is_some());
    std::fs::remove_dir_all(store.tree_path(&first.nodes[0].tree.unwrap())).unwrap();
    graph.sources[0] = (0, 2);
    assert!(run_short(&place, &store, &graph).is_none());
}

/// Every byte, changed by itself, and every shorter file: the short way is not gone, or it is as it
/// would be.
#[test]
fn damaged_files_are_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(directory.path()).unwrap());
    let place = memo::Place::new(&store, &BTreeMap::new());
    let graph = Graph { nodes: vec![(vec![], Some(0)), (vec![0], None)], sources: vec![(0, 0)] };
    let plan = graph.plan();
    let first = run(&store, &plan);
    leave(&place, &store, &graph, &plan, &first);
    let plan_again = || {
        let memo = place.recall()?.memo;
        let mut table = place.table(&memo)?;
        let changes = [(&memo.watched.sources[0], TreeHash::from_bytes([7; 32]))];
        let part = plan_part(&mut table, &place.heads(), &store, &changes)?;
        Some(part.plan.ids().map(|node| part.plan.key(node)).collect::<Vec<_>>())
    };
    let good = plan_again();
    assert!(good.is_some());
    let files = std::fs::read_dir(store.plans()).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| !path.ends_with("facts")).collect();
    assert_eq!(files.len(), 3);
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        let is_heads = path == place.heads();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x81;
            std::fs::write(&path, &damaged).unwrap();
            let found = plan_again();
            // The start of the heads tells only whether they have to be written again.
            assert!(found.is_none() || (is_heads && at < 32 && found == good), "{path:?} at {at}");
            std::fs::write(&path, &bytes[..at]).unwrap();
            assert!(plan_again().is_none(), "{path:?} cut at {at}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(plan_again().is_none(), "{path:?} is gone");
        std::fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(plan_again(), good);
}
