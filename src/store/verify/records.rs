//! Records and caches: layers, archives, manifests, facts, and names that mean nothing.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;

use rayon::prelude::*;
use serde::Deserialize;

use super::finding::{Damage, Finding, Object};
use super::{Counters, Watch};
use crate::source::checksum::{Checksum, Checksums, Digests, Hashing, KINDS};
use crate::store::disk::look;
use crate::store::facts::Facts;
use crate::store::key::BuildKey;
use crate::store::layer::{LayerRecord, Status};
use crate::store::tree::{Tree, TreeHash};
use crate::store::{DIRECTORIES, Store, StoreError, disk};

/// What else is in a store's directory. The README and what git needs are those of a project that
/// keeps its store beside its files.
const NAMES: [&str; 7] = ["format", "history", "statements", "quarantine", "runs", "README.md", ".gitignore"];

/// What a layer says, as far as verification needs it.
#[derive(Clone, Debug)]
pub struct Layer {
    pub id: String,
    /// What was built (`fmt.0.9.0`), and the kind of node.
    pub package: String,
    pub kind: String,
    pub key: BuildKey,
    /// Its output, if it has one.
    pub tree: Option<TreeHash>,
    pub inputs: Vec<TreeHash>,
}

impl Layer {
    /// The node's name: `build/fmt.0.9.0`.
    pub fn node(&self) -> String {
        format!("{}/{}", self.kind, self.package)
    }
}

/// The names in a directory, sorted; none if there is no such directory.
pub(super) fn list(path: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    let entries = match look::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        entries => disk::io("list", path, entries)?,
    };
    for entry in entries {
        names.push(disk::io("list", path, entry)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Names at the store's root that mean nothing.
pub(super) fn names(store: &Store, found: &mut Vec<Finding>) -> Result<(), StoreError> {
    for name in list(store.root())? {
        if !DIRECTORIES.iter().chain(&NAMES).any(|known| *known == name) {
            found.push(Finding::new(Object::Foreign(name), Damage::Foreign));
        }
    }
    Ok(())
}

/// The part of a document that names its inputs.
#[derive(Deserialize)]
struct Inputs {
    inputs: Vec<TreeHash>,
}

/// Checks every layer; gives those that can be read.
pub(super) fn layers(
    store: &Store,
    watch: &Watch<'_>,
    found: &mut Vec<Finding>,
) -> Result<Vec<Layer>, StoreError> {
    let ids = list(&store.root().join("layers"))?;
    let look_twice = |id: &String| {
        if watch.is_stopped() {
            return (None, None);
        }
        Counters::add(&watch.counters.layers, 1);
        let mut looked = layer(store, watch, id);
        if looked.1.is_some() {
            // Removed meanwhile, or exchanged for a newer one?
            looked = layer(store, watch, id);
        }
        if looked.1.is_some() && !disk::exists(&store.layer_path(id)) { (None, None) } else { looked }
    };
    let looked: Vec<_> = ids.par_iter().map(look_twice).collect();
    let mut layers = Vec::new();
    for (id, (layer, damage)) in ids.into_iter().zip(looked) {
        layers.extend(layer);
        let object = match &damage {
            Some(Damage::Foreign) => Object::Foreign(format!("layers/{id}")),
            _ => Object::Layer(id),
        };
        found.extend(damage.map(|damage| Finding::new(object, damage)));
    }
    Ok(layers)
}

fn layer(store: &Store, watch: &Watch<'_>, id: &str) -> (Option<Layer>, Option<Damage>) {
    let named = id.rsplit_once('-').and_then(|(kind, hex)| Some((kind, BuildKey::from_hex(hex)?)));
    let Some((kind, key)) = named else { return (None, Some(Damage::Foreign)) };
    let wrong = |reason: String| Some(Damage::Record { reason });
    let path = store.layer_path(id);
    let text = match look::read(path.join("layer.json")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return (None, wrong("layer.json is missing".into()));
        }
        Err(error) => return (None, Some(Damage::Unreadable { reason: format!("layer.json: {error}") })),
    };
    let record: LayerRecord<Inputs> = match serde_json::from_slice(&text) {
        Ok(record) => record,
        Err(error) => return (None, wrong(format!("layer.json is not a record: {error}"))),
    };
    let document = compact(&text);
    let computed = member(&document, b"document")
        .and_then(head)
        .map(|head| (watch.key_of)(&head, &record.document.inputs));
    let damage = if record.kind != kind || record.build_key != key {
        wrong(format!("layer.json is that of {}-{}", record.kind, record.build_key.to_hex()))
    } else if computed != Some(key) {
        wrong("its document is not the one that its name is the hash of".into())
    } else if (record.status == Status::Success) != record.tree.is_some() {
        wrong("its status and its output contradict each other".into())
    } else if !path.join("build.log").is_file() {
        Some(Damage::NoLog)
    } else {
        let missing = record.tree.filter(|tree| !store.has_tree(tree));
        missing.map(|tree| Damage::NoTree { tree })
    };
    let LayerRecord { package, kind, tree, document, .. } = record;
    (Some(Layer { id: id.to_owned(), package, kind, key, tree, inputs: document.inputs }), damage)
}

/// JSON without the white space that does not matter, as serde writes it by default.
fn compact(text: &[u8]) -> Vec<u8> {
    let mut compact = Vec::with_capacity(text.len());
    let (mut in_string, mut is_escaped) = (false, false);
    for &byte in text {
        if in_string {
            in_string = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            in_string = byte == b'"';
        }
        compact.push(byte);
    }
    compact
}

/// The text of a member of a compact object, which must be valid JSON.
fn member<'a>(object: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, end) = member_place(object, name)?;
    Some(&object[start..end])
}

/// Where the value of a member begins and ends.
fn member_place(object: &[u8], name: &[u8]) -> Option<(usize, usize)> {
    let (mut depth, mut in_string, mut is_escaped) = (0_u32, false, false);
    // Where the last string at the first level began, and the value that is being read.
    let (mut opened, mut value) = (0, None);
    for (at, &byte) in object.iter().enumerate() {
        if in_string {
            in_string = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => {
                in_string = true;
                if depth == 1 && value.is_none() {
                    opened = at;
                }
            }
            b':' if depth == 1 && value.is_none() && object.get(opened + 1..at - 1) == Some(name) => {
                value = Some(at + 1);
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' => {
                if let (1, Some(start)) = (depth, value) {
                    return Some((start, at));
                }
                if byte != b',' {
                    depth = depth.checked_sub(1)?;
                }
            }
            _ => {}
        }
    }
    None
}

/// The part of a document before its inputs, as it was hashed: an object of its own.
fn head(document: &[u8]) -> Option<Vec<u8>> {
    let (start, _) = member_place(document, b"inputs")?;
    let mut head = document[..start].strip_suffix(b",\"inputs\":")?.to_vec();
    head.push(b'}');
    Some(head)
}

/// Checks every archive.
pub(super) fn archives(store: &Store, watch: &Watch<'_>, found: &mut Vec<Finding>) -> Result<(), StoreError> {
    let root = store.root().join("archives");
    let mut sums = Vec::new();
    let mut foreign = |place: String| found.push(Finding::new(Object::Foreign(place), Damage::Foreign));
    for kind in list(&root)? {
        if !KINDS.contains(&kind.as_str()) {
            foreign(format!("archives/{kind}"));
            continue;
        }
        for shard in list(&root.join(&kind))? {
            for name in list(&root.join(&kind).join(&shard)).unwrap_or_default() {
                let path = format!("{kind}/{shard}/{name}");
                match Checksum::from_hex(&kind, &name).filter(|sum| sum.path() == path) {
                    Some(sum) => sums.push(sum),
                    None => foreign(format!("archives/{path}")),
                }
            }
        }
    }
    let look_twice = |sum: &Checksum| {
        if watch.is_stopped() {
            return None;
        }
        Counters::add(&watch.counters.archives, 1);
        let damage = archive(store, watch, sum).and_then(|_| archive(store, watch, sum))?;
        Some(Finding::new(Object::Archive(*sum), damage))
    };
    found.par_extend(sums.par_iter().filter_map(look_twice));
    Ok(())
}

fn archive(store: &Store, watch: &Watch<'_>, sum: &Checksum) -> Option<Damage> {
    let wanted = Checksums::from(*sum);
    match digests(&store.archive_path(sum), &wanted, watch) {
        Ok((got, _)) if wanted.mismatch(&got).is_none() => None,
        Ok((_, found)) => Some(Damage::Content { found }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Damage::Unreadable { reason: error.to_string() }),
    }
}

fn digests(path: &Path, wanted: &Checksums, watch: &Watch<'_>) -> io::Result<(Digests, u64)> {
    if !look::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut file = look::open(path)?;
    let (mut hasher, mut buffer, mut size) = (Hashing::new(wanted), vec![0; 128 << 10], 0);
    while !watch.is_stopped() {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&buffer[..count]);
                size += count as u64;
                Counters::add(&watch.counters.bytes, count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if watch.is_stopped() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok((hasher.finish(), size))
}

/// Checks the manifests against their names.
pub(super) fn manifests(
    store: &Store,
    watch: &Watch<'_>,
    found: &mut Vec<Finding>,
) -> Result<(), StoreError> {
    let root = store.root().join("manifests");
    let look = |name: &String| {
        if watch.is_stopped() {
            return None;
        }
        let Some(tree) = TreeHash::from_hex(name).filter(|tree| tree.to_hex() == *name) else {
            return Some(Finding::new(Object::Foreign(format!("manifests/{name}")), Damage::Foreign));
        };
        let bytes = disk::read_if_present(&root.join(name)).ok()??;
        let is_sound = Tree::decode(&bytes).is_ok_and(|decoded| decoded.hash() == tree);
        let damage = Damage::Cache { reason: "it is not what its name says".into() };
        (!is_sound).then(|| Finding::new(Object::Manifest(name.clone()), damage))
    };
    found.par_extend(list(&root)?.par_iter().filter_map(look));
    Ok(())
}

/// Checks the memory of facts against the layers.
pub(super) fn facts(store: &Store, layers: &[Layer], found: &mut Vec<Finding>) {
    let (facts, torn) = Facts::load(&store.plans().join("facts")).all();
    let layers: HashMap<BuildKey, &Layer> = layers.iter().map(|layer| (layer.key, layer)).collect();
    for (build, tree) in facts {
        let Some(layer) = layers.get(&build) else { continue };
        if let Some(recorded) = layer.tree.filter(|recorded| *recorded != tree) {
            let (node, said, recorded) = (layer.node(), tree.to_hex(), recorded.to_hex());
            let reason = format!("the output of {node} is said to be {said}, its layer says {recorded}");
            found.push(Finding::new(Object::Facts, Damage::Record { reason }));
        }
    }
    if torn > 0 {
        let reason = format!("{torn} damaged records are passed over");
        found.push(Finding::new(Object::Facts, Damage::Cache { reason }));
    }
}

/// Checks the history, and the memory of statements.
pub(super) fn history(store: &Store, found: &mut Vec<Finding>) -> Result<(), StoreError> {
    match store.seen_statements() {
        Err(StoreError::Damaged { reason, .. }) => {
            found.push(Finding::new(Object::Statements, Damage::Record { reason }));
        }
        seen => drop(seen?),
    }
    let reason = match store.history() {
        Ok(history) if history.damaged == 0 => return Ok(()),
        Ok(history) => format!("{} damaged records are passed over", history.damaged),
        Err(StoreError::Damaged { reason, .. }) => reason,
        Err(error) => return Err(error),
    };
    found.push(Finding::new(Object::History, Damage::Record { reason }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_documents_head_is_cut_out_of_any_layout() {
        let text = br#"{ "a" : {"document": 1, "inputs": []},
            "tricky": "\"document\": {", "document" : { "format": 1, "name": "x \" , \\",
              "action": { "inputs": [ 1, { "inputs": 2 } ] }, "inputs" : [ "tree:00" ] } }"#;
        let compact = compact(text);
        let document = member(&compact, b"document").unwrap();
        let expected = r#"{"format":1,"name":"x \" , \\","action":{"inputs":[1,{"inputs":2}]}}"#;
        assert_eq!(String::from_utf8(head(document).unwrap()).unwrap(), expected);
        assert_eq!(member(&compact, b"none"), None);
        assert_eq!(head(br#"{"format":1}"#), None);
    }
}
