//! `Request`: everything that one sandboxed run consumes, and nothing more.
//!
//! A request is self-contained: input trees and where they appear, commands, the complete
//! environment, what to capture, limits. It holds no time, host name or path of this machine, so
//! the value that is hashed into a build key is the value that the sandbox consumes, and a request
//! could be run elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::tree::TreeHash;

/// One sandboxed run. `T` names input trees: by hash where it is run, by the number of an input
/// where it is planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request<T = TreeHash> {
    /// What is mounted, outermost first. The first mount MUST be at `/`.
    pub mounts: Vec<Mount<T>>,
    /// Stages run one after another; the commands of one stage may run side by side. The first
    /// command that fails ends the run.
    pub stages: Vec<Vec<Command>>,
    /// The whole environment of every command.
    pub env: BTreeMap<String, String>,
    /// What the run may use.
    pub limits: Limits,
}

impl<T> Request<T> {
    /// The same request with every tree named by what `name` gives for it.
    pub fn map<U>(&self, name: &mut impl FnMut(&T) -> U) -> Request<U> {
        let mut layer = |layer: &Layer<T>| Layer { name: layer.name.clone(), tree: name(&layer.tree) };
        let mounts = self.mounts.iter().map(|mount| match mount {
            Mount::Overlay { at, layers, capture } => Mount::Overlay {
                at: at.clone(),
                layers: layers.iter().map(&mut layer).collect(),
                capture: capture.clone(),
            },
            Mount::ReadOnly { at, tree } => Mount::ReadOnly { at: at.clone(), tree: layer(tree) },
        });
        Request {
            mounts: mounts.collect(),
            stages: self.stages.clone(),
            env: self.env.clone(),
            limits: self.limits,
        }
    }
}

/// Something mounted in the sandbox. `at` is an absolute path without `.` or `..`; missing mount
/// points are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mount", rename_all = "kebab-case")]
pub enum Mount<T = TreeHash> {
    /// The trees of `layers` (lowest first; two that hold different things at one path are an
    /// error) under a writable top. With `capture`, what the run makes of it is part of the
    /// report, as paths below `at`; without, it is thrown away.
    Overlay {
        at: String,
        layers: Vec<Layer<T>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        capture: Option<Capture>,
    },
    /// A tree that nobody can write to.
    ReadOnly { at: String, tree: Layer<T> },
}

/// What a report keeps of an overlay, and under which name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    pub name: String,
    /// Everything that is there in the end, the layers' files included, which the run may change
    /// and remove. Otherwise only what the run adds, and it may not change or remove anything of
    /// the layers.
    pub whole: bool,
}

impl Capture {
    /// Keeps everything that is there in the end.
    pub fn whole(name: &str) -> Self {
        Self { name: name.to_owned(), whole: true }
    }
}

/// Keeps what the run adds.
impl From<&str> for Capture {
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), whole: false }
    }
}

impl<T> Mount<T> {
    /// Where it appears in the sandbox.
    pub fn at(&self) -> &str {
        match self {
            Self::Overlay { at, .. } | Self::ReadOnly { at, .. } => at,
        }
    }
}

/// A tree with the name that messages use for it (`fmt.0.9.0`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer<T = TreeHash> {
    pub name: String,
    pub tree: T,
}

/// One program run: no shell is involved unless the argument vector names one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program (looked up in the environment's `PATH`) and arguments. Never empty.
    pub argv: Vec<String>,
    /// Absolute working directory.
    pub cwd: String,
}

/// What a run may use. All limits are part of the key only through the recipe that sets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Wall time in seconds for all stages together.
    pub seconds: u64,
    /// Memory in bytes, of the whole sandbox where control groups are delegated, else of each
    /// process's address space.
    pub memory: u64,
    /// Bytes that may be written to the log (standard output and error together).
    pub log: u64,
    /// Processes and threads.
    pub processes: u64,
}

/// What a run gave, when it ended by itself with success or not.
#[derive(Debug)]
pub struct Usage {
    /// Wall time.
    pub elapsed: Duration,
    /// User and system CPU time of everything that ran in the sandbox.
    pub cpu: Duration,
}
