//! The source archives of several suites, as far as this run has needed them.
//!
//! What is in the store is taken as it is. Only when an archive was not found otherwise, and at most
//! once a run, suites whose index is missing or older than a day are asked for a newer one; those
//! that have not changed since cost one small file.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use super::DebianError;
use super::sources::SourceIndex;
use super::suite::{Opened, index_of, index_text, open};
use crate::fetch::Fetcher;
use crate::store::Store;

/// Suites that have source archives of all ages, the newest that has been released for some time
/// first: what is there stays there.
pub const SUITES: [&str; 5] = ["forky", "trixie", "bookworm", "bullseye", "sid"];

/// For so long an index is new enough.
const NEW: Duration = Duration::from_secs(24 * 3600);

const INDEX: &str = "main/source/Sources";

/// Indexes of suites, shared by all threads of a run.
pub type Indexes = Arc<Vec<SourceIndex>>;

/// See the module.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// What was in the store when it was first asked for.
    kept: OnceLock<Indexes>,
    /// Held while suites are asked, so that one thread does it for all.
    fetched: Mutex<Option<Indexes>>,
}

impl Catalogue {
    /// The indexes that are known without asking anybody.
    pub fn at_hand(&self, fetcher: &Fetcher, store: &Store) -> Indexes {
        if let Ok(fetched) = self.fetched.try_lock()
            && let Some(fetched) = &*fetched
        {
            return Arc::clone(fetched);
        }
        let load = || {
            let suites = fetcher.settings.source_suites.iter();
            Arc::new(suites.filter_map(|suite| kept(fetcher, store, suite)).map(|(index, _)| index).collect())
        };
        Arc::clone(self.kept.get_or_init(load))
    }

    /// The indexes as new as they should be, and why some are not, which is told once.
    pub fn fetched(
        &self,
        fetcher: &Fetcher,
        store: &Store,
        stop: &AtomicBool,
    ) -> (Indexes, Vec<DebianError>) {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(indexes) = &*fetched {
            return (Arc::clone(indexes), Vec::new());
        }
        let (mut indexes, mut trouble) = (Vec::new(), Vec::new());
        for suite in &fetcher.settings.source_suites {
            let before = kept(fetcher, store, suite);
            let is_new =
                |time: &SystemTime| SystemTime::now().duration_since(*time).is_ok_and(|age| age < NEW);
            let before = match before {
                Some((index, time)) if is_new(&time) => {
                    indexes.push(index);
                    continue;
                }
                other => other.map(|(index, _)| index),
            };
            match renewed(fetcher, store, suite, before.as_ref(), stop) {
                Ok(Some(index)) => indexes.push(index),
                Ok(None) => indexes.extend(before),
                Err(DebianError::Cancelled) => return (Arc::new(indexes), trouble),
                Err(DebianError::Offline { .. }) => indexes.extend(before),
                Err(error) => {
                    indexes.extend(before);
                    trouble.push(error);
                }
            }
        }
        let indexes = Arc::new(indexes);
        *fetched = Some(Arc::clone(&indexes));
        (indexes, trouble)
    }
}

/// Where the index of a suite of the mirror in force is kept.
fn place(fetcher: &Fetcher, store: &Store, suite: &str) -> Option<(String, PathBuf)> {
    let mirror = fetcher.mirror().ok()?.to_string();
    let hash = blake3::hash(format!("{mirror}\n{suite}").as_bytes()).to_hex();
    Some((mirror, store.plans().join(format!("sources-{}", &hash[..32]))))
}

/// The index in the store, and when it was last found to be the newest.
fn kept(fetcher: &Fetcher, store: &Store, suite: &str) -> Option<(SourceIndex, SystemTime)> {
    let (mirror, path) = place(fetcher, store, suite)?;
    let time = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
    let index = SourceIndex::read(std::fs::read(&path).ok()?)?;
    (index.mirror() == mirror && index.suite() == suite).then_some((index, time))
}

/// The newest index of a suite, which is also put into the store; nothing if `before` is it.
fn renewed(
    fetcher: &Fetcher,
    store: &Store,
    suite: &str,
    before: Option<&SourceIndex>,
    stop: &AtomicBool,
) -> Result<Option<SourceIndex>, DebianError> {
    let Some((mirror, path)) = place(fetcher, store, suite) else {
        fetcher.mirror()?;
        return Ok(None);
    };
    let Opened { release, .. } = open(fetcher, suite, SystemTime::now(), stop)?;
    let of = index_of(&release, INDEX).map(|(_, sum, _)| sum);
    // A cache that cannot be written is made again by the next run.
    if let Some(before) = before.filter(|before| Some(before.of()) == of) {
        let _ = store.write_whole(&path, before.bytes());
        return Ok(None);
    }
    let text = index_text(fetcher, suite, &release, INDEX, stop)?;
    let Some(of) = of else { return Ok(None) };
    let index = SourceIndex::parse(&text, &mirror, suite, of);
    let _ = store.write_whole(&path, index.bytes());
    Ok(Some(index))
}
