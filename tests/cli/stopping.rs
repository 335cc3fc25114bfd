//! Runs that are ended before they are done.

use crate::support::{TestUniverse, eventually, processes_with};

/// A quick node, a slow one that says `token` on its command line, and one after it.
fn slow(token: &str) -> String {
    format!(
        "name = \"slow\"\n[[node]]\nname = \"quick\"\nscript = \"echo q > $out/q\"\n\
         [[node]]\nname = \"slow\"\ninputs = [\"quick\"]\n\
         script = \"echo begun; : {token}; (trap '' TERM; sleep 1000) & sleep 1000; wait\"\n\
         [[node]]\nname = \"after\"\ninputs = [\"slow\"]\nscript = \"true\"\n"
    )
}

/// A word that no other process of this machine has.
fn token(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

#[test]
fn ctrl_c_once_is_an_orderly_stop_and_the_next_run_goes_on() {
    let token = token("interrupted");
    let Some(universe) = TestUniverse::buildable(&slow(&token)) else { return };
    let mut running = universe.start("realise universe.toml");
    running.wait_for("building node/slow\n");
    eventually("the builder runs", || processes_with(&token) > 0);
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended}");
    assert_eq!(processes_with(&token), 0);
    assert_eq!(universe.leftovers(), [""; 0]);
    insta::assert_snapshot!(ended);
    universe.edit("sleep 1000", "true");
    let resumed = universe.run("realise universe.toml --json").success();
    let quick = resumed.outcomes().into_iter().find(|(id, _)| id == "node/quick").unwrap();
    assert_eq!(quick.1, "reused");
}

#[test]
fn ctrl_c_twice_ends_at_once_and_leaves_no_process() {
    let token = token("twice");
    let Some(universe) = TestUniverse::buildable(&slow(&token)) else { return };
    let mut running = universe.start("realise universe.toml");
    running.wait_for("building node/slow\n");
    eventually("the builder runs", || processes_with(&token) > 0);
    running.signal("INT");
    std::thread::sleep(std::time::Duration::from_millis(100));
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended}");
    eventually("the builder is gone", || processes_with(&token) == 0);
}

#[test]
fn a_killed_run_leaves_no_process_and_the_next_one_cleans_up() {
    let token = token("killed");
    let Some(universe) = TestUniverse::buildable(&slow(&token)) else { return };
    let mut running = universe.start("realise universe.toml");
    running.wait_for("building node/slow\n");
    eventually("the builder runs", || processes_with(&token) > 0);
    running.signal("KILL");
    assert_eq!(running.end().code, None);
    eventually("the builder is gone", || processes_with(&token) == 0);
    universe.edit("sleep 1000", "true");
    universe.run("realise universe.toml").success();
    assert_eq!(universe.leftovers(), [""; 0]);
}
