//! What is inside files that changed: which of them are looked into, and what is found.

use std::collections::HashSet;

use super::contents::ContentDifference;
use super::interfaces::InterfaceChange;
use super::trees::{Change, Difference, Entry};
use crate::derivation::Kind;
use crate::explain::explain;
use crate::store::StoreError;
use crate::store::tree::{BlobHash, File, Node, RelPath, Tree};

/// Of two contents, so many files are looked into; the others are only named.
pub const MOST: usize = 20;

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

/// Whether there is a file on both sides, with other bytes.
pub fn has_other_bytes(difference: &Difference) -> bool {
    matches!(
        &difference.change,
        Change::Changed { before: Entry::File { blob: one, .. }, after: Entry::File { blob: other, .. }, .. }
            if one != other
    )
}

/// The files of both trees, where there is one on both sides, with other bytes.
pub fn both_files<'a>(
    difference: &Difference,
    before: &'a Tree,
    after: &'a Tree,
) -> Option<(&'a File, &'a File)> {
    match (before.get(&difference.path), after.get(&difference.path)) {
        (Some(Node::File(one)), Some(Node::File(other))) if has_other_bytes(difference) => Some((one, other)),
        _ => None,
    }
}

/// Looks into the files of contents, one content after the other.
#[derive(Debug, Default)]
pub struct Explainer {
    /// Compiled interfaces whose differences are told: what a package installed is among its browser
    /// artifacts again.
    told: HashSet<(BlobHash, BlobHash)>,
}

impl Explainer {
    /// Adds to the files of `content` what differs inside them: of the first [`MOST`], where what goes
    /// into a site is first, and interfaces of which it is told that they offer the same are last. Those
    /// that are told by their types are left out, and in all contents that follow.
    ///
    /// `kind` is that of the node whose output it is, if it is one. `read` gives the bytes of a file of
    /// either tree; its errors are passed on.
    pub fn explain(
        &mut self,
        content: &mut ContentDifference,
        kind: Option<Kind>,
        (before, after): (&Tree, &Tree),
        read: &dyn Fn(&File) -> Result<Vec<u8>, StoreError>,
    ) -> Result<(), StoreError> {
        let told: HashSet<&str> = paths(content, |change| matches!(change, InterfaceChange::Changed { .. }));
        let same: HashSet<&str> = paths(content, |change| matches!(change, InterfaceChange::Same));
        let mut changed = Vec::new();
        for (at, file) in content.files.iter().enumerate() {
            let path = &file.difference.path;
            let name = path.to_string();
            let Some((one, other)) = both_files(&file.difference, before, after) else { continue };
            if told.contains(name.as_str()) {
                self.told.insert((one.blob, other.blob));
            } else if !self.told.contains(&(one.blob, other.blob)) {
                // What no node made may be anything: the names that builds use are as good as others.
                let is_published = is_published(kind.unwrap_or(Kind::Build), path);
                changed.push(((same.contains(name.as_str()), !is_published), at, one, other));
            }
        }
        changed.sort_by_key(|(rank, ..)| *rank);
        content.unexplained = changed.len().saturating_sub(MOST);
        for file in &mut content.files {
            file.published = kind.map(|kind| is_published(kind, &file.difference.path));
        }
        for (_, at, one, other) in changed.into_iter().take(MOST) {
            let file = &mut content.files[at];
            let name = file.difference.path.file_name().and_then(|name| name.as_str()).unwrap_or_default();
            file.explanation = explain(name, &read(one)?, &read(other)?);
            if is_interface(&file.difference.path) {
                self.told.insert((one.blob, other.blob));
            }
        }
        Ok(())
    }
}

/// Whether files of a content have other bytes, and nothing but that is told of them.
pub fn is_worth_it(content: &ContentDifference) -> bool {
    let open =
        paths(content, |change| matches!(change, InterfaceChange::Same | InterfaceChange::Unreadable { .. }));
    content.files.iter().any(|file| {
        let path = &file.difference.path;
        has_other_bytes(&file.difference) && (!is_interface(path) || open.contains(path.to_string().as_str()))
    })
}

/// The compiled interfaces of which this is told.
fn paths(content: &ContentDifference, is: impl Fn(&InterfaceChange) -> bool) -> HashSet<&str> {
    content.interfaces.iter().filter(|one| is(&one.change)).map(|one| one.path.as_str()).collect()
}

fn is_interface(path: &RelPath) -> bool {
    path.file_name().is_some_and(|name| name.as_bytes().ends_with(b".cmi"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::inspect::contents;

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

    /// Two trees with these files, and what differs in them.
    fn scene(files: &[(&str, [&[u8]; 2])], kind: Kind, explainer: &mut Explainer) -> ContentDifference {
        let mut blobs = HashMap::new();
        let mut trees = [Tree::default(), Tree::default()];
        for (path, sides) in files {
            for (tree, bytes) in trees.iter_mut().zip(sides) {
                let blob = BlobHash::from_bytes(*blake3::hash(bytes).as_bytes());
                blobs.insert(blob, bytes.to_vec());
                let file = File { blob, size: bytes.len() as u64, executable: false };
                tree.insert(&RelPath::parse(path).unwrap(), Node::File(file)).unwrap();
            }
        }
        let read = |file: &File| Ok(blobs[&file.blob].clone());
        let [before, after] = &trees;
        let with_interfaces = kind == Kind::Build;
        let mut content = contents::compare("", before, after, &read, with_interfaces).unwrap().unwrap();
        explainer.explain(&mut content, Some(kind), (before, after), &read).unwrap();
        content
    }

    fn explained(content: &ContentDifference) -> Vec<String> {
        let files = content.files.iter().filter(|file| file.explanation.is_some());
        files.map(|file| file.difference.path.to_string()).collect()
    }

    const SHAPES: &[u8] = include_bytes!("../../tests/fixtures/cmi/before/shapes.cmi");
    const MORE_SHAPES: &[u8] = include_bytes!("../../tests/fixtures/cmi/after/shapes.cmi");

    /// Other bytes that offer the same: a digest of an import.
    fn same_shapes() -> Vec<u8> {
        let mut bytes = SHAPES.to_vec();
        bytes[SHAPES.len() - 41] ^= 1;
        bytes
    }

    #[test]
    fn an_interface_is_told_once_of_a_package_and_its_artifacts() {
        let files = [("shapes.cmi", [SHAPES, MORE_SHAPES]), ("same.cmi", [SHAPES, &same_shapes()])];
        let mut explainer = Explainer::default();
        assert_eq!(explained(&scene(&files, Kind::Build, &mut explainer)), ["same.cmi"]);
        assert!(explained(&scene(&files, Kind::Jtw, &mut explainer)).is_empty());
        // Of which nothing was told before.
        let alone = scene(&files, Kind::Jtw, &mut Explainer::default());
        assert_eq!(explained(&alone), ["same.cmi", "shapes.cmi"]);
    }

    #[test]
    fn what_goes_into_a_site_is_looked_into_first_and_the_rest_is_counted() {
        let sides: [&[u8]; 2] = [b"one", b"two"];
        let names: Vec<String> = (0..MOST).map(|number| format!("a{number:02}.cmxs")).collect();
        let mut files: Vec<(&str, [&[u8]; 2])> = names.iter().map(|name| (name.as_str(), sides)).collect();
        let same = same_shapes();
        files.extend([("lib/META", sides), ("a.cmi", [SHAPES, &same])]);
        let content = scene(&files, Kind::Build, &mut Explainer::default());
        let told = explained(&content);
        assert!(told.len() == MOST && told.contains(&"lib/META".to_owned()), "{told:?}");
        assert!(!told.contains(&names[MOST - 1]) && !told.contains(&"a.cmi".to_owned()), "{told:?}");
        assert_eq!(content.unexplained, 2);
        let published = content.files.iter().filter(|file| file.published == Some(true)).count();
        assert_eq!((published, content.files.len()), (2, MOST + 2));
    }
}
