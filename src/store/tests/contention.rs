//! Many processes with many threads put the same tree at once.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::{Size, expected_once, files_of, look, place, put, rounds};
use crate::store::Store;
use crate::store::disk::faults::{self, Errno, Fault};
use crate::store::disk::{self, Operation, Sharing};

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
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "--ignored", "--nocapture", "store::tests::contention::puts_with_many_threads"])
        .env(PLACE, directory)
        .stdout(Stdio::null());
    disk::start(&mut command).unwrap()
}

/// What one store has in its scratch space, besides what [`Staging`](crate::store::staging::Staging)
/// may have there while it lives.
fn scratch_of(store: &Store) -> Vec<std::path::PathBuf> {
    fs::read_dir(store.scratch().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn loser_of_a_race_succeeds_and_leaves_nothing_in_scratch() {
    for size in [Size::Small, Size::Large] {
        let directory = place();
        let root = directory.path().join("store");
        let [winner, loser] = [(); 2].map(|()| Arc::new(Store::open(&root).unwrap()));
        let first = winner.clone();
        let watch = faults::watch(loser.scratch().unwrap());
        // Each file is made in four steps, the long one in five; then they are flushed.
        let before = 4 * files_of(size).len() + usize::from(size == Size::Small);
        watch.meanwhile(before + 1, move || assert_eq!(put(&first, size).unwrap(), expected_once(size)));
        assert_eq!(put(&loser, size).unwrap(), expected_once(size));
        assert!(watch.records().iter().any(|step| step.operation == Operation::RemoveDirectory));
        drop(watch);
        assert_eq!(scratch_of(&loser), Vec::<std::path::PathBuf>::new());
        assert_eq!(scratch_of(&winner), Vec::<std::path::PathBuf>::new());
        drop((winner, loser));
        assert_eq!(look(&root).unwrap().trees, [expected_once(size)].into());
    }
}

#[test]
fn failed_publication_leaves_nothing_in_scratch_while_the_store_stays_open() {
    for size in [Size::Small, Size::Large] {
        let mut number = 0;
        let mut goes_on = true;
        while goes_on {
            number += 1;
            let directory = place();
            let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
            store.scratch().unwrap();
            let watch = faults::inject(store.root(), number, Fault::Fail(Errno::EIO));
            let done = put(&store, size);
            goes_on = watch.has_struck();
            let at = watch.struck_at();
            drop(watch);
            let is_removal =
                |at: &Operation| matches!(at, Operation::RemoveFile | Operation::RemoveDirectory);
            if at.as_ref().is_some_and(|(_, operation, _)| is_removal(operation)) {
                continue;
            }
            assert_eq!(done.is_err(), goes_on, "{at:?}");
            assert_eq!(scratch_of(&store), Vec::<std::path::PathBuf>::new(), "{at:?}");
            assert_eq!(put(&store, size).unwrap(), expected_once(size), "{at:?}");
        }
        assert!(number > 20);
    }
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
