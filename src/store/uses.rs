//! What running processes use: a kernel lock for each thing, so that it is not collected.
//!
//! Whoever is about to rely on a tree, a layer or an archive takes a *shared* lock on its byte before
//! looking whether it is there, and keeps it as long as the store is open. The collector takes the
//! *exclusive* lock before the name goes away, and lets the thing be if it does not get it at once.
//! Whichever of the two comes first, the other one sees it: there is no moment between the look and
//! the use. The kernel drops the locks with their process, so nothing has to be cleaned up, and
//! nothing is written, so it also works where a disk is full.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::disk::{self, LockFile, RangeLock, Sharing};
use super::tree::TreeHash;
use super::{Store, StoreError};

/// The 32 bytes that name a tree, a layer (its build key) or an archive ([`Checksum::id`](crate::source::Checksum::id)).
pub type Id = [u8; 32];

/// The kernel goes through all locks of a file to add one, so they are spread over so many files.
const FILES: usize = 16;

/// The lock files, opened as they are needed, and what is held in them.
#[derive(Debug)]
pub(super) struct Uses {
    directory: PathBuf,
    files: [OnceLock<LockFile>; FILES],
    held: Mutex<HashSet<Id>>,
}

/// The byte that stands for a thing, far beyond the end of any lock file. Two things that share one
/// are kept together.
fn offset(id: &Id) -> i64 {
    let word = u64::from_le_bytes(*id[1..].first_chunk().expect("an id has 32 bytes"));
    i64::try_from(word >> 2).expect("62 bits fit") | (1 << 40)
}

fn file_path(locks: &Path, number: usize) -> PathBuf {
    locks.join(format!("uses-{number:02x}"))
}

impl Uses {
    pub(super) fn new(store: &Path) -> Self {
        Self {
            directory: store.join("locks"),
            files: std::array::from_fn(|_| OnceLock::new()),
            held: Mutex::default(),
        }
    }

    fn file(&self, id: &Id) -> Result<&LockFile, StoreError> {
        let number = usize::from(id[0]) % FILES;
        let file = &self.files[number];
        if let Some(open) = file.get() {
            return Ok(open);
        }
        let open = LockFile::open(&file_path(&self.directory, number))?;
        Ok(file.get_or_init(|| open))
    }

    fn hold(&self, id: &Id) -> Result<(), StoreError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.contains(id) {
            self.file(id)?.lock(offset(id), Sharing::Shared)?;
            held.insert(*id);
        }
        Ok(())
    }
}

impl Store {
    /// Makes the lock files, so that a collector on a full disk finds them.
    pub(super) fn make_use_files(root: &Path) -> Result<(), StoreError> {
        // Single ones come to be when they are needed, so one does not tell of the others.
        let is_one = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b"uses-");
        let locks = root.join("locks");
        let there = disk::list(&locks)?.iter().filter(|entry| is_one(&entry.file_name())).count();
        if there >= FILES {
            return Ok(());
        }
        (0..FILES).try_for_each(|number| LockFile::open(&file_path(&locks, number)).map(drop))
    }

    /// From now on, and as long as this store is open, the thing is not collected, if it is there or
    /// comes to be there.
    pub fn hold(&self, id: &Id) -> Result<(), StoreError> {
        self.uses.hold(id)
    }

    /// Whether the tree is here. If it is, it stays as long as this store is open.
    pub fn use_tree(&self, tree: &TreeHash) -> Result<bool, StoreError> {
        self.hold(tree.as_bytes())?;
        Ok(self.has_tree(tree))
    }
}

/// The byte of `locks/store` that stands for the names in the pool of files.
const POOL: i64 = 3;

/// Held while a file may have no name but its name in the pool.
#[derive(Debug)]
pub(super) struct PoolLock(#[allow(dead_code, reason = "held for its drop")] RangeLock);

impl Store {
    /// While the result is held, no name goes away from the pool.
    pub(super) fn keep_pool(&self) -> Result<PoolLock, StoreError> {
        disk::lock(&self.root().join("locks/store"), POOL, Sharing::Shared).map(PoolLock)
    }

    /// While the result is held, nobody publishes a tree.
    pub(super) fn clean_pool(&self) -> Result<PoolLock, StoreError> {
        disk::lock(&self.root().join("locks/store"), POOL, Sharing::Exclusive).map(PoolLock)
    }

    /// Remembers that some tree holds a copy of a file instead of a link, so that the number of a
    /// file's links does not tell whether a tree needs it.
    pub(super) fn note_copies(&self) -> Result<(), StoreError> {
        let note = self.root().join(COPIES);
        if disk::exists(&note) {
            return Ok(());
        }
        match disk::create_new(&note) {
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Whether [`Store::note_copies`] was ever called.
    pub(super) fn has_copies(&self) -> bool {
        disk::exists(&self.root().join(COPIES))
    }
}

/// See [`Store::note_copies`].
const COPIES: &str = "locks/trees-hold-copies";

/// The collector's side of the locks: open files of its own, so that what this very process uses
/// counts too.
#[derive(Debug)]
pub(super) struct Condemner(Uses);

impl Condemner {
    pub(super) fn new(store: &Store) -> Self {
        Self(Uses::new(store.root()))
    }

    /// Runs `remove` while nobody can begin to use the thing. `None`: somebody uses it, and nothing
    /// was done.
    pub(super) fn unless_used<T>(
        &self,
        id: &Id,
        remove: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let file = match self.0.file(id) {
            // The disk is too full to make the lock file: what goes first makes room for the rest.
            Err(error) if error.is_no_space() => return Ok(None),
            file => file?,
        };
        if !file.try_lock(offset(id), Sharing::Exclusive)? {
            return Ok(None);
        }
        let removed = remove();
        file.unlock(offset(id))?;
        removed.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_uses_is_not_removed_until_the_store_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Store::open(&directory.path().join("store")).unwrap();
        let (user, other, collector) = (open(), open(), Condemner::new(&open()));
        let (used, unused) = ([1; 32], [17; 32]);
        user.hold(&used).unwrap();
        user.hold(&used).unwrap();
        other.hold(&used).unwrap();
        let removed = |id| collector.unless_used(id, || Ok(())).unwrap().is_some();
        assert!(!removed(&used));
        assert!(removed(&unused), "another thing of the same lock file");
        drop(user);
        assert!(!removed(&used), "the other one still uses it");
        drop(other);
        assert!(removed(&used));
        open().hold(&used).unwrap();
    }

    #[test]
    fn all_lock_files_are_made_wherever_the_first_one_was() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let locks = store.root().join("locks");
        (0..FILES - 1).for_each(|number| std::fs::remove_file(file_path(&locks, number)).unwrap());
        Store::make_use_files(store.root()).unwrap();
        assert!((0..FILES).all(|number| disk::exists(&file_path(&locks, number))));
    }

    #[test]
    fn who_wants_a_thing_that_is_being_removed_waits_and_then_sees_that_it_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let tree = TreeHash::from_bytes([7; 32]);
        std::fs::create_dir(store.tree_path(&tree)).unwrap();
        let user = Store::open(store.root()).unwrap();
        let (begun, begin) = std::sync::mpsc::channel();
        let found = std::thread::scope(|scope| {
            let waiter = Condemner::new(&store)
                .unless_used(tree.as_bytes(), || {
                    let waiter = scope.spawn(|| {
                        begun.send(()).unwrap();
                        user.use_tree(&tree).unwrap()
                    });
                    begin.recv().unwrap();
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    std::fs::remove_dir(store.tree_path(&tree)).unwrap();
                    Ok(waiter)
                })
                .unwrap()
                .unwrap();
            waiter.join().unwrap()
        });
        assert!(!found);
    }
}
