//! Our search against resolvo, which shares nothing with it: both find a solution or neither does,
//! and the solutions of both pass the check. Which versions they choose is each one's own business.

mod world;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jtwbuild::diagnostic::SourceFile;
use jtwbuild::opam::{self, Platform};
use jtwbuild::package::formula::{Atom, Formula, Versions};
use jtwbuild::package::index::{Entry, Index, Need, Ordinal, PackageId, VersionSet};
use jtwbuild::solve::check::check;
use jtwbuild::solve::sat::Solver;
use jtwbuild::version::Relation;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::world::World;

/// What came of comparing some questions.
#[derive(Debug, Default)]
struct Tally {
    solvable: usize,
    unsolvable: usize,
    /// Solvable, and not with the same versions.
    different: usize,
    ours: Duration,
    theirs: Duration,
    /// Making names and sets of an index, before the first question.
    translation: Duration,
}

/// Asks both solvers all `questions`; panics where one of them is wrong.
fn compare(what: &str, index: &Index, questions: &[Vec<Need>], tally: &mut Tally) {
    let begun = Instant::now();
    let mut world = World::new(index);
    let theirs: Vec<_> = questions.iter().map(|roots| world.requirements(roots)).collect();
    tally.translation += begun.elapsed();
    let (mut our_solver, mut their_solver) = (Solver::new(index), world.solver());
    for (at, (roots, requirements)) in questions.iter().zip(theirs).enumerate() {
        let begun = Instant::now();
        let ours = our_solver.solve(roots);
        tally.ours += begun.elapsed();
        let begun = Instant::now();
        let theirs = world.solve(&mut their_solver, requirements);
        tally.theirs += begun.elapsed();
        for (who, selection) in [("ours", &ours), ("resolvo's", &theirs)] {
            if let Some(Err(violation)) = selection.as_ref().map(|selection| check(index, roots, selection)) {
                panic!("{what}, question {at}: {who} is wrong: {violation}");
            }
        }
        let found = |selection: &Option<_>| if selection.is_some() { "finds one" } else { "finds none" };
        assert_eq!(found(&ours), found(&theirs), "{what}, question {at}: ours, then resolvo's: {roots:?}");
        tally.different += usize::from(ours != theirs);
        *(if ours.is_some() { &mut tally.solvable } else { &mut tally.unsolvable }) += 1;
    }
}

fn any(index: &Index, id: PackageId) -> Need {
    Need::Package(id, VersionSet::all(Ordinal::try_from(index.package(id).versions.len()).unwrap()))
}

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "nowhere"];

fn random_formula(rng: &mut StdRng, depth: u32) -> Formula {
    let parts = |rng: &mut StdRng| (0..rng.gen_range(1..4)).map(|_| random_formula(rng, depth - 1)).collect();
    match if depth == 0 { 0 } else { rng.gen_range(0..10) } {
        0..5 => {
            // Packages that do not exist are rare.
            let among = if rng.gen_bool(0.05) { NAMES.len() } else { NAMES.len() - 1 };
            let relations = [Relation::Equal, Relation::NotEqual, Relation::Less, Relation::GreaterOrEqual];
            let than = rng.gen_range(1..5).to_string();
            let versions = match rng.gen_range(0..relations.len() + 1) {
                0 => Versions::Every,
                at => Versions::That(relations[at - 1], than),
            };
            Formula::Atom(Atom { name: NAMES[rng.gen_range(0..among)].to_owned(), versions })
        }
        5..8 => Formula::Any(parts(rng)),
        _ => Formula::All(parts(rng)),
    }
}

/// A small set of packages with everything in it that an index can say.
fn random_index(rng: &mut StdRng) -> Index {
    let mut entries = Vec::new();
    for name in &NAMES[..NAMES.len() - 1] {
        for version in 1..=rng.gen_range(1..5) {
            let depends = (0..rng.gen_range(0..4)).map(|_| random_formula(rng, 3)).collect();
            entries.push(Entry {
                available: rng.gen_bool(0.9),
                avoid: rng.gen_bool(0.1),
                depends: Some(Formula::All(depends)),
                conflicts: rng.gen_bool(0.3).then(|| random_formula(rng, 1)),
                classes: ["k", "l"].iter().filter(|_| rng.gen_bool(0.15)).map(ToString::to_string).collect(),
                ..Entry::new(name, &version.to_string())
            });
        }
    }
    Index::new(&entries).unwrap()
}

#[test]
fn random_indexes_are_solvable_for_both_solvers_or_for_neither() {
    let rounds = if std::env::var_os("JTWBUILD_LONG").is_some() { 30_000 } else { 1_500 };
    let mut tally = Tally::default();
    for seed in 0..rounds {
        let index = random_index(&mut StdRng::seed_from_u64(seed));
        let root = |name| any(&index, index.find(name).unwrap().0);
        let questions = [vec![root("a")], vec![root("b"), root("c")], vec![root("d"), root("e"), root("f")]];
        compare(&format!("seed {seed}"), &index, &questions, &mut tally);
    }
    println!("{tally:?}");
    assert!(tally.solvable > 500 && tally.unsolvable > 500, "{tally:?}");
}

/// The index of a repository in a directory, without what cannot be read.
fn repository(root: &Path) -> Index {
    let list = |path: &Path| -> Vec<PathBuf> {
        let read = std::fs::read_dir(path).into_iter().flatten();
        read.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    };
    let mut entries = Vec::new();
    for package in list(&root.join("packages")).iter().flat_map(|name| list(name)) {
        let (_, directory) = package.to_str().unwrap().rsplit_once('/').unwrap();
        let (name, version) = directory.split_once('.').unwrap();
        let Ok(text) = std::fs::read_to_string(package.join("opam")) else { continue };
        let file = SourceFile::new(directory, &text);
        entries.push(opam::entry(name, version, &file, &Platform::debian("13")).unwrap());
    }
    Index::new(&entries).unwrap()
}

/// Every name of `index`, each asked for together with `first`: `name.version`.
fn each(index: &Index, first: &str) -> Vec<Vec<Need>> {
    let (name, version) = first.split_once('.').unwrap();
    let (id, package) = index.find(name).unwrap();
    let is_it = |at: &usize| &*package.versions[*at] == version;
    let ordinal = (0..package.versions.len()).find(is_it).unwrap();
    let compiler = Need::Package(id, VersionSet::only(Ordinal::try_from(ordinal).unwrap()));
    let names = (0..).zip(index.packages()).filter(|(_, package)| !package.versions.is_empty());
    names.map(|(id, _)| vec![compiler.clone(), any(index, id)]).collect()
}

#[test]
fn every_name_of_the_small_repository_is_solvable_for_both_or_for_neither() {
    let index = repository(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/opam-repository"));
    let mut tally = Tally::default();
    for compiler in ["compiler.5.3.0", "compiler.5.4.1", "compiler.5.5.0", "compiler-core.5.4.1"] {
        compare(compiler, &index, &each(&index, compiler), &mut tally);
    }
    println!("{tally:?}");
    assert!(tally.solvable >= 20 && tally.unsolvable >= 2, "{tally:?}");
}

/// Needs `JTWBUILD_OPAM_REPOSITORY` (the directory with `packages`). Every 20th name, and all with
/// `JTWBUILD_LONG`.
#[test]
fn names_of_the_real_repository_are_solvable_for_both_or_for_neither() {
    let Some(root) = std::env::var_os("JTWBUILD_OPAM_REPOSITORY") else {
        println!("skipped: JTWBUILD_OPAM_REPOSITORY is not set");
        return;
    };
    let index = repository(Path::new(&root));
    let mut questions = each(&index, "ocaml-base-compiler.5.4.1");
    let names = questions.len();
    if std::env::var_os("JTWBUILD_LONG").is_none() {
        questions = questions.into_iter().step_by(20).collect();
    }
    let mut tally = Tally::default();
    compare("the real repository", &index, &questions, &mut tally);
    println!("{} of {names} names: {tally:?}", questions.len());
}
