//! Many processes with many threads put the same tree at once.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::{Size, expected_once, files_of, look, place, put, rounds};
use crate::store::Store;
use crate::store::disk::{self, Sharing};

const PLACE: &str = "JTWBUILD_TEST_PUT_IN";
const PROCESSES: usize = 8;
const THREADS: usize = 32;

/// Not a test: one of the processes of `same_tree_from_8_processes_of_32_threads_is_one_tree`.
#[test]
#[ignore = "started by another test"]
fn puts_with_many_threads() {
    let Some(directory) = std::env::var_os(PLACE) else { return };
    let directory = Path::new(&directory);
    let store = Arc::new(Store::open(&directory.join("store")).unwrap());
    // All begin when the parent lets go of this.
    let _ready = disk::lock(&directory.join("start"), 0, Sharing::Shared).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for size in [Size::Small, Size::Large] {
                    assert_eq!(put(&store, size).unwrap(), expected_once(size));
                }
            });
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "it is this program, several times")]
fn start(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "store::tests::contention::puts_with_many_threads"])
        .env(PLACE, directory)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn same_tree_from_8_processes_of_32_threads_is_one_tree() {
    let count = rounds(3);
    for _ in 0..count {
        let directory = place();
        let wait = disk::lock(&directory.path().join("start"), 0, Sharing::Exclusive).unwrap();
        let children: Vec<_> = (0..PROCESSES).map(|_| start(directory.path())).collect();
        drop(wait);
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        let root = directory.path().join("store");
        let found = look(&root).unwrap();
        assert_eq!(found.trees, [Size::Small, Size::Large].map(expected_once).into());
        // One copy of each file: the pool and both trees share it, and there is nothing besides.
        let mut inodes = BTreeSet::new();
        for tree in &found.trees {
            let tree = Store::open(&root).unwrap().tree_path(tree);
            for (name, ..) in [Size::Small, Size::Large].into_iter().flat_map(files_of) {
                inodes.extend(fs::metadata(tree.join(name)).ok().map(|metadata| metadata.ino()));
            }
        }
        let distinct: BTreeSet<_> = [Size::Small, Size::Large]
            .into_iter()
            .flat_map(files_of)
            .map(|(_, bytes, executable)| (bytes, executable))
            .collect();
        assert_eq!(inodes.len(), distinct.len());
        let pooled = fs::read_dir(root.join("files")).unwrap();
        let pooled = pooled.flat_map(|fan| fs::read_dir(fan.unwrap().path()).unwrap()).count();
        assert_eq!(pooled, distinct.len());
    }
    println!("{count} rounds of {PROCESSES} processes with {THREADS} threads");
}
