//! The power is cut: every state of the disk that the model allows, after every step, is made real
//! and looked at. And each flush is left out in turn, which must be seen.

use std::collections::{BTreeSet, HashSet};

use super::model::{Log, Model};
use super::{Contents, look, place, rounds, work};
use crate::store::Store;
use crate::store::disk::Operation;
use crate::store::disk::faults::{self, Errno, Fault, Record};
use crate::store::gc::{Kind, Options, collect};

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
    end: &Contents,
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
            if done == log.steps && !end.is_part_of(&found) {
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
            let checked = check(directory.path(), &records, model, rounds(6), &Contents::whole());
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
            let broken = models
                .into_iter()
                .find_map(|model| check(directory.path(), &without, model, 6, &Contents::whole()).err());
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

/// The steps of the whole work, and of a collector that finds nothing to keep; and how many of them were
/// begun before the collector.
fn collected() -> (Recorded, usize) {
    let directory = place();
    let watch = faults::watch(directory.path());
    work(&directory.path().join("store")).unwrap();
    let worked = watch.count();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let report = collect(&store, &Options::default(), &mut |_| {}).unwrap();
    assert!(report.totals[&Kind::Tree].count > 1, "{report:?}");
    let records = watch.records();
    drop(watch);
    ((directory, records), worked)
}

/// Whether a step is the collector's and makes names of trees and layers that went stay away.
fn keeps_names_away(step: &Record, worked: usize) -> bool {
    let is_of_names = step.path.ends_with("store/trees") || step.path.ends_with("store/layers");
    step.number > worked && step.operation == Operation::FlushDirectory && is_of_names
}

#[test]
fn power_cut_while_garbage_is_collected_leaves_no_name_without_its_content() {
    let ((directory, records), worked) = collected();
    let is_flush = |step: &Record| keeps_names_away(step, worked);
    for model in [Model::Ordered, Model::Weakest] {
        let checked = check(directory.path(), &records, model, rounds(6), &Contents::default());
        let states = checked.unwrap_or_else(|wrong| panic!("{wrong}")).states;
        println!("{model:?}, with a collector: {} steps, {states} states", records.len());
    }
    let without: Vec<_> = records.iter().filter(|step| !is_flush(step)).cloned().collect();
    assert!(without.len() < records.len());
    assert!(check(directory.path(), &without, Model::Weakest, 6, &Contents::default()).is_err());
}

/// The same where the first collector was ended between names and content, and a second one went on.
#[test]
fn power_cut_while_a_second_collector_ends_the_work_of_the_first_leaves_no_name_without_its_content() {
    let ((_, records), worked) = collected();
    let is_flush = |step: &Record| keeps_names_away(step, worked);
    let flush = records.iter().find(|step| is_flush(step)).expect("names are flushed").number;
    let directory = place();
    let watch = faults::inject(directory.path(), flush, Fault::Fail(Errno::EIO));
    work(&directory.path().join("store")).unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    collect(&store, &Options::default(), &mut |_| {}).unwrap_err();
    let report = collect(&store, &Options::default(), &mut |_| {}).unwrap();
    assert!(watch.has_struck() && report.totals[&Kind::Leftover].count > 1, "{report:?}");
    let records = watch.records();
    drop(watch);
    for model in [Model::Ordered, Model::Weakest] {
        let checked = check(directory.path(), &records, model, rounds(6), &Contents::default());
        let states = checked.unwrap_or_else(|wrong| panic!("{wrong}")).states;
        println!("{model:?}, with a second collector: {} steps, {states} states", records.len());
    }
    let without: Vec<_> = records.iter().filter(|step| !is_flush(step)).cloned().collect();
    assert!(without.len() < records.len());
    assert!(check(directory.path(), &without, Model::Weakest, 6, &Contents::default()).is_err());
}
