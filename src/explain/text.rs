//! Texts: which lines differ.

use super::align::{Hunk, align, are_reordered};
use super::{Finding, Format, MOST, Reading, excerpt, nature};

/// Larger texts are told by their bytes.
const LARGEST: usize = 16 << 20;

/// Reads two texts in UTF-8; one finding for each stretch of lines.
pub(super) fn read(_: &str, before: &[u8], after: &[u8]) -> Option<Reading> {
    let before = lines(before)?;
    let after = lines(after)?;
    let mut findings = Vec::new();
    if are_reordered(bare(&before), bare(&after)) && bare(&before) != bare(&after) {
        let note = Some("the same lines in another order".to_owned());
        findings.push(Finding { note, ..Finding::default() });
    }
    for hunk in align(&before, &after) {
        // The others are only counted.
        let is_told = findings.len() < MOST;
        findings.push(if is_told { finding(&before, &after, hunk) } else { Finding::default() });
    }
    Some(Reading { format: Format::Text, findings })
}

fn lines(bytes: &[u8]) -> Option<Vec<&str>> {
    if bytes.len() > LARGEST || bytes.contains(&0) {
        return None;
    }
    Some(std::str::from_utf8(bytes).ok()?.split_inclusive('\n').collect())
}

/// Lines without their ends.
fn bare<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    lines.iter().map(|line| line.trim_end_matches(['\r', '\n'])).collect()
}

fn finding(before: &[&str], after: &[&str], hunk: Hunk) -> Finding {
    let place = place(&hunk);
    let (one, other) = (&before[hunk.before], &after[hunk.after]);
    let note = if bare(one) == bare(other) {
        Some("only the ends of lines differ".to_owned())
    } else if one.len() > 1 && are_reordered(bare(one), bare(other)) {
        Some("the same lines in another order".to_owned())
    } else {
        nature::note(&one.concat(), &other.concat())
    };
    // Ends are shown where nothing else differs, by what `excerpt` escapes.
    let text = |lines: &[&str]| lines.concat().strip_suffix('\n').map_or(lines.concat(), str::to_owned);
    let (shown, shown_after) = excerpt::pair(&text(one), &text(other), excerpt::LINES);
    Finding {
        place: vec![place],
        note,
        before: (!one.is_empty()).then_some(shown),
        after: (!other.is_empty()).then_some(shown_after),
    }
}

/// `line 12`, `lines 12–15 (lines 14–17 of the other)`, `after line 11`.
fn place(hunk: &Hunk) -> String {
    let lines = |range: &std::ops::Range<usize>| match range.len() {
        0 if range.start == 0 => "before line 1".to_owned(),
        0 => format!("after line {}", range.start),
        1 => format!("line {}", range.start + 1),
        _ => format!("lines {}–{}", range.start + 1, range.end),
    };
    let (one, other) = (lines(&hunk.before), lines(&hunk.after));
    // Where lines came or went, the other number says nothing unless others did before.
    let is_same = hunk.before.start == hunk.after.start
        && (hunk.before.len() == hunk.after.len() || hunk.before.is_empty() || hunk.after.is_empty());
    if is_same { one } else { format!("{one} ({other} of the other)") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::short;

    fn told(before: &str, after: &str) -> Vec<String> {
        short(read("x", before.as_bytes(), after.as_bytes()).unwrap().findings)
    }

    #[test]
    fn stretches_of_lines_are_told_by_their_numbers() {
        let before = "one\ntwo\nthree\nfour\nfive\n";
        assert_eq!(told(before, "one\n2\nthree\nfour\nfive\n"), ["line 2 two → 2"]);
        assert_eq!(
            told(before, "zero\none\ntwo\nthree\n4\n5\n"),
            ["before line 1 nothing → zero", "lines 4–5 (lines 5–6 of the other) four\nfive → 4\n5",]
        );
        assert_eq!(told(before, "one\nfour\nfive\n"), ["lines 2–3 two\nthree → nothing"]);
        assert_eq!(told("", "a\n"), ["before line 1 nothing → a"]);
        assert_eq!(told("a", "a\n"), ["line 1 [only the ends of lines differ] a → a"]);
    }

    #[test]
    fn order_and_nature_are_noted() {
        assert_eq!(
            told("a\nb\nc\nd\n", "d\na\nb\nc\n"),
            [
                " [the same lines in another order] nothing → nothing",
                "before line 1 nothing → d",
                "line 4 (after line 4 of the other) d → nothing",
            ]
        );
        assert_eq!(
            told("x\nmodules = b a\n", "x\nmodules = a b\n"),
            ["line 2 [the same words in another order] modules = b a → modules = a b"]
        );
        assert_eq!(
            told("x\nbuilt 2026-11-30\n", "x\nbuilt 2026-12-01\n"),
            ["line 2 [a date or time] built 2026-11-30 → built 2026-12-01"]
        );
        assert_eq!(told("a\r\n", "a\n"), ["line 1 [only the ends of lines differ] a\\r → a"]);
    }

    #[test]
    fn what_is_no_text_is_left_to_others() {
        assert_eq!(read("x", b"a\0", b"a"), None);
        assert_eq!(read("x", b"a", b"\xff"), None);
    }

    #[test]
    fn findings_beyond_those_told_are_counted() {
        let text = |word: &str| (0..MOST + 5).map(|at| format!("{at}\n{word}\n")).collect::<String>();
        let reading = read("x", text("a").as_bytes(), text("b").as_bytes()).unwrap();
        assert_eq!(reading.findings.len(), MOST + 5);
        assert_eq!(reading.findings[MOST], Finding::default());
    }
}
