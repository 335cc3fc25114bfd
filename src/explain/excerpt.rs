//! What is shown of two texts that differ: the part around the first difference, fit for a terminal.

use crate::legible;

/// So many characters of a statement or value are shown.
pub(super) const STATEMENT: usize = 300;

/// So many of a stretch of lines.
pub(super) const LINES: usize = 1000;

/// Both texts, each cut to about `longest` characters, a third of which are before the first difference.
pub(super) fn pair(before: &str, after: &str, longest: usize) -> (String, String) {
    let common: usize = before
        .chars()
        .zip(after.chars())
        .take_while(|(one, other)| one == other)
        .map(|(one, _)| one.len_utf8())
        .sum();
    (around(before, common, longest), around(after, common, longest))
}

/// One text, cut to about `longest` characters.
pub(super) fn head(text: &str, longest: usize) -> String {
    around(text, 0, longest)
}

/// What is around the byte `at`, which begins a character.
fn around(text: &str, at: usize, longest: usize) -> String {
    // A text that is short as a whole is shown as a whole.
    let start = match text.char_indices().nth(longest) {
        None => 0,
        Some(_) => text[..at].char_indices().rev().take(longest / 3).last().map_or(at, |(index, _)| index),
    };
    let rest = &text[start..];
    let end = rest.char_indices().nth(longest).map_or(rest.len(), |(index, _)| index);
    let mut shown = String::new();
    if start > 0 {
        shown.push('…');
    }
    shown.push_str(&legible::lines(&rest[..end]));
    if end < rest.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_around_the_difference() {
        assert_eq!(pair("short", "shore", 10), ("short".into(), "shore".into()));
        let long = |middle: &str| format!("{}{middle}{}", "é".repeat(50), "z".repeat(50));
        let (before, after) = pair(&long("1"), &long("2"), 9);
        assert_eq!((before.as_str(), after.as_str()), ("…ééé1zzzzz…", "…ééé2zzzzz…"));
        assert_eq!(head("abcdef", 3), "abc…");
        // One text is the beginning of the other.
        assert_eq!(pair("", "abcdef", 3), (String::new(), "abc…".into()));
    }

    #[test]
    fn what_would_change_the_terminal_is_escaped() {
        assert_eq!(head("a\u{1b}[31m\tb\nc\u{202e}\r", 100), "a\\u{1b}[31m\tb\nc\\u{202e}\\r");
    }
}
