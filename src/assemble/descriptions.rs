//! What a worker reads of a universe before it loads libraries, in one file: every META, and every
//! `dynamic_cmis.json`.

use super::{AssembleError, DYNAMIC_CMIS, IndexCompiler, Placed, path, put};
use crate::jtw::{BundleRef, bundle};
use crate::store::staging::Staging;
use crate::store::tree::Tree;

/// The file's name, beside the universe's index.
const FILE_NAME: &str = "descriptions.bundle";

/// Above this size, in bytes, there is no such file: a worker needs the descriptions of few libraries,
/// and fetches those.
const MAX_BYTES: usize = 300_000;

/// Puts the bundle of a universe's descriptions into `universe`, two levels below the root of `tree`.
/// Its path is one from the root.
pub(super) fn put_bundle(
    universe: &str,
    compiler: &IndexCompiler,
    placed: &[Placed<'_>],
    staging: &Staging,
    tree: &mut Tree,
) -> Result<Option<BundleRef>, AssembleError> {
    let stdlib = format!("{}/lib/ocaml", compiler.place());
    let places = placed.iter().map(|one| format!("{}/lib", one.place()));
    let mut files = Vec::new();
    let mut total = 0;
    for place in places.chain([stdlib]) {
        let Some(lib) = tree.directory(&path(&place)?) else { continue };
        for (at, file) in lib.files() {
            let name = at.file_name().and_then(|name| name.as_str()).unwrap_or_default();
            if name == "META" || name == DYNAMIC_CMIS {
                let bytes = staging.read(&file)?;
                total += bytes.len();
                files.push((format!("../../{place}/{at}"), bytes));
            }
            if total > MAX_BYTES {
                return Ok(None);
            }
        }
    }
    let Some(content) = bundle(&files).filter(|content| content.len() <= MAX_BYTES) else { return Ok(None) };
    let bytes = content.len() as u64;
    let file = format!("{universe}/{FILE_NAME}");
    put(tree, &file, &content, staging)?;
    Ok(Some(BundleRef { file, bytes }))
}
