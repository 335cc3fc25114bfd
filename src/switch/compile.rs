//! Runs the steps that the cache does not know: all processors at work, the largest first.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::cache::{self, Cache, Entry, How};
use super::held::Held;
use super::place::Place;
use super::worker::Worker;
use super::{Failed, Progress, SwitchError};
use crate::jtw::{BUG, Kind, Step};

/// What has to be done, and where its result goes.
pub(super) enum Task<'a> {
    Step(&'a Step),
    Worker(&'a Worker),
}

impl Task<'_> {
    fn label(&self) -> &str {
        match self {
            Self::Step(step) => &step.label,
            Self::Worker(_) => "worker.js",
        }
    }
}

/// What all steps depend on.
pub(super) struct Compiler<'a> {
    pub place: &'a Place,
    pub cache: &'a Cache,
    /// Of js_of_ocaml: its version and the hash of its program.
    pub identity: blake3::Hash,
    /// Hashes of input files, by path.
    pub inputs: BTreeMap<String, [u8; 32]>,
}

/// What came of the tasks, in their order.
pub(super) struct Done {
    pub entries: Vec<Entry>,
    /// How many were run now.
    pub ran: usize,
}

impl Compiler<'_> {
    /// A hash of everything that the step's output depends on.
    fn key(&self, step: &Step) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        add(b"jtwbuild step 1");
        add(self.identity.as_bytes());
        for argument in &step.arguments {
            add(argument.as_bytes());
        }
        for input in &step.inputs {
            // An answer names the files it is about; what is compiled does not tell where it was.
            add(if step.kind == Kind::Ask { input.as_bytes() } else { b"" });
            add(self.inputs.get(input).map_or(&[][..], |hash| hash));
        }
        hasher.finalize()
    }

    fn key_of(&self, task: &Task<'_>) -> blake3::Hash {
        match task {
            Task::Step(step) => self.key(step),
            Task::Worker(worker) => worker.key,
        }
    }

    /// Makes everything that is not in the cache, `jobs` at a time, in the order given.
    ///
    /// # Errors
    /// When programs fail: all that do are told, and what succeeded stays in the cache.
    pub(super) fn run(
        &self,
        tasks: &[Task<'_>],
        jobs: usize,
        progress: &dyn Progress,
    ) -> Result<Done, SwitchError> {
        let keys: Vec<blake3::Hash> = tasks.iter().map(|task| self.key_of(task)).collect();
        let mut entries: HashMap<blake3::Hash, Entry> = HashMap::new();
        let mut missing: Vec<usize> = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            if entries.contains_key(key) || missing.iter().any(|other| keys[*other] == *key) {
                continue;
            }
            match self.cache.get(key) {
                Some(entry) => drop(entries.insert(*key, entry)),
                None => missing.push(index),
            }
        }
        progress.wanted(missing.len());
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..jobs.clamp(1, missing.len().max(1)) {
                scope.spawn(|| {
                    while let Some(index) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let task = &tasks[*index];
                        progress.started(task.label());
                        let began = Instant::now();
                        let result = self.perform(task, &keys[*index]);
                        progress.ended(task.label(), began.elapsed(), result.is_ok());
                        results.lock().unwrap_or_else(PoisonError::into_inner).push((*index, result));
                    }
                });
            }
        });
        let mut failed = Vec::new();
        for (index, result) in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
            match result {
                Ok(entry) => drop(entries.insert(keys[index], entry)),
                Err(SwitchError::Compile(more)) => failed.extend(more),
                Err(other) => return Err(other),
            }
        }
        if !failed.is_empty() {
            failed.sort_by(|one: &Failed, other| one.label.cmp(&other.label));
            return Err(SwitchError::Compile(failed));
        }
        let entries = keys.iter().map(|key| entries[key].clone()).collect();
        Ok(Done { entries, ran: missing.len() })
    }

    fn perform(&self, task: &Task<'_>, key: &blake3::Hash) -> Result<Entry, SwitchError> {
        let draft = self.cache.fresh();
        let done = match task {
            Task::Step(step) => self.step(step, &draft),
            Task::Worker(worker) => worker.build(self.place, &draft).map(|()| How::Made),
        };
        let kept = done.and_then(|how| {
            let made = if matches!(task, Task::Worker(_)) { draft.join("worker.js") } else { draft.clone() };
            self.cache.put(key, how, &made)
        });
        let _ = std::fs::remove_dir_all(&draft);
        kept
    }

    fn step(&self, step: &Step, draft: &Path) -> Result<How, SwitchError> {
        let mut arguments: Vec<&str> =
            step.arguments.iter().chain(&step.inputs).map(String::as_str).collect();
        let output = draft.to_str().ok_or_else(|| SwitchError::NotText(PathBuf::from(draft)))?;
        if step.kind == Kind::Compile {
            arguments.extend(["-o", output]);
        }
        let ended = self.place.setting.run(&self.place.js_of_ocaml, &arguments, None)?;
        match (ended.status, step.kind) {
            (Some(0), Kind::Compile) => Ok(How::Made),
            (Some(0), Kind::Ask) => cache::write(draft, &ended.stdout).map(|()| How::Made),
            (Some(BUG), Kind::Compile) if !ended.said().to_ascii_lowercase().contains("out of memory") => {
                cache::write(draft, &ended.stderr).map(|()| How::Bug)
            }
            _ => {
                // A draft that is half written is not an output.
                let _ = std::fs::remove_file(draft);
                Err(SwitchError::Compile(vec![Failed::new(&step.label, &ended)]))
            }
        }
    }
}

/// The compiled files under the names that the artifacts are made from.
pub(super) fn outputs<'a>(
    steps: impl Iterator<Item = (&'a Step, &'a Entry)>,
    held: &Held,
) -> Result<crate::store::tree::Tree, SwitchError> {
    use crate::store::tree::{Node, RelPath, Tree};
    let mut tree = Tree::default();
    for (step, entry) in steps {
        let name = if entry.how == How::Bug { step.bug_file() } else { step.output.clone() };
        let file = held.add_known(&entry.path, entry.blob, entry.size);
        tree.insert(&RelPath::parse(name)?, Node::File(file))?;
    }
    Ok(tree)
}
