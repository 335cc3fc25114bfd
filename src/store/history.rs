//! The history: which content each build key had, each time that something was built for it.
//!
//! ```text
//! history      magic; the id of this store's history; records
//! record       build key, tree, first and last time, how often, origin, checksum: 96 bytes
//! ```
//! Records are only ever appended, under a lock. The collector replaces the file by one with a record
//! for each build key, tree and origin, and leaves out the oldest keys that the store knows nothing
//! else of: so it stays in proportion to the store. Nothing is decided by the history; that it cannot
//! be written is no reason for a build to fail. A record that is lost in a power cut is missing from
//! a count, nothing else.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::disk::{self, RangeLock, Sharing};
use super::key::BuildKey;
use super::tree::TreeHash;
use super::{Store, StoreError};
use crate::bytes::quick_check;

const MAGIC: &[u8; 16] = b"jtwbuild hist  1";
/// Magic and id.
const HEADER: usize = 32;
const RECORD: usize = 96;

/// The byte of `locks/store` that is held while the history is written.
const HISTORY: i64 = 3;

/// The name below the store.
pub(super) const NAME: &str = "history";

/// The collector leaves the file alone if it cannot become shorter by so many bytes.
const WORTH: u64 = 16 << 10;

/// So many build keys are remembered of which the store has no layer, the newest.
pub const KEPT: usize = 10_000;

/// On what occasion something was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A run that wanted it.
    Built,
    /// An audit, which built it again to compare.
    Audited,
    /// The reproduction of somebody's proof.
    Reproduced,
}

impl Origin {
    const ALL: [Self; 3] = [Self::Built, Self::Audited, Self::Reproduced];

    /// The word that tables and JSON use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Audited => "audited",
            Self::Reproduced => "reproduced",
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Built => 1,
            Self::Audited => 2,
            Self::Reproduced => 3,
        }
    }
}

/// That a build key had this content, so many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Realisation {
    pub build: BuildKey,
    pub tree: TreeHash,
    pub origin: Origin,
    /// Seconds since 1970.
    pub first: u64,
    pub last: u64,
    pub count: u32,
}

/// Everything that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Who built it: an id of this store, which says nothing of its machine. None: nothing was built.
    pub id: Option<String>,
    /// In no order; one for each build key, tree and origin.
    pub realisations: Vec<Realisation>,
    /// Records that are torn or otherwise damaged, and are passed over.
    pub damaged: usize,
}

/// Why the history cannot be read.
const NOT_ONE: &str = "it is not a history of builds, or one of another version";

impl Store {
    fn history_path(&self) -> PathBuf {
        self.root().join(NAME)
    }

    fn lock_history(&self) -> Result<RangeLock, StoreError> {
        disk::lock(&self.root().join("locks/store"), HISTORY, Sharing::Exclusive)
    }

    /// Remembers that building `build` gave `tree`, now.
    pub fn record_realisation(
        &self,
        build: &BuildKey,
        tree: &TreeHash,
        origin: Origin,
    ) -> Result<(), StoreError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let one = Realisation { build: *build, tree: *tree, origin, first: now, last: now, count: 1 };
        let path = self.history_path();
        let _alone = self.lock_history()?;
        let mut file = disk::open_append(&path)?;
        let length = disk::io("read", &path, file.metadata())?.len();
        let mut bytes = Vec::with_capacity(HEADER + RECORD);
        if length < HEADER as u64 {
            // Also one that was torn before it had an id.
            disk::truncate(&path, 0)?;
            bytes.extend(MAGIC);
            bytes.extend(new_id());
        } else {
            let mut magic = [0; MAGIC.len()];
            let mut reader = disk::open(&path)?;
            disk::read_some(&mut reader, &path, &mut magic)?;
            if magic != *MAGIC {
                return Err(StoreError::Damaged { path, reason: NOT_ONE.into() });
            }
            let torn = (length - HEADER as u64) % RECORD as u64;
            if torn != 0 {
                disk::truncate(&path, length - torn)?;
            }
        }
        bytes.extend(encode(&one));
        disk::write_all(&mut file, &path, &bytes)
    }

    /// Reads the history.
    pub fn history(&self) -> Result<History, StoreError> {
        let path = self.history_path();
        let bytes = disk::read_if_present(&path)?.unwrap_or_default();
        if bytes.is_empty() {
            return Ok(History::default());
        }
        let Some(rest) = bytes.strip_prefix(MAGIC.as_slice()) else {
            return Err(StoreError::Damaged { path, reason: NOT_ONE.into() });
        };
        let Some((id, records)) = rest.split_first_chunk::<16>() else {
            return Ok(History { damaged: 1, ..History::default() });
        };
        let mut history = History { id: Some(hex(id)), ..History::default() };
        let mut known = BTreeMap::new();
        for record in records.chunks(RECORD) {
            match decode(record) {
                Some(one) => {
                    let key = (*one.build.as_bytes(), *one.tree.as_bytes(), one.origin);
                    known.entry(key).and_modify(|known| add(known, &one)).or_insert(one);
                }
                None => history.damaged += 1,
            }
        }
        history.realisations = known.into_values().collect();
        Ok(history)
    }

    /// Replaces the file, unless this is a dry run, by one with one record for each build key, tree and
    /// origin; of keys that are not `known` only the newest. Gives how many bytes shorter it is, nothing
    /// if that is not worth it.
    pub(super) fn collect_history(
        &self,
        is_dry: bool,
        known: impl Fn(&BuildKey) -> bool,
    ) -> Result<u64, StoreError> {
        self.compact_history(is_dry, WORTH, known)
    }

    fn compact_history(
        &self,
        is_dry: bool,
        worth: u64,
        known: impl Fn(&BuildKey) -> bool,
    ) -> Result<u64, StoreError> {
        let path = self.history_path();
        if !disk::exists(&path) {
            return Ok(0);
        }
        let _alone = self.lock_history()?;
        let before = disk::metadata(&path)?.len();
        // One that cannot be read is for people to look at: `verify` tells of it.
        let Ok(mut history) = self.history() else { return Ok(0) };
        let forgotten = forgotten(&history, known);
        history.realisations.retain(|one| !forgotten.contains(&one.build));
        let Some(id) = &history.id else { return Ok(0) };
        let mut bytes = MAGIC.to_vec();
        bytes.extend(unhex(id));
        history.realisations.iter().for_each(|one| bytes.extend(encode(one)));
        let saved = before.saturating_sub(bytes.len() as u64);
        if saved < worth {
            return Ok(0);
        }
        if !is_dry {
            self.write_whole(&path, &bytes)?;
        }
        Ok(saved)
    }

    /// Leaves out what is damaged. A file that is no history is set aside under another name.
    pub(super) fn repair_history(&self) -> Result<(), StoreError> {
        let path = self.history_path();
        if matches!(self.history(), Err(StoreError::Damaged { .. })) {
            self.set_aside(&path, NAME)?;
        }
        self.compact_history(false, 1, |_| true).map(|_| ())
    }
}

/// The build keys of which the store has nothing else, but for the newest.
fn forgotten(history: &History, known: impl Fn(&BuildKey) -> bool) -> HashSet<BuildKey> {
    let mut last: BTreeMap<BuildKey, u64> = BTreeMap::new();
    for one in history.realisations.iter().filter(|one| !known(&one.build)) {
        let last = last.entry(one.build).or_default();
        *last = one.last.max(*last);
    }
    let mut by_age: Vec<(u64, BuildKey)> = last.into_iter().map(|(build, last)| (last, build)).collect();
    by_age.sort_unstable();
    let many = by_age.len().saturating_sub(KEPT);
    by_age.into_iter().take(many).map(|(_, build)| build).collect()
}

fn add(known: &mut Realisation, one: &Realisation) {
    known.first = known.first.min(one.first);
    known.last = known.last.max(one.last);
    known.count = known.count.saturating_add(one.count);
}

/// What the operating system gives hash tables to be unguessable serves as an id that nobody else has.
fn new_id() -> [u8; 16] {
    let half = || RandomState::new().build_hasher().finish().to_le_bytes();
    let mut id = [0; 16];
    id[..8].copy_from_slice(&half());
    id[8..].copy_from_slice(&half());
    id
}

fn hex(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).filter_map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect()
}

fn encode(one: &Realisation) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..32].copy_from_slice(one.build.as_bytes());
    record[32..64].copy_from_slice(one.tree.as_bytes());
    record[64..72].copy_from_slice(&one.first.to_le_bytes());
    record[72..80].copy_from_slice(&one.last.to_le_bytes());
    record[80..84].copy_from_slice(&one.count.to_le_bytes());
    record[84] = one.origin.number();
    let sum = quick_check(&record[..88]);
    record[88..].copy_from_slice(&sum.to_le_bytes());
    record
}

fn decode(record: &[u8]) -> Option<Realisation> {
    let (body, sum) = record.split_at_checked(88)?;
    if sum != quick_check(body).to_le_bytes() {
        return None;
    }
    let hash = |at: usize| body.get(at..)?.first_chunk::<32>().copied();
    let time = |at: usize| Some(u64::from_le_bytes(*body.get(at..)?.first_chunk()?));
    Some(Realisation {
        build: BuildKey::from_bytes(hash(0)?),
        tree: TreeHash::from_bytes(hash(32)?),
        origin: Origin::ALL.into_iter().find(|origin| origin.number() == body[84])?,
        first: time(64)?,
        last: time(72)?,
        count: u32::from_le_bytes(*body.get(80..)?.first_chunk()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn keys(build: u8, tree: u8) -> (BuildKey, TreeHash) {
        (BuildKey::from_bytes([build; 32]), TreeHash::from_bytes([tree; 32]))
    }

    fn world() -> (tempfile::TempDir, Arc<Store>) {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        (directory, store)
    }

    fn record(store: &Store, build: u8, tree: u8, origin: Origin) {
        let (build, tree) = keys(build, tree);
        store.record_realisation(&build, &tree, origin).unwrap();
    }

    #[test]
    fn equal_realisations_are_counted_and_different_ones_stand_side_by_side() {
        let (_directory, store) = world();
        assert_eq!(store.history().unwrap(), History::default());
        for (tree, origin) in
            [(1, Origin::Built), (1, Origin::Audited), (1, Origin::Audited), (2, Origin::Built)]
        {
            record(&store, 7, tree, origin);
        }
        let history = store.history().unwrap();
        let told: Vec<_> = history.realisations.iter().map(|one| (one.tree, one.origin, one.count)).collect();
        let tree = |byte| TreeHash::from_bytes([byte; 32]);
        assert_eq!(
            told,
            [(tree(1), Origin::Built, 1), (tree(1), Origin::Audited, 2), (tree(2), Origin::Built, 1)]
        );
        assert!(history.realisations.iter().all(|one| one.first > 1_700_000_000 && one.first <= one.last));
        assert_eq!(history.id.map(|id| id.len()), Some(32));
    }

    #[test]
    fn many_writers_lose_nothing() {
        let (_directory, store) = world();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let store = &store;
                scope.spawn(move || (0..50).for_each(|_| record(store, writer, writer, Origin::Built)));
            }
        });
        let history = store.history().unwrap();
        assert_eq!(history.realisations.len(), 8);
        assert!(history.realisations.iter().all(|one| one.count == 50));
    }

    #[test]
    fn every_damaged_record_is_seen_and_a_torn_one_goes_with_the_next() {
        let (_directory, store) = world();
        (1..4).for_each(|byte| record(&store, byte, byte, Origin::Built));
        let path = store.history_path();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len(), HEADER + 3 * RECORD);
        for at in HEADER..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            let history = store.history().unwrap();
            assert_eq!((history.damaged, history.realisations.len()), (1, 2), "{at}");
        }
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            record(&store, 9, 9, Origin::Built);
            let history = store.history().unwrap_or_else(|error| panic!("{length}: {error}"));
            assert_eq!(history.damaged, 0, "{length}");
            let whole_records = length.saturating_sub(HEADER) / RECORD;
            assert_eq!(history.realisations.len(), whole_records + 1, "{length}");
        }
        std::fs::write(&path, vec![b'x'; 500]).unwrap();
        assert!(matches!(store.history(), Err(StoreError::Damaged { .. })));
        let (build, tree) = keys(1, 1);
        let refused = store.record_realisation(&build, &tree, Origin::Built);
        assert!(matches!(refused, Err(StoreError::Damaged { .. })));
        store.repair_history().unwrap();
        record(&store, 1, 1, Origin::Built);
        assert_eq!(store.history().unwrap().realisations.len(), 1);
    }

    #[test]
    fn what_is_compacted_tells_the_same_and_old_keys_go() {
        let (_directory, store) = world();
        (0..300).for_each(|_| record(&store, 7, 1, Origin::Audited));
        let before = store.history().unwrap();
        let saved = store.collect_history(true, |_| true).unwrap();
        assert_eq!(saved, 299 * RECORD as u64);
        assert_eq!(store.collect_history(false, |_| true).unwrap(), saved);
        assert_eq!(store.collect_history(false, |_| true).unwrap(), 0);
        assert_eq!(store.history().unwrap(), before);

        let one = |number: u32, last: u64| {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&number.to_le_bytes());
            let (_, tree) = keys(0, 1);
            let build = BuildKey::from_bytes(key);
            Realisation { build, tree, origin: Origin::Built, first: 0, last, count: 1 }
        };
        let many = u32::try_from(KEPT).unwrap() + 25;
        let realisations = (0..many).map(|number| one(number, u64::from(number))).collect();
        let history = History { realisations, ..History::default() };
        let gone = forgotten(&history, |key| *key == one(3, 0).build);
        assert_eq!(gone.len(), 24);
        assert!(gone.contains(&one(24, 0).build) && !gone.contains(&one(25, 0).build));
        assert!(!gone.contains(&one(3, 0).build));
    }
}
