//! The closed set of ways in which a node can end, and which of them are verdicts.
//!
//! Trouble of the machine (time, memory, disk, network, cancellation) is never remembered as a
//! verdict on a package: see [`Failure::is_verdict`].

use serde::{Deserialize, Serialize};
use std::fmt;

/// How one node of a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It ran, and its output is in the store now.
    Built,
    /// Its output was known already, under the key that the plan or its inputs gave it.
    Reused,
    /// An input was rebuilt or its recipe changed, but the build document came out as one that is
    /// known: nothing ran.
    Cutoff,
    /// It ran or was tried, and did not give an output.
    Failed(Failure),
    /// It could not start, because the named node failed.
    Skipped { because: String },
    /// The run ended before it was decided: it was stopped, or met trouble of the machine. `because`
    /// is the node that it needs and that met the trouble, if there is one.
    NotDecided { because: Option<String> },
}

impl Outcome {
    /// The word that `--json` and logs use.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Reused => "reused",
            Self::Cutoff => "cutoff",
            Self::Failed(_) => "failed",
            Self::Skipped { .. } => "skipped",
            Self::NotDecided { .. } => "not-decided",
        }
    }

    /// The node that stands in its way, if it is another one.
    pub fn because(&self) -> Option<&str> {
        match self {
            Self::Skipped { because } => Some(because),
            Self::NotDecided { because } => because.as_deref(),
            Self::Built | Self::Reused | Self::Cutoff | Self::Failed(_) => None,
        }
    }

    /// Why it failed by itself, if it did.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// Whether an output is there.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Built | Self::Reused | Self::Cutoff)
    }
}

/// Why a node gave no output. Data only; the texts for people are made from it by `Display` and,
/// with hints, by the CLI.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Failure {
    /// A command of the builder ended with a status other than 0.
    BuilderExit { command: String, status: i32 },
    /// A command of the builder was ended by a signal of its own making.
    BuilderSignal { command: String, signal: i32 },
    /// The builder succeeded but did not make what its recipe declares.
    MissingOutput { path: String },
    /// The output holds something that a tree cannot, or touches a dependency's files.
    BadOutput { path: String, reason: String },
    /// A fixed output came out with other bytes.
    HashMismatch {
        url: String,
        expected: String,
        got: String,
        size: u64,
        /// Where the bytes are for people to look at, from the store's root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<String>,
    },
    /// Two layers of the node's inputs hold different things at one path.
    Overlap { path: String, first: String, second: String },
    /// An input is not what the node's kind needs (an archive that cannot be read, a META that
    /// cannot be parsed …).
    BadInput { what: String, reason: String },

    /// A fixed output could not be had from any of its places.
    FetchFailed {
        what: String,
        tried: Vec<String>,
        /// Whether somebody answered that it is not there: others may well be had.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lost: bool,
    },
    /// A network would be needed, but `--offline` was given.
    Offline { what: String },
    /// The builder ran longer than its recipe allows.
    TimeOut { seconds: u64 },
    /// The builder or its sandbox ran out of memory; the limit is in bytes.
    OutOfMemory { limit: u64 },
    /// The builder wrote more to its log than its recipe allows, in bytes.
    LogLimit { limit: u64 },
    /// A disk or scratch space was full while doing `what`.
    NoSpace { what: String },
    /// The run was stopped.
    Cancelled,
    /// The sandbox could not be made on this machine.
    Sandbox { what: String, reason: String },
    /// Any other trouble of the machine, with the operation that met it.
    Machine { what: String, reason: String },
    /// Something in the store is not what its name says.
    Damaged { path: String, reason: String },
    /// jtwbuild itself went wrong (it panicked) while it did the node's work.
    Internal { what: String },
}

impl Failure {
    /// Whether the same inputs may well give another end, so that a few more tries are worth their
    /// time when the user asks for them: only a builder's own doing can come out in several ways.
    pub fn may_be_flaky(&self) -> bool {
        matches!(self, Self::BuilderExit { .. } | Self::BuilderSignal { .. } | Self::MissingOutput { .. })
    }

    /// Whether this says something about the node itself, so that trying again with the same
    /// inputs would end the same way. Only verdicts are remembered in the store.
    pub fn is_verdict(&self) -> bool {
        match self {
            Self::BuilderExit { .. }
            | Self::BuilderSignal { .. }
            | Self::MissingOutput { .. }
            | Self::BadOutput { .. }
            | Self::HashMismatch { .. }
            | Self::Overlap { .. }
            | Self::BadInput { .. } => true,
            Self::FetchFailed { .. }
            | Self::Offline { .. }
            | Self::TimeOut { .. }
            | Self::OutOfMemory { .. }
            | Self::LogLimit { .. }
            | Self::NoSpace { .. }
            | Self::Cancelled
            | Self::Sandbox { .. }
            | Self::Machine { .. }
            | Self::Damaged { .. }
            | Self::Internal { .. } => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuilderExit { command, status } => write!(f, "`{command}` exited with status {status}"),
            Self::BuilderSignal { command, signal } => write!(f, "`{command}` was ended by signal {signal}"),
            Self::MissingOutput { path } => write!(f, "the builder did not make `{path}`"),
            Self::BadOutput { path, reason } => write!(f, "`{path}` in the output: {reason}"),
            Self::HashMismatch { url, expected, got, size, kept } => {
                write!(f, "wrong checksum from {url}: expected {expected}, got {got} ({size} bytes)")?;
                kept.iter().try_for_each(|kept| write!(f, "; these are kept in the store as {kept}"))
            }
            Self::Overlap { path, first, second } => {
                write!(f, "`{path}` differs between {first} and {second}")
            }
            Self::BadInput { what, reason } => write!(f, "{what}: {reason}"),
            Self::FetchFailed { what, tried, .. } => {
                write!(f, "{what} could not be fetched")?;
                tried.iter().try_for_each(|place| write!(f, "\n  {place}"))
            }
            Self::Offline { what } => write!(f, "{what} is not in the store, and the run is offline"),
            Self::TimeOut { seconds } => write!(f, "it ran longer than {seconds} s"),
            Self::OutOfMemory { limit } => write!(f, "it ran out of memory (limit {} MiB)", limit >> 20),
            Self::LogLimit { limit } => write!(f, "its log grew beyond {} MiB", limit >> 20),
            Self::NoSpace { what } => write!(f, "no space left: {what}"),
            Self::Cancelled => f.write_str("it was stopped"),
            Self::Sandbox { what, reason } => write!(f, "the sandbox could not be made: {what}: {reason}"),
            Self::Machine { what, reason } => write!(f, "{what}: {reason}"),
            Self::Damaged { path, reason } => write!(f, "`{path}` is damaged: {reason}"),
            Self::Internal { what } => write!(f, "an error in jtwbuild itself: {what}"),
        }
    }
}
