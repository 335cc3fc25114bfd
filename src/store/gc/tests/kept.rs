//! What stays although no root keeps it, and roots that are gone or forlorn.

use std::time::Duration;

use super::fixture::{Made, Scene};
use crate::store::gc::{Kind, Options};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes things look as if they had been made at different times: the order is what counts, so a few
/// milliseconds are enough.
fn make_in_turn(scene: &Scene, names: &[&str]) -> Vec<Made> {
    let make = |name: &&str| {
        std::thread::sleep(Duration::from_millis(20));
        scene.make(name, &[(name, &name.repeat(1000)), ("shared", "by all")])
    };
    names.iter().map(make).collect()
}

#[test]
fn what_was_made_within_the_days_stays() {
    let scene = Scene::new();
    let made = scene.make("young", &[("a", "young")]);
    let report = scene.collect(&Options { keep: DAY, ..Options::default() });
    assert_eq!((report.recent, report.totals.len()), (3, 0));
    assert!(scene.is_whole(&made));
    std::thread::sleep(Duration::from_millis(50));
    scene.collect(&Options { keep: Duration::from_millis(1), ..Options::default() });
    assert!(scene.is_gone(&made));
}

#[test]
fn what_a_root_has_let_go_of_counts_as_used_until_then() {
    let scene = Scene::new();
    let [old, new] = &make_in_turn(&scene, &["old", "new"])[..] else { unreachable!() };
    scene.root("root", &[old]);
    std::thread::sleep(Duration::from_secs(1));
    scene.root("root", &[new]);
    let forgotten = Options { keep: Duration::from_millis(700), ..Options::default() };
    scene.collect(&forgotten);
    assert!(scene.is_whole(old) && scene.is_whole(new));
    std::thread::sleep(Duration::from_millis(900));
    assert!(scene.open().remove_root("root").unwrap());
    scene.collect(&forgotten);
    assert!(scene.is_gone(old), "its time is over");
    assert!(scene.is_whole(new), "its root was there just now");
}

#[test]
fn the_longest_unused_goes_until_the_store_is_small_enough() {
    let scene = Scene::new();
    let made = make_in_turn(&scene, &["first", "second", "third", "fourth"]);
    scene.root("root", &[&made[0]]);
    let size = || -> u64 {
        let files = crate::store::gc::measure::pool(&scene.open()).unwrap();
        let others =
            ["layers", "archives"].map(|name| crate::store::gc::measure::bytes_at(&scene.path(name)));
        files.iter().map(|file| file.bytes).sum::<u64>() + others.iter().sum::<u64>()
    };
    let before = size();
    let at_most = |bytes| Options { max_size: Some(bytes), ..Options::default() };
    assert_eq!(scene.collect(&at_most(before)).totals.len(), 0);
    // The first is kept by a root, so the second goes, and not a byte more.
    let told = scene.collect(&Options { dry_run: true, ..at_most(before - 1000) });
    let report = scene.collect(&at_most(before - 1000));
    assert_eq!((&told.removed, &told.totals), (&report.removed, &report.totals));
    assert!(size() < before);
    assert!(scene.open().layer(&made[1].id()).unwrap().is_none() && !scene.has_tree(&made[1]));
    assert!(scene.is_whole(&made[0]) && scene.is_whole(&made[2]) && scene.is_whole(&made[3]));
    scene.collect(&at_most(size() - 1000));
    assert!(scene.is_gone(&made[1]) && !scene.has_tree(&made[2]) && scene.is_whole(&made[3]));
    scene.collect(&at_most(0));
    assert!(scene.is_whole(&made[0]) && scene.is_gone(&made[2]) && scene.is_gone(&made[3]));
}

#[test]
fn what_is_young_stays_even_if_the_store_is_too_large() {
    let scene = Scene::new();
    let made = scene.make("young", &[("a", "young")]);
    scene.collect(&Options { keep: DAY, max_size: Some(0), ..Options::default() });
    assert!(scene.is_whole(&made));
}

#[test]
fn the_root_of_a_universe_that_is_gone_stays_unless_it_is_asked_for() {
    let scene = Scene::new();
    let [kept, forlorn] = &make_in_turn(&scene, &["kept", "forlorn"])[..] else { unreachable!() };
    let file = scene.path("universe.toml");
    std::fs::write(&file, "").unwrap();
    scene.root_of_universe("kept", &[kept], &file);
    scene.root_of_universe("forlorn", &[forlorn], &scene.path("gone.toml"));
    let report = scene.collect(&Options::default());
    let forlorn_roots: Vec<_> =
        report.roots.iter().filter(|root| root.is_forlorn).map(|root| &root.name).collect();
    assert_eq!(forlorn_roots, ["forlorn"]);
    assert!(scene.is_whole(kept) && scene.is_whole(forlorn));
    let prune = Options { prune_roots: true, ..Options::default() };
    let told = scene.collect(&Options { dry_run: true, ..prune });
    let done = scene.collect(&prune);
    assert_eq!((&told.removed, &told.totals), (&done.removed, &done.totals));
    assert_eq!(done.totals[&Kind::Root].count, 1);
    assert!(scene.is_whole(kept) && scene.is_gone(forlorn));
}

#[test]
fn a_report_says_what_only_one_root_keeps() {
    let scene = Scene::new();
    let [one, both] = &make_in_turn(&scene, &["one", "both"])[..] else { unreachable!() };
    scene.root("first", &[one, both]);
    scene.root("second", &[both]);
    let report = scene.collect(&Options::default());
    let counts: Vec<_> = report.roots.iter().map(|root| (root.keeps, root.alone)).collect();
    assert_eq!(counts, [(6, 3), (3, 0)]);
    assert_eq!(report.rooted, 6);
}
