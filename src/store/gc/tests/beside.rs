//! The collector beside others: whoever is quicker, nothing that is needed goes.

use std::sync::Arc;

use super::fixture::{Made, Scene};
use crate::store::Store;
use crate::store::gc::{Event, Options, Report, collect};
use crate::store::tree::{Node, RelPath, Tree};

/// Collects, and lets something happen when the roots are read and the removal is about to begin.
fn collect_with(scene: &Scene, mut meanwhile: impl FnMut()) -> Report {
    let mut is_done = false;
    let report = collect(&scene.open(), &Options::default(), &mut |event| {
        if let (Event::Removing(_), false) = (event, is_done) {
            is_done = true;
            meanwhile();
        }
    });
    assert!(is_done, "nothing was condemned");
    report.unwrap()
}

#[test]
fn a_root_that_comes_after_the_roots_were_read_keeps_its_things() {
    let scene = Scene::new();
    let late = scene.make("late", &[("a", "late")]);
    let dropped = scene.make("dropped", &[("a", "dropped")]);
    // By a process that has ended before anything is removed.
    collect_with(&scene, || scene.root("root", &[&late]));
    assert!(scene.is_whole(&late) && scene.is_gone(&dropped));
}

#[test]
fn a_root_that_changes_after_the_roots_were_read_keeps_the_new_and_the_old() {
    let scene = Scene::new();
    let old = scene.make("old", &[("a", "old")]);
    let late = scene.make("late", &[("a", "late")]);
    scene.root("root", &[&old]);
    collect_with(&scene, || {
        scene.root("root", &[&late]);
        scene.root("root", &[&old, &late]);
        scene.root("root", &[&late]);
    });
    assert!(scene.is_whole(&late) && scene.is_whole(&old));
    collect_with(&scene, || {});
    assert!(scene.is_whole(&late) && scene.is_gone(&old));
}

#[test]
fn roots_that_come_in_the_middle_of_the_removal_are_seen_too() {
    let scene = Scene::new();
    let made: Vec<Made> = (0..300).map(|n| scene.make(&format!("{n}"), &[("a", &n.to_string())])).collect();
    let mut batches = 0;
    let report = collect(&scene.open(), &Options::default(), &mut |event| {
        if let Event::Removing(batch) = event {
            batches += 1;
            // One thing of each batch, before it goes.
            let one = &batch[batch.len() / 2].id;
            let has =
                |made: &&Made| [made.tree.as_bytes(), made.key.as_bytes(), &made.archive.id()].contains(&one);
            scene.root(&format!("root-{batches}"), &[made.iter().find(has).unwrap()]);
        }
    })
    .unwrap();
    assert_eq!(batches, 15);
    assert_eq!(report.roots.len(), batches);
    let store = scene.open();
    for name in store.root_names().unwrap() {
        let keeps = store.root_named(name.to_str().unwrap()).unwrap().unwrap().keeps;
        // What had gone before its root came is gone; the rest is whole.
        let id = |made: &&Made| keeps.trees[0] == *made.tree.as_bytes();
        let made = made.iter().find(id).unwrap();
        let has_layer = store.layer(&made.id()).unwrap().is_some();
        assert!(!has_layer || scene.is_whole(made));
        assert!(store.archive_path(&made.archive).exists());
    }
}

#[test]
fn what_a_process_has_looked_at_stays_as_long_as_it_runs() {
    let scene = Scene::new();
    let before = scene.make("before", &[("a", "before")]);
    let meanwhile = scene.make("meanwhile", &[("a", "meanwhile")]);
    let dropped = scene.make("dropped", &[("a", "dropped")]);
    let process = scene.open();
    assert!(process.use_tree(&before.tree).unwrap());
    let report = collect_with(&scene, || assert!(process.use_tree(&meanwhile.tree).unwrap()));
    assert_eq!(report.in_use, 2);
    assert!(scene.has_tree(&before) && scene.has_tree(&meanwhile) && scene.is_gone(&dropped));
    drop(process);
    collect_with(&scene, || {});
    assert!(!scene.has_tree(&before) && !scene.has_tree(&meanwhile));
}

#[test]
fn what_a_running_process_makes_stays() {
    let scene = Scene::new();
    scene.make("dropped", &[("a", "dropped"), ("b", "also in new")]);
    let process = scene.open();
    let old = Scene::make_with(&process, "old", &[("a", "old")]);
    let mut new = None;
    collect_with(&scene, || {
        new = Some(Scene::make_with(&process, "new", &[("a", "new"), ("b", "also in new")]));
    });
    let new = new.unwrap();
    assert!(scene.is_whole(&old) && scene.is_whole(&new));
    // It is found again by others.
    assert!(scene.open().use_tree(&new.tree).unwrap());
}

/// Adds a file that the pool has, lets the collector do its work, publishes a tree of it.
fn published_after(scene: &Scene, store: &Arc<Store>, collected: impl FnOnce()) {
    let staging = store.stage().unwrap();
    let file = staging.add_bytes(b"in the pool", false).unwrap();
    collected();
    let mut tree = Tree::default();
    tree.insert(&RelPath::parse("again").unwrap(), Node::File(file)).unwrap();
    let hash = staging.publish(&tree).unwrap();
    assert_eq!(std::fs::read(store.tree_path(&hash).join("again")).unwrap(), b"in the pool");
    assert_eq!(scene.open().read(&file).unwrap(), b"in the pool");
}

#[test]
fn a_file_that_was_found_in_the_pool_can_be_published_after_it_was_collected() {
    for links in [0, 1] {
        let scene = Scene::new();
        let made = scene.make("old", &[("a", "in the pool")]);
        if links == 0 {
            // Nothing has it but the pool.
            std::fs::remove_dir_all(scene.path(&format!("trees/{}", made.tree.to_hex()))).unwrap();
        }
        let store = scene.open();
        published_after(&scene, &store, || drop(collect_with(&scene, || {})));
    }
}

#[test]
fn a_file_of_the_pool_is_found_while_the_collector_looks_at_it() {
    let scene = Scene::new();
    scene.make("old", &[("a", "in the pool")]);
    let store = scene.open();
    collect_with(&scene, || published_after(&scene, &store, || {}));
    let scan = crate::store::gc::measure::pool(&scene.open()).unwrap();
    assert_eq!(scan.iter().map(|file| file.links).collect::<Vec<_>>(), [2]);
}

#[test]
fn where_trees_hold_copies_the_links_of_a_file_are_not_believed() {
    let scene = Scene::new();
    let kept = scene.make("kept", &[("a", "copied")]);
    let dropped = scene.make("dropped", &[("a", "dropped")]);
    scene.root("root", &[&kept]);
    let store = scene.open();
    store.note_copies().unwrap();
    store.note_copies().unwrap();
    let inside = store.tree_path(&kept.tree).join("a");
    std::fs::remove_file(&inside).unwrap();
    std::fs::write(&inside, "copied").unwrap();
    collect_with(&scene, || {});
    assert!(scene.is_whole(&kept) && scene.is_gone(&dropped));
    assert_eq!(crate::store::gc::measure::pool(&store).unwrap().len(), 1);
}

#[test]
fn many_builders_and_collectors_at_once_lose_nothing() {
    let rounds = if std::env::var_os("JTWBUILD_LONG").is_some() { 400 } else { 25 };
    let scene = Scene::new();
    drop(scene.open());
    let done = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for builder in 0..4 {
            let (scene, done) = (&scene, &done);
            scope.spawn(move || {
                for round in 0..rounds {
                    // Each is a process of its own as far as locks go. All of them want some things
                    // that others have made, and that may be going away.
                    let store = scene.open();
                    let (mine, shared) = (format!("{builder} {round}"), format!("{}", round % 5));
                    let files = [("mine", mine.as_str()), ("shared", shared.as_str()), ("all", "all")];
                    let made = Scene::make_with(&store, &mine, &files);
                    let common = Scene::make_with(&store, &format!("common {shared}"), &files[1..]);
                    assert!(scene.is_whole(&made), "{builder}, {round}");
                    Scene::root_with(&store, &format!("root-{builder}"), &[&made, &common]);
                    drop(store);
                    assert!(scene.is_whole(&made) && scene.is_whole(&common), "{builder}, {round}");
                }
                done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            });
        }
        scope.spawn(|| {
            while done.load(std::sync::atomic::Ordering::SeqCst) < 4 {
                scene.collect(&Options::default());
            }
        });
    });
    scene.collect(&Options::default());
    assert_eq!(scene.open().layers().unwrap().len(), 4 + 1);
}
