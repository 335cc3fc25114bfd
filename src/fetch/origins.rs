//! Where bytes came from: places that are known to have given what they should, and origins
//! (servers, mirrors) that have not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::Fetcher;
use crate::source::{Archive, Checksum, Checksums, Place};
use crate::store::Store;

/// What a run learns of origins.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// Those that gave wrong bytes where another one gave the right ones, each with what it was asked
    /// for first. They are asked last for the rest of the run.
    distrusted: Mutex<BTreeMap<String, String>>,
    /// Who gave the archives of this run.
    given: Mutex<BTreeMap<Checksum, Giver>>,
}

impl Origins {
    fn distrusted(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.distrusted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The places with their origins, in the order in which they are to be asked.
    pub fn in_order<'a>(&self, places: &'a [Place], fetcher: &Fetcher) -> Vec<(&'a Place, Option<String>)> {
        let mut places: Vec<_> = places.iter().map(|place| (place, origin(place, fetcher))).collect();
        let distrusted = self.distrusted();
        places
            .sort_by_key(|(_, origin)| origin.as_ref().is_some_and(|origin| distrusted.contains_key(origin)));
        places
    }

    /// Whether another origin has proved this one wrong.
    pub fn is_distrusted(&self, origin: &str) -> bool {
        self.distrusted().contains_key(origin)
    }

    /// Remembers for this run who gave an archive.
    pub fn given(&self, name: &Checksum, giver: &Giver) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.insert(*name, giver.clone());
    }

    fn given_now(&self, name: &Checksum) -> Option<Giver> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
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

/// Who gave an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Giver {
    /// A place of the document.
    Place(String),
    /// A file of an archive mirror.
    ArchiveMirror(String),
    /// A source archive of a suite; its path below the mirror's root.
    Debian { suite: String, path: String },
}

impl fmt::Display for Giver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => f.write_str(place),
            Self::ArchiveMirror(file) => write!(f, "archive mirror {file}"),
            Self::Debian { suite, path } => write!(f, "Debian {suite} {path}"),
        }
    }
}

/// Where an archive came from, for reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Provenance {
    /// `sha256=… md5=…`: all that it was checked against.
    pub checksums: String,
    /// Unknown if somebody has put it into the store, or what was remembered is lost.
    pub giver: Option<Giver>,
    /// Whether it was fetched by this process.
    pub is_new: bool,
    /// Whether it has no checksum that cannot be forged; only where that was allowed.
    pub is_weak: bool,
    /// What the package asks for, if the universe gives another archive in its place: the checksums,
    /// or words that say that there are none.
    pub instead_of: Option<String>,
}

impl Fetcher {
    /// Where an archive came from. `asked_for`: the checksums that its package names, where the
    /// universe may say otherwise; `None` in it: the package names none.
    pub fn provenance(
        &self,
        store: &Store,
        archive: &Archive,
        asked_for: Option<Option<&Checksums>>,
    ) -> Provenance {
        let now = self.origins.given_now(&archive.checksums.name());
        let instead_of = asked_for.filter(|asked_for| *asked_for != Some(&archive.checksums));
        Provenance {
            checksums: archive.checksums.to_string(),
            is_new: now.is_some(),
            giver: now.or_else(|| Record::read(store, archive)?.giver),
            is_weak: !archive.checksums.is_strong(),
            instead_of: instead_of.map(|sums| {
                sums.map_or_else(|| "an archive without a checksum".into(), Checksums::to_string)
            }),
        }
    }
}

/// Whether one of the archive's places gave the bytes that are in the store, or nobody knows who
/// did: an archive that somebody has put there is as good as its checksum.
pub(super) fn is_known(store: &Store, archive: &Archive) -> bool {
    let Some(Record { places, .. }) = Record::read(store, archive) else { return true };
    archive.places.is_empty() || archive.places.iter().any(|place| places.contains(&place.to_string()))
}

/// Remembers who gave the right bytes. Where it was none of the document's places, those count as
/// known too: they need not be asked any more. That remembering fails costs a check of a changed
/// place, nothing else.
pub(super) fn remember(store: &Store, archive: &Archive, giver: &Giver) {
    let before = Record::read(store, archive);
    let mut places = before.as_ref().map(|record| record.places.clone()).unwrap_or_default();
    let mut add = |place: String| {
        if !places.contains(&place) {
            places.push(place);
        }
    };
    match giver {
        Giver::Place(place) => add(place.clone()),
        _ => archive.places.iter().for_each(|place| add(place.to_string())),
    }
    let record = Record { places, giver: Some(giver.clone()) };
    if before.as_ref() != Some(&record) {
        let path = memory(store, archive);
        let directory = path.parent().unwrap_or(&path);
        let _ = std::fs::create_dir_all(directory)
            .is_ok_and(|()| store.write_whole(&path, record.text(archive).as_bytes()).is_ok());
    }
}

/// What is remembered of an archive: places one line each, then, behind a tab, who gave it last, and
/// that its checksum is weak.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    places: Vec<String>,
    giver: Option<Giver>,
}

impl Record {
    fn read(store: &Store, archive: &Archive) -> Option<Self> {
        let text = std::fs::read_to_string(memory(store, archive)).ok()?;
        let mut record = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split('\t').collect();
            match words[..] {
                ["", "place", place] => record.giver = Some(Giver::Place(place.to_owned())),
                ["", "mirror", file] => record.giver = Some(Giver::ArchiveMirror(file.to_owned())),
                ["", "debian", suite, path] => {
                    record.giver = Some(Giver::Debian { suite: suite.to_owned(), path: path.to_owned() });
                }
                ["", ..] => {}
                _ => record.places.push(line.to_owned()),
            }
        }
        Some(record)
    }

    fn text(&self, archive: &Archive) -> String {
        let mut text: String = self.places.iter().map(|place| format!("{place}\n")).collect();
        match &self.giver {
            Some(Giver::Place(place)) => text.push_str(&format!("\tplace\t{place}\n")),
            Some(Giver::ArchiveMirror(file)) => text.push_str(&format!("\tmirror\t{file}\n")),
            Some(Giver::Debian { suite, path }) => text.push_str(&format!("\tdebian\t{suite}\t{path}\n")),
            None => {}
        }
        if !archive.checksums.is_strong() {
            text.push_str(&format!("\tweak\t{}\n", archive.checksums));
        }
        text
    }
}

fn memory(store: &Store, archive: &Archive) -> std::path::PathBuf {
    store.plans().join("fetched").join(archive.checksums.name().label())
}
