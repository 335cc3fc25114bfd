//! Tests of the solver on small package sets, and of the exact texts for what has no solution.

use std::path::Path;

use insta::assert_snapshot;
use tempfile::TempDir;

use super::*;
use crate::diagnostic::{SourceFile, golden};
use crate::name::PackageName;
use crate::recipe::overlay::Recipes;
use crate::solution::{DependencyKind, Reason};
use crate::version::Version;

/// A package set of `(name, version, rest of the recipe)`, beside the built-in ones.
fn package_set(packages: &[(&str, &str, &str)]) -> (TempDir, Recipes) {
    let directory = tempfile::tempdir().unwrap();
    for (name, version, rest) in packages {
        let folder = directory.path().join("packages").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!("description = \"{name}\"\n{rest}\n[build]\nsystem = \"none\"\n");
        std::fs::write(folder.join(format!("{version}.toml")), text).unwrap();
    }
    let recipes = Recipes::with_overrides(&[directory.path().to_owned()]).unwrap();
    (directory, recipes)
}

fn universe(packages: &[&str]) -> Universe {
    let lines: Vec<String> = packages.iter().map(|package| format!("  \"{package}\",\n")).collect();
    let text = format!("name = \"u\"\ncompiler = \"ocaml.5.4.1\"\npackages = [\n{}]\n", lines.concat());
    Universe::parse(SourceFile::new("universe.toml", &text), Path::new(""), |_| unreachable!()).unwrap()
}

fn solve_with(
    packages: &[(&str, &str, &str)],
    asked: &[&str],
    lock: Option<&Lock>,
) -> Result<Solution, SolveError> {
    let (_directory, recipes) = package_set(packages);
    let packages = PackageSet::new(&recipes).unwrap();
    solve(&universe(asked), &packages, lock)
}

/// The solution as `name.version` of each package, in order.
fn solved(packages: &[(&str, &str, &str)], asked: &[&str], lock: Option<&Lock>) -> Vec<String> {
    names(&solve_with(packages, asked, lock).unwrap_or_else(|error| panic!("{error}")))
}

fn names(solution: &Solution) -> Vec<String> {
    solution.packages.iter().map(|package| format!("{}.{}", package.name(), package.version())).collect()
}

fn unsolvable(packages: &[(&str, &str, &str)], asked: &[&str]) -> String {
    match solve_with(packages, asked, None) {
        Err(SolveError::Unsolvable(error)) => golden(&error),
        Err(error) => panic!("{error}"),
        Ok(solution) => panic!("{:?}", names(&solution)),
    }
}

#[test]
fn the_newest_versions_come_in_the_order_in_which_they_can_be_built() {
    let packages = [
        ("a-top", "1", "depends = [\"z-low\"]\nbuild-depends = [\"tool\"]"),
        ("z-low", "1.9", ""),
        ("z-low", "1.10", ""),
        ("z-low", "2.0~rc1", ""),
        ("tool", "1", "depends = [\"z-low < 2.0~\"]"),
    ];
    assert_eq!(solved(&packages, &["a-top"], None), ["ocaml.5.4.1", "z-low.1.10", "tool.1", "a-top.1"]);
}

#[test]
fn edges_of_each_kind_are_kept_apart_and_reasons_are_told() {
    let packages = [
        (
            "top",
            "1",
            "depends = [\"low\"]\nbuild-depends = [\"tool\"]\njavascript.primitives-from = [\"stubs\"]",
        ),
        ("low", "1", ""),
        ("tool", "1", "depends = [\"toollib\"]"),
        ("toollib", "1", ""),
        // Needs the package whose primitives it implements: no cycle, as no build needs it.
        ("stubs", "1", "depends = [\"top\"]"),
    ];
    let solution = solve_with(&packages, &["top", "low"], None).unwrap();
    let id = |name: &str| solution.find(&PackageName::new(name).unwrap()).unwrap();
    let top = &solution.packages[id("top")];
    assert_eq!(top.depends, [id("low")]);
    assert_eq!(top.build_depends, [id("tool")]);
    assert_eq!(top.primitives_from, [id("stubs")]);
    assert_eq!(solution.targets[0].roots, [id("ocaml"), id("top"), id("low")]);
    let mut build = vec![id("low"), id("tool"), id("toollib")];
    build.sort_unstable();
    assert_eq!(solution.build_closure(id("top")), build);
    let mut offered = vec![id("ocaml"), id("low"), id("top")];
    offered.sort_unstable();
    assert_eq!(solution.offered(&solution.targets[0]), offered);
    let [Reason::Asked { requirement }, Reason::NeededBy { package, kind, .. }] =
        solution.packages[id("low")].reasons.as_slice()
    else {
        panic!("{:?}", solution.packages[id("low")].reasons)
    };
    assert_eq!(
        (requirement.to_string().as_str(), *package, *kind),
        ("low", id("top"), DependencyKind::Runtime)
    );
}

#[test]
fn an_older_version_is_taken_when_only_that_agrees_with_the_rest() {
    let packages = [
        ("a", "2", "depends = [\"c >= 2\"]"),
        ("a", "1", "depends = [\"c\"]"),
        ("b", "2", "depends = [\"c >= 2\"]"),
        ("b", "1", "depends = [\"c < 2\"]"),
        ("c", "2", "depends = [\"d\"]"),
        ("c", "1", ""),
        ("d", "1", "depends = [\"b < 2\"]"),
    ];
    assert_eq!(solved(&packages, &["a", "b"], None), ["c.1", "a.1", "b.1", "ocaml.5.4.1"]);
}

#[test]
fn a_locked_version_is_kept_as_long_as_it_is_allowed() {
    let packages = [("a", "1", ""), ("a", "2", ""), ("a", "3", "")];
    let pin = |version| {
        let pin = (PackageName::new("a").unwrap(), Version::new(version).unwrap());
        Lock { packages: [pin].into(), ..Lock::default() }
    };
    assert_eq!(solved(&packages, &["a"], Some(&pin("2"))), ["a.2", "ocaml.5.4.1"]);
    assert_eq!(solved(&packages, &["a != 2"], Some(&pin("2"))), ["a.3", "ocaml.5.4.1"]);
    assert_eq!(solved(&packages, &["a"], Some(&pin("9"))), ["a.3", "ocaml.5.4.1"]);
}

#[test]
fn every_built_in_package_can_be_had() {
    let recipes = Recipes::built_in();
    let packages = PackageSet::new(&recipes).unwrap();
    let all: Vec<&str> = packages.names().map(PackageName::as_str).collect();
    let whole = solve(&universe(&all), &packages, None);
    let solution = whole.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(solution.packages.len(), all.len());
    for name in packages.names() {
        for candidate in packages.versions(name) {
            let asked = format!("{name} = {}", candidate.version);
            let solved = solve(&universe(&[&asked]), &packages, None);
            assert!(solved.is_ok(), "{asked}: {}", solved.unwrap_err());
        }
    }
}

#[test]
fn a_long_search_without_a_solution_ends() {
    // Without a jump back to what is to blame, all combinations of `a` to `t` would be tried.
    let names: Vec<String> = ('a'..='t').map(|name| format!("free-{name}")).collect();
    let mut packages: Vec<(&str, &str, &str)> = Vec::new();
    for name in &names {
        packages.extend([(name.as_str(), "1", ""), (name, "2", ""), (name, "3", "")]);
    }
    packages.push(("x", "1", "depends = [\"y = 1\"]"));
    packages.push(("y", "1", "depends = [\"w = 2\"]"));
    packages.push(("z", "1", "depends = [\"w = 1\"]"));
    packages.extend([("w", "1", ""), ("w", "2", "")]);
    let mut asked: Vec<&str> = vec!["x"];
    asked.extend(names.iter().map(String::as_str));
    asked.push("z");
    assert_snapshot!(unsolvable(&packages, &asked));
}

#[test]
fn unknown_packages_and_versions_are_told_all_at_once() {
    assert_snapshot!(unsolvable(&[("low", "1", "")], &["fmtt", "low > 1 & < 5", "quite-different", "low"]));
}

#[test]
fn a_dependency_that_is_no_package() {
    assert_snapshot!(unsolvable(&[("top", "1", "depends = [\"midd\"]"), ("middle", "1", "")], &["top"]));
}

#[test]
fn a_dependency_of_which_no_version_will_do() {
    let packages = [
        ("top", "1", "depends = [\"middle\"]"),
        ("middle", "1", "build-depends = [\"low >= 2\"]"),
        ("low", "1", ""),
    ];
    assert_snapshot!(unsolvable(&packages, &["top"]));
}

#[test]
fn two_demands_that_cannot_be_met_together() {
    let packages = [
        ("cli", "0.9", ""),
        ("cli", "1.1", ""),
        ("pretty", "0.9.0", "depends = [\"cli >= 1.0\"]"),
        ("pretty", "0.8.0", "depends = [\"cli >= 1.0\"]"),
        ("unrelated", "1", ""),
    ];
    assert_snapshot!(unsolvable(&packages, &["unrelated", "pretty", "cli = 0.9"]));
}

#[test]
fn a_compiler_that_a_package_does_not_work_with() {
    assert_snapshot!(unsolvable(&[("new", "1", "depends = [\"ocaml >= 99\"]")], &["new"]));
}

#[test]
fn packages_that_need_each_other() {
    let packages = [
        ("top", "1", "depends = [\"a\"]"),
        ("a", "1", "depends = [\"b\"]"),
        ("b", "2", "build-depends = [\"a\"]"),
        ("other", "1", ""),
    ];
    assert_snapshot!(unsolvable(&packages, &["other", "top"]));
}

#[test]
fn a_recipe_that_is_needed_and_broken_is_told_with_its_own_file() {
    let error = solve_with(&[("bad", "1", "depnds = []")], &["bad"], None).unwrap_err();
    let SolveError::Recipe(PackageError::Recipe(error)) = error else { panic!("{error}") };
    assert!(error.file.ends_with("packages/bad/1.toml"));
    assert_eq!(error.problems[0].help.as_deref(), Some("did you mean `depends`?"));
}
