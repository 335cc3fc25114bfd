//! What a batch came to, package by package: for people, as JSON, as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use crate::cli::realise::Whole;
use crate::derivation::NodeId;
use crate::outcome::Outcome;
use crate::plan::Goal;
use crate::store::Store;

/// How a package ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Success,
    /// It was tried, and failed.
    Failure,
    /// Something that it needs failed.
    DependencyFailed,
    /// It was not tried: the machine was in the way, or the worker could not be built.
    Skipped,
    /// No versions of what it needs go together.
    NoSolution,
}

impl Status {
    fn words(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::DependencyFailed => "dependency failed",
            Self::Skipped => "skipped",
            Self::NoSolution => "no solution",
        }
    }
}

/// All packages of a batch.
#[derive(Serialize)]
pub(super) struct Report {
    universe: String,
    ocaml: String,
    repositories: Vec<Repository>,
    counts: BTreeMap<Status, usize>,
    packages: Vec<Package>,
}

#[derive(Serialize)]
struct Repository {
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    tree: String,
}

#[derive(Serialize)]
struct Package {
    name: String,
    status: Status,
    /// The node that failed, or what is the matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    /// Its build's layer and log.
    #[serde(skip_serializing_if = "Option::is_none")]
    layer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    /// Everything that its build sees, as `name.version`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    solution: Vec<String>,
    /// Why there is no solution.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    story: Vec<String>,
    seconds: f64,
}

impl Report {
    pub(super) fn new(whole: &Whole, store: &Store, universe: &Path, ocaml: &str) -> Self {
        let goals = whole.plan.goals.iter().map(|goal| package(whole, store, goal));
        let impossible = whole.loaded.impossible.iter().map(|one| Package {
            name: one.asked.replace(" = ", "."),
            status: Status::NoSolution,
            because: one.story.first().cloned(),
            layer: None,
            log: None,
            solution: Vec::new(),
            story: one.story.clone(),
            seconds: 0.0,
        });
        let packages: Vec<Package> = goals.chain(impossible).collect();
        let mut counts = BTreeMap::new();
        packages.iter().for_each(|package| *counts.entry(package.status).or_default() += 1);
        let repositories = whole.loaded.lock.repositories.iter().map(|locked| Repository {
            place: locked.place.clone(),
            commit: locked.commit.clone(),
            tree: locked.tree.clone(),
        });
        Self {
            universe: universe.display().to_string(),
            ocaml: ocaml.to_owned(),
            repositories: repositories.collect(),
            counts,
            packages,
        }
    }

    pub(super) fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a report has only text keys");
        text.push('\n');
        text
    }

    /// One line a package, and one for all.
    pub(super) fn lines(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for package in &self.packages {
            let because = package.because.as_ref().map(|because| format!(" ({because})")).unwrap_or_default();
            let _ = writeln!(text, "{:17} {}{because}", package.status.words(), package.name);
        }
        let _ = writeln!(text, "{}", self.counted());
        text
    }

    fn counted(&self) -> String {
        let counts = self.counts.iter().map(|(status, count)| format!("{count} {}", status.words()));
        counts.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn markdown(&self) -> String {
        let mut text = format!("# Packages with {}\n\n{}\n", self.ocaml, self.counted());
        for repository in &self.repositories {
            let at = repository.commit.as_ref().unwrap_or(&repository.tree);
            let _ = writeln!(text, "\nRepository: `{}` at `{at}`", repository.place);
        }
        let _ = writeln!(text, "\n| Package | Status | Because | Seconds |\n|---|---|---|---|");
        for package in &self.packages {
            let because = package.because.as_deref().unwrap_or_default().replace('|', "\\|");
            let (name, status, seconds) = (&package.name, package.status.words(), package.seconds);
            let _ = writeln!(text, "| {name} | {status} | {because} | {seconds:.1} |");
        }
        for package in self.packages.iter().filter(|package| !package.story.is_empty()) {
            let _ = writeln!(text, "\n## {}\n", package.name);
            text.extend(package.story.iter().map(|sentence| format!("- {sentence}\n")));
        }
        text
    }
}

fn package(whole: &Whole, store: &Store, goal: &Goal) -> Package {
    let (plan, run) = (&whole.plan, &whole.run);
    let nodes = [goal.build, goal.jtw, goal.assembly];
    let (status, because) = nodes
        .into_iter()
        .flatten()
        .map(|node| judged(whole, goal, node))
        .max_by_key(|(status, _)| *status)
        .unwrap_or((Status::Success, None));
    let layer = goal.build.and_then(|node| {
        let key = run.report(node).build?;
        Some(store.layer_path(&Store::layer_id(plan.derivation(node).kind.word(), &key)))
    });
    let log = layer.as_ref().map(|layer| layer.join("build.log")).filter(|log| log.exists());
    let solution = goal.build.into_iter().flat_map(|node| plan.derivation(node).needs()).filter_map(|need| {
        let derivation = plan.derivation(need);
        (derivation.kind == crate::derivation::Kind::Build)
            .then(|| derivation.name.split('@').next().unwrap_or_default().to_owned())
    });
    Package {
        name: goal.name.to_string(),
        status,
        because,
        layer: layer.map(|layer| layer.display().to_string()),
        log: log.map(|log| log.display().to_string()),
        solution: solution.collect(),
        story: Vec::new(),
        seconds: nodes.into_iter().flatten().map(|node| run.report(node).seconds).sum(),
    }
}

/// How one node of a package ended, as the package's status.
fn judged(whole: &Whole, goal: &Goal, node: NodeId) -> (Status, Option<String>) {
    let report = whole.run.report(node);
    let id = whole.plan.derivation(node).id();
    match &report.outcome {
        outcome if outcome.failure().is_some_and(|failure| !failure.is_verdict()) => {
            (Status::Skipped, outcome.failure().map(ToString::to_string))
        }
        outcome if outcome.failure().is_some() => {
            (Status::Failure, outcome.failure().map(|failure| format!("{id}: {failure}")))
        }
        Outcome::Skipped { because } if because.starts_with("jtw-tools/") => {
            (Status::Skipped, Some(because.clone()))
        }
        Outcome::Skipped { because } => {
            let own = [goal.build, goal.jtw].into_iter().flatten();
            let is_own = own.map(|node| whole.plan.derivation(node).id()).any(|own| own == *because);
            // What failed by itself says so itself.
            let status = if is_own { Status::Failure } else { Status::DependencyFailed };
            (status, Some(because.clone()))
        }
        _ if report.tree.is_some() => (Status::Success, None),
        _ => (Status::Skipped, Some("the run ended before".into())),
    }
}
