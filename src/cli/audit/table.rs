//! The judgements of an audit for people: a line for each node, and where outputs differ.

use std::fmt::Write as _;

use super::Line;
use crate::audit::compare::Differing;
use crate::audit::judge::{Cause, Judgement, Verdict};
use crate::cli::{render, summary};
use crate::inspect::trees::Change;

/// Of one node, so many differing files are listed.
const FILES: usize = 5;

/// One line for a node that is judged: what, why and at what price.
pub(super) fn told(line: &Line) -> String {
    let Judgement { verdict, builds, seconds, .. } = line.judgement;
    let why = reasons(line);
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    let plural = if builds == 1 { "" } else { "s" };
    format!("{} {}{why} ({builds} build{plural}, {})", verdict.words(), line.id, render::seconds(seconds))
}

/// Why outputs differ, or why there is no judgement.
fn reasons(line: &Line) -> String {
    let mut reasons: Vec<String> = line.judgement.causes.iter().copied().map(cause).collect();
    if let Some(because) = &line.because {
        reasons.push(format!("its input {because} could not be had"));
    }
    if let Some(failure) = &line.judgement.failure {
        reasons.push(failure.to_string().lines().next().unwrap_or_default().to_owned());
    }
    reasons.join("; ")
}

fn cause(cause: Cause) -> String {
    match cause {
        Cause::Itself => "differs with nothing varied".to_owned(),
        Cause::Varied { variations } if variations.len() > 1 => format!("{variations} together"),
        Cause::Varied { variations } => variations.to_string(),
        Cause::Unsteady { variations } => format!("{variations}, but not each time"),
        Cause::Stored => "what is stored differs from all builds of this machine".to_owned(),
    }
}

/// All nodes as a table, the worst last, and below each that differs where it does.
pub(super) fn text(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.id.len()).max().unwrap_or_default();
    let mut sorted: Vec<&Line> = lines.iter().collect();
    sorted.sort_by_key(|line| line.judgement.verdict);
    let mut text = String::new();
    for line in sorted {
        let verdict = line.judgement.verdict.words();
        let row = format!("{:width$}  {verdict:20}  {}", line.id, reasons(line));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", row.trim_end());
        let differences = &line.judgement.differences;
        for differing in differences.iter().take(FILES) {
            text += &file(differing);
        }
        if differences.len() > FILES {
            let _ = writeln!(text, "  and {} more", differences.len() - FILES);
        }
        if let Some(hint) = line.judgement.failure.as_ref().and_then(summary::hint) {
            let _ = writeln!(text, "  help: {hint}");
        }
    }
    text
}

fn file(differing: &Differing) -> String {
    let path = &differing.difference.path;
    let what = match &differing.difference.change {
        Change::Added { .. } => "is only in the later build",
        Change::Removed { .. } => "is only in the earlier build",
        Change::Changed { .. } => "differs",
    };
    let apart = if differing.published { "" } else { " (intermediate)" };
    let mut text = format!("  {path}{apart} {what}");
    if let Some(told) = &differing.explanation {
        let _ = write!(text, " from byte {} on\n    - {}\n    + {}", told.offset, told.before, told.after);
    }
    text + "\n"
}

/// The last line: how many nodes ended how.
pub(super) fn ending(universe: &str, lines: &[Line], seconds: f64) -> String {
    let verdicts =
        [Verdict::Reproducible, Verdict::IntermediatesDiffer, Verdict::NotReproducible, Verdict::NotJudged];
    let count = |verdict| lines.iter().filter(|line| line.judgement.verdict == verdict).count();
    let counts = verdicts.map(|verdict| (count(verdict), verdict.words()));
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    let builds: u32 = lines.iter().map(|line| line.judgement.builds).sum();
    let nodes = lines.len();
    let plural = if nodes == 1 { "" } else { "s" };
    format!(
        "{universe}: {nodes} node{plural}: {}; {builds} builds in {}",
        counts.join(", "),
        render::seconds(seconds)
    )
}
