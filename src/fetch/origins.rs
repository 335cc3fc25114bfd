//! Where bytes came from: places that are known to have given what they should, and origins
//! (servers, mirrors) that have not.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Fetcher;
use crate::source::{Archive, Place};
use crate::store::Store;

/// Origins that gave wrong bytes where another one gave the right ones, each with what it was asked
/// for first. They are asked last for the rest of the run.
#[derive(Debug, Default)]
pub(super) struct Origins(Mutex<BTreeMap<String, String>>);

impl Origins {
    fn distrusted(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The places with their origins, in the order in which they are to be asked.
    pub fn in_order<'a>(&self, places: &'a [Place], fetcher: &Fetcher) -> Vec<(&'a Place, Option<String>)> {
        let mut places: Vec<_> = places.iter().map(|place| (place, origin(place, fetcher))).collect();
        let distrusted = self.distrusted();
        places
            .sort_by_key(|(_, origin)| origin.as_ref().is_some_and(|origin| distrusted.contains_key(origin)));
        places
    }

    /// Another origin has proved these wrong.
    pub fn distrust(&self, wrong: Vec<(String, String)>) {
        let mut distrusted = self.distrusted();
        for (origin, url) in wrong {
            distrusted.entry(origin).or_insert(url);
        }
    }

    /// One line for each.
    pub fn notices(&self) -> Vec<String> {
        let line = |(origin, url): (&String, &String)| {
            format!("`{origin}` gave wrong bytes for {url}; for the rest of the run it was asked last")
        };
        self.distrusted().iter().map(line).collect()
    }
}

/// The server or mirror behind a place; a file of this machine has none.
fn origin(place: &Place, fetcher: &Fetcher) -> Option<String> {
    match place {
        Place::Url(url) => {
            let (scheme, rest) = url.split_once("://")?;
            let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
            Some(format!("{scheme}://{authority}"))
        }
        Place::Debian(_) | Place::Mirror(_) => fetcher.mirror().ok().map(ToString::to_string),
        Place::Path(_) => None,
    }
}

/// Whether one of the archive's places gave the bytes that are in the store, or nobody knows who
/// did: an archive that somebody has put there is as good as its checksum.
pub(super) fn is_known(store: &Store, archive: &Archive) -> bool {
    let Some(known) = remembered(store, archive) else { return true };
    archive.places.is_empty() || archive.places.iter().any(|place| known.contains(&place.to_string()))
}

/// Remembers that the place gave the right bytes. That this fails costs a check of a changed place,
/// nothing else.
pub(super) fn remember(store: &Store, archive: &Archive, place: &Place) {
    let mut places = remembered(store, archive).unwrap_or_default();
    let place = place.to_string();
    if !places.contains(&place) {
        places.push(place);
        let path = memory(store, archive);
        let directory = path.parent().unwrap_or(&path);
        let _ = std::fs::create_dir_all(directory)
            .is_ok_and(|()| store.write_whole(&path, format!("{}\n", places.join("\n")).as_bytes()).is_ok());
    }
}

fn remembered(store: &Store, archive: &Archive) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(memory(store, archive)).ok()?;
    Some(text.lines().map(str::to_owned).collect())
}

fn memory(store: &Store, archive: &Archive) -> std::path::PathBuf {
    store.plans().join("fetched").join(archive.checksums.name().label())
}
