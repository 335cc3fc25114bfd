//! Compressed variants: put beside their files, and made of what an assembly writes itself.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{AssembleError, INDEX_FILES, UNIVERSE};
use crate::compress::{self, Settings};
use crate::jtw::DYNAMIC_CMIS;
use crate::store::staging::Staging;
use crate::store::tree::{Name, Node, RelPath, Tree};

/// Puts `variants` below `at`, where their files are. One whose file is not there is left out.
pub(super) fn place(tree: &mut Tree, at: &RelPath, variants: &Tree) -> Result<(), AssembleError> {
    for (path, variant) in variants.files() {
        let name = path.file_name().map(Name::as_bytes).unwrap_or_default();
        let Some(original) = compress::original(name) else { continue };
        let directory = at.extend(&path.parent().unwrap_or_default());
        let original = directory.join(Name::new(original)?);
        if matches!(tree.get(&original), Some(Node::File(_))) {
            tree.insert(&at.extend(&path), Node::File(variant))?;
        }
    }
    Ok(())
}

/// Adds the variants of files that no layer has as they are published: indexes, lists of interfaces,
/// lists of universes. They are small, so that making them again costs little.
pub(super) fn add_own(
    tree: &mut Tree,
    settings: Option<&Settings>,
    staging: &Staging,
) -> Result<(), AssembleError> {
    let Some(settings) = settings else { return Ok(()) };
    let is_own = |path: &RelPath| {
        let name = path.file_name().and_then(Name::as_str).unwrap_or_default();
        name == DYNAMIC_CMIS || name == UNIVERSE || INDEX_FILES.contains(&name)
    };
    let mut own = Tree::default();
    for (path, file) in tree.files() {
        if is_own(&path) {
            own.insert(&path, Node::File(file))?;
        }
    }
    let variants = compress::variants(&own, &[], settings, staging, &AtomicBool::new(false))?;
    Ok(tree.merge(&variants)?)
}

/// `tree` with its variants, which lie beside their files.
pub(super) fn with(tree: Tree, variants: &Tree) -> Result<Arc<Tree>, AssembleError> {
    let mut tree = tree;
    place(&mut tree, &RelPath::default(), variants)?;
    Ok(Arc::new(tree))
}
