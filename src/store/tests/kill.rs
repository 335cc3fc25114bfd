//! The process is killed before every step, and within every write.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Contents, look, place, work};
use crate::store::disk::faults::{self, Fault};
use crate::store::disk::{self, Operation};

const PLACE: &str = "JTWBUILD_TEST_KILL_IN";
const STEP: &str = "JTWBUILD_TEST_KILL_AT";

/// Not a test: what `killed_at_any_step_the_store_is_old_or_new` starts, and what kills itself.
#[test]
#[ignore = "started by another test"]
fn works_until_it_is_killed() {
    let Some(directory) = std::env::var_os(PLACE) else { return };
    let step = std::env::var(STEP).unwrap();
    let (number, torn) = step.split_once(' ').unwrap();
    let fault = match torn.parse() {
        Ok(bytes) => Fault::TearAndKill(bytes),
        Err(_) => Fault::Kill,
    };
    let directory = Path::new(&directory);
    let _watch = faults::inject(directory, number.parse().unwrap(), fault);
    work(&directory.join("store")).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "it is this program, which has to be killed")]
fn work_and_be_killed(directory: &Path, number: usize, torn: Option<usize>) -> bool {
    let torn = torn.map_or("-".to_owned(), |bytes| bytes.to_string());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "--ignored", "--nocapture", "store::tests::kill::works_until_it_is_killed"])
        .env(PLACE, directory)
        .env(STEP, format!("{number} {torn}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let ended = disk::start(&mut command).unwrap().wait().unwrap();
    ended.signal() == Some(9)
}

#[test]
fn killed_at_any_step_the_store_is_old_or_new() {
    let directory = place();
    let watch = faults::watch(directory.path());
    work(&directory.path().join("store")).unwrap();
    let (steps, count) = (watch.records(), watch.count());
    drop(watch);
    let mut kills = 0;
    for number in 1..=count {
        let step = steps.iter().find(|step| step.number == number);
        let mut kinds = vec![None];
        if let Some(write) = step.filter(|step| step.operation == Operation::Write) {
            kinds.push(Some(write.bytes.len() / 2));
        }
        for torn in kinds {
            let directory = place();
            let root = directory.path().join("store");
            assert!(work_and_be_killed(directory.path(), number, torn), "step {number} was not reached");
            kills += 1;
            if root.exists() {
                let found = look(&root).unwrap_or_else(|wrong| panic!("{number} {step:?}: {wrong}"));
                assert!(found.is_part_of(&Contents::whole()), "{number} {step:?}");
                // Not flushed, but whole for every reader.
                let cache = std::fs::read(root.join("plans/cache"));
                assert!(cache.is_err() || cache.is_ok_and(|cache| cache == b"a cache"), "{number}");
            }
            work(&root).unwrap_or_else(|error| panic!("{number} {step:?}: not again: {error}"));
            assert_eq!(look(&root).unwrap(), Contents::whole());
        }
    }
    let lived = place();
    assert!(!work_and_be_killed(lived.path(), count + 1, None), "there are more steps");
    println!("{count} steps, {kills} kills");
}
