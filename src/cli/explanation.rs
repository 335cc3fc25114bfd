//! What the bytes of two files tell, in lines; and texts of strangers, so that they can be shown.

use crate::explain::Explanation;

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
        told.push(Told::Place(format!("at {}", shown(&format!("{place}{note}")))));
        for (sign, side) in [('-', &finding.before), ('+', &finding.after)] {
            let Some(side) = side else { continue };
            told.extend(side.lines().take(LINES).map(|line| Told::Side(sign, shown(line))));
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

/// A line of a file that anybody may have written: nothing in it moves the cursor, and it is not long.
fn shown(line: &str) -> String {
    let is_long = line.chars().nth(WIDEST).is_some();
    let mut text = escaped(&line.chars().take(WIDEST).collect::<String>());
    text.push_str(if is_long { "…" } else { "" });
    text
}

/// A text without characters that move the cursor, or end a line.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}
