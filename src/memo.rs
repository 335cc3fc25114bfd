//! `Memo`: what a successful run read and made, so that a run with nothing to do is told apart by
//! looking at those files, without reading them again.
//!
//! A memo is a cache beside the facts: deleting it costs time, and a file that could have changed
//! unseen (within the clock's grain before it was read, or since) keeps it from being written.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::store::tree::TreeHash;
use crate::store::{Store, StoreError, disk};

/// Raised when the file's form or what it stands for changes.
const VERSION: u32 = 1;

/// Timestamps of files may lag behind the clock by this much.
const GRAIN: Duration = Duration::from_millis(20);

/// What a file looked like: enough that no ordinary write leaves it the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Look(u64, u64, u64, i64, i64, i64, i64);

/// Everything that a run read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Watched {
    /// Files and directories by path, as they looked.
    looks: Vec<(PathBuf, Look)>,
    /// Paths at which nothing was.
    absent: Vec<PathBuf>,
    /// Small files that the run may have written itself: BLAKE3 of what they hold.
    contents: Vec<(PathBuf, String)>,
}

/// A successful run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memo {
    version: u32,
    watched: Watched,
    pub made: Made,
}

/// What a run has made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Made {
    pub universe: String,
    /// How many nodes the plan had.
    pub nodes: usize,
    /// The nodes that the run was for, with their outputs.
    pub targets: Vec<(String, TreeHash)>,
    /// The published tree, and where.
    pub site: Option<(TreeHash, PathBuf)>,
}

impl Watched {
    /// Looks at a file, or at a directory and everything in it. `since` is when the run began:
    /// `Ok(false)` if the path may have changed since then.
    pub fn add(&mut self, path: &Path, since: SystemTime) -> io::Result<bool> {
        let metadata = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.absent.push(path.to_owned());
                return Ok(true);
            }
            other => other?,
        };
        let limit = since.checked_sub(GRAIN).and_then(|limit| limit.duration_since(UNIX_EPOCH).ok());
        let changed = u64::try_from(metadata.ctime()).unwrap_or(0);
        let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or(0);
        if limit.is_none_or(|limit| Duration::new(changed, nanoseconds) >= limit) {
            return Ok(false);
        }
        self.looks.push((path.to_owned(), look(&metadata)));
        if metadata.is_dir() {
            for entry in std::fs::read_dir(path)? {
                if !self.add(&entry?.path(), since)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Remembers a small file by what it holds.
    pub fn add_content(&mut self, path: &Path, content: &[u8]) {
        self.contents.push((path.to_owned(), blake3::hash(content).to_hex().to_string()));
    }

    fn is_unchanged(&self) -> bool {
        let same = |(path, known): &(PathBuf, Look)| {
            std::fs::metadata(path).is_ok_and(|metadata| look(&metadata) == *known)
        };
        let holds = |(path, known): &(PathBuf, String)| {
            std::fs::read(path).is_ok_and(|content| blake3::hash(&content).to_hex().as_str() == known)
        };
        self.looks.iter().all(same)
            && !self.absent.iter().any(|path| path.exists())
            && self.contents.iter().all(holds)
    }
}

fn look(metadata: &std::fs::Metadata) -> Look {
    Look(
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    )
}

/// Where the memo of one command is: the same universe with other settings has another one.
#[derive(Clone, Debug)]
pub struct Place {
    path: PathBuf,
}

impl Place {
    /// `settings` are all that decide what a run reads and where its site goes. The running
    /// program is one of them: its recipes are built in.
    pub fn new(store: &Store, settings: &BTreeMap<&str, String>) -> Self {
        let program = std::fs::metadata("/proc/self/exe").map(|metadata| look(&metadata)).ok();
        let text = serde_json::to_string(&(VERSION, program, settings)).expect("settings are text");
        let name = blake3::hash(text.as_bytes()).to_hex();
        Self { path: store.plans().join(format!("memo-{}", &name[..32])) }
    }

    fn lines(&self) -> PathBuf {
        self.path.with_extension("nodes")
    }

    /// The memo, if nothing that its run read has changed since and its outputs are there.
    pub fn recall(&self, store: &Store) -> Option<Memo> {
        let bytes = disk::read_if_present(&self.path).ok()??;
        let memo: Memo = serde_json::from_slice(&bytes).ok()?;
        let good = memo.version == VERSION
            && memo.watched.is_unchanged()
            && memo.made.targets.iter().all(|(_, tree)| store.has_tree(tree));
        good.then_some(memo)
    }

    /// The description of all nodes that was left with the memo.
    pub fn recall_lines(&self) -> Option<Vec<u8>> {
        disk::read_if_present(&self.lines()).ok()?
    }

    /// Leaves a memo, with a description of all nodes that is read only when it is asked for.
    pub fn leave(&self, store: &Store, memo: &Memo, lines: &[u8]) -> Result<(), StoreError> {
        store.write_whole(&self.lines(), lines)?;
        let bytes = serde_json::to_vec(memo).expect("a memo has only text keys");
        store.write_whole(&self.path, &bytes)
    }
}

impl Memo {
    /// A memo of a run that read what was `watched`.
    pub fn new(watched: Watched, made: Made) -> Self {
        Self { version: VERSION, watched, made }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Well after everything that a test has written.
    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_secs(60)
    }

    #[test]
    fn memo_holds_until_something_that_was_read_changes() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("sources")).unwrap();
        std::fs::write(at("sources/a"), "1").unwrap();
        std::fs::write(at("lock"), "pins").unwrap();
        let watched = || {
            let mut watched = Watched::default();
            assert!(watched.add(&at("sources"), later()).unwrap());
            assert!(watched.add(&at("recipes"), later()).unwrap());
            watched.add_content(&at("lock"), b"pins");
            watched
        };
        let before = watched();
        assert!(before.is_unchanged());
        std::fs::write(at("sources/b"), "new").unwrap();
        assert!(!before.is_unchanged(), "a file was added");
        let before = watched();
        std::fs::write(at("sources/a"), "2").unwrap();
        assert!(!before.is_unchanged(), "a file was changed");
        let before = watched();
        std::fs::create_dir(at("recipes")).unwrap();
        assert!(!before.is_unchanged(), "something appeared");
        let before = watched();
        std::fs::write(at("lock"), "pins").unwrap();
        assert!(before.is_unchanged(), "written again, but the same");
        std::fs::write(at("lock"), "other").unwrap();
        assert!(!before.is_unchanged());
    }

    #[test]
    fn file_that_changed_during_the_run_is_not_trusted() {
        let directory = tempfile::tempdir().unwrap();
        let begun = SystemTime::now();
        std::fs::write(directory.path().join("a"), "1").unwrap();
        assert!(!Watched::default().add(directory.path(), begun).unwrap());
    }

    #[test]
    fn memo_without_its_outputs_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let place = Place::new(&store, &[("universe", "u".to_owned())].into());
        assert!(place.recall(&store).is_none());
        let mut made = Made { universe: "u".into(), nodes: 1, targets: vec![], site: None };
        place.leave(&store, &Memo::new(Watched::default(), made.clone()), b"[]").unwrap();
        assert_eq!(place.recall(&store).unwrap().made.universe, "u");
        assert_eq!(place.recall_lines().unwrap(), b"[]");
        made.targets.push(("lost".into(), TreeHash::from_bytes([1; 32])));
        place.leave(&store, &Memo::new(Watched::default(), made), b"[]").unwrap();
        assert!(place.recall(&store).is_none());
    }
}
