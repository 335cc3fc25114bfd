//! A universe for one test of the command line: a directory of its own with a store of its own, in
//! which the program that was built with the tests runs as a user runs it.
//!
//! Paths are given relative to that directory, so that messages are the same everywhere. What
//! changes from run to run (hashes, times, process ids) is scrubbed from what is compared.
//!
//! Tests that build need the kernel's namespaces and a Debian mirror. Where a machine has not got
//! them, they say so and pass, except under `CI`, where that is a failure.

#![allow(dead_code, unused_imports, reason = "each test program uses its own part")]

pub mod git;
mod scrub;
mod seed;

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub use scrub::scrub;
pub use seed::{copy_linked, seed_archives, seed_archives_of};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_jtwbuild");

/// Nothing here takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with a universe, and a store at `store`.
pub struct TestUniverse {
    directory: tempfile::TempDir,
}

/// How a run of the program ended.
#[derive(Debug)]
pub struct Ended {
    pub arguments: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The whole of it, scrubbed: what golden files hold.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ jtwbuild {}", self.arguments)?;
        match self.code {
            Some(code) => writeln!(f, "exit code {code}")?,
            None => writeln!(f, "ended by a signal")?,
        }
        for (name, text) in [("stderr", &self.stderr), ("stdout", &self.stdout)] {
            if !text.is_empty() {
                write!(f, "--- {name}\n{}", scrub(text))?;
            }
        }
        Ok(())
    }
}

impl Ended {
    /// What a run with these arguments gave.
    pub fn new(arguments: &str, output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        Self { arguments: arguments.to_owned(), code: output.status.code(), stdout, stderr }
    }

    /// This run, which must have been a success.
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }

    /// What `realise --json` says of the outcomes: `("node/greeting", "built")`.
    #[track_caller]
    pub fn outcomes(&self) -> Vec<(String, String)> {
        let json = self.json();
        let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
        let nodes = json["nodes"].as_array().expect("a list").iter();
        nodes
            .map(|node| (format!("{}/{}", text(&node["kind"]), text(&node["name"])), text(&node["outcome"])))
            .collect()
    }
}

impl TestUniverse {
    /// A universe that can be planned without a network: the bases are pinned to packages that no
    /// mirror has.
    pub fn planned(text: &str) -> Self {
        let universe = Self::bare(text);
        universe.write("universe.lock", &seed::pinned());
        universe
    }

    /// A universe without a lock.
    pub fn bare(text: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("jtwbuild-test-").tempdir().unwrap();
        let universe = Self { directory };
        universe.write("universe.toml", text);
        universe
    }

    /// A universe whose nodes can be built: its lock is a real one, and its store holds busybox.
    /// Nothing when this machine cannot build.
    #[track_caller]
    pub fn buildable(text: &str) -> Option<Self> {
        let seed = seed::seed()?;
        let universe = Self::bare(text);
        copy_linked(&seed.join("store"), &universe.path("store"));
        // What the seed's own run left for its next one is nothing that a test should meet.
        for file in fs::read_dir(universe.path("store/plans")).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() && path.file_name().is_some_and(|name| name != "facts") {
                fs::remove_file(path).unwrap();
            }
        }
        let _ = fs::remove_dir_all(universe.path("store/runs"));
        fs::copy(seed.join("universe.lock"), universe.path("universe.lock")).unwrap();
        Some(universe)
    }

    /// A copy of a universe file, of the lock beside it and of a store. Files of the store are
    /// linked where that is possible, so the copy is made on the file system of target/.
    pub fn copied(universe: &Path, store: &Path) -> Self {
        let text = fs::read_to_string(universe).unwrap();
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let directory = tempfile::Builder::new().prefix("jtwbuild-test-").tempdir_in(target).unwrap();
        let copy = Self { directory };
        copy.write("universe.toml", &text);
        fs::copy(universe.with_extension("lock"), copy.path("universe.lock")).unwrap();
        copy_linked(store, &copy.path("store"));
        copy
    }

    /// A path below the directory.
    pub fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    /// Writes a file below the directory.
    pub fn write(&self, below: &str, text: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Replaces text in the universe file; it must be there.
    #[track_caller]
    pub fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("universe.toml")).unwrap();
        assert!(text.contains(from), "{text}");
        self.write("universe.toml", &text.replace(from, to));
    }

    /// The program with these arguments, separated by spaces, in the directory.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = self.tool(PROGRAM);
        command.args(arguments.split_whitespace());
        command
    }

    /// Another program in the directory, with the environment that jtwbuild would get.
    pub fn tool(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory.path()).env("JTWBUILD_STORE", "store").env("HOME", "/nonexistent");
        for name in ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "XDG_DATA_HOME", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &str) -> Ended {
        Ended::new(arguments, self.command(arguments).output().unwrap())
    }

    /// Runs a shell script as root of new namespaces, whose mounts and limits are its own.
    /// `$jtwbuild` is the program; golden files show `shown` in place of its arguments.
    pub fn run_in_namespaces(&self, shown: &str, script: &str) -> Ended {
        let mut command = self.tool("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-euc", script]).env("jtwbuild", PROGRAM);
        let output = command.output().expect("`unshare` of util-linux");
        Ended::new(shown, output)
    }

    /// Starts the program.
    pub fn start(&self, arguments: &str) -> Running {
        let mut command = self.command(arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running { arguments: arguments.to_owned(), child, stderr: String::new() }
    }

    /// Names and bytes of everything below `store/trees/*`, sorted.
    pub fn trees(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("store/trees")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Names of what is below `store/tmp`.
    pub fn leftovers(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("store/tmp")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// The program while it runs.
pub struct Running {
    arguments: String,
    child: Child,
    stderr: String,
}

impl Running {
    /// Waits until standard error holds this text.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let begun = Instant::now();
        let mut byte = [0];
        while !self.stderr.contains(text) {
            let stderr = self.child.stderr.as_mut().expect("taken only at the end");
            let read = stderr.read(&mut byte).unwrap();
            assert!(read == 1 && begun.elapsed() < PATIENCE, "no `{text}` in:\n{}", self.stderr);
            // Enough of UTF-8 to look for plain text.
            self.stderr.push(char::from(byte[0]));
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The rest of the line that [`Running::wait_for`] stopped in.
    pub fn end_of_line(&mut self) -> String {
        let before = self.stderr.len();
        let mut byte = [0];
        while !self.stderr.ends_with('\n') {
            let stderr = self.child.stderr.as_mut().expect("taken only at the end");
            assert_eq!(stderr.read(&mut byte).unwrap(), 1);
            self.stderr.push(char::from(byte[0]));
        }
        self.stderr[before..].to_owned()
    }

    /// Sends a signal to the program alone, not to its children.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for its end.
    pub fn end(self) -> Ended {
        let Self { arguments, child, stderr } = self;
        let mut ended = Ended::new(&arguments, child.wait_with_output().unwrap());
        ended.stderr.insert_str(0, &stderr);
        ended
    }
}

/// Waits until something holds.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "still not: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Processes of this machine whose command line holds `text`.
pub fn processes_with(text: &str) -> usize {
    let has = |entry: std::io::Result<fs::DirEntry>| {
        let line = fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&line).contains(text).then_some(())
    };
    fs::read_dir("/proc").unwrap().filter_map(has).count()
}

/// Says that a test does not run here; under `CI` it fails.
#[track_caller]
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("SKIPPED: {why}");
}
