//! Every step of a run, broken off.
#![expect(clippy::disallowed_methods, reason = "the engine that dies is a process of its own")]

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::{How, PLAN};
use crate::outcome::Failure;
use crate::request::{Capture, Command, Layer, Limits, Mount, Request};
use crate::sandbox::{Report, Sandbox, Settings};
use crate::store::tree::{Node, RelPath, Tree};
use crate::store::{Store, disk};

/// A store with busybox in a tree, and what to run: it fills the memory, so that it runs again on
/// disk, leaves a process behind, and has two outputs. `None` without busybox.
struct World {
    store: Arc<Store>,
    request: Request,
    marker: String,
}

impl World {
    fn at(path: &Path, marker: &str) -> Option<Self> {
        let busybox =
            ["/bin/busybox", "/usr/bin/busybox"].iter().map(PathBuf::from).find(|path| path.is_file());
        let Some(busybox) = busybox else {
            assert!(std::env::var_os("CI").is_none(), "no busybox on this machine");
            eprintln!("SKIPPED: no busybox on this machine");
            return None;
        };
        let store = Arc::new(Store::open(path).unwrap());
        let staging = store.stage().unwrap();
        let mut tree = Tree::default();
        let file = staging.add(&mut File::open(busybox).unwrap(), true).unwrap();
        tree.insert(&RelPath::parse("bin/busybox").unwrap(), Node::File(file)).unwrap();
        let base = Layer { name: "base".to_owned(), tree: staging.publish(&tree).unwrap() };
        let empty = |at: &str, capture: Capture| Mount::Overlay {
            at: at.to_owned(),
            layers: Vec::new(),
            capture: Some(capture),
        };
        let script = format!(
            "b() {{ /bin/busybox \"$@\"; }}; b setsid /bin/busybox sleep {marker} & b dd if=/dev/zero of=/out/big bs=1k count=300; \
             b mkdir -p /out/a/b; b chmod 0 /out/a/b; echo x > /other/x"
        );
        let request = Request {
            mounts: vec![
                Mount::Overlay { at: "/".to_owned(), layers: vec![base], capture: None },
                empty("/out", Capture::from("out")),
                empty("/other", Capture::whole("other")),
            ],
            stages: vec![vec![Command {
                argv: ["/bin/busybox", "sh", "-euc", &script].map(str::to_owned).to_vec(),
                cwd: "/".to_owned(),
            }]],
            env: BTreeMap::new(),
            limits: Limits { seconds: 60, memory: 1 << 30, log: 1 << 20, processes: 100 },
        };
        Some(Self { store, request, marker: marker.to_owned() })
    }

    fn run(&self, sandbox: &Sandbox) -> Result<Report, Failure> {
        let log = tempfile::tempfile().unwrap();
        sandbox.run(&self.request, &self.store, &log, &AtomicBool::new(false))
    }

    /// Waits until no process of a run is there any more.
    fn wait_for_processes(&self, after: &str) {
        let is_one = |entry: std::fs::DirEntry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            line.windows(self.marker.len()).any(|window| window == self.marker.as_bytes())
        };
        let count =
            || std::fs::read_dir("/proc").unwrap().flatten().map(is_one).filter(|found| *found).count();
        let started = Instant::now();
        while count() != 0 {
            assert!(started.elapsed() < Duration::from_secs(30), "{} processes after {after}", count());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn scratch(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.store.scratch().unwrap()).unwrap().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

fn settings() -> Settings {
    Settings { scratch: 256 << 10, grace: Duration::from_millis(100), ..Settings::default() }
}

/// How long a builder's forgotten process sleeps: a text that nobody else's has.
fn marker(of_test: u32) -> String {
    format!("600.{of_test}{:07}{:07}", std::fs::metadata("/proc/self").unwrap().uid(), std::process::id())
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

/// The steps of a run that goes well.
fn steps(world: &World, sandbox: &Sandbox) -> Vec<String> {
    PLAN.set((None, Vec::new()));
    world.run(sandbox).unwrap();
    PLAN.take().1
}

#[test]
fn a_panic_at_any_step_of_a_run_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let Some(world) = World::at(&directory.path().join("store"), &marker(1)) else { return };
    let sandbox = Sandbox::start(settings()).unwrap();
    let steps = steps(&world, &sandbox);
    for needed in ["scratch", "spawned", "followed", "staged", "read", "judged"] {
        assert!(steps.iter().any(|step| step == needed), "{needed} in {steps:?}");
    }
    let before = mounts();
    for (number, step) in steps.iter().enumerate() {
        PLAN.set((Some((number, How::Panic)), Vec::new()));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run(&sandbox).map(drop)));
        assert!(result.is_err(), "nothing broke at {step}");
        world.wait_for_processes(step);
        assert_eq!(world.scratch(), Vec::<String>::new(), "after {step}");
        assert_eq!(mounts(), before, "after {step}");
    }
    PLAN.set((None, Vec::new()));
    world.run(&sandbox).unwrap();
    println!("{} steps", steps.len());
}

#[test]
fn the_death_of_the_engine_at_any_step_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let marker = marker(2);
    let Some(world) = World::at(&path, &marker) else { return };
    let sandbox = Sandbox::start(settings()).unwrap();
    let steps = steps(&world, &sandbox);
    let before = mounts();
    for (number, step) in steps.iter().enumerate() {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "--ignored", "sandbox::faults::tests::engine_that_dies", "--nocapture"])
            .env("ENGINE", format!("{number} {marker} {}", path.display()))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let done = disk::start(&mut command).unwrap().wait_with_output().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&done.status),
            Some(9),
            "at {step}: {done:?}"
        );
        world.wait_for_processes(step);
        assert_eq!(mounts(), before, "after {step}");
    }
    // The next start removes what dead engines have left.
    let again = Store::open(&path).unwrap();
    let own = again.scratch().unwrap().to_owned();
    let left: Vec<_> = std::fs::read_dir(own.parent().unwrap())
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| *path != own && path != world.store.scratch().unwrap() && path.is_dir())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    world.run(&sandbox).unwrap();
}

/// Not a test: what `the_death_of_the_engine_at_any_step_leaves_nothing` starts.
#[test]
#[ignore = "started by another test"]
fn engine_that_dies() {
    let given = std::env::var("ENGINE").unwrap();
    let words: Vec<&str> = given.splitn(3, ' ').collect();
    let world = World::at(Path::new(words[2]), words[1]).unwrap();
    let sandbox = Sandbox::start(settings()).unwrap();
    PLAN.set((Some((words[0].parse().unwrap(), How::Kill)), Vec::new()));
    let _ = world.run(&sandbox);
}
