//! Things that are known by their look, at the beginning of a text.

use super::Thing;

/// Hexadecimal digits of MD5, SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512.
const DIGESTS: [usize; 6] = [32, 40, 56, 64, 96, 128];

/// From 2008 to 2038. Smaller numbers of ten digits are often hashes of OCaml's variants.
const TIMES: std::ops::Range<i64> = 1_200_000_000..1 << 31;

/// Where absolute paths of builds usually begin.
const ROOTS: [&str; 18] = [
    "bin", "build", "builds", "data", "etc", "home", "lib", "mnt", "nix", "opt", "private", "root", "run",
    "srv", "tmp", "usr", "var", "work",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The thing that the text begins with, and its length in bytes. `previous` is the character before.
pub(super) fn recognise(text: &str, previous: char) -> Option<(Thing, usize)> {
    if previous.is_alphanumeric() || previous == '_' {
        return None;
    }
    let first = text.bytes().next()?;
    if first == b'/' {
        let is_inside = matches!(previous, '.' | '/' | ':' | ')' | '<' | '~');
        return if is_inside { None } else { path(text).map(|length| (Thing::Path, length)) };
    }
    if !first.is_ascii_alphanumeric() {
        return None;
    }
    let thing = |thing| move |length| (thing, length);
    uuid(text)
        .map(thing(Thing::Uuid))
        .or_else(|| digest(text).map(thing(Thing::Digest)))
        .or_else(|| date(text).map(thing(Thing::Date)))
        .or_else(|| if matches!(previous, '-' | '.') { None } else { unix_time(text) })
}

fn run(text: &str, is: impl Fn(char) -> bool) -> usize {
    text.find(|one| !is(one)).unwrap_or(text.len())
}

/// Whether a word ends where `text` begins.
fn ends(text: &str) -> bool {
    !text.chars().next().is_some_and(|next| next.is_alphanumeric() || next == '_')
}

fn path(text: &str) -> Option<usize> {
    let is_in = |one: char| one.is_ascii_alphanumeric() || "/._+@~-".contains(one);
    // The full stop of a sentence is none of the path.
    let path = text[..run(text, is_in)].trim_end_matches('.');
    let mut parts = path.split('/').skip(1);
    let first = parts.next()?;
    let others = parts.filter(|part| !part.is_empty()).count();
    let is_path = others > 0 && ROOTS.contains(&first) || others > 1 && first.len() > 1;
    is_path.then_some(path.len())
}

fn uuid(text: &str) -> Option<usize> {
    let mut at = 0;
    for (index, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            text[at..].starts_with('-').then_some(())?;
            at += 1;
        }
        (run(&text[at..], |one| one.is_ascii_hexdigit()) == length).then_some(())?;
        at += length;
    }
    ends(&text[at..]).then_some(at)
}

fn digest(text: &str) -> Option<usize> {
    let length = run(text, |one| one.is_ascii_hexdigit());
    let digits = &text[..length];
    let has_letter = digits.bytes().any(|one| one.is_ascii_alphabetic());
    let is_digest = DIGESTS.contains(&length) && has_letter && digits.bytes().any(|one| one.is_ascii_digit());
    (is_digest && ends(&text[length..])).then_some(length)
}

fn unix_time(text: &str) -> Option<(Thing, usize)> {
    let digits = run(text, |one| one.is_ascii_digit());
    let number: i64 = text.get(..digits)?.parse().ok()?;
    let seconds = match digits {
        10 => number,
        13 => number / 1000,
        _ => return None,
    };
    let is_time = TIMES.contains(&seconds) && ends(&text[digits..]) && !text[digits..].starts_with('.');
    is_time.then_some((Thing::UnixTime(seconds), digits))
}

/// Which parts of a date have been read.
#[derive(Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each part is there or not")]
struct Parts {
    day: bool,
    month: bool,
    year: bool,
    clock: bool,
}

/// `2026-11-30T03:06:03Z`, `Mon Nov 30 03:06:03 UTC 2026`, `30 November 2026`, `03:06:03`, and the like.
fn date(text: &str) -> Option<usize> {
    let mut parts = Parts::default();
    let (mut at, mut end) = (0, None);
    while let Some(length) = part(&text[at..], &mut parts) {
        at += length;
        if parts.month && parts.day && (parts.year || parts.clock) || parts.clock && end.is_none() {
            end = Some(at);
        }
        let rest = &text[at..];
        // Only what is written as one goes on: `T`, a blank or two, a comma and a blank.
        let between = run(rest, |one| one == ' ');
        at += match rest.bytes().next() {
            Some(b'T') if rest[1..].starts_with(|one: char| one.is_ascii_digit()) => 1,
            Some(b',') if rest[1..].starts_with(' ') => 2,
            Some(b' ') if between <= 2 => between,
            _ => break,
        };
    }
    end
}

/// Reads one part of a date: its length. Each part is there once.
fn part(text: &str, parts: &mut Parts) -> Option<usize> {
    let number = |from: usize, length: usize, range: std::ops::RangeInclusive<u32>| {
        let digits = text.get(from..from + length)?;
        let is_number = digits.bytes().all(|one| one.is_ascii_digit());
        (is_number && range.contains(&digits.parse().ok()?)).then_some(())
    };
    let is_at = |at: usize, mark: u8| text.as_bytes().get(at) == Some(&mark);
    let new = |flag: &mut bool| !std::mem::replace(flag, true);
    let digits = run(text, |one| one.is_ascii_digit());
    let letters = run(text, |one| one.is_ascii_alphabetic());
    let is_date = digits == 4 && is_at(4, b'-') && is_at(7, b'-');
    if is_date && number(0, 4, 1970..=2199).is_some() && number(5, 2, 1..=12).is_some() {
        number(8, 2, 1..=31)?;
        let next = text[10..].chars().next();
        let goes_on =
            next.is_some_and(|next| next.is_alphanumeric() && next != 'T' || matches!(next, '-' | '_'));
        (parts.day, parts.month, parts.year) = (true, true, true);
        return (!goes_on).then_some(10);
    }
    if digits == 2 && is_at(2, b':') && number(0, 2, 0..=23).is_some() && number(3, 2, 0..=59).is_some() {
        let has_date = parts.day && parts.month;
        let mut length = 5;
        if is_at(5, b':') && number(6, 2, 0..=60).is_some() {
            length = 8;
            if is_at(8, b'.') {
                length += 1 + run(&text[9..], |one| one.is_ascii_digit());
            }
        } else if !has_date {
            // Hours and minutes alone are too much like other things.
            return None;
        }
        length += zone(&text[length..]);
        return (new(&mut parts.clock) && ends(&text[length..])).then_some(length);
    }
    if letters >= 3 {
        let word = &text[..letters];
        let is_named = |names: &[&str]| names.iter().any(|name| *name == word || name[..3] == *word);
        if ends(&text[letters..]) && is_named(&DAYS) {
            return Some(letters);
        }
        if ends(&text[letters..]) && is_named(&MONTHS) {
            return new(&mut parts.month).then_some(letters);
        }
        let is_zone = parts.clock && letters <= 4 && word.bytes().all(|one| one.is_ascii_uppercase());
        return is_zone.then_some(letters);
    }
    let zone = zone(text);
    if parts.clock && zone > 1 {
        return Some(zone);
    }
    if !ends(&text[digits..]) {
        return None;
    }
    if matches!(digits, 1 | 2) && number(0, digits, 1..=31).is_some() {
        return new(&mut parts.day).then_some(digits);
    }
    (digits == 4 && parts.month && number(0, 4, 1970..=2199).is_some() && new(&mut parts.year)).then_some(4)
}

/// `Z`, `+01:00`, `-0500`: how long it is.
fn zone(text: &str) -> usize {
    match text.as_bytes() {
        [b'Z', ..] if ends(&text[1..]) => 1,
        [b'+' | b'-', rest @ ..] => {
            let digits = |bytes: &[u8]| bytes.iter().take(2).filter(|one| one.is_ascii_digit()).count() == 2;
            match rest {
                [_, _, b':', minutes @ ..] if digits(rest) && digits(minutes) => 6,
                [_, _, minutes @ ..] if digits(rest) && digits(minutes) => 5,
                _ => 0,
            }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_cut_in_a_character() {
        for text in ["2026-11-3é", "12:3é", "Nové 30", "/tmp/é", "+0é", "2026é", "12:30:45é", "Mon é"]
        {
            for previous in [' ', 'x'] {
                if let Some((_, length)) = recognise(text, previous) {
                    assert!(text.is_char_boundary(length), "{text}");
                }
            }
        }
    }
}
