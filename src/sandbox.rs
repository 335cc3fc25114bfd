//! Running one request in a sandbox: without root, without network, without a daemon.
//!
//! ```text
//! engine ── Request ──► [Sandbox::run] ── Job ──► first process of a sandbox ──► commands
//!    │                       ▲  │                       ▲
//!    │ starts once           │  └── log, time, stop     │ forks with all namespaces
//!    └───────────────────────┴────────────────► spawner ┘
//! ```
//!
//! A builder sees its inputs, a private `/tmp`, `/proc`, `/dev` with five devices, a network
//! without anything, and no other process. What it adds on top of a captured overlay is read back
//! by the engine, through a descriptor, after its last process is gone.

pub mod conditions;
pub mod ground;
pub mod layers;
pub mod support;
pub mod visit;

#[cfg(test)]
mod faults;
mod filter;
mod groups;
mod init;
mod limits;
mod message;
mod namespaces;
mod network;
mod remedy;
mod root;
mod scratch;
mod spawner;
mod terminal;
mod top;
#[cfg(target_arch = "x86_64")]
mod trace;
#[cfg(not(target_arch = "x86_64"))]
#[path = "sandbox/untraced.rs"]
mod trace;
mod wait;
mod watch;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use thiserror::Error;

use self::conditions::Conditions;
use self::groups::{Group, Groups};
pub use self::limits::MemoryLimit;
use self::message::{End, Job, JobMount, Scratch};
use self::scratch::DiskScratch;
use self::spawner::Spawner;
pub use self::support::Check;
use self::top::Top;
use self::watch::{Followed, Watch};
use crate::legible;
use crate::outcome::Failure;
use crate::request::{Capture, Command, Layer, Mount, Request, Usage};
use crate::store::staging::Staging;
use crate::store::tree::{RelPath, Tree};
use crate::store::{Store, StoreError};

/// An overlay takes this many layers (the kernel's limit).
const MOST_LAYERS: usize = 500;
/// Of a command's first line, this many characters are shown in messages.
const SHOWN: usize = 200;

/// What is the same for all runs of one engine.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes that one run may keep in memory as files; a run that needs more starts again with
    /// its scratch space on disk.
    pub scratch: u64,
    /// What a builder whose files are on disk has to leave free there.
    pub keep_free: KeepFree,
    /// How long a builder that is asked to end may take before it is ended.
    pub grace: Duration,
    /// How many commands of one stage run side by side.
    pub parallel: usize,
    /// Whether to make overlays as kernels before 6.7 need it, with at most some 230 layers.
    pub old_overlays: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scratch: memory_of_machine() / 4,
            keep_free: KeepFree { percent: 2, most: 1 << 30 },
            grace: Duration::from_secs(2),
            parallel: std::thread::available_parallelism().map_or(1, usize::from),
            old_overlays: !support::takes_layers_one_by_one(),
        }
    }
}

/// So much of a disk is for everybody else: a share of it, at most so many bytes.
#[derive(Clone, Copy, Debug)]
pub struct KeepFree {
    pub percent: u64,
    pub most: u64,
}

impl KeepFree {
    /// In bytes, of a disk of `total` bytes.
    fn of(self, total: u64) -> u64 {
        (total / 100).saturating_mul(self.percent).min(self.most)
    }
}

/// Physical memory in bytes; 4 GiB when the kernel does not say.
fn memory_of_machine() -> u64 {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = told.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    total.and_then(|kib| kib.parse::<u64>().ok()).map_or(4 << 30, |kib| kib << 10)
}

/// Why there is no sandbox on this machine.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// An operation that should always work did not.
    #[error("the sandbox cannot be started: {step}: {source}")]
    Start { step: &'static str, source: std::io::Error },
    /// The machine does not allow sandboxes: what is missing, and what to do.
    #[error("this machine cannot make a sandbox: {}", .0.detail)]
    Refused(Check),
}

impl SandboxError {
    /// What it means for a node that needs a sandbox.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Refused(check) => {
                let reason = check.remedy.clone().unwrap_or_else(|| "this machine refuses".to_owned());
                Failure::Sandbox { what: check.detail.clone(), reason }
            }
            Self::Start { step, source } => {
                Failure::Sandbox { what: (*step).to_owned(), reason: source.to_string() }
            }
        }
    }
}

/// A means to run requests, shared by any number of threads.
#[derive(Debug)]
pub struct Sandbox {
    spawner: Spawner,
    settings: Settings,
    /// What first, empty sandboxes said, or why there can be no sandbox.
    trial: OnceLock<Result<Trial, Check>>,
}

/// What this machine can do, found out by trying.
#[derive(Debug)]
struct Trial {
    /// Whether files in memory take what overlays have to write on them.
    memory_is_fit: bool,
    /// Control groups for memory limits, where they are delegated.
    groups: Option<Groups>,
}

/// What a run gave that ended with success.
#[derive(Debug)]
pub struct Report {
    /// What was put on top of each overlay that has a `capture`, under that name.
    pub captured: BTreeMap<String, Tree>,
    /// The files of the captured trees, until they are published.
    pub staging: Staging,
    pub usage: Usage,
    /// Which kind of memory limit was in force.
    pub memory_limit: MemoryLimit,
}

impl Sandbox {
    /// Starts the process from which sandboxes are forked. Best called early, while the engine is
    /// small; that process ends with the sandbox value, or with the engine.
    pub fn start(settings: Settings) -> Result<Self, SandboxError> {
        let spawner =
            Spawner::start().map_err(|(step, errno)| SandboxError::Start { step, source: errno.into() })?;
        Ok(Self { spawner, settings, trial: OnceLock::new() })
    }

    /// Whether this machine can run anything at all: makes an empty sandbox, once. A refusal names
    /// the setting that is in the way. Every run asks this first.
    pub fn ready(&self) -> Result<(), SandboxError> {
        self.trial().map(drop)
    }

    fn trial(&self) -> Result<&Trial, SandboxError> {
        let trial = self.trial.get_or_init(|| {
            let groups = Groups::find().filter(|groups| {
                let group = groups.make_empty();
                group.is_ok_and(|group| support::try_out(&self.spawner, Some(group.directory())).is_ok())
            });
            let memory_is_fit = support::try_out(&self.spawner, None).map_err(support::refusal)?;
            Ok(Trial { memory_is_fit, groups })
        });
        trial.as_ref().map_err(|check| SandboxError::Refused(check.clone()))
    }

    /// Runs one request. Standard output and error go to the end of `log`; when `stop` becomes
    /// true, the builder is asked to end, and is ended after the grace time.
    pub fn run(
        &self,
        request: &Request,
        store: &Arc<Store>,
        log: &File,
        stop: &AtomicBool,
    ) -> Result<Report, Failure> {
        self.run_under(&Conditions::default(), request, store, log, stop)
    }

    /// [`Self::run`] in other surroundings than those of every build.
    pub fn run_under(
        &self,
        conditions: &Conditions,
        request: &Request,
        store: &Arc<Store>,
        log: &File,
        stop: &AtomicBool,
    ) -> Result<Report, Failure> {
        let trial = self.trial().map_err(|error| error.failure())?;
        let overlays = check(request, store)?;
        step("checked");
        let started = Instant::now();
        let in_memory = Scratch::Memory { bytes: self.settings.scratch };
        let first = if trial.memory_is_fit {
            self.attempt(conditions, request, (store, log, stop), started, in_memory)?
        } else {
            Attempt::Full
        };
        let (followed, memory_limit, _on_disk) = match first {
            Attempt::Done(followed, limit) => (followed, limit, None),
            Attempt::Full => {
                let scratch = DiskScratch::make(store)?;
                let kind = Scratch::Disk { directory: absolute(&scratch.path)?, identity: scratch.identity };
                match self.attempt(conditions, request, (store, log, stop), started, kind)? {
                    Attempt::Done(followed, limit) => (followed, limit, Some(scratch)),
                    Attempt::Full => return Err(Failure::NoSpace { what: "the builder's files".to_owned() }),
                }
            }
        };
        let usage = Usage { elapsed: started.elapsed(), cpu: Duration::from_micros(followed.ended.cpu) };
        step("ended");
        let staging = store.stage().map_err(|error| store_failed(&error))?;
        step("staged");
        let mut captured = BTreeMap::new();
        let tops = overlays.into_iter().filter_map(|overlay| Some((overlay.capture?, overlay)));
        for ((capture, overlay), top) in tops.zip(&followed.captured) {
            let mount_points = mount_points(&request.mounts, overlay.at);
            let top = Top::read(top, &staging)?;
            step("read");
            let judge = if capture.whole { layers::whole } else { layers::added };
            let tree = judge(top, &overlay.layers, &mount_points)?;
            captured.insert(capture.name.clone(), tree);
            step("judged");
        }
        Ok(Report { captured, staging, usage, memory_limit })
    }

    fn attempt(
        &self,
        conditions: &Conditions,
        request: &Request,
        (store, log, stop): (&Store, &File, &AtomicBool),
        started: Instant,
        scratch: Scratch,
    ) -> Result<Attempt, Failure> {
        // Without a group for this run, the other kind of limit holds it.
        let group = self
            .trial()
            .ok()
            .and_then(|trial| trial.groups.as_ref())
            .and_then(|groups| groups.make(&request.limits).ok());
        step("grouped");
        let is_in_memory = matches!(scratch, Scratch::Memory { .. });
        let job = Job {
            parallel: conditions.parallel.unwrap_or(self.settings.parallel),
            conditions: conditions.clone(),
            ..self.job(request, store, scratch, group.is_some())?
        };
        let io = |what: &str, error: &std::io::Error| Failure::Machine {
            what: format!("starting a sandbox: {what}"),
            reason: error.to_string(),
        };
        let (control, its_control) = UnixStream::pair().map_err(|error| io("a socket", &error))?;
        let (output, its_output) = pipe().map_err(|error| io("a pipe", &error))?;
        self.spawner
            .spawn(&its_control, &its_output, group.as_ref().map(Group::directory))
            .map_err(|error| io("asking the spawner", &error))?;
        drop((its_control, its_output));
        step("spawned");
        // Should the sandbox be gone already, the watch reads why.
        let _ = message::send(&control, &job, &[]);
        step("sent");
        let watch = Watch {
            control: &control,
            output,
            log,
            limits: &request.limits,
            stop,
            started,
            grace: self.settings.grace,
            keep_free: (!is_in_memory).then_some(self.settings.keep_free),
        };
        let followed = match watch.follow() {
            // Files in memory count as memory of the group; on disk they do not.
            Err(Failure::OutOfMemory { .. }) if group.is_some() && is_in_memory => return Ok(Attempt::Full),
            result => result?,
        };
        step("followed");
        let limit = if group.is_some() { MemoryLimit::ControlGroup } else { MemoryLimit::AddressSpace };
        // A success too: builders ask whether a file can be written and go on without it.
        if followed.fullness.may_have_mattered() {
            return Ok(Attempt::Full);
        }
        let Some((stage, index, end)) = followed.ended.failed else {
            return Ok(Attempt::Done(followed, limit));
        };
        let memory = request.limits.memory;
        let out_of_memory = group
            .as_ref()
            .map_or_else(|| looks_out_of_memory(end, &followed, memory), Group::ran_out_of_memory);
        if out_of_memory {
            return Err(Failure::OutOfMemory { limit: memory });
        }
        Err(command_failed(&request.stages[stage][index], end))
    }

    fn job(
        &self,
        request: &Request,
        store: &Store,
        scratch: Scratch,
        has_group: bool,
    ) -> Result<Job, Failure> {
        let name = |layer: &Layer| layer.tree.to_hex();
        let names = |layers: &[Layer]| distinct(layers).map(name).collect();
        let mounts = request.mounts.iter().map(|mount| match mount {
            Mount::Overlay { at, layers, capture } => {
                JobMount::Overlay { at: at.clone(), layers: names(layers), captured: capture.is_some() }
            }
            Mount::ReadOnly { at, tree } => JobMount::ReadOnly { at: at.clone(), tree: name(tree) },
        });
        Ok(Job {
            trees: absolute(&store.root().join("trees"))?,
            mounts: mounts.collect(),
            scratch,
            stages: request.stages.clone(),
            env: request.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            path: request.env.get("PATH").cloned().unwrap_or_default(),
            address_space: (!has_group).then_some(request.limits.memory),
            processes: request.limits.processes,
            parallel: self.settings.parallel,
            one_by_one: !self.settings.old_overlays,
            conditions: Conditions::default(),
            visit: None,
        })
    }
}

/// A step at which tests make a run break off: nothing may stay, whichever it is.
fn step(name: &str) {
    #[cfg(test)]
    faults::reach(name);
    let _ = name;
}

enum Attempt {
    Done(Followed, MemoryLimit),
    /// Its scratch space was full, so what it did says nothing.
    Full,
}

/// An overlay of a request with the trees of its layers.
struct Overlay<'a> {
    at: &'a str,
    layers: Vec<layers::NamedTree>,
    capture: Option<&'a Capture>,
}

/// Checks what can be checked before anything runs.
fn check<'a>(request: &'a Request, store: &Store) -> Result<Vec<Overlay<'a>>, Failure> {
    let invalid = |what: &str, reason: &str| Failure::BadInput { what: what.into(), reason: reason.into() };
    if !matches!(request.mounts.first(), Some(Mount::Overlay { at, .. }) if at == "/") {
        return Err(invalid("the request", "its first mount is not an overlay at `/`"));
    }
    let mut overlays = Vec::new();
    for (index, mount) in request.mounts.iter().enumerate() {
        let at = mount.at();
        if relative(at).is_none_or(|path| path.names().is_empty() != (index == 0)) {
            return Err(invalid(at, "is not a mount point: an absolute path without `.` or `..`"));
        }
        let Mount::Overlay { layers, capture, .. } = mount else { continue };
        let count = distinct(layers).count();
        if count > MOST_LAYERS {
            let reason = format!("has {count} layers; the kernel allows {MOST_LAYERS}");
            return Err(invalid(at, &reason));
        }
        let trees = distinct(layers).map(|layer| Ok((layer.name.clone(), store.tree(&layer.tree)?)));
        let layers = trees.collect::<Result<Vec<_>, _>>().map_err(|error| store_failed(&error))?;
        layers::check_overlap(&layers)?;
        overlays.push(Overlay { at, layers, capture: capture.as_ref() });
    }
    if overlays.iter().filter(|overlay| overlay.capture.is_some()).count() >= message::MOST_DESCRIPTORS {
        return Err(invalid("the request", "it captures too many overlays"));
    }
    let commands = || request.stages.iter().flatten();
    if commands().any(|command| command.argv.is_empty() || !command.cwd.starts_with('/')) {
        return Err(invalid("the request", "a command is empty or has no absolute directory"));
    }
    let words = commands().flat_map(|command| command.argv.iter().chain([&command.cwd]));
    let variables = request.env.iter().flat_map(|(name, value)| [name, value]);
    if words.chain(variables).any(|word| word.contains('\0')) {
        return Err(invalid("the request", "a word of a command or variable holds a NUL byte"));
    }
    if request.env.keys().any(|name| name.is_empty() || name.contains('=')) {
        return Err(invalid("the request", "the name of a variable is empty or holds `=`"));
    }
    Ok(overlays)
}

/// The layers, each tree once: the kernel takes no directory twice, and packages that install nothing
/// all have the same.
fn distinct(layers: &[Layer]) -> impl Iterator<Item = &Layer> {
    let mut seen = HashSet::new();
    layers.iter().filter(move |layer| seen.insert(layer.tree))
}

/// Trouble with the store, as the failure of a run.
fn store_failed(error: &StoreError) -> Failure {
    if error.is_no_space() {
        return Failure::NoSpace { what: error.to_string() };
    }
    Failure::Machine { what: "the store".to_owned(), reason: error.to_string() }
}

/// The path below the root that an absolute path names.
fn relative(at: &str) -> Option<RelPath> {
    RelPath::parse(at.strip_prefix('/')?).ok()
}

/// Paths below `at` that are made for other mounts.
fn mount_points(mounts: &[Mount], at: &str) -> Vec<RelPath> {
    let above = at.trim_end_matches('/');
    let all = mounts.iter().map(Mount::at).chain(root::SYSTEM_MOUNTS.iter().copied());
    let below = all.filter_map(|point| relative(point.strip_prefix(above)?));
    below.filter(|path| !path.names().is_empty()).collect()
}

/// Whether a failure should be taken for want of memory, where no control group says so. That is
/// not remembered, so a mistake costs one more try and not a wrong verdict.
fn looks_out_of_memory(end: End, followed: &Followed, memory: u64) -> bool {
    // Half of the address space: what doubles a buffer fails no later.
    followed.ended.largest > memory / 2 || end == End::Signal(nix::libc::SIGKILL)
}

/// The failure for a command that did not end with status 0.
fn command_failed(command: &Command, end: End) -> Failure {
    let whole = command.argv.join(" ");
    let first_line = whole.lines().next().unwrap_or_default();
    let mut shown = legible::line(&first_line.chars().take(SHOWN).collect::<String>());
    if first_line.chars().nth(SHOWN).is_some() || whole.trim_end() != first_line.trim_end() {
        shown.push_str(" …");
    }
    match end {
        End::Status(status) => Failure::BuilderExit { command: shown, status },
        End::Signal(signal) => Failure::BuilderSignal { command: shown, signal },
    }
}

/// The path for the spawner, whose working directory is another.
fn absolute(path: &Path) -> Result<String, Failure> {
    let trouble =
        |reason: String| Failure::Sandbox { what: format!("the store's path {}", path.display()), reason };
    let absolute = std::path::absolute(path).map_err(|error| trouble(error.to_string()))?;
    let text = absolute.into_os_string().into_string();
    text.map_err(|_| trouble("it is not UTF-8".to_owned()))
}

/// A pipe whose reading end does not block.
fn pipe() -> std::io::Result<(File, OwnedFd)> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((reader.into(), writer))
}
