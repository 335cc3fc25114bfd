//! Two outputs of one node: where they differ, and which of that goes into a site.

use std::collections::HashSet;

use serde::Serialize;

use super::Output;
use super::strip::Strips;
use crate::derivation::Kind;
use crate::explain::{Explanation, explain};
use crate::inspect::trees::{self, Change, Difference, Entry};
use crate::store::StoreError;
use crate::store::tree::{BlobHash, File, Node, RelPath};

/// So many differing files are looked into; the others are only named.
const EXPLAINED: usize = 20;

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
            let published = is_published(kind, &difference.path);
            Differing { difference, published, explanation: None, strips: None }
        })
        .collect();
    found.sort_by_key(|differing| !differing.published);
    for differing in found.iter_mut().take(EXPLAINED) {
        let path = &differing.difference.path;
        let is_changed = matches!(
            &differing.difference.change,
            Change::Changed { before: Entry::File { blob: one, .. }, after: Entry::File { blob: other, .. }, .. }
                if one != other
        );
        if let (true, Some(Node::File(one)), Some(Node::File(other))) =
            (is_changed, before.tree.get(path), after.tree.get(path))
        {
            let name = path.file_name().and_then(|name| name.as_str()).unwrap_or_default();
            let (one, other) = (before.read(one)?, after.read(other)?);
            differing.explanation = explain(name, &one, &other);
            differing.strips = Some(Strips::new(&one, &other));
        }
    }
    Ok(found)
}

/// Whether a path of an output goes into a site as it is. What browsers never see, and only other
/// builds use, does not: archives, stubs, objects, and whole bases.
pub fn is_published(kind: Kind, path: &RelPath) -> bool {
    match kind {
        Kind::JtwTools | Kind::Jtw | Kind::Compressed | Kind::Assembly | Kind::Node => true,
        Kind::Source | Kind::Base => false,
        Kind::Build => {
            let name = path.file_name().and_then(|name| name.as_str()).unwrap_or_default();
            let is_one = |known: &&str| name == *known || name.ends_with(&format!(".{known}"));
            ["META", "worker.js", "dynamic_cmis.json", "cmi", "cma.js"].iter().any(is_one)
                || name.starts_with("META.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_a_site_is_judged_apart() {
        let is = |kind, path: &str| is_published(kind, &RelPath::parse(path).unwrap());
        for path in ["lib/fmt/fmt.cmi", "lib/fmt/META", "lib/META.fmt", "lib/x/x.cma.js"] {
            assert!(is(Kind::Build, path), "{path}");
        }
        for path in ["lib/fmt/fmt.cma", "lib/fmt/fmt.cmxs", "lib/stublibs/dllx.so", "doc/METAL", "cmi"] {
            assert!(path == "cmi" || !is(Kind::Build, path), "{path}");
        }
        assert!(is(Kind::Jtw, "lib/fmt/anything"));
        assert!(is(Kind::Node, "out"));
        assert!(!is(Kind::Base, "etc/META"));
    }
}
