//! The sandbox with real namespaces and a real builder: the host's static busybox.
//!
//! Without namespaces or busybox every test says so and passes, except under `CI`, where that is
//! a failure.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use jtwbuild::outcome::Failure;
use jtwbuild::request::{Command, Layer, Limits, Mount, Request};
use jtwbuild::sandbox::{Report, Sandbox, Settings};
use jtwbuild::store::Store;
use jtwbuild::store::tree::{Node, RelPath, Tree, TreeHash};

/// A store with a busybox base, and a sandbox.
struct World {
    _directory: tempfile::TempDir,
    store: Arc<Store>,
    sandbox: Sandbox,
    base: TreeHash,
    log: PathBuf,
}

impl World {
    fn new() -> Option<Self> {
        Self::with(Settings { grace: Duration::from_millis(300), ..Settings::default() })
    }

    fn with(settings: Settings) -> Option<Self> {
        let Some(busybox) = busybox() else {
            assert!(std::env::var_os("CI").is_none(), "no static busybox on this machine");
            eprintln!("SKIPPED: no static busybox on this machine");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        let sandbox = Sandbox::start(settings).unwrap();
        let staging = store.stage().unwrap();
        let program = staging.add(&mut File::open(busybox).unwrap(), true).unwrap();
        let mut tree = Tree::default();
        tree.insert(&path("bin/busybox"), Node::File(program)).unwrap();
        for name in ["sh", "true", "cat", "ls", "env"] {
            let target = jtwbuild::store::tree::LinkTarget::new(b"busybox").unwrap();
            tree.insert(&path(&format!("bin/{name}")), Node::Link(target)).unwrap();
        }
        let base = staging.publish(&tree).unwrap();
        let log = directory.path().join("log");
        Some(Self { _directory: directory, store, sandbox, base, log })
    }

    /// A tree of text files; a path that ends in `*` is executable.
    fn tree(&self, files: &[(&str, &str)]) -> TreeHash {
        let staging = self.store.stage().unwrap();
        let mut tree = Tree::default();
        for (name, text) in files {
            let file = staging.add_bytes(text.as_bytes(), name.ends_with('*')).unwrap();
            tree.insert(&path(name.trim_end_matches('*')), Node::File(file)).unwrap();
        }
        staging.publish(&tree).unwrap()
    }

    fn base(&self) -> Mount {
        overlay("/", &[("base", self.base)], None)
    }

    /// A request of one shell script, with `/out` captured.
    fn script(&self, script: &str) -> Request {
        self.request(&[], &[&[script]])
    }

    fn request(&self, mounts: &[Mount], stages: &[&[&str]]) -> Request {
        let mut all = vec![self.base(), overlay("/out", &[], Some("out"))];
        all.extend_from_slice(mounts);
        let shell = |script: &&str| Command {
            argv: ["sh", "-euc", script].map(str::to_owned).to_vec(),
            cwd: "/".to_owned(),
        };
        Request {
            mounts: all,
            stages: stages.iter().map(|stage| stage.iter().map(shell).collect()).collect(),
            env: BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]),
            limits: Limits { seconds: 20, memory: 1 << 30, log: 1 << 20, processes: 200 },
        }
    }

    fn run(&self, request: &Request) -> Result<Report, Failure> {
        let log = File::options().append(true).create(true).open(&self.log).unwrap();
        self.sandbox.run(request, &self.store, &log, &AtomicBool::new(false))
    }

    /// Runs a script that must succeed and gives what it printed.
    fn output(&self, request: &Request) -> String {
        let _ = std::fs::remove_file(&self.log);
        let result = self.run(request);
        let log = self.log_text();
        result.unwrap_or_else(|failure| panic!("{failure}\n{log}"));
        log
    }

    fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox-static"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file() && is_static(path))
}

/// Whether a program needs no interpreter: no `PT_INTERP` entry among its program headers.
fn is_static(program: &Path) -> bool {
    let bytes = std::fs::read(program).unwrap_or_default();
    bytes.starts_with(b"\x7fELF") && !bytes.windows(14).take(4096).any(|window| window == b"/lib64/ld-linu")
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

fn overlay(at: &str, layers: &[(&str, TreeHash)], capture: Option<&str>) -> Mount {
    let layers = layers.iter().map(|(name, tree)| Layer { name: (*name).to_owned(), tree: *tree });
    Mount::Overlay { at: at.to_owned(), layers: layers.collect(), capture: capture.map(str::to_owned) }
}

/// A tree as lines: kind, path, and for links the target.
fn listing(tree: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    let done: Result<(), std::convert::Infallible> = tree.walk(&mut |path, node| {
        lines.push(match node {
            Node::File(file) if file.executable => format!("x {path} {}", file.size),
            Node::File(file) => format!("f {path} {}", file.size),
            Node::Link(target) => format!("l {path} {}", String::from_utf8_lossy(target.as_bytes())),
            Node::Directory(_) => format!("d {path}"),
        });
        Ok(())
    });
    match done {
        Ok(()) => lines,
    }
}

#[test]
fn what_a_builder_adds_is_captured() {
    let Some(world) = World::new() else { return };
    let report = world
        .run(&world.script(
            "mkdir -p /out/lib/a /out/empty; echo hello > /out/lib/a/text; ln -s a /out/lib/link; \
             echo run > /out/run; chmod 755 /out/run; echo no > /out/closed; chmod 000 /out/closed",
        ))
        .unwrap_or_else(|failure| panic!("{failure}\n{}", world.log_text()));
    assert_eq!(
        listing(&report.captured["out"]),
        ["f closed 3", "d empty", "d lib", "d lib/a", "f lib/a/text 6", "l lib/link a", "x run 4"]
    );
}

#[test]
#[ignore = "a measurement"]
fn price_of_a_trivial_node() {
    let Some(world) = World::new() else { return };
    let mut request = world.script("");
    request.stages[0][0].argv = vec!["true".to_owned()];
    let cpu = || {
        let text = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<u64> = text
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .skip(11)
            .take(4)
            .map(|field| field.parse().unwrap())
            .collect();
        fields.iter().sum::<u64>() * 10
    };
    let (before, started) = (cpu(), Instant::now());
    for _ in 0..500 {
        world.run(&request).unwrap();
    }
    let wall = started.elapsed();
    drop(world);
    eprintln!("wall {:?} per node, cpu {} ms for 500", wall / 500, cpu() - before);
}
