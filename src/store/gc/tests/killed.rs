//! The collector ended at every step: the store is whole, and the next collector goes on.

use std::process::Command;

use super::fixture::{Made, Scene};
use crate::store::Store;
use crate::store::disk::faults::{self, Errno, Fault};
use crate::store::disk::{self, Operation};
use crate::store::gc::{Kind, Options, collect};
use crate::store::is_collected;

/// What a child process is told.
const STORE: &str = "JTWBUILD_TEST_COLLECT_STORE";
const STEP: &str = "JTWBUILD_TEST_COLLECT_STEP";

/// A store with kept and condemned things that share a file.
fn scene() -> (Scene, [Made; 2]) {
    let scene = Scene::new();
    let many: Vec<String> = (0..25).map(|number| format!("d/{number}")).collect();
    let mut files: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "same")).collect();
    files.push(("shared", "shared"));
    let kept = scene.make("kept", &[("shared", "shared"), ("only", "kept")]);
    let dropped = scene.make("dropped", &files);
    scene.make("also dropped", &[("shared", "shared"), ("only", "dropped")]);
    scene.root("root", &[&kept]);
    scene.facts(&[&kept, &dropped]);
    std::fs::write(scene.path("interrupted/x.log"), "log").unwrap();
    (scene, [kept, dropped])
}

/// After a collector was ended: names are complete, and the next one finishes.
fn check(scene: &Scene, [kept, dropped]: &[Made; 2], what: &str) {
    assert!(scene.is_whole(kept), "{what}");
    let store = scene.open();
    if store.has_tree(&dropped.tree) {
        assert!(scene.has_tree(dropped), "{what}: a name without its content");
    }
    drop(store);
    scene.collect(&Options::default());
    assert!(scene.is_whole(kept) && scene.is_gone(dropped), "{what}");
    assert_eq!(scene.left_in_tmp(), 0, "{what}");
    assert_eq!(scene.collect(&Options::default()).totals.len(), 0, "{what}");
    assert_eq!(scene.known(dropped), None, "{what}");
}

fn steps() -> usize {
    let (scene, _) = scene();
    let watch = faults::watch(&scene.path(""));
    scene.collect(&Options::default());
    watch.count()
}

#[test]
fn every_step_of_the_collector_may_fail() {
    let steps = steps();
    assert!(steps > 10, "{steps}");
    for step in 1..=steps {
        let (scene, made) = scene();
        let watch = faults::inject(&scene.path(""), step, Fault::Fail(Errno::EIO));
        let result = collect(&scene.open(), &Options::default(), &mut |_| {});
        assert!(watch.has_struck(), "{step}");
        if let Err(error) = result {
            assert!(error.to_string().starts_with("cannot "), "{error}");
        }
        drop(watch);
        check(&scene, &made, &format!("step {step} of {steps} failed"));
    }
}

/// `tmp/` cannot take one more name until something there is gone.
#[test]
fn a_disk_too_full_for_a_rename_has_what_went_before_removed_first() {
    let (watched, _) = scene();
    let watch = faults::watch(&watched.path(""));
    watched.collect(&Options::default());
    let is_taken = |scene: &Scene, path: &std::path::Path| {
        path.parent() == Some(&scene.path("tmp")) && is_collected(path)
    };
    let renames: Vec<usize> = watch
        .records()
        .iter()
        .filter(|step| step.operation == Operation::RenameNew && is_taken(&watched, &step.path))
        .map(|step| step.number)
        .collect();
    drop(watch);
    assert!(renames.len() > 2, "{renames:?}");
    for step in &renames[1..] {
        // A lock that another test's child still holds for a moment makes steps of its own: then the fault
        // strikes elsewhere, and says nothing about renames.
        let is_shown = (0..20).any(|_| {
            let (scene, made) = scene();
            let watch = faults::inject(&scene.path(""), *step, Fault::Fail(Errno::ENOSPC));
            let report = collect(&scene.open(), &Options::default(), &mut |_| {});
            let struck = watch.struck_at();
            drop(watch);
            let is_rename = struck.is_some_and(|(_, operation, path)| {
                operation == Operation::RenameNew && is_taken(&scene, &path)
            });
            if !is_rename {
                return false;
            }
            assert_eq!(report.unwrap().totals[&Kind::Tree].count, 2, "{step}");
            check(&scene, &made, &format!("no room at step {step}"));
            true
        });
        assert!(is_shown, "step {step} was no rename");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is this very program, which is to be killed")]
fn a_collector_that_is_killed_at_any_step_leaves_a_whole_store() {
    let steps = steps();
    for step in 1..=steps {
        let (scene, made) = scene();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "store::gc::tests::killed::a_child_collects", "--ignored"])
            .env(STORE, scene.path(""))
            .env(STEP, step.to_string())
            .stdout(std::process::Stdio::null());
        let status = disk::start(&mut command).unwrap().wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "step {step}: {status}");
        check(&scene, &made, &format!("killed at step {step} of {steps}"));
    }
    println!("killed at each of {steps} steps");
}

#[test]
#[ignore = "run by the test before it"]
fn a_child_collects() {
    let path = std::env::var_os(STORE).expect("it is run as a child");
    let step = std::env::var(STEP).unwrap().parse().unwrap();
    let path = std::path::Path::new(&path);
    let _watch = faults::inject(path, step, Fault::Kill);
    drop(collect(&Store::open(path).unwrap(), &Options::default(), &mut |_| {}));
}
