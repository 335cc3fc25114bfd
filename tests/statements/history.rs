//! `jtwbuild history`: what came out each time.

use std::fs;

use crate::support::{TestUniverse, scrub};
use crate::{NODES, STEADY, realised};

/// The lines about nodes, by node: what the verdict is and how often it was built.
fn verdicts(universe: &TestUniverse, arguments: &str) -> Vec<(String, String, u64)> {
    let json = universe.run(arguments).success().json();
    let keys = json["keys"].as_array().unwrap().iter();
    let lines = keys.map(|key| {
        let node = key["node"].as_str().unwrap_or("?").to_owned();
        (node, key["verdict"].as_str().unwrap().to_owned(), key["times"].as_u64().unwrap())
    });
    // The store comes with what another universe has built.
    let is_ours = |node: &str| node.starts_with("node/") && node != "node/seed";
    let mut lines: Vec<_> = lines.filter(|(node, ..)| is_ours(node)).collect();
    lines.sort();
    lines
}

fn line(node: &str, verdict: &str, times: u64) -> (String, String, u64) {
    (format!("node/{node}"), verdict.to_owned(), times)
}

#[test]
fn every_build_is_remembered_and_what_differs_is_told_first() {
    let Some(universe) = realised(NODES) else { return };
    let once = ["after", "moody", "sourced", "steady"].map(|node| line(node, "built-once", 1));
    assert_eq!(verdicts(&universe, "history --json universe.toml"), once);
    // A run that builds nothing adds nothing.
    universe.run("realise universe.toml").success();
    assert_eq!(verdicts(&universe, "history --json"), once);

    universe.run("export-proof universe.toml -o nodes.proof").success();
    for _ in 0..2 {
        assert_eq!(universe.run("reproduce nodes.proof").code, Some(6));
    }
    let now = verdicts(&universe, "history --json universe.toml");
    assert_eq!(
        now,
        [
            // Its later builds had another input, and so another key.
            line("after", "built-once", 1),
            line("moody", "differs", 3),
            line("sourced", "reproduced", 3),
            line("steady", "reproduced", 3)
        ]
    );
    let one = universe.run("history universe.toml node/moody").success();
    let text = scrub(&one.stdout).replace("[moment]", "[when]");
    assert!(text.starts_with("node/moody: same inputs, 3 different outputs\n"), "{text}");
    assert_eq!(text.matches("reproduced 1, last ").count(), 2, "{text}");
    assert_eq!(text.matches("built 1, last ").count(), 1, "{text}");
    let all = universe.run("history --all").success().stdout;
    assert!(all.contains("node/steady: reproduced 2 times\n"), "{all}");
    assert!(all.contains("node/after: built once\n"), "{all}");
    assert!(!universe.run("history").success().stdout.contains("built once\n  "), "{all}");
}

#[test]
fn collecting_keeps_the_history_and_makes_it_shorter() {
    let Some(universe) = realised(STEADY) else { return };
    universe.run("export-proof universe.toml -o steady.proof").success();
    for _ in 0..3 {
        universe.run("reproduce steady.proof").success();
    }
    // What nobody needs any more loses its layer, and with that its name.
    let told = || verdicts(&universe, "history universe.toml --json");
    assert_eq!(told(), [line("one", "reproduced", 4), line("two", "reproduced", 4)]);
    // A hundred times as many builds.
    let path = universe.path("store/history");
    let bytes = fs::read(&path).unwrap();
    let (header, records) = bytes.split_at(32);
    fs::write(&path, [header, &records.repeat(100)].concat()).unwrap();
    let before = told();
    assert_eq!(before, [line("one", "reproduced", 400), line("two", "reproduced", 400)]);
    let length = || fs::metadata(universe.path("store/history")).unwrap().len();
    let long = length();
    universe.run("gc --dry-run").success();
    assert_eq!(length(), long);
    universe.run("gc").success();
    assert!(length() < long, "{long} bytes before, {} after", length());
    assert_eq!(told(), before);
    universe.run("verify").success();
}

#[test]
fn damage_to_the_history_is_found_and_costs_no_build() {
    let Some(universe) = realised(STEADY) else { return };
    let path = universe.path("store/history");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 50;
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let verified = universe.run("verify");
    assert_eq!(verified.code, Some(5), "{verified}");
    assert!(verified.stdout.contains("history: 1 damaged records are passed over"), "{verified}");
    assert!(universe.run("history").success().stderr.contains("1 damaged records"));
    universe.run("verify --repair").success();
    universe.run("verify").success();

    fs::write(&path, "something else entirely, and longer than a header is").unwrap();
    assert_eq!(universe.run("verify").code, Some(5));
    universe.edit("echo one", "echo uno");
    let built = universe.run("realise universe.toml --json").success();
    assert!(built.outcomes().contains(&("node/one".into(), "built".into())), "{built}");
    let log = universe.run("log universe.toml one").success().stdout;
    assert!(log.contains("the history does not know of this"), "{log}");
    universe.run("verify --repair").success();
    assert!(universe.path("store/quarantine/history").exists());
    universe.run("verify").success();
}
