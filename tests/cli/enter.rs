//! A person in the sandbox of a node: what is there, what ran before, and that nothing is kept.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use insta::assert_snapshot;

use crate::TWO_NODES;
use crate::support::{Ended, PROGRAM, TestUniverse, eventually, processes_with, skip};

/// Fails after it has left something, in a directory of its own making.
const FAILING: &str = r#"
name = "failing"

[[node]]
name   = "made"
script = "echo made > $out/made"

[[node]]
name   = "fails"
inputs = ["made"]
env    = { COLOUR = "dark blue" }
script = "mkdir work; cd work; cp /in/made/made half; echo half > $out/half; echo now it fails; exit 3"
"#;

/// Names and kinds of everything in a store, and the bytes of its records; not its locks.
fn contents(store: &Path) -> Vec<String> {
    fn walk(path: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("store/locks") {
                continue;
            }
            let is_directory = path.symlink_metadata().unwrap().is_dir();
            let bytes = if is_directory { Vec::new() } else { std::fs::read(&path).unwrap_or_default() };
            found.push(format!("{} {}", path.display(), bytes.len()));
            if is_directory {
                walk(&path, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(store, &mut found);
    found.sort();
    found
}

fn enter(universe: &TestUniverse, options: &str, script: &str) -> Ended {
    let mut command = universe.command(&format!("enter universe.toml {options} --"));
    Ended::new(
        &format!("enter universe.toml {options} -- sh -c '{script}'"),
        command.args(["sh", "-c", script]).output().unwrap(),
    )
}

#[test]
fn a_failed_node_is_as_it_was_when_it_failed() {
    let Some(universe) = TestUniverse::buildable(FAILING) else { return };
    assert_eq!(universe.run("realise universe.toml").code, Some(1));
    let before = contents(&universe.path("store"));
    let script = "pwd; cat work/half $out/half; echo $COLOUR; id -u; touch /tmp/mine $out/mine; exit 7";
    let ended = enter(&universe, "fails", script);
    assert_eq!(ended.code, Some(7), "{ended}");
    assert_snapshot!("failed_node", ended);
    // The next one finds nothing of that.
    let again = enter(&universe, "fails -q", "ls /tmp $out");
    assert_eq!((again.stdout.as_str(), again.code), ("/out:\nhalf\n\n/tmp:\nwork\n", Some(0)), "{again}");
    assert_eq!(contents(&universe.path("store")), before);
}

#[test]
fn a_node_that_is_built_is_entered_before_its_commands_or_behind_them() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    universe.run("realise universe.toml").success();
    let before = contents(&universe.path("store"));
    let prepared = enter(&universe, "shout", "ls $out; cat /in/greeting/hello; echo x > /in/greeting/hello");
    let built = enter(&universe, "shout --build", "cat $out/hello");
    assert_eq!(built.code, Some(0), "{built}");
    assert_snapshot!("built_node", format!("{prepared}\n{built}"));
    assert_eq!(contents(&universe.path("store")), before);
}

/// Also one that was never built can be looked at, when its inputs are there.
#[test]
fn the_world_of_a_visitor_is_that_of_a_builder() {
    let text = TWO_NODES.replace("script = \"echo hello", "timeout = 1\nscript = \"true; echo hello");
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    // Longer than the time limit of the node.
    let ended =
        enter(&universe, "greeting -q", "sleep 2; ls /proc | grep -c '^[0-9]*$'; hostname; env | grep ^name");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended}");
    // The first process is hidden; the shell, `ls` and `grep` are there.
    assert!(ended.stdout.ends_with("\njtwbuild\nname=greeting\n"), "{ended}");
    let killed = enter(&universe, "greeting -q", "kill -9 $$");
    assert_eq!(killed.code, Some(137), "{killed}");
    let missing = universe.run("enter universe.toml greeting -q -- no-such-program");
    assert_eq!(missing.code, Some(127), "{missing}");
    // What is left behind goes with its sandbox.
    let token = format!("visitor-{}", std::process::id());
    let left = enter(&universe, "greeting -q", &format!("(: {token}; sleep 1000) & exit 0"));
    assert_eq!(left.code, Some(0), "{left}");
    assert_eq!(processes_with(&token), 0);
}

#[test]
fn input_is_the_visitors_own() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    let mut command = universe.command("enter universe.toml greeting -q");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"read x <<END\nfrom a shell\nEND\necho \"$x\"\nexit 5\n").unwrap();
    let ended = Ended::new("enter universe.toml greeting -q", child.wait_with_output().unwrap());
    assert_eq!((ended.stdout.as_str(), ended.code), ("from a shell\n", Some(5)), "{ended}");
}

#[test]
fn nodes_that_cannot_be_entered_say_why() {
    let sum = "1".repeat(64);
    let text = FAILING.replace("exit 3", "true").replace("echo made", "false; echo made");
    let archive = format!("archive = {{ sha256 = \"{sum}\", places = [{{ path = \"data.tar\" }}] }}");
    let text = format!("{text}\n[[node]]\nname = \"fetched\"\n{archive}\nscript = \"true\"\n");
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    assert_eq!(universe.run("realise universe.toml").code, Some(1));
    let ended = [
        "enter universe.toml fails -- true",
        "enter universe.toml source/fetched -- true",
        "enter universe.toml nobody",
    ];
    let ended: Vec<Ended> = ended.iter().map(|arguments| universe.run(arguments)).collect();
    assert!(ended.iter().all(|ended| ended.code == Some(3)), "{ended:?}");
    assert_snapshot!(
        "cannot_be_entered",
        ended.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    );
}

/// A shell with job control, on a terminal of its own, whose keys are those of the user's terminal.
#[test]
fn a_terminal_is_given_one_of_its_own() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    let inside =
        format!("stty cols 91 rows 17; {PROGRAM} enter universe.toml greeting -q; echo code=$? > code");
    let mut command = universe.tool("script");
    command
        .args(["-qec", &inside, "/dev/null"])
        .env("TERM", "dumb")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return skip("no `script` of util-linux") };
    let mut keys = child.stdin.take().unwrap();
    let token = format!("terminal-visitor-{}", std::process::id());
    keys.write_all(format!("sh -c ': {token}; sleep 1000; true'\n").as_bytes()).unwrap();
    eventually("the command runs", || processes_with(&token) > 0);
    // Ctrl-C ends the command in front, and nothing else.
    keys.write_all(b"\x03").unwrap();
    eventually("the command is gone", || processes_with(&token) == 0);
    keys.write_all(b"stty size; echo $TERM; ls -l /dev/tty /proc/self/fd/0 2>&1 | wc -l; exit 9\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(std::fs::read_to_string(universe.path("code")).unwrap(), "code=9\n", "{said}");
    assert!(said.contains("17 91") && said.contains("dumb"), "{said}");
    assert!(!said.contains("job control turned off"), "{said}");
}

/// What cannot be taken back is not there: a visitor's programs are held as builders are.
#[test]
fn visitors_are_held_by_the_same_filters() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    let script = "unshare -r true 2>/dev/null && echo namespaces; mount -t tmpfs x /tmp 2>/dev/null && echo mounts; \
                  ping -c 1 127.0.0.2 >/dev/null 2>&1 && echo pings; echo done";
    let ended = enter(&universe, "greeting -q", script);
    assert_eq!((ended.stdout.as_str(), ended.code), ("done\n", Some(0)), "{ended}");
}

#[test]
fn stopping_ends_what_a_visitor_runs() {
    let Some(universe) = TestUniverse::buildable(TWO_NODES) else { return };
    let token = format!("stopped-visitor-{}", std::process::id());
    let mut command = universe.command("enter universe.toml greeting -q --");
    let mut child = command.args(["sh", "-c", &format!(": {token}; sleep 1000; true")]).spawn().unwrap();
    eventually("the command runs", || processes_with(&token) > 1);
    let id = child.id().to_string();
    assert!(universe.tool("kill").args(["-s", "TERM", &id]).status().unwrap().success());
    assert_ne!(child.wait().unwrap().code(), Some(0));
    eventually("the command is gone", || processes_with(&token) == 0);
    assert_eq!(universe.leftovers(), [""; 0]);
}
