//! The strings of a section.

use crate::explain::align::{align, are_reordered};
use crate::explain::{Finding, excerpt, nature};

/// Shorter runs of printable bytes are chance.
const SHORTEST: usize = 5;

/// So many stretches of strings are told of a section.
const TOLD: usize = 10;

/// How a section holds strings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// One after the other, each with a NUL.
    Table,
    /// Between other things.
    Among,
}

impl Written {
    /// Of the section of that name, if it holds strings.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            ".comment" | ".strtab" | ".dynstr" | ".debug_str" | ".debug_line_str" | ".interp"
            | ".gnu_debuglink" => Some(Self::Table),
            // OCaml keeps its strings where it keeps all data.
            ".data" | ".debug_line" => Some(Self::Among),
            _ if name.starts_with(".rodata") || name.starts_with(".data.") => Some(Self::Among),
            _ => None,
        }
    }

    fn strings(self, data: &[u8]) -> Vec<&str> {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        match self {
            Self::Table => {
                data.split(|byte| *byte == 0).filter(|one| !one.is_empty()).filter_map(text).collect()
            }
            Self::Among => {
                let is_printable = |byte: &u8| matches!(byte, b'\t' | b'\n' | b' '..=b'~');
                let runs = data.split(|byte| !is_printable(byte)).filter(|run| run.len() >= SHORTEST);
                runs.filter_map(text).collect()
            }
        }
    }
}

/// Strings that came, went or moved in the section at `place`; none if the difference is elsewhere.
pub(super) fn compare(place: &[String], written: Written, before: &[u8], after: &[u8]) -> Vec<Finding> {
    let (one, other) = (written.strings(before), written.strings(after));
    if one == other {
        return Vec::new();
    }
    let shown = |strings: &[&str]| strings.join("\n");
    if are_reordered(one.clone(), other.clone()) {
        let (before, after) = excerpt::pair(&shown(&one), &shown(&other), excerpt::LINES);
        let note = Some("the same strings in another order".to_owned());
        return vec![Finding { place: place.to_vec(), note, before: Some(before), after: Some(after) }];
    }
    let hunks = align(&one, &other);
    let more = hunks.len().saturating_sub(TOLD);
    let told = hunks.into_iter().take(TOLD).map(|hunk| {
        let (one, other) = (&one[hunk.before], &other[hunk.after]);
        let (before, after) = excerpt::pair(&shown(one), &shown(other), excerpt::LINES);
        Finding {
            place: place.iter().cloned().chain(["strings".to_owned()]).collect(),
            note: nature::note(&shown(one), &shown(other)),
            before: (!one.is_empty()).then_some(before),
            after: (!other.is_empty()).then_some(after),
        }
    });
    let mut findings: Vec<Finding> = told.collect();
    if more > 0 {
        let note = Some(format!("strings differ at {more} more places"));
        findings.push(Finding { place: place.to_vec(), note, ..Finding::default() });
    }
    findings
}
