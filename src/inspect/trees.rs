//! What differs between two trees: entries that came, went or changed, and by how much.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::store::StoreError;
use crate::store::tree::{File, Name, Node, RelPath, Tree};

/// Lines are counted in text files of at most so many bytes and lines. What takes longest, two
/// files without a line in common, takes a quarter of a second then.
const LARGEST_TEXT: u64 = 1 << 20;
const MOST_LINES: usize = 8_000;

/// What a path stands for in one of the trees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Entry {
    File {
        /// In bytes.
        size: u64,
        executable: bool,
        /// The name of the bytes.
        blob: String,
    },
    Link {
        target: String,
    },
    /// Either an empty one, or one in whose place the other tree has something else.
    Directory {
        /// How many regular files are below it, and their bytes together.
        files: usize,
        bytes: u64,
    },
}

impl Entry {
    fn new(node: &Node) -> Self {
        match node {
            Node::File(file) => {
                Self::File { size: file.size, executable: file.executable, blob: file.blob.to_string() }
            }
            Node::Link(target) => {
                Self::Link { target: String::from_utf8_lossy(target.as_bytes()).into_owned() }
            }
            Node::Directory(tree) => {
                let files = tree.files();
                Self::Directory { files: files.len(), bytes: files.iter().map(|(_, file)| file.size).sum() }
            }
        }
    }

    /// The bytes of the files that it is or holds.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            Self::Link { .. } => 0,
            Self::Directory { bytes, .. } => *bytes,
        }
    }
}

/// How many lines of a text are only in the later version, and only in the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Lines {
    pub added: usize,
    pub removed: usize,
}

impl Lines {
    /// How many lines changed: a line in place of another counts once.
    pub fn changed(&self) -> usize {
        self.added.max(self.removed)
    }
}

/// `3 lines`.
impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed = self.changed();
        write!(f, "{changed} line{}", if changed == 1 { "" } else { "s" })
    }
}

/// What happened to a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    Added {
        after: Entry,
    },
    Removed {
        before: Entry,
    },
    Changed {
        before: Entry,
        after: Entry,
        /// Of two texts of moderate size whose bytes differ.
        #[serde(skip_serializing_if = "Option::is_none")]
        lines: Option<Lines>,
    },
}

impl Change {
    /// What was there before.
    pub fn before(&self) -> Option<&Entry> {
        match self {
            Self::Added { .. } => None,
            Self::Removed { before } | Self::Changed { before, .. } => Some(before),
        }
    }

    /// What is there afterwards.
    pub fn after(&self) -> Option<&Entry> {
        match self {
            Self::Removed { .. } => None,
            Self::Added { after } | Self::Changed { after, .. } => Some(after),
        }
    }
}

/// A path at which two trees differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// For people and JSON; names that are not UTF-8 are shown as well as can be.
    #[serde(serialize_with = "as_text")]
    pub path: RelPath,
    #[serde(flatten)]
    pub change: Change,
}

fn as_text<S: serde::Serializer>(path: &RelPath, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(path)
}

/// Everything in which `after` differs from `before`, in the order of a walk. Equal trees, and only
/// they, have no difference.
///
/// A directory that came or went is told by the files in it, so it is listed itself only when it has
/// none. `read` gives the bytes of a file of either tree: it is asked for text files whose lines are to
/// be counted, and its errors are passed on.
pub fn differences(
    before: &Tree,
    after: &Tree,
    read: &dyn Fn(&File) -> Result<Vec<u8>, StoreError>,
) -> Result<Vec<Difference>, StoreError> {
    let mut comparison = Comparison { read, found: Vec::new() };
    comparison.trees(&RelPath::default(), before, after)?;
    Ok(comparison.found)
}

struct Comparison<'a> {
    read: &'a dyn Fn(&File) -> Result<Vec<u8>, StoreError>,
    found: Vec<Difference>,
}

impl Comparison<'_> {
    fn trees(&mut self, at: &RelPath, before: &Tree, after: &Tree) -> Result<(), StoreError> {
        let names: BTreeSet<&Name> = before.entries().chain(after.entries()).map(|(name, _)| name).collect();
        for name in names {
            let path = at.join(name.clone());
            match (before.child(name), after.child(name)) {
                (Some(Node::Directory(before)), Some(Node::Directory(after))) => {
                    self.trees(&path, before, after)?;
                }
                (Some(before), Some(after)) if before == after => {}
                (Some(before), Some(after)) => {
                    let lines = self.lines(before, after)?;
                    let change =
                        Change::Changed { before: Entry::new(before), after: Entry::new(after), lines };
                    self.found.push(Difference { path, change });
                }
                (Some(before), None) => self.one_side(&path, before, &|before| Change::Removed { before }),
                (None, Some(after)) => self.one_side(&path, after, &|after| Change::Added { after }),
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn one_side(&mut self, path: &RelPath, node: &Node, change: &dyn Fn(Entry) -> Change) {
        match node {
            Node::Directory(tree) if !tree.is_empty() => {
                for (name, node) in tree.entries() {
                    self.one_side(&path.join(name.clone()), node, change);
                }
            }
            node => {
                let change = change(Entry::new(node));
                self.found.push(Difference { path: path.clone(), change });
            }
        }
    }

    fn lines(&self, before: &Node, after: &Node) -> Result<Option<Lines>, StoreError> {
        let (Node::File(before), Node::File(after)) = (before, after) else { return Ok(None) };
        if before.blob == after.blob || before.size.max(after.size) > LARGEST_TEXT {
            return Ok(None);
        }
        Ok(changed_lines(&(self.read)(before)?, &(self.read)(after)?))
    }
}

/// How many lines differ between two texts; nothing when one of them is no text, or too long.
pub fn changed_lines(before: &[u8], after: &[u8]) -> Option<Lines> {
    let is_text = |bytes: &[u8]| !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok();
    if !is_text(before) || !is_text(after) {
        return None;
    }
    let before: Vec<&[u8]> = before.split_inclusive(|byte| *byte == b'\n').collect();
    let after: Vec<&[u8]> = after.split_inclusive(|byte| *byte == b'\n').collect();
    if before.len().max(after.len()) > MOST_LINES {
        return None;
    }
    let mut lines = Lines { added: 0, removed: 0 };
    for operation in capture_diff_slices(Algorithm::Myers, &before, &after) {
        if !matches!(operation, DiffOp::Equal { .. }) {
            lines.added += operation.new_range().len();
            lines.removed += operation.old_range().len();
        }
    }
    Some(lines)
}

/// Differences counted, and the bytes of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub added: usize,
    pub removed: usize,
    pub changed: usize,
    /// Of all that differs: what the earlier tree has, and what the later one has.
    pub bytes_before: u64,
    pub bytes_after: u64,
}

impl Totals {
    /// Counts `differences`.
    pub fn of<'a>(differences: impl IntoIterator<Item = &'a Difference>) -> Self {
        let mut totals = Self::default();
        for Difference { change, .. } in differences {
            match change {
                Change::Added { .. } => totals.added += 1,
                Change::Removed { .. } => totals.removed += 1,
                Change::Changed { .. } => totals.changed += 1,
            }
            totals.bytes_before += change.before().map_or(0, Entry::bytes);
            totals.bytes_after += change.after().map_or(0, Entry::bytes);
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;
    use crate::store::tree::{BlobHash, LinkTarget};

    /// Trees whose files' bytes are kept beside them.
    #[derive(Default)]
    struct Scene(HashMap<BlobHash, Vec<u8>>);

    impl Scene {
        fn tree(&mut self, entries: &[(&str, &str)]) -> Tree {
            let mut tree = Tree::default();
            for (path, text) in entries {
                let (path, executable) = path.strip_suffix('*').map_or((*path, false), |path| (path, true));
                let node = match (path.strip_suffix('/'), text.strip_prefix("-> ")) {
                    (Some(_), _) => Node::Directory(Arc::default()),
                    (None, Some(target)) => Node::Link(LinkTarget::new(target.as_bytes()).unwrap()),
                    (None, None) => {
                        let blob = BlobHash::from_bytes(*blake3::hash(text.as_bytes()).as_bytes());
                        self.0.insert(blob, text.as_bytes().to_vec());
                        Node::File(File { blob, size: text.len() as u64, executable })
                    }
                };
                tree.insert(&RelPath::parse(path.trim_end_matches('/')).unwrap(), node).unwrap();
            }
            tree
        }

        /// Differences in short: `~ path: lines`.
        fn compare(&self, before: &Tree, after: &Tree) -> Vec<String> {
            let read = |file: &File| Ok(self.0[&file.blob].clone());
            let told = differences(before, after, &read).unwrap().into_iter().map(|one| match one.change {
                Change::Added { .. } => format!("+ {}", one.path),
                Change::Removed { .. } => format!("- {}", one.path),
                Change::Changed { lines: Some(lines), .. } => format!("~ {}: {lines}", one.path),
                Change::Changed { lines: None, .. } => format!("~ {}", one.path),
            });
            told.collect()
        }
    }

    #[test]
    fn what_came_what_went_and_what_changed_is_told_by_path() {
        let mut scene = Scene::default();
        let before = scene.tree(&[
            ("lib/a.ml", "one\ntwo\nthree\n"),
            ("lib/gone/x", "x"),
            ("lib/gone/y", "y"),
            ("bin/run", "same"),
            ("bin/to", "-> run"),
            ("same", "same"),
        ]);
        let after = scene.tree(&[
            ("lib/a.ml", "one\n2\nthree\nfour\n"),
            ("bin/run*", "same"),
            ("bin/to", "-> walk"),
            ("new/empty/", ""),
            ("new/file", "1"),
            ("same", "same"),
        ]);
        let told = scene.compare(&before, &after);
        let expected = [
            "~ bin/run",
            "~ bin/to",
            "~ lib/a.ml: 2 lines",
            "- lib/gone/x",
            "- lib/gone/y",
            "+ new/empty",
            "+ new/file",
        ];
        assert_eq!(told, expected);
        let read = |file: &File| Ok(scene.0[&file.blob].clone());
        let differences = differences(&before, &after, &read).unwrap();
        let totals = Totals::of(&differences);
        assert_eq!((totals.added, totals.removed, totals.changed), (2, 2, 3));
        assert_eq!((totals.bytes_before, totals.bytes_after), (14 + 2 + 4, 17 + 1 + 4));
    }

    #[test]
    fn a_directory_in_place_of_a_file_is_one_change() {
        let mut scene = Scene::default();
        let before = scene.tree(&[("a", "text")]);
        let after = scene.tree(&[("a/b", "text"), ("a/c", "more")]);
        let read = |file: &File| Ok(scene.0[&file.blob].clone());
        let found = differences(&before, &after, &read).unwrap();
        let [Difference { change: Change::Changed { after, lines: None, .. }, .. }] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(*after, Entry::Directory { files: 2, bytes: 8 });
    }

    #[test]
    fn lines_are_counted_in_texts_of_moderate_size_only() {
        let count = |before: &[u8], after: &[u8]| changed_lines(before, after);
        assert_eq!(count(b"a\nb\n", b"a\nc\nb\n"), Some(Lines { added: 1, removed: 0 }));
        assert_eq!(count(b"", b"a"), Some(Lines { added: 1, removed: 0 }));
        // The end of the last line counts.
        assert_eq!(count(b"a", b"a\n"), Some(Lines { added: 1, removed: 1 }));
        assert_eq!(count(b"a\n", b"\0\n"), None);
        assert_eq!(count(b"\xff\n", b"a\n"), None);
        assert_eq!(count("x\n".repeat(MOST_LINES + 1).as_bytes(), b""), None);
    }

    #[test]
    fn equal_trees_and_only_they_have_no_difference() {
        let mut scene = Scene::default();
        let all: Vec<Tree> = [
            &[][..],
            &[("a/", "")],
            &[("a/b/", "")],
            &[("a", "1")],
            &[("a", "2")],
            &[("a*", "1")],
            &[("a", "-> 1")],
            &[("b", "1")],
            &[("a", "1"), ("b", "1")],
            &[("a/b", "1")],
        ]
        .iter()
        .map(|entries| scene.tree(entries))
        .collect();
        for before in &all {
            for after in &all {
                assert_eq!(before == after, scene.compare(before, after).is_empty(), "{before:?} {after:?}");
            }
        }
    }
}
