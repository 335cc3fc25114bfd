//! JavaScript: which statements differ, and in what.
//!
//! What compilers write is a line or few, so lines say nothing. Both texts are cut at `;`, at `,` between
//! statements and variables, and at the braces of blocks; the pieces are compared by their tokens.

mod lexer;
mod pieces;
mod renaming;

use std::ops::Range;

use self::pieces::Pieces;
use self::renaming::Renaming;
use super::align::{Hunk, align, are_reordered};
use super::{Finding, Format, MOST, Reading, excerpt, nature};

/// Larger texts are told by their bytes: a worker with all of OCaml's library has some 4 MB.
const LARGEST: usize = 24 << 20;

/// Reads scripts; one finding for each stretch of statements, and for each stretch of comments.
pub(super) fn read(name: &str, before: &[u8], after: &[u8]) -> Option<Reading> {
    let is_script = [".js", ".mjs", ".cjs"].iter().any(|ending| name.ends_with(ending));
    if !is_script || before.len().max(after.len()) > LARGEST {
        return None;
    }
    let before = Pieces::new(std::str::from_utf8(before).ok()?);
    let after = Pieces::new(std::str::from_utf8(after).ok()?);
    Some(Reading { format: Format::JavaScript, findings: Comparison { before, after }.findings() })
}

struct Comparison<'a> {
    before: Pieces<'a>,
    after: Pieces<'a>,
}

impl Comparison<'_> {
    fn findings(&self) -> Vec<Finding> {
        let (before, after) = (&self.before, &self.after);
        let exact = align(&before.exact, &after.exact);
        let mut findings = Vec::new();
        if exact.is_empty() {
            let comments = self.comments();
            let note = if comments.is_empty() { "only white space differs" } else { "only comments differ" };
            findings.push(Finding { note: Some(note.to_owned()), ..Finding::default() });
            findings.extend(comments);
            return findings;
        }
        let renaming = Renaming::new(before, after, &exact);
        if renaming.changed.is_empty() && renaming.is_consistent {
            let note = "only the names of local variables differ: it is the same program".to_owned();
            findings.push(Finding { note: Some(note), ..Finding::default() });
        } else {
            let of = |hunks: &[Hunk], pieces: &Pieces, side: fn(&Hunk) -> Range<usize>| -> Vec<u64> {
                hunks.iter().flat_map(|hunk| pieces.exact[side(hunk)].iter().copied()).collect()
            };
            let one = of(&exact, before, |hunk| hunk.before.clone());
            if are_reordered(one, of(&exact, after, |hunk| hunk.after.clone())) {
                let note = "the same statements in another order".to_owned();
                findings.push(Finding { note: Some(note), ..Finding::default() });
            }
        }
        findings.extend(self.renamed(&renaming.renamed));
        for hunk in &renaming.changed {
            // The others are only counted.
            findings.push(if findings.len() < MOST { self.changed(hunk) } else { Finding::default() });
        }
        findings.extend(self.comments());
        findings
    }

    fn changed(&self, hunk: &Hunk) -> Finding {
        let (before, after) = (&self.before, &self.after);
        let place = if hunk.before.is_empty() && !hunk.after.is_empty() {
            after.place(hunk.after.start, " of the other")
        } else {
            before.place(hunk.before.start, "")
        };
        let (one, other) = (before.text(&hunk.before), after.text(&hunk.after));
        let (shown, shown_after) = excerpt::pair(one, other, excerpt::STATEMENT);
        let several = hunk.before.len().max(hunk.after.len());
        let is_short = one.len().max(other.len()) <= excerpt::STATEMENT;
        let note = nature::note(one, other).or_else(|| {
            (several > 1 && !is_short).then(|| match (hunk.before.len(), hunk.after.len()) {
                (one, other) if one == other => format!("{one} statements"),
                (one, other) => format!("{one} statements, {other} of the other"),
            })
        });
        Finding {
            place,
            note,
            before: (!hunk.before.is_empty()).then_some(shown),
            after: (!hunk.after.is_empty()).then_some(shown_after),
        }
    }

    /// All that are only renamed are one finding: there may be thousands.
    fn renamed(&self, pairs: &[(usize, usize)]) -> Option<Finding> {
        let (one, other) = *pairs.first()?;
        let count = pairs.len();
        let plural = if count == 1 { "statement differs" } else { "statements differ" };
        let note = format!("{count} {plural} in the names of local variables only");
        let (one_text, other_text) =
            (self.before.text(&(one..one + 1)), self.after.text(&(other..other + 1)));
        let (shown, shown_after) = excerpt::pair(one_text, other_text, excerpt::STATEMENT);
        let place = self.before.place(one, "");
        Some(Finding { place, note: Some(note), before: Some(shown), after: Some(shown_after) })
    }

    fn comments(&self) -> Vec<Finding> {
        let (before, after) = (self.before.comments(), self.after.comments());
        let told = |hunk: Hunk| {
            let (one, other) = (before[hunk.before.clone()].join("\n"), after[hunk.after.clone()].join("\n"));
            let (shown, shown_after) = excerpt::pair(&one, &other, excerpt::STATEMENT);
            let place = if hunk.before.is_empty() {
                format!("{} of the other", self.after.comment_place(hunk.after.start))
            } else {
                self.before.comment_place(hunk.before.start)
            };
            Finding {
                place: vec![place],
                note: nature::note(&one, &other),
                before: (!hunk.before.is_empty()).then_some(shown),
                after: (!hunk.after.is_empty()).then_some(shown_after),
            }
        };
        let hunks = align(&before, &after).into_iter().enumerate();
        hunks.map(|(index, hunk)| if index < MOST { told(hunk) } else { Finding::default() }).collect()
    }
}

#[cfg(test)]
mod tests;
