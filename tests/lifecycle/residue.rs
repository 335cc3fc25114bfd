//! What a run may leave behind (nothing but a scratch directory when it was killed), and whether a
//! store holds what its names say.

use std::fs;
use std::path::{Path, PathBuf};

use jtwbuild::store::layer::Status;
use jtwbuild::store::{Store, staging};

use crate::support::{TestUniverse, eventually, processes_with};

/// By what the processes of a run, its builders and its mounts are known.
pub struct Marks {
    directory: String,
    builders: String,
}

impl Marks {
    /// `builders` is part of the command lines of what builders leave running.
    pub fn new(universe: &TestUniverse, builders: String) -> Self {
        Self { directory: universe.directory().to_str().unwrap().to_owned(), builders }
    }

    /// Processes that builders have started.
    pub fn count_builders(&self) -> usize {
        processes_with(&self.builders)
    }
}

/// Waits until no process of a run is left: not the program, not its spawner, no sandbox, no builder.
/// The kernel ends them one after another. Then nothing is mounted, and no control group is left.
#[track_caller]
pub fn no_residue(marks: &Marks, what: &str) {
    let count = || processes_with(&marks.directory) + processes_with(&marks.builders);
    eventually(&format!("{what}: no process is left"), || count() == 0);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&marks.directory), "{what}: {mounts}");
    eventually(&format!("{what}: no control group is left"), || groups() == [""; 0]);
}

/// Control groups of builders of processes that are gone.
fn groups() -> Vec<String> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let parents = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(|root| Path::new(root).join(own));
    let parents = parents.iter().filter_map(|own| own.parent());
    let names = parents.flat_map(|parent| fs::read_dir(parent).into_iter().flatten().flatten());
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| {
            let owner = name.strip_prefix("jtwbuild-").and_then(|rest| rest.split('-').next());
            owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists())
        })
        .collect()
}

/// Names of scratch directories, without the lock files beside them.
pub fn scratch(universe: &TestUniverse) -> Vec<String> {
    let leftovers = universe.leftovers();
    leftovers.into_iter().filter(|name| Path::new(name).extension().is_none_or(|end| end != "lock")).collect()
}

/// Hashes every file of the pool and every tree of the store, reads every layer, and gives how many
/// objects there are. Nothing of the store's own code is asked what it believes.
#[track_caller]
pub fn check_store(universe: &TestUniverse, what: &str) -> usize {
    let root = universe.path("store");
    let mut objects = 0;
    for directory in list(&root.join("files")) {
        for file in list(&directory) {
            let name = format!("{}{}", name_of(&directory), name_of(&file).trim_end_matches(".x"));
            let hash = blake3::hash(&fs::read(&file).unwrap()).to_hex();
            assert_eq!(hash.as_str(), name, "{what}: {}", file.display());
            objects += 1;
        }
    }
    for tree in list(&root.join("trees")) {
        let hash = staging::scan(&tree).unwrap_or_else(|error| panic!("{what}: {error}")).hash();
        assert_eq!(hash.to_hex(), name_of(&tree), "{what}");
        objects += 1;
    }
    let store = Store::open(&root).unwrap();
    for id in store.layers().unwrap() {
        let record = store.layer(&id).unwrap_or_else(|error| panic!("{what}: {error}"));
        let record = record.unwrap_or_else(|| panic!("{what}: {id} has no record"));
        match record.status {
            Status::Success => assert!(store.has_tree(&record.tree.unwrap()), "{what}: {id}"),
            _ => assert!(record.failure.unwrap().is_verdict(), "{what}: {id}"),
        }
        objects += 1;
    }
    objects
}

fn list(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}
