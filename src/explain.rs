//! Why two files differ, as people would say it: which line, statement, member, value or digest.
//!
//! ```text
//! name, bytes, bytes ──► first reader that knows the format ──► findings
//!                          └─ archives, objects: their parts are files again ─┘
//! ```
//!
//! Pure: bytes in, words out. Files may come from anybody; whatever no reader understands is told by the
//! place at which the bytes begin to differ.

mod align;
mod archive;
mod compressed;
mod elf;
mod excerpt;
mod javascript;
mod json;
mod nature;
mod ocaml;
mod repeated;
mod text;

use serde::Serialize;

/// So many bytes before the first difference are shown, and from it on.
const BEFORE: usize = 12;
const FROM: usize = 28;

/// So many findings of a file are told; the others are counted.
const MOST: usize = 50;

/// The formats that have a reader.
///
/// Each gives `None` for files that are something else, or that it cannot read; no findings for files that
/// say the same in its format, although their bytes differ.
const READERS: &[Reader] = &[ocaml::read, javascript::read, json::read, text::read];

/// File name without directories, and the bytes of both files.
type Reader = fn(&str, &[u8], &[u8]) -> Option<Reading>;

/// The formats whose parts are files again, which come first.
const CONTAINERS: &[fn(&str, &[u8], &[u8], &mut Room) -> Option<Reading>] =
    &[compressed::read, archive::read_ar, archive::read_tar, archive::read_zip];

/// Files that are larger together are told by their bytes only.
const LARGEST: usize = 128 << 20;

/// What the parts of containers, and sections of objects, may cost.
struct Room {
    /// So many containers may be inside each other yet.
    depth: usize,
    /// So many bytes may be unpacked yet.
    bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { depth: 4, bytes: 64 << 20 }
    }
}

/// How files were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// By nobody who knows their format.
    Bytes,
    /// As what OCaml's compilers write.
    Ocaml,
    Text,
    #[serde(rename = "javascript")]
    JavaScript,
    Json,
    /// Object, shared library or program.
    Elf,
    /// What `ar` writes.
    Archive,
    Tar,
    Zip,
    Gzip,
    Brotli,
}

/// What a reader found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub format: Format,
    pub findings: Vec<Finding>,
}

/// How two files differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The first byte that differs, counted from 0.
    pub offset: u64,
    /// What is around it, in each; bytes that are no plain ASCII are escaped.
    pub before: String,
    pub after: String,
    pub format: Format,
    /// In the order of the file. None if it has another format, or says the same in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// How many more there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

/// One thing in which two files differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Finding {
    /// Where it is, from the outermost part in: `["member stdlib.o", "section .rodata"]`.
    pub place: Vec<String>,
    /// What can be said about it besides: `the same lines in another order`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What is there, perhaps of several lines; nothing where there is no such thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Looks into two files of the same name; nothing if their bytes are equal.
pub fn explain(name: &str, before: &[u8], after: &[u8]) -> Option<Explanation> {
    let common = common(before, after);
    if common == before.len() && common == after.len() {
        return None;
    }
    let Reading { format, mut findings } = read(name, before, after, &mut Room::default());
    repeated::fold(&mut findings);
    let more = findings.len().saturating_sub(MOST);
    findings.truncate(MOST);
    Some(Explanation {
        offset: common as u64,
        before: around(before, common),
        after: around(after, common),
        format,
        findings,
        more,
    })
}

/// How many items two sequences have in common at their beginning.
fn common<T: PartialEq>(before: &[T], after: &[T]) -> usize {
    before.iter().zip(after).take_while(|(one, other)| one == other).count()
}

/// What is around a byte; bytes that are no plain ASCII are escaped.
fn around(bytes: &[u8], at: usize) -> String {
    bytes[at.saturating_sub(BEFORE)..bytes.len().min(at + FROM)].escape_ascii().to_string()
}

/// Asks the readers, for a file or for a part of one.
fn read(name: &str, before: &[u8], after: &[u8], room: &mut Room) -> Reading {
    let unread = Reading { format: Format::Bytes, findings: Vec::new() };
    if before.len().saturating_add(after.len()) > LARGEST {
        return unread;
    }
    if room.depth > 0 {
        room.depth -= 1;
        let told = CONTAINERS.iter().find_map(|read| read(name, before, after, room));
        room.depth += 1;
        if let Some(told) = told {
            return told;
        }
    }
    // Sections may be compressed, but are no files.
    let told = elf::read(before, after, room);
    told.or_else(|| READERS.iter().find_map(|read| read(name, before, after))).unwrap_or(unread)
}

/// What tests compare: `place [note] before → after`.
#[cfg(test)]
fn short(findings: Vec<Finding>) -> Vec<String> {
    let shown = |text: Option<String>| text.unwrap_or_else(|| "nothing".into());
    let short = |one: Finding| {
        let note = one.note.map(|note| format!("[{note}] ")).unwrap_or_default();
        format!("{} {note}{} → {}", one.place.join(", "), shown(one.before), shown(one.after))
    };
    findings.into_iter().map(short).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found_with_what_is_around_it() {
        let told = |one: &[u8], other: &[u8]| {
            explain("x", one, other).map(|told| (told.offset, told.before, told.after))
        };
        assert_eq!(told(b"built on alpha\n", b"built on beta\n"), {
            Some((9, "built on alpha\\n".into(), "built on beta\\n".into()))
        });
        assert_eq!(told(b"same", b"same, and more"), Some((4, "same".into(), "same, and more".into())));
        assert_eq!(told(b"\0\xff", b"\0\xfe"), Some((1, "\\x00\\xff".into(), "\\x00\\xfe".into())));
        assert_eq!(told(b"same", b"same"), None);
    }
}
