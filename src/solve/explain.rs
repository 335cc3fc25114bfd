//! Why there is no solution, told in terms of what the user wrote.

use crate::diagnostic::{Problem, SourceError, did_you_mean};
use crate::name::PackageName;
use crate::package::Requirement;
use crate::package::index::{Index, Need};
use crate::package::set::PackageSet;
use crate::solve::catalogue::{Catalogue, needs};
use crate::solve::narrow::{Step, Story, narrow};
use crate::solve::order::Cycle;
use crate::solve::sat::Solver;
use crate::solve::story::story;
use crate::universe::Universe;
use crate::version::Version;

/// Versions that a message lists before it says how many more there are.
const MAX_LISTED: usize = 12;

/// Problems that a root has by itself: all of them, without a search.
pub(super) fn hopeless(
    universe: &Universe,
    packages: &PackageSet<'_>,
    roots: &[Requirement],
) -> Option<SourceError> {
    let problems = roots.iter().filter_map(|root| {
        let versions = packages.versions(&root.name);
        let (code, message, label, help) = if versions.is_empty() {
            let message = format!("there is no package `{}`", root.name);
            ("unknown-package", message, "not a known package", unknown_package_help(packages, &root.name))
        } else if !versions.iter().any(|candidate| root.allows(&candidate.version)) {
            let message = format!("no version of `{}` is {}", root.name, conditions(root));
            ("no-version", message, "no such version", Some(listed_versions(packages, &root.name)))
        } else {
            return None;
        };
        let code = format!("jtwbuild::solve::{code}");
        Some(Problem { code, message, span: root.span.range(), label: label.into(), help })
    });
    let problems: Vec<Problem> = problems.collect();
    // Everything that the universe asks for is written in its own file.
    (!problems.is_empty()).then(|| SourceError::new(&universe.files[0], problems))
}

/// Roots that cannot be had together. What they ask for is made as small as it gets first, so that
/// the message names only what is to blame.
pub(super) fn conflict(
    universe: &Universe,
    packages: &PackageSet<'_>,
    roots: &[Requirement],
    catalogue: &Catalogue,
) -> SourceError {
    let kept = blamed(&catalogue.index, &catalogue.roots);
    let needs: Vec<Need> = kept.iter().map(|at| catalogue.roots[*at].clone()).collect();
    let blamed: Vec<&Requirement> = kept.iter().map(|at| &roots[*at]).collect();
    let (code, message, help) = match narrow(&catalogue.index, &needs) {
        Some(story) => told(packages, &blamed, catalogue, &story),
        None => {
            let names = blamed.iter().map(|root| format!("`{root}`")).collect::<Vec<_>>().join(", ");
            let message = format!("no choice of versions suits all of {names}");
            ("conflict", message, vec!["each of them can be had without the others".to_owned()])
        }
    };
    // The last root is the one that could not be added to the others.
    let span = blamed.last().map_or(0..0, |root| root.span.range());
    let problem = Problem {
        code: format!("jtwbuild::solve::{code}"),
        message,
        span,
        label: "cannot be had".into(),
        help: Some(help.join("\n")),
    };
    SourceError::new(&universe.files[0], vec![problem])
}

fn told(
    packages: &PackageSet<'_>,
    roots: &[&Requirement],
    catalogue: &Catalogue,
    story: &Story,
) -> (&'static str, String, Vec<String>) {
    let name = &catalogue.index.package(story.package).name;
    let mut help: Vec<String> =
        story.chains.iter().map(|chain| chain_text(roots, catalogue, chain)).collect();
    let Some(name) = PackageName::new(name) else { return ("conflict", String::new(), help) };
    if packages.versions(&name).is_empty() {
        help.extend(unknown_package_help(packages, &name));
        return ("unknown-package", format!("`{name}` is needed, but there is no such package"), help);
    }
    let message = match story.chains.as_slice() {
        [only] => match only.first().and_then(|step| requirement(roots, catalogue, step)) {
            Some((requirement, _)) => format!("no version of `{name}` is {}", conditions(requirement)),
            None => format!("no version of `{name}` can be had"),
        },
        _ => format!("no version of `{name}` suits all that need it"),
    };
    help.extend(story.others.iter().map(|package| {
        format!("other versions of `{}` do not help", catalogue.index.package(*package).name)
    }));
    help.push(listed_versions(packages, &name));
    ("conflict", message, help)
}

/// Who has a demand, and how that came about, back to what the user wrote.
fn chain_text(roots: &[&Requirement], catalogue: &Catalogue, chain: &[Step]) -> String {
    let steps = chain.iter().filter_map(|step| {
        let (requirement, purpose) = requirement(roots, catalogue, step)?;
        Some(match step {
            Step::Asked(_) => format!("you asked for `{requirement}`"),
            Step::Needs { package, ordinal, .. } | Step::Excludes { package, ordinal } => {
                let recipe = catalogue.recipe(*package, *ordinal)?;
                format!("`{} {}` needs `{requirement}`{purpose}", recipe.name, recipe.version)
            }
        })
    });
    steps.collect::<Vec<_>>().join("; ")
}

/// What a step asks for.
fn requirement<'a>(
    roots: &[&'a Requirement],
    catalogue: &'a Catalogue,
    step: &Step,
) -> Option<(&'a Requirement, &'static str)> {
    match *step {
        Step::Asked(root) => Some((*roots.get(root)?, "")),
        Step::Needs { package, ordinal, need } => {
            let (kind, requirement) = needs(catalogue.recipe(package, ordinal)?).nth(need)?;
            Some((requirement, kind.purpose()))
        }
        // Recipes have no conflicts.
        Step::Excludes { .. } => None,
    }
}

/// Roots of opam packages that there are not, or in no such version: all of them.
pub(super) fn not_there(universe: &Universe, index: &Index, roots: &[Requirement]) -> Option<SourceError> {
    let problems = roots.iter().filter_map(|root| {
        let known = index.find(root.name.as_str()).filter(|(_, package)| !package.versions.is_empty());
        let (code, message, label, help) = match known {
            None => {
                let names = index.packages().iter().filter(|package| !package.versions.is_empty());
                let near = did_you_mean(root.name.as_str(), names.map(|package| &*package.name));
                let help = near.map(|name| format!("did you mean `{name}`?"));
                (
                    "unknown-package",
                    format!("there is no package `{}`", root.name),
                    "not a known package",
                    help,
                )
            }
            Some((_, package)) => {
                let allowed =
                    |version: &str| Version::new(version).is_some_and(|version| root.allows(&version));
                let all: Vec<&str> = package.versions.iter().rev().map(|version| &**version).collect();
                if all.iter().any(|version| allowed(version)) {
                    return None;
                }
                let message = format!("no version of `{}` is {}", root.name, conditions(root));
                ("no-version", message, "no such version", Some(listing(&root.name, &all)))
            }
        };
        let code = format!("jtwbuild::solve::{code}");
        Some(Problem { code, message, span: root.span.range(), label: label.into(), help })
    });
    let problems: Vec<Problem> = problems.collect();
    (!problems.is_empty()).then(|| SourceError::new(&universe.files[0], problems))
}

/// What is wrong with a root by itself: there is no such package, or no such version of it.
pub(super) fn lacking(index: &Index, root: &Requirement) -> Option<String> {
    let known = index.find(root.name.as_str()).filter(|(_, package)| !package.versions.is_empty());
    let Some((_, package)) = known else { return Some(format!("there is no package `{}`", root.name)) };
    let mut versions = package.versions.iter().filter_map(|version| Version::new(version));
    let is_there = versions.any(|version| root.allows(&version));
    (!is_there).then(|| format!("no version of `{}` is {}", root.name, conditions(root)))
}

/// Opam packages that cannot be had together. What is asked for is made as small as it gets first.
pub(super) fn opam_conflict(
    universe: &Universe,
    index: &Index,
    roots: &[Requirement],
    needs: &[Need],
) -> SourceError {
    let kept = blamed(index, needs);
    let needs: Vec<Need> = kept.iter().map(|at| needs[*at].clone()).collect();
    let asked: Vec<String> = kept.iter().map(|at| roots[*at].to_string()).collect();
    let mut story = story(index, &needs, &asked).into_iter();
    let problem = Problem {
        code: "jtwbuild::solve::conflict".into(),
        message: story.next().unwrap_or_default(),
        span: kept.last().map_or(0..0, |root| roots[*root].span.range()),
        label: "cannot be had".into(),
        help: Some(story.collect::<Vec<_>>().join("\n")),
    };
    SourceError::new(&universe.files[0], vec![problem])
}

/// The roots that cannot be had together although each of them can be left out in vain: no root of
/// them can be spared.
fn blamed(index: &Index, roots: &[Need]) -> Vec<usize> {
    let mut kept: Vec<usize> = (0..roots.len()).collect();
    for root in 0..roots.len() {
        let fewer: Vec<usize> = kept.iter().copied().filter(|at| *at != root).collect();
        let needs: Vec<Need> = fewer.iter().map(|at| roots[*at].clone()).collect();
        if Solver::new(index).solve(&needs).is_none() {
            kept = fewer;
        }
    }
    kept
}

/// Packages that need each other.
pub(super) fn cycle(universe: &Universe, cycle: &Cycle) -> SourceError {
    let path = cycle.packages.iter().chain(cycle.packages.first());
    let path: Vec<String> = path.map(|recipe| format!("`{} {}`", recipe.name, recipe.version)).collect();
    let problem = Problem {
        code: "jtwbuild::solve::cycle".into(),
        message: format!("packages need each other in a circle: {}", path.join(" needs ")),
        span: cycle.root.as_ref().map_or(0..0, |root| root.span.range()),
        label: "leads there".into(),
        help: Some("the recipe of one of them has to do without the next".into()),
    };
    SourceError::new(&universe.files[0], vec![problem])
}

fn unknown_package_help(packages: &PackageSet<'_>, name: &PackageName) -> Option<String> {
    let names = packages.names().map(PackageName::as_str);
    did_you_mean(name.as_str(), names).map(|name| format!("did you mean `{name}`?"))
}

fn listed_versions(packages: &PackageSet<'_>, name: &PackageName) -> String {
    let versions = packages.versions(name);
    let versions: Vec<&str> = versions.iter().map(|candidate| candidate.version.as_str()).collect();
    listing(name, &versions)
}

/// Versions of a package, newest first.
fn listing(name: &PackageName, versions: &[&str]) -> String {
    let listed = &versions[..versions.len().min(MAX_LISTED)];
    let more = match versions.len() - listed.len() {
        0 => String::new(),
        more => format!(" and {more} older"),
    };
    format!("versions of `{name}` that there are: {}{more}", listed.join(", "))
}

fn conditions(requirement: &Requirement) -> String {
    let conditions: Vec<String> =
        requirement.constraints.iter().map(|constraint| format!("`{constraint}`")).collect();
    conditions.join(" and ")
}
