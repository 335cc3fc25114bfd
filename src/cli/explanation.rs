//! What the bytes of two files tell, in lines.

use crate::explain::Explanation;
use crate::legible::beginning;

/// Of a file, so many findings, each with so many lines of so many characters.
const FINDINGS: usize = 3;
const LINES: usize = 3;
const WIDEST: usize = 160;

/// One line of what is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Where it is, or how much more there is.
    Place(String),
    /// What is there before (`-`) or after (`+`).
    Side(char, String),
}

/// The lines that tell how two files differ. Nothing in them moves the cursor, and none is long.
pub(super) fn told(explanation: &Explanation) -> Vec<Told> {
    let Explanation { findings, more, before, after, .. } = explanation;
    if findings.is_empty() {
        return vec![Told::Side('-', before.clone()), Told::Side('+', after.clone())];
    }
    let mut told = Vec::new();
    for finding in findings.iter().take(FINDINGS) {
        let note = finding.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
        let place = finding.place.join(", ");
        told.push(Told::Place(format!("at {}", beginning(&format!("{place}{note}"), WIDEST))));
        for (sign, side) in [('-', &finding.before), ('+', &finding.after)] {
            let Some(side) = side else { continue };
            told.extend(side.lines().take(LINES).map(|line| Told::Side(sign, beginning(line, WIDEST))));
            let more = side.lines().count().saturating_sub(LINES);
            if more > 0 {
                told.push(Told::Side(sign, format!("and {more} more lines")));
            }
        }
    }
    let more = (findings.len() + more).saturating_sub(FINDINGS);
    if more > 0 {
        told.push(Told::Place(format!("and at {more} more places")));
    }
    told
}
