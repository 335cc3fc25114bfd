//! Every kind of failure, once, for real: the word in `--json`, the exit code, whether it is
//! remembered, and the hint.

use jtwbuild::outcome::Failure;
use serde_json::Value;

use crate::support::{Ended, TestUniverse, skip};

/// One kind of failure and how to get it.
struct Case {
    kind: &'static str,
    /// The rest of the table of the node `a`.
    node: &'static str,
    /// What is done before the first run.
    prepare: fn(&TestUniverse),
    arguments: &'static str,
    /// A script in namespaces that runs `$realise`; empty: the program alone.
    script: &'static str,
    exit: i32,
    /// Part of the hint; empty where there is none.
    hint: &'static str,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            kind: "",
            node: "script = \"true\"",
            prepare: |_| {},
            arguments: "",
            script: "",
            exit: 1,
            hint: "",
        }
    }
}

const WRONG: &str = "archive = { sha256 = \"1111111111111111111111111111111111111111111111111111111111111111\", \
                     places = [{ path = \"data.tar\" }] }\nscript = \"true\"";
const NOWHERE: &str = "archive = { sha256 = \"1111111111111111111111111111111111111111111111111111111111111111\", \
                       places = [{ url = \"http://127.0.0.1:1/data.tar\" }] }\nscript = \"true\"";
/// The SHA-256 of the bytes `not an archive\n`.
const NO_ARCHIVE: &str =
    "archive = { sha256 = \"@SHA@\", places = [{ path = \"data.tar\" }] }\nscript = \"true\"";

fn cases() -> Vec<Case> {
    let again = "`--retry-failed`";
    vec![
        Case { kind: "builder-exit", node: "script = \"exit 7\"", hint: again, ..Case::default() },
        Case { kind: "builder-signal", node: "script = \"kill -SEGV $$\"", hint: again, ..Case::default() },
        Case {
            kind: "missing-output",
            node: "outputs = [\"x\"]\nscript = \"true\"",
            hint: again,
            ..Case::default()
        },
        Case { kind: "bad-output", node: "script = \"mkfifo $out/x\"", ..Case::default() },
        Case {
            kind: "hash-mismatch",
            node: WRONG,
            prepare: |universe| universe.write("data.tar", "other bytes\n"),
            hint: again,
            ..Case::default()
        },
        Case {
            kind: "bad-input",
            node: NO_ARCHIVE,
            prepare: |universe| {
                use sha2::Digest;
                universe.write("data.tar", "not an archive\n");
                let sum = sha2::Sha256::digest("not an archive\n");
                universe.edit("@SHA@", &sum.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            },
            ..Case::default()
        },
        Case { kind: "fetch-failed", node: NOWHERE, exit: 4, hint: "check the network", ..Case::default() },
        Case {
            kind: "offline",
            node: NOWHERE,
            arguments: "--offline",
            exit: 4,
            hint: "`--offline`",
            ..Case::default()
        },
        Case {
            kind: "time-out",
            node: "timeout = 1\nscript = \"sleep 1000\"",
            hint: "`timeout`",
            ..Case::default()
        },
        Case {
            kind: "out-of-memory",
            node: "memory = \"32M\"\nscript = \"head -c 200000000 /dev/zero | tr '\\\\0' x | sort > /dev/null\"",
            hint: "`memory`",
            ..Case::default()
        },
        Case {
            kind: "log-limit",
            node: "script = \"yes\"",
            prepare: |universe| {
                let recipe = include_str!("../../recipes/script.toml");
                universe.write("recipes/script.toml", &recipe.replace("\"64M\"", "\"1M\""));
            },
            hint: "`log`",
            ..Case::default()
        },
        Case {
            kind: "no-space",
            node: "script = \"dd if=/dev/urandom of=$out/x bs=1M count=30 2>/dev/null\"",
            script:
                "mkdir -p full; mount -t tmpfs -o size=24m tmpfs full; cp -a store/. full/; mount --bind full store
                     $realise",
            exit: 4,
            hint: "free some space",
            ..Case::default()
        },
        Case {
            kind: "sandbox",
            script: "echo 0 > /proc/sys/user/max_user_namespaces; $realise",
            exit: 4,
            hint: "`jtwbuild doctor`",
            ..Case::default()
        },
        Case {
            kind: "machine",
            script: "mount --bind store/layers store/layers; mount -o remount,bind,ro store/layers; $realise",
            exit: 4,
            ..Case::default()
        },
    ]
}

/// The case for each kind. A new kind does not compile here until it has one, or says why not.
fn covered_by(failure: &Failure) -> &'static str {
    match failure {
        Failure::BuilderExit { .. } => "builder-exit",
        Failure::BuilderSignal { .. } => "builder-signal",
        Failure::MissingOutput { .. } => "missing-output",
        Failure::BadOutput { .. } => "bad-output",
        Failure::HashMismatch { .. } => "hash-mismatch",
        Failure::BadInput { .. } => "bad-input",
        Failure::FetchFailed { .. } => "fetch-failed",
        Failure::Offline { .. } => "offline",
        Failure::TimeOut { .. } => "time-out",
        Failure::OutOfMemory { .. } => "out-of-memory",
        Failure::LogLimit { .. } => "log-limit",
        Failure::NoSpace { .. } => "no-space",
        Failure::Sandbox { .. } => "sandbox",
        Failure::Machine { .. } => "machine",
        // Layers that meet are a matter of packages: tests/sandbox.rs has two that differ.
        Failure::Overlap { .. } => "elsewhere",
        // Module `verify` damages an input and looks at what is said of it.
        Failure::Damaged { .. } => "elsewhere",
        // `stopping` stops runs; a stopped node is `not-decided` and has no failure.
        Failure::Cancelled => "elsewhere",
        // Nobody knows how to provoke one: tests/lifecycle_scheduler.rs has a builder that panics.
        Failure::Internal { .. } => "elsewhere",
    }
}

/// Runs the program, in namespaces when the case asks for them.
fn realise(universe: &TestUniverse, case: &Case) -> Ended {
    let arguments = format!("realise universe.toml --json {}", case.arguments);
    if case.script.is_empty() {
        return universe.run(&arguments);
    }
    let script = case.script.replace("$realise", &format!("exec $jtwbuild {arguments}"));
    universe.run_in_namespaces(&arguments, &script)
}

/// The line of the node that failed by itself.
fn root_cause(ended: &Ended) -> Value {
    let json = ended.json();
    let nodes = json["nodes"].as_array().unwrap();
    let mut failed = nodes.iter().filter(|node| node["outcome"] == "failed");
    let cause = failed.next().unwrap_or_else(|| panic!("nothing failed: {ended}")).clone();
    assert!(failed.next().is_none(), "{ended}");
    cause
}

#[test]
fn every_kind_of_failure_has_its_word_exit_code_memory_and_hint() {
    let mut kinds = Vec::new();
    for case in cases() {
        let kind = case.kind;
        let text = format!("name = \"x\"\n[[node]]\nname = \"a\"\n{}\n", case.node);
        let text = format!("{text}[[node]]\nname = \"user\"\ninputs = [\"a\"]\nscript = \"true\"\n");
        let Some(universe) = TestUniverse::buildable(&text) else { return };
        if !case.script.is_empty() && universe.run_in_namespaces("", "true").code != Some(0) {
            skip("no user namespaces, or no `unshare` of util-linux");
            continue;
        }
        (case.prepare)(&universe);
        let ended = realise(&universe, &case);
        assert_eq!(ended.code, Some(case.exit), "{kind}: {ended}");
        let cause = root_cause(&ended);
        let failure: Failure = serde_json::from_value(cause["failure"].clone()).unwrap();
        assert_eq!((&cause["failure"]["kind"], covered_by(&failure)), (&Value::from(kind), kind), "{ended}");
        let hint = ended.stderr.lines().find_map(|line| line.strip_prefix("  help: ")).unwrap_or_default();
        assert!(hint.contains(case.hint) && hint.is_empty() == case.hint.is_empty(), "{kind}: {hint:?}");

        // What needs the node shares a verdict, and is left open by trouble.
        let id = format!("{}/{}", cause["kind"].as_str().unwrap(), cause["name"].as_str().unwrap());
        let json = ended.json();
        let user = json["nodes"].as_array().unwrap().last().unwrap();
        let word = if failure.is_verdict() { "skipped" } else { "not-decided" };
        assert_eq!((&user["outcome"], &user["because"]), (&word.into(), &id.as_str().into()), "{kind}");
        assert!(ended.stderr.contains("  it blocks "), "{kind}: {ended}");

        // A verdict is remembered, trouble is not. (A store in memory is gone after the run.)
        let is_remembered = std::fs::read_dir(universe.path("store/layers")).unwrap().any(|layer| {
            let record = std::fs::read_to_string(layer.unwrap().path().join("layer.json")).unwrap();
            record.contains("\"status\": \"failure\"")
        });
        assert_eq!(is_remembered, failure.is_verdict(), "{kind}");
        let again = realise(&universe, &case);
        assert_eq!(again.code, Some(case.exit), "{kind}: {again}");
        assert_eq!(
            again.stderr.contains(&format!("building {id}\n")),
            !failure.is_verdict(),
            "{kind}: {again}"
        );
        assert_eq!(root_cause(&again)["failure"]["kind"], kind, "{again}");
        kinds.push(kind);
    }
    println!("{} kinds: {kinds:?}", kinds.len());
}

#[test]
fn nodes_that_succeed_after_all_are_marked_as_flaky() {
    let script = "test $(( $(od -An -N1 -tu1 /dev/urandom) % 3 )) = 0; echo x > $out/x";
    let text = format!("name = \"x\"\n[[node]]\nname = \"a\"\nscript = '''{script}'''\n");
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    for round in 0..50 {
        let word = if round == 0 { String::new() } else { format!(" # {round}") };
        universe.write("universe.toml", &text.replace("$out/x'''", &format!("$out/x{word}'''")));
        let ended = universe.run("realise universe.toml --json --retry 60").success();
        let json = ended.json();
        let node = json["nodes"].as_array().unwrap().last().unwrap();
        if node["failed_tries"].is_null() {
            continue;
        }
        let tries = node["failed_tries"].as_u64().unwrap();
        assert!(ended.stderr.contains("FLAKY node/a: it failed "), "{ended}");
        let log = universe.run("log universe.toml a").success();
        assert_eq!(log.stdout.matches("this is try").count() as u64, tries, "{log}");
        let shown = universe.run("show universe.toml a --json").success().json();
        assert_eq!(shown["record"]["failed_tries"], tries);
        return;
    }
    panic!("it never failed");
}
