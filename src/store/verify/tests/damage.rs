//! What is found, and that nothing else is.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn a_sound_store_has_no_findings_and_everything_is_counted() {
    let scene = Scene::new();
    let (counters, stop) = (Counters::default(), AtomicBool::new(false));
    let watch = Watch { counters: &counters, stop: &stop, key_of: &key_of };
    let verified = verify(&scene.store, &watch).unwrap();
    assert_eq!((scene.told(&verified.damage), scene.told(&verified.notices)), (vec![], vec![]));
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    // Files of the trees: 1 + 30, two programs, one shared by both.
    assert_eq!((count(&counters.files), count(&counters.files_found)), (34, 34));
    assert_eq!((count(&counters.trees), count(&counters.layers), count(&counters.archives)), (2, 2, 1));
    // Each tree has two directories, a link, a program and a shared file besides.
    assert_eq!(count(&counters.entries), 31 + 2 * 5);
    assert_eq!(verified.makers(&scene.small), ["build/small.1"]);
    assert_eq!(verified.dependants(&scene.small), ["build/big.1"]);
}

/// One kind of damage, done to a sound store, and everything that is said of it.
type Row = (&'static str, fn(&Scene), &'static [&'static str]);

const ROWS: &[Row] = &[
    (
        "a bit of a shared file",
        |scene| flip(&scene.in_big("shared")),
        &[
            "files/SHARED: other bytes, of the same length [bytes]",
            "trees/BIG/shared: the damaged file files/SHARED [shared-file] build/big.1",
            "trees/SMALL/shared: the damaged file files/SHARED [shared-file] build/small.1",
        ],
    ),
    (
        "truncation in place",
        |scene| rewrite(&scene.in_small("shared"), b"sha", std::time::UNIX_EPOCH),
        &[
            "files/SHARED: cut off: 3 of 13 bytes [truncated]",
            "trees/BIG/shared: the damaged file files/SHARED [shared-file] build/big.1",
            "trees/SMALL/shared: the damaged file files/SHARED [shared-file] build/small.1",
        ],
    ),
    (
        "extension in place",
        |scene| {
            let bytes = [SHARED.as_bytes(), b"!"].concat();
            rewrite(&scene.in_small("shared"), &bytes, std::time::UNIX_EPOCH);
        },
        &[
            "files/SHARED: too long: 14 instead of 13 bytes [extended]",
            "trees/BIG/shared: the damaged file files/SHARED [shared-file] build/big.1",
            "trees/SMALL/shared: the damaged file files/SHARED [shared-file] build/small.1",
        ],
    ),
    (
        "a shared file's mode",
        |scene| fs::set_permissions(scene.in_big("shared"), fs::Permissions::from_mode(0o600)).unwrap(),
        &[
            "files/SHARED: its mode is 600, not 644 [mode]",
            "trees/BIG/shared: the damaged file files/SHARED [shared-file] build/big.1",
            "trees/SMALL/shared: the damaged file files/SHARED [shared-file] build/small.1",
        ],
    ),
    (
        "a set-user-ID bit",
        |scene| fs::set_permissions(scene.in_big("shared"), fs::Permissions::from_mode(0o4644)).unwrap(),
        &[
            "files/SHARED: its mode is 4644, not 644 [mode]",
            "trees/BIG/shared: the damaged file files/SHARED [shared-file] build/big.1",
            "trees/SMALL/shared: the damaged file files/SHARED [shared-file] build/small.1",
        ],
    ),
    (
        "same-length replacement in a large tree",
        |scene| replace(&scene.in_big("lib/f7"), b"file 8 of 30"),
        &["trees/BIG/lib/f7: other bytes, of the same length [bytes] build/big.1"],
    ),
    (
        "same-length replacement in a small tree",
        |scene| replace(&scene.in_small("lib/f0"), b"file 1 of 1"),
        &[
            "trees/SMALL/lib: something was added to, removed from or replaced in this directory [changed] build/small.1",
            "trees/SMALL/lib/f0: a file that was added or replaced [changed] build/small.1",
        ],
    ),
    (
        "a shorter file in a large tree",
        |scene| replace(&scene.in_big("lib/f7"), b"file"),
        &["trees/BIG/lib/f7: cut off: 4 of 12 bytes [truncated] build/big.1"],
    ),
    (
        "the executable bit of a replaced file",
        |scene| replace(&scene.in_big("bin/run"), b"#!/bin/sh\necho 30\n"),
        &["trees/BIG/bin/run: a file that should be executable [executable] build/big.1"],
    ),
    (
        "a file added to a large tree",
        |scene| fs::write(scene.in_big("lib/new"), "x").unwrap(),
        &["trees/BIG/lib/new: a file that does not belong here [added] build/big.1"],
    ),
    (
        "a directory added to a large tree",
        |scene| fs::create_dir(scene.in_big("lib/new")).unwrap(),
        &["trees/BIG/lib/new: a directory that does not belong here [added] build/big.1"],
    ),
    (
        "a file removed from a large tree",
        |scene| fs::remove_file(scene.in_big("lib/f7")).unwrap(),
        &["trees/BIG/lib/f7: a file is missing [missing] build/big.1"],
    ),
    (
        "a file removed from a small tree",
        |scene| fs::remove_file(scene.in_small("lib/f0")).unwrap(),
        &[
            "trees/SMALL/lib: something was added to, removed from or replaced in this directory [changed] build/small.1",
        ],
    ),
    (
        "a link that leads elsewhere",
        |scene| {
            fs::remove_file(scene.in_big("link")).unwrap();
            symlink("/etc/passwd", scene.in_big("link")).unwrap();
        },
        &["trees/BIG/link: a link to `/etc/passwd`, not to `lib/f0` [link-target] build/big.1"],
    ),
    (
        "a file replaced by a directory, and a directory by a file",
        |scene| {
            fs::remove_file(scene.in_big("shared")).unwrap();
            fs::create_dir(scene.in_big("shared")).unwrap();
            fs::remove_dir_all(scene.in_big("bin")).unwrap();
            fs::write(scene.in_big("bin"), "x").unwrap();
        },
        &[
            "trees/BIG/bin: a file where a directory should be [kind] build/big.1",
            "trees/BIG/shared: a directory where a file should be [kind] build/big.1",
        ],
    ),
    (
        "a whole tree that is a link",
        |scene| {
            fs::rename(scene.in_small(""), scene.path("tmp/moved")).unwrap();
            symlink("../tmp/moved", scene.path("trees").join(scene.small.to_hex())).unwrap();
        },
        &["trees/SMALL: a link where a directory should be [kind] build/small.1"],
    ),
    (
        "a tree that is gone",
        |scene| fs::remove_dir_all(scene.in_big("")).unwrap(),
        &["layers/build-KEY: its output trees/BIG is missing [no-tree]"],
    ),
    (
        "an archive",
        |scene| flip(&scene.store.archive_path(&scene.archive)),
        &["archives/sha256/ARCHIVE: other bytes (10000 of them) [content]"],
    ),
    (
        "an archive that was cut off",
        |scene| fs::write(scene.store.archive_path(&scene.archive), "an").unwrap(),
        &["archives/sha256/ARCHIVE: other bytes (2 of them) [content]"],
    ),
    (
        "a layer's document",
        |scene| edit_layer(scene, "\"big.1\",\n    \"inputs\"", "\"big.2\",\n    \"inputs\""),
        &["layers/build-KEY: its document is not the one that its name is the hash of [record]"],
    ),
    (
        "a layer's input",
        |scene| edit_layer(scene, &scene.small.to_hex(), &scene.big.to_hex()),
        &["layers/build-KEY: its document is not the one that its name is the hash of [record]"],
    ),
    (
        "a layer's output is another tree",
        |scene| edit_layer(scene, &scene.big.to_hex(), &scene.small.to_hex()),
        &["plans/facts: the output of build/big.1 is said to be BIG, its layer says SMALL [record]"],
    ),
    (
        "a layer's status",
        |scene| edit_layer(scene, "\"success\"", "\"failure\""),
        &["layers/build-KEY: its status and its output contradict each other [record]"],
    ),
    (
        "a layer of another kind",
        |scene| edit_layer(scene, "\"kind\": \"build\"", "\"kind\": \"jtw\""),
        &["layers/build-KEY: layer.json is that of jtw-KEY [record]"],
    ),
    (
        "a record that is cut off",
        |scene| fs::write(layer_path(scene).join("layer.json"), "{").unwrap(),
        &[
            "layers/build-KEY: layer.json is not a record: EOF while parsing an object at line 1 column 1 [record]",
        ],
    ),
    (
        "a layer without record",
        |scene| fs::remove_file(layer_path(scene).join("layer.json")).unwrap(),
        &["layers/build-KEY: layer.json is missing [record]"],
    ),
    (
        "a layer without log",
        |scene| fs::remove_file(layer_path(scene).join("build.log")).unwrap(),
        &["layers/build-KEY: build.log is missing [no-log]"],
    ),
];

fn layer_path(scene: &Scene) -> PathBuf {
    scene.store.layer_path(&scene.big_layer)
}

fn edit_layer(scene: &Scene, from: &str, to: &str) {
    let path = layer_path(scene).join("layer.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn every_kind_of_damage_is_named_by_object_path_and_kind() {
    for (what, damage, expected) in ROWS {
        let scene = Scene::new();
        damage(&scene);
        let verified = scene.verify();
        let shared = BlobHash::from_bytes(*blake3::hash(SHARED.as_bytes()).as_bytes()).to_hex();
        let shared = format!("{}/{}", &shared[..2], &shared[2..]);
        let archive = scene.archive.to_hex();
        let archive = format!("{}/{archive}", &archive[..2]);
        let told = scene.told(&verified.damage).into_iter();
        let told: Vec<String> =
            told.map(|line| line.replace(&shared, "SHARED").replace(&archive, "ARCHIVE")).collect();
        assert_eq!(told, *expected, "{what}");
    }
}

/// What harms nothing, and what is said of it.
const ODD: &[Row] = &[
    (
        "a file with the right bytes that is not the pool's",
        |scene| replace(&scene.in_big("lib/f7"), b"file 7 of 30"),
        &[
            "trees/BIG/lib: its time has been changed [time] build/big.1",
            "trees/BIG/lib/f7: a copy of its own, with the right bytes [copy] build/big.1",
        ],
    ),
    (
        "a file's time",
        |scene| {
            let file = fs::File::options().write(true).open(scene.in_big("lib/f7")).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        },
        &["files/F7: its time has been changed [time]"],
    ),
    (
        "a manifest that was cut off",
        |scene| fs::write(scene.path("manifests").join(scene.big.to_hex()), "").unwrap(),
        &["manifests/BIG: it is not what its name says; it is made again when it is needed [cache]"],
    ),
    (
        "names that mean nothing",
        |scene| {
            for name in
                ["notes", "files/notes", "files/00/notes", "trees/notes", "layers/notes", "manifests/notes"]
            {
                fs::create_dir_all(scene.path(name).parent().unwrap()).unwrap();
                fs::write(scene.path(name), "").unwrap();
            }
        },
        &[
            "files/00/notes: a name that means nothing here [foreign]",
            "files/notes: a name that means nothing here [foreign]",
            "layers/notes: a name that means nothing here [foreign]",
            "manifests/notes: a name that means nothing here [foreign]",
            "notes: a name that means nothing here [foreign]",
            "trees/notes: a name that means nothing here [foreign]",
        ],
    ),
    (
        "a damaged fact",
        |scene| flip(&scene.store.plans().join("facts")),
        &["plans/facts: 1 damaged records are passed over; it is made again when it is needed [cache]"],
    ),
    (
        "caches that are gone",
        |scene| {
            fs::remove_dir_all(scene.path("manifests")).unwrap();
            fs::remove_dir_all(scene.path("plans")).unwrap();
            fs::remove_dir_all(scene.path("archives")).unwrap();
        },
        &[],
    ),
];

#[test]
fn what_harms_nothing_is_a_notice() {
    for (what, change, expected) in ODD {
        let scene = Scene::new();
        change(&scene);
        let verified = scene.verify();
        assert_eq!(scene.told(&verified.damage), [""; 0], "{what}");
        let pooled = BlobHash::from_bytes(*blake3::hash(b"file 7 of 30").as_bytes()).to_hex();
        let pooled = format!("{}/{}", &pooled[..2], &pooled[2..]);
        let told = scene.told(&verified.notices).into_iter().map(|line| line.replace(&pooled, "F7"));
        assert_eq!(told.collect::<Vec<_>>(), *expected, "{what}");
    }
}

#[test]
fn a_file_shared_by_fifty_trees_is_hashed_once_and_all_are_named() {
    let scene = Scene::new();
    let trees: Vec<TreeHash> = (100..148).map(|files| tree(&scene.store, files)).collect();
    flip(&scene.in_small("shared"));
    let (counters, stop) = (Counters::default(), AtomicBool::new(false));
    let watch = Watch { counters: &counters, stop: &stop, key_of: &key_of };
    let verified = verify(&scene.store, &watch).unwrap();
    let of_trees = verified.damage.iter().filter(|finding| matches!(finding.object, Object::Tree(_)));
    assert_eq!((of_trees.count(), verified.damage.len()), (50, 51));
    let pool: u64 = walk_size(&scene.path("files"));
    let hashed = counters.bytes.load(Ordering::Relaxed) - 10_000;
    // The damaged one was read twice.
    assert_eq!(hashed, pool + SHARED.len() as u64);
    assert_eq!(trees.len(), 48);
}

fn walk_size(path: &Path) -> u64 {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let size = |entry: fs::DirEntry| match entry.metadata().unwrap() {
        data if data.is_dir() => walk_size(&entry.path()),
        data => data.len(),
    };
    entries.map(size).sum()
}

#[test]
fn an_input_that_is_about_to_be_used_is_looked_at() {
    type Case = (fn(&Scene), &'static str);
    let cases: [Case; 8] = [
        (|scene| replace(&scene.in_big("lib/f7"), b"file"), "lib/f7: it has 4 bytes instead of 12"),
        (
            |scene| replace(&scene.in_big("bin/run"), b"#!/bin/sh\necho 30\n"),
            "bin/run: its mode is 644, not 755",
        ),
        (|scene| fs::remove_file(scene.in_big("lib/f7")).unwrap(), "lib/f7: it is missing"),
        (
            |scene| fs::write(scene.in_big("lib/x"), "").unwrap(),
            "lib: it holds something that does not belong there",
        ),
        (
            |scene| fs::write(scene.in_big("x"), "").unwrap(),
            ": it holds something that does not belong there",
        ),
        (
            |scene| {
                fs::remove_file(scene.in_big("link")).unwrap();
                symlink("lib/f1", scene.in_big("link")).unwrap();
            },
            "link: it is a link that leads elsewhere",
        ),
        (
            |scene| {
                fs::remove_dir_all(scene.in_big("bin")).unwrap();
                symlink("lib", scene.in_big("bin")).unwrap();
            },
            "bin: it is not a directory",
        ),
        (
            |scene| {
                fs::remove_file(scene.in_big("shared")).unwrap();
                symlink("lib/f1", scene.in_big("shared")).unwrap();
            },
            "shared: it is not a file",
        ),
    ];
    for (damage, expected) in cases {
        let scene = Scene::new();
        damage(&scene);
        for scrutiny in [Scrutiny::Quick, Scrutiny::Full] {
            match scene.store.check_input(&scene.big, scrutiny) {
                Err(StoreError::Damaged { path, reason }) => {
                    let path = path.strip_prefix(scene.in_big("")).unwrap();
                    assert_eq!(format!("{}: {reason}", path.display()), expected);
                }
                other => panic!("{expected}: {other:?}"),
            }
            scene.store.check_input(&scene.small, scrutiny).unwrap();
        }
    }
    // Bytes are read only if that is asked for, and once is enough.
    let scene = Scene::new();
    replace(&scene.in_big("lib/f7"), b"file 8 of 30");
    assert!(scene.store.check_input(&scene.big, Scrutiny::Full).is_err());
    assert!(!scene.store.is_checked(&scene.big));
    scene.store.check_input(&scene.big, Scrutiny::Quick).unwrap();
    assert!(scene.store.is_checked(&scene.big) && !scene.store.is_checked(&scene.small));
}

#[test]
fn trees_that_come_and_go_meanwhile_are_no_damage() {
    let scene = Scene::new();
    let done = AtomicBool::new(false);
    let rounds = std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                let tree = tree(&scene.store, 50 + rounds % 7);
                // As the collector does it: out of sight first.
                let aside = scene.path(format!("tmp/gone-{rounds}"));
                fs::rename(scene.store.tree_path(&tree), &aside).unwrap();
                fs::remove_dir_all(aside).unwrap();
                unshared(&scene.path("files")).iter().for_each(|path| fs::remove_file(path).unwrap());
                rounds += 1;
            }
            rounds
        });
        for _ in 0..30 {
            let told = scene.told(&scene.verify().damage);
            if !told.is_empty() {
                done.store(true, Ordering::Relaxed);
            }
            assert_eq!(told, [""; 0]);
        }
        done.store(true, Ordering::Relaxed);
        changing.join().unwrap()
    });
    assert!(rounds > 0);
}

/// Files of the pool that no tree has.
fn unshared(path: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(unshared(&path));
        } else if fs::metadata(&path).unwrap().nlink() == 1 {
            found.push(path);
        }
    }
    found
}

#[test]
fn archives_of_every_kind_of_checksum_are_read_again() {
    let scene = Scene::new();
    let bytes = b"bytes that are wanted";
    let mut all = String::new();
    for (kind, hex) in [
        ("sha256", "82b4e2fa1b6d0fcf2fd0c3ec0ffd7f0fd9bd0f3a5a2d6a5f0b3d5a7c1c2e9f10".to_owned()),
        ("sha512", digits(&sha2::Sha512::digest(bytes))),
        ("md5", digits(&md5::Md5::digest(bytes))),
    ] {
        let sum = Checksum::from_hex(kind, &hex).unwrap();
        let path = scene.store.archive_path(&sum);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        all.push_str(&format!("{} ", sum.path()));
        let found = scene.verify().damage;
        // The first is not what these bytes come to.
        assert_eq!(found.len(), 1, "{kind}");
        if kind != "sha256" {
            flip(&path);
            let found = scene.verify().damage;
            assert!(found.iter().any(|one| one.object == Object::Archive(sum)), "{kind}: {found:?}");
            fs::write(&path, bytes).unwrap();
        }
    }
    // A name that is no checksum of its kind means nothing here.
    for strange in ["sha512/ab/abcd", "md5/00/11", "sha1/aa/aa", "md5/zz"] {
        let path = scene.path("archives").join(strange);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let notices = scene.verify().notices;
    let foreign = notices.iter().filter(|one| matches!(one.object, Object::Foreign(_))).count();
    assert_eq!(foreign, 3, "{notices:?}");
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
