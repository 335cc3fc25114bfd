//! What diffoscope says of two outputs: a second opinion, for those who have it.
//!
//! It runs as the user runs it, without a sandbox, on files that builds have made: so only where he has
//! asked for it. Of his environment it gets what finds programs. When its time is over, or the audit is
//! stopped, it is ended with all the programs that it has started. What it writes stays a file of its own.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::audit::Output;
use crate::audit::compare::Differing;
use crate::cli::trouble::{Exit, Trouble};
use crate::realise::Stop;
use crate::store::{Store, disk};

const PROGRAM: &str = "diffoscope";
/// What it gets of the environment.
const ENVIRONMENT: [&str; 4] = ["PATH", "HOME", "LD_LIBRARY_PATH", "PYTHONPATH"];
/// It says its version within this time.
const ASK: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(20);
/// Bytes of an output that it is given, and of its report.
const MAX_SPREAD: u64 = 512 << 20;
const MAX_REPORT: u64 = 128 << 20;
/// Bytes of its complaints that a message shows.
const MAX_SAID: usize = 1_000;

/// The host's diffoscope, and where its reports go.
pub(super) struct Diffoscope<'a> {
    pub store: &'a Store,
    pub stop: &'a Stop,
    /// An absolute path.
    directory: PathBuf,
    /// It says what it thinks of a node within this time.
    patience: Duration,
}

impl<'a> Diffoscope<'a> {
    /// Sees whether it can be started, before hours are spent on builds.
    pub fn new(
        store: &'a Store,
        stop: &'a Stop,
        directory: &Path,
        patience: Duration,
    ) -> Result<Self, Trouble> {
        let directory = std::path::absolute(directory).map_err(|error| {
            trouble(format!("`{}` is no place for reports: {error}", directory.display()))
        })?;
        let diffoscope = Self { store, stop, directory, patience };
        let scratch = diffoscope.scratch()?;
        let asked = diffoscope.run(&scratch, &["--version"], ASK);
        let ended = asked.map_err(|why| trouble(format!("diffoscope cannot be used: {why}")))?;
        if ended != Some(0) {
            return Err(trouble(format!("diffoscope cannot be used: {}", scratch.said())));
        }
        disk::make_directories(&diffoscope.directory)?;
        Ok(diffoscope)
    }

    /// Lets it compare what differs between two outputs of a node; gives the file of its report, or in
    /// words why there is none.
    pub fn compare(
        &self,
        id: &str,
        before: &Output,
        after: &Output,
        differences: &[Differing],
    ) -> Result<PathBuf, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let scratch = self.scratch().map_err(|error| words(&error))?;
        for (output, name) in [(before, "before"), (after, "after")] {
            let paths = differences.iter().map(|differing| &differing.difference.path);
            output.spread(paths, &scratch.0.join(name), MAX_SPREAD).map_err(|error| words(&error))?;
        }
        let arguments =
            ["--no-progress", "--exclude-directory-metadata=yes", "--html", "report.html", "before", "after"];
        let ended = self.run(&scratch, &arguments, self.patience)?;
        // 1: there are differences; 0: it sees none, and writes nothing.
        match ended {
            Some(1) => {}
            Some(0) => return Err("it sees no difference".to_owned()),
            _ => return Err(scratch.said()),
        }
        let mut report = Vec::new();
        let read = File::open(scratch.0.join("report.html"))
            .and_then(|file| file.take(MAX_REPORT + 1).read_to_end(&mut report));
        read.map_err(|error| words(&error))?;
        if report.len() as u64 > MAX_REPORT {
            return Err(format!("its report has more than {MAX_REPORT} bytes"));
        }
        let target = self.directory.join(format!("{id}.html"));
        let made = target.parent().map_or(Ok(()), disk::make_directories);
        made.and_then(|()| disk::replace(&target, &report)).map_err(|error| words(&error))?;
        Ok(target)
    }

    fn scratch(&self) -> Result<Scratch, crate::store::StoreError> {
        let path = self.store.scratch_path("diffoscope")?;
        // It works from within it.
        let path = disk::io("find", &path, std::path::absolute(&path))?;
        disk::make_private_directory(&path)?;
        Ok(Scratch(path))
    }

    /// Runs it to its end in the scratch directory: its status; none if a signal ended it.
    #[expect(clippy::disallowed_methods, reason = "the user asks for this program: see the file's header")]
    fn run(&self, scratch: &Scratch, arguments: &[&str], patience: Duration) -> Result<Option<i32>, String> {
        let errors = File::create(scratch.errors()).map_err(|error| error.to_string())?;
        let mut command = Command::new(PROGRAM);
        command.env_clear().envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("LC_ALL", "C.UTF-8").env("TMPDIR", &scratch.0).current_dir(&scratch.0);
        command.args(arguments).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "there is no program of this name".to_owned(),
            _ => error.to_string(),
        })?;
        let mut child = Running(child);
        let since = Instant::now();
        loop {
            match child.0.try_wait() {
                Ok(Some(status)) => return Ok(status.code()),
                Ok(None) if self.stop.is_requested() => return Err("the audit was stopped".to_owned()),
                Ok(None) if since.elapsed() > patience => {
                    return Err(format!("it has not ended after {} s", patience.as_secs()));
                }
                Ok(None) => std::thread::sleep(GLANCE),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

fn trouble(message: String) -> Trouble {
    let help = "Debian and Ubuntu have the package `diffoscope-minimal`; without `--diffoscope`, jtwbuild's own explanations are all there is";
    Trouble::new(Exit::Environment, "jtwbuild::audit::diffoscope", message, Some(help))
}

/// One that is killed, with the process group that it leads, when nobody waits for it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // If it has ended by itself, its number may be somebody else's by now.
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        if let Ok(leader) = i32::try_from(self.0.id()) {
            let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}

/// Space for one comparison, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn errors(&self) -> PathBuf {
        self.0.join("errors")
    }

    /// The end of what it complained of, on one line.
    fn said(&self) -> String {
        let bytes = fs::read(self.errors()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(MAX_SAID)..]);
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it did not say why");
        last.chars().filter(|one| !one.is_control()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays goes with the process's scratch directory.
        let _ = disk::remove_tree(&self.0);
    }
}
