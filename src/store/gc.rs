//! The collector: removes what no root keeps, nobody uses and, if so asked, nobody used lately.
//!
//! It *marks* what the roots list, lists what is there, and *sweeps* the rest, record before content:
//! layers, trees, archives, then manifests without a tree and files without a link. Names go away in
//! batches, each while nobody can write a root; a root that came since is read first, so what it keeps
//! survives. A single name goes away by one rename into `tmp/`, under the exclusive lock of the thing
//! ([`uses`](super::uses)). Ended anywhere, the collector leaves a store in which every name is
//! complete, and the next one goes on. The book's page on the design says why this is enough.

mod inventory;
mod mark;
mod measure;
mod sweep;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use serde::Serialize;

use self::inventory::Inventory;
use self::mark::Marks;
use self::sweep::Sweep;
use super::disk::{self, RangeLock, Sharing};
use super::roots::{About, RootError};
use super::uses::Condemner;
use super::{Store, StoreError};

pub use self::inventory::Condemned;

/// The byte of `locks/store` that the one collector holds, or the one repair.
const COLLECTOR: i64 = 2;

/// What the collector is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Nothing is removed; the report is that of a real run.
    pub dry_run: bool,
    /// What was made or let go of by a root within this time stays.
    pub keep: Duration,
    /// Only so much goes, what was used longest ago first, that the store has at most this many bytes.
    pub max_size: Option<u64>,
    /// Roots go whose universe file is gone.
    pub prune_roots: bool,
}

/// The kinds of things in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Root,
    Layer,
    Tree,
    Archive,
    /// A tree's names and hashes.
    Manifest,
    /// The bytes of a file, shared by the trees that have it.
    File,
    /// Facts and memos.
    Cache,
    /// A log of a run that was interrupted, a record of runs of a universe that no root is for, or what
    /// the history tells twice.
    Log,
    /// What a repair or a download has set aside for people to look at.
    Quarantine,
    /// Scratch of a process that is gone.
    Leftover,
}

/// How many, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Total {
    pub count: u64,
    pub bytes: u64,
}

/// Something that was, or would be, removed. The bytes of trees are in their files, which are only
/// counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Removed {
    pub kind: Kind,
    pub name: String,
    pub bytes: u64,
}

/// A root and what it keeps.
#[derive(Debug)]
pub struct RootReport {
    pub name: OsString,
    /// What it is, or why it does not say.
    pub about: Result<About, RootError>,
    /// How many things it lists.
    pub keeps: usize,
    /// Those of them that are there and that no other root lists.
    pub alone: usize,
    /// Whether its universe file is gone.
    pub is_forlorn: bool,
}

/// What the collector did, or would do.
#[derive(Debug, Default)]
pub struct Report {
    pub totals: BTreeMap<Kind, Total>,
    /// Everything that went, but for files, manifests and facts, which are in the totals only.
    pub removed: Vec<Removed>,
    pub roots: Vec<RootReport>,
    /// Things that stay because a process uses them.
    pub in_use: u64,
    /// Things that stay because they were used lately, or because there is room.
    pub recent: u64,
    /// Things that roots keep.
    pub rooted: u64,
    /// The files that stay.
    pub kept_files: Total,
    /// Whether nothing was looked at because a root does not say what it keeps.
    pub is_unclear: bool,
}

impl Report {
    /// All bytes that were freed, or would be.
    pub fn freed(&self) -> u64 {
        self.totals.values().map(|total| total.bytes).sum()
    }

    fn count(&mut self, kind: Kind, bytes: u64) {
        let total = self.totals.entry(kind).or_default();
        total.count += 1;
        total.bytes += bytes;
    }

    fn add(&mut self, kind: Kind, name: impl Into<String>, bytes: u64) {
        self.count(kind, bytes);
        self.removed.push(Removed { kind, name: name.into(), bytes });
    }
}

/// What the collector is about to do.
#[derive(Debug)]
pub enum Event<'a> {
    /// Another collector is at work, or a repair.
    Waiting,
    /// The roots are read: so many things are kept.
    Marked(usize),
    /// These go next, unless a root or a process wants them meanwhile.
    Removing(&'a [Condemned]),
    /// So many of all condemned things are decided.
    Removed { done: usize, of: usize },
}

/// Is told how the collector gets on.
pub type Watch<'a> = &'a mut dyn FnMut(Event<'_>);

/// Removes, or lists, what nobody needs.
///
/// # Errors
/// The first operation that fails ends it; what was removed until then is gone, and the next run goes
/// on.
pub fn collect(store: &Store, options: &Options, watch: Watch<'_>) -> Result<Report, StoreError> {
    let _alone = be_alone(store, watch)?;
    let mut report = Report::default();
    sweep::leftovers(store, options, &mut report)?;
    let mut marks = Marks::read(store)?;
    if options.prune_roots {
        sweep::roots(store, options, &mut marks, &mut report)?;
    }
    if marks.is_unclear() {
        report.is_unclear = true;
        report.roots = marks.into_reports();
        return Ok(report);
    }
    watch(Event::Marked(marks.len()));
    let mut inventory = Inventory::of(store, &mut marks)?;
    report.rooted = inventory.rooted;
    let before = inventory.condemned.len();
    if !options.keep.is_zero() || options.max_size.is_some() {
        measure::spare(store, options, &mut inventory)?;
    }
    report.recent = (before - inventory.condemned.len()) as u64;
    let condemner = Condemner::new(store);
    Sweep { store, options, marks: &mut marks, report: &mut report, watch, condemner }.run(inventory)?;
    report.is_unclear = marks.is_unclear();
    report.roots = marks.into_reports();
    report.removed.sort();
    Ok(report)
}

fn be_alone(store: &Store, watch: Watch<'_>) -> Result<RangeLock, StoreError> {
    let path = store.root().join("locks/store");
    match disk::try_lock(&path, COLLECTOR, Sharing::Exclusive)? {
        Some(lock) => Ok(lock),
        None => {
            watch(Event::Waiting);
            disk::lock(&path, COLLECTOR, Sharing::Exclusive)
        }
    }
}
