//! Why there is no solution, told in terms of what the user wrote.

use crate::diagnostic::{Problem, SourceError, did_you_mean};
use crate::name::PackageName;
use crate::package::Requirement;
use crate::package::set::PackageSet;
use crate::solve::order::Cycle;
use crate::solve::search::{DeadEnd, Demand, search};
use crate::universe::Universe;

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

/// Roots that cannot be had together. What they need is made as small as it gets first, so that
/// the message names only what is to blame.
pub(super) fn conflict(
    universe: &Universe,
    packages: &PackageSet<'_>,
    roots: &[Requirement],
    dead_end: DeadEnd,
) -> SourceError {
    let mut roots = roots.to_vec();
    let mut dead_end = dead_end;
    let mut index = 0;
    while index < roots.len() {
        let mut fewer = roots.clone();
        fewer.remove(index);
        // Without the lock: it only orders versions, it never rules one out.
        if let Ok(Err(still)) = search(packages, None, &fewer) {
            (roots, dead_end) = (fewer, still);
        } else {
            index += 1;
        }
    }
    let lines: Vec<String> = dead_end.demands.iter().map(|demand| why(&dead_end, demand)).collect();
    let package = &dead_end.package;
    let (code, message, last_line) = if packages.versions(package).is_empty() {
        let message = format!("`{package}` is needed, but there is no such package");
        ("unknown-package", message, unknown_package_help(packages, package))
    } else {
        let message = match dead_end.demands.as_slice() {
            [only] => format!("no version of `{package}` is {}", conditions(&only.requirement)),
            _ => format!("no version of `{package}` suits all that need it"),
        };
        ("conflict", message, Some(listed_versions(packages, package)))
    };
    let others = others_that_do_not_help(packages, &dead_end);
    let help: Vec<String> = lines.into_iter().chain(others).chain(last_line).collect();
    // The last root is the one that the search had not yet come to terms with.
    let span = roots.last().map_or(0..0, |root| root.span.range());
    let problem = Problem {
        code: format!("jtwbuild::solve::{code}"),
        message,
        span,
        label: "cannot be had".into(),
        help: Some(help.join("\n")),
    };
    SourceError::new(&universe.files[0], vec![problem])
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

/// Who has a demand, and how that came about, back to what the user wrote.
fn why(dead_end: &DeadEnd, demand: &Demand) -> String {
    let mut steps = Vec::new();
    let mut demand = Some(demand);
    // Each step goes to a demand that came up earlier, so this ends.
    while let Some(Demand { requirement, by, .. }) = demand {
        let Some((by, kind)) = by else {
            steps.push(format!("you asked for `{requirement}`"));
            break;
        };
        let version = dead_end.chosen.get(by).map_or("", |recipe| recipe.version.as_str());
        steps.push(format!("`{by} {version}` needs `{requirement}`{}", kind.purpose()));
        demand = dead_end.all_demands.iter().find(|earlier| earlier.requirement.name == *by);
    }
    steps.join("; ")
}

/// A line for each package that is part of the conflict although it has other versions.
fn others_that_do_not_help(packages: &PackageSet<'_>, dead_end: &DeadEnd) -> Vec<String> {
    let mut names: Vec<&PackageName> =
        dead_end.demands.iter().filter_map(|demand| demand.by.as_ref().map(|(name, _)| name)).collect();
    names.sort_unstable();
    names.dedup();
    let has_others = |name: &&&PackageName| {
        let allowed = |version| {
            dead_end
                .all_demands
                .iter()
                .all(|demand| demand.requirement.name != ***name || demand.requirement.allows(version))
        };
        packages.versions(name).iter().filter(|candidate| allowed(&candidate.version)).count() > 1
    };
    names.iter().filter(has_others).map(|name| format!("other versions of `{name}` do not help")).collect()
}

fn unknown_package_help(packages: &PackageSet<'_>, name: &PackageName) -> Option<String> {
    let names = packages.names().map(PackageName::as_str);
    did_you_mean(name.as_str(), names).map(|name| format!("did you mean `{name}`?"))
}

fn listed_versions(packages: &PackageSet<'_>, name: &PackageName) -> String {
    let versions = packages.versions(name);
    let listed: Vec<&str> =
        versions.iter().take(MAX_LISTED).map(|candidate| candidate.version.as_str()).collect();
    let more = match versions.len().saturating_sub(MAX_LISTED) {
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
