//! Which statements of other parties were accepted last, so that an older one cannot take the place of
//! a newer one.
//!
//! ```text
//! statements     magic; scope, time, digest of each; checksum
//! ```
//! One entry for each party and universe. The file is replaced as a whole, under a lock. One that is
//! damaged is an error and not an empty memory: `verify --repair` makes it so, and says so.

use std::collections::BTreeMap;

use super::disk::{self, Sharing};
use super::{Store, StoreError};
use crate::bytes::{self, Reader, WORD, Writer};

const MAGIC: &[u8; WORD] = b"jtwbuild stmts 1";

/// The byte of `locks/store` that is held while the file is replaced.
const STATEMENTS: i64 = 4;

/// The name below the store.
pub(super) const NAME: &str = "statements";

/// A party, by its key, and a universe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope([u8; 32]);

impl Scope {
    /// The scope of statements that a key signs about a universe.
    pub fn new(key: &[u8], universe: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("jtwbuild 2026-11 scope of statements v1");
        hasher.update(&(key.len() as u64).to_le_bytes());
        hasher.update(key);
        hasher.update(universe.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }
}

/// The newest statement of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Seconds since 1970.
    pub made: u64,
    /// BLAKE3 of what was signed.
    pub digest: [u8; 32],
}

impl Store {
    /// The newest statement that was accepted in each scope.
    pub fn seen_statements(&self) -> Result<BTreeMap<Scope, Seen>, StoreError> {
        let path = self.root().join(NAME);
        let Some(file) = disk::read_if_present(&path)? else { return Ok(BTreeMap::new()) };
        let read = |content| {
            let mut from = Reader(content);
            let entries = from.list(|from| {
                let scope = Scope(from.array()?);
                let made = u64::from_le_bytes(from.array()?);
                Some((scope, Seen { made, digest: from.array()? }))
            })?;
            from.0.is_empty().then(|| entries.into_iter().collect())
        };
        bytes::unseal(&file, MAGIC).and_then(read).ok_or_else(|| StoreError::Damaged {
            path,
            reason: "the memory of accepted statements cannot be read".into(),
        })
    }

    /// Remembers statements that were accepted. Of each scope the newest is kept.
    pub fn remember_statements(&self, accepted: &[(Scope, Seen)]) -> Result<(), StoreError> {
        let _alone = disk::lock(&self.root().join("locks/store"), STATEMENTS, Sharing::Exclusive)?;
        let before = self.seen_statements()?;
        let mut seen = before.clone();
        for (scope, one) in accepted {
            let known = seen.entry(*scope).or_insert(*one);
            if one.made > known.made {
                *known = *one;
            }
        }
        if seen == before {
            return Ok(());
        }
        let mut to = Writer(MAGIC.to_vec());
        to.number(seen.len());
        for (scope, seen) in &seen {
            to.0.extend(scope.0);
            to.0.extend(seen.made.to_le_bytes());
            to.0.extend(seen.digest);
        }
        self.write_whole(&self.root().join(NAME), &bytes::seal(to.0))
    }

    /// Sets a damaged memory aside.
    pub(super) fn repair_statements(&self) -> Result<(), StoreError> {
        let _alone = disk::lock(&self.root().join("locks/store"), STATEMENTS, Sharing::Exclusive)?;
        if matches!(self.seen_statements(), Err(StoreError::Damaged { .. })) {
            self.set_aside(&self.root().join(NAME), NAME)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_newest_is_remembered_and_damage_is_no_empty_memory() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        let (one, other) = (Scope::new(b"key", "demo"), Scope::new(b"key", "other"));
        assert_ne!(one, other);
        assert_ne!(Scope::new(b"a", "bc"), Scope::new(b"ab", "c"));
        let seen = |made| Seen { made, digest: [7; 32] };
        store.remember_statements(&[(one, seen(5)), (other, seen(1))]).unwrap();
        store.remember_statements(&[(one, seen(4))]).unwrap();
        let expected = BTreeMap::from([(one, seen(5)), (other, seen(1))]);
        assert_eq!(store.seen_statements().unwrap(), expected);
        let path = store.root().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert!(matches!(store.seen_statements(), Err(StoreError::Damaged { .. })), "{at}");
            assert!(store.remember_statements(&[(one, seen(9))]).is_err(), "{at}");
        }
        store.repair_statements().unwrap();
        assert!(store.seen_statements().unwrap().is_empty());
        assert!(store.root().join("quarantine/statements").exists());
    }
}
