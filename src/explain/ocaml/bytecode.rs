//! `.cmo` and `.cma`: bytecode, the debug information that belongs to it, and what is known of its units.
//!
//! A descriptor, to which the number behind the magic word leads, says where code and debug information of
//! each unit are in the file (`file_formats/cmo_format.mli`).

use std::collections::HashMap;

use super::layouts::{LIBRARY, RELOCATIONS, UNIT, UNIT_RANGES};
use super::records::{Pair, Shape, changed, compare_lists, inside};
use super::supply::Supply;
use super::words;
use crate::explain::Finding;
use crate::ocaml::graph::{Graph, STRANGE, Variant};
use crate::ocaml::marshal::{Heap, Value};
use crate::ocaml::{MAGIC_LENGTH, OcamlError};

/// Further units are not looked into once there are so many findings: nobody reads as many.
pub(super) const ENOUGH: usize = 1000;

/// Compares two whole `.cmo` files.
pub(super) fn units(before: &[u8], after: &[u8], supply: &Supply) -> Result<Vec<Finding>, OcamlError> {
    let ((one, _), (other, _)) = supply.heaps(descriptor(before)?, descriptor(after)?)?;
    let mut pair = Pair::new(&one, &other, supply);
    let mut files = (File::new(before), File::new(after));
    compare(&mut pair, (one.root(), other.root()), &mut files, &[], supply)
}

/// Compares two whole `.cma` files.
pub(super) fn libraries(before: &[u8], after: &[u8], supply: &Supply) -> Result<Vec<Finding>, OcamlError> {
    let ((one, _), (other, _)) = supply.heaps(descriptor(before)?, descriptor(after)?)?;
    let mut pair = Pair::new(&one, &other, supply);
    let read = |graph: &Graph<'_>, root| -> Result<Vec<(String, Value)>, OcamlError> {
        let units = graph.list(graph.record::<1>(root)?[0])?;
        let unit = |unit| Ok((words::string(graph.bytes(graph.record::<1>(unit)?[0])?), unit));
        units.into_iter().map(unit).collect()
    };
    let graphs = pair.graphs();
    let (ones, others) = (read(graphs.0, one.root())?, read(graphs.1, other.root())?);
    let mut found = pair.records(LIBRARY, (one.root(), other.root()), &[]);
    found.extend(compare_names(&ones, &others));
    let mut files = (File::new(before), File::new(after));
    for (name, unit, other) in pairs(&ones, &others) {
        let place = [format!("unit {name}")];
        found.extend(compare(&mut pair, (unit, other), &mut files, &place, supply)?);
        if found.len() > ENOUGH {
            break;
        }
    }
    Ok(found)
}

/// Which units there are, and in which order.
pub(super) fn compare_names<T>(before: &[(String, T)], after: &[(String, T)]) -> Option<Finding> {
    let names = |units: &[(String, T)]| units.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    compare_lists(&names(before), &names(after), &["units".to_owned()])
}

/// Units that both have, by their names.
pub(super) fn pairs<T: Copy>(before: &[(String, T)], after: &[(String, T)]) -> Vec<(String, T, T)> {
    let known: HashMap<&str, T> = after.iter().map(|(name, unit)| (name.as_str(), *unit)).collect();
    let pair = |(name, unit): &(String, T)| Some((name.clone(), *unit, *known.get(name.as_str())?));
    before.iter().filter_map(pair).collect()
}

/// The value to which the number behind the magic word leads.
fn descriptor(bytes: &[u8]) -> Result<&[u8], OcamlError> {
    let number = bytes.get(MAGIC_LENGTH..).and_then(<[u8]>::first_chunk::<4>);
    let at = usize::try_from(u32::from_be_bytes(*number.ok_or(STRANGE)?)).map_err(|_| STRANGE)?;
    bytes.get(at..).ok_or(STRANGE)
}

/// A file, and how much of it units may still say is theirs: no two units have the same part.
struct File<'b> {
    bytes: &'b [u8],
    left: usize,
}

impl<'b> File<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, left: bytes.len() }
    }

    /// Code and debug information of a unit.
    fn parts(&mut self, graph: &Graph<'_>, unit: Value) -> Result<[&'b [u8]; 2], OcamlError> {
        let fields = graph.record::<10>(unit)?;
        let mut found: [&[u8]; 2] = [&[]; 2];
        for (part, (position, size)) in found.iter_mut().zip(UNIT_RANGES) {
            let number = |field: usize| {
                let value = *fields.get(field).ok_or(STRANGE)?;
                usize::try_from(graph.constant(value)?).map_err(|_| STRANGE)
            };
            let (position, size) = (number(position)?, number(size)?);
            self.left = self.left.checked_sub(size).ok_or(STRANGE)?;
            let end = position.checked_add(size).ok_or(STRANGE)?;
            *part = self.bytes.get(position..end).ok_or(STRANGE)?;
        }
        Ok(found)
    }
}

/// Compares two units with what belongs to them in the files.
fn compare(
    pair: &mut Pair<'_>,
    units: (Value, Value),
    files: &mut (File<'_>, File<'_>),
    place: &[String],
    supply: &Supply,
) -> Result<Vec<Finding>, OcamlError> {
    let graphs = pair.graphs();
    let [code, debug] = files.0.parts(graphs.0, units.0)?;
    let [other_code, other_debug] = files.1.parts(graphs.1, units.1)?;
    let mut found = pair.records(UNIT, units, place);
    found.extend(references(pair, units, place)?);
    found.extend(super::bytes(code, other_code, inside(place, "code")));
    let place = inside(place, "debug information");
    found.extend(debug_information((debug, other_debug), &place, supply));
    Ok(found)
}

/// What the code of a unit refers to, in the order of the code.
#[derive(Default)]
struct References {
    /// Units, exceptions, and functions of C.
    names: Vec<String>,
    /// Strings and what else does not fit into code.
    constants: Vec<Value>,
}

impl References {
    /// Reads `Cmo_format.reloc_info`s. Their places follow from the code.
    fn read(graph: &Graph<'_>, unit: Value) -> Result<Self, OcamlError> {
        let mut read = Self::default();
        let list = *graph.record::<10>(unit)?.get(RELOCATIONS).ok_or(STRANGE)?;
        for reference in graph.list(list)? {
            let (what, _place) = graph.pair(reference)?;
            let Variant::Block(tag, [what]) = graph.variant(what)? else { return Err(STRANGE) };
            let word = match tag {
                0 => {
                    read.constants.push(*what);
                    continue;
                }
                1 => "unit",
                2 => "exception",
                3 => "itself as",
                4 => "primitive",
                _ => return Err(STRANGE),
            };
            read.names.push(format!("{word} {}", words::string(graph.bytes(*what)?)));
        }
        Ok(read)
    }

    /// Those of the constants that are strings.
    fn strings(&self, graph: &Graph<'_>) -> Vec<Vec<u8>> {
        self.constants.iter().filter_map(|value| graph.bytes(*value).ok()).map(<[u8]>::to_vec).collect()
    }
}

fn references(
    pair: &mut Pair<'_>,
    (before, after): (Value, Value),
    place: &[String],
) -> Result<Vec<Finding>, OcamlError> {
    let graphs = pair.graphs();
    let (one, other) = (References::read(graphs.0, before)?, References::read(graphs.1, after)?);
    let constants = inside(place, "constants");
    let (count, others) = (one.constants.len(), other.constants.len());
    let mut found = Vec::new();
    if count == others {
        found.extend(pair.constants(&one.constants, &other.constants, &constants));
    } else {
        let strings = (one.strings(graphs.0), other.strings(graphs.1));
        found.push(changed(constants.clone(), count.to_string(), others.to_string()));
        found.extend(compare_lists(&strings.0, &strings.1, &inside(&constants, "strings")));
    }
    found.extend(compare_lists(&one.names, &other.names, &inside(place, "references")));
    Ok(found)
}

/// Two lists of events, each with the directories of their sources behind it.
fn debug_information((before, after): (&[u8], &[u8]), place: &[String], supply: &Supply) -> Vec<Finding> {
    if before == after {
        return Vec::new();
    }
    if before.is_empty() || after.is_empty() {
        let told = |bytes: &[u8]| {
            Some(if bytes.is_empty() { "none".into() } else { format!("{} bytes", bytes.len()) })
        };
        let note = Some("only one of them was made with `-g`".to_owned());
        return vec![Finding { place: place.to_vec(), note, before: told(before), after: told(after) }];
    }
    let found = Events::read((before, after), supply).and_then(|events| events.compare(place, supply));
    match found {
        Ok(found) if !found.is_empty() => found,
        _ => super::bytes(before, after, place.to_vec()).into_iter().collect(),
    }
}

/// The debug information of one unit in both files: events, and the directories of the sources.
pub(super) struct Events<'b> {
    list: (Heap, Heap),
    directories: (Heap, Heap),
    /// What is behind it.
    pub rest: (&'b [u8], &'b [u8]),
}

impl<'b> Events<'b> {
    /// Reads what is at the beginning of both.
    pub fn read((before, after): (&'b [u8], &'b [u8]), supply: &Supply) -> Result<Self, OcamlError> {
        let ((one, rest), (other, other_rest)) = supply.heaps(before, after)?;
        let ((directories, rest), (others, other_rest)) = supply.heaps(rest, other_rest)?;
        Ok(Self { list: (one, other), directories: (directories, others), rest: (rest, other_rest) })
    }

    /// The unit, as the first event says.
    pub fn unit(&self) -> Option<String> {
        let graph = Graph::new(&self.list.0);
        let (first, _) = graph.pair(self.list.0.root()).ok()?;
        let module = *graph.record::<2>(first).ok()?.get(1)?;
        Some(words::string(graph.bytes(module).ok()?))
    }

    /// In what they differ, the directories first.
    pub fn compare(&self, place: &[String], supply: &Supply) -> Result<Vec<Finding>, OcamlError> {
        let (one, other) = &self.directories;
        let pair = Pair::new(one, other, supply);
        let roots = (one.root(), other.root());
        let mut found = pair.told(&Shape::Texts, roots, &inside(place, "directories"))?;
        let (one, other) = &self.list;
        let mut pair = Pair::new(one, other, supply);
        found.extend(pair.values((one.root(), other.root()), &inside(place, "events")));
        Ok(found)
    }
}
