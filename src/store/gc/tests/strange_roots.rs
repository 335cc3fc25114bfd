//! Roots that do not say what they keep: they are named, never followed, and all is kept.

use std::os::unix::fs::symlink;

use super::fixture::Scene;
use crate::store::gc::Options;

#[test]
fn a_link_to_a_thing_of_the_store_keeps_it() {
    let scene = Scene::new();
    let (kept, dropped) = (scene.make("kept", &[("a", "kept")]), scene.make("dropped", &[("a", "dropped")]));
    symlink(format!("../trees/{}", kept.tree.to_hex()), scene.path("roots/tree")).unwrap();
    symlink(scene.path(&format!("layers/{}", kept.id())), scene.path("roots/layer")).unwrap();
    symlink(format!("../trees/{}", "0".repeat(64)), scene.path("roots/dangling")).unwrap();
    let report = scene.collect(&Options::default());
    assert!(!report.is_unclear);
    assert!(scene.has_tree(&kept) && scene.is_gone(&dropped));
    assert!(scene.open().layer(&kept.id()).unwrap().is_some());
    assert!(!scene.open().archive_path(&kept.archive).exists());
}

#[test]
fn whatever_else_is_there_is_named_and_keeps_everything() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("file"), "outside").unwrap();
    let whole = {
        let scene = Scene::new();
        scene.root("root", &[&scene.make("x", &[("a", "b")])]);
        std::fs::read(scene.path("roots/root")).unwrap()
    };
    let file = |bytes: Vec<u8>| move |path: &std::path::Path| std::fs::write(path, &bytes).unwrap();
    let newer = String::from_utf8_lossy(&whole[..60]).replace("root 1", "root 9").into_bytes();
    let mut flipped = whole.clone();
    flipped[100] ^= 1;
    let away = outside.path().to_owned();
    let strange: Vec<(&str, Box<dyn Fn(&std::path::Path)>)> = vec![
        ("a damaged file", Box::new(file(flipped))),
        ("a file that is cut off", Box::new(file(whole[..whole.len() - 1].to_vec()))),
        ("an empty file", Box::new(file(Vec::new()))),
        ("a file of zeros", Box::new(file(vec![0; whole.len()]))),
        ("a file of a later version", Box::new(file(newer))),
        ("a loop", Box::new(|path| symlink(path.file_name().unwrap(), path).unwrap())),
        ("a dangling link", Box::new(|path| symlink("nowhere", path).unwrap())),
        ("a link that leads out", Box::new(move |path| symlink(&away, path).unwrap())),
        ("a link out by way of the store", Box::new(|path| symlink("../trees/../../x", path).unwrap())),
        ("a link into a tree", Box::new(|path| symlink("../trees/0/../../format", path).unwrap())),
        ("a directory", Box::new(|path| std::fs::create_dir(path).unwrap())),
    ];
    for (what, make) in strange {
        let scene = Scene::new();
        let made = scene.make("unrooted", &[("a", "b")]);
        make(&scene.path("roots/strange"));
        let before = scene.everything();
        let report = scene.collect(&Options::default());
        assert!(report.is_unclear, "{what}");
        assert!(report.roots[0].about.is_err(), "{what}");
        assert_eq!(scene.everything(), before, "{what}");
        assert!(scene.open().remove_root("strange").unwrap(), "{what}");
        scene.collect(&Options::default());
        assert!(scene.is_gone(&made), "{what}");
    }
    assert_eq!(std::fs::read(outside.path().join("file")).unwrap(), b"outside");
}

#[test]
fn a_strange_root_that_comes_late_ends_the_removal() {
    let scene = Scene::new();
    let made = scene.make("unrooted", &[("a", "b")]);
    let report = crate::store::gc::collect(&scene.open(), &Options::default(), &mut |event| {
        if let crate::store::gc::Event::Removing(_) = event {
            std::fs::write(scene.path("roots/strange"), "").unwrap();
        }
    });
    assert!(report.unwrap().is_unclear);
    assert!(scene.is_whole(&made));
}

#[test]
fn names_that_are_none_of_ours_are_left_alone() {
    let scene = Scene::new();
    scene.make("unrooted", &[("a", "b")]);
    let foreign = [
        "trees/README",
        "layers/readme.txt",
        "files/aa/README",
        "archives/sha256/x/y",
        "archives/z",
        "manifests/m",
    ];
    for name in foreign {
        std::fs::create_dir_all(scene.path(name).parent().unwrap()).unwrap();
        std::fs::write(scene.path(name), "text").unwrap();
    }
    scene.collect(&Options::default());
    for name in foreign {
        assert!(scene.path(name).exists(), "{name}");
    }
}
