//! The tools layer: the worker and the standard library's artifacts.

use crate::store::staging::Staging;
use crate::store::tree::{File, Name, Node, RelPath, Tree};

use super::dynamic_cmis::{self, DynamicCmis};
use super::finish::bundled;
use super::payload::{COMPILER_PAYLOAD, payload_hash};
use super::record::{RECORD, ToolsRecord};
use super::{JtwError, named};

/// What the standard library's META says when the compiler has none of its own: no archive,
/// because its code is linked into the worker, and its directory is the parent of this file's.
const META: &str = "description = \"Standard library\"\ndirectory = \"..\"\n";

/// `{worker.js, lib/ocaml/{*.cmi, cmis.bundle, stdlib.cma.js, dynamic_cmis.json, stdlib/META}}` and the record.
///
/// `stdlib` is the compiler's library directory (a base's fact `stdlib`); of it only the standard
/// library's interfaces are taken. `dcs_url` is final: it is relative to the worker's directory.
///
/// # Errors
/// When there is no `stdlib.cmi`, or the store fails.
pub fn tools_layer(
    worker_js: File,
    stdlib_cma_js: File,
    stdlib: &Tree,
    version: &str,
    staging: &Staging,
) -> Result<Tree, JtwError> {
    let mut layer = Tree::default();
    let plain = |file: File| Node::File(File { executable: false, ..file });
    let root = RelPath::default();
    let ocaml = RelPath::parse("lib/ocaml")?;
    let cmis: Vec<(Name, File)> = stdlib
        .entries()
        .filter(|(name, _)| name.as_str().is_some_and(is_standard))
        .filter_map(|(name, node)| match node {
            Node::File(file) => Some((name.clone(), File { executable: false, ..*file })),
            _ => None,
        })
        .collect();
    if cmis.iter().all(|(name, _)| name.as_bytes() != b"stdlib.cmi") {
        return Err(JtwError::IncompleteStdlib("stdlib.cmi"));
    }
    for (name, file) in &cmis {
        layer.insert(&ocaml.join(name.clone()), Node::File(*file))?;
    }
    let names = cmis.iter().map(|(name, _)| name);
    let mut described = DynamicCmis::describe("lib/ocaml/".to_owned(), names, Vec::new());
    described.jtw_bundle = bundled(&cmis, &ocaml, staging, &mut layer)?;
    let json = described.to_json();
    layer
        .insert(&ocaml.join(named(dynamic_cmis::FILE_NAME)?), Node::File(staging.add_bytes(&json, false)?))?;
    layer.insert(&ocaml.join(named("stdlib.cma.js")?), plain(stdlib_cma_js))?;
    let meta = format!("version = \"{}\"\n{META}", version.replace(['\\', '"'], ""));
    let place = ocaml.join(named("stdlib")?);
    layer.insert(&place.join(named("META")?), Node::File(staging.add_bytes(meta.as_bytes(), false)?))?;
    // The META leads one up, but a reader that ignores `directory` looks here.
    let json = DynamicCmis::describe("lib/ocaml/stdlib/".to_owned(), [].into_iter(), Vec::new()).to_json();
    layer
        .insert(&place.join(named(dynamic_cmis::FILE_NAME)?), Node::File(staging.add_bytes(&json, false)?))?;
    layer.insert(&root.join(named("worker.js")?), plain(worker_js))?;

    let record = ToolsRecord { payload: payload_hash(&layer, COMPILER_PAYLOAD, &|file| staging.read(file))? };
    let json = serde_json::to_vec_pretty(&record).expect("a record is always JSON");
    layer.insert(&root.join(named(RECORD)?), Node::File(staging.add_bytes(&json, false)?))?;
    Ok(layer)
}

/// Whether a file is an interface of the standard library itself, whose directory may hold others.
pub fn is_standard(name: &str) -> bool {
    name.strip_suffix(".cmi").is_some_and(|unit| {
        matches!(unit, "stdlib" | "std_exit")
            || unit.starts_with("stdlib__")
            || unit.starts_with("camlinternal")
    })
}
