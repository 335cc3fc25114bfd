//! How long the collector takes: `cargo bench --bench gc [-- DIRECTORY]`.
//!
//! 100,000 objects (trees and layers), each listed by five roots: CPU time of deciding, and of removing
//! half of them beside a plain loop that unlinks the same files. In `/dev/shm` unless a directory is
//! given.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jtwbuild::store::Store;
use jtwbuild::store::gc::{Event, Options, collect};
use jtwbuild::store::key::BuildKey;
use jtwbuild::store::roots::{About, Keeps, Maker, Root, RootName};
use jtwbuild::store::tree::TreeHash;
use nix::time::{ClockId, clock_gettime};

/// Half of them trees, half of them layers.
const OBJECTS: usize = 100_000;
const ROOTS: usize = 5;

fn main() {
    // Cargo adds `--bench`.
    let directory = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let directory = directory.unwrap_or_else(|| "/dev/shm".to_owned());
    let directory = tempfile::tempdir_in(directory).expect("a directory that can be written");
    let store = Store::open(&directory.path().join("store")).expect("a store");
    let things: Vec<(TreeHash, BuildKey)> =
        (0..OBJECTS / 2).map(|number| make(store.root(), number)).collect();
    for number in 0..ROOTS {
        root(&store, number, &things);
    }
    // One thing that no root keeps, so that there is something to remove.
    make(store.root(), OBJECTS);
    let mut decided = 0.0;
    let begun = cpu();
    collect(&store, &Options::default(), &mut |event| {
        if let Event::Removing(_) = event {
            decided = cpu() - begun;
        }
    })
    .expect("a collection");
    let per = |seconds: f64, count: usize| seconds * 1e6 / count as f64;
    println!(
        "{OBJECTS} objects in {ROOTS} roots: decided in {:.0} ms, {:.2} µs each",
        decided * 1e3,
        per(decided, OBJECTS)
    );
    println!("most memory: {} MiB", peak_memory() / 1024);

    let (kept, dropped) = things.split_at(things.len() / 2);
    (0..ROOTS).for_each(|number| root(&store, number, kept));
    let floor = floor(directory.path(), dropped.len());
    let begun = cpu();
    let report = collect(&store, &Options::default(), &mut |_| {}).expect("a collection");
    let removed = cpu() - begun;
    let count: u64 = report.totals.values().map(|total| total.count).sum();
    println!(
        "removed {count} things: {:.0} ms; the same files in a plain loop: {:.0} ms; {:.2} ×",
        removed * 1e3,
        floor * 1e3,
        removed / floor
    );
}

fn name(number: usize) -> (TreeHash, BuildKey) {
    let hash = |salt: &str| *blake3::hash(format!("{salt}{number}").as_bytes()).as_bytes();
    (TreeHash::from_bytes(hash("tree")), BuildKey::from_bytes(hash("layer")))
}

/// A tree of four files of its own, linked to the pool, and its layer.
fn make(store: &Path, number: usize) -> (TreeHash, BuildKey) {
    let (tree, layer) = name(number);
    let at = store.join("trees").join(tree.to_hex());
    fs::create_dir(&at).expect("a tree");
    for file in 0..4 {
        let blob = blake3::hash(format!("{number} {file}").as_bytes()).to_hex();
        let pooled = store.join("files").join(&blob[..2]);
        let _ = fs::create_dir(&pooled);
        let pooled = pooled.join(&blob[2..]);
        fs::write(&pooled, "some bytes").expect("a file");
        fs::hard_link(&pooled, at.join(file.to_string())).expect("a link");
    }
    let at = store.join("layers").join(format!("build-{}", layer.to_hex()));
    write_layer(&at);
    (tree, layer)
}

fn write_layer(at: &Path) {
    fs::create_dir(at).expect("a layer");
    fs::write(at.join("layer.json"), "{}").expect("a record");
    fs::write(at.join("build.log"), "").expect("a log");
}

fn root(store: &Store, number: usize, things: &[(TreeHash, BuildKey)]) {
    let mut keeps = Keeps::default();
    for (tree, layer) in things {
        keeps.add_tree(tree);
        keeps.add_layer(layer);
    }
    keeps.finish();
    let label = format!("root-{number}");
    let name = RootName::parse(&label).expect("a name");
    let about = About { label, made_by: Maker::User, since: 0, universe: None, site: None, memo: None };
    store.register(&name, &Root { about, keeps }).expect("a root");
}

/// CPU time of unlinking as many files, names and directories, one after the other, by a program that
/// knows all names.
fn floor(directory: &Path, count: usize) -> f64 {
    let store = directory.join("floor");
    for name in ["trees", "layers", "files"] {
        fs::create_dir_all(store.join(name)).expect("a directory");
    }
    for number in 0..count {
        make(&store, number);
    }
    let mut files = Vec::new();
    let mut directories = Vec::new();
    for number in 0..count {
        let (tree, layer) = name(number);
        let (tree, layer) = (
            store.join("trees").join(tree.to_hex()),
            store.join("layers").join(format!("build-{}", layer.to_hex())),
        );
        for file in 0..4 {
            let blob = blake3::hash(format!("{number} {file}").as_bytes()).to_hex();
            files.push(tree.join(file.to_string()));
            files.push(store.join("files").join(&blob[..2]).join(&blob[2..]));
        }
        files.extend([layer.join("layer.json"), layer.join("build.log")]);
        directories.extend([tree, layer]);
    }
    let begun = cpu();
    files.iter().for_each(|path| fs::remove_file(path).expect("a file"));
    directories.iter().for_each(|path| fs::remove_dir(path).expect("a directory"));
    cpu() - begun
}

/// CPU time of this process, in seconds.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock");
    Duration::from(time).as_secs_f64()
}

/// In KiB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
