//! Git repositories: which commit a branch names, and the files of one commit.
//!
//! The `git` program does it. It is the one program that jtwbuild runs outside the sandbox, because it
//! needs the network and the user's ssh keys; why it and not a library is told in the book
//! (`design/opam-repositories`). What a repository holds or a server says is not to run anything here:
//!
//! - no settings but ours: neither the system's nor the user's configuration, and of the environment
//!   only what finds programs, keys, proxies and certificates;
//! - no hooks, no templates, no filters, no attributes, no checkout, and no submodules but those that
//!   [`export`] fetches in the same way: blobs are read as they are, by their ids, from a bare repository in scratch space that is removed afterwards;
//! - protocols from a list; URLs and names never begin with `-` (see
//!   [`crate::source::git`], which checks them) and stand behind `--`;
//! - what is asked for by name is first resolved to a commit's id, and only that id is fetched. Git
//!   checks that the objects have the hashes that name them.

mod ask;
mod error;
mod export;
mod files;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use self::ask::{Answers, ask};
pub use self::error::GitError;
pub use self::export::{Export, Limits};
pub use self::files::{GitFile, GitKind};

use crate::store::{Store, disk};

/// Protocols that git may speak.
const PROTOCOLS: &str = "https:http:ssh:git:file";

/// What git gets of the environment.
const ENVIRONMENT: [&str; 20] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_EXEC_PATH",
    "LD_LIBRARY_PATH",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// Settings of every call.
const SETTINGS: [&str; 12] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.fsync=none",
    "credential.helper=",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "http.lowSpeedLimit=512",
    "http.lowSpeedTime=30",
    "protocol.version=2",
    "advice.detachedHead=false",
];

/// A question to a server is answered within this time.
const ASK: Duration = Duration::from_secs(120);
/// Everything else ends within this time.
const FETCH: Duration = Duration::from_secs(3600);
/// The shortest time between two looks at whether git has ended.
const GLANCE: Duration = Duration::from_micros(250);
/// Bytes that a fetch may put on the disk.
const MAX_FETCHED: u64 = 4 << 30;
/// Bytes of the list of a commit's files.
const MAX_LISTED: u64 = 256 << 20;
/// Bytes of git's words that messages show.
const MAX_SAID: usize = 1500;

/// A branch, tag or nothing: the branch that `HEAD` names.
pub type Wanted<'a> = Option<&'a str>;

/// One git repository, reached through scratch space of `store`.
#[derive(Clone, Copy)]
pub struct Remote<'a> {
    pub url: &'a str,
    pub store: &'a Store,
    pub stop: &'a AtomicBool,
}

impl Remote<'_> {
    /// A bare repository in scratch space that has this commit with all its files. `near` is a branch or
    /// tag to look at when the server does not give away single commits.
    fn with_commit(&self, commit: &str, near: Wanted<'_>) -> Result<Scratch<'_>, GitError> {
        let scratch = Scratch::new(self.store)?;
        let format = if commit.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        self.git(&scratch, &["init", "--quiet", "--bare", "--template=", format], ASK, None)?;
        self.fetch(&scratch, commit, near)?;
        let name = format!("{commit}^{{commit}}");
        self.git(&scratch, &["rev-parse", "--verify", "--quiet", "--end-of-options", &name], ASK, None)
            .map_err(|_| self.no_commit(commit, "it was not among what the server sent"))?;
        if scratch.answer()?.trim() != commit {
            return Err(self.no_commit(commit, "it is not a commit"));
        }
        Ok(scratch)
    }

    /// What `ls-tree` says of everything in a commit: one record for each file, link and submodule.
    fn list(&self, scratch: &Scratch<'_>, commit: &str) -> Result<Vec<u8>, GitError> {
        self.git(scratch, &["ls-tree", "-r", "-l", "-z", "--full-tree", commit], FETCH, None)?;
        scratch.answer_within(MAX_LISTED)?.ok_or_else(|| self.failed("it lists too many files"))
    }

    /// Lets git write the blobs with these ids, one after the other; see [`Blobs`].
    fn blobs<'a>(
        &self,
        scratch: &Scratch<'_>,
        ids: impl Iterator<Item = &'a str>,
    ) -> Result<Blobs, GitError> {
        let ids: String = ids.flat_map(|id| [id, "\n"]).collect();
        let input = scratch.directory.join("wanted");
        fs::write(&input, ids).map_err(GitError::Io)?;
        self.git(scratch, &["cat-file", "--batch", "--buffer"], FETCH, Some(&input))?;
        let answer = File::open(&scratch.output).map_err(GitError::Io)?;
        Ok(Blobs(BufReader::with_capacity(1 << 18, answer)))
    }

    fn no_commit(&self, commit: &str, said: &str) -> GitError {
        GitError::NoCommit { url: self.url.to_owned(), commit: commit.to_owned(), said: said.to_owned() }
    }

    fn failed(&self, said: &str) -> GitError {
        GitError::Failed { url: self.url.to_owned(), said: said.to_owned() }
    }

    /// Fetches a commit without its history, or else, from servers that only give away what has a
    /// name, the history of one name or of all.
    fn fetch(&self, scratch: &Scratch<'_>, commit: &str, near: Wanted<'_>) -> Result<(), GitError> {
        let options = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"];
        let alone = [&options[..], &["--depth=1", "--", self.url, commit]].concat();
        let refused = match self.git(scratch, &alone, FETCH, None) {
            Err(error @ (GitError::NoCommit { .. } | GitError::Failed { .. })) => error,
            other => return other,
        };
        let branch = near.map(|name| format!("refs/heads/{name}:refs/heads/near"));
        let tag = near.map(|name| format!("refs/tags/{name}:refs/tags/near"));
        let attempts = [branch.as_deref(), tag.as_deref(), Some("+refs/*:refs/*")];
        for wide in attempts.into_iter().flatten() {
            match self.git(scratch, &[&options[..], &["--", self.url, wide]].concat(), FETCH, None) {
                Ok(()) if self.has(scratch, commit)? => return Ok(()),
                Ok(())
                | Err(GitError::NoReference { .. } | GitError::NoCommit { .. } | GitError::Failed { .. }) => {
                }
                Err(error) => return Err(error),
            }
        }
        Err(match refused {
            GitError::Failed { said, .. } | GitError::NoCommit { said, .. } => self.no_commit(commit, &said),
            other => other,
        })
    }

    fn has(&self, scratch: &Scratch<'_>, commit: &str) -> Result<bool, GitError> {
        match self.git(scratch, &["cat-file", "-e", commit], ASK, None) {
            Ok(()) => Ok(true),
            Err(GitError::Stopped) => Err(GitError::Stopped),
            Err(_) => Ok(false),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the one program outside the sandbox: see above")]
    /// Runs git to its end; what it says on standard output is in the scratch directory then.
    fn git(
        &self,
        scratch: &Scratch<'_>,
        arguments: &[&str],
        patience: Duration,
        input: Option<&Path>,
    ) -> Result<(), GitError> {
        let create = |path: &Path| File::create(path).map_err(GitError::Io);
        let errors = scratch.directory.join("errors");
        let mut command = Command::new("git");
        command.env_clear().envs(ENVIRONMENT.iter().filter_map(|name| Some((name, variable(name)?))));
        command.envs([
            ("GIT_DIR", scratch.repository().as_os_str()),
            ("GIT_CONFIG_NOSYSTEM", OsStr::new("1")),
            ("GIT_CONFIG_GLOBAL", OsStr::new("/dev/null")),
            ("GIT_ATTR_NOSYSTEM", OsStr::new("1")),
            ("GIT_TERMINAL_PROMPT", OsStr::new("0")),
            ("GIT_ALLOW_PROTOCOL", OsStr::new(PROTOCOLS)),
            ("GIT_NO_REPLACE_OBJECTS", OsStr::new("1")),
            ("GIT_SSH_COMMAND", OsStr::new("ssh -oBatchMode=yes -oConnectTimeout=20")),
            ("LC_ALL", OsStr::new("C")),
        ]);
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting])).args(arguments);
        command.current_dir(&scratch.directory).process_group(0);
        command.stdin(match input {
            Some(path) => File::open(path).map_err(GitError::Io)?.into(),
            None => Stdio::null(),
        });
        // Files, not pipes: nobody waits for the children of a git that was killed.
        command.stdout(create(&scratch.output)?).stderr(create(&errors)?);
        #[cfg(test)]
        let starting = disk::starting();
        let child = command.spawn();
        #[cfg(test)]
        drop(starting);
        let child = child.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => GitError::Missing { url: self.url.to_owned() },
            _ => GitError::Io(error),
        })?;
        if self.wait(child, scratch, patience)? {
            return Ok(());
        }
        Err(self.said(&fs::read(&errors).unwrap_or_default()))
    }

    /// Waits for the end of git: whether it was a good one.
    fn wait(&self, child: Child, scratch: &Scratch<'_>, patience: Duration) -> Result<bool, GitError> {
        let mut child = Running(child);
        let since = Instant::now();
        loop {
            if let Some(status) = child.0.try_wait().map_err(GitError::Io)? {
                return Ok(status.success());
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(GitError::Stopped);
            }
            if since.elapsed() > patience {
                return Err(GitError::TimeOut { url: self.url.to_owned(), after: patience });
            }
            if scratch.fetched() > MAX_FETCHED || scratch.said() > MAX_FETCHED {
                return Err(GitError::TooLarge { url: self.url.to_owned() });
            }
            // An answer of a few milliseconds is seen at once, and a long fetch is looked at now and then.
            std::thread::sleep((since.elapsed() / 8).clamp(GLANCE, 40 * GLANCE));
        }
    }

    /// What git's words mean. They are asked for in English.
    fn said(&self, errors: &[u8]) -> GitError {
        let text = String::from_utf8_lossy(errors);
        let said = shown(&text);
        let url = self.url.to_owned();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["not our ref", "unadvertised object", "bad object", "no such remote ref"]) {
            GitError::NoCommit { url, commit: "that is asked for".into(), said }
        } else if has(&["couldn't find remote ref", "Couldn't find remote ref"]) {
            GitError::NoReference { url, name: String::new(), like: None }
        } else if has(&[
            "Authentication failed",
            "could not read Username",
            "Permission denied",
            "dubious ownership",
            "error: 401",
            "error: 403",
        ]) {
            GitError::Forbidden { url, said }
        } else if has(&[
            "not valid: is this a git repository",
            "does not appear to be a git repository",
            "error: 404",
            "repository '",
            "not a git repository",
            "invalid index-pack output",
            "unknown object format",
            "protocol error",
            "does not exist",
        ]) {
            GitError::NotGit { url, said }
        } else if has(&[
            "Could not resolve",
            "Failed to connect",
            "Couldn't connect",
            "Connection refused",
            "Connection timed out",
            "Connection reset",
            "Could not connect",
            "unable to connect",
            "unable to access",
            "timed out",
            "early EOF",
            "hung up unexpectedly",
            "No route to host",
            "Network is unreachable",
        ]) {
            GitError::Unreachable { url, said }
        } else {
            GitError::Failed { url, said }
        }
    }
}

/// A variable of our own environment.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What git wrote for `cat-file --batch`.
struct Blobs(BufReader<File>);

impl Blobs {
    /// The bytes of the next blob, which must be the one with this id, as `read` takes them.
    fn next<T>(
        &mut self,
        id: &str,
        remote: &Remote<'_>,
        read: impl FnOnce(&mut dyn Read, u64) -> Result<T, GitError>,
    ) -> Result<T, GitError> {
        let mut head = String::new();
        self.0.read_line(&mut head).map_err(GitError::Io)?;
        let size = head.trim_end().strip_prefix(id).and_then(|rest| rest.strip_prefix(" blob "));
        let size: u64 = size
            .and_then(|size| size.parse().ok())
            .ok_or_else(|| remote.failed("it does not have all files of the commit"))?;
        let mut bytes = Read::take(&mut self.0, size);
        let taken = read(&mut bytes, size)?;
        // A blob that was not read to its end would make nonsense of the next one.
        io::copy(&mut bytes, &mut io::sink()).map_err(GitError::Io)?;
        self.0.read_exact(&mut [0]).map_err(GitError::Io)?;
        Ok(taken)
    }
}

/// Git's words without control characters, on one line each, and not all of many.
fn shown(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim().trim_start_matches("fatal: ").trim_start_matches("error: ");
        line.chars().filter(|one| !one.is_control()).collect::<String>()
    });
    let mut said = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    if said.len() > MAX_SAID {
        let end = (0..=MAX_SAID).rev().find(|at| said.is_char_boundary(*at)).unwrap_or_default();
        said.truncate(end);
        said.push('…');
    }
    if said.is_empty() { "it did not say why".into() } else { said }
}

/// A git that is killed when nobody waits for it any more. Its children end when it has closed its
/// side of their pipes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Space for one repository, removed when dropped.
struct Scratch<'a> {
    directory: PathBuf,
    /// What git said last on standard output.
    output: PathBuf,
    store: std::marker::PhantomData<&'a Store>,
}

impl<'a> Scratch<'a> {
    fn new(store: &'a Store) -> Result<Self, GitError> {
        // Git works from within it.
        let directory = std::path::absolute(store.scratch_path("git")?).map_err(GitError::Io)?;
        disk::make_private_directory(&directory)?;
        Ok(Self { output: directory.join("output"), directory, store: std::marker::PhantomData })
    }

    fn repository(&self) -> PathBuf {
        self.directory.join("repository")
    }

    fn answer(&self) -> Result<String, GitError> {
        let mut text = String::new();
        let mut file = File::open(&self.output).map_err(GitError::Io)?.take(64 << 20);
        file.read_to_string(&mut text).map_err(GitError::Io)?;
        Ok(text)
    }

    /// What git said, unless it is longer than `most` bytes.
    fn answer_within(&self, most: u64) -> Result<Option<Vec<u8>>, GitError> {
        if self.said() > most {
            return Ok(None);
        }
        fs::read(&self.output).map(Some).map_err(GitError::Io)
    }

    /// Bytes that git has said so far.
    fn said(&self) -> u64 {
        fs::metadata(&self.output).map_or(0, |metadata| metadata.len())
    }

    /// Bytes that were fetched so far.
    fn fetched(&self) -> u64 {
        let entries = fs::read_dir(self.repository().join("objects/pack")).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // What stays goes with the process's scratch directory.
        let _ = disk::remove_tree(&self.directory);
    }
}
