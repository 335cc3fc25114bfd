//! The memory of `PlanKey → BuildKey → TreeHash`, in one file that may be deleted at any time.
//!
//! The truth is the layers; this is a cache that makes a run with nothing to do cheap: one read of
//! 100 bytes a node. Records are appended whole; a torn, damaged or foreign record is passed over.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::key::{BuildKey, PlanKey};
use super::tree::TreeHash;
use super::{StoreError, disk};

const MAGIC: &[u8; 16] = b"jtwbuild facts 1";
const RECORD: usize = 100;

/// So many records are written together.
const TOGETHER: usize = 64;

/// What is remembered of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    pub build: BuildKey,
    pub tree: TreeHash,
}

/// All remembered facts, read once; new ones are appended to the file as they come.
#[derive(Debug)]
pub struct Facts {
    path: PathBuf,
    /// The file as it was found.
    bytes: Vec<u8>,
    /// The newest record by the first bytes of its plan key, and of its build key. Whether a record
    /// is sound, and the one that was meant, is looked at when it is used.
    by_plan: Index,
    by_build: Index,
    new: Mutex<New>,
}

type Index = HashMap<u64, u32, BuildHasherDefault<First>>;

/// Keys are hashes already.
#[derive(Default)]
struct First(u64);

impl Hasher for First {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Records on their way into the file.
#[derive(Debug, Default)]
struct New {
    file: Option<disk::File>,
    records: Vec<u8>,
}

impl Facts {
    /// Reads the file at `path`; a missing or unreadable one is an empty memory.
    pub fn load(path: &Path) -> Self {
        let bytes = disk::read_if_present(path).ok().flatten().unwrap_or_default();
        let count = bytes.strip_prefix(MAGIC.as_slice()).map_or(0, |records| records.len() / RECORD);
        let (mut by_plan, mut by_build) = (Index::default(), Index::default());
        by_plan.reserve(count);
        by_build.reserve(count);
        for at in 0..u32::try_from(count).unwrap_or(u32::MAX) {
            let record = record(&bytes, at);
            by_plan.insert(first(record), at);
            by_build.insert(first(&record[32..]), at);
        }
        Self { path: path.to_owned(), bytes, by_plan, by_build, new: Mutex::default() }
    }

    /// A memory to which facts are added, and in which nothing is found: reading what is known of
    /// thousands of nodes takes longer than looking at the layers of a few.
    pub fn unread(path: &Path) -> Self {
        let (by_plan, by_build) = (Index::default(), Index::default());
        Self { path: path.to_owned(), bytes: Vec::new(), by_plan, by_build, new: Mutex::default() }
    }

    /// Whether the file that was read is damaged, or of another version: it is made again as facts are
    /// added.
    pub fn is_damaged(&self) -> bool {
        let records = self.bytes.strip_prefix(MAGIC.as_slice());
        let sound = |records: &[u8]| {
            records.len().is_multiple_of(RECORD) && records.chunks(RECORD).all(|one| decode(one).is_some())
        };
        !self.bytes.is_empty() && !records.is_some_and(sound)
    }

    /// What the node planned as `plan` came to the last time.
    pub fn planned(&self, plan: &PlanKey) -> Option<Fact> {
        let at = self.by_plan.get(&first(plan.as_bytes()))?;
        decode(record(&self.bytes, *at)).filter(|(known, _)| known == plan).map(|(_, fact)| fact)
    }

    /// The content that the node with this build key has.
    pub fn built(&self, build: &BuildKey) -> Option<TreeHash> {
        let at = self.by_build.get(&first(build.as_bytes()))?;
        let (_, fact) = decode(record(&self.bytes, *at))?;
        (fact.build == *build).then_some(fact.tree)
    }

    /// The newest content known for each build key, and how many records are damaged.
    pub fn all(&self) -> (HashMap<BuildKey, TreeHash>, usize) {
        let (mut all, mut damaged) = (HashMap::new(), 0);
        let records = self.bytes.strip_prefix(MAGIC.as_slice()).unwrap_or_default();
        for record in records.chunks_exact(RECORD) {
            match decode(record) {
                Some((_, fact)) => drop(all.insert(fact.build, fact.tree)),
                None => damaged += 1,
            }
        }
        (all, damaged)
    }

    /// Remembers a fact for later runs. Some facts may be lost if the process is ended: they cost
    /// time, nothing else.
    pub fn remember(&self, plan: &PlanKey, fact: Fact) -> Result<(), StoreError> {
        if self.planned(plan) == Some(fact) {
            return Ok(());
        }
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        new.records.extend(encode(plan, fact));
        if new.records.len() >= TOGETHER * RECORD { self.write(&mut new) } else { Ok(()) }
    }

    /// The file at `path` with the newest record of each node whose tree `is_there`, and how many bytes
    /// shorter it is; `None` if nothing can be left out.
    pub fn compacted(path: &Path, is_there: impl Fn(&TreeHash) -> bool) -> Option<(Vec<u8>, u64)> {
        let facts = Self::load(path);
        let count = facts.bytes.strip_prefix(MAGIC.as_slice())?.len() / RECORD;
        let mut compacted = MAGIC.to_vec();
        for at in 0..u32::try_from(count).ok()? {
            let record = record(&facts.bytes, at);
            let is_newest = facts.by_plan.get(&first(record)) == Some(&at);
            if is_newest && decode(record).is_some_and(|(_, fact)| is_there(&fact.tree)) {
                compacted.extend(record);
            }
        }
        let saved = (facts.bytes.len() - compacted.len()) as u64;
        (saved > 0).then_some((compacted, saved))
    }

    fn write(&self, new: &mut New) -> Result<(), StoreError> {
        let file = match &mut new.file {
            Some(file) => file,
            none => {
                let in_line = in_line(&self.path);
                match in_line {
                    // After a torn write the records no longer line up: what follows the last whole
                    // one goes.
                    Some((length, whole)) if length != whole => disk::truncate(&self.path, whole)?,
                    Some(_) => {}
                    None => disk::remove_file(&self.path)?,
                }
                let mut file = disk::open_append(&self.path)?;
                if in_line.is_none() {
                    disk::write_all(&mut file, &self.path, MAGIC)?;
                }
                none.insert(file)
            }
        };
        let records = std::mem::take(&mut new.records);
        disk::write_all(file, &self.path, &records)
    }
}

impl Drop for Facts {
    fn drop(&mut self) {
        let mut new = std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner));
        if !new.records.is_empty() {
            // Facts that cannot be written cost time in the next run, nothing else.
            let _ = self.write(&mut new);
        }
    }
}

/// The length of the file at `path`, and how much of it lines up. `None`: it is no file of facts.
fn in_line(path: &Path) -> Option<(u64, u64)> {
    let mut file = disk::open(path).ok()?;
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic).ok()?;
    let length = file.metadata().ok()?.len();
    let torn = (length - MAGIC.len() as u64) % RECORD as u64;
    (magic == *MAGIC).then_some((length, length - torn))
}

/// A record of a file that has so many.
fn record(bytes: &[u8], at: u32) -> &[u8] {
    &bytes[MAGIC.len() + at as usize * RECORD..][..RECORD]
}

fn first(key: &[u8]) -> u64 {
    u64::from_le_bytes(*key.first_chunk().expect("keys have 32 bytes"))
}

fn encode(plan: &PlanKey, fact: Fact) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..32].copy_from_slice(plan.as_bytes());
    record[32..64].copy_from_slice(fact.build.as_bytes());
    record[64..96].copy_from_slice(fact.tree.as_bytes());
    let check = check(&record[..96]);
    record[96..].copy_from_slice(&check);
    record
}

fn decode(record: &[u8]) -> Option<(PlanKey, Fact)> {
    let (body, sum) = record.split_at_checked(96)?;
    if sum != check(body) {
        return None;
    }
    let part = |at: usize| <[u8; 32]>::try_from(&body[at..at + 32]).ok();
    let fact = Fact { build: BuildKey::from_bytes(part(32)?), tree: TreeHash::from_bytes(part(64)?) };
    Some((PlanKey::from_bytes(part(0)?), fact))
}

/// FNV-1a over 64-bit words, folded: the hashes are checked where they are used, this only has to
/// notice torn writes.
fn check(body: &[u8]) -> [u8; 4] {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for word in body.chunks_exact(8) {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of eight bytes"));
        sum = (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }
    let bytes = (sum ^ (sum >> 32)).to_le_bytes();
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(byte: u8) -> (PlanKey, Fact) {
        let fact =
            Fact { build: BuildKey::from_bytes([byte + 1; 32]), tree: TreeHash::from_bytes([byte + 2; 32]) };
        (PlanKey::from_bytes([byte; 32]), fact)
    }

    #[test]
    fn facts_are_added_to_those_that_were_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("facts");
        for byte in [1, 50] {
            let facts = Facts::unread(&path);
            let (plan, fact) = sample(byte);
            facts.remember(&plan, fact).unwrap();
            assert_eq!(facts.planned(&sample(1).0), None);
        }
        let facts = Facts::load(&path);
        assert_eq!(facts.planned(&sample(1).0), Some(sample(1).1));
        assert_eq!(facts.planned(&sample(50).0), Some(sample(50).1));
    }

    #[test]
    fn facts_survive_and_damage_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("facts");
        let facts = Facts::load(&path);
        for byte in [1, 50, 100] {
            let (plan, fact) = sample(byte);
            facts.remember(&plan, fact).unwrap();
        }
        drop(facts);
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), MAGIC.len() + 3 * RECORD);
        bytes[MAGIC.len() + RECORD + 7] ^= 1;
        bytes.truncate(bytes.len() - 1);
        std::fs::write(&path, &bytes).unwrap();
        let facts = Facts::load(&path);
        assert_eq!(facts.planned(&sample(1).0), Some(sample(1).1));
        assert_eq!(facts.built(&sample(1).1.build), Some(sample(1).1.tree));
        assert_eq!(facts.planned(&sample(50).0), None);
        assert_eq!(facts.planned(&sample(100).0), None);
        std::fs::write(&path, b"something else").unwrap();
        assert_eq!(Facts::load(&path).planned(&sample(1).0), None);
    }
}
