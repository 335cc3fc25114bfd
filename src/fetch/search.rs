//! One fetch: who is asked for an archive, in which order, and what all the answers come to.
//!
//! ```text
//! not in the store                        in the store, but from other places
//!   local files of the document             places of the document
//!   archive mirrors                         archive mirrors
//!   the Debian archive, if its index        the Debian archive
//!     is in the store already
//!   other places of the document
//!   the Debian archive; its index is
//!     fetched now, once a run at most
//! ```
//!
//! Mirrors and the Debian archive are asked by checksum. They are no part of a document, so what
//! they fail to give is never a verdict on it. Those that gave wrong bytes are asked after all others.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::debian::sources::SourceIndex;
use super::http::{self, Trouble};
use super::landing::Landing;
use super::mirror::{Located, Mirror, MirrorError};
use super::origins::{self, Giver};
use super::{Fetcher, Progress, io_failure, machine, show};
use crate::outcome::Failure;
use crate::source::{Archive, Checksum, Place, file_name_of};
use crate::store::Store;

/// What one place gave.
enum Miss {
    /// Other bytes than wanted.
    Mismatch { url: String, expected: String, got: String, size: u64, kept: Option<String> },
    /// Nothing, for a reason that may pass.
    Transient(String),
    /// Nothing, and it will not.
    Lasting(String),
    /// It was not asked: the run is offline.
    Offline,
    /// No other place would do better.
    Fatal(Failure),
}

/// A fetch that is going on.
pub(super) struct Search<'a> {
    pub fetcher: &'a Fetcher,
    pub store: &'a Store,
    pub archive: &'a Archive,
    /// Where the bytes go.
    pub target: &'a Path,
    /// Most bytes of the archive.
    pub max: u64,
    pub progress: Progress<'a>,
    pub stop: &'a AtomicBool,
}

/// What has been learned on the way.
#[derive(Default)]
struct Trail {
    misses: Vec<Miss>,
    /// Origins that gave wrong bytes, each with what it was asked for.
    wrong: Vec<(String, String)>,
}

impl Search<'_> {
    /// Asks until somebody gives the archive, which is then at its place in the store. `is_there`: it
    /// already is, only not from one of the document's places.
    pub fn run(&self, is_there: bool) -> Result<(), Failure> {
        let mut trail = Trail::default();
        let giver = self.ask_all(is_there, &mut trail).map_err(|failure| *failure)?;
        let Some(giver) = giver else { return Err(verdict(self.archive, trail.misses)) };
        self.fetcher.origins.distrust(trail.wrong);
        self.fetcher.origins.given(&self.archive.checksums.name(), &giver);
        origins::remember(self.store, self.archive, &giver);
        Ok(())
    }

    fn ask_all(&self, is_there: bool, trail: &mut Trail) -> Result<Option<Giver>, Box<Failure>> {
        let places = self.fetcher.origins.in_order(&self.archive.places, self.fetcher);
        // Packages of a suite are nowhere else.
        let is_package =
            !places.is_empty() && places.iter().all(|(place, _)| matches!(place, Place::Mirror(_)));
        let near = if is_there {
            places.len()
        } else {
            places.iter().take_while(|(place, _)| is_local(place)).count()
        };
        let (near, far) = places.split_at(near);
        let mirrors: Vec<&String> = self.fetcher.settings.archive_mirrors.iter().collect();
        let (late, early): (Vec<&String>, _) =
            mirrors.into_iter().partition(|mirror| self.fetcher.origins.is_distrusted(mirror));
        let mut giver = self.ask_places(near, trail)?;
        if is_package {
            return if giver.is_none() { self.ask_places(far, trail) } else { Ok(giver) };
        }
        if giver.is_none() {
            giver = self.ask_mirrors(&early, trail)?;
        }
        if giver.is_none() {
            giver = self.ask_debian(false, trail)?;
        }
        if giver.is_none() {
            giver = self.ask_places(far, trail)?;
        }
        if giver.is_none() {
            giver = self.ask_mirrors(&late, trail)?;
        }
        if giver.is_none() {
            giver = self.ask_debian(true, trail)?;
        }
        Ok(giver)
    }

    fn ask_places(
        &self,
        places: &[(&Place, Option<String>)],
        trail: &mut Trail,
    ) -> Result<Option<Giver>, Box<Failure>> {
        for (place, origin) in places {
            let mut found: Vec<Result<Located, MirrorError>> = match place {
                Place::Url(url) => vec![Ok(Located::Url(url.clone()))],
                Place::Path(path) => vec![Ok(Located::File(path.place()))],
                Place::Mirror(path) => vec![self.locate(path)],
                Place::Debian(file) => self.named(file),
            };
            // The last one speaks for the place.
            let last = found.pop();
            for located in found.into_iter().flatten() {
                if self.get(&located).is_ok() {
                    return Ok(Some(Giver::Place((*place).to_string())));
                }
            }
            let got = match last {
                Some(Ok(located)) => self.get(&located),
                Some(Err(error)) => Err(Miss::Lasting(format!("{place}: {error}"))),
                None => continue,
            };
            match got {
                Ok(()) => return Ok(Some(Giver::Place((*place).to_string()))),
                Err(Miss::Fatal(failure)) => return Err(failure.into()),
                Err(miss) => {
                    if let (Miss::Mismatch { url, .. }, Some(origin)) = (&miss, origin) {
                        trail.wrong.push((origin.clone(), url.clone()));
                    }
                    trail.misses.push(miss);
                }
            }
        }
        Ok(None)
    }

    fn locate(&self, path: &str) -> Result<Located, MirrorError> {
        self.fetcher.mirror().and_then(|mirror| mirror.locate(path))
    }

    /// Where a source archive of the Debian archive may be: where the index has it, if that is at
    /// hand, and where it should be by its name.
    fn named(&self, file: &str) -> Vec<Result<Located, MirrorError>> {
        let known = self.fetcher.catalogue.at_hand(self.fetcher, self.store);
        let mut paths: Vec<String> = known.iter().flat_map(|index| index.named(file)).collect();
        paths.sort();
        paths.dedup();
        match Mirror::source_path(file) {
            Ok(path) if paths.contains(&path) => {}
            Ok(path) => paths.push(path),
            Err(error) if paths.is_empty() => return vec![Err(error)],
            Err(_) => {}
        }
        paths.iter().map(|path| self.locate(path)).collect()
    }

    /// Asks caches in the layout of opam's for each of the checksums.
    fn ask_mirrors(&self, mirrors: &[&String], trail: &mut Trail) -> Result<Option<Giver>, Box<Failure>> {
        for name in mirrors {
            let is_url = name.contains("://");
            let parsed = if is_url { Mirror::parse(name) } else { Ok(Mirror::Directory((*name).into())) };
            let mirror = match parsed {
                Ok(mirror) => mirror,
                Err(error) => {
                    trail.misses.push(Miss::Lasting(error.to_string()));
                    continue;
                }
            };
            let mut reasons = Vec::new();
            for sum in self.archive.checksums.all() {
                let located = match mirror.locate(&sum.path()) {
                    Ok(Located::File(path)) if !path.exists() => continue,
                    Ok(located) => located,
                    Err(_) => continue,
                };
                match self.get(&located) {
                    Ok(()) => return Ok(Some(Giver::ArchiveMirror(show(&located)))),
                    Err(Miss::Fatal(failure)) => return Err(failure.into()),
                    Err(Miss::Mismatch { url, expected, got, .. }) => {
                        trail.wrong.push(((*name).clone(), url.clone()));
                        reasons.push(Miss::Transient(format!(
                            "{url}: wrong checksum {got}, expected {expected}"
                        )));
                        break;
                    }
                    Err(Miss::Lasting(_)) => {}
                    // It is not better under another name.
                    Err(miss) => {
                        reasons.push(miss);
                        break;
                    }
                }
            }
            if reasons.is_empty() {
                reasons.push(Miss::Lasting(format!("the archive mirror {name} does not have it")));
            }
            trail.misses.append(&mut reasons);
        }
        Ok(None)
    }

    /// Looks the checksums up in the `Sources` of the suites, which are fetched if `anew`; then also
    /// the names of source archives among the places.
    fn ask_debian(&self, anew: bool, trail: &mut Trail) -> Result<Option<Giver>, Box<Failure>> {
        let (fetcher, store) = (self.fetcher, self.store);
        let before = fetcher.catalogue.at_hand(fetcher, store);
        let indexes = if anew {
            let (indexes, trouble) = fetcher.catalogue.fetched(fetcher, store, self.stop);
            if self.stop.load(Ordering::Relaxed) {
                return Err(Failure::Cancelled.into());
            }
            trail.misses.extend(trouble.iter().map(|trouble| {
                let reason = trouble.to_string();
                if trouble.is_transient() { Miss::Transient(reason) } else { Miss::Lasting(reason) }
            }));
            indexes
        } else {
            before.clone()
        };
        // What was known before has been asked.
        let is_news = |suite: &str, path: &String| {
            let old = before.iter().find(|index| index.suite() == suite);
            !anew || old.is_none_or(|old| !self.wanted(old, true).contains(path))
        };
        let mut asked = Vec::new();
        for index in indexes.iter() {
            for path in self.wanted(index, anew) {
                if asked.contains(&path) || !is_news(index.suite(), &path) {
                    continue;
                }
                let Ok(located) = self.locate(&path) else { continue };
                asked.push(path.clone());
                match self.get(&located) {
                    Ok(()) => {
                        return Ok(Some(Giver::Debian { suite: index.suite().to_owned(), path }));
                    }
                    Err(Miss::Fatal(failure)) => return Err(failure.into()),
                    Err(Miss::Mismatch { url, expected, got, .. }) => {
                        let reason = format!("{url}: wrong checksum {got}, expected {expected}");
                        trail.misses.push(Miss::Transient(reason));
                    }
                    Err(Miss::Lasting(reason)) => trail.misses.push(Miss::Transient(reason)),
                    Err(miss) => trail.misses.push(miss),
                }
            }
        }
        if anew && asked.is_empty() && !indexes.is_empty() {
            trail.misses.push(Miss::Lasting(self.not_in(&indexes)));
        }
        Ok(None)
    }

    /// What is said when no index has the archive: what Debian has under such a name, if anything.
    fn not_in(&self, indexes: &[SourceIndex]) -> String {
        let suites: Vec<&str> = indexes.iter().map(SourceIndex::suite).collect();
        let urls = self.archive.places.iter().filter_map(|place| match place {
            Place::Url(url) => Some(url),
            _ => None,
        });
        let starts: BTreeSet<String> = urls.flat_map(|url| packaged_as(url)).collect();
        let near = indexes.iter().flat_map(|index| starts.iter().flat_map(|start| index.beginning(start)));
        let near: BTreeSet<&str> = near.collect();
        let near = match near.into_iter().collect::<Vec<_>>()[..] {
            [] => String::new(),
            ref near => format!(
                "; other bytes of that version are there as {}, which `[source]` in the universe can name",
                near.join(", ")
            ),
        };
        format!("no source archive of Debian's {} has its checksum{near}", suites.join(", "))
    }

    /// The paths below the mirror's root at which an index has this archive.
    fn wanted(&self, index: &SourceIndex, by_name: bool) -> Vec<String> {
        let by_sum = self.archive.checksums.all().find_map(|sum| index.find(&sum));
        let names = self.archive.places.iter().filter_map(|place| match place {
            Place::Debian(file) => Some(file).filter(|_| by_name),
            _ => None,
        });
        let by_name = names.flat_map(|file| index.named(file));
        by_sum.into_iter().chain(by_name).collect()
    }

    /// Tries one place.
    fn get(&self, located: &Located) -> Result<(), Miss> {
        let Self { fetcher, store, archive, .. } = self;
        if fetcher.needs_network(located) {
            return Err(Miss::Offline);
        }
        let mut landing = Landing::new(store, &archive.checksums, self.progress)
            .map_err(|error| Miss::Fatal(machine(&error)))?;
        let done = match located {
            Located::Url(url) => fetcher.client.download(url, self.max, self.stop, &mut landing),
            Located::File(path) => http::copy(path, self.max, self.stop, &mut landing),
        };
        let shown = show(located);
        match done {
            Ok(()) => {}
            Err(Trouble::Cancelled) => return Err(Miss::Fatal(Failure::Cancelled)),
            Err(Trouble::Write(error)) => {
                return Err(Miss::Fatal(io_failure("writing a download", &landing.path, &error)));
            }
            Err(trouble) if trouble.is_transient() => {
                return Err(Miss::Transient(format!("{shown}: {trouble}")));
            }
            Err(trouble) => return Err(Miss::Lasting(format!("{shown}: {trouble}"))),
        }
        let (digests, size) = landing.digests();
        if let Some((expected, got)) = archive.checksums.mismatch(&digests) {
            let kept = landing.keep(store, &digests);
            let (expected, got) = (written(&expected), written(&got));
            return Err(Miss::Mismatch { url: shown, expected, got, size, kept });
        }
        landing.publish(self.target).map_err(|error| Miss::Fatal(machine(&error)))
    }
}

/// How the names of Debian's source archives for what a URL names would begin: `fmt_0.9.0.orig.tar`
/// for `…/fmt-0.9.0.tbz` and for `…/fmt/archive/v0.9.0.tar.gz`.
fn packaged_as(url: &str) -> Vec<String> {
    let Some(file) = file_name_of(url) else { return Vec::new() };
    let ends = [".tbz", ".tgz", ".zip", ".tar.gz", ".tar.bz2", ".tar.xz", ".orig.tar.gz"];
    let stem = ends.iter().find_map(|end| file.strip_suffix(end)).unwrap_or(file);
    let is_version = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    let bare = |text: &str| text.strip_prefix('v').filter(|rest| is_version(rest)).unwrap_or(text).to_owned();
    let split = stem.rmatch_indices('-').map(|(at, _)| (&stem[..at], bare(&stem[at + 1..])));
    let mut found: Vec<(String, String)> = split
        .filter(|(_, version)| is_version(version))
        .map(|(name, version)| (name.to_owned(), version))
        .collect();
    let repository = url.split("/archive/").next().and_then(|path| path.rsplit('/').next());
    if let Some(repository) = repository.filter(|_| url.contains("/archive/") && is_version(&bare(stem))) {
        found.push((repository.to_owned(), bare(stem)));
    }
    let start = |name: &str, version: &str| format!("{name}_{version}.orig.tar");
    found
        .iter()
        .flat_map(|(name, version)| {
            let name = name.to_ascii_lowercase().replace('_', "-");
            [start(&name, version), start(&format!("ocaml-{name}"), version)]
        })
        .collect()
}

/// Whether asking costs no network, whatever the mirrors are.
fn is_local(place: &Place) -> bool {
    match place {
        Place::Path(_) => true,
        Place::Url(url) => url.starts_with("file:"),
        Place::Debian(_) | Place::Mirror(_) => false,
    }
}

/// What all places together come to.
fn verdict(archive: &Archive, misses: Vec<Miss>) -> Failure {
    let what = match archive.places.first() {
        Some(place) => place.to_string(),
        None => {
            format!("the archive with {}, for which no place is known,", spoken(&archive.checksums.name()))
        }
    };
    if misses.iter().any(|miss| matches!(miss, Miss::Offline)) {
        return Failure::Offline { what };
    }
    let lost = misses.iter().any(|miss| matches!(miss, Miss::Lasting(_)));
    let settled = !misses.iter().any(|miss| matches!(miss, Miss::Transient(_)));
    let mut tried = Vec::new();
    for miss in misses {
        match miss {
            Miss::Mismatch { url, expected, got, size, kept } if settled => {
                return Failure::HashMismatch { url, expected, got, size, kept };
            }
            Miss::Mismatch { url, expected, got, size, .. } => {
                tried.push(format!("{url}: wrong checksum {got} ({size} bytes), expected {expected}"));
            }
            Miss::Transient(reason) | Miss::Lasting(reason) => tried.push(reason),
            Miss::Offline | Miss::Fatal(_) => {}
        }
    }
    Failure::FetchFailed { what, tried, lost }
}

/// A checksum as messages have it: the usual kind needs no name.
pub(super) fn written(sum: &Checksum) -> String {
    match sum {
        Checksum::Sha256(sum) => sum.to_hex(),
        other => other.to_string(),
    }
}

fn spoken(sum: &Checksum) -> String {
    let kind = match sum {
        Checksum::Sha256(_) => "SHA-256",
        Checksum::Sha512(_) => "SHA-512",
        Checksum::Md5(_) => "MD5",
    };
    format!("{kind} {}", sum.to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_debian_would_give_follow_from_urls() {
        let cases = [
            ("https://example.org/fmt/releases/fmt-0.9.0.tbz", "fmt_0.9.0.orig.tar"),
            (
                "https://example.org/o/ocamlbuild/archive/refs/tags/0.16.1.tar.gz",
                "ocamlbuild_0.16.1.orig.tar",
            ),
            (
                "https://example.org/o/ocamlfind/archive/refs/tags/findlib-1.9.8.tar.gz",
                "findlib_1.9.8.orig.tar",
            ),
            ("https://example.org/J/base/archive/v0.17.3.tar.gz", "base_0.17.3.orig.tar"),
            ("https://example.org/d/js_of_ocaml-6.0.1+x.tbz", "ocaml-js-of-ocaml_6.0.1+x.orig.tar"),
        ];
        for (url, name) in cases {
            assert!(packaged_as(url).iter().any(|start| start == name), "{url}: {:?}", packaged_as(url));
        }
        for url in ["https://example.org", "https://example.org/x.tbz", "https://example.org/a/archive?sha=0"]
        {
            assert_eq!(packaged_as(url), [""; 0], "{url}");
        }
    }
}
