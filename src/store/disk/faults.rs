//! What stands in the door to the disk in unit tests: it counts and records the steps below a
//! directory, and makes one of them fail, tear, kill the process or panic.
//!
//! ```ignore
//! // Which steps are there?
//! let watch = faults::watch(store.root());
//! do_it(&store)?;
//! let (steps, count) = (watch.records(), watch.count());
//! drop(watch);
//! // Each of them fails once. (Numbers begin with 1.)
//! for number in 1..=count {
//!     let watch = faults::inject(store.root(), number, Fault::Fail(Errno::EIO));
//!     assert!(do_it(&fresh).is_err() == watch.has_struck());
//! }
//! ```
//!
//! - The watch lasts until it is dropped, sees the steps of all threads of this process, and no others
//!   than those whose path (the new name of a rename, the last argument everywhere) is below its
//!   directory: tests that run beside it in directories of their own are not touched.
//! - [`Fault::Kill`] ends the process: run the test's binary again for it, with
//!   `std::env::current_exe()`, `--exact` and the name of an ignored test (`store/tests/kill.rs` has one).
//! - [`inject_from`] lets everything from a step on fail: a disk that is full stays full.
//! - [`Watch::meanwhile`] does something else before a step: what another process might do just then.
//! - A record has all that a model of the disk needs to do the step again (`store/tests/model.rs`).

use std::io::{self};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Operation, Step};

pub use nix::errno::Errno;

/// What happens in place of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not done, and is an error.
    Fail(Errno),
    /// If it is a write, so many bytes are written, then it is an error; else as [`Fault::Fail`].
    Tear(usize, Errno),
    /// The process is killed before the step.
    Kill,
    /// The process is killed after so many bytes of a write; else as [`Fault::Kill`].
    TearAndKill(usize),
    /// The code panics before the step.
    Panic,
}

/// A step that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which step it was, of all that were begun; those that came to nothing have no record.
    pub number: usize,
    pub operation: Operation,
    pub path: PathBuf,
    /// The other name of a rename or link.
    pub from: Option<PathBuf>,
    /// What was written, or the target of a symbolic link.
    pub bytes: Vec<u8>,
    /// The place in the code that asked for it: file and line.
    pub site: String,
}

/// What else happens before a step.
struct Meanwhile(usize, Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "before step {}", self.0)
    }
}

#[derive(Debug)]
struct State {
    meanwhile: Option<Meanwhile>,
    count: usize,
    records: Vec<Record>,
    fault: Option<Fault>,
    /// The first and the last step that it strikes.
    strikes: (usize, usize),
    struck: usize,
    /// What the first struck step was.
    struck_at: Option<(usize, Operation, PathBuf)>,
}

#[derive(Debug)]
struct Watched {
    root: PathBuf,
    state: Mutex<State>,
}

impl Watched {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static WATCHES: Mutex<Vec<Arc<Watched>>> = Mutex::new(Vec::new());

fn watches() -> MutexGuard<'static, Vec<Arc<Watched>>> {
    WATCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A watch on the steps below a directory, until it is dropped.
#[derive(Debug)]
pub struct Watch(Arc<Watched>);

impl Drop for Watch {
    fn drop(&mut self) {
        watches().retain(|watched| !Arc::ptr_eq(watched, &self.0));
    }
}

impl Watch {
    /// The steps that were done, in order.
    pub fn records(&self) -> Vec<Record> {
        self.0.state().records.clone()
    }

    /// How many steps were begun.
    pub fn count(&self) -> usize {
        self.0.state().count
    }

    /// Whether the fault has happened.
    pub fn has_struck(&self) -> bool {
        self.0.state().struck > 0
    }

    /// Does something else before step `number`: what another process might do just then.
    pub fn meanwhile(&self, number: usize, act: impl FnOnce() + Send + 'static) {
        self.0.state().meanwhile = Some(Meanwhile(number, Box::new(act)));
    }

    /// The step that the fault struck first: its number, operation and path.
    pub fn struck_at(&self) -> Option<(usize, Operation, PathBuf)> {
        self.0.state().struck_at.clone()
    }
}

/// Records the steps below `root`.
pub fn watch(root: &Path) -> Watch {
    begin(root, None, (0, 0))
}

/// Lets step `number` below `root` meet the fault; the first step is 1.
pub fn inject(root: &Path, number: usize, fault: Fault) -> Watch {
    begin(root, Some(fault), (number, number))
}

/// Lets step `number` below `root` and all after it meet the fault, but for removals.
pub fn inject_from(root: &Path, number: usize, fault: Fault) -> Watch {
    begin(root, Some(fault), (number, usize::MAX))
}

fn begin(root: &Path, fault: Option<Fault>, strikes: (usize, usize)) -> Watch {
    let state =
        State { meanwhile: None, count: 0, records: Vec::new(), fault, strikes, struck: 0, struck_at: None };
    let watched = Arc::new(Watched { root: root.to_owned(), state: Mutex::new(state) });
    watches().push(Arc::clone(&watched));
    Watch(watched)
}

/// The watch that sees this step, if there is one.
fn watcher(step: Step<'_>) -> Option<Arc<Watched>> {
    watches().iter().find(|watched| step.path.starts_with(&watched.root)).cloned()
}

/// How many bytes of the write that comes next are written before it fails, if it is to be torn.
pub(super) fn torn(step: Step<'_>) -> Option<usize> {
    let watched = watcher(step)?;
    let state = watched.state();
    let next = state.count + 1;
    match state.fault {
        Some(Fault::Tear(count, _) | Fault::TearAndKill(count)) if state.strikes.0 == next => {
            Some(count.min(step.bytes.len()))
        }
        _ => None,
    }
}

/// Does the step, or what the watch has for it.
pub(super) fn pass<T>(
    step: Step<'_>,
    site: &Location<'_>,
    run: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let Some(watched) = watcher(step) else { return run() };
    let (fault, number) = {
        let mut state = watched.state();
        state.count += 1;
        let lasting = state.strikes.1 == usize::MAX;
        let removal = matches!(step.operation, Operation::RemoveFile | Operation::RemoveDirectory);
        let strikes = (state.strikes.0..=state.strikes.1).contains(&state.count) && !(lasting && removal);
        let fault = state.fault.filter(|_| strikes);
        let number = state.count;
        if fault.is_some() {
            state.struck += 1;
            let count = state.count;
            state.struck_at.get_or_insert_with(|| (count, step.operation, step.path.to_owned()));
        }
        (fault, number)
    };
    let meanwhile = {
        let mut state = watched.state();
        state.meanwhile.take_if(|Meanwhile(before, _)| *before == number)
    };
    if let Some(Meanwhile(_, act)) = meanwhile {
        act();
    }
    match fault {
        None => {}
        Some(Fault::Fail(errno) | Fault::Tear(_, errno)) => return Err(errno.into()),
        Some(Fault::Panic) => panic!("as the test asked, at {:?} {}", step.operation, step.path.display()),
        Some(Fault::Kill | Fault::TearAndKill(_)) => {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
            unreachable!("nobody survives SIGKILL");
        }
    }
    let result = run();
    if result.is_ok() {
        let record = Record {
            number,
            operation: step.operation,
            path: step.path.to_owned(),
            from: step.from.map(Path::to_owned),
            bytes: step.bytes.to_vec(),
            site: format!("{}:{}", site.file(), site.line()),
        };
        watched.state().records.push(record);
    }
    result
}
