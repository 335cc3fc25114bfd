//! Compiled files of OCaml: which declaration, import, option, directory or place in a source differs.
//!
//! ```text
//! both files ──► magic word ──► records, by tables (layouts) ──► findings in words
//!                                 ├─ code, debug information ────► bytecode
//!                                 └─ values without a table ─────► walked in step (walk)
//! ```
//!
//! Of a file of another version of OCaml only that is told. One that is damaged has no reader.

mod bytecode;
mod executable;
mod interface;
mod known;
mod layouts;
mod native;
mod records;
mod supply;
mod walk;
mod words;

use super::{Finding, Format, Reading, common};
use crate::ocaml::{Content, MAGIC_LENGTH, OcamlError, begin};
use records::Pair;
use supply::Supply;

/// Reads two files of one kind.
pub(super) fn read(_name: &str, before: &[u8], after: &[u8]) -> Option<Reading> {
    let (one, other) = (magic_word(before)?, magic_word(after)?);
    let mut findings = match (begin(one), begin(other)) {
        (Ok((one, _)), Ok((other, _))) if one == other => contents(one, before, after)?,
        (Ok(_), Ok(_)) => return None,
        // Files of one kind, by the letter.
        _ if one[..MAGIC_LENGTH - 3] == other[..MAGIC_LENGTH - 3] => {
            return Some(of_other_version(one, other));
        }
        _ => return None,
    };
    if one != other {
        findings.insert(0, records::changed(vec![MAGIC_WORD.into()], shown(one), shown(other)));
    } else if findings.is_empty() {
        let note = Some("the same values, written in another way".to_owned());
        findings.push(Finding { place: vec!["file".into()], note, ..Finding::default() });
    }
    Some(Reading { format: Format::Ocaml, findings })
}

const MAGIC_WORD: &str = "magic word";

/// With what a compiled file begins, or a program ends.
fn magic_word(bytes: &[u8]) -> Option<&[u8]> {
    let is_known = |word: &&[u8]| !matches!(begin(word), Err(OcamlError::Foreign));
    let first = bytes.get(..MAGIC_LENGTH).filter(is_known);
    let last = || bytes.last_chunk::<MAGIC_LENGTH>().map(<[u8; MAGIC_LENGTH]>::as_slice);
    first.or_else(|| last().filter(|word| word.starts_with(b"Caml1999X")).filter(is_known))
}

/// What can be said of files that are not read, or not both.
fn of_other_version(one: &[u8], other: &[u8]) -> Reading {
    let (before, after) = (shown(one), shown(other));
    let finding = if one == other {
        let note = format!("`{before}`: a version of OCaml whose files are not read");
        Finding { place: vec![MAGIC_WORD.into()], note: Some(note), ..Finding::default() }
    } else {
        let note = Some("not both are of a version of OCaml whose files are read".to_owned());
        Finding { place: vec![MAGIC_WORD.into()], note, before: Some(before), after: Some(after) }
    };
    Reading { format: Format::Ocaml, findings: vec![finding] }
}

fn shown(word: &[u8]) -> String {
    word.escape_ascii().to_string()
}

/// What differs between two files of a kind that is read.
fn contents(kind: Content, before: &[u8], after: &[u8]) -> Option<Vec<Finding>> {
    let supply = Supply::new();
    let (rest, other_rest) = (before.get(MAGIC_LENGTH..)?, after.get(MAGIC_LENGTH..)?);
    match kind {
        Content::Interface => interface::compare((before, after), (rest, other_rest), &supply),
        Content::Unit => bytecode::units(before, after, &supply),
        Content::Library => bytecode::libraries(before, after, &supply),
        Content::NativeUnit => native::units(rest, other_rest, &supply),
        Content::NativeLibrary => native::libraries(rest, other_rest, &supply),
        Content::Annotations => annotations(rest, other_rest, &supply),
        Content::Executable => executable::compare(before, after, &supply),
    }
    .ok()
}

/// What is behind the magic word of typed trees.
fn annotations(before: &[u8], after: &[u8], supply: &Supply) -> Result<Vec<Finding>, OcamlError> {
    let ((before, _), (after, _)) = supply.heaps(before, after)?;
    let mut pair = Pair::new(&before, &after, supply);
    Ok(pair.records(layouts::ANNOTATIONS, (before.root(), after.root()), &[]))
}

/// Bytes that have no shape: how many there are, and those from the first one that differs.
fn bytes(before: &[u8], after: &[u8], place: Vec<String>) -> Option<Finding> {
    const SHOWN: usize = 16;
    if before == after {
        return None;
    }
    let common = common(before, after);
    let told = |bytes: &[u8]| {
        let from = &bytes[common..];
        let shown = words::hexadecimal(&from[..from.len().min(SHOWN)]);
        match (from.len(), shown) {
            (0, _) => format!("{} bytes", bytes.len()),
            (left, shown) if left > SHOWN => format!("{} bytes: {shown}…", bytes.len()),
            (_, shown) => format!("{} bytes: {shown}", bytes.len()),
        }
    };
    let note = Some(format!("from byte {common} on"));
    Some(Finding { place, note, before: Some(told(before)), after: Some(told(after)) })
}

#[cfg(test)]
mod tests;
