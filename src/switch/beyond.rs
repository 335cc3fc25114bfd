//! Libraries that published ones require and that are not published with them: which C primitives they
//! provide. In a site that is put together of parts, they are in another part.

use super::SwitchError;
use super::closure::{Closure, Reach, head};
use super::installed::Packages;
use super::looked::Looked;
use crate::jtw::{LibraryRecord, provided_primitives};

/// What is to be known of them, where a published library lacks primitives; nothing otherwise.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn beyond(
    looked: &Looked,
    packages: &Packages<'_>,
    published: &[LibraryRecord],
) -> Result<Vec<LibraryRecord>, SwitchError> {
    let lacking = published.iter().filter(|library| !library.missing.is_empty());
    let names: Vec<String> = lacking.map(|library| library.name.clone()).collect();
    // What workers follow.
    let closure = Closure::of(packages, &names, &[&[]], Reach::Lenient)?;
    let mut found = Vec::new();
    for (name, requires) in &closure.requires {
        let Some(package) = closure.packages.get(head(name)) else { continue };
        if published.iter().any(|library| library.name == *name) {
            continue;
        }
        let libraries = packages.libraries(package);
        let Some(library) = libraries.iter().find(|library| library.name == *name) else { continue };
        let mut provides = Vec::new();
        for file in library.meta.words("jsoo_runtime", &[]) {
            let path = library.directory.join(file);
            if looked.is_file(&path) {
                provides.extend(provided_primitives(&String::from_utf8_lossy(&looked.read(&path)?)));
            }
        }
        found.push(LibraryRecord {
            name: name.clone(),
            directory: String::new(),
            requires: requires.clone(),
            archives: Vec::new(),
            bytes: 0,
            provides,
            missing: Vec::new(),
        });
    }
    Ok(found)
}
