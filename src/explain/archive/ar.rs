//! The archives of `ar`, as GNU and Debian write them, and BSD's long names.
//!
//! ```text
//! "!<arch>\n"  { name 16, time 12, user 6, group 6, mode 8 (octal), size 10, "`\n"; bytes; to even }…
//! ```
//!
//! The member `/` lists symbols, `//` holds names that are too long for a header, which says `/` and where
//! they begin. The crate `object` reads this too, but does not tell what the header of the symbol table
//! says, in which a time may be.

use super::{MOST_MEMBERS, Member, time};
use crate::explain::align::{align, are_reordered};
use crate::explain::{Finding, excerpt};

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;

/// An archive that has been read.
pub(super) struct Archive<'a> {
    pub members: Vec<Member<'a>>,
    /// The names of the symbol table.
    symbols: Vec<&'a [u8]>,
}

/// Reads an archive; nothing if it is none, or damaged.
pub(super) fn read(bytes: &[u8]) -> Option<Archive<'_>> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let mut archive = Archive { members: Vec::new(), symbols: Vec::new() };
    let mut names: &[u8] = b"";
    while !rest.is_empty() {
        let (header, behind) = rest.split_at_checked(HEADER)?;
        let size = usize::try_from(number(field(header, 48, 10)?, 10)?).ok()?;
        let (mut content, behind) = behind.split_at_checked(size)?;
        // Members begin at even places; the last one may lack its filling.
        rest = if size % 2 == 1 { behind.get(1..).unwrap_or_default() } else { behind };
        (header.ends_with(b"`\n") && archive.members.len() < MOST_MEMBERS).then_some(())?;
        let name = field(header, 0, 16)?;
        let name = match name {
            b"//" => {
                names = content;
                continue;
            }
            b"/" | b"/SYM64/" => {
                archive.symbols = symbol_names(content, if name == b"/" { 4 } else { 8 })?;
                // What it lists is compared by itself; where members begin follows from their sizes.
                content = b"";
                b"(symbol table)"
            }
            [b'/', at @ ..] => {
                let long = names.get(usize::try_from(number(at, 10)?).ok()?..)?;
                let end = memchr::memchr(b'\n', long).unwrap_or(long.len());
                long[..end].strip_suffix(b"/").unwrap_or(&long[..end])
            }
            [b'#', b'1', b'/', length @ ..] => {
                let (name, behind) = content.split_at_checked(usize::try_from(number(length, 10)?).ok()?)?;
                content = behind;
                name.split(|byte| *byte == 0).next()?
            }
            name => name.strip_suffix(b"/").unwrap_or(name),
        };
        archive.members.push(Member {
            name: String::from_utf8_lossy(name).into_owned(),
            fields: fields(header)?,
            bytes: content,
            packing: None,
        });
    }
    Some(archive)
}

fn fields(header: &[u8]) -> Option<Vec<(&'static str, String)>> {
    let text = |at, length| Some(String::from_utf8_lossy(field(header, at, length)?).into_owned());
    let seconds = field(header, 16, 12)?;
    let when = number(seconds, 10).map_or_else(|| String::from_utf8_lossy(seconds).into_owned(), time);
    Some(vec![
        ("modification time", when),
        ("user", text(28, 6)?),
        ("group", text(34, 6)?),
        ("mode", text(40, 8)?),
    ])
}

/// A field without the blanks that fill it.
fn field(header: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    Some(header.get(at..at + length)?.trim_ascii_end())
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?.trim(), radix).ok()
}

/// The names of a symbol table: how many, where their members are, and the names, each with a NUL.
fn symbol_names(table: &[u8], width: usize) -> Option<Vec<&[u8]>> {
    let (count, rest) = table.split_at_checked(width)?;
    let count = count.iter().fold(0_usize, |count, byte| count.wrapping_shl(8) | usize::from(*byte));
    let names = rest.get(count.checked_mul(width)?..)?;
    Some(names.split(|byte| *byte == 0).take(count).collect())
}

/// Symbols that came, went or moved.
pub(super) fn symbols(before: &Archive, after: &Archive) -> Vec<Finding> {
    let (one, other) = (&before.symbols, &after.symbols);
    let place = vec!["symbol table".to_owned()];
    let text = |names: &[&[u8]]| String::from_utf8_lossy(&names.join(&b' ')).into_owned();
    if one != other && are_reordered(one.clone(), other.clone()) {
        let (shown, shown_after) = excerpt::pair(&text(one), &text(other), excerpt::STATEMENT);
        let note = Some("the same symbols in another order".to_owned());
        return vec![Finding { place, note, before: Some(shown), after: Some(shown_after) }];
    }
    let told = |hunk: crate::explain::align::Hunk| {
        let (one, other) = (&one[hunk.before], &other[hunk.after]);
        let (shown, shown_after) = excerpt::pair(&text(one), &text(other), excerpt::STATEMENT);
        Finding {
            place: place.clone(),
            note: None,
            before: (!one.is_empty()).then_some(shown),
            after: (!other.is_empty()).then_some(shown_after),
        }
    };
    align(one, other).into_iter().map(told).collect()
}
