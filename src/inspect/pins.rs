//! What differs between two locks: package versions, packages of the bases, commits of repositories.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::lock::Lock;
use crate::source::PinnedDeb;

/// A name with what it stands for before and afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sides<T> {
    pub name: String,
    /// Nothing where there was, or is, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<T>,
}

/// Words on both sides: versions, commits.
pub type Pair = Sides<String>;

impl<T: Clone + PartialEq> Sides<T> {
    /// What differs between two maps, by name.
    pub fn between(before: &BTreeMap<String, T>, after: &BTreeMap<String, T>) -> Vec<Self> {
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let sides = |name: &String| Self {
            name: name.clone(),
            before: before.get(name).cloned(),
            after: after.get(name).cloned(),
        };
        names.into_iter().map(sides).filter(|sides| sides.before != sides.after).collect()
    }
}

/// An OCaml package as one side has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageSide {
    pub version: String,
    /// On sites: the part of its URL that is made from its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,
    /// On sites: all its files, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// A distribution's packages, of one base or of the libraries taken from a suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BaseDifference {
    /// The base's name; `debian` for libraries.
    pub base: String,
    /// The suite and the date of its release file, where they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suite: Option<Pair>,
    /// Packages by name, with their versions. Where both are the same, the bytes are not.
    pub packages: Vec<Pair>,
}

/// Everything in which two locks differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PinDifferences {
    /// Versions of OCaml packages.
    pub packages: Vec<Sides<PackageSide>>,
    /// Programs of the bases that make what is published: `ocaml`, `js_of_ocaml`.
    pub toolchain: Vec<Pair>,
    pub bases: Vec<BaseDifference>,
    /// Opam repositories by their places: commits, else the content.
    pub repositories: Vec<Pair>,
}

/// What a base calls the programs that users know, and what users call them.
const TOOLCHAIN: [(&str, &str); 2] = [("ocaml", "ocaml"), ("js-of-ocaml", "js_of_ocaml")];

/// Compares what two locks pin.
pub fn compare(before: &Lock, after: &Lock) -> PinDifferences {
    PinDifferences {
        packages: Sides::between(&versions(before), &versions(after)),
        toolchain: Pair::between(&toolchain(before), &toolchain(after)),
        bases: bases(before, after),
        repositories: Pair::between(&repositories(before), &repositories(after)),
    }
}

fn versions(lock: &Lock) -> BTreeMap<String, PackageSide> {
    let side = |version: String| PackageSide { version, content_hash: None, bytes: None };
    lock.packages.iter().map(|(name, version)| (name.to_string(), side(version.to_string()))).collect()
}

fn toolchain(lock: &Lock) -> BTreeMap<String, String> {
    let debs = lock.bases.values().flat_map(|base| &base.packages);
    let known = debs.filter_map(|deb| {
        let (_, name) = TOOLCHAIN.iter().find(|(package, _)| *package == deb.name)?;
        Some(((*name).to_owned(), deb.version.clone()))
    });
    known.collect()
}

fn repositories(lock: &Lock) -> BTreeMap<String, String> {
    let of = |repository: &crate::lock::LockedRepository| {
        let content = repository.commit.clone().unwrap_or_else(|| repository.tree.clone());
        (repository.place.clone(), content)
    };
    lock.repositories.iter().map(of).collect()
}

/// The packages of a base with where they come from.
struct Base<'a> {
    suite: String,
    debs: BTreeMap<&'a str, &'a PinnedDeb>,
}

fn of_lock(lock: &Lock) -> BTreeMap<String, Base<'_>> {
    let of_bases = lock.bases.iter().map(|(name, base)| {
        let debs = base.packages.iter().map(|deb| (deb.name.as_str(), deb)).collect();
        (name.to_string(), Base { suite: format!("{} of {}", base.suite, base.release_date), debs })
    });
    let of_libraries = lock.debian.iter().map(|locked| {
        let debs = locked.libraries.values().flat_map(|library| &library.debs);
        let debs = debs.map(|deb| (deb.name.as_str(), deb)).collect();
        ("debian".to_owned(), Base { suite: format!("{} of {}", locked.suite, locked.release_date), debs })
    });
    of_bases.chain(of_libraries).collect()
}

fn bases(before: &Lock, after: &Lock) -> Vec<BaseDifference> {
    let (before, after) = (of_lock(before), of_lock(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        let suite = Pair {
            name: "suite".to_owned(),
            before: old.map(|base| base.suite.clone()),
            after: new.map(|base| base.suite.clone()),
        };
        let debs: BTreeSet<&str> =
            [old, new].into_iter().flatten().flat_map(|base| base.debs.keys().copied()).collect();
        let mut packages = Vec::new();
        for deb in debs {
            let of = |base: Option<&Base<'_>>| base.and_then(|base| base.debs.get(deb).copied()).cloned();
            let (old, new) = (of(old), of(new));
            if old.as_ref().map(|deb| &deb.sha256) != new.as_ref().map(|deb| &deb.sha256) {
                let version = |deb: Option<PinnedDeb>| deb.map(|deb| deb.version);
                packages.push(Pair { name: deb.to_owned(), before: version(old), after: version(new) });
            }
        }
        let suite = Some(suite).filter(|suite| suite.before != suite.after);
        if suite.is_some() || !packages.is_empty() {
            found.push(BaseDifference { base: name.clone(), suite, packages });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceFile;

    fn lock(text: &str) -> Lock {
        Lock::read(&SourceFile::new("universe.lock", text)).unwrap()
    }

    fn deb(name: &str, version: &str, digit: char) -> String {
        let sum = digit.to_string().repeat(64);
        format!(
            "[[base.ocaml.package]]\nname = \"{name}\"\nversion = \"{version}\"\npath = \"p/{name}\"\nsize = 1\nsha256 = \"{sum}\"\n"
        )
    }

    fn told(pairs: &[Pair]) -> Vec<String> {
        let word = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".into());
        pairs
            .iter()
            .map(|pair| format!("{} {} {}", pair.name, word(&pair.before), word(&pair.after)))
            .collect()
    }

    #[test]
    fn pins_are_compared_by_name() {
        let head = |date: &str| {
            format!("[base.ocaml]\nsuite = \"forky\"\nasked = \"x\"\nrelease-date = \"{date}\"\n")
        };
        let package =
            |name: &str, version: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
        let repository =
            |commit: &str| format!("[[repository]]\nplace = \"R\"\ncommit = \"{commit}\"\ntree = \"t\"\n");
        let before = [
            "format = 1\n".to_owned(),
            repository("a1"),
            package("fmt", "0.9.0"),
            package("gone", "1"),
            head("Mon"),
            deb("ocaml", "5.4.1-1", 'a'),
            deb("same", "1", 'b'),
            deb("rebuilt", "1", 'c'),
        ];
        let after = [
            "format = 1\n".to_owned(),
            repository("b2"),
            package("fmt", "0.10.0"),
            package("new", "2"),
            head("Tue"),
            deb("ocaml", "5.4.2-1", 'd'),
            deb("same", "1", 'b'),
            deb("rebuilt", "1", 'e'),
            deb("added", "3", 'f'),
        ];
        let found = compare(&lock(&before.concat()), &lock(&after.concat()));
        let version = |side: &Option<PackageSide>| side.as_ref().map(|side| side.version.clone());
        let packages = found.packages.iter();
        let packages: Vec<Pair> = packages
            .map(|one| Pair {
                name: one.name.clone(),
                before: version(&one.before),
                after: version(&one.after),
            })
            .collect();
        assert_eq!(told(&packages), ["fmt 0.9.0 0.10.0", "gone 1 -", "new - 2"]);
        assert_eq!(told(&found.toolchain), ["ocaml 5.4.1-1 5.4.2-1"]);
        assert_eq!(told(&found.repositories), ["R a1 b2"]);
        let [base] = found.bases.as_slice() else { panic!("{found:?}") };
        assert_eq!(told(base.suite.as_slice()), ["suite forky of Mon forky of Tue"]);
        assert_eq!(told(&base.packages), ["added - 3", "ocaml 5.4.1-1 5.4.2-1", "rebuilt 1 1"]);
        let same = lock(&before.concat());
        assert_eq!(compare(&same, &same), PinDifferences::default());
    }
}
