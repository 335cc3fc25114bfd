//! Two texts side by side: which parts of each the other has not.

use similar::{Algorithm, DiffOp, capture_diff_slices};

/// Texts of more words are compared from both ends only: to find more would take too long.
const MOST_WORDS: usize = 800;

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub text: &'a str,
    pub differs: bool,
}

/// The parts of both texts. Put together they are the texts.
pub(super) fn marked<'a>(before: &'a str, after: &'a str) -> (Vec<Part<'a>>, Vec<Part<'a>>) {
    let (one, other) = (words(before), words(after));
    let first = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    let rest = one.len().min(other.len()) - first;
    let pairs = one.iter().rev().zip(other.iter().rev());
    let last = pairs.take(rest).take_while(|(one, other)| one == other).count();
    let (mut left, mut right) = (Parts::default(), Parts::default());
    for word in &one[..first] {
        left.push(word, false);
        right.push(word, false);
    }
    let (one_middle, other_middle) = (&one[first..one.len() - last], &other[first..other.len() - last]);
    if one_middle.len().max(other_middle.len()) > MOST_WORDS {
        one_middle.iter().for_each(|word| left.push(word, true));
        other_middle.iter().for_each(|word| right.push(word, true));
    } else {
        for operation in capture_diff_slices(Algorithm::Myers, one_middle, other_middle) {
            let differs = !matches!(operation, DiffOp::Equal { .. });
            one_middle[operation.old_range()].iter().for_each(|word| left.push(word, differs));
            other_middle[operation.new_range()].iter().for_each(|word| right.push(word, differs));
        }
    }
    for word in &one[one.len() - last..] {
        left.push(word, false);
        right.push(word, false);
    }
    (left.all(before), right.all(after))
}

/// Runs of letters, of digits and of spaces, and everything else by itself.
fn words(text: &str) -> Vec<&str> {
    let class = |character: char| match character {
        digit if digit.is_ascii_digit() => 1,
        letter if letter.is_alphanumeric() => 2,
        ' ' => 3,
        _ => 0,
    };
    let mut words = Vec::new();
    let (mut start, mut last) = (0, None);
    for (at, character) in text.char_indices() {
        let class = class(character);
        if at > start && (class == 0 || last != Some(class)) {
            words.push(&text[start..at]);
            start = at;
        }
        last = Some(class);
    }
    if start < text.len() {
        words.push(&text[start..]);
    }
    words
}

/// Neighbours that are alike, as lengths.
#[derive(Default)]
struct Parts(Vec<(usize, bool)>);

impl Parts {
    fn push(&mut self, word: &str, differs: bool) {
        match self.0.last_mut() {
            Some((length, like)) if *like == differs => *length += word.len(),
            _ => self.0.push((word.len(), differs)),
        }
    }

    fn all(self, text: &str) -> Vec<Part<'_>> {
        let mut at = 0;
        let part = |(length, differs): (usize, bool)| {
            at += length;
            Part { text: &text[at - length..at], differs }
        };
        self.0.into_iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> (String, String) {
        let show = |parts: Vec<Part<'_>>| {
            let show = |part: &Part<'_>| {
                if part.differs { format!("[{}]", part.text) } else { part.text.to_owned() }
            };
            parts.iter().map(show).collect::<String>()
        };
        let (before, after) = marked(before, after);
        (show(before), show(after))
    }

    #[test]
    fn words_that_differ_are_marked_and_nothing_is_lost() {
        let pair = |before: &str, after: &str| (before.to_owned(), after.to_owned());
        assert_eq!(told("built on alpha", "built on beta"), pair("built on [alpha]", "built on [beta]"));
        assert_eq!(told("/tmp/build-12/a.ml", "/tmp/build-345/a.ml"), {
            pair("/tmp/build-[12]/a.ml", "/tmp/build-[345]/a.ml")
        });
        assert_eq!(told("a b c", "a c"), pair("a [b ]c", "a c"));
        assert_eq!(told("", "ü"), pair("", "[ü]"));
        assert_eq!(told("same", "same"), pair("same", "same"));
        assert_eq!(told("x x x", "x x"), pair("x x[ x]", "x x"));
    }

    #[test]
    fn long_texts_are_compared_from_both_ends() {
        let (one, other) = ("a.".repeat(5_000), "b:".repeat(5_000));
        let (before, after) = told(&format!("begin {one} end"), &format!("begin {other} end"));
        assert_eq!(before, format!("begin [{one}] end"));
        assert_eq!(after, format!("begin [{other}] end"));
    }
}
