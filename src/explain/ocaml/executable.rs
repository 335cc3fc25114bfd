//! Programs in bytecode: which section differs, and what in it.
//!
//! Such a file ends with a table of its sections, their number and a magic word
//! (`bytecomp/bytesections.ml`). What is before the first section starts the runtime.

use super::bytecode::{ENOUGH, Events, compare_names, pairs};
use super::records::{Pair, Shape, compare_lists, inside};
use super::supply::Supply;
use crate::explain::Finding;
use crate::ocaml::graph::STRANGE;
use crate::ocaml::marshal::View;
use crate::ocaml::{Content, MAGIC_LENGTH, OcamlError, begin};

/// Compilers write about ten sections.
const MOST: usize = 64;

/// An entry of the table: four letters and a length.
const ENTRY: usize = 8;

/// Compares two whole programs.
pub(super) fn compare(before: &[u8], after: &[u8], supply: &Supply) -> Result<Vec<Finding>, OcamlError> {
    let (ones, others) = (sections(before)?, sections(after)?);
    let mut found: Vec<Finding> = compare_names(&ones, &others).into_iter().collect();
    if let Some(names) = found.first_mut() {
        names.place = vec!["sections".into()];
    }
    for (name, one, other) in pairs(&ones, &others) {
        if one == other {
            continue;
        }
        let place = [if name == LAUNCHER { name.clone() } else { format!("section {name}") }];
        let told = match name.as_str() {
            "DLLS" | "DLPT" | "PRIM" => texts(one, other, &place),
            "CRCS" => imports(one, other, &place, supply),
            "DATA" | "SYMB" => values(one, other, &place, supply),
            "DBUG" => debug_information(one, other, &place, supply),
            _ => Ok(Vec::new()),
        };
        let told = told.unwrap_or_default();
        if told.is_empty() {
            found.extend(super::bytes(one, other, place.to_vec()));
        }
        found.extend(told);
    }
    Ok(found)
}

/// What is before the sections.
const LAUNCHER: &str = "launcher";

/// The sections in the order of the file, with the bytes before them.
fn sections(bytes: &[u8]) -> Result<Vec<(String, &[u8])>, OcamlError> {
    let end = bytes.len().checked_sub(MAGIC_LENGTH).ok_or(OcamlError::Foreign)?;
    let (before, word) = bytes.split_at(end);
    if !matches!(begin(word), Ok((Content::Executable, _))) {
        return Err(OcamlError::Foreign);
    }
    let (before, count) = before.split_last_chunk::<4>().ok_or(STRANGE)?;
    let count = usize::try_from(u32::from_be_bytes(*count)).ok().filter(|count| *count <= MOST);
    let table = before.len().checked_sub(ENTRY * count.ok_or(STRANGE)?).ok_or(STRANGE)?;
    let (mut rest, table) = before.split_at(table);
    let mut found = Vec::new();
    for entry in table.rchunks_exact(ENTRY) {
        let (name, length) = entry.split_last_chunk::<4>().ok_or(STRANGE)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| STRANGE)?;
        let start = rest.len().checked_sub(length).ok_or(STRANGE)?;
        let section;
        (rest, section) = rest.split_at(start);
        found.push((name.escape_ascii().to_string(), section));
    }
    found.push((LAUNCHER.to_owned(), rest));
    found.reverse();
    Ok(found)
}

/// Words with a zero byte behind each.
fn texts(before: &[u8], after: &[u8], place: &[String]) -> Result<Vec<Finding>, OcamlError> {
    let words = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let words = bytes.strip_suffix(&[0]).unwrap_or(bytes).split(|byte| *byte == 0);
        words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect()
    };
    Ok(compare_lists(&words(before), &words(after), place).into_iter().collect())
}

fn imports(
    before: &[u8],
    after: &[u8],
    place: &[String],
    supply: &Supply,
) -> Result<Vec<Finding>, OcamlError> {
    let ((before, _), (after, _)) = supply.heaps(before, after)?;
    let roots = (before.root(), after.root());
    let mut pair = Pair::new(&before, &after, supply);
    let shape = Shape::Imports("imported interface");
    let told = pair.told(&shape, roots, &inside(place, "imported interfaces"));
    Ok(told.unwrap_or_else(|_| pair.values(roots, place)))
}

/// What the program begins with, or its symbols.
fn values(
    before: &[u8],
    after: &[u8],
    place: &[String],
    supply: &Supply,
) -> Result<Vec<Finding>, OcamlError> {
    let ((before, _), (after, _)) = supply.heaps(before, after)?;
    let mut pair = Pair::new(&before, &after, supply);
    Ok(match (before.view(before.root()), after.view(after.root())) {
        (Some(View::Block(_, ones)), Some(View::Block(_, others))) if ones.len() == others.len() => {
            pair.constants(ones, others, place)
        }
        _ => pair.constants(&[before.root()], &[after.root()], place),
    })
}

/// The number of units, and for each where its code begins, its events and its directories.
fn debug_information<'b>(
    mut before: &'b [u8],
    mut after: &'b [u8],
    place: &[String],
    supply: &Supply,
) -> Result<Vec<Finding>, OcamlError> {
    let number = |bytes: &mut &[u8]| {
        let (number, rest) = bytes.split_first_chunk::<4>().ok_or(STRANGE)?;
        *bytes = rest;
        Ok::<_, OcamlError>(u32::from_be_bytes(*number))
    };
    let (count, others) = (number(&mut before)?, number(&mut after)?);
    if count != others {
        let told = |count: u32| Some(format!("{count} units"));
        return Ok(vec![Finding {
            place: place.to_vec(),
            note: None,
            before: told(count),
            after: told(others),
        }]);
    }
    let mut found = Vec::new();
    for index in 0..count {
        // Where its code begins follows from the code.
        number(&mut before)?;
        number(&mut after)?;
        let events = Events::read((before, after), supply)?;
        let (rest, other_rest) = events.rest;
        if before[..before.len() - rest.len()] != after[..after.len() - other_rest.len()] {
            let unit = events.unit().unwrap_or_else(|| index.to_string());
            found.extend(events.compare(&inside(place, format!("unit {unit}")), supply)?);
        }
        if found.len() > ENOUGH {
            break;
        }
        (before, after) = (rest, other_rest);
    }
    Ok(found)
}
