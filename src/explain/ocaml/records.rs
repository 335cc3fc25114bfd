//! Records of compiled files, told by tables of their fields: what is in which field, and how two of them
//! are compared.

use std::collections::BTreeMap;

use super::supply::Supply;
use super::walk::Walk;
use super::words;
use crate::explain::align::are_reordered;
use crate::explain::{Finding, common};
use crate::ocaml::OcamlError;
use crate::ocaml::graph::{Graph, STRANGE, Variant};
use crate::ocaml::marshal::{Heap, Value};

/// So many imports that differ are told of one list.
const IMPORTS: usize = 12;

/// What a field holds.
pub(super) enum Shape {
    /// A string. Digests are shown in hexadecimal digits.
    Text,
    OptionalText,
    Flag,
    /// A list of strings.
    Texts,
    /// An array of strings.
    TextArray,
    /// A list of numbers.
    Numbers,
    /// `crcs`: a list of names with the digests that are known. The text is what one of them is called.
    Imports(&'static str),
    /// A record of its own.
    Record(&'static [Field]),
    /// A list of strings with their places in a source, which are compared if the strings are the same.
    Comments,
    /// Something that is walked.
    Values,
    /// What follows from the rest, such as positions in the file.
    Unsaid,
}

/// A field of a record: what people call it, and what it holds.
pub(super) struct Field(pub &'static str, pub Shape);

/// The two heaps that values are compared of.
pub(super) struct Pair<'a> {
    before: Graph<'a>,
    after: Graph<'a>,
    walk: Walk<'a>,
}

/// A place that is one step further in.
pub(super) fn inside(place: &[String], step: impl Into<String>) -> Vec<String> {
    let mut place = place.to_vec();
    place.push(step.into());
    place
}

/// One thing that both have, and not alike.
pub(super) fn changed(place: Vec<String>, before: impl Into<String>, after: impl Into<String>) -> Finding {
    Finding { place, note: None, before: Some(before.into()), after: Some(after.into()) }
}

impl<'a> Pair<'a> {
    pub fn new(before: &'a Heap, after: &'a Heap, supply: &'a Supply) -> Self {
        let walk = Walk::new(before, after, supply);
        Self { before: Graph::new(before), after: Graph::new(after), walk }
    }

    /// The graphs of both.
    pub fn graphs(&self) -> (&Graph<'a>, &Graph<'a>) {
        (&self.before, &self.after)
    }

    /// In what two records differ, the fields that are told in words first. A record that has other fields
    /// than the table is walked as a whole.
    pub fn records(
        &mut self,
        fields: &'static [Field],
        (before, after): (Value, Value),
        place: &[String],
    ) -> Vec<Finding> {
        let read =
            |graph: &Graph<'a>, value| graph.record::<1>(value).ok().filter(|of| of.len() == fields.len());
        let (Some(ones), Some(others)) = (read(&self.before, before), read(&self.after, after)) else {
            let whole = ["the whole record".to_owned()];
            return self.walk.compare(before, after, if place.is_empty() { &whole } else { place });
        };
        let mut found = Vec::new();
        let mut to_walk = Vec::new();
        for (Field(name, shape), both) in fields.iter().zip(ones.iter().copied().zip(others.iter().copied()))
        {
            let place = inside(place, *name);
            match shape {
                Shape::Unsaid => {}
                Shape::Values => to_walk.push((both, place)),
                Shape::Record(fields) => found.extend(self.records(fields, both, &place)),
                shape => match self.told(shape, both, &place) {
                    Ok(told) if told.is_empty() && matches!(shape, Shape::Comments) => {
                        to_walk.push((both, place));
                    }
                    Ok(told) => found.extend(told),
                    // Not what it should be.
                    Err(_) => to_walk.push((both, place)),
                },
            }
        }
        for ((before, after), place) in to_walk {
            found.extend(self.walk.compare(before, after, &place));
        }
        found
    }

    /// Walks what a program is made of.
    pub fn constants(&mut self, before: &[Value], after: &[Value], place: &[String]) -> Vec<Finding> {
        self.walk.compare_all(before, after, place)
    }

    /// Walks two values.
    pub fn values(&mut self, (before, after): (Value, Value), place: &[String]) -> Vec<Finding> {
        self.walk.compare(before, after, place)
    }

    /// Compares two values that are told in words.
    pub fn told(
        &self,
        shape: &Shape,
        (before, after): (Value, Value),
        place: &[String],
    ) -> Result<Vec<Finding>, OcamlError> {
        let read = |graph: &Graph<'a>, value| -> Result<Vec<Vec<u8>>, OcamlError> {
            let values = match shape {
                Shape::Text | Shape::Flag => vec![value],
                Shape::OptionalText => graph.option(value)?.into_iter().collect(),
                Shape::TextArray => match graph.variant(value)? {
                    Variant::Block(0, fields) => fields.to_vec(),
                    _ => return Err(STRANGE),
                },
                _ => graph.list(value)?,
            };
            let words = values.into_iter().map(|value| match shape {
                Shape::Flag => Ok(if graph.constant(value)? == 0 { b"no".to_vec() } else { b"yes".to_vec() }),
                Shape::Numbers => Ok(graph.constant(value)?.to_string().into_bytes()),
                Shape::Comments => Ok(graph.bytes(graph.pair(value)?.0)?.to_vec()),
                _ => Ok(graph.bytes(value)?.to_vec()),
            });
            words.collect()
        };
        if let Shape::Imports(one) = shape {
            return Ok(compare_imports(
                &read_imports(&self.before, before)?,
                &read_imports(&self.after, after)?,
                one,
                place,
            ));
        }
        let (before, after) = (read(&self.before, before)?, read(&self.after, after)?);
        Ok(match (shape, before.as_slice(), after.as_slice()) {
            (Shape::Text | Shape::Flag | Shape::OptionalText, [one], [other]) => {
                if one == other {
                    return Ok(Vec::new());
                }
                let (one, other) = words::strings(one, other);
                vec![changed(place.to_vec(), one, other)]
            }
            _ => compare_lists(&before, &after, place).into_iter().collect(),
        })
    }
}

/// Two lists of strings: what is between the beginning and the end that they have in common.
pub(super) fn compare_lists<T: AsRef<[u8]> + Ord>(
    before: &[T],
    after: &[T],
    place: &[String],
) -> Option<Finding> {
    if before == after {
        return None;
    }
    let one: Vec<&[u8]> = before.iter().map(AsRef::as_ref).collect();
    let is_same = are_reordered(one, after.iter().map(AsRef::as_ref).collect());
    let start = common(before, after);
    let (before, after) = (&before[start..], &after[start..]);
    let end = before.iter().rev().zip(after.iter().rev()).take_while(|(one, other)| one == other).count();
    let told = |items: &[T]| {
        let items: Vec<String> =
            items[..items.len() - end].iter().map(|item| words::string(item.as_ref())).collect();
        Some(words::list(&items)).filter(|_| !items.is_empty())
    };
    let note = is_same.then(|| "the same in another order".to_owned());
    Some(Finding { place: place.to_vec(), note, before: told(before), after: told(after) })
}

/// Names of compilation units in the order in which they are recorded, with their digests.
pub(super) type Imports = Vec<(String, Option<String>)>;

/// Reads `crcs`.
pub(super) fn read_imports(graph: &Graph<'_>, value: Value) -> Result<Imports, OcamlError> {
    let import = |import| {
        let (name, digest) = graph.pair(import)?;
        let digest = graph.option(digest)?.map(|digest| graph.bytes(digest)).transpose()?;
        Ok((words::string(graph.bytes(name)?), digest.map(words::hexadecimal)))
    };
    graph.list(value)?.into_iter().map(import).collect()
}

/// Compares two lists of imports by their names. Each that differs is called `one` with its name.
pub(super) fn compare_imports(
    before: &Imports,
    after: &Imports,
    one: &str,
    place: &[String],
) -> Vec<Finding> {
    if before == after {
        return Vec::new();
    }
    let by_name = |imports: &Imports| -> BTreeMap<String, String> {
        let told = |digest: &Option<String>| digest.clone().unwrap_or_else(|| "no digest".into());
        imports.iter().map(|(name, digest)| (name.clone(), told(digest))).collect()
    };
    let (known, now) = (by_name(before), by_name(after));
    let names = known.keys().chain(now.keys().filter(|name| !known.contains_key(*name)));
    let mut found: Vec<Finding> = names
        .filter(|name| known.get(*name) != now.get(*name))
        .map(|name| {
            // The place of the list is said by what its members are called.
            let mut place = place[..place.len().saturating_sub(1)].to_vec();
            place.push(format!("{one} {name}"));
            Finding { place, note: None, before: known.get(name).cloned(), after: now.get(name).cloned() }
        })
        .collect();
    if found.is_empty() {
        let names = |imports: &Imports| imports.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        found.extend(compare_lists(&names(before), &names(after), place));
    } else if found.len() > IMPORTS {
        let note = format!("{} in all differ", found.len());
        found.truncate(IMPORTS);
        found.push(Finding { place: place.to_vec(), note: Some(note), ..Finding::default() });
    }
    found
}
