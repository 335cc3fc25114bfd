//! Which C primitives are missing once everything that a library requires is loaded.

use std::collections::{BTreeMap, BTreeSet};

use crate::findlib::cycle;
use crate::jtw::{LibraryRecord, Problem};

use super::Placed;

type Known<'a> = BTreeMap<&'a str, &'a LibraryRecord>;

fn known<'a>(placed: &'a [Placed<'_>]) -> Known<'a> {
    let mut known = Known::new();
    for library in placed.iter().flat_map(|one| &one.record.libraries) {
        // Readers take the first of a name, in the order of the index.
        known.entry(&library.name).or_insert(library);
    }
    known
}

/// What `library` needs and neither itself nor anything of `known`, libraries by name, provides that it
/// requires.
pub fn missing_in(library: &LibraryRecord, known: &BTreeMap<&str, &LibraryRecord>) -> Vec<String> {
    let mut missing: BTreeSet<&str> = library.missing.iter().map(String::as_str).collect();
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<&str> = library.requires.iter().map(String::as_str).collect();
    while let Some(name) = waiting.pop().filter(|_| !missing.is_empty()) {
        if let Some(required) = known.get(name).filter(|_| seen.insert(name)) {
            for provided in &required.provides {
                missing.remove(provided.as_str());
            }
            waiting.extend(required.requires.iter().map(String::as_str));
        }
    }
    missing.into_iter().map(str::to_owned).collect()
}

/// What `library` needs and neither itself nor anything that it requires provides.
pub(super) fn missing(library: &LibraryRecord, placed: &[Placed<'_>]) -> Vec<String> {
    if library.missing.is_empty() { Vec::new() } else { missing_in(library, &known(placed)) }
}

/// The same for every member, by library directory, without directories that lack nothing.
pub(super) fn missing_by_directory(placed: &[Placed<'_>]) -> Vec<BTreeMap<String, Vec<String>>> {
    let known = known(placed);
    let of = |one: &Placed<'_>| {
        let mut by_directory: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for library in one.record.libraries.iter().filter(|library| !library.missing.is_empty()) {
            let missing = missing_in(library, &known);
            if !missing.is_empty() {
                by_directory.entry(library.directory.clone()).or_default().extend(missing);
            }
        }
        by_directory.into_iter().map(|(at, names)| (at, names.into_iter().collect())).collect()
    };
    placed.iter().map(of).collect()
}

/// What is wrong between packages: libraries that require what nobody has, and circles.
pub(super) fn across(placed: &[Placed<'_>]) -> Vec<(String, Problem)> {
    let known = known(placed);
    let mut problems = Vec::new();
    for one in placed {
        for library in &one.record.libraries {
            for required in &library.requires {
                if required != "stdlib" && !known.contains_key(required.as_str()) {
                    let (library, required) = (library.name.clone(), required.clone());
                    let problem = Problem::UnknownLibrary { library, required };
                    problems.push((one.member.name.to_owned(), problem));
                }
            }
        }
    }
    let requires: BTreeMap<&str, Vec<&str>> = known
        .iter()
        .map(|(name, library)| (*name, library.requires.iter().map(String::as_str).collect()))
        .collect();
    if let Some(libraries) = cycle(&requires) {
        let owner = placed
            .iter()
            .find(|one| one.record.libraries.iter().any(|library| Some(&library.name) == libraries.first()));
        let problem = Problem::Cycle { libraries };
        // A circle inside one package is in that package's record already.
        if let Some(owner) = owner.filter(|owner| !owner.record.problems.contains(&problem)) {
            problems.push((owner.member.name.to_owned(), problem));
        }
    }
    problems
}
