//! Looks at a solution without knowing how it was found: every rule anew, one after the other.

use std::collections::BTreeMap;

use crate::package::index::{Index, Need, Ordinal, PackageId};

/// A rule that a selection breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("{package} is in it twice")]
    Twice { package: String },
    #[error("{package} cannot be had on this platform")]
    Unavailable { package: String },
    #[error("something that is asked for is not in it: the root with number {root}")]
    Root { root: usize },
    #[error("{package} needs something that is not in it: its dependency with number {dependency}")]
    Dependency { package: String, dependency: usize },
    #[error("{package} and {other} exclude each other")]
    Conflict { package: String, other: String },
}

/// Checks that `selection` is what `roots` ask for: one available version of each package, all
/// dependencies met, no conflicts, no two packages of one conflict class.
pub fn check(index: &Index, roots: &[Need], selection: &[(PackageId, Ordinal)]) -> Result<(), Violation> {
    let name = |package: PackageId, ordinal: Ordinal| {
        format!("{}.{}", index.package(package).name, index.version(package, ordinal).0)
    };
    let mut chosen: BTreeMap<PackageId, Ordinal> = BTreeMap::new();
    for &(package, ordinal) in selection {
        if chosen.insert(package, ordinal).is_some() {
            return Err(Violation::Twice { package: name(package, ordinal) });
        }
        if !index.package(package).preference.contains(&ordinal) {
            return Err(Violation::Unavailable { package: name(package, ordinal) });
        }
    }
    if let Some(root) = roots.iter().position(|root| !is_met(root, &chosen)) {
        return Err(Violation::Root { root });
    }
    let mut classes: BTreeMap<u32, (PackageId, Ordinal)> = BTreeMap::new();
    for (&package, &ordinal) in &chosen {
        let candidate = index.version(package, ordinal).1;
        if let Some(dependency) = candidate.depends.iter().position(|need| !is_met(need, &chosen)) {
            return Err(Violation::Dependency { package: name(package, ordinal), dependency });
        }
        for (other, versions) in &candidate.conflicts {
            if let Some(version) = chosen.get(other).filter(|version| versions.contains(**version)) {
                let other = name(*other, *version);
                return Err(Violation::Conflict { package: name(package, ordinal), other });
            }
        }
        for class in &candidate.classes {
            let first = *classes.entry(*class).or_insert((package, ordinal));
            if first.0 != package {
                let other = name(first.0, first.1);
                return Err(Violation::Conflict { package: name(package, ordinal), other });
            }
        }
    }
    Ok(())
}

fn is_met(need: &Need, chosen: &BTreeMap<PackageId, Ordinal>) -> bool {
    match need {
        Need::Package(package, versions) => {
            chosen.get(package).is_some_and(|version| versions.contains(*version))
        }
        Need::All(parts) => parts.iter().all(|part| is_met(part, chosen)),
        Need::Any(parts) => parts.iter().any(|part| is_met(part, chosen)),
    }
}
