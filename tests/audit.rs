//! Audits by the real program: one node for each way of being irreproducible, each of which has to be
//! found and named, and nodes that only look like it, none of which may be accused.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use support::{Ended, TestUniverse, skip};

/// A node: its name, its script, and the causes that an audit has to find, each a set of variations;
/// none for one that is reproducible.
type Fixture = (&'static str, &'static str, &'static [&'static str]);

/// Nothing that the shell does with these is up to chance.
const FIXTURES: &[Fixture] = &[
    ("by-time", "date +%s > $out/x", &["time"]),
    ("by-fraction", "date +%Y-%N > $out/x", &["time"]),
    (
        "by-file-time",
        "umask 022; touch a; tar cf - a | cut -b 137-147 > $out/x; stat -c %Y a >> $out/x",
        &["time"],
    ),
    ("by-jobs", "built() { echo $2 > $out/x; }; built all -j2", &["jobs"]),
    ("by-cpus", "nproc > $out/x", &["cpus"]),
    ("by-hostname", "hostname > $out/x", &["hostname"]),
    ("by-kernel-host", "uname -n > $out/x", &["hostname"]),
    ("by-user", "id -u > $out/x", &["user"]),
    ("by-group", "touch a; stat -c %g a > $out/x", &["user"]),
    ("by-user-name", "echo ${USER:-nobody} > $out/x", &["user"]),
    ("by-locale", "echo $LC_ALL > $out/x", &["locale"]),
    ("by-timezone", "date -d @86400 > $out/x", &["timezone"]),
    ("by-umask", "touch a; stat -c %a a > $out/x", &["umask"]),
    ("by-home", "echo ~ > $out/x", &["home"]),
    ("by-temporary", "mktemp -d | sed 's,/[^/]*$,,' > $out/x", &["home"]),
    ("by-build-path", "pwd > $out/x", &["build-path"]),
    ("by-readdir", "mkdir d; (cd d; touch b a d c); find d > $out/x", &["readdir"]),
    ("by-readdir-of-inputs", "find /in/tree > $out/x", &["readdir"]),
    ("by-aslr", "grep stack /proc/self/maps > $out/x", &["aslr"]),
    ("by-kernel", "uname -r > $out/x", &["kernel"]),
    // Causes that come together, and causes beside each other.
    (
        "by-two",
        "case $(hostname)/$(id -u) in elsewhere/4711) echo a ;; *) echo b ;; esac > $out/x",
        &["hostname, user"],
    ),
    ("by-either", "hostname > $out/x; umask > $out/y", &["hostname", "umask"]),
    ("by-date", "date > $out/x", &["time", "timezone"]),
    ("by-failure", "test $(id -u) = 1000; touch $out/x", &["user"]),
    ("by-mode-of-output", "touch $out/x; [ $(umask) = 0022 ] || chmod +x $out/x", &["umask"]),
    ("by-file-that-comes", "touch $out/x; [ $(nproc) -gt 1 ] || touch $out/y", &["cpus"]),
    // What looks irreproducible, and is not.
    ("tree", "mkdir $out/d; cd $out/d; for i in 1 2 3 4 5 6 7; do echo $i > f$i; done", &[]),
    ("sorted", "ls /in/tree/d > $out/x; find /in/tree | sort >> $out/x", &[]),
    ("fixed-time", "touch -d @1 a; stat -c %Y a > $out/x; date -u -d @$SOURCE_DATE_EPOCH >> $out/x", &[]),
    ("copied-time", "cp -p /in/tree/d/f1 a; stat -c %Y a > $out/x", &[]),
    ("newer", "touch a; sleep 1.1; touch b; test b -nt a; echo > $out/x", &[]),
    ("waits", "date +%s > a; while [ $(date +%s) = $(cat a) ]; do true; done; echo > $out/x", &[]),
    ("slow", "sleep 1.2; date -d @0 +%s > $out/x", &[]),
    ("modes", "touch $out/x; chmod 777 $out/x", &[]),
    ("temporary", "t=$(mktemp); echo made > $t; cp $t $out/x", &[]),
    ("here", "echo here > a; cp $PWD/a $out/x", &[]),
    ("archive", "tar cf $out/x -C /in/tree/d f1", &["user"]),
    (
        "many-processes",
        "for i in $(seq 60); do (echo $i > f$i) & done; wait; cat $(ls f* | sort) > $out/x",
        &[],
    ),
    ("signals", "sh -c 'kill -STOP $$; echo on > $out/x' & sleep 0.2; kill -CONT $!; wait", &[]),
    ("real-time-signals", "trap 'echo caught > $out/x' 40; kill -40 $$; sh -c 'kill -34 $$' || true", &[]),
    ("quiet", "true", &[]),
];

/// A crowd shows in how long the shell waits for a processor while it works. It is there for two seconds
/// of every six, so for six seconds the shell works a little, sleeps a little, and counts how often it had
/// to wait longer than it worked.
const BY_LOAD: &str = r"
crowded=0
round=0
while [ $round -lt 40 ]; do
  round=$((round + 1))
  sleep 0.1
  read worked waited rest < /proc/self/schedstat
  i=0
  while [ $i -lt 20000 ]; do i=$((i + 1)); done
  read worked_then waited_then rest < /proc/self/schedstat
  [ $((waited_then - waited)) -le $((worked_then - worked)) ] || crowded=$((crowded + 1))
done
echo waited in $crowded rounds of 40
[ $crowded -lt 4 ] && echo calm > $out/x || echo crowded > $out/x
";

/// Whether a thread of this machine has to wait for a processor as long as it works, without an audit.
fn is_busy() -> bool {
    let ticks = || {
        let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        let mut times = told.split_whitespace().map(|time| time.parse::<u64>().unwrap());
        (times.next().unwrap(), times.next().unwrap())
    };
    let (begun, (worked, waited)) = (Instant::now(), ticks());
    while begun.elapsed() < Duration::from_secs(2) {}
    let (worked_then, waited_then) = ticks();
    waited_then - waited > (worked_then - worked) / 2
}

/// Differs by itself, whatever is varied.
const ITSELF: &str = "head -c 8 /dev/urandom > $out/x";

fn fixtures() -> String {
    let mut text = String::from("name = \"fixtures\"\n");
    for (name, script, _) in FIXTURES {
        let inputs = if *name == "tree" { "[]" } else { "[\"tree\"]" };
        text += &format!("[[node]]\nname = \"{name}\"\ninputs = {inputs}\nscript = '''\n{script}\n'''\n");
    }
    text + &format!("[[node]]\nname = \"by-itself\"\nscript = '''{ITSELF}'''\n")
}

/// Of each node: its verdict, and its causes as words.
fn table(ended: &Ended) -> BTreeMap<String, (String, Vec<String>)> {
    let json = ended.json();
    let nodes = json["nodes"].as_array().expect("a list").iter();
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    nodes
        .map(|node| {
            let causes = node["causes"].as_array().expect("a list").iter().map(|cause| {
                let varied = cause["variations"]
                    .as_array()
                    .map(|names| names.iter().map(text).collect::<Vec<String>>().join(", "));
                match (cause["cause"].as_str(), varied) {
                    (Some("varied"), Some(varied)) => varied,
                    (word, varied) => format!("{word:?} {varied:?}"),
                }
            });
            (text(&node["id"]), (text(&node["verdict"]), causes.collect()))
        })
        .collect()
}

/// These tests run one after the other: each would be a busy machine for the others.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The names of everything in a store but what processes keep for themselves, and the history.
fn contents(store: &Path) -> Vec<String> {
    fn walk(path: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("store/history") {
                continue;
            }
            let is_directory = path.symlink_metadata().unwrap().is_dir();
            let bytes = if is_directory { Vec::new() } else { fs::read(&path).unwrap_or_default() };
            found.push(format!("{} {}", path.display(), blake3::hash(&bytes)));
            if is_directory && !path.ends_with("store/locks") {
                walk(&path, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(store, &mut found);
    found.sort();
    found
}

/// False alarms: none; missed: none; each cause by its name.
#[test]
fn every_way_of_being_irreproducible_is_found_and_named_and_nobody_else_is_accused() {
    let _alone = alone();
    let Some(universe) = TestUniverse::buildable(&fixtures()) else { return };
    // One at a time, or nodes would be the load of each other.
    universe.run("realise universe.toml -q --jobs 1").success();
    let before = contents(&universe.path("store"));
    let ended = universe.run("audit universe.toml --json --jobs 1");
    assert_eq!(ended.code, Some(6), "{ended}");
    assert_eq!(contents(&universe.path("store")), before, "the store is as it was");
    let found = table(&ended);
    let mut complaints = Vec::new();
    let has_processors = std::thread::available_parallelism().is_ok_and(|count| count.get() > 1);
    for (name, _, causes) in FIXTURES {
        let (verdict, named) = &found[&format!("node/{name}")];
        let mut causes: Vec<&str> = causes.to_vec();
        causes.retain(|cause| has_processors || *cause != "cpus");
        let expected = if causes.is_empty() { "reproducible" } else { "not-reproducible" };
        if verdict != expected || *named != causes {
            complaints.push(format!("{name}: {verdict} {named:?} in place of {expected} {causes:?}"));
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}\n{}", ended.stderr);
    let (verdict, causes) = &found["node/by-itself"];
    assert_eq!((verdict.as_str(), causes.len()), ("not-reproducible", 1));
    assert!(causes[0].contains("itself"), "{causes:?}");
    assert_eq!(found["base/busybox"].0, "reproducible");
}

/// Nodes that nobody has built are compared with themselves, and left unbuilt.
#[test]
fn nodes_that_were_never_built_are_judged_too() {
    let text = r#"
name = "fresh"
[[node]]
name = "input"
script = "echo input > $out/x"
[[node]]
name = "good"
inputs = ["input"]
script = "cp /in/input/x $out/x"
[[node]]
name = "bad"
inputs = ["input"]
script = "hostname > $out/x"
[[node]]
name = "broken"
inputs = ["input"]
script = "exit 3"
[[node]]
name = "behind"
inputs = ["broken"]
script = "touch $out/x"
"#;
    let _alone = alone();
    let Some(universe) = TestUniverse::buildable(text) else { return };
    let ended = universe.run("audit universe.toml --json --times 2 node/good node/bad");
    assert_eq!(ended.code, Some(6), "{ended}");
    let found = table(&ended);
    assert_eq!(found["node/good"], ("reproducible".to_owned(), vec![]));
    assert_eq!(found["node/bad"], ("not-reproducible".to_owned(), vec!["hostname".to_owned()]));
    let json = ended.json();
    let good = &json["nodes"].as_array().unwrap().iter().find(|node| node["id"] == "node/good").unwrap();
    assert_eq!((good["builds"].as_u64(), good["stored"].as_bool()), (Some(3), Some(false)));
    let shown = universe.run("show universe.toml good");
    assert!(shown.stdout.contains("status     not built"), "{shown}");
    // What fails by itself is not judged, nor is what needs it.
    let failing = universe.run("audit universe.toml good broken behind");
    assert_eq!(failing.code, Some(1), "{failing}");
    let lines: Vec<&str> = failing.stdout.lines().collect();
    assert!(lines[0].starts_with("node/good    reproducible"), "{failing}");
    assert!(failing.stdout.contains("its input node/broken could not be had"), "{failing}");
    assert!(failing.stdout.contains("exited with status 3"), "{failing}");
}

#[test]
fn variations_are_those_that_were_asked_for() {
    let _alone = alone();
    let text = format!(
        "name = \"few\"\n[[node]]\nname = \"host\"\nscript = \"hostname > $out/x\"\n[[node]]\nname = \"chance\"\nscript = \"{ITSELF}\"\n"
    );
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    let none = universe.run("audit universe.toml host --vary none --times 3 --json");
    assert_eq!((none.code, none.json()["nodes"][0]["builds"].as_u64()), (Some(0), Some(4)), "{none}");
    let other = universe.run("audit universe.toml host --vary all,-hostname").success();
    assert!(other.stdout.starts_with("node/host  reproducible\n"), "{other}");
    let quick = universe.run("audit universe.toml host --no-bisect --json -q");
    assert_eq!((quick.code, quick.stderr.as_str()), (Some(6), ""), "{quick}");
    assert_eq!(table(&quick)["node/host"], ("not-reproducible".to_owned(), vec![]));
    let difference = &quick.json()["nodes"][0]["differences"][0];
    assert_eq!(difference["path"], "x");
    assert_eq!(difference["published"], true);
    assert_eq!(difference["explanation"]["after"], "elsewhere\\n");
    let chance = universe.run("audit universe.toml chance --vary none");
    assert_eq!(chance.code, Some(6), "{chance}");
    assert!(chance.stdout.contains("differs with nothing varied"), "{chance}");
    let unknown = universe.run("audit universe.toml --vary hostnam");
    assert_eq!(unknown.code, Some(3), "{unknown}");
    assert!(unknown.stderr.contains("did you mean `hostname`?"), "{unknown}");
    let fetched = universe.run("audit universe.toml nobody");
    assert!(fetched.stderr.contains("the plan has no node `nobody`"), "{fetched}");
}

/// One bad node whose file names and contents would be markup, and one that is made of it.
const PAGED: &str = r#"
name = "paged"
[[node]]
name = "good"
script = "echo good > $out/x"
[[node]]
name = "bad"
inputs = ["good"]
script = "mkdir $out/d; echo \"<script>alert('$(hostname)')</script>\" > \"$out/d/<script>x\""
[[node]]
name = "above"
inputs = ["bad"]
script = "echo above > $out/x"
"#;

#[test]
fn a_report_is_one_page_in_which_nothing_of_a_build_is_markup() {
    let _alone = alone();
    let Some(universe) = TestUniverse::buildable(PAGED) else { return };
    let nowhere = universe.run("audit universe.toml --report missing/page.html");
    assert_eq!(nowhere.code, Some(4), "{nowhere}");
    assert!(nowhere.stderr.contains("jtwbuild::audit::report"), "{nowhere}");
    assert!(!nowhere.stderr.contains("building"), "before anything is built: {nowhere}");
    universe.write("page.html", "an older page");
    let ended = universe.run("audit universe.toml bad above --vary hostname,user --report page.html");
    assert_eq!(ended.code, Some(6), "{ended}");
    assert!(ended.stderr.ends_with("wrote page.html\n"), "{ended}");
    let page = fs::read_to_string(universe.path("page.html")).unwrap();
    for expected in [
        "<title>Audit of paged</title>",
        "<li>hostname</li>",
        "ript&gt;alert(",
        "<del>jtwbuild</del>",
        "<ins>elsewhere</ins>",
        "aria-label=\"node bad: not reproducible\"",
        "aria-label=\"node above: reproducible\"",
        "d/&lt;script&gt;x",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
    assert!(!page.contains("<script") && page.ends_with("</html>\n"), "{page}");
    assert!(!page.contains("interrupted"));
    let left: Vec<_> =
        fs::read_dir(universe.directory()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "a draft was left: {left:?}");
}

#[test]
fn an_interrupted_audit_leaves_a_page_that_says_so() {
    let _alone = alone();
    let text = "name = \"long\"\n[[node]]\nname = \"first\"\nscript = \"touch $out/x\"\n[[node]]\nname = \"slow\"\ninputs = [\"first\"]\nscript = \"sleep 100; touch $out/x\"\n";
    let Some(universe) = TestUniverse::buildable(text) else { return };
    let mut running =
        universe.start("audit universe.toml first slow -v --jobs 1 --vary none --report page.html");
    running.wait_for("building node/slow");
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended}");
    let page = fs::read_to_string(universe.path("page.html")).unwrap();
    assert!(page.contains("This audit was interrupted."), "{page}");
    assert!(page.contains("aria-label=\"node first: reproducible\""), "{page}");
    assert!(page.contains("aria-label=\"node slow: not judged\""), "{page}");
}

/// Each build is an output of its key, whatever was varied, and `audit --history` says what `history` does.
#[test]
fn what_an_audit_builds_is_remembered() {
    let _alone = alone();
    let Some(universe) = TestUniverse::buildable(PAGED) else { return };
    universe.run("realise universe.toml -q").success();
    let before = universe.run("audit universe.toml --history bad").success();
    assert!(before.stdout.starts_with("node/bad: built once\n"), "{before}");
    let audit = universe.run("audit universe.toml good bad --vary hostname --times 2 --json -q");
    assert_eq!(audit.code, Some(6), "{audit}");
    for arguments in
        ["history universe.toml good bad --json", "audit --history universe.toml good bad --json"]
    {
        let ended = universe.run(arguments).success();
        let json = ended.json();
        let keys = json["keys"].as_array().unwrap();
        let of = |node: &str| keys.iter().find(|key| key["node"] == node).unwrap();
        let (good, bad) = (of("node/good"), of("node/bad"));
        assert_eq!(
            (good["verdict"].as_str(), good["times"].as_u64()),
            (Some("reproduced"), Some(3)),
            "{ended}"
        );
        assert_eq!(good["outputs"][0]["origins"]["audited"], 2, "{ended}");
        assert_eq!(bad["verdict"], "differs", "{ended}");
        let times = |output: &serde_json::Value| output["origins"]["audited"].as_u64().unwrap_or_default();
        let outputs = bad["outputs"].as_array().unwrap();
        assert_eq!(outputs.len(), 2, "{ended}");
        let builds = audit.json()["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|node| node["id"] == "node/bad")
            .unwrap()["builds"]
            .as_u64();
        assert_eq!(Some(outputs.iter().map(times).sum()), builds, "{ended}");
    }
    let all = universe.run("audit --history").success();
    assert!(all.stdout.contains("node/bad: same inputs, 2 different outputs"), "{all}");
    let both = universe.run("audit --history universe.toml --times 2");
    assert_eq!(both.code, Some(2), "{both}");
}

/// The host's own diffoscope, whose report is a file beside ours.
#[test]
fn diffoscope_is_asked_about_what_differs() {
    let _alone = alone();
    let Some(universe) = TestUniverse::buildable(PAGED) else { return };
    let mut without = universe.command("audit universe.toml bad --diffoscope reports");
    let without = support::Ended::new("", without.env("PATH", "/nonexistent").output().unwrap());
    assert_eq!(without.code, Some(4), "{without}");
    assert!(without.stderr.contains("jtwbuild::audit::diffoscope"), "{without}");
    assert!(!without.stderr.contains("building"), "before anything is built: {without}");
    let there = std::process::Command::new("diffoscope").arg("--version").output();
    if !there.is_ok_and(|output| output.status.success()) {
        return skip("no diffoscope on this machine");
    }
    let ended = universe.run(
        "audit universe.toml good bad --vary hostname --no-bisect --report page.html --diffoscope my%reports --json",
    );
    assert_eq!(ended.code, Some(6), "{ended}");
    let json = ended.json();
    let files: Vec<Option<&str>> =
        json["nodes"].as_array().unwrap().iter().map(|node| node["diffoscope"].as_str()).collect();
    let file = universe.path("my%reports/node/bad.html");
    assert_eq!(files, [None, Some(file.to_str().unwrap())], "{ended}");
    let theirs = fs::read_to_string(&file).unwrap();
    assert!(theirs.contains("<del>jtwbuild</del>") && theirs.contains("diffoscope"), "{theirs}");
    assert!(!theirs.contains("store/tmp"), "nothing of this machine: {theirs}");
    let page = fs::read_to_string(universe.path("page.html")).unwrap();
    assert!(page.contains("href=\"my%25reports/node/bad.html\""), "{page}");
    assert_eq!(universe.leftovers(), Vec::<String>::new());
}

/// One that hangs is ended with all that it has started, and the audit goes on.
#[test]
fn diffoscope_that_hangs_is_ended_with_its_children_and_the_audit_goes_on() {
    use std::os::unix::fs::PermissionsExt;
    let _alone = alone();
    let Some(universe) = TestUniverse::buildable(PAGED) else { return };
    // It writes down itself and what it starts, as they are called outside.
    let started = universe.path("started");
    let stand_in = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\nsh -c 'sleep 600 & echo $! $$ >> {0}; wait' &\n\
         echo $$ >> {0}\nwait\n",
        started.display()
    );
    universe.write("bin/diffoscope", &stand_in);
    fs::set_permissions(universe.path("bin/diffoscope"), fs::Permissions::from_mode(0o755)).unwrap();
    let arguments = "audit universe.toml good bad above --vary hostname --no-bisect --jobs 1 \
                     --diffoscope reports --diffoscope-timeout 1 --json";
    let path = format!("{}:/usr/bin:/bin", universe.path("bin").display());
    let begun = Instant::now();
    let ended = universe.command(arguments).env("PATH", path).output().unwrap();
    let ended = support::Ended::new(arguments, ended);
    assert!(begun.elapsed() < Duration::from_secs(300), "it was not waited for");
    assert_eq!(ended.code, Some(6), "{ended}");
    let notice = "notice: diffoscope says nothing of node/bad: it has not ended after 1 s\n";
    assert_eq!(ended.stderr.matches(notice).count(), 1, "{ended}");
    let verdicts: Vec<_> = table(&ended).into_iter().map(|(node, (verdict, _))| (node, verdict)).collect();
    let expected =
        [("node/above", "reproducible"), ("node/bad", "not-reproducible"), ("node/good", "reproducible")];
    assert_eq!(verdicts, expected.map(|(node, verdict)| (node.to_owned(), verdict.to_owned())));
    assert!(ended.json()["nodes"].as_array().unwrap().iter().all(|node| node["diffoscope"].is_null()));
    let started = fs::read_to_string(&started).unwrap();
    let processes: Vec<&str> = started.split_whitespace().collect();
    assert_eq!(processes.len(), 3, "{started}");
    for process in processes {
        // One that nobody has asked for its end is a zombie for a while.
        let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let is_gone = state.is_empty() || state.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'));
        assert!(is_gone, "{state}");
    }
    assert_eq!(universe.leftovers(), Vec::<String>::new());
}

/// What only a busy machine shows. Other programs make this machine busy as well: while they do, the
/// difference cannot be seen, and that is nobody's mistake.
#[test]
fn a_difference_that_only_a_busy_machine_makes_is_found() {
    let _alone = alone();
    let text = format!("name = \"busy\"\n[[node]]\nname = \"by-load\"\nscript = '''{BY_LOAD}'''\n");
    let mut missed = 0;
    for _ in 0..5 {
        if (0..10).all(|_| is_busy()) {
            break;
        }
        let Some(universe) = TestUniverse::buildable(&text) else { return };
        let ended = universe.run("audit universe.toml by-load --vary load,umask,timezone --json");
        if table(&ended)["node/by-load"] == ("not-reproducible".to_owned(), vec!["load".to_owned()]) {
            return;
        }
        missed += usize::from(!(0..3).any(|_| is_busy()));
        assert!(missed < 2, "on a quiet machine, again: {ended}");
    }
    eprintln!("DEGRADED: other programs keep this machine busy: a difference by load cannot be seen");
}
