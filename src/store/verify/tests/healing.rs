//! Repairs: what comes back, what is lost, and that nothing else is touched.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use super::super::repair::{Remedy, Repaired, repair};
use super::*;
use crate::store::disk::faults::{self, Fault};

fn no_network(_: &Checksum) -> Result<(), String> {
    Err("no network".into())
}

/// Verifies and repairs; what came of each object, with names in place of hashes.
fn mend(scene: &Scene) -> (Repaired, Vec<String>) {
    let repaired = repair(&scene.store, &scene.verify(), &mut no_network).unwrap();
    let told = repaired.remedies.iter().map(|(object, remedy)| {
        let word = match remedy {
            Remedy::Restored => "restored",
            Remedy::Refetched => "refetched",
            Remedy::Removed => "removed",
            Remedy::Lost { .. } => "lost",
        };
        format!("{} {word}", object.place())
            .replace(&scene.big.to_hex(), "BIG")
            .replace(&scene.small.to_hex(), "SMALL")
            .replace(scene.big_layer.rsplit_once('-').unwrap().1, "KEY")
    });
    let told = told.collect();
    (repaired, told)
}

#[track_caller]
fn assert_sound(scene: &Scene) {
    let verified = scene.verify();
    assert_eq!(scene.told(&verified.damage), [""; 0]);
    assert_eq!(
        fs::read_dir(scene.path("tmp"))
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("file-") })
            .count(),
        0
    );
}

fn quarantined(scene: &Scene) -> Vec<String> {
    let Ok(entries) = fs::read_dir(scene.path("quarantine")) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Inode, mode, time and bytes of every file below the store's trees, files, layers and archives.
fn everything(scene: &Scene) -> BTreeMap<PathBuf, (u64, u32, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut open: Vec<PathBuf> =
        ["files", "trees", "layers", "archives"].iter().map(|name| scene.path(name)).collect();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let data = fs::symlink_metadata(&path).unwrap();
            if data.is_dir() {
                open.push(path);
            } else if data.is_file() {
                let bytes = fs::read(&path).unwrap();
                all.insert(path, (data.ino(), data.mode(), data.mtime(), bytes));
            }
        }
    }
    all
}

#[test]
fn one_repair_of_a_shared_file_heals_all_trees_and_changes_nothing_in_place() {
    let scene = Scene::new();
    for files in 100..110 {
        tree(&scene.store, files);
    }
    let before = everything(&scene);
    fs::set_permissions(scene.in_big("shared"), fs::Permissions::from_mode(0o666)).unwrap();
    let inode = fs::metadata(scene.in_big("shared")).unwrap().ino();
    // Somebody is using the damaged file.
    let held = fs::File::open(scene.in_big("shared")).unwrap();
    let (repaired, told) = mend(&scene);
    assert_eq!(told.len(), 13, "{told:?}");
    assert!(told.iter().all(|line| line.ends_with(" restored")), "{told:?}");
    assert!(repaired.lost.is_empty());
    assert_sound(&scene);
    let after = everything(&scene);
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    for (path, (old, mode, time, bytes)) in &before {
        let now = &after[path];
        assert_eq!((mode, time, bytes), (&now.1, &now.2, &now.3), "{}", path.display());
        // Everything but the damaged file is the very same file.
        assert_eq!(*old == inode, now.0 != *old, "{}", path.display());
    }
    let data = held.metadata().unwrap();
    assert_eq!((data.ino(), data.mode() & 0o777, data.len()), (inode, 0o666, SHARED.len() as u64));
    // The old file, and the old directories of the trees.
    assert_eq!(quarantined(&scene).len(), 13);
}

#[test]
fn bytes_come_from_the_twin_with_the_other_executable_bit() {
    let scene = Scene::new();
    let staging = scene.store.stage().unwrap();
    let mut twin = Tree::default();
    let file = staging.add_bytes(SHARED.as_bytes(), true).unwrap();
    twin.insert(&RelPath::parse("run").unwrap(), Node::File(file)).unwrap();
    staging.publish(&twin).unwrap();
    flip(&scene.in_small("shared"));
    let (_, told) = mend(&scene);
    assert_eq!(told.iter().filter(|line| line.ends_with(" restored")).count(), 3, "{told:?}");
    assert_sound(&scene);
    assert_eq!(fs::read(scene.in_big("shared")).unwrap(), SHARED.as_bytes());
    assert_eq!(fs::metadata(scene.in_big("shared")).unwrap().mode() & 0o777, 0o644);
}

#[test]
fn a_large_tree_is_made_again_from_the_pool_whatever_was_done_to_it() {
    let damages: [fn(&Scene); 6] = [
        |scene| replace(&scene.in_big("lib/f7"), b"file 8 of 30"),
        |scene| fs::remove_dir_all(scene.in_big("lib")).unwrap(),
        |scene| fs::write(scene.in_big("lib/new"), "x").unwrap(),
        |scene| {
            fs::remove_file(scene.in_big("link")).unwrap();
            fs::create_dir(scene.in_big("link")).unwrap();
        },
        |scene| {
            fs::rename(scene.in_big(""), scene.path("tmp/moved")).unwrap();
            fs::write(scene.in_big(""), "x").unwrap_err();
            fs::write(scene.store.tree_path(&scene.big), "x").unwrap();
        },
        |scene| {
            // Gone from the pool and damaged elsewhere: the tree itself has the bytes.
            let pooled = BlobHash::from_bytes(*blake3::hash(b"file 3 of 30").as_bytes()).to_hex();
            fs::remove_file(scene.path("files").join(&pooled[..2]).join(&pooled[2..])).unwrap();
            fs::remove_file(scene.in_big("lib/f7")).unwrap();
        },
    ];
    for damage in damages {
        let scene = Scene::new();
        damage(&scene);
        let (repaired, told) = mend(&scene);
        assert_eq!(told, ["trees/BIG restored"]);
        assert!(repaired.lost.is_empty());
        assert_sound(&scene);
        assert_eq!(quarantined(&scene), [format!("tree-{}", scene.big.to_hex())]);
    }
}

#[test]
fn what_cannot_be_made_good_is_set_aside_with_its_layers_and_comes_back_with_its_bytes() {
    let scene = Scene::new();
    let sound = everything(&scene);
    flip(&scene.in_small("shared"));
    let (repaired, told) = mend(&scene);
    assert_eq!(told.iter().filter(|line| line.ends_with(" lost")).count(), 3, "{told:?}");
    let mut lost: Vec<_> = repaired.lost.iter().map(|lost| (&lost.makers[0], &lost.dependants)).collect();
    lost.sort();
    let (big, small) = ("build/big.1".to_owned(), "build/small.1".to_owned());
    assert_eq!(lost, [(&big, &vec![]), (&small, &vec![big.clone()])]);
    assert_sound(&scene);
    assert_eq!(fs::read_dir(scene.path("trees")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(scene.path("layers")).unwrap().count(), 0);
    assert!(!scene.path("plans/facts").exists());
    // A file, two trees, two layers; each is whole.
    assert_eq!(quarantined(&scene).len(), 5);
    for lost in &repaired.lost {
        assert!(!lost.publish_again(&scene.store).unwrap());
    }
    // The bytes come back with whatever is built first.
    let staging = scene.store.stage().unwrap();
    let mut other = Tree::default();
    let file = staging.add_bytes(SHARED.as_bytes(), false).unwrap();
    other.insert(&RelPath::parse("x").unwrap(), Node::File(file)).unwrap();
    let other = staging.publish(&other).unwrap();
    for lost in &repaired.lost {
        assert!(lost.publish_again(&scene.store).unwrap());
    }
    assert_sound(&scene);
    fs::remove_dir_all(scene.store.tree_path(&other)).unwrap();
    let bytes = |all: BTreeMap<PathBuf, (u64, u32, i64, Vec<u8>)>| {
        let plain = all.into_iter().map(|(path, (_, mode, _, bytes))| (path, (mode, bytes)));
        plain.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(bytes(everything(&scene)), bytes(sound));
}

#[test]
fn a_small_tree_of_which_nothing_is_known_is_lost_and_its_successor_is_told() {
    let scene = Scene::new();
    fs::remove_file(scene.in_small("lib/f0")).unwrap();
    let (repaired, told) = mend(&scene);
    assert_eq!(told, ["trees/SMALL lost"]);
    let [lost] = &repaired.lost[..] else { panic!() };
    assert_eq!(lost.dependants, ["build/big.1"]);
    assert_eq!(lost.successor(&scene.store), None);
    // Built again, it comes out as something else.
    let (id, aside) = &lost.layers[0];
    let text = fs::read_to_string(aside.join("layer.json")).unwrap();
    fs::create_dir(scene.store.layer_path(id)).unwrap();
    fs::write(scene.store.layer_path(id).join("layer.json"), &text).unwrap();
    assert_eq!(lost.successor(&scene.store), None, "the same tree");
    let other = text.replace(&scene.small.to_hex(), &scene.big.to_hex());
    fs::write(scene.store.layer_path(id).join("layer.json"), other).unwrap();
    assert_eq!(lost.successor(&scene.store), Some(scene.big));
}

#[test]
fn archives_are_downloaded_again_or_set_aside() {
    for can in [true, false] {
        let scene = Scene::new();
        let path = scene.store.archive_path(&scene.archive);
        let good = fs::read(&path).unwrap();
        flip(&path);
        let mut refetch = |sum: &Checksum| {
            assert!(*sum == scene.archive && !path.exists());
            if can { fs::write(&path, &good).map_err(|error| error.to_string()) } else { no_network(sum) }
        };
        let repaired = repair(&scene.store, &scene.verify(), &mut refetch).unwrap();
        let expected =
            if can { Remedy::Refetched } else { Remedy::Lost { reason: Some("no network".into()) } };
        assert_eq!(repaired.remedies, [(Object::Archive(scene.archive), expected)]);
        assert_eq!(quarantined(&scene), [format!("archive-{}", scene.archive.to_hex())]);
        assert_sound(&scene);
    }
}

#[test]
fn layers_and_caches_are_made_good() {
    type Case = (fn(&Scene), &'static [&'static str], bool);
    let cases: [Case; 5] = [
        (
            |scene| fs::remove_file(scene.store.layer_path(&scene.big_layer).join("build.log")).unwrap(),
            &["layers/build-KEY restored"],
            false,
        ),
        (
            |scene| fs::write(scene.store.layer_path(&scene.big_layer).join("layer.json"), "{").unwrap(),
            &["layers/build-KEY lost"],
            true,
        ),
        (|scene| fs::remove_dir_all(scene.in_big("")).unwrap(), &["layers/build-KEY lost"], false),
        (
            |scene| fs::write(scene.path("manifests").join(scene.big.to_hex()), "x").unwrap(),
            &["manifests/BIG removed"],
            false,
        ),
        (|scene| flip(&scene.path("plans/facts")), &["plans/facts removed"], false),
    ];
    for (damage, expected, has_lost_records) in cases {
        let scene = Scene::new();
        damage(&scene);
        let (repaired, told) = mend(&scene);
        assert_eq!(
            (told, repaired.has_lost_records),
            (expected.iter().map(|&line| line.into()).collect(), has_lost_records)
        );
        assert_sound(&scene);
    }
}

#[test]
fn what_harms_nothing_is_left_as_it_is() {
    let scene = Scene::new();
    replace(&scene.in_big("lib/f7"), b"file 7 of 30");
    fs::write(scene.path("trees/mine"), "x").unwrap();
    let before = everything(&scene);
    let (_, told) = mend(&scene);
    assert_eq!(told, [""; 0]);
    assert_eq!(everything(&scene), before);
    assert_eq!(quarantined(&scene), [""; 0]);
}

/// With `JTWBUILD_LONG=1` at every step, else at some.
#[test]
fn a_repair_that_breaks_off_loses_nothing_and_is_completed_by_the_next() {
    let stride = if std::env::var_os("JTWBUILD_LONG").is_some() { 1 } else { 7 };
    let (mut number, mut rounds) = (1, 0);
    loop {
        let scene = Scene::new();
        let sound: Vec<PathBuf> = everything(&scene).into_keys().collect();
        // A shared file that both trees need made good, and a tree of its own trouble.
        fs::set_permissions(scene.in_big("shared"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(scene.in_big("lib/f7")).unwrap();
        fs::remove_file(scene.store.layer_path(&scene.big_layer).join("build.log")).unwrap();
        let verified = scene.verify();
        // From here on nothing is done any more, not even tidying up.
        let dead = Fault::Fail(nix::errno::Errno::EIO);
        let watch = faults::inject_from(scene.directory.path(), number, dead);
        let broken = repair(&scene.store, &verified, &mut no_network);
        let struck = watch.struck_at();
        drop(watch);
        if struck.is_none() {
            broken.unwrap();
            break;
        }
        // What is there by its name is sound or is the old, damaged thing; nothing is half of both.
        let again = Store::open(scene.store.root()).map(Arc::new).unwrap();
        let scene = Scene { store: again, ..scene };
        let (repaired, _) = mend(&scene);
        assert!(repaired.lost.is_empty(), "{struck:?}: {repaired:?}");
        assert_sound(&scene);
        assert_eq!(everything(&scene).into_keys().collect::<Vec<_>>(), sound, "{struck:?}");
        (number, rounds) = (number + stride, rounds + 1);
    }
    println!("{rounds} repairs broken off, at most at step {number}");
    assert!(rounds > 3);
}
