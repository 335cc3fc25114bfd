//! R91, R94: the same trees with any number of jobs, in any order, with any interruptions; and no
//! mixing of what different machines made.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jtwbuild::derivation::{Kind, NodeId};
use jtwbuild::plan::Plan;
use jtwbuild::realise::{Quiet, Settings, Stop};
use jtwbuild::store::Store;
use jtwbuild::store::tree::TreeHash;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::scheduler::{Bench, Ran, node, random_plan, scripted, seed, word, write};
use crate::support::{TestUniverse, copy_linked};

/// Nodes whose builders could see order and time if anything let them.
fn fixture() -> String {
    let mut text = String::from("name = \"fixture\"\n");
    for index in 0..24 {
        let inputs: BTreeSet<usize> =
            [index / 2, index / 3].into_iter().filter(|input| *input < index).collect();
        let inputs: Vec<String> = inputs.iter().map(|input| format!("n{input}")).collect();
        let script = match index % 4 {
            0 => "ls -R /in /tmp /bin > $out/seen 2> $out/errors || true; id > $out/id",
            1 => {
                "for i in $(seq 40); do echo $i > $out/$i; done; mkdir -p /tmp/x; find /in /tmp/x -type f | sort | xargs cat > $out/all"
            }
            2 => "env | sort > $out/env; hostname > $out/host; pwd > $out/pwd; umask > $out/umask",
            _ => "for i in 1 2 3; do (sleep 0.0$i; echo $i > $out/c$i) & done; wait; ls $out > $out/names",
        };
        text += &format!("[[node]]\nname = \"n{index}\"\ninputs = {inputs:?}\nscript = '{script}'\n");
    }
    text
}

fn trees_of(universe: &TestUniverse, arguments: &str) -> Vec<(String, String)> {
    let json = universe.run(arguments).success().json();
    let nodes = json["nodes"].as_array().unwrap().iter();
    nodes.map(|node| (node["name"].to_string(), node["tree"].to_string())).collect()
}

#[test]
fn trees_are_the_same_with_any_number_of_jobs_and_after_five_interruptions() {
    let text = fixture();
    let Some(one) = TestUniverse::buildable(&text) else { return };
    let begun = Instant::now();
    let expected = trees_of(&one, "realise universe.toml --json -j 1");
    let alone = begun.elapsed();
    assert_eq!(expected.len(), 25);
    let Some(many) = TestUniverse::buildable(&text) else { return };
    assert_eq!(trees_of(&many, "realise universe.toml --json -j 64"), expected);
    assert_eq!(many.trees(), one.trees());

    let Some(resumed) = TestUniverse::buildable(&text) else { return };
    let mut random = StdRng::seed_from_u64(seed());
    let mut interrupted = 0;
    for _ in 0..5 {
        let mut command = resumed.command("realise universe.toml -q -j 3");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_secs_f64(random.gen_range(0.02..0.02 + alone.as_secs_f64() / 6.0)));
        let signal = if random.gen_bool(0.5) { "INT" } else { "KILL" };
        drop(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status());
        interrupted += usize::from(child.wait_with_output().unwrap().status.code() != Some(0));
    }
    assert!(interrupted > 0);
    assert_eq!(trees_of(&resumed, "realise universe.toml --json -j 2"), expected);
    assert_eq!(resumed.trees(), one.trees());
    println!("{interrupted} of 5 interrupted");
}

/// Nodes end in an order that a seed decides; runs are stopped at a random node.
#[test]
fn trees_are_the_same_in_any_order_of_completion() {
    let plan = random_plan(60, &mut StdRng::seed_from_u64(7), |_| Kind::Node);
    let mut expected = None;
    let first = seed();
    for round in 0..4 {
        let bench = Bench::new();
        let seed = first.wrapping_add(round);
        let settings =
            Settings { jobs: [1, 64, 8, 3][usize::try_from(round).unwrap()], ..Settings::default() };
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..random.gen_range(0..4) {
            let (stop, at) = (Stop::default(), random.gen_range(0..60));
            bench.run_shown(&plan, &Quiet, &stop, settings, |store, job| {
                if job.node == NodeId(at) {
                    job.stop.request();
                }
                pause(seed, job.node);
                Ok(write(store, job, ""))
            });
        }
        let run = bench.run(&plan, settings, |store, job| {
            pause(seed, job.node);
            Ok(write(store, job, ""))
        });
        let trees: Vec<_> = run.nodes.iter().map(|report| report.tree.unwrap()).collect();
        let keys: Vec<_> = run.nodes.iter().map(|report| report.build).collect();
        let all = (trees, keys, bench.trees());
        assert_eq!(*expected.get_or_insert_with(|| all.clone()), all, "seed {seed}");
    }
}

fn pause(seed: u64, node: NodeId) {
    let mut random = StdRng::seed_from_u64(seed ^ u64::from(node.0));
    std::thread::sleep(Duration::from_micros(random.gen_range(0..2000)));
}

/// `noise` gives another tree wherever it is built; `user` and `top` need it, `apart` does not.
fn noisy() -> (Plan, [NodeId; 4]) {
    let mut plan = Plan::default();
    let noise = plan.add(node("noise", &[]));
    let apart = plan.add(node("apart", &[]));
    let user = plan.add(node("user", &[noise, apart]));
    let top = plan.add(scripted(Kind::Node, "top", "top", &[user]));
    (plan, [noise, apart, user, top])
}

fn run_noisy(bench: &Bench, plan: &Plan, noise: &str) -> (Ran, BTreeSet<String>) {
    let built = std::sync::Mutex::new(BTreeSet::new());
    let run = bench.run(plan, Settings::default(), |store, job| {
        built.lock().unwrap().insert(job.derivation.name.to_string());
        let more = if word(job) == "noise" { noise } else { "" };
        Ok(write(store, job, more))
    });
    assert!(run.is_success());
    (run, built.into_inner().unwrap())
}

fn move_into(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    copy_linked(from, to);
}

#[test]
fn dependants_of_another_machines_output_get_other_keys_and_nothing_is_mixed() {
    let (plan, [noise, apart, user, top]) = noisy();
    let (here, there) = (Bench::new(), Bench::new());
    let (ours, _) = run_noisy(&here, &plan, "ours");
    let (theirs, _) = run_noisy(&there, &plan, "theirs");
    let tree = |run: &Ran, node| -> TreeHash { run.report(node).tree.unwrap() };
    assert_eq!(ours.report(noise).build, theirs.report(noise).build, "one key, two outputs");
    assert_ne!(tree(&ours, noise), tree(&theirs, noise));
    assert_eq!(tree(&ours, apart), tree(&theirs, apart));

    // The record and the tree of `noise` come from there; what this store knows by heart is gone.
    let build = theirs.report(noise).build.unwrap();
    let name = Store::layer_id("node", &build);
    let imported = tree(&theirs, noise).to_hex();
    move_into(&there.path().join("layers").join(&name), &here.path().join("layers").join(&name));
    move_into(&there.path().join("trees").join(&imported), &here.path().join("trees").join(&imported));
    std::fs::remove_file(here.path().join("plans/facts")).unwrap();
    let (mixed, built) = run_noisy(&here, &plan, "never");
    // `top` and `user` are known by their plan keys no more, and by other build keys.
    assert_eq!(built, ["top", "user"].map(str::to_owned).into());
    assert_eq!(tree(&mixed, noise), tree(&theirs, noise));
    for dependant in [user, top] {
        assert_ne!(mixed.report(dependant).build, ours.report(dependant).build);
        assert_eq!(mixed.report(dependant).build, theirs.report(dependant).build);
        assert_eq!(tree(&mixed, dependant), tree(&theirs, dependant));
        let record = here.record(&plan, &mixed, dependant);
        let inputs = record.document["inputs"].to_string();
        assert!(
            !inputs.contains(&tree(&ours, noise).to_hex()) && !inputs.contains(&tree(&ours, user).to_hex())
        );
    }
    assert_eq!(mixed.report(apart).outcome.word(), "reused");
    // Both are in the store, side by side, and each hashes to its name.
    let store = Store::open(here.path()).unwrap();
    for run in [&ours, &mixed] {
        for node in [noise, user, top] {
            let found = jtwbuild::store::staging::scan(&store.tree_path(&tree(run, node))).unwrap();
            assert_eq!(found.hash(), tree(run, node));
        }
    }
}
