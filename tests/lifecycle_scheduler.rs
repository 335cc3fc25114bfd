//! The scheduler when things go wrong: panics, machines in trouble, flaky builders, thousands of
//! nodes in any order. A real store, and builders that write real trees.

mod scheduler;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jtwbuild::derivation::{Kind, NodeId};
use jtwbuild::outcome::{Failure, Outcome};
use jtwbuild::plan::Plan;
use jtwbuild::realise::{EQUAL_TROUBLES, GivenUp, Job, NodeReport, Progress, Settings, Stop};
use jtwbuild::store::Store;
use jtwbuild::store::tree::TreeHash;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use scheduler::{Bench, kinds, node, random_plan, write};

/// A bound for everything that could hang: nothing here takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Does `work` on a thread of its own and fails when it hangs.
fn without_hanging<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || sender.send(work()));
    match receiver.recv_timeout(PATIENCE) {
        Ok(result) => {
            thread.join().unwrap().unwrap();
            result
        }
        Err(_) if thread.is_finished() => {
            std::panic::resume_unwind(thread.join().expect_err("it sent nothing"))
        }
        Err(error) => panic!("the run hangs: {error}"),
    }
}

fn broken_exit() -> Failure {
    Failure::BuilderExit { command: "x".into(), status: 1 }
}

#[test]
fn panic_of_a_builder_costs_its_node_and_what_needs_it() {
    without_hanging(|| {
        for jobs in [1, 3] {
            let bench = Bench::new();
            let mut plan = Plan::default();
            let bad = plan.add(node("bad", &[]));
            let other = plan.add(node("other", &[]));
            plan.add(node("above", &[bad, other]));
            plan.add(node("beside", &[other]));
            let settings = Settings { jobs, ..Settings::default() };
            let run = bench.run(&plan, settings, |store, job| {
                assert_ne!(&*job.derivation.name, "bad", "deliberately");
                Ok(write(store, job, ""))
            });
            assert_eq!(run.words(), ["failed", "built", "not-decided", "built"]);
            let Outcome::Failed(Failure::Internal { what }) = &run.nodes[0].outcome else {
                panic!("{:?}", run.nodes[0].outcome)
            };
            assert!(what.contains("deliberately"), "{what}");
            assert_eq!(run.nodes[2].outcome.because(), Some("node/bad"));
            assert_eq!(bench.leftovers(), [""; 0]);
            // It is no verdict: the next run decides it.
            let again = bench.run(&plan, settings, |store, job| Ok(write(store, job, "")));
            assert_eq!(again.words(), ["built", "reused", "built", "reused"]);
        }
    });
}

/// A progress that panics at its `at`th call, counted from 0.
struct Broken {
    calls: AtomicUsize,
    at: usize,
}

impl Broken {
    fn call(&self) {
        assert_ne!(self.calls.fetch_add(1, Ordering::SeqCst), self.at, "deliberately");
    }
}

impl Progress for Broken {
    fn wanted(&self, _: &[NodeId]) {
        self.call();
    }
    fn started(&self, _: NodeId) {
        self.call();
    }
    fn decided(&self, _: NodeId, _: &NodeReport) {
        self.call();
    }
}

/// Also where it is called with the scheduler's lock held: the node `user` is skipped there.
#[test]
fn panic_of_the_display_at_every_call_changes_nothing() {
    let mut plan = Plan::default();
    let bad = plan.add(node("bad", &[]));
    let good = plan.add(node("good", &[]));
    plan.add(node("user", &[bad, good]));
    plan.add(node("last", &[good]));
    let mut most = 0;
    for at in 0.. {
        let plan = plan.clone();
        let (words, calls) = without_hanging(move || {
            let bench = Bench::new();
            let broken = Broken { calls: AtomicUsize::new(0), at };
            let settings = Settings { jobs: 2, ..Settings::default() };
            let run = bench.run_shown(&plan, &broken, &Stop::default(), settings, |store, job| {
                if &*job.derivation.name == "bad" { Err(broken_exit()) } else { Ok(write(store, job, "")) }
            });
            (run.words(), broken.calls.into_inner())
        });
        assert_eq!(words, ["failed", "built", "skipped", "built"], "call {at}");
        most = most.max(calls);
        if at >= calls {
            break;
        }
    }
    assert_eq!(most, 1 + 3 + 4, "wanted once, three builders started, four nodes decided");
}

#[test]
fn full_disk_in_the_middle_of_a_thousand_nodes_leaves_the_rest_open_and_resume_decides_them() {
    trouble_in_the_middle(1000, Failure::NoSpace { what: "test".into() }, 1);
}

#[test]
fn machine_that_fails_in_the_middle_leaves_the_rest_open_and_resume_gives_the_same_trees() {
    let failure = Failure::Machine { what: "the store".into(), reason: "Input/output error".into() };
    trouble_in_the_middle(100, failure, EQUAL_TROUBLES as usize);
    let failure = Failure::Sandbox { what: "new namespaces".into(), reason: "no".into() };
    trouble_in_the_middle(100, failure, EQUAL_TROUBLES as usize);
}

/// From the middle on every builder meets the trouble. `tries` of them are allowed before the run
/// gives up, plus those that run at the time.
fn trouble_in_the_middle(nodes: usize, failure: Failure, tries: usize) {
    const JOBS: usize = 4;
    let bench = Bench::new();
    let plan = random_plan(nodes, &mut StdRng::seed_from_u64(1), |_| Kind::Node);
    let settings = Settings { jobs: JOBS, ..Settings::default() };
    let (started, half) = (AtomicUsize::new(0), nodes / 2);
    let run = bench.run(&plan, settings, |store, job| {
        if started.fetch_add(1, Ordering::SeqCst) < half {
            Ok(write(store, job, ""))
        } else {
            Err(failure.clone())
        }
    });
    assert_eq!((run.count("built"), run.count("skipped")), (half, 0));
    assert_eq!(run.given_up, GivenUp::Everything);
    let failed = run.count("failed");
    // Builders that were running already may succeed in between, and so begin the count anew.
    assert!((tries..(tries + 1) * JOBS).contains(&failed), "{failed} failed for {failure:?}");
    assert_eq!(run.count("not-decided"), nodes - half - failed);
    let resumed = bench.run(&plan, settings, |store, job| Ok(write(store, job, "")));
    assert_eq!((resumed.count("built"), resumed.count("reused")), (nodes - half, half));
    if nodes <= 100 {
        let undisturbed = Bench::new();
        undisturbed.run(&plan, Settings::default(), |store, job| Ok(write(store, job, "")));
        assert_eq!(bench.trees(), undisturbed.trees());
    }
}

#[test]
fn network_that_dies_in_the_middle_ends_downloads_and_nothing_else() {
    const JOBS: usize = 4;
    let bench = Bench::new();
    let mut plan = Plan::default();
    for index in 0..100 {
        let source = plan.add(kinds(Kind::Source, &format!("s{index}"), &[]));
        plan.add(kinds(Kind::Build, &format!("b{index}"), &[source]));
    }
    let settings = Settings { jobs: JOBS, ..Settings::default() };
    let fetched = AtomicUsize::new(0);
    let run = bench.run(&plan, settings, |store, job| {
        if job.derivation.kind == Kind::Source && fetched.fetch_add(1, Ordering::SeqCst) >= 40 {
            return Err(Failure::FetchFailed {
                what: job.derivation.name.to_string(),
                tried: vec![],
                lost: false,
            });
        }
        Ok(write(store, job, ""))
    });
    let failed = run.count("failed");
    let tries = EQUAL_TROUBLES as usize;
    assert!((tries..(tries + 1) * JOBS).contains(&failed), "{failed}");
    // What was fetched before was still built.
    assert_eq!((run.count("built"), run.given_up), (80, GivenUp::Fetching));
    assert_eq!(run.count("not-decided"), 200 - 80 - failed);
    let resumed = bench.run(&plan, settings, |store, job| Ok(write(store, job, "")));
    assert_eq!((resumed.count("built"), resumed.count("reused")), (120, 80));
}

#[test]
fn root_cause_with_900_dependants_is_one_failure() {
    let bench = Bench::new();
    let mut plan = Plan::default();
    let bad = plan.add(node("bad", &[]));
    let mut last = bad;
    for index in 0..900 {
        // Half a chain, half a fan.
        let below = if index % 2 == 0 { last } else { bad };
        last = plan.add(node(&format!("n{index}"), &[below]));
    }
    let settings = Settings { jobs: 2, ..Settings::default() };
    let run = bench.run(&plan, settings, |_, _| Err(broken_exit()));
    assert_eq!(run.root_causes().count(), 1);
    let blocked = run.nodes.iter().filter(|report| report.outcome.because() == Some("node/bad"));
    assert_eq!((blocked.count(), run.count("skipped")), (900, 900));
}

#[test]
fn flaky_builder_passes_with_retries_and_is_marked() {
    let bench = Bench::new();
    let mut plan = Plan::default();
    let flaky = plan.add(node("flaky", &[]));
    plan.add(node("user", &[flaky]));
    let tries = Mutex::new(BTreeMap::<String, u32>::new());
    let fails_twice = |store: &Arc<Store>, job: &Job<'_>| -> Result<TreeHash, Failure> {
        let mut tries = tries.lock().unwrap();
        let count = tries.entry(job.derivation.name.to_string()).or_default();
        *count += 1;
        if &*job.derivation.name == "flaky" && !count.is_multiple_of(3) {
            return Err(broken_exit());
        }
        Ok(write(store, job, ""))
    };
    let retries = |retries| Settings { retries, retry_failed: true, ..Settings::default() };
    // Three tries in all are one short of what two failures and a success need after one.
    let run = bench.run(&plan, retries(1), fails_twice);
    assert_eq!(run.words(), ["failed", "skipped"]);
    assert_eq!(run.nodes[0].failed_tries, 1);
    assert!(!run.nodes[0].is_flaky());
    // The verdict is remembered.
    let run = bench.run(&plan, Settings { retries: 5, ..Settings::default() }, fails_twice);
    assert_eq!(run.words(), ["failed", "skipped"]);
    tries.lock().unwrap().clear();
    let run = bench.run(&plan, retries(2), fails_twice);
    assert_eq!(run.words(), ["built", "built"]);
    assert_eq!((run.nodes[0].failed_tries, run.nodes[1].failed_tries), (2, 0));
    assert!(run.nodes[0].is_flaky() && !run.nodes[1].is_flaky());
    let record = bench.record(&plan, &run, flaky);
    assert_eq!(record.failed_tries, 2);
    let log = bench.log(&plan, &run, flaky);
    assert!(log.contains("this is try 2") && log.contains("this is try 3"), "{log}");
}

#[test]
fn only_a_builders_own_doing_is_tried_again() {
    let failures = [
        Failure::HashMismatch { url: "u".into(), expected: "a".into(), got: "b".into(), size: 1, kept: None },
        Failure::BadInput { what: "x".into(), reason: "y".into() },
        Failure::BadOutput { path: "x".into(), reason: "y".into() },
        Failure::TimeOut { seconds: 1 },
        Failure::NoSpace { what: "x".into() },
        Failure::FetchFailed { what: "x".into(), tried: vec![], lost: false },
        Failure::Machine { what: "x".into(), reason: "y".into() },
    ];
    for failure in failures {
        let bench = Bench::new();
        let mut plan = Plan::default();
        plan.add(node("x", &[]));
        let tries = AtomicUsize::new(0);
        let settings = Settings { retries: 5, ..Settings::default() };
        bench.run(&plan, settings, |_, _| {
            tries.fetch_add(1, Ordering::SeqCst);
            Err(failure.clone())
        });
        assert_eq!(tries.into_inner(), 1, "{failure:?}");
    }
}

#[test]
fn stop_ends_retries() {
    let bench = Bench::new();
    let mut plan = Plan::default();
    plan.add(node("x", &[]));
    let tries = AtomicUsize::new(0);
    let settings = Settings { retries: 100, ..Settings::default() };
    bench.run(&plan, settings, |_, job| {
        if tries.fetch_add(1, Ordering::SeqCst) == 2 {
            job.stop.request();
        }
        Err(broken_exit())
    });
    assert_eq!(tries.into_inner(), 3);
}

/// How many descriptors this process has open.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// 2,000 nodes (10,000 in the long variant), 64 jobs, 0 to 5 ms each in an order that a seed decides. The builders give a tree
/// that is there already: what is tested is the scheduler.
#[test]
fn thousands_of_nodes_with_64_jobs_end_without_deadlock_or_starvation() {
    const JOBS: usize = 64;
    let nodes = if std::env::var_os("JTWBUILD_LONG").is_some() { 10_000 } else { 2000 };
    let seed = scheduler::seed();
    let plan = random_plan(nodes, &mut StdRng::seed_from_u64(seed), |index| {
        if index % 7 == 0 { Kind::Source } else { Kind::Build }
    });
    let (most_running, most_open) = without_hanging(move || {
        let bench = Bench::new();
        let (running, most, open) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let finished = Mutex::new(vec![false; nodes]);
        let begun = Instant::now();
        let settings = Settings { jobs: JOBS, ..Settings::default() };
        let run = bench.run(&plan, settings, |store, job| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            if job.node.0.is_multiple_of(101) {
                open.fetch_max(descriptors(), Ordering::SeqCst);
            }
            {
                let finished = finished.lock().unwrap();
                let is_early = job.derivation.needs().any(|input| !finished[input.index()]);
                assert!(!is_early, "{} before its inputs", job.derivation.name);
            }
            let mut random = StdRng::seed_from_u64(seed ^ u64::from(job.node.0));
            std::thread::sleep(Duration::from_micros(random.gen_range(0..1000)));
            running.fetch_sub(1, Ordering::SeqCst);
            finished.lock().unwrap()[job.node.index()] = true;
            Ok(scheduler::constant(store))
        });
        assert_eq!(run.count("built"), nodes, "seed {seed}");
        println!("{nodes} nodes, {JOBS} jobs: {:?}", begun.elapsed());
        (most.into_inner(), open.into_inner())
    });
    println!("at most {most_running} running, {most_open} descriptors");
    assert!(most_running <= JOBS, "{most_running}");
    assert!(most_running > 4, "only {most_running} of {JOBS} jobs were ever used");
    // What other tests of this program have open at the same time counts as well.
    assert!(most_open < 1024, "{most_open} descriptors");
}
