//! The attacker: compiled once, for any number of test runs, and put into worlds as a layer.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use jtwbuild::outcome::Failure;
use jtwbuild::request::{Layer, Mount, Request};
use jtwbuild::sandbox::{Report, Settings};
use jtwbuild::store::tree::{Node, Tree, TreeHash};

use crate::world::{World, overlay, path};

/// The compiled program. `None`, said loudly, where there is no compiler.
pub fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(compile).as_deref()
}

/// The sources of the attacker, in the order of their names.
fn sources() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sandbox/attacker");
    let mut files: Vec<_> = std::fs::read_dir(directory).into_iter().flatten().flatten().collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    files.into_iter().map(|entry| entry.path()).collect()
}

fn compile() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("JTWBUILD_ATTACKER") {
        return Some(given.into());
    }
    let sources = sources();
    let mut hasher = blake3::Hasher::new();
    for source in &sources {
        hasher.update(&std::fs::read(source).unwrap());
    }
    let done =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("attacker-{}", hasher.finalize().to_hex()));
    if done.exists() {
        return Some(done);
    }
    let main = sources.iter().find(|source| source.ends_with("main.rs"))?;
    let draft = done.with_extension(std::process::id().to_string());
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024", "-C", "opt-level=1", "-C", "strip=symbols"])
        .args(["-C", "target-feature=+crt-static", "-D", "warnings", "-o"])
        .args([&draft, main])
        .output();
    let why = match output {
        Ok(output) if output.status.success() => {
            std::fs::rename(&draft, &done).unwrap();
            return Some(done);
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    assert!(std::env::var_os("CI").is_none(), "the attacker cannot be compiled: {why}");
    eprintln!("SKIPPED: the attacker cannot be compiled: {why}");
    None
}

/// A world with the attacker in it, and a tree to attack.
pub struct Arena {
    pub world: World,
    pub input: TreeHash,
    attacker: TreeHash,
}

impl Arena {
    pub fn new() -> Option<Self> {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Option<Self> {
        let program = program()?;
        let world = World::with(settings)?;
        let staging = world.store.stage().unwrap();
        let mut tree = Tree::default();
        let file = staging.add(&mut File::open(program).unwrap(), true).unwrap();
        tree.insert(&path("attacker"), Node::File(file)).unwrap();
        let attacker = staging.publish(&tree).unwrap();
        let input = world.tree(&[
            ("file", "content\n"),
            ("tool*", "#!/bin/sh\n"),
            ("mapped", "content\n"),
            ("cut", "content\n"),
            ("hole", "content\n"),
            ("mode", "content\n"),
            ("times", "content\n"),
            ("linked", "content\n"),
            ("reopened", "content\n"),
            ("named", "content\n"),
            ("removed", "content\n"),
            ("stale", "content\n"),
            ("directory/inner", "content\n"),
        ]);
        Some(Self { world, input, attacker })
    }

    /// A run of the attacker, with `/input` and `/merged` to attack and `/out` to write to.
    pub fn request(&self, arguments: &[&str]) -> Request {
        let layer = Layer { name: "input".to_owned(), tree: self.input };
        let mounts = [
            Mount::ReadOnly { at: "/input".to_owned(), tree: layer },
            overlay("/merged", &[("input", self.input)], None),
        ];
        let mut request = self.world.request(&mounts, &[&[""]]);
        request.mounts[0] = overlay("/", &[("base", self.world.base), ("attacker", self.attacker)], None);
        let words = ["/attacker"].iter().chain(arguments);
        request.stages[0][0].argv = words.map(|word| (*word).to_owned()).collect();
        request.env.insert("STORE".to_owned(), self.world.store.root().display().to_string());
        request
    }

    /// Runs a request; gives its result and its log.
    pub fn run(&self, request: &Request) -> (Result<Report, Failure>, String) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let result = self.world.run_with_log(request, log.as_file());
        (result, std::fs::read_to_string(log.path()).unwrap_or_default())
    }

    /// Reads the attacked tree and everything else in the store again, byte by byte.
    pub fn assert_store_is_whole(&self, after: &str) {
        for tree in [self.input, self.attacker, self.world.base] {
            let stored = jtwbuild::store::staging::scan(&self.world.store.tree_path(&tree)).unwrap();
            assert_eq!(stored.hash(), tree, "after {after}");
        }
    }
}
