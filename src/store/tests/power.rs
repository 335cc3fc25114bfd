//! The power is cut: every state of the disk that the model allows, after every step, is made real
//! and looked at. And each flush is left out in turn, which must be seen.

use std::collections::{BTreeSet, HashSet};

use super::model::{Log, Model};
use super::{Contents, look, place, rounds, work};
use crate::store::disk::Operation;
use crate::store::disk::faults::{self, Errno, Fault, Record};

/// Steps, and where they were done.
type Recorded = (tempfile::TempDir, Vec<Record>);

/// The steps of the whole work; and again where a file can get no second name and is copied.
fn recorded() -> [Recorded; 2] {
    let directory = place();
    let watch = faults::watch(directory.path());
    work(&directory.path().join("store")).unwrap();
    let plain = watch.records();
    drop(watch);
    let link = plain.iter().find(|step| step.operation == Operation::Link).expect("files are linked").number;
    let copies = place();
    let watch = faults::inject(copies.path(), link, Fault::Fail(Errno::EMLINK));
    work(&copies.path().join("store")).unwrap();
    let copied = watch.records();
    assert!(copied.len() > plain.len());
    [(directory, plain), (copies, copied)]
}

#[derive(Debug, Default)]
struct Checked {
    states: usize,
}

/// Looks at all states under one model. An error is the first state that breaks a promise.
fn check(
    root: &std::path::Path,
    records: &[Record],
    model: Model,
    samples: usize,
) -> Result<Checked, String> {
    let log = Log::read(root, records);
    let mut seen = HashSet::new();
    let mut checked = Checked::default();
    for done in Log::moments(records) {
        for state in log.states(done, model, &mut seen, samples) {
            let directory = place();
            state.make(&log, directory.path());
            checked.states += 1;
            let after = records[..done].last();
            let broken = |wrong: String| {
                let after = after.map(|step| (step.operation, &step.path));
                format!("{model:?}, after step {done} {after:?}: {wrong}; there are {:?}", state.paths())
            };
            let found = look(&directory.path().join("store")).map_err(broken)?;
            if !found.is_part_of(&Contents::whole()) {
                return Err(broken(format!("strange names: {found:?}")));
            }
            if done == log.steps && found != Contents::whole() {
                return Err(broken(format!("lost although flushed: {found:?}")));
            }
        }
    }
    Ok(checked)
}

#[test]
fn power_cut_at_any_step_leaves_a_whole_store() {
    for (directory, records) in recorded() {
        for model in [Model::Ordered, Model::Weakest] {
            let checked = check(directory.path(), &records, model, rounds(6));
            let states = checked.unwrap_or_else(|wrong| panic!("{wrong}")).states;
            println!("{model:?}: {} steps, {states} states", records.len());
        }
    }
}

#[test]
fn every_flush_that_is_left_out_is_seen() {
    let is_flush = |operation| {
        matches!(operation, Operation::Flush | Operation::FlushDirectory | Operation::FlushFileSystem)
    };
    let (mut sites, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for (directory, records) in recorded() {
        let flushes = records.iter().filter(|step| is_flush(step.operation));
        let here: BTreeSet<_> = flushes.map(|step| step.site.clone()).collect();
        for site in here.difference(&seen).cloned().collect::<Vec<_>>() {
            let without = |step: &&Record| !(is_flush(step.operation) && step.site == site);
            let without: Vec<_> = records.iter().filter(without).cloned().collect();
            let models = [Model::Ordered, Model::Weakest];
            let broken =
                models.into_iter().find_map(|model| check(directory.path(), &without, model, 6).err());
            if let Some(wrong) = broken {
                println!("without {site}: {}", wrong.chars().take(160).collect::<String>());
                seen.insert(site);
            }
        }
        sites.extend(here);
    }
    let unseen: Vec<_> = sites.difference(&seen).collect();
    assert!(unseen.is_empty(), "nobody misses the flushes at {unseen:?}");
    println!("{} places that flush, each left out", sites.len());
}
