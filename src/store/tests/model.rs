//! A model of a disk and of what a power cut can leave of it: every state that the recorded steps
//! allow, as far as flushes have not decided. The idea is that of ALICE and of CrashMonkey.
//!
//! A step comes to one or two *effects*: an entry of a directory is set, bytes are added to a file,
//! an attribute changes. A flush settles effects; the others may be on the disk or not:
//!
//! - [`Model::Weakest`]: each for itself, in any order, as POSIX allows. A file's new length may be there
//!   without its bytes. A flushed file may have lost its name, and a rename between two directories may
//!   have come about in one of them.
//! - [`Model::Ordered`]: names and attributes in the order of the journal, of which every flush writes all
//!   there is; bytes that were not flushed in whole blocks, or not at all. So do ext4 and XFS.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::store::disk::faults::Record;
use crate::store::disk::{MTIME, Operation};

/// Which orders a disk keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    Ordered,
    Weakest,
}

type Inode = usize;
const ROOT: Inode = 0;

/// One thing that is on the disk or not.
#[derive(Clone, Debug)]
enum Effect {
    Entry { directory: Inode, name: OsString, to: Option<Inode> },
    Bytes { file: Inode, bytes: Vec<u8> },
    Mode { of: Inode, mode: u32 },
    Time { of: Inode },
}

/// An effect in the order of the log.
#[derive(Clone, Debug)]
struct Logged {
    /// Its own position.
    number: usize,
    /// The position of the step among the records.
    step: usize,
    effect: Effect,
    /// After which step it is on the disk for sure; by model.
    settled: [usize; 2],
}

#[derive(Clone, Debug)]
enum Kind {
    File,
    Directory,
    Link(Vec<u8>),
}

/// A recorded log, understood.
pub struct Log {
    effects: Vec<Logged>,
    kinds: Vec<Kind>,
    /// How many steps there are.
    pub steps: usize,
}

/// Directory entries as they are while the log is read: by directory, what each name stands for.
type Names = HashMap<(Inode, OsString), Inode>;

impl Log {
    /// Understands the records of steps that began with an empty directory `root`.
    pub fn read(root: &Path, records: &[Record]) -> Self {
        let mut log = Self { effects: Vec::new(), kinds: vec![Kind::Directory], steps: records.len() };
        let mut names = Names::new();
        for (step, record) in records.iter().enumerate() {
            log.understand(root, step, record, &mut names);
        }
        log
    }

    fn understand(&mut self, root: &Path, step: usize, record: &Record, names: &mut Names) {
        let at = find(root, &record.path, names);
        let (directory, name) = place_of(root, &record.path, names);
        let mut set = |log: &mut Self, directory: Inode, name: &OsString, to: Option<Inode>| {
            match to {
                Some(to) => names.insert((directory, name.clone()), to),
                None => names.remove(&(directory, name.clone())),
            };
            log.add(step, Effect::Entry { directory, name: name.clone(), to });
        };
        let from = record.from.as_ref();
        match record.operation {
            Operation::Create | Operation::MakeDirectory | Operation::SymbolicLink => {
                let to = self.inode(record);
                set(self, directory, &name, Some(to));
            }
            Operation::OpenAppend if at.is_none() => {
                let to = self.inode(record);
                set(self, directory, &name, Some(to));
            }
            Operation::OpenAppend => {}
            Operation::Write => {
                let file = at.expect("what is written has a name");
                self.add(step, Effect::Bytes { file, bytes: record.bytes.clone() });
            }
            Operation::Truncate(_) => panic!("only caches are cut, and no log has one"),
            Operation::SetMode(mode) => {
                self.add(step, Effect::Mode { of: at.expect("it has a name"), mode });
            }
            Operation::SetTime => self.add(step, Effect::Time { of: at.expect("it has a name") }),
            Operation::Link | Operation::RenameNew | Operation::RenameOver | Operation::Exchange => {
                let from = from.expect("there are two names");
                let (old_directory, old) = place_of(root, from, names);
                let moved = find(root, from, names);
                let mut set = |directory, name: &OsString, to: Option<Inode>| {
                    match to {
                        Some(to) => names.insert((directory, name.clone()), to),
                        None => names.remove(&(directory, name.clone())),
                    };
                    self.add(step, Effect::Entry { directory, name: name.clone(), to });
                };
                set(directory, &name, Some(moved.expect("what is moved is there")));
                match record.operation {
                    Operation::Link => {}
                    Operation::Exchange => set(old_directory, &old, at),
                    _ => set(old_directory, &old, None),
                }
            }
            Operation::RemoveFile | Operation::RemoveDirectory => set(self, directory, &name, None),
            Operation::Flush | Operation::FlushDirectory => {
                let flushed = at.expect("what is flushed has a name");
                self.settle(step, |effect| match effect {
                    Effect::Entry { directory, .. } => *directory == flushed,
                    Effect::Bytes { file: of, .. } | Effect::Mode { of, .. } | Effect::Time { of } => {
                        *of == flushed
                    }
                });
            }
            Operation::FlushFileSystem => self.settle(step, |_| true),
        }
    }

    fn inode(&mut self, record: &Record) -> Inode {
        self.kinds.push(match record.operation {
            Operation::MakeDirectory => Kind::Directory,
            Operation::SymbolicLink => Kind::Link(record.bytes.clone()),
            _ => Kind::File,
        });
        self.kinds.len() - 1
    }

    fn add(&mut self, step: usize, effect: Effect) {
        let number = self.effects.len();
        self.effects.push(Logged { number, step, effect, settled: [usize::MAX; 2] });
    }

    /// Notes a flush of the effects that `covers` names.
    fn settle(&mut self, step: usize, covers: impl Fn(&Effect) -> bool) {
        for logged in &mut self.effects {
            let covered = covers(&logged.effect);
            // The journal is written as a whole; bytes are not in it.
            let in_journal = !matches!(logged.effect, Effect::Bytes { .. });
            let settled = [covered || in_journal, covered];
            for (when, is_settled) in logged.settled.iter_mut().zip(settled) {
                if is_settled {
                    *when = (*when).min(step);
                }
            }
        }
    }

    /// The numbers of steps after which it is worth to cut the power: a name has changed, a flush
    /// comes, or all is done. What can be lost between these can be lost there too.
    pub fn moments(records: &[Record]) -> Vec<usize> {
        let is_worth = |done: usize| {
            let last = done.checked_sub(1).map(|at| records[at].operation);
            let next = records.get(done).map(|step| step.operation);
            let named =
                matches!(last, Some(Operation::RenameNew | Operation::RenameOver | Operation::Exchange));
            let flushed = matches!(
                next,
                None | Some(Operation::Flush | Operation::FlushDirectory | Operation::FlushFileSystem)
            );
            named || flushed
        };
        (0..=records.len()).filter(|done| is_worth(*done)).collect()
    }

    /// The states that a power cut after `done` steps may leave, each once for all calls with the
    /// same `seen`. What only differs below a directory `tmp` is one state.
    pub fn states(&self, done: usize, model: Model, seen: &mut HashSet<u64>, samples: usize) -> Vec<State> {
        let log: Vec<&Logged> = self.effects.iter().filter(|logged| logged.step < done).collect();
        let open: Vec<usize> = (0..log.len()).filter(|at| log[*at].settled[model as usize] >= done).collect();
        let mut states = Vec::new();
        for choice in choices(&log, &open, model, samples, done as u64) {
            let state = self.build(&log, &open, &choice);
            let mut hasher = DefaultHasher::new();
            state.hash(&mut hasher);
            if seen.insert(hasher.finish()) {
                states.push(state);
            }
        }
        states
    }

    /// The bytes of a file whose writes came to this.
    fn bytes(&self, parts: &[(usize, Fate)]) -> Vec<u8> {
        let mut whole = Vec::new();
        for (number, fate) in parts {
            let Effect::Bytes { bytes, .. } = &self.effects[*number].effect else { continue };
            let (kept, zeros) = match fate {
                Fate::Torn(unit) => ((bytes.len() / 2).next_multiple_of(*unit).min(bytes.len()), 0),
                Fate::Zeros => (0, bytes.len()),
                _ => (bytes.len(), 0),
            };
            whole.extend(&bytes[..kept]);
            whole.resize(whole.len() + zeros, 0);
        }
        whole
    }

    fn build(&self, log: &[&Logged], open: &[usize], choice: &[Fate]) -> State {
        let mut fates = vec![Fate::Done; log.len()];
        open.iter().zip(choice).for_each(|(at, fate)| fates[*at] = *fate);
        let mut entries: HashMap<Inode, BTreeMap<&OsString, Inode>> = HashMap::new();
        let mut parts: HashMap<Inode, Vec<(usize, Fate)>> = HashMap::new();
        let mut modes: HashMap<Inode, u32> = HashMap::new();
        let mut timed: HashSet<Inode> = HashSet::new();
        for (logged, fate) in log.iter().zip(&fates) {
            match (&logged.effect, fate) {
                (_, Fate::Lost) => {}
                (Effect::Entry { directory, name, to }, _) => {
                    let directory = entries.entry(*directory).or_default();
                    match to {
                        Some(to) => directory.insert(name, *to),
                        None => directory.remove(name),
                    };
                }
                (Effect::Bytes { file, .. }, fate) => {
                    parts.entry(*file).or_default().push((logged.number, *fate));
                }
                (Effect::Mode { of, mode }, _) => drop(modes.insert(*of, *mode)),
                (Effect::Time { of }, _) => drop(timed.insert(*of)),
            }
        }
        let mut state = State::default();
        let mut waiting = vec![(ROOT, PathBuf::new())];
        let mut visited = BTreeSet::new();
        while let Some((directory, at)) = waiting.pop() {
            for (name, inode) in entries.get(&directory).into_iter().flatten() {
                let path = at.join(name);
                // Whatever is there is removed when the store is used again: see the kill tests.
                let is_scratch = at.file_name().is_some_and(|name| name == "tmp");
                if is_scratch || !visited.insert((*inode, path.clone())) {
                    continue;
                }
                let thing = match &self.kinds[*inode] {
                    Kind::Directory => {
                        waiting.push((*inode, path.clone()));
                        Thing::Directory
                    }
                    Kind::Link(target) => Thing::Link(target.clone()),
                    Kind::File => Thing::File {
                        parts: parts.get(inode).cloned().unwrap_or_default(),
                        mode: modes.get(inode).copied().unwrap_or(0o644),
                        is_timed: timed.contains(inode),
                    },
                };
                state.0.push((path, thing));
            }
        }
        state.0.sort();
        state
    }
}

fn find(root: &Path, path: &Path, names: &Names) -> Option<Inode> {
    let below = path.strip_prefix(root).expect("only steps below the root are recorded");
    below.iter().try_fold(ROOT, |at, name| names.get(&(at, name.to_owned())).copied())
}

fn place_of(root: &Path, path: &Path, names: &Names) -> (Inode, OsString) {
    if path == root {
        return (ROOT, OsString::new());
    }
    let parent = path.parent().expect("it is below the root");
    let directory = find(root, parent, names).expect("its directory is there");
    (directory, path.file_name().expect("it has a name").to_owned())
}

/// What becomes of an effect that no flush has settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Fate {
    Lost,
    Done,
    /// About half of the bytes, in units of so many.
    Torn(usize),
    /// The file is as long as it should be, and empty of sense.
    Zeros,
}

/// Which fates are tried for the open effects: nothing and everything, each alone lost and alone
/// done, each pair, every prefix, torn writes, and random ones.
fn choices(log: &[&Logged], open: &[usize], model: Model, samples: usize, seed: u64) -> Vec<Vec<Fate>> {
    let is_bytes: Vec<bool> = open.iter().map(|at| matches!(log[*at].effect, Effect::Bytes { .. })).collect();
    let count = open.len();
    let mut all = vec![vec![Fate::Done; count], vec![Fate::Lost; count]];
    let torn: &[Fate] = match model {
        Model::Ordered => &[Fate::Lost, Fate::Torn(4096)],
        Model::Weakest => &[Fate::Lost, Fate::Torn(512), Fate::Torn(4096), Fate::Zeros],
    };
    for prefix in 0..=count {
        // What the journal has is the prefix; bytes are there, torn, or not.
        for fate in torn.iter().chain([&Fate::Done]) {
            let fates = (0..count).map(|at| match is_bytes[at] {
                true if at < prefix => *fate,
                true => Fate::Lost,
                false if at < prefix => Fate::Done,
                false => Fate::Lost,
            });
            all.push(fates.collect());
        }
    }
    let set = |base: Fate, changed: &[(usize, Fate)]| {
        let mut fates = vec![base; count];
        changed.iter().for_each(|(at, fate)| fates[*at] = *fate);
        fates
    };
    // One file alone is not there, or torn. Shorter journals are those of earlier steps.
    for written in (0..count).filter(|at| is_bytes[*at]) {
        all.extend(torn.iter().map(|fate| set(Fate::Done, &[(written, *fate)])));
    }
    if model == Model::Ordered {
        return all;
    }
    for first in 0..count {
        all.push(set(Fate::Lost, &[(first, Fate::Done)]));
        all.push(set(Fate::Done, &[(first, Fate::Lost)]));
        // Pairs, where they are not too many: most faults of this kind need no more.
        for second in first + 1..count.min(first + 2 + samples) {
            all.push(set(Fate::Done, &[(first, Fate::Lost), (second, Fate::Lost)]));
            all.push(set(Fate::Lost, &[(first, Fate::Done), (second, Fate::Done)]));
        }
    }
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..samples {
        let fates = (0..count).map(|at| match random.gen_range(0..6) {
            0 if is_bytes[at] => torn[random.gen_range(0..torn.len())],
            0..=2 => Fate::Lost,
            _ => Fate::Done,
        });
        all.push(fates.collect());
    }
    all
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Thing {
    Directory,
    Link(Vec<u8>),
    /// The bytes are those of the effects with these numbers.
    File {
        parts: Vec<(usize, Fate)>,
        mode: u32,
        is_timed: bool,
    },
}

/// What is on a disk: everything by its path, directories before what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State(Vec<(PathBuf, Thing)>);

impl State {
    /// Makes it real in an empty directory.
    pub fn make(&self, log: &Log, root: &Path) {
        for (path, thing) in &self.0 {
            let path = root.join(path);
            match thing {
                Thing::Directory => fs::create_dir(&path).unwrap(),
                Thing::Link(target) => symlink(std::ffi::OsStr::from_bytes(target), &path).unwrap(),
                Thing::File { parts, mode, is_timed } => {
                    fs::write(&path, log.bytes(parts)).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
                    if *is_timed {
                        let time =
                            std::time::UNIX_EPOCH + std::time::Duration::from_secs(MTIME.unsigned_abs());
                        fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
                    }
                }
            }
        }
    }

    /// The paths that are there, for messages.
    pub fn paths(&self) -> Vec<&Path> {
        self.0.iter().map(|(path, _)| path.as_path()).collect()
    }
}
