//! `.cmx` and `.cmxa`: what the native compiler knows of units. Their code is in `.o` and `.a`.

use super::layouts::{NATIVE_LIBRARY, NATIVE_UNIT};
use super::records::{Pair, Shape, changed, inside};
use super::supply::Supply;
use super::{bytecode, words};
use crate::explain::Finding;
use crate::ocaml::OcamlError;
use crate::ocaml::graph::Graph;
use crate::ocaml::marshal::Value;

/// Compares what is behind the magic words of two `.cmx`: a record, and its digest.
pub(super) fn units(before: &[u8], after: &[u8], supply: &Supply) -> Result<Vec<Finding>, OcamlError> {
    let ((before, digest), (after, other_digest)) = supply.heaps(before, after)?;
    let mut pair = Pair::new(&before, &after, supply);
    let mut found = pair.records(NATIVE_UNIT, (before.root(), after.root()), &[]);
    if digest != other_digest {
        let (one, other) = (words::hexadecimal(digest), words::hexadecimal(other_digest));
        found.push(changed(vec!["digest of the implementation".into()], one, other));
    }
    Ok(found)
}

/// Compares what is behind the magic words of two `.cmxa`.
pub(super) fn libraries(before: &[u8], after: &[u8], supply: &Supply) -> Result<Vec<Finding>, OcamlError> {
    let ((before, _), (after, _)) = supply.heaps(before, after)?;
    let mut pair = Pair::new(&before, &after, supply);
    let read = |graph: &Graph<'_>, root| -> Result<Vec<(String, (Value, Value))>, OcamlError> {
        let units = graph.list(graph.record::<3>(root)?[0])?;
        let unit = |unit| {
            let (unit, digest) = graph.pair(unit)?;
            Ok((words::string(graph.bytes(graph.record::<1>(unit)?[0])?), (unit, digest)))
        };
        units.into_iter().map(unit).collect()
    };
    let graphs = pair.graphs();
    let (ones, others) = (read(graphs.0, before.root())?, read(graphs.1, after.root())?);
    let mut found = pair.records(NATIVE_LIBRARY, (before.root(), after.root()), &[]);
    found.extend(bytecode::compare_names(&ones, &others));
    for (name, one, other) in bytecode::pairs(&ones, &others) {
        let place = [format!("unit {name}")];
        found.extend(pair.records(NATIVE_UNIT, (one.0, other.0), &place));
        let place = inside(&place, "digest of the implementation");
        found.extend(pair.told(&Shape::Text, (one.1, other.1), &place)?);
        if found.len() > bytecode::ENOUGH {
            break;
        }
    }
    Ok(found)
}
