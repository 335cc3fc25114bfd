//! The judgements of an audit for people: a line for each node, and where outputs differ.

use std::fmt::Write as _;

use super::Line;
use crate::audit::compare::Differing;
use crate::audit::judge::{Judgement, Verdict};
use crate::cli::explanation::{self, Told};
use crate::cli::{render, summary};
use crate::inspect::trees::Change;
use crate::legible;

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
    let mut reasons: Vec<String> = line.judgement.causes.iter().map(|cause| cause.words()).collect();
    if let Some(because) = &line.because {
        reasons.push(format!("its input {because} could not be had"));
    }
    if let Some(failure) = &line.judgement.failure {
        reasons.push(failure.to_string().lines().next().unwrap_or_default().to_owned());
    }
    reasons.join("; ")
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
    let path = legible::line(&differing.difference.path.to_string());
    let what = match &differing.difference.change {
        Change::Added { .. } => "is only in the later build",
        Change::Removed { .. } => "is only in the earlier build",
        Change::Changed { .. } => "differs",
    };
    let apart = if differing.published { "" } else { " (intermediate)" };
    let mut text = format!("  {path}{apart} {what}");
    let Some(told) = &differing.explanation else { return text + "\n" };
    let _ = writeln!(text, " from byte {} on", told.offset);
    // Below a place, sides stand further in.
    let indent = if told.findings.is_empty() { 4 } else { 6 };
    for line in explanation::told(told) {
        let _ = match line {
            Told::Place(place) => writeln!(text, "    {place}"),
            Told::Side(sign, side) => writeln!(text, "{:indent$}{sign} {side}", ""),
        };
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::{Explanation, Finding, Format};
    use crate::inspect::trees::{Difference, Entry};
    use crate::store::tree::RelPath;

    fn differing(findings: Vec<Finding>, more: usize) -> Differing {
        let entry = |blob: &str| Entry::File { size: 1, executable: false, blob: blob.into() };
        let change = Change::Changed { before: entry("a"), after: entry("b"), lines: None };
        let (before, after) = ("raw-before".into(), "raw-after".into());
        Differing {
            difference: Difference { path: RelPath::parse("lib/x").unwrap(), change },
            published: true,
            explanation: Some(Explanation {
                offset: 7,
                before,
                after,
                format: Format::Bytes,
                findings,
                more,
            }),
            strips: None,
        }
    }

    #[test]
    fn findings_stand_in_place_of_bytes_and_move_no_cursor() {
        let one = Finding {
            place: vec!["member a.o".into(), "section .rodata".into()],
            note: Some("a date".into()),
            before: Some("1\n2\n3\n4\n5".into()),
            after: Some("\u{1b}[2Jgone\r".into()),
        };
        let text = file(&differing(vec![one, Finding::default(), Finding::default(), Finding::default()], 9));
        let expected = "  lib/x differs from byte 7 on
    at member a.o, section .rodata (a date)
      - 1
      - 2
      - 3
      - and 2 more lines
      + \\u{1b}[2Jgone\\r
";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with("    and at 10 more places\n"), "{text}");
        assert!(!text.contains("raw"), "{text}");
        assert!(file(&differing(vec![], 0)).contains("\n    - raw-before\n    + raw-after\n"));
    }
}
