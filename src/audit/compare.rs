//! Two outputs of one node: where they differ, and which of that goes into a site.

use std::collections::HashSet;

use serde::Serialize;

use super::Output;
use super::strip::Strips;
use crate::derivation::Kind;
use crate::explain::{Explanation, explain};
use crate::inspect::explained;
use crate::inspect::trees::{self, Difference};
use crate::store::StoreError;
use crate::store::tree::{BlobHash, File};

/// One path at which two outputs differ.
#[derive(Clone, Debug, Serialize)]
pub struct Differing {
    #[serde(flatten)]
    pub difference: Difference,
    /// Whether it goes into a site, rather than only into other builds.
    pub published: bool,
    /// What the bytes tell, of the first files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
    /// Where the bytes differ, of the same files: for pictures only.
    #[serde(skip)]
    pub strips: Option<Strips>,
}

/// Everything in which `after` differs from `before`, what is published first.
pub fn compare(kind: Kind, before: &Output, after: &Output) -> Result<Vec<Differing>, StoreError> {
    let theirs: HashSet<BlobHash> = after.tree.files().into_iter().map(|(_, file)| file.blob).collect();
    let read = |file: &File| {
        let output = if theirs.contains(&file.blob) { after } else { before };
        output.read(file)
    };
    let differences = trees::differences(&before.tree, &after.tree, &read)?;
    let mut found: Vec<Differing> = differences
        .into_iter()
        .map(|difference| {
            let published = explained::is_published(kind, &difference.path);
            Differing { difference, published, explanation: None, strips: None }
        })
        .collect();
    found.sort_by_key(|differing| !differing.published);
    for differing in found.iter_mut().take(explained::MOST) {
        let difference = &differing.difference;
        if let Some((one, other)) = explained::both_files(difference, &before.tree, &after.tree) {
            let name = difference.path.file_name().and_then(|name| name.as_str()).unwrap_or_default();
            let (one, other) = (before.read(one)?, after.read(other)?);
            differing.explanation = explain(name, &one, &other);
            differing.strips = Some(Strips::new(&one, &other));
        }
    }
    Ok(found)
}
