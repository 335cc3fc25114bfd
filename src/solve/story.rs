//! Why something cannot be had, told from the index alone: sentences that name versions.

use crate::package::index::{Index, Need, PackageId, VersionSet};
use crate::solve::narrow::{Step, narrow};

/// Ranges of versions that a sentence lists before it says that there are more.
const MAX_RANGES: usize = 4;

/// Tells why `roots` cannot be had together: chains of demands on one package that no version of it
/// meets, each going back to a root. Roots are called as `asked` has them.
pub fn story(index: &Index, roots: &[Need], asked: &[String]) -> Vec<String> {
    let Some(story) = narrow(index, roots) else {
        return vec![format!("no choice of versions suits all of {}", asked.join(", "))];
    };
    let package = index.package(story.package);
    let mut sentences = vec![match (package.versions.is_empty(), package.preference.is_empty()) {
        (true, _) => format!("`{}` is needed, but there is no such package", package.name),
        (_, true) => format!("no version of `{}` can be had here", package.name),
        _ => format!("no version of `{}` suits all that need it", package.name),
    }];
    for chain in &story.chains {
        let steps: Vec<String> =
            chain.iter().filter_map(|step| told(index, roots, asked, story.package, step)).collect();
        sentences.push(steps.join("; "));
    }
    for other in &story.others {
        sentences.push(format!("other versions of `{}` do not help", index.package(*other).name));
    }
    sentences
}

fn told(index: &Index, roots: &[Need], asked: &[String], blamed: PackageId, step: &Step) -> Option<String> {
    let name = |package: PackageId, ordinal| {
        format!("`{} {}`", index.package(package).name, index.version(package, ordinal).0)
    };
    Some(match *step {
        Step::Asked(root) => {
            let asked = asked.get(root).cloned().or_else(|| Some(text(index, roots.get(root)?)));
            format!("you asked for `{}`", asked?)
        }
        Step::Needs { package, ordinal, need } => {
            let need = index.version(package, ordinal).1.depends.get(need)?;
            format!("{} needs `{}`", name(package, ordinal), text(index, need))
        }
        Step::Excludes { package, ordinal } => {
            let own = &index.version(package, ordinal).1.conflicts;
            if let Some((other, versions)) = own.iter().find(|(other, _)| *other == blamed) {
                return Some(format!(
                    "{} excludes `{}`",
                    name(package, ordinal),
                    atom(index, *other, versions)
                ));
            }
            // The other one may be who says so.
            let theirs = index.package(blamed).preference.iter().find_map(|other| {
                let mut conflicts = index.version(blamed, *other).1.conflicts.iter();
                let (_, versions) = conflicts.find(|(of, set)| *of == package && set.contains(ordinal))?;
                Some(format!("{} excludes `{}`", name(blamed, *other), atom(index, package, versions)))
            });
            theirs.unwrap_or_else(|| {
                let blamed = &index.package(blamed).name;
                format!("{} and `{blamed}` are of one conflict class", name(package, ordinal))
            })
        }
    })
}

/// A formula as one would write it, with the versions that there are.
fn text(index: &Index, need: &Need) -> String {
    let joined = |parts: &[Need], by: &str| {
        let parts: Vec<String> = parts.iter().map(|part| text(index, part)).collect();
        parts.join(by)
    };
    match need {
        Need::Package(package, versions) => atom(index, *package, versions),
        Need::All(parts) => joined(parts, " and "),
        Need::Any(parts) => joined(parts, " or "),
    }
}

fn atom(index: &Index, package: PackageId, versions: &VersionSet) -> String {
    let package = index.package(package);
    let version = |at: u16| &package.versions[usize::from(at)];
    let count = package.versions.len();
    let ranges = versions.ranges().map(|(from, to)| match (from, usize::from(to) == count) {
        (0, true) => String::new(),
        (0, false) => format!("< {}", version(to)),
        (from, true) => format!(">= {}", version(from)),
        (from, false) if to == from + 1 => format!("= {}", version(from)),
        (from, false) => format!(">= {} & < {}", version(from), version(to)),
    });
    let ranges: Vec<String> = ranges.collect();
    match ranges.as_slice() {
        [] if count == 0 => package.name.to_string(),
        [] => format!("{} in a version that there is not", package.name),
        [one] => format!("{} {one}", package.name).trim_end().to_owned(),
        some if some.len() <= MAX_RANGES => format!("{} {}", package.name, some.join(" | ")),
        some => format!("{} {} | …", package.name, some[..MAX_RANGES].join(" | ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::formula::{Atom, Formula, Versions};
    use crate::package::index::Entry;
    use crate::version::Relation;

    fn entry(name: &str, version: &str, depends: &[(&str, Relation, &str)]) -> Entry {
        let atom = |(name, relation, version): &(&str, Relation, &str)| {
            let versions = Versions::That(*relation, (*version).to_owned());
            Formula::Atom(Atom { name: (*name).to_owned(), versions })
        };
        let depends = Formula::All(depends.iter().map(atom).collect());
        Entry { depends: Some(depends), ..Entry::new(name, version) }
    }

    #[test]
    fn chains_go_back_to_what_was_asked_for() {
        let entries = [
            entry("ocaml", "4.14.2", &[]),
            entry("ocaml", "5.0.0", &[]),
            entry("ocaml", "5.4.1", &[]),
            entry("fmt", "0.9.0", &[("ocaml", Relation::Less, "5.0")]),
            entry("app", "1", &[("fmt", Relation::GreaterOrEqual, "0.9")]),
            entry("lone", "1", &[("nothing", Relation::Equal, "1")]),
        ];
        let index = Index::new(&entries).unwrap();
        let id = |name: &str| index.find(name).unwrap().0;
        let roots =
            [Need::Package(id("ocaml"), VersionSet::only(2)), Need::Package(id("app"), VersionSet::all(1))];
        let asked = ["ocaml.5.4.1".to_owned(), "app".to_owned()];
        assert_eq!(
            story(&index, &roots, &asked),
            [
                "no version of `ocaml` suits all that need it",
                "`fmt 0.9.0` needs `ocaml < 5.0.0`; `app 1` needs `fmt`; you asked for `app`",
                "you asked for `ocaml.5.4.1`",
            ]
        );
        let roots = [Need::Package(id("lone"), VersionSet::all(1))];
        assert_eq!(
            story(&index, &roots, &["lone".to_owned()]),
            [
                "`nothing` is needed, but there is no such package",
                "`lone 1` needs `nothing`; you asked for `lone`",
            ]
        );
    }
}
