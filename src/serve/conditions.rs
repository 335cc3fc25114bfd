//! What a request asks for under conditions, or of a file in part: `If-Match`, `If-None-Match`,
//! `If-Range`, `Range`.
//!
//! Dates are not among the conditions: files below a hash all have the same one, as in the store, and
//! a file that changed twice within a second has one for both. Entity tags know better.

use std::ops::Range;

use axum::http::header::{self, HeaderMap, HeaderName};

/// What is to be sent of a representation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it. Several ranges, or a unit or form that we do not know, are answered so, too.
    Everything,
    Part(Range<u64>),
    /// No byte of it is in the range.
    Beyond,
    /// The client has it.
    Nothing,
    /// The client expects another one.
    Other,
}

/// What a request wants of the representation of `size` bytes that is called `tag`.
pub(super) fn wanted(headers: &HeaderMap, tag: &str, size: u64, is_head: bool) -> Wanted {
    let named = |name: &HeaderName, is_weak_enough: bool| {
        let mut given = false;
        let mut values = headers.get_all(name).iter().inspect(|_| given = true);
        let found = values.any(|value| value.to_str().is_ok_and(|tags| names_tag(tags, tag, is_weak_enough)));
        (given, found)
    };
    if let (true, false) = named(&header::IF_MATCH, false) {
        return Wanted::Other;
    }
    if named(&header::IF_NONE_MATCH, true).1 {
        return Wanted::Nothing;
    }
    let one = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        let first = values.next();
        first.filter(|_| values.next().is_none())?.to_str().ok()
    };
    // A range counts only if the client has the rest of this very representation: a weak tag, or a
    // date, does not say so.
    let is_same = !headers.contains_key(header::IF_RANGE)
        || one(&header::IF_RANGE).is_some_and(|given| given.trim() == tag);
    match one(&header::RANGE) {
        Some(range) if is_same && !is_head => byte_range(range, size),
        _ => Wanted::Everything,
    }
}

/// Whether a list of entity tags (or `*`) names `tag`; a weak tag of the same text does if that is
/// enough.
fn names_tag(tags: &str, tag: &str, is_weak_enough: bool) -> bool {
    tags.split(',').map(str::trim).any(|one| {
        let strong = if is_weak_enough { one.strip_prefix("W/").unwrap_or(one) } else { one };
        one == "*" || strong == tag
    })
}

/// Reads a `Range` header for `size` bytes.
fn byte_range(header: &str, size: u64) -> Wanted {
    let Some((unit, range)) = header.trim().split_once('=') else { return Wanted::Everything };
    let Some((first, last)) = range.split_once('-').filter(|_| unit.eq_ignore_ascii_case("bytes")) else {
        return Wanted::Everything;
    };
    let number = |text: &str| -> Option<u64> {
        let text = text.trim();
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
    };
    let range = match (first.trim(), last.trim()) {
        ("", last) => match number(last) {
            Some(count) => size.saturating_sub(count)..size,
            None => return Wanted::Everything,
        },
        (first, "") => match number(first) {
            Some(first) => first..size,
            None => return Wanted::Everything,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
            _ => return Wanted::Everything,
        },
    };
    if range.is_empty() { Wanted::Beyond } else { Wanted::Part(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        for (header, expected) in [
            ("bytes=0-4", Wanted::Part(0..5)),
            ("Bytes=0-4", Wanted::Part(0..5)),
            ("bytes=5-", Wanted::Part(5..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-99", Wanted::Part(0..10)),
            ("bytes=8-99", Wanted::Part(8..10)),
            ("bytes=0-18446744073709551615", Wanted::Part(0..10)),
            ("bytes=10-", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=4-2", Wanted::Everything),
            ("bytes=0-1,3-4", Wanted::Everything),
            ("bytes=+1-2", Wanted::Everything),
            ("bytes=99999999999999999999-", Wanted::Everything),
            ("bytes=-", Wanted::Everything),
            ("lines=1-2", Wanted::Everything),
            ("", Wanted::Everything),
        ] {
            assert_eq!(byte_range(header, 10), expected, "{header}");
        }
        assert_eq!(byte_range("bytes=0-", 0), Wanted::Beyond);
    }

    #[test]
    fn entity_tags_are_compared_as_the_condition_asks() {
        assert!(names_tag("\"a\", W/\"b\"", "\"b\"", true));
        assert!(!names_tag("\"a\", W/\"b\"", "\"b\"", false));
        assert!(names_tag("\"a\",\"b\"", "\"b\"", false));
        assert!(names_tag("*", "\"b\"", false));
        assert!(!names_tag("\"ab\"", "\"b\"", true));
    }

    #[test]
    fn conditions_come_before_ranges() {
        let wants = |headers: &[(HeaderName, &str)], is_head| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name, value.parse().unwrap());
            }
            wanted(&map, "\"t\"", 10, is_head)
        };
        let range = (header::RANGE, "bytes=1-2");
        for (headers, expected) in [
            (vec![], Wanted::Everything),
            (vec![range.clone()], Wanted::Part(1..3)),
            (vec![(header::IF_NONE_MATCH, "\"t\""), range.clone()], Wanted::Nothing),
            (vec![(header::IF_NONE_MATCH, "\"a\""), (header::IF_NONE_MATCH, "W/\"t\"")], Wanted::Nothing),
            (vec![(header::IF_NONE_MATCH, "\"a\""), range.clone()], Wanted::Part(1..3)),
            (vec![(header::IF_MATCH, "\"a\""), range.clone()], Wanted::Other),
            (vec![(header::IF_MATCH, "W/\"t\"")], Wanted::Other),
            (vec![(header::IF_MATCH, "\"a\", \"t\""), range.clone()], Wanted::Part(1..3)),
            (vec![(header::IF_MATCH, "*")], Wanted::Everything),
            (vec![(header::IF_RANGE, "\"t\""), range.clone()], Wanted::Part(1..3)),
            (vec![(header::IF_RANGE, "\"u\""), range.clone()], Wanted::Everything),
            (vec![(header::IF_RANGE, "W/\"t\""), range.clone()], Wanted::Everything),
            (vec![(header::IF_RANGE, "Sun, 06 Nov 1994 08:49:37 GMT"), range.clone()], Wanted::Everything),
            (vec![range.clone(), (header::RANGE, "bytes=3-4")], Wanted::Everything),
        ] {
            assert_eq!(wants(&headers, false), expected, "{headers:?}");
        }
        assert_eq!(wants(&[range], true), Wanted::Everything, "HEAD knows no ranges");
    }
}
