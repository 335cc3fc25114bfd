//! What the roots keep.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasherDefault, Hasher};
use std::os::unix::fs::{FileExt, MetadataExt};

use super::RootReport;
use crate::store::disk::look;
use crate::store::roots::{About, Root, RootError};
use crate::store::runs::universe_of;
use crate::store::uses::Id;
use crate::store::{Store, StoreError};

/// Ids are hashes already.
#[derive(Default)]
pub(super) struct First(u64);

impl Hasher for First {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not the length, which comes first.
        if let (32, Some(first)) = (bytes.len(), bytes.first_chunk()) {
            self.0 = u64::from_le_bytes(*first);
        }
    }
}

/// A table by ids.
pub(super) type ById<T> = HashMap<Id, T, BuildHasherDefault<First>>;

/// A set of ids.
pub(super) type Ids = HashSet<Id, BuildHasherDefault<First>>;

/// Which roots keep a thing.
#[derive(Clone, Copy, Debug)]
enum Keeper {
    /// The one at this position.
    One(u32),
    Several,
}

/// How a root's file looked when it was read: the same look means the same content.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    inode: u64,
    length: u64,
    changed: (i64, i64),
    /// The checksum at the end. Times are too coarse to tell two quick changes apart.
    end: [u8; 32],
}

fn look(store: &Store, name: &OsStr) -> Option<Look> {
    let path = store.root().join("roots").join(name);
    let metadata = look::symlink_metadata(&path).ok()?;
    let mut end = [0; 32];
    if let (true, Some(at)) = (metadata.is_file(), metadata.len().checked_sub(32)) {
        look::open(&path).and_then(|file| file.read_exact_at(&mut end, at)).ok()?;
    }
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    Some(Look { inode: metadata.ino(), length: metadata.len(), changed, end })
}

struct Marked {
    name: OsString,
    about: Result<About, RootError>,
    keeps: usize,
    alone: usize,
}

/// What the roots keep. Roots that are removed while the collector runs count to its end.
pub(super) struct Marks {
    keepers: ById<Keeper>,
    roots: Vec<Marked>,
    looks: BTreeMap<OsString, Option<Look>>,
    memos: HashSet<String>,
    /// What the names of runs begin with that roots go with.
    universes: HashSet<String>,
}

impl Marks {
    /// Reads all roots.
    pub fn read(store: &Store) -> Result<Self, StoreError> {
        let mut marks = Self {
            keepers: ById::default(),
            roots: Vec::new(),
            looks: BTreeMap::new(),
            memos: HashSet::new(),
            universes: HashSet::new(),
        };
        let _lock = store.lock_roots()?;
        marks.refresh(store)?;
        Ok(marks)
    }

    /// Reads the roots that are new or look otherwise than they did. To be called while nobody can
    /// write a root.
    pub fn refresh(&mut self, store: &Store) -> Result<(), StoreError> {
        for name in store.root_names()? {
            let look = look(store, &name);
            if self.looks.get(&name).is_some_and(|known| look.is_some() && *known == look) {
                continue;
            }
            let root = match name.to_str() {
                Some(text) => store.root_named(text),
                None => Err(RootError::Damaged),
            };
            match root {
                Ok(None) => continue,
                Ok(Some(root)) => self.add(&name, root),
                Err(error) => drop(self.enter(&name, Err(error), 0)),
            }
            self.looks.insert(name, look);
        }
        Ok(())
    }

    /// Enters a root, in the place of an earlier one of that name, and says where. What the earlier
    /// one kept stays marked.
    fn enter(&mut self, name: &OsStr, about: Result<About, RootError>, keeps: usize) -> u32 {
        let known = self.roots.iter().position(|root| root.name == name);
        let root = Marked { name: name.to_owned(), about, keeps, alone: 0 };
        let at = known.unwrap_or(self.roots.len());
        match self.roots.get_mut(at) {
            Some(known) => *known = root,
            None => self.roots.push(root),
        }
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn add(&mut self, name: &OsStr, Root { about, keeps }: Root) {
        self.memos.extend(about.memo.clone());
        self.universes.extend(about.universe.iter().map(|path| universe_of(&path.to_string_lossy())));
        let number = self.enter(name, Ok(about), keeps.len());
        self.keepers.reserve(keeps.len());
        for id in keeps.trees.iter().chain(&keeps.layers).chain(&keeps.archives) {
            self.keepers
                .entry(*id)
                .and_modify(|keeper| match keeper {
                    Keeper::One(known) if *known == number => {}
                    keeper => *keeper = Keeper::Several,
                })
                .or_insert(Keeper::One(number));
        }
    }

    /// How many things are kept, whether they are there or not.
    pub fn len(&self) -> usize {
        self.keepers.len()
    }

    /// Whether a root keeps this.
    pub fn keep(&self, id: &Id) -> bool {
        self.keepers.contains_key(id)
    }

    /// Counts a thing that is there; whether a root keeps it.
    pub fn count(&mut self, id: &Id) -> bool {
        let Some(keeper) = self.keepers.get(id) else { return false };
        if let Keeper::One(number) = keeper
            && let Some(root) = self.roots.get_mut(*number as usize)
        {
            root.alone += 1;
        }
        true
    }

    /// Whether a root goes with this memo.
    pub fn has_memo(&self, name: &str) -> bool {
        self.memos.contains(name)
    }

    /// Whether a root is that of the universe whose runs have names that begin so.
    pub fn has_universe(&self, universe: &str) -> bool {
        self.universes.contains(universe)
    }

    /// Whether a root does not say what it keeps.
    pub fn is_unclear(&self) -> bool {
        self.roots.iter().any(|root| root.about.is_err())
    }

    /// The roots whose universe file is gone.
    pub fn forlorn(&self) -> Vec<String> {
        let forlorn = self.roots.iter().filter(|root| is_forlorn(root.about.as_ref()));
        forlorn.filter_map(|root| Some(root.name.to_str()?.to_owned())).collect()
    }

    /// The marks of the roots without those of that name.
    pub fn without(store: &Store, names: &[String]) -> Result<Self, StoreError> {
        let mut marks = Self::read(store)?;
        let is_named = |name: &OsStr| names.iter().any(|named| name == named.as_str());
        marks.keepers.clear();
        marks.roots.clear();
        marks.memos.clear();
        marks.universes.clear();
        for name in store.root_names()?.into_iter().filter(|name| !is_named(name)) {
            marks.looks.remove(&name);
        }
        marks.refresh(store)?;
        Ok(marks)
    }

    pub fn into_reports(self) -> Vec<RootReport> {
        let report = |root: Marked| RootReport {
            is_forlorn: is_forlorn(root.about.as_ref()),
            name: root.name,
            about: root.about,
            keeps: root.keeps,
            alone: root.alone,
        };
        self.roots.into_iter().map(report).collect()
    }
}

fn is_forlorn(about: Result<&About, &RootError>) -> bool {
    // Whoever may not look at it cannot say that it is gone.
    let is_gone = |path: &std::path::Path| {
        look::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    };
    about.is_ok_and(|about| about.universe.as_deref().is_some_and(is_gone))
}
