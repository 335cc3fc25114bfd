//! What goes and what stays, whatever comes in between.

mod beside;
mod fixture;
mod kept;
mod killed;
mod strange_roots;

use std::time::Duration;

use self::fixture::Scene;
use super::{Kind, Options, Total, collect};

#[test]
fn what_no_root_keeps_goes_and_the_rest_stays() {
    let scene = Scene::new();
    let kept = scene.make("kept", &[("a", "only in kept"), ("both", "in both")]);
    let dropped = scene.make("dropped", &[("b", "only in dropped"), ("both", "in both")]);
    scene.root("root", &[&kept]);
    let report = scene.collect(&Options::default());
    assert_eq!(report.totals[&Kind::Tree], Total { count: 1, bytes: 0 });
    assert_eq!(report.totals[&Kind::Layer].count, 1);
    assert_eq!(report.totals[&Kind::File], Total { count: 1, bytes: 15 });
    assert_eq!(report.totals[&Kind::Archive], Total { count: 1, bytes: 7 });
    assert_eq!(report.kept_files, Total { count: 2, bytes: 12 + 7 });
    assert_eq!((report.rooted, report.in_use, report.recent), (3, 0, 0));
    assert!(scene.is_whole(&kept) && scene.is_gone(&dropped));
    assert_eq!(scene.left_in_tmp(), 0);
    assert_eq!(scene.collect(&Options::default()).totals.len(), 0, "the second time there is nothing");
}

#[test]
fn a_manifest_goes_with_its_tree() {
    let scene = Scene::new();
    let names: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
    let kept = scene.make("kept", &files[1..]);
    let dropped = scene.make("dropped", &files);
    scene.root("root", &[&kept]);
    let manifests = |made: &fixture::Made| scene.path(&format!("manifests/{}", made.tree.to_hex())).exists();
    assert!(manifests(&kept) && manifests(&dropped));
    assert_eq!(scene.collect(&Options::default()).totals[&Kind::Manifest].count, 1);
    assert!(manifests(&kept) && !manifests(&dropped));
}

#[test]
fn a_dry_run_tells_what_a_real_one_does_and_does_nothing() {
    let scene = Scene::new();
    let kept = scene.make("kept", &[("a", "kept"), ("shared", "shared by all")]);
    for number in 0..100 {
        // Every file in two trees, some in three.
        let [one, two] = [number, number + 1].map(|number| format!("bytes of {number}"));
        let third = format!("{}", number % 3);
        scene.make(
            &format!("dropped {number}"),
            &[("one", &one), ("two", &two), ("three", &third), ("shared", "shared by all")],
        );
    }
    scene.root("root", &[&kept]);
    std::fs::write(scene.path("interrupted/x.log"), "log").unwrap();
    std::fs::write(scene.path("plans/memo-0"), "memo").unwrap();
    scene.facts(&[&kept, &scene.make("forgotten", &[("x", "y")])]);
    std::fs::create_dir_all(scene.path("tmp/1234-0/deep")).unwrap();
    let before = scene.everything();
    let told = scene.collect(&Options { dry_run: true, ..Options::default() });
    assert_eq!(scene.everything(), before);
    let done = scene.collect(&Options::default());
    assert_eq!(told.removed, done.removed);
    assert_eq!(told.totals, done.totals);
    assert_eq!(told.kept_files, done.kept_files);
    assert_eq!(told.totals[&Kind::Tree].count, 101);
    assert_eq!(told.totals[&Kind::File].count, 101 + 3 + 1);
    for kind in [Kind::Log, Kind::Leftover] {
        assert_eq!(told.totals[&kind].count, 1, "{kind:?}");
    }
    assert_eq!(told.totals[&Kind::Cache].count, 2, "a memo and a fact");
    assert_ne!(scene.everything(), before);
    assert!(scene.is_whole(&kept));
}

#[test]
fn memos_go_with_their_roots() {
    let scene = Scene::new();
    let kept = scene.make("kept", &[("a", "kept")]);
    scene.root_with_memo("root", &[&kept], "memo-1");
    for name in ["memo-1", "memo-1.table", "memo-1.heads", "memo-2", "memo-2.table", "other"] {
        std::fs::write(scene.path(&format!("plans/{name}")), "x").unwrap();
    }
    scene.collect(&Options::default());
    let mut left: Vec<_> =
        std::fs::read_dir(scene.path("plans")).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["memo-1", "memo-1.heads", "memo-1.table", "other"]);
}

#[test]
fn where_an_archive_came_from_is_forgotten_with_the_archive() {
    let scene = Scene::new();
    let [kept, dropped] = ["kept", "dropped"].map(|name| scene.make(name, &[("a", name)]));
    scene.root("root", &[&kept]);
    std::fs::create_dir(scene.path("plans/fetched")).unwrap();
    let note = |name: &str| scene.path(&format!("plans/fetched/{name}"));
    let [kept, dropped] = [kept, dropped].map(|made| made.archive.label());
    let missing = "77".repeat(32);
    for name in [&kept, &dropped, &missing] {
        std::fs::write(note(name), "https://example.org/x\n").unwrap();
    }
    let told = scene.collect(&Options { dry_run: true, ..Options::default() });
    assert!(note(&dropped).exists());
    assert_eq!(told.removed, scene.collect(&Options::default()).removed);
    assert_eq!([&kept, &dropped, &missing].map(|name| note(name).exists()), [true, false, false]);
}

#[test]
fn facts_of_collected_trees_are_left_out_and_the_others_stay() {
    let scene = Scene::new();
    let kept = scene.make("kept", &[("a", "kept")]);
    let dropped = scene.make("dropped", &[("a", "dropped")]);
    scene.root("root", &[&kept]);
    scene.facts(&[&kept, &dropped, &kept]);
    scene.collect(&Options::default());
    assert_eq!(scene.known(&kept), Some(kept.tree));
    assert_eq!(scene.known(&dropped), None);
}

#[test]
fn only_one_collector_is_at_work() {
    let scene = Scene::new();
    scene.make("dropped", &[("a", "dropped")]);
    let store = scene.open();
    std::thread::scope(|scope| {
        let mut second = None;
        let (tell, told) = std::sync::mpsc::channel();
        let mut tell = Some(tell);
        let report = collect(&store, &Options::default(), &mut |event| {
            let super::Event::Removing(_) = event else { return };
            let Some(tell) = tell.take() else { return };
            let store = scene.open();
            second = Some(scope.spawn(move || {
                let mut waited = false;
                let report = collect(&store, &Options::default(), &mut |event| {
                    if let super::Event::Waiting = event {
                        waited = true;
                        tell.send(()).unwrap();
                    }
                });
                (waited, report.unwrap().totals.len())
            }));
            told.recv_timeout(Duration::from_secs(60)).unwrap();
        });
        assert_eq!(report.unwrap().totals[&Kind::Tree].count, 1);
        assert_eq!(second.unwrap().join().unwrap(), (true, 0));
    });
}
