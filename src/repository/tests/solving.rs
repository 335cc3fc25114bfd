//! Choosing versions from repositories: what their files say, from the text to the solution.

use insta::assert_snapshot;

use super::{Bench, fixture, index};
use crate::package::index::{Index, Need, VersionSet};
use crate::repository::Repositories;
use crate::solve::check::check;
use crate::solve::sat::Solver;
use crate::solve::story::story;

/// `fmt` or `fmt.0.9.0`, as roots.
fn roots(index: &Index, asked: &[&str]) -> Vec<Need> {
    let root = |text: &&str| {
        let (name, version) = text.split_once('.').unwrap_or((text, ""));
        let (id, package) = index.find(name).unwrap();
        let all = u16::try_from(package.versions.len()).unwrap();
        let at = package.versions.iter().position(|one| **one == *version);
        Need::Package(id, at.map_or(VersionSet::all(all), |at| VersionSet::only(u16::try_from(at).unwrap())))
    };
    asked.iter().map(root).collect()
}

/// The chosen versions, sorted; or why there are none.
fn solve(index: &Index, asked: &[&str]) -> Result<String, String> {
    let roots = roots(index, asked);
    let Some(selection) = Solver::new(index).solve(&roots) else {
        let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
        return Err(story(index, &roots, &asked).join("\n"));
    };
    assert_eq!(check(index, &roots, &selection), Ok(()));
    let name = |id, ordinal| format!("{}.{}", index.package(id).name, index.version(id, ordinal).0);
    let mut chosen: Vec<String> = selection.iter().map(|(id, ordinal)| name(*id, *ordinal)).collect();
    chosen.sort();
    Ok(chosen.join(" "))
}

fn of_fixture() -> Index {
    index(&Bench::new().open(&[fixture().to_str().unwrap()]).unwrap()).index
}

#[test]
fn versions_are_chosen_by_what_opam_files_say() {
    let index = of_fixture();
    let good = [
        // The newest that is not to be avoided; circles through `post` are no matter; no tests.
        (&["pretty"][..], "builder.2.1 compiler-core.5.4.1 compiler.5.4.1 pretty.1.0"),
        (&["compiler-core.5.3.0", "pretty"], "builder.2.1 compiler-core.5.3.0 compiler.5.3.0 pretty.1.0"),
        (&["pretty.0.9.0"], "builder.2.1 compiler-core.5.3.0 compiler.5.3.0 pretty.0.9.0"),
        // For want of others.
        (&["compiler.5.5.0"], "compiler-core.5.5.0~beta1 compiler.5.5.0"),
        // Optional dependencies are not installed, conflicts with old versions of them hold.
        (&["pretty.1.0", "colour"], "builder.2.1 colour.1.2 compiler-core.5.4.1 compiler.5.4.1 pretty.1.0"),
        // Toolkits for another system are no demand at all.
        (&["window"], "builder.2.1 compiler-core.5.4.1 compiler.5.4.1 pretty.1.0 window.1"),
    ];
    for (asked, expected) in good {
        assert_eq!(solve(&index, asked).as_deref(), Ok(expected), "{asked:?}");
    }
}

#[test]
fn contradictions_are_told_by_the_chain_that_leads_to_them() {
    let index = of_fixture();
    let bad: [&[&str]; 5] = [
        &["compiler-core.5.4.1", "other-core"],
        &["compiler-core.5.4.1", "pretty.0.9.0"],
        &["pretty.1.0", "colour.1.0"],
        &["compiler-core.5.4.1", "compiler-core.5.3.0"],
        // It is not available without a compiler of the system.
        &["compiler-system"],
    ];
    let told = bad.map(|asked| format!("{}:\n{}\n", asked.join(" "), solve(&index, asked).unwrap_err()));
    assert_snapshot!(told.join("\n"));
}

#[test]
fn thousands_of_versions_that_all_fail_are_no_burden() {
    let bench = Bench::new();
    let versions = if std::env::var_os("JTWBUILD_LONG").is_some() { 4_000 } else { 150 };
    for number in 0..versions {
        bench.package("r", "a", &number.to_string(), &format!("depends: [\"b\" {{= \"{number}\"}}]"));
        let next = (number + 1) % versions;
        bench.package("r", "b", &number.to_string(), &format!("depends: [\"a\" {{= \"{next}\" & post}}]"));
    }
    let index = index(&bench.open(&["r"]).unwrap()).index;
    let told = solve(&index, &["a"]).unwrap_err();
    assert!(told.len() < 2_000, "{told}");
}

/// Packages of the set whose answer is compared.
const NAMES: usize = 18;

/// The order of directories, of hash maps and of threads has no say, nor where the index comes from.
#[test]
fn the_answer_depends_on_the_files_alone() {
    let bench = Bench::new();
    let names: Vec<String> = (0..NAMES).map(|number| format!("p{number}")).collect();
    let write = |repository: &str, number: usize| {
        for version in 1..=3 {
            let needs = (1..=4).map(|step| {
                let (other, from) = ((number * 7 + step * 13 + version) % NAMES, 1 + (number + step) % 3);
                format!("(\"p{other}\" {{>= \"{from}\"}} | \"p{}\")", (other + 1) % NAMES)
            });
            let needs: Vec<String> = needs.collect();
            let text = format!(
                "depends: [{}]\nconflicts: [\"p{}\" {{= \"1\"}}]",
                needs.join(" "),
                (number + 5) % NAMES
            );
            bench.package(repository, &names[number], &version.to_string(), &text);
        }
    };
    (0..NAMES).for_each(|number| write("up", number));
    (0..NAMES).rev().for_each(|number| write("down", number));
    let answer = |repositories: &Repositories| {
        let index = index(repositories).index;
        names.iter().map(|name| solve(&index, &[name])).collect::<Vec<_>>()
    };
    let first = answer(&bench.open(&["up"]).unwrap());
    assert!(first.iter().any(Result::is_ok));
    // Remembered, and read in another order.
    assert_eq!(answer(&bench.open(&["up"]).unwrap()), first);
    assert_eq!(answer(&Bench::new().open(&[bench.path("down").to_str().unwrap()]).unwrap()), first);
}
