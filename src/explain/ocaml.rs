//! Compiled files of OCaml: which declaration, import, option, directory or place in a source differs.
//!
//! ```text
//! both files ──► magic word ──► records, by tables (layouts) ──► findings in words
//!                                 ├─ code, debug information ────► bytecode
//!                                 └─ values without a table ─────► walked in step (walk)
//! ```
//!
//! A file of another version of OCaml, or one that is damaged, has no reader.

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
use crate::ocaml::{Content, OcamlError, begin};
use records::Pair;
use supply::Supply;

/// Reads two files of one kind.
pub(super) fn read(_name: &str, before: &[u8], after: &[u8]) -> Option<Reading> {
    let supply = Supply::new();
    let mut findings = match (begin(before), begin(after)) {
        (Ok((one, rest)), Ok((other, other_rest))) if one == other => match one {
            Content::Interface => interface::compare((before, after), (rest, other_rest), &supply),
            Content::Unit => bytecode::units(before, after, &supply),
            Content::Library => bytecode::libraries(before, after, &supply),
            Content::NativeUnit => native::units(rest, other_rest, &supply),
            Content::NativeLibrary => native::libraries(rest, other_rest, &supply),
            Content::Annotations => annotations(rest, other_rest, &supply),
            Content::Executable => return None,
        },
        (Ok(_), Ok(_)) => return None,
        _ => executable::compare(before, after, &supply),
    }
    .ok()?;
    if findings.is_empty() {
        let note = Some("the same values, written in another way".to_owned());
        findings.push(Finding { place: vec!["file".into()], note, ..Finding::default() });
    }
    Some(Reading { format: Format::Ocaml, findings })
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
