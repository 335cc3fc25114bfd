//! The content hash of published artifacts, which is part of their URL.
//!
//! The hash covers what a browser runs or type-checks against: path, NUL, bytes, NUL of every such
//! file in walk order. What merely describes the place (`dynamic_cmis.json`) is not part of it.

use super::bundle::CMIS_BUNDLE;
use crate::store::StoreError;
use crate::store::tree::{File, Tree};

/// Which files count, by the path that is hashed with them.
pub type PayloadRule = fn(&str) -> bool;

/// Of a package's `lib` directory: interfaces, `.cma.js` and META files.
pub const PACKAGE_PAYLOAD: PayloadRule =
    |path| is_interface(path) || path.ends_with(".cma.js") || path == "META" || path.ends_with("/META");

/// Of a tools layer: the worker, then the standard library's interfaces.
pub const COMPILER_PAYLOAD: PayloadRule = |path| path == "worker.js" || is_interface(path);

/// Bundles follow from the single files. They count all the same: a directory that was published
/// before there were any is another one.
fn is_interface(path: &str) -> bool {
    path.ends_with(".cmi") || path.ends_with(CMIS_BUNDLE)
}

/// The hash of the files of `tree` that `rule` picks, worker first, as 64 hexadecimal digits.
///
/// # Errors
/// When a file cannot be read.
pub fn payload_hash(
    tree: &Tree,
    rule: PayloadRule,
    read: &dyn Fn(&File) -> Result<Vec<u8>, StoreError>,
) -> Result<String, StoreError> {
    let mut files: Vec<_> = tree.files().into_iter().map(|(path, file)| (path.to_string(), file)).collect();
    files.retain(|(path, _)| rule(path));
    files.sort_by_key(|(path, _)| path != "worker.js"); // stable: all others keep the walk's order
    let mut hasher = blake3::Hasher::new();
    for (path, file) in files {
        hasher.update(path.as_bytes()).update(b"\0").update(&(read)(&file)?).update(b"\0");
    }
    Ok(hasher.finalize().to_hex().to_string())
}
