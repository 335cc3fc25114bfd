//! Small sets of packages, random ones against trying everything, and the order of preference.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Solver;
use crate::diagnostic::SourceFile;
use crate::opam::{self, Platform};
use crate::package::index::{Entry, Index, Need, Ordinal, PackageId, VersionSet};
use crate::solve::check::check;

/// Packages as opam files: `name.version`, then the fields.
fn index(packages: &[(&str, &str)]) -> Index {
    let entry = |(package, text): &(&str, &str)| {
        let (name, version) = package.split_once('.').unwrap();
        opam::entry(name, version, &SourceFile::new(*package, text), &Platform::debian("13")).unwrap()
    };
    let entries: Vec<Entry> = packages.iter().map(entry).collect();
    Index::new(&entries).unwrap()
}

fn any(index: &Index, name: &str) -> Need {
    let (id, package) = index.find(name).unwrap();
    Need::Package(id, VersionSet::all(Ordinal::try_from(package.versions.len()).unwrap()))
}

fn solved(packages: &[(&str, &str)], roots: &[&str]) -> Option<String> {
    let index = index(packages);
    let roots: Vec<Need> = roots.iter().map(|root| any(&index, root)).collect();
    let selection = Solver::new(&index).solve(&roots)?;
    check(&index, &roots, &selection).unwrap();
    Some(names(&index, &selection))
}

fn names(index: &Index, selection: &[(PackageId, Ordinal)]) -> String {
    let name = |(id, ordinal): &(PackageId, Ordinal)| {
        format!("{}.{}", index.package(*id).name, index.version(*id, *ordinal).0)
    };
    selection.iter().map(name).collect::<Vec<_>>().join(" ")
}

#[test]
fn newest_versions_first_and_those_to_be_avoided_last() {
    let packages = [
        ("a.1", ""),
        ("a.2", ""),
        ("a.3", "flags: avoid-version"),
        ("a.4", "flags: [deprecated]"),
        ("a.5", "available: os = \"win32\""),
    ];
    assert_eq!(solved(&packages, &["a"]).as_deref(), Some("a.2"));
    assert_eq!(solved(&packages[2..], &["a"]).as_deref(), Some("a.4"));
    assert_eq!(solved(&packages[4..], &["a"]), None);
}

#[test]
fn alternatives_are_tried_as_they_are_written() {
    let compilers = [("system.1", "available: false"), ("built.1", ""), ("other.1", "")];
    let with = |depends| {
        let mut packages = compilers.to_vec();
        packages.push(("top.1", depends));
        solved(&packages, &["top"])
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(with("depends: [\"system\" | \"built\" | \"other\"]"), some("built.1 top.1"));
    assert_eq!(with("depends: [\"other\" | \"built\"]"), some("other.1 top.1"));
    assert_eq!(with("depends: [(\"built\" & \"system\") | \"other\"]"), some("other.1 top.1"));
    assert_eq!(with("depends: [\"system\" | \"nothing\"]"), None);
    // A false condition takes its package away, not the alternative that stays.
    assert_eq!(with("depends: [\"built\" {os = \"win32\"} | \"other\"]"), some("other.1 top.1"));
    assert_eq!(with("depends: [(\"built\" {with-test} | \"other\" {with-doc})]"), some("top.1"));
}

#[test]
fn conflicts_exclude_and_never_install() {
    let packages = [
        ("top.1", "depends: [\"a\" \"b\"]"),
        ("a.1", "conflicts: [\"b\" {>= \"2\"} \"a\"]"),
        ("b.1", ""),
        ("b.2", ""),
    ];
    assert_eq!(solved(&packages, &["top"]).as_deref(), Some("a.1 b.1 top.1"));
    assert_eq!(solved(&packages, &["a"]).as_deref(), Some("a.1"));
    assert_eq!(solved(&packages, &["b", "a"]).as_deref(), Some("a.1 b.1"));
}

#[test]
fn packages_of_one_class_exclude_each_other_and_versions_of_one_do_not() {
    let packages = [
        ("base.1", "conflict-class: \"core\""),
        ("base.2", "conflict-class: [\"core\"]"),
        ("variants.1", "conflict-class: \"core\""),
        ("needs-old.1", "depends: [\"base\" {< \"2\"}]"),
        ("either.1", "depends: [\"variants\" | \"base\"]"),
    ];
    assert_eq!(solved(&packages, &["base", "variants"]), None);
    assert_eq!(solved(&packages, &["needs-old", "either"]).as_deref(), Some("base.1 either.1 needs-old.1"));
}

#[test]
fn a_search_that_fails_everywhere_learns_instead_of_trying_all() {
    // 24 packages of 4 versions each lie between the two that cannot be had together.
    let mut packages = vec![
        ("x.1".to_owned(), "depends: [\"w\" {= \"2\"}]".to_owned()),
        ("z.1".to_owned(), "depends: [\"w\" {= \"1\"}]".to_owned()),
        ("w.1".to_owned(), String::new()),
        ("w.2".to_owned(), String::new()),
    ];
    let mut chain = "depends: [\"z\"]".to_owned();
    for name in ('a'..='x').rev() {
        for version in 1..=4 {
            packages.push((format!("free-{name}.{version}"), chain.clone()));
        }
        chain = format!("depends: [\"free-{name}\"]");
    }
    let packages: Vec<(&str, &str)> = packages.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    assert_eq!(solved(&packages, &["x", "free-a"]), None);
    assert!(solved(&packages, &["free-a"]).is_some());
}

/// A random set of packages in which most questions are hard to decide by looking.
fn random(rng: &mut StdRng) -> Vec<(String, String)> {
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut packages = Vec::new();
    for name in names {
        for version in 1..=rng.gen_range(1..4) {
            let mut depends = String::new();
            for _ in 0..rng.gen_range(0..3) {
                let mut atom = || {
                    let other = names[rng.gen_range(0..names.len())];
                    let relation = ["=", ">=", "<", "!="][rng.gen_range(0..4)];
                    format!("\"{other}\" {{{relation} \"{}\"}}", rng.gen_range(1..4))
                };
                let text = match (atom(), atom(), atom()) {
                    (one, two, three) if one.len() % 2 == 0 => format!("({one} | {two} & {three}) "),
                    (one, ..) => format!("{one} "),
                };
                depends.push_str(&text);
            }
            let other = names[rng.gen_range(0..names.len())];
            let class = if rng.gen_bool(0.2) { "conflict-class: \"k\"\n" } else { "" };
            let conflict = if rng.gen_bool(0.2) {
                format!("conflicts: [\"{other}\" {{>= \"2\"}}]\n")
            } else {
                String::new()
            };
            packages.push((format!("{name}.{version}"), format!("{class}{conflict}depends: [{depends}]")));
        }
    }
    packages
}

/// Whether any selection at all would do, by trying all of them.
fn can_be_had(index: &Index, roots: &[Need]) -> bool {
    let count = index.packages().len();
    let mut places = vec![0; count];
    loop {
        let selection: Vec<(PackageId, Ordinal)> = (0..)
            .zip(&places)
            .filter(|(_, place)| **place > 0)
            .map(|(id, place)| (id, Ordinal::try_from(place - 1).unwrap()))
            .collect();
        if check(index, roots, &selection).is_ok() {
            return true;
        }
        let next = (0..count).find(|at| places[*at] < index.packages()[*at].versions.len());
        let Some(next) = next else { return false };
        places[next] += 1;
        places[..next].fill(0);
    }
}

#[test]
fn random_sets_are_solved_exactly_when_trying_everything_finds_something() {
    let (mut possible, mut impossible) = (0, 0);
    for seed in 0..400 {
        let packages = random(&mut StdRng::seed_from_u64(seed));
        let packages: Vec<(&str, &str)> = packages.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
        let index = index(&packages);
        let roots = [any(&index, "a"), any(&index, "b")];
        match Solver::new(&index).solve(&roots) {
            Some(selection) => {
                check(&index, &roots, &selection).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                possible += 1;
            }
            None => {
                assert!(!can_be_had(&index, &roots), "seed {seed}: there is a solution");
                impossible += 1;
            }
        }
    }
    assert!(possible > 50 && impossible > 50, "{possible} {impossible}");
}

#[test]
fn a_solver_that_is_used_again_gives_the_same_answers() {
    let packages = random(&mut StdRng::seed_from_u64(3));
    let packages: Vec<(&str, &str)> = packages.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    let index = index(&packages);
    let questions: Vec<[Need; 1]> =
        ["a", "b", "c", "d", "e", "f"].map(|name| [any(&index, name)]).into_iter().collect();
    let mut solver = Solver::new(&index);
    for _ in 0..3 {
        for roots in &questions {
            assert_eq!(solver.solve(roots), Solver::new(&index).solve(roots));
        }
    }
}
