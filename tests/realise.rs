//! The scheduler with a real store and builders that write real trees: what runs, what does not,
//! and in which order.

mod scheduler;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jtwbuild::derivation::{Derivation, Kind, NodeId};
use jtwbuild::outcome::{Failure, Outcome};
use jtwbuild::plan::Plan;
use jtwbuild::realise::{Builder, Job, Place, Quiet, Run, Settings, Stop, realise};
use jtwbuild::store::Store;
use jtwbuild::store::facts::Facts;
use jtwbuild::store::tree::{Node, RelPath, Tree, TreeHash};

/// A node whose command is a word of the [`Writer`].
fn script(name: &str, word: &str, inputs: &[NodeId]) -> Derivation {
    scheduler::scripted(Kind::Node, name, word, inputs)
}

/// Writes the part of its word before a `#` and its inputs' hashes, like a program that ignores
/// comments. `fail…` and `time-out…` do what they say.
struct Writer<'a> {
    store: &'a Arc<Store>,
    runs: AtomicUsize,
    order: Mutex<Vec<String>>,
}

impl Builder for Writer<'_> {
    fn build(&self, job: &Job<'_>) -> Result<TreeHash, Failure> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.order.lock().unwrap().push(job.derivation.name.to_string());
        let word = scheduler::word(job);
        match word.as_str() {
            "fail" => return Err(Failure::BuilderExit { command: "fail".into(), status: 1 }),
            "time-out" => return Err(Failure::TimeOut { seconds: 1 }),
            "no-space" => return Err(Failure::NoSpace { what: "test".into() }),
            "stop" => job.stop.request(),
            _ => {}
        }
        let text = format!("{} {:?}", word.split('#').next().unwrap(), job.trees);
        let staging = self.store.stage().unwrap();
        let file = staging.add_bytes(text.as_bytes(), false).unwrap();
        let mut tree = Tree::default();
        tree.insert(&RelPath::parse("value").unwrap(), Node::File(file)).unwrap();
        Ok(staging.publish(&tree).unwrap())
    }
}

/// Realises `plan` in the store below `root`; returns the run and the names of what was built.
fn run(root: &Path, plan: &Plan, retry_failed: bool) -> (Run, Vec<String>) {
    let store = Arc::new(Store::open(root).unwrap());
    let facts = Facts::load(&store.plans().join("facts"));
    let place = Place { plan, store: &store, facts: &facts };
    let writer = Writer { store: &store, runs: AtomicUsize::new(0), order: Mutex::default() };
    let settings = Settings { jobs: 2, retry_failed, ..Settings::default() };
    let run = realise(&place, &writer, &Quiet, &Stop::default(), settings);
    (run, writer.order.into_inner().unwrap())
}

fn words(run: &Run) -> Vec<&'static str> {
    run.nodes.iter().map(|report| report.outcome.word()).collect()
}

/// bottom → chain of `length` → top, with `word` at the bottom.
fn chain(word: &str, length: usize) -> Plan {
    let mut plan = Plan::default();
    let mut last = plan.add(script("bottom", word, &[]));
    for index in 0..length {
        last = plan.add(script(&format!("n{index}"), "step", &[last]));
    }
    plan
}

#[test]
fn second_run_builds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (first, built) = run(directory.path(), &chain("a", 3), false);
    assert_eq!(words(&first), ["built"; 4]);
    assert_eq!(built, ["bottom", "n0", "n1", "n2"]);
    let (second, built) = run(directory.path(), &chain("a", 3), false);
    assert_eq!(words(&second), ["reused"; 4]);
    assert!(built.is_empty());
}

#[test]
fn comment_at_the_bottom_of_a_long_chain_rebuilds_one_node() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), &chain("a#one", 200), false);
    let (second, built) = run(directory.path(), &chain("a#two", 200), false);
    assert_eq!(built, ["bottom"]);
    assert_eq!((second.count("built"), second.count("cutoff")), (1, 200));
    let (third, built) = run(directory.path(), &chain("b", 200), false);
    assert_eq!((built.len(), third.count("built")), (201, 201));
}

#[test]
fn run_without_the_facts_cache_finds_everything_in_the_layers() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), &chain("a", 3), false);
    std::fs::remove_file(directory.path().join("plans/facts")).unwrap();
    let (second, built) = run(directory.path(), &chain("a", 3), false);
    assert!(built.is_empty(), "{built:?}");
    assert_eq!(words(&second), ["reused"; 4]);
}

#[test]
fn lost_tree_is_built_again_once() {
    let directory = tempfile::tempdir().unwrap();
    let plan = chain("a", 2);
    let (first, _) = run(directory.path(), &plan, false);
    let store = Store::open(directory.path()).unwrap();
    for report in [&first.nodes[1], &first.nodes[2]] {
        std::fs::remove_dir_all(store.tree_path(&report.tree.unwrap())).unwrap();
    }
    let (second, built) = run(directory.path(), &plan, false);
    assert_eq!(built, ["n0", "n1"]);
    assert!(second.is_success());
}

#[test]
fn failure_is_one_root_cause_and_the_rest_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = Plan::default();
    let bad = plan.add(script("bad", "fail", &[]));
    let good = plan.add(script("good", "fine", &[]));
    let user = plan.add(script("user", "step", &[bad, good]));
    plan.add(script("above", "step", &[user]));
    plan.add(script("other", "step", &[good]));
    let (first, _) = run(directory.path(), &plan, false);
    assert_eq!(words(&first), ["failed", "built", "skipped", "skipped", "built"]);
    assert_eq!(first.root_causes().count(), 1);
    assert_eq!(first.nodes[3].outcome, Outcome::Skipped { because: "node/bad".into() });

    let (again, built) = run(directory.path(), &plan, false);
    assert!(built.is_empty(), "a verdict is remembered: {built:?}");
    assert_eq!(words(&again), ["failed", "reused", "skipped", "skipped", "reused"]);
    let (_, built) = run(directory.path(), &plan, true);
    assert_eq!(built, ["bad"]);
}

#[test]
fn trouble_of_the_machine_is_not_remembered() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let (run, built) = run(directory.path(), &chain("time-out", 1), false);
        assert_eq!(words(&run), ["failed", "not-decided"]);
        assert_eq!(run.nodes[1].outcome.because(), Some("node/bottom"));
        assert_eq!(built, ["bottom"]);
        let log = run.nodes[0].log.as_ref().expect("the log is kept for people");
        assert!(log.starts_with(directory.path().join("interrupted")));
    }
}

#[test]
fn full_disk_starts_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = Plan::default();
    plan.add(script("full", "no-space", &[]));
    for index in 0..50 {
        plan.add(script(&format!("n{index}"), "step", &[]));
    }
    let (run, _) = run(directory.path(), &plan, false);
    assert_eq!(run.count("failed"), 1);
    assert!(run.count("not-decided") >= 45, "{:?}", words(&run));
}

#[test]
fn stopped_run_decides_nothing_more_and_can_be_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let (first, _) = run(directory.path(), &chain("stop", 5), false);
    assert_eq!((first.count("built"), first.count("not-decided")), (1, 5));
    let (second, built) = run(directory.path(), &chain("stop", 5), false);
    assert_eq!(built, ["n0", "n1", "n2", "n3", "n4"]);
    assert!(second.is_success());
}

#[test]
fn most_urgent_node_starts_first() {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = Plan::default();
    let store = Arc::new(Store::open(directory.path()).unwrap());
    plan.add(script("short", "a", &[]));
    let mut last = plan.add(script("long", "b", &[]));
    for index in 0..3 {
        last = plan.add(script(&format!("n{index}"), "step", &[last]));
    }
    let facts = Facts::load(&store.plans().join("facts"));
    let writer = Writer { store: &store, runs: AtomicUsize::new(0), order: Mutex::default() };
    let place = Place { plan: &plan, store: &store, facts: &facts };
    realise(&place, &writer, &Quiet, &Stop::default(), Settings { jobs: 1, ..Settings::default() });
    assert_eq!(writer.order.into_inner().unwrap(), ["long", "n0", "n1", "short", "n2"]);
}

#[test]
fn two_runs_on_one_store_build_each_node_once() {
    let directory = tempfile::tempdir().unwrap();
    let plan = chain("a", 20);
    let total: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..2).map(|_| scope.spawn(|| run(directory.path(), &plan, false).1.len())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(total, 21);
}
