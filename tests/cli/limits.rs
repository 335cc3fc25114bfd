//! Runs under limits that somebody else has set, and with clocks that somebody has turned: they cost
//! time or end in trouble of the machine, and never come to a verdict or a stale answer.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::TWO_NODES;
use crate::support::{Ended, PROGRAM, TestUniverse, skip};

/// Nodes beside each other whose scripts fork, and one that needs them all.
fn fan(nodes: usize, script: &str) -> String {
    let mut text = "name = \"x\"\n".to_owned();
    let mut names = Vec::new();
    for index in 0..nodes {
        writeln!(text, "[[node]]\nname = \"n{index}\"\nscript = '''{script} # {index}'''").unwrap();
        names.push(format!("\"n{index}\""));
    }
    writeln!(
        text,
        "[[node]]\nname = \"all\"\ninputs = [{}]\nscript = \"cat /in/*/x > $out/x\"",
        names.join(", ")
    )
    .unwrap();
    text
}

/// Whether anything is remembered as failed in the store of this directory.
fn remembers_failures(store: &std::path::Path) -> bool {
    fs::read_dir(store.join("layers")).unwrap().any(|layer| {
        let record = fs::read_to_string(layer.unwrap().path().join("layer.json"));
        record.is_ok_and(|record| record.contains("\"status\": \"failure\""))
    })
}

/// Nothing but success or clear trouble of the machine.
#[track_caller]
fn is_no_verdict(ended: &Ended, limit: &str) {
    assert!(matches!(ended.code, Some(0 | 4)), "{limit}: {ended}");
    assert!(!ended.stderr.contains("panicked"), "{limit}: {ended}");
    assert!(
        ended.code == Some(0) || ended.stderr.contains(" failed: ") || ended.stderr.contains("jtwbuild::"),
        "{limit}: {ended}"
    );
}

#[test]
fn few_descriptors_mean_fewer_jobs_or_trouble_and_never_a_verdict() {
    let text = fan(6, "yes | head -n 2 | sort > $out/x");
    let mut codes = Vec::new();
    for limit in [8, 16, 24, 32, 40, 64, 128] {
        let Some(universe) = TestUniverse::buildable(&text) else { return };
        let script = format!("ulimit -n {limit}; exec $jtwbuild realise universe.toml -j 6 --json");
        let output = universe.tool("sh").args(["-euc", &script]).env("jtwbuild", PROGRAM).output().unwrap();
        let ended = Ended::new("realise universe.toml -j 6 --json", output);
        is_no_verdict(&ended, &format!("ulimit -n {limit}"));
        assert!(!remembers_failures(&universe.path("store")), "ulimit -n {limit}: {ended}");
        if limit >= 64 {
            assert!(ended.stderr.contains(" at a time instead of 6: "), "{ended}");
        }
        universe.run("realise universe.toml").success();
        codes.push((limit, ended.code.unwrap()));
    }
    assert_eq!(codes.last(), Some(&(128, 0)), "{codes:?}");
    assert_eq!(codes.first(), Some(&(8, 4)), "{codes:?}");
    println!("descriptors and exit codes: {codes:?}");
}

/// As an ordinary user: the kernel does not hold root to it.
#[test]
fn few_processes_mean_fewer_jobs_or_trouble_and_never_a_verdict() {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    // An ordinary user of his own has no other processes that would count.
    let user = if is_root { "setpriv --reuid=54323 --regid=54323 --clear-groups" } else { "" };
    let text = fan(6, "yes | head -n 2 | sort | cat | cat > $out/x");
    let mut codes = Vec::new();
    for limit in [1, 2, 4, 6, 8, 16, 24, 64, 256] {
        let Some(universe) = TestUniverse::buildable(&text) else { return };
        fs::copy(PROGRAM, universe.path("program")).unwrap();
        // The store's files are shared with other tests, so he gets a copy of his own.
        let open = "chmod 755 . program; mkdir his; cp universe.* his; cp -a store his
                    if [ $(id -u) = 0 ]; then chown -R 54323:54323 his; fi";
        assert!(universe.tool("sh").args(["-euc", open]).status().unwrap().success());
        let run = |before: &str| {
            let script = format!("cd his; exec {user} {before} ../program realise universe.toml -j 6 --json");
            let output = universe.tool("sh").args(["-euc", &script]).output().unwrap();
            Ended::new("realise universe.toml -j 6 --json", output)
        };
        let ended = run(&format!("prlimit --nproc={limit}"));
        is_no_verdict(&ended, &format!("ulimit -u {limit}"));
        assert!(!remembers_failures(&universe.path("his/store")), "ulimit -u {limit}: {ended}");
        let free = run("");
        if free.code == Some(4) && free.stderr.contains("namespaces") {
            return skip("an ordinary user cannot make namespaces here");
        }
        free.success();
        codes.push((limit, ended.code.unwrap()));
    }
    assert_eq!(codes.first(), Some(&(1, 4)), "{codes:?}");
    println!("processes and exit codes: {codes:?}");
}

/// A small disk that fills up in the middle of two hundred nodes.
#[test]
fn full_disk_in_the_middle_of_two_hundred_nodes_leaves_the_rest_open_and_resume_decides_them() {
    const NODES: usize = 200;
    let text = fan(NODES, "head -c 500000 /dev/urandom > $out/x");
    let text = text.replace("cat /in/*/x > $out/x", "ls /in > $out/x");
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    if universe.run_in_namespaces("", "true").code != Some(0) {
        return skip("no user namespaces, or no `unshare` of util-linux");
    }
    let script = "mv store seeded; mkdir store
        mount -t tmpfs -o size=264m tmpfs store
        cp -a seeded/. store/
        head -c 209715200 /dev/zero > store/taken
        code=0; $jtwbuild realise universe.toml -j 2 --json > first || code=$?
        echo $code
        grep -l '\"status\": \"failure\"' store/layers/*/layer.json | wc -l
        ls store/tmp | wc -l
        rm store/taken
        $jtwbuild realise universe.toml -j 2 --json > second
        echo $?";
    let ended = universe.run_in_namespaces("realise universe.toml -j 2", script);
    assert_eq!(ended.stdout, "4\n0\n0\n0\n", "{ended}");
    let counts = |file: &str| {
        let json: Value = serde_json::from_str(&fs::read_to_string(universe.path(file)).unwrap()).unwrap();
        let nodes = json["nodes"].as_array().unwrap().clone();
        move |word: &str| nodes.iter().filter(|node| node["outcome"] == word).count()
    };
    let (first, second) = (counts("first"), counts("second"));
    // With two jobs, both may meet the full disk.
    assert!((1..=2).contains(&first("failed")), "{ended}");
    assert!(first("built") > 20 && first("not-decided") > 20, "{ended}");
    assert_eq!(first("built") + first("failed") + first("not-decided"), NODES + 1, "{ended}");
    assert_eq!(first("skipped"), 0);
    assert_eq!(second("built"), NODES + 1 - first("built"));
    println!("{} built, {} failed, {} open", first("built"), first("failed"), first("not-decided"));
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Sets the times of all that is below a directory; what is read-only stays so.
fn set_times(universe: &TestUniverse, below: &str, time: SystemTime) {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let touch = format!("find {below} ! -type l -exec touch -d @{seconds} {{}} +");
    assert!(universe.tool("sh").args(["-euc", &touch]).status().unwrap().success());
}

/// As after a jump of the clock: everything was written a day later, or earlier, than it is now.
/// The store's content has times of its own, which are checked, and keeps them.
#[test]
fn a_clock_that_jumps_by_a_day_changes_no_key_no_outcome_and_no_time() {
    let now = SystemTime::now();
    for (time, started) in [(now + DAY, "4102444800"), (now - DAY, "0")] {
        let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
        let first = universe.run("realise universe.toml --json").success().json();
        let turn = || {
            let records = format!(
                "for file in store/layers/*/layer.json; do
                     sed 's/\"started\": [0-9]*/\"started\": {started}/' $file > new
                     chmod u+w $file $(dirname $file); cat new > $file
                 done; rm -f store/plans/facts"
            );
            assert!(universe.tool("sh").args(["-euc", &records]).status().unwrap().success());
            set_times(&universe, "universe.toml universe.lock store/plans store/layers store/tmp", time);
        };
        turn();
        let again = universe.run("realise universe.toml --json").success().json();
        for (before, after) in
            first["nodes"].as_array().unwrap().iter().zip(again["nodes"].as_array().unwrap())
        {
            for field in ["name", "plan_key", "build_key", "tree"] {
                assert_eq!(before[field], after[field], "{field}");
            }
            assert!(
                after["seconds"].as_f64().is_none_or(|seconds| (0.0..60.0).contains(&seconds)),
                "{after}"
            );
            assert!(matches!(after["outcome"].as_str(), Some("reused" | "cutoff")), "{after}");
        }
        // What changes now is seen, whatever time the file tells.
        universe.edit("echo hello", "echo 'hullo'");
        set_times(&universe, "universe.toml", time);
        let ended = universe.run("realise universe.toml --json --wait-timeout 5").success();
        assert!(ended.outcomes().contains(&("node/greeting".to_owned(), "built".to_owned())), "{ended}");
        let ended = universe.run("realise universe.toml --json").success();
        assert!(ended.outcomes().iter().all(|(_, outcome)| outcome == "reused"), "{ended}");
    }
}
