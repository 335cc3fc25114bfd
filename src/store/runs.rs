//! Runs: what each run that built something decided, for those who ask later why it was built.
//!
//! ```text
//! runs/<universe>-<number>     the universe is the hash of its file's path; numbers go up
//! magic; line of JSON; names and results of nodes; checksum
//! ```
//! One file tells all about its run, whatever became of others: every node with its build key, and
//! of those that were looked at one by one also how they ended, what they were made from and what
//! came out. It is written by one rename and not flushed. Nothing but explanations rests on it:
//! whatever is not exactly such a file is passed over.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::key::{BuildKey, PlanKey};
use super::tree::TreeHash;
use super::{Store, StoreError, disk};
use crate::bytes::{self, Reader, WORD, Writer};
use crate::outcome::{Failure, Outcome};

const MAGIC: &[u8; WORD] = b"jtwbuild run   1";
/// All but the version.
const FAMILY: &[u8] = b"jtwbuild run ";

/// So many runs of a universe are kept.
pub const KEPT: usize = 20;

/// The directory below the store.
pub(super) const DIRECTORY: &str = "runs";

/// How many numbers are tried when other processes take them.
const TRIES: usize = 100;

/// One run of `realise`.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    pub about: About,
    /// All nodes of the plan, inputs before their users.
    pub nodes: Vec<NodeRecord>,
}

/// What a run was about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The universe's name, and the absolute path of its file.
    pub universe: String,
    pub path: String,
    /// When it began, in seconds since 1970, and how long it took, in seconds.
    pub started: u64,
    pub seconds: f64,
    /// What was asked for on the command line that decides what is built.
    pub settings: BTreeMap<String, String>,
}

/// How one node stood at the end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeRecord {
    /// `build/fmt.0.9.0`.
    pub id: String,
    pub build: Option<BuildKey>,
    /// What is told of a node that was looked at by itself. Of the others only the build key is, and
    /// that their outputs were known.
    pub decided: Option<Decided>,
}

/// What is told of a node that was looked at by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    pub outcome: Outcome,
    /// Whether its builder ran.
    pub ran: bool,
    pub plan: PlanKey,
    pub tree: Option<TreeHash>,
    /// Wall time that it took.
    pub seconds: f32,
    /// By slot: the position of the node that the input came from, nothing for content that was
    /// given.
    pub inputs: Vec<Option<u32>>,
}

/// Why a run cannot be told of.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("it is damaged")]
    Damaged,
    #[error("another version of jtwbuild wrote it")]
    OtherVersion,
    #[error(transparent)]
    Unreadable(#[from] StoreError),
}

impl NodeRecord {
    /// Whether the builder of the node ran.
    pub fn ran(&self) -> bool {
        self.decided.as_ref().is_some_and(|decided| decided.ran)
    }
}

impl RunRecord {
    /// The node of that id.
    pub fn find(&self, id: &str) -> Option<&NodeRecord> {
        self.nodes.iter().find(|node| node.id == id)
    }

    fn write(&self) -> Vec<u8> {
        let mut to = Writer(MAGIC.to_vec());
        to.0.reserve(self.nodes.len() * 80 + 1024);
        to.text(&serde_json::to_vec(&self.about).expect("only text keys"));
        to.number(self.nodes.len());
        for node in &self.nodes {
            to.text(node.id.as_bytes());
            write_hash(&mut to, node.build.as_ref().map(BuildKey::as_bytes));
            let Some(decided) = &node.decided else {
                to.0.push(0);
                continue;
            };
            let (word, told) = write_outcome(&decided.outcome);
            to.0.extend([word, u8::from(decided.ran)]);
            to.text(told.as_bytes());
            to.0.extend(decided.plan.as_bytes());
            write_hash(&mut to, decided.tree.as_ref().map(TreeHash::as_bytes));
            to.0.extend(decided.seconds.to_le_bytes());
            to.number(decided.inputs.len());
            for input in &decided.inputs {
                to.0.extend(input.map_or(u32::MAX, |input| input).to_le_bytes());
            }
        }
        bytes::seal(to.0)
    }

    fn read(file: &[u8]) -> Result<Self, RunError> {
        let is_other = !file.starts_with(MAGIC) && file.starts_with(FAMILY);
        let content = bytes::unseal(file, MAGIC);
        let content = content.ok_or(if is_other { RunError::OtherVersion } else { RunError::Damaged })?;
        let run = Self::read_content(&mut Reader(content)).ok_or(RunError::Damaged)?;
        let is_sound = |(at, node): (usize, &NodeRecord)| {
            let inputs = node.decided.iter().flat_map(|decided| &decided.inputs);
            inputs.flatten().all(|input| (*input as usize) < at)
        };
        if run.nodes.iter().enumerate().all(is_sound) { Ok(run) } else { Err(RunError::Damaged) }
    }

    fn read_content(from: &mut Reader<'_>) -> Option<Self> {
        let about = serde_json::from_slice(from.text()?).ok()?;
        let nodes = from.list(|from| {
            let id = text(from)?;
            let build = read_hash(from).ok()?.map(BuildKey::from_bytes);
            let [word] = from.array()?;
            if word == 0 {
                return Some(NodeRecord { id, build, decided: None });
            }
            let [ran] = from.array()?;
            let outcome = read_outcome(word, text(from)?)?;
            let decided = Decided {
                outcome,
                ran: ran != 0,
                plan: PlanKey::from_bytes(from.array()?),
                tree: read_hash(from).ok()?.map(TreeHash::from_bytes),
                seconds: f32::from_le_bytes(from.array()?),
                inputs: from.list(|from| {
                    Some(Some(u32::from_le_bytes(from.array()?)).filter(|input| *input != u32::MAX))
                })?,
            };
            Some(NodeRecord { id, build, decided: Some(decided) })
        })?;
        Some(Self { about, nodes })
    }
}

fn text(from: &mut Reader<'_>) -> Option<String> {
    String::from_utf8(from.text()?.to_vec()).ok()
}

fn write_hash(to: &mut Writer, hash: Option<&[u8; 32]>) {
    to.0.push(u8::from(hash.is_some()));
    to.0.extend(hash.into_iter().flatten());
}

/// A hash that may not be there; the error says that these bytes are neither.
fn read_hash(from: &mut Reader<'_>) -> Result<Option<[u8; 32]>, ()> {
    match from.array() {
        Some([0]) => Ok(None),
        Some([1]) => from.array().map(Some).ok_or(()),
        _ => Err(()),
    }
}

/// A number from 1 on for the kind of outcome, and what more there is to it.
fn write_outcome(outcome: &Outcome) -> (u8, String) {
    match outcome {
        Outcome::Reused => (1, String::new()),
        Outcome::Built => (2, String::new()),
        Outcome::Cutoff => (3, String::new()),
        Outcome::Failed(failure) => (4, serde_json::to_string(failure).expect("only text keys")),
        Outcome::Skipped { because } => (5, because.clone()),
        Outcome::NotDecided { because } => (6, because.clone().unwrap_or_default()),
    }
}

fn read_outcome(word: u8, told: String) -> Option<Outcome> {
    Some(match word {
        1 => Outcome::Reused,
        2 => Outcome::Built,
        3 => Outcome::Cutoff,
        4 => Outcome::Failed(serde_json::from_str::<Failure>(&told).ok()?),
        5 => Outcome::Skipped { because: told },
        6 => Outcome::NotDecided { because: Some(told).filter(|told| !told.is_empty()) },
        _ => return None,
    })
}

/// What the names of a universe's runs begin with; `path` is that of its file, absolute.
pub(super) fn universe_of(path: &str) -> String {
    blake3::hash(path.as_bytes()).to_hex()[..16].to_owned()
}

/// Universe and number of a name.
pub(super) fn parse_name(name: &str) -> Option<(&str, u64)> {
    let (universe, number) = name.split_once('-')?;
    Some((universe, number.parse().ok()?))
}

impl Store {
    fn run_path(&self, universe: &str, number: u64) -> PathBuf {
        self.root().join(DIRECTORY).join(format!("{universe}-{number:08}"))
    }

    /// The numbers of the runs of the universe whose file is at `path`, the newest first.
    pub fn runs(&self, path: &str) -> Result<Vec<u64>, StoreError> {
        let directory = self.root().join(DIRECTORY);
        if !disk::exists(&directory) {
            return Ok(Vec::new());
        }
        let universe = universe_of(path);
        let mut numbers = Vec::new();
        for entry in disk::list(&directory)? {
            let name = entry.file_name();
            let of = name.to_str().and_then(parse_name).filter(|(of, _)| *of == universe);
            numbers.extend(of.map(|(_, number)| number));
        }
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        Ok(numbers)
    }

    /// A run of the universe whose file is at `path`; nothing if it is not there any more.
    pub fn run(&self, path: &str, number: u64) -> Result<Option<RunRecord>, RunError> {
        let file = disk::read_if_present(&self.run_path(&universe_of(path), number))?;
        file.map(|file| RunRecord::read(&file)).transpose()
    }

    /// Leaves a run, and removes the oldest ones of its universe. Gives its number.
    pub fn leave_run(&self, run: &RunRecord) -> Result<u64, StoreError> {
        let universe = universe_of(&run.about.path);
        disk::make_directories(&self.root().join(DIRECTORY))?;
        let numbers = self.runs(&run.about.path)?;
        let draft = self.scratch_path("run")?;
        let mut file = disk::create_new(&draft)?;
        let mut written = disk::write_all(&mut file, &draft, &run.write());
        let mut number = numbers.first().copied().unwrap_or(0);
        for _ in 0..TRIES {
            number += 1;
            match written.and_then(|()| disk::rename_new(&draft, &self.run_path(&universe, number))) {
                // Another process has just left one.
                Ok(false) => written = Ok(()),
                Ok(true) => {
                    for old in numbers.iter().skip(KEPT - 1) {
                        disk::remove_file(&self.run_path(&universe, *old))?;
                    }
                    return Ok(number);
                }
                Err(error) => {
                    // What cannot be removed goes with the scratch directory.
                    let _ = disk::remove_file(&draft);
                    return Err(error);
                }
            }
        }
        disk::remove_file(&draft)?;
        let (path, source) = (self.run_path(&universe, number), std::io::ErrorKind::AlreadyExists.into());
        Err(StoreError::Io { operation: "publish", path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &str, started: u64) -> RunRecord {
        let about = About { universe: "x".into(), path: path.into(), started, ..About::default() };
        let decided = |outcome, inputs: &[Option<u32>]| Decided {
            outcome,
            ran: true,
            plan: PlanKey::from_bytes([1; 32]),
            tree: None,
            seconds: 0.5,
            inputs: inputs.to_vec(),
        };
        let node = |id: &str, decided| NodeRecord {
            id: id.into(),
            build: Some(BuildKey::from_bytes([2; 32])),
            decided,
        };
        let failure = Failure::BuilderExit { command: "false".into(), status: 1 };
        let nodes = vec![
            node("base/busybox", None),
            node("node/a", Some(decided(Outcome::Failed(failure), &[Some(0), None]))),
            NodeRecord {
                id: "node/b".into(),
                build: None,
                decided: Some(Decided {
                    ran: false,
                    ..decided(Outcome::Skipped { because: "node/a".into() }, &[Some(1)])
                }),
            },
        ];
        RunRecord { about, nodes }
    }

    #[test]
    fn runs_are_read_as_they_were_left_and_the_oldest_go() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        assert_eq!(store.runs("/a").unwrap(), [0; 0]);
        store.leave_run(&run("/b", 0)).unwrap();
        for started in 0..KEPT as u64 + 3 {
            assert_eq!(store.leave_run(&run("/a", started)).unwrap(), started + 1);
        }
        let numbers = store.runs("/a").unwrap();
        assert_eq!((numbers.len(), numbers[0], numbers[KEPT - 1]), (KEPT, 23, 4));
        assert_eq!(store.run("/a", 23).unwrap().unwrap(), run("/a", 22));
        assert_eq!(store.runs("/b").unwrap(), [1]);
        assert!(store.run("/b", 2).unwrap().is_none());
    }

    #[test]
    fn damaged_runs_and_those_of_other_versions_are_told_apart() {
        let whole = run("/a", 7).write();
        assert_eq!(RunRecord::read(&whole).unwrap(), run("/a", 7));
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!(RunRecord::read(&damaged).is_err(), "{at}");
            assert!(RunRecord::read(&whole[..at]).is_err(), "{at}");
        }
        let mut other = whole;
        other[15] = b'2';
        assert!(matches!(RunRecord::read(&other), Err(RunError::OtherVersion)));
        assert!(matches!(RunRecord::read(b"x"), Err(RunError::Damaged)));
        // Inputs stand before their users.
        let mut circle = run("/a", 7);
        circle.nodes[1].decided.as_mut().unwrap().inputs = vec![Some(1)];
        assert!(matches!(RunRecord::read(&circle.write()), Err(RunError::Damaged)));
    }

    #[test]
    fn ten_thousand_nodes_take_less_than_a_megabyte() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let mut record = run("/a", 0);
        for number in 0..10_000 {
            let id = format!("build/package-{number}.1.2.3");
            record.nodes.push(NodeRecord { id, ..record.nodes[0].clone() });
        }
        store.leave_run(&record).unwrap();
        let begun = std::time::Instant::now();
        let number = store.leave_run(&record).unwrap();
        let written = begun.elapsed();
        let begun = std::time::Instant::now();
        assert_eq!(store.run("/a", number).unwrap().unwrap().nodes.len(), record.nodes.len());
        let length = record.write().len();
        println!("{length} bytes, written in {written:?}, read in {:?}", begun.elapsed());
        assert!(length < 1_000_000, "{length}");
    }
}
