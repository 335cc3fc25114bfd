//! Strings of compiled files as they are shown: whole if they are short, else around where they differ.

use crate::explain::common;

/// So many bytes of a string are shown.
const SHOWN: usize = 200;

/// So many of them are before the first difference.
const BEFORE: usize = 80;

/// Digests have so many bytes.
const DIGEST: usize = 16;

/// Two strings that differ.
pub(super) fn strings(before: &[u8], after: &[u8]) -> (String, String) {
    parts(before, after, SHOWN)
}

/// Two strings that differ, of which so many bytes are shown.
pub(super) fn parts(before: &[u8], after: &[u8], shown: usize) -> (String, String) {
    if before.len() <= shown && after.len() <= shown {
        return (part(before, 0, shown), part(after, 0, shown));
    }
    let common = common(before, after);
    let start = common.saturating_sub(BEFORE);
    (part(before, start, shown), part(after, start, shown))
}

/// One string, from its beginning.
pub(super) fn string(bytes: &[u8]) -> String {
    part(bytes, 0, SHOWN)
}

/// So many bytes of a string from one of them on; a character that would be cut is left out.
pub(super) fn part(bytes: &[u8], start: usize, shown: usize) -> String {
    let is_within = |at: &usize| bytes.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let boundary = |at: usize| (at..at + 4).find(|at| !is_within(at)).unwrap_or(at);
    let start = if start == 0 { 0 } else { boundary(start) };
    let end = if start + shown >= bytes.len() { bytes.len() } else { boundary(start + shown) };
    let opening = if start > 0 { "…" } else { "" };
    let closing = if end < bytes.len() { "…" } else { "" };
    format!("{opening}{}{closing}", readable(bytes.get(start..end).unwrap_or_default()))
}

/// Text as it is, a digest in hexadecimal digits, other bytes escaped.
fn readable(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ if bytes.len() == DIGEST => hexadecimal(bytes),
        _ => bytes.escape_ascii().to_string(),
    }
}

/// Bytes in hexadecimal digits; of many, the first.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    const MOST: usize = 32;
    let digits: String = bytes.iter().take(MOST).map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > MOST { format!("{digits}…") } else { digits }
}

/// Words of a list, separated by blanks; what makes it longer than is shown is left out.
pub(super) fn list(items: &[String]) -> String {
    const MOST: usize = 2 * SHOWN;
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        if text.len() + item.len() > MOST {
            text.push_str(&format!("{}… {} more", if index > 0 { " " } else { "" }, items.len() - index));
            break;
        }
        if index > 0 {
            text.push(' ');
        }
        text.push_str(item);
    }
    text
}
