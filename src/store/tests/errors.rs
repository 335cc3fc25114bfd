//! Errors and panics at every step: reported with operation and path, nothing half published,
//! nothing left behind, and the same work succeeds afterwards.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::{Contents, look, place, work};
use crate::store::StoreError;
use crate::store::disk::Operation::{self, RemoveDirectory, RemoveFile};
use crate::store::disk::faults::{self, Errno, Fault, Record, Watch};

/// The steps of the whole work in a store that is made by it.
fn steps() -> (Vec<Record>, usize) {
    let directory = place();
    let watch = faults::watch(directory.path());
    work(&directory.path().join("store")).unwrap();
    let steps = (watch.records(), watch.count());
    drop(watch);
    assert_eq!(look(&directory.path().join("store")).unwrap(), Contents::whole());
    steps
}

/// Whether trouble with this step is passed over: nothing but a little time or space is lost.
fn is_best_effort((_, operation, path): &(usize, Operation, std::path::PathBuf)) -> bool {
    // Facts that are not written; scratch space that the next process removes.
    path.ends_with("plans/facts") || matches!(operation, RemoveFile | RemoveDirectory)
}

/// Does the work with a fault that strikes once or lasts, and looks at what it says and leaves.
fn provoke(number: usize, begin: impl Fn(&Path) -> Watch, is_right: impl Fn(&StoreError) -> bool) {
    let directory = place();
    let root = directory.path().join("store");
    let watch = begin(directory.path());
    let done = work(&root);
    let Some(struck) = watch.struck_at() else {
        panic!("step {number} was not reached");
    };
    let after = watch.records();
    drop(watch);
    match &done {
        Err(error) if is_best_effort(&struck) => assert!(is_right(error), "{struck:?}: {error:?}"),
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.starts_with(&format!("cannot {} `", struck.1.words())), "{struck:?}: {shown}");
            assert!(shown.contains(struck.2.to_str().unwrap()), "{struck:?}: {shown}");
            assert!(is_right(error), "{struck:?}: {error:?}");
        }
        Ok(()) => assert!(is_best_effort(&struck), "{struck:?}: the error was lost"),
    }
    let flush = |operation| {
        matches!(operation, Operation::Flush | Operation::FlushDirectory | Operation::FlushFileSystem)
    };
    if flush(struck.1) {
        let again = after
            .iter()
            .find(|step| flush(step.operation) && step.path == struck.2 && step.number > struck.0);
        assert!(again.is_none(), "{struck:?} was tried again");
    }
    if !matches!(struck.1, RemoveFile | RemoveDirectory) && root.join("tmp").is_dir() {
        let left: Vec<_> = std::fs::read_dir(root.join("tmp")).unwrap().collect();
        assert!(left.is_empty(), "{struck:?} left {left:?}");
    }
    let found = look(&root).unwrap_or_else(|wrong| panic!("{struck:?}: {wrong}"));
    assert!(found.is_part_of(&Contents::whole()), "{struck:?}");
    work(&root).unwrap_or_else(|error| panic!("{struck:?}: not even afterwards: {error}"));
    assert_eq!(look(&root).unwrap(), Contents::whole());
}

#[test]
fn error_at_any_step_is_reported_and_leaves_nothing_half_done() {
    let (_, count) = steps();
    assert!(count > 100, "only {count} steps");
    for number in 1..=count {
        let fault = Fault::Fail(Errno::EIO);
        let is_right = |error: &StoreError| !error.is_no_space();
        provoke(number, |root| faults::inject(root, number, fault), is_right);
    }
    println!("{count} steps, an error at each");
}

#[test]
fn full_disk_at_any_step_is_told_as_one_and_the_same_succeeds_once_there_is_space() {
    let (steps, count) = steps();
    let mut tried = 0;
    for step in &steps {
        if matches!(step.operation, RemoveFile | RemoveDirectory) {
            continue;
        }
        for (at, errno) in [Errno::ENOSPC, Errno::EDQUOT, Errno::EFBIG].into_iter().enumerate() {
            let fault = match step.operation {
                // Some of it still fits.
                Operation::Write => Fault::Tear(step.bytes.len().min(512), errno),
                // Nothing but a write is told in three ways.
                _ if at > 0 => continue,
                _ => Fault::Fail(errno),
            };
            provoke(
                step.number,
                |root| faults::inject_from(root, step.number, fault),
                StoreError::is_no_space,
            );
            tried += 1;
        }
    }
    println!("{count} steps, {tried} full disks");
}

#[test]
fn panic_at_any_step_is_like_a_kill() {
    let (_, count) = steps();
    // The panics of other tests are told as before.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.payload_as_str().is_some_and(|text| text.starts_with("as the test asked")) {
            hook(panic);
        }
    }));
    for number in 1..=count {
        let directory = place();
        let root = directory.path().join("store");
        let watch = faults::inject(directory.path(), number, Fault::Panic);
        let done = catch_unwind(AssertUnwindSafe(|| work(&root)));
        assert!(done.is_err(), "step {number} did not panic");
        let struck = watch.struck_at().unwrap();
        drop(watch);
        if !matches!(struck.1, RemoveFile | RemoveDirectory) && root.join("tmp").is_dir() {
            let left: Vec<_> = std::fs::read_dir(root.join("tmp")).unwrap().collect();
            assert!(left.is_empty(), "{struck:?} left {left:?}");
        }
        let found = look(&root).unwrap_or_else(|wrong| panic!("{struck:?}: {wrong}"));
        assert!(found.is_part_of(&Contents::whole()), "{struck:?}");
        work(&root).unwrap();
        assert_eq!(look(&root).unwrap(), Contents::whole());
    }
    println!("{count} steps, a panic at each");
}
