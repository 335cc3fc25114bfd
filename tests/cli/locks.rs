//! Several processes, one store.

use crate::support::{TestUniverse, eventually};
use crate::waiting::{let_go, pipes_of, token, universe_that_waits};

/// How many nodes a run has built itself.
fn built(ended: &crate::support::Ended) -> usize {
    ended.outcomes().iter().filter(|(_, word)| word == "built").count()
}

#[test]
fn six_processes_never_run_one_builder_twice() {
    let rounds = if std::env::var_os("JTWBUILD_LONG").is_some() { 30 } else { 3 };
    let text = crate::TWO_NODES.replace("echo hello", "sleep 0.2; echo hello");
    let Some(universe) = TestUniverse::buildable(&text) else { return };
    for round in 0..rounds {
        // Another node each time.
        universe.write("universe.toml", &text.replace("echo hello", &format!("echo {round}")));
        let processes: Vec<_> = (0..6).map(|_| universe.start("realise universe.toml --json")).collect();
        let ended: Vec<_> = processes.into_iter().map(|process| process.end().success()).collect();
        // The base is built in the first round, unless the store came with it.
        let count: usize = ended.iter().map(built).sum();
        assert!((2..=3).contains(&count), "round {round}: {count} builds");
        assert!(round == 0 || count == 2, "round {round}: {count} builds");
    }
}

#[test]
fn the_holder_is_killed_and_the_waiter_takes_over_and_cleans_up() {
    let token = token("taken-over");
    let Some(universe) = TestUniverse::buildable(&universe_that_waits(&token)) else { return };
    let mut first = universe.start("realise universe.toml");
    first.wait_for("building node/greeting");
    eventually("the first builder waits", || pipes_of(&token).len() == 1);
    let mut second = universe.start("realise universe.toml --json");
    second.wait_for(&format!("waiting for node/greeting: process {} has been building it for ", first.id()));
    first.signal("KILL");
    assert_eq!(first.end().code, None);
    second.wait_for("building node/greeting");
    eventually("the second builder waits", || pipes_of(&token).len() == 1);
    let scratches = universe.leftovers().into_iter().filter(|name| !name.ends_with(".lock")).count();
    assert_eq!(scratches, 1, "that of the second process: {:?}", universe.leftovers());
    let_go(&token);
    let ended = second.end().success();
    assert_eq!(built(&ended), 2, "{ended}");
    assert_eq!(universe.leftovers(), [""; 0]);
}

#[test]
fn a_holder_that_is_stopped_is_waited_for_as_long_as_was_said() {
    let token = token("stopped");
    let Some(universe) = TestUniverse::buildable(&universe_that_waits(&token)) else { return };
    let mut first = universe.start("realise universe.toml --json");
    first.wait_for("building node/greeting");
    eventually("the builder waits", || pipes_of(&token).len() == 1);
    first.signal("STOP");
    let impatient = universe.run("realise universe.toml --wait-timeout 1");
    assert_eq!(impatient.code, Some(4), "{impatient}");
    let said = format!("node/greeting failed: process {}: it has been building this for ", first.id());
    assert!(impatient.stderr.contains(&said), "{impatient}");
    // Who waits can be stopped.
    let mut patient = universe.start("realise universe.toml");
    patient.wait_for("waiting for node/greeting: process ");
    patient.signal("INT");
    assert_eq!(patient.end().code, Some(130));
    let mut patient = universe.start("realise universe.toml --json");
    patient.wait_for("waiting for node/greeting: process ");
    first.signal("CONT");
    let_go(&token);
    let (first, patient) = (first.end().success(), patient.end().success());
    assert_eq!(built(&first) + built(&patient), 2, "{first}{patient}");
}
