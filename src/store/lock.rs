//! The lock of a build key: each node is decided by one process at a time, and the others know by
//! which.
//!
//! A lock is a byte in `locks/builds` that the kernel locks; that the file exists says nothing. The
//! holder leaves a note near the start of the file, for people only: whoever waits is told whom it
//! waits for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::disk::{self, RangeLock, Sharing};
use super::key::BuildKey;
use super::{Store, StoreError};

/// Bytes of a note: process id, and the time in seconds since 1970.
const NOTE: usize = 12;

/// Between two looks at a lock that somebody else has. The kernel could wake us, but not at the end of
/// our patience, and not when the user wants us to stop.
const PAUSE: Duration = Duration::from_millis(20);

/// The lock of one build key, held while its node is decided.
#[derive(Debug)]
pub struct BuildLock {
    #[allow(dead_code, reason = "held for its drop")]
    held: RangeLock,
    /// Whether somebody else had it first.
    pub was_waited_for: bool,
}

/// Who holds a lock, as far as its note tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// 0 if it is not known.
    pub process: u32,
    /// Seconds since it took the lock.
    pub seconds: u64,
}

impl Store {
    /// Waits until nobody else decides this key, and holds it. While somebody else has it,
    /// `goes_on` is asked now and then; `None`: it said no.
    pub fn lock_build(
        &self,
        key: &BuildKey,
        goes_on: &mut dyn FnMut(Holder) -> bool,
    ) -> Result<Option<BuildLock>, StoreError> {
        let path = self.root().join("locks/builds");
        let (offset, note) = place(key);
        let mut was_waited_for = false;
        let held = loop {
            if let Some(held) = disk::try_lock(&path, offset, Sharing::Exclusive)? {
                break held;
            }
            if was_waited_for && !goes_on(holder(disk::read_note(&path, note))) {
                return Ok(None);
            }
            // The first time, the holder may not have left its note yet.
            was_waited_for = true;
            std::thread::sleep(PAUSE);
        };
        let mut bytes = std::process::id().to_le_bytes().to_vec();
        bytes.extend(now().to_le_bytes());
        disk::write_note(&held, note, &bytes);
        Ok(Some(BuildLock { held, was_waited_for }))
    }
}

fn holder(note: Option<[u8; NOTE]>) -> Holder {
    let Some(note) = note else { return Holder { process: 0, seconds: 0 } };
    let (process, since) = note.split_first_chunk::<4>().expect("a note is longer");
    let since = u64::from_le_bytes(*since.first_chunk().expect("eight bytes are left"));
    // Clocks may have been set back.
    Holder { process: u32::from_le_bytes(*process), seconds: now().saturating_sub(since) }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The byte that stands for a key, far beyond the file's end, and the place of its note. Keys that
/// share a note would only be told the wrong process.
fn place(key: &BuildKey) -> (i64, u64) {
    let word = u64::from_le_bytes(*key.as_bytes().first_chunk().expect("a key has 32 bytes"));
    let offset = i64::try_from(word >> 2).expect("62 bits fit") | (1 << 40);
    (offset, (word & 0xffff) * 16)
}

#[cfg(test)]
mod tests;
