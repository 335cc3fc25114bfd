//! Runs of the real program that are ended at any moment, by any signal: what is left of them
//! (nothing), what the store holds (only what its names say), and what the next run makes of it (the
//! same as a run that nothing disturbed).

#[path = "support/mod.rs"]
mod support;

mod lifecycle {
    pub mod residue;
}

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lifecycle::residue::{Marks, check_store, no_residue, scratch};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::{TestUniverse, eventually};

/// So many builders run at the same time.
const JOBS: usize = 3;

/// Nodes of all shapes: chains and fans, background children, many files, large files, long logs, one
/// that fails, one that does not want to end. `sleep` is how long those sleep that nobody waits for.
fn shapes(sleep: u32) -> String {
    let mut text = String::from("name = \"shapes\"\n");
    let mut node = |name: &str, inputs: &[&str], script: &str| {
        text += &format!("[[node]]\nname = \"{name}\"\ninputs = {inputs:?}\nscript = '''\n{script}\n'''\n");
    };
    node("root", &[], "echo root > $out/root");
    for index in 0..8 {
        node(
            &format!("fan{index}"),
            &["root"],
            &format!("cat /in/root/root > $out/f; echo {index} >> $out/f"),
        );
    }
    let mut last = "root".to_owned();
    for index in 0..6 {
        let name = format!("chain{index}");
        node(&name, &[&last], "cat $(find /in -type f | sort) > $out/all; sleep 0.02");
        last = name;
    }
    node("children", &["root"], &format!("(sleep {sleep} &); (setsid sleep {sleep} &); echo c > $out/c"));
    node(
        "family",
        &["fan1"],
        &format!("for i in 1 2 3; do sleep {sleep} & done; sleep 0.1; echo f > $out/f"),
    );
    node("stubborn", &["fan2"], "trap '' TERM; sleep 0.3; echo s > $out/s");
    node("files", &["root"], "for i in $(seq 150); do echo $i > $out/$i; done");
    node(
        "tree",
        &["fan3"],
        "for i in $(seq 20); do mkdir -p $out/$i/a/b; echo $i > $out/$i/a/b/c; done; chmod 500 $out/1",
    );
    node("large", &["fan4"], "dd if=/dev/zero bs=1M count=6 2>/dev/null | tr '\\0' x > $out/large");
    node("larger", &["large"], "cat /in/large/large /in/large/large > $out/larger");
    node("loud", &["fan5"], "seq 20000; echo l > $out/l");
    node("links", &["fan6"], "ln -s /in/fan6/f $out/l; cp /bin/busybox $out/x");
    node("fails", &["fan7"], "echo no >&2; exit 3");
    node("blocked", &["fails"], "true");
    node("join", &["files", "tree", "larger", "loud", "links", &last], "ls -R /in > $out/names");
    text
}

/// A universe of [`shapes`] with what is its own.
struct Subject {
    universe: TestUniverse,
    marks: Marks,
    /// MiB that a builder may keep in memory; with few it starts again on disk.
    scratch: &'static str,
}

impl Subject {
    fn new(number: u32) -> Option<Self> {
        // Both are words that no other process of this machine has.
        let sleep = std::process::id() * 100 + number % 100;
        let universe = TestUniverse::buildable(&shapes(sleep))?;
        let marks = Marks::new(&universe, format!("sleep\0{sleep}\0"));
        Some(Self { universe, marks, scratch: if number.is_multiple_of(2) { "1" } else { "1000" } })
    }

    /// The program, with a word on its command line by which all its processes are known.
    fn command(&self) -> Command {
        let mut command = self.universe.command("realise --json -j");
        command.arg(JOBS.to_string()).arg(self.universe.path("universe.toml"));
        command.env("JTWBUILD_SCRATCH_MEMORY", self.scratch);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// `(name, tree)` of every node that has one.
fn trees(json: &serde_json::Value) -> BTreeMap<String, String> {
    let nodes = json["nodes"].as_array().expect("a list").iter();
    nodes.filter_map(|node| Some((node["name"].to_string(), node["tree"].as_str()?.to_owned()))).collect()
}

fn send(process: u32, signal: &str) {
    // It may have ended by itself.
    let kill = Command::new("kill").args(["-s", signal, &process.to_string()]).stderr(Stdio::null()).status();
    kill.unwrap();
}

/// A delay between 1 ms and `most`, short ones as likely as long ones of ten times their length.
fn delay(random: &mut StdRng, most: Duration) -> Duration {
    let most = most.as_secs_f64().max(0.002);
    Duration::from_secs_f64(0.001 * (most / 0.001).powf(random.r#gen::<f64>()))
}

/// `JTWBUILD_SEED` replays a campaign: the same signals after the same times. `JTWBUILD_LONG=1` plays
/// 1,000 rounds.
#[test]
fn runs_that_are_ended_at_any_moment_leave_nothing_and_the_last_one_gives_the_same_trees() {
    let given = std::env::var("JTWBUILD_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed: u64 = given.unwrap_or_else(|| rand::thread_rng().r#gen());
    println!("replay with JTWBUILD_SEED={seed}");
    let rounds = if std::env::var_os("JTWBUILD_LONG").is_some() { 1000 } else { 100 };
    let mut random = StdRng::seed_from_u64(seed);

    let Some(subject) = Subject::new(0) else { return };
    let begun = Instant::now();
    let undisturbed = subject.command().output().unwrap();
    let most = begun.elapsed();
    assert_eq!(undisturbed.status.code(), Some(1), "{}", String::from_utf8_lossy(&undisturbed.stderr));
    let expected = trees(&serde_json::from_slice(&undisturbed.stdout).unwrap());
    assert_eq!(expected.len(), 1 + 25, "{expected:?}");
    no_residue(&subject.marks, "the undisturbed run");
    assert_eq!(scratch(&subject.universe), [""; 0]);
    check_store(&subject.universe, "the undisturbed run");

    let mut ended = BTreeMap::<String, u32>::new();
    let (mut campaigns, mut objects) = (1, 0);
    let mut subject = Subject::new(campaigns).unwrap();
    for round in 0..rounds {
        let signals: &[&str] = match random.gen_range(0..10) {
            0..3 => &["INT"],
            3 => &["INT", "INT"],
            4 => &["TERM"],
            5 => &["HUP"],
            6 => &["TERM", "KILL"],
            _ => &["KILL"],
        };
        let what = format!("seed {seed}, round {round}, campaign {campaigns}, {signals:?}");
        let child = subject.command().spawn().unwrap();
        let process = child.id();
        std::thread::sleep(delay(&mut random, most));
        for (index, signal) in signals.iter().enumerate() {
            if index > 0 {
                std::thread::sleep(delay(&mut random, Duration::from_millis(200)));
            }
            send(process, signal);
        }
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        no_residue(&subject.marks, &what);
        let is_orderly = output.status.code().is_some() && signals.len() == 1;
        let left = scratch(&subject.universe);
        // That of an earlier run, which was killed, goes as soon as a run needs scratch space itself.
        let is_own = left.iter().any(|name| name.starts_with(&format!("{process}-")));
        assert!(left.len() <= 1 && !(is_orderly && is_own), "{what}: {process} left {left:?}\n{stderr}");
        objects += check_store(&subject.universe, &what);
        assert!(!stderr.contains("panicked"), "{what}: {stderr}");
        let word = match (output.status.code(), output.status.signal()) {
            (Some(130), _) => "stopped",
            (Some(1), _) => {
                // It was done before the signal came.
                let json = serde_json::from_slice(&output.stdout).unwrap();
                assert_eq!(trees(&json), expected, "{what}");
                campaigns += 1;
                subject = Subject::new(campaigns).unwrap();
                "done"
            }
            (None, Some(_)) => "killed",
            other => panic!("{what}: {other:?}\n{stderr}"),
        };
        *ended.entry(format!("{} {word}", signals.join("+"))).or_default() += 1;
    }
    let last = subject.command().output().unwrap();
    assert_eq!(last.status.code(), Some(1), "{}", String::from_utf8_lossy(&last.stderr));
    assert_eq!(trees(&serde_json::from_slice(&last.stdout).unwrap()), expected, "seed {seed}");
    no_residue(&subject.marks, "the last run");
    assert_eq!(scratch(&subject.universe), [""; 0], "the last run");
    check_store(&subject.universe, "the last run");
    println!(
        "{rounds} rounds in {:.0?} ({campaigns} stores, runs of {most:.1?}), {objects} objects hashed: {ended:?}",
        begun.elapsed()
    );
}

#[test]
fn sixteen_builders_die_with_jtwbuild_and_the_next_start_cleans_up() {
    let sleep = std::process::id() * 100 + 99;
    let mut text = String::from("name = \"many\"\n");
    for index in 0..16 {
        text += &format!(
            "[[node]]\nname = \"n{index}\"\nscript = \"trap '' TERM HUP INT; (setsid sleep {sleep} &); sleep {sleep}\"\n"
        );
    }
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    let marks = Marks::new(&universe, format!("sleep\0{sleep}\0"));
    let mut command = universe.command("realise -q -j 16");
    let mut child = command.arg(universe.path("universe.toml")).spawn().unwrap();
    eventually("32 children of 16 builders run", || marks.count_builders() == 32);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    no_residue(&marks, "after the kill");
    assert_eq!(scratch(&universe).len(), 1);
    check_store(&universe, "after the kill");
    universe.edit("name = \"many\"", "name = \"again\"");
    let text = std::fs::read_to_string(universe.path("universe.toml")).unwrap();
    universe.write("universe.toml", &text.replace(&sleep.to_string(), "0"));
    universe.run("realise universe.toml -q").success();
    assert_eq!(scratch(&universe), [""; 0]);
}
