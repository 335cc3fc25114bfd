//! Several universes as one site.
//!
//! ```text
//! index.html …                                       the page
//! universe.json                                      the universes, each with its own file
//! u/<hash>/{findlib_index.json, universe.json}
//! compiler/…, p/…                                    what they share is there once
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{AssembleError, MARKER, Summary, UNIVERSE, path, put, variants};
use crate::compress::Settings;
use crate::store::staging::Staging;
use crate::store::tree::{Node, RelPath, Tree};

/// The content of a joined site's [`UNIVERSE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Universes {
    pub name: String,
    /// The first universe's index, for those who know of only one.
    pub index: String,
    pub universes: Vec<UniverseLine>,
}

/// One universe of a joined site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniverseLine {
    /// What it is for: `fmt.0.9.0`.
    pub name: String,
    /// Its index, relative to the site's root.
    pub index: String,
    /// Its own [`Summary`], relative to the site's root.
    pub summary: String,
}

/// Joins `parts`: sites that were assembled with [`Parts::is_part`](super::Parts::is_part), in the
/// order in which they are listed. `page` is put at the root, with its compressed variants; what is
/// written here is compressed as `compression` says.
///
/// # Errors
/// When two parts hold different things at one path, or the store fails.
pub fn join(
    name: &str,
    parts: &[&Tree],
    (page, page_variants): (&Tree, &Tree),
    compression: Option<&Settings>,
    staging: &Staging,
) -> Result<Tree, AssembleError> {
    let mut site = Tree::default();
    for (name, node) in page.entries() {
        if ["compiler", "p", "u", UNIVERSE, MARKER].contains(&name.as_str().unwrap_or_default()) {
            return Err(AssembleError::Page(name.to_string()));
        }
        site.insert(&RelPath::default().join(name.clone()), node.clone())?;
    }
    let mut universes = Vec::with_capacity(parts.len());
    let mut seen = BTreeSet::new();
    for part in parts {
        for directory in universes_of(part)? {
            let summary = format!("{directory}/{UNIVERSE}");
            let Some(Node::File(file)) = part.get(&path(&summary)?) else { continue };
            let Ok(told) = serde_json::from_slice::<Summary>(&staging.read(file)?) else { continue };
            if seen.insert(told.name.clone()) {
                let index = format!("{directory}/{}", told.index);
                universes.push(UniverseLine { name: told.name, index, summary });
            }
        }
        site.merge(part)?;
    }
    if let Some(first) = universes.first() {
        let listed = Universes { name: name.to_owned(), index: first.index.clone(), universes };
        let text = serde_json::to_vec_pretty(&listed).expect("a list of texts is always JSON");
        put(&mut site, UNIVERSE, &text, staging)?;
    }
    variants::place(&mut site, &RelPath::default(), page_variants)?;
    variants::add_own(&mut site, compression, staging)?;
    Ok(site)
}

/// `u/<hash>` of every universe in a part.
fn universes_of(part: &Tree) -> Result<Vec<String>, AssembleError> {
    let below = part.directory(&path("u")?).cloned().unwrap_or_default();
    Ok(below.entries().map(|(name, _)| format!("u/{name}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use std::sync::Arc;

    fn part(staging: &Staging, name: &str, hash: &str, shared: &str) -> Tree {
        let mut tree = Tree::default();
        let summary = Summary {
            name: name.to_owned(),
            index: "findlib_index.json".into(),
            compiler: super::super::IndexCompiler::new("5.4.1", "00"),
            effects: crate::effects::Effects::Disabled,
            packages: Vec::new(),
        };
        let summary = serde_json::to_vec(&summary).unwrap();
        for (at, bytes) in [
            (format!("u/{hash}/{UNIVERSE}"), &summary[..]),
            ("p/fmt/1/aa/lib/fmt/META".to_owned(), shared.as_bytes()),
            (format!("p/{name}/findlib_index.json"), b"{}"),
        ] {
            put(&mut tree, &at, bytes, staging).unwrap();
        }
        tree
    }

    #[test]
    fn universes_share_what_is_alike_and_are_listed_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        let staging = store.stage().unwrap();
        let (one, two) = (part(&staging, "b", "02", "same"), part(&staging, "a", "01", "same"));
        let mut page = Tree::default();
        put(&mut page, "index.html", b"<p>", &staging).unwrap();
        let site = join("x", &[&one, &two], (&page, &Tree::default()), None, &staging).unwrap();
        let Some(Node::File(file)) = site.get(&path(UNIVERSE).unwrap()) else { panic!("a list") };
        let listed: Universes = serde_json::from_slice(&staging.read(file).unwrap()).unwrap();
        let names: Vec<&str> = listed.universes.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(listed.index, "u/02/findlib_index.json");
        assert_eq!(listed.universes[1].summary, "u/01/universe.json");
        assert!(site.get(&path("index.html").unwrap()).is_some());

        let other = part(&staging, "c", "03", "different");
        let error =
            join("x", &[&one, &other], (&page, &Tree::default()), None, &staging).unwrap_err().to_string();
        assert_eq!(error, "`p/fmt/1/aa/lib/fmt/META` occurs twice, as a file and as a file");
    }
}
