//! A store with a busybox base and a sandbox, for one test.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jtwbuild::outcome::Failure;
use jtwbuild::request::{Command, Layer, Limits, Mount, Request};
use jtwbuild::sandbox::{Report, Sandbox, Settings};
use jtwbuild::store::Store;
use jtwbuild::store::tree::{Node, RelPath, Tree, TreeHash};

/// What the base has beside busybox's shell and its built-in commands.
pub const PROGRAMS: &[&str] = &[
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "chroot",
    "cp",
    "date",
    "dd",
    "dmesg",
    "domainname",
    "env",
    "find",
    "grep",
    "head",
    "hostname",
    "id",
    "ip",
    "ln",
    "ls",
    "mkdir",
    "mkfifo",
    "mknod",
    "mount",
    "mv",
    "nc",
    "nsenter",
    "nslookup",
    "ping",
    "readlink",
    "renice",
    "rm",
    "setsid",
    "sh",
    "sleep",
    "su",
    "touch",
    "true",
    "umount",
    "unshare",
    "wc",
];

/// A store with a busybox base, and a sandbox.
pub struct World {
    pub directory: tempfile::TempDir,
    pub store: Arc<Store>,
    pub sandbox: Sandbox,
    pub base: TreeHash,
    pub log: PathBuf,
}

impl World {
    pub fn new() -> Option<Self> {
        Self::with(Settings { grace: Duration::from_millis(300), ..Settings::default() })
    }

    pub fn with(settings: Settings) -> Option<Self> {
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
        for name in PROGRAMS {
            let target = jtwbuild::store::tree::LinkTarget::new(b"busybox").unwrap();
            tree.insert(&path(&format!("bin/{name}")), Node::Link(target)).unwrap();
        }
        let base = staging.publish(&tree).unwrap();
        let log = directory.path().join("log");
        Some(Self { directory, store, sandbox, base, log })
    }

    /// A tree of text files; a path that ends in `*` is executable.
    pub fn tree(&self, files: &[(&str, &str)]) -> TreeHash {
        let staging = self.store.stage().unwrap();
        let mut tree = Tree::default();
        for (name, text) in files {
            let file = staging.add_bytes(text.as_bytes(), name.ends_with('*')).unwrap();
            tree.insert(&path(name.trim_end_matches('*')), Node::File(file)).unwrap();
        }
        staging.publish(&tree).unwrap()
    }

    pub fn base(&self) -> Mount {
        overlay("/", &[("base", self.base)], None)
    }

    /// A request of one shell script, with `/out` captured.
    pub fn script(&self, script: &str) -> Request {
        self.request(&[], &[&[script]])
    }

    pub fn request(&self, mounts: &[Mount], stages: &[&[&str]]) -> Request {
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

    pub fn run(&self, request: &Request) -> Result<Report, Failure> {
        let log = File::options().append(true).create(true).open(&self.log).unwrap();
        self.run_with_log(request, &log)
    }

    pub fn run_with_log(&self, request: &Request, log: &File) -> Result<Report, Failure> {
        self.sandbox.run(request, &self.store, log, &AtomicBool::new(false))
    }

    /// Runs a script that must succeed and gives what it printed.
    pub fn output(&self, request: &Request) -> String {
        let _ = std::fs::remove_file(&self.log);
        let result = self.run(request);
        let log = self.log_text();
        result.unwrap_or_else(|failure| panic!("{failure}\n{log}"));
        log
    }

    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

pub fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox-static"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file() && is_static(path))
}

/// Whether a program needs no interpreter: no `PT_INTERP` entry among its program headers.
pub fn is_static(program: &Path) -> bool {
    let bytes = std::fs::read(program).unwrap_or_default();
    bytes.starts_with(b"\x7fELF") && !bytes.windows(14).take(4096).any(|window| window == b"/lib64/ld-linu")
}

pub fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

pub fn overlay(at: &str, layers: &[(&str, TreeHash)], capture: Option<&str>) -> Mount {
    let layers = layers.iter().map(|(name, tree)| Layer { name: (*name).to_owned(), tree: *tree });
    Mount::Overlay { at: at.to_owned(), layers: layers.collect(), capture: capture.map(Into::into) }
}

/// A tree as lines: kind, path, and for links the target.
pub fn listing(tree: &Tree) -> Vec<String> {
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

pub fn bad(path: &str, reason: &str) -> Failure {
    Failure::BadOutput { path: path.to_owned(), reason: reason.to_owned() }
}

/// How long a program is to sleep, as a text that no other test and no other user's tests use.
pub fn long_time(of_test: u32) -> String {
    use std::os::unix::fs::MetadataExt;
    let user = std::fs::metadata("/proc/self").unwrap().uid();
    format!("600.{of_test}{user:010}1")
}

/// How many processes of this machine have `text` in their command line.
pub fn processes_with(text: &str) -> usize {
    let is_one = |entry: std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.windows(text.len().max(1)).any(|window| window == text.as_bytes())
    };
    std::fs::read_dir("/proc").unwrap().flatten().map(is_one).filter(|found| *found).count()
}

pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|status| status.uid() == 0)
}
