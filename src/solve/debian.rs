//! Libraries of a Debian suite as packages of a solution: the lock says which, so nothing is left to
//! choose.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::lock::debian::LockedLibraries;
use crate::name::PackageName;
use crate::solution::{Chosen, DebianRelease, PackageId, Release, Solution};

/// Adds the libraries of the lock to every target; those that are `asked` for are roots of it.
/// `javascript` says which packages have the primitives of which.
pub fn add(
    solution: &mut Solution,
    locked: &LockedLibraries,
    asked: &[PackageName],
    javascript: &BTreeMap<PackageName, Vec<PackageName>>,
) {
    let first = solution.packages.len();
    let ids: BTreeMap<&PackageName, PackageId> =
        locked.libraries.keys().enumerate().map(|(at, name)| (name, first + at)).collect();
    let ids_of = |names: &[PackageName]| -> Vec<PackageId> {
        let mut found: Vec<_> = names.iter().filter_map(|name| ids.get(name).copied()).collect();
        found.sort_unstable();
        found
    };
    for (name, library) in &locked.libraries {
        let release = DebianRelease {
            name: name.clone(),
            version: library.version.clone(),
            description: library.description.clone(),
            debs: library.debs.clone(),
        };
        solution.packages.push(Chosen {
            release: Release::Debian(Arc::new(release)),
            // They may depend on each other in a circle, and every one of them is in every target anyway.
            depends: Vec::new(),
            build_depends: Vec::new(),
            primitives_from: javascript.get(name).map(|names| ids_of(names)).unwrap_or_default(),
            reasons: Vec::new(),
        });
    }
    for target in &mut solution.targets {
        target.extra.extend(ids.values());
        target.roots.extend(asked.iter().filter_map(|name| ids.get(name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::debian::LockedLibrary;
    use crate::solution::Target;
    use crate::source::{PinnedDeb, Sha256};

    #[test]
    fn libraries_join_every_target_and_only_those_that_are_named_are_asked_for() {
        let name = |text: &str| PackageName::new(text).unwrap();
        let library = |text: &str| {
            let (version, path) = ("1:2.0-1".to_owned(), format!("pool/{text}.deb"));
            let deb =
                PinnedDeb { name: text.into(), version, path, size: 1, sha256: Sha256::from_bytes([1; 32]) };
            (name(text), LockedLibrary::new(vec![deb], "words".into(), Vec::new()).unwrap())
        };
        let locked = LockedLibraries {
            suite: "forky".into(),
            asked: String::new(),
            release_date: String::new(),
            libraries: ["liba-ocaml-dev", "libb-ocaml-dev"].map(library).into(),
        };
        let target = || Target { name: None, roots: vec![], compiler: None, extra: vec![] };
        let mut solution = Solution { packages: vec![], targets: vec![target(), target()] };
        let javascript = [(name("liba-ocaml-dev"), vec![name("libb-ocaml-dev"), name("libc-ocaml-dev")])];
        add(&mut solution, &locked, &[name("libb-ocaml-dev")], &javascript.into());
        let shown: Vec<_> = solution.packages.iter().map(Chosen::full_name).collect();
        assert_eq!(shown, ["liba-ocaml-dev.2.0-1", "libb-ocaml-dev.2.0-1"]);
        assert_eq!(solution.packages[0].primitives_from, [1]);
        for target in &solution.targets {
            assert_eq!(solution.offered(target), [0, 1]);
            assert_eq!(target.roots, [1]);
        }
    }
}
