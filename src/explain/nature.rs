//! What kind of thing a difference is, where that is certain enough: a date, a path, a digest.

use std::collections::BTreeSet;

use super::align::are_reordered;

mod recognise;

use self::recognise::recognise;
use crate::moment::utc;

/// Longer texts are not looked into.
const LONGEST: usize = 64 << 10;

/// What is known by its look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Date,
    /// Seconds since 1970, or milliseconds.
    UnixTime(i64),
    Uuid,
    Digest,
    Path,
}

impl Thing {
    fn words(self) -> &'static str {
        match self {
            Self::Date => "a date or time",
            Self::UnixTime(_) => "a Unix time",
            Self::Uuid => "a UUID",
            Self::Digest => "a digest",
            Self::Path => "an absolute path",
        }
    }
}

/// A note on two texts that differ: all of it is of these kinds, white space, or order. Nothing if
/// there is more to it.
pub(super) fn note(before: &str, after: &str) -> Option<String> {
    if before.len().max(after.len()) > LONGEST || before == after {
        return None;
    }
    if before.split_whitespace().eq(after.split_whitespace()) {
        return Some("only white space differs".to_owned());
    }
    things(before, after).or_else(|| {
        let (one, other) = (words(before), words(after));
        let is_reordered = one != other && are_reordered(one, other);
        is_reordered.then(|| "the same words in another order".to_owned())
    })
}

/// Words and the marks between them; commas and the like may come and go with the order.
fn words(text: &str) -> Vec<&str> {
    let is_between = |one: char| one.is_whitespace() || ",;:|()[]{}".contains(one);
    text.split(is_between).filter(|word| !word.is_empty()).collect()
}

fn things(before: &str, after: &str) -> Option<String> {
    let ((one, ones), (other, others)) = (without_things(before), without_things(after));
    if one != other {
        return None;
    }
    // The rest is the same, so there are as many of each kind, in the same order.
    let differing: Vec<_> = ones.iter().zip(&others).filter(|((_, one), (_, other))| one != other).collect();
    let kinds: BTreeSet<&str> = differing.iter().map(|((thing, _), _)| thing.words()).collect();
    let mut told = kinds.into_iter().collect::<Vec<_>>().join(", ");
    if let [((Thing::UnixTime(one), _), (Thing::UnixTime(other), _))] = differing.as_slice() {
        told += &format!(": {} and {}", utc(*one), utc(*other));
    }
    (!told.is_empty()).then_some(told)
}

/// The text with a mark in place of each thing, and the things with what is written for them.
fn without_things(text: &str) -> (String, Vec<(Thing, &str)>) {
    let mut rest = String::with_capacity(text.len());
    let mut things = Vec::new();
    let (mut at, mut previous) = (0, ' ');
    while let Some(next) = text[at..].chars().next() {
        match recognise(&text[at..], previous) {
            Some((thing, length)) => {
                // No text holds these two characters together otherwise: NUL makes it binary.
                rest.push('\0');
                rest += thing.words();
                things.push((thing, &text[at..at + length]));
                at += length;
                previous = 'x';
            }
            None => {
                rest.push(next);
                at += next.len_utf8();
                previous = next;
            }
        }
    }
    (rest, things)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> String {
        assert_eq!(note(before, after).is_some(), note(after, before).is_some());
        note(before, after).unwrap_or_default()
    }

    #[test]
    fn things_are_known_by_their_look() {
        assert_eq!(told("built 2026-11-30", "built 2026-12-01"), "a date or time");
        assert_eq!(told("at 2026-11-30T03:06:03Z.", "at 2026-11-30T03:06:04.123+01:00."), "a date or time");
        assert_eq!(told("Mon Nov 30 03:06:03 UTC 2026", "Tue Dec  1 13:06:03 CET 2026"), "a date or time");
        assert_eq!(told("\"Nov 30 2026\"", "\"Dec  1 2026\""), "a date or time");
        assert_eq!(told("Mon, 30 Nov 2026 03:06:03 GMT", "Tue, 01 Dec 2026 03:06:03 GMT"), "a date or time");
        assert_eq!(told("(03:06:03)", "(04:06:03)"), "a date or time");
        assert_eq!(told("in /tmp/build_1a.x/a", "in /tmp/build_2/a"), "an absolute path");
        assert_eq!(
            told("id=1764471963;", "id=1764471964;"),
            "a Unix time: 2025-11-30 03:06:03 UTC and 2025-11-30 03:06:04 UTC"
        );
        assert_eq!(told("1764471963123", "1764471963.5"), "");
        let digest = |first: &str| format!("{first}3c5f0e7a9b1d2468ace013579bdf02");
        assert_eq!(told(&digest("ab"), &digest("12")), "a digest");
        let uuid = |first: &str| format!("{first}-0e7a-4b1d-8468-ace013579bdf");
        assert_eq!(told(&uuid("ab3c5f00"), &uuid("ab3c5f01")), "a UUID");
        assert_eq!(
            told("/home/a/x at 03:06:03", "/home/b/x at 03:06:04"),
            "a date or time, an absolute path"
        );
    }

    #[test]
    fn what_else_differs_is_not_explained_away() {
        for (before, after) in [
            ("built 2026-11-30 by a", "built 2026-12-01 by b"),
            // Numbers that OCaml's hashed variants may have.
            ("1002903456", "1034253654"),
            ("version 1.2.3", "version 1.2.4"),
            ("x = /a/g", "x = /b/g"),
            ("2026-13-01", "2026-12-01"),
            ("a 7", "a 8"),
            ("1764471963 only", "1764471963"),
        ] {
            assert_eq!(told(before, after), "", "{before} {after}");
        }
    }

    #[test]
    fn white_space_and_order_are_told() {
        assert_eq!(told("a  b", "a b\n"), "only white space differs");
        assert_eq!(told("modules: b, a, c", "modules: a, b, c"), "the same words in another order");
        assert_eq!(told("a a b", "a b b"), "");
    }
}
