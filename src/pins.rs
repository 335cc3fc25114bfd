//! `Pins`: what a plan takes from this machine, each known by the hash of its content.
//!
//! Local sources, the worker's source and the files that come with recipes are hashed here before
//! planning, so that the plan itself is a function of its arguments. Their bytes enter the store
//! only when a node that needs them is built.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::lock::Lock;
use crate::name::RecipeName;
use crate::outcome::Failure;
use crate::path::RelativePath;
use crate::recipe::overlay::{Recipes, RecipesError};
use crate::source::git::{Commit, GitSource, GitUrl, Question, Reference};
use crate::source::{Archive, Checksum, LocalPath, PinnedDeb, Place};
use crate::store::staging::{scan, scan_without};
use crate::store::tree::{BlobHash, File, Node, RelPath, Tree, TreeError, TreeHash};
use crate::store::{Store, StoreError};

/// Why something local could not be pinned.
#[derive(Debug, Error)]
pub enum PinError {
    #[error(transparent)]
    Recipes(#[from] RecipesError),
    #[error("`{path}`: {source}")]
    Path { path: String, source: TreeError },
    /// There is no file at all below a folder of the recipes.
    #[error("there are no files in the folder `{0}` of the recipes")]
    EmptyFolder(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where the bytes of a pinned tree are.
#[derive(Clone, Debug)]
enum Content {
    Path(PathBuf),
    /// But for what [`NOT_SOURCE`] names.
    Repository(PathBuf),
    Files(Vec<(RelPath, Arc<[u8]>)>),
    File {
        place: RelativePath,
        bytes: Arc<[u8]>,
        executable: bool,
    },
}

/// What lies at the top of a repository of packages and is no part of it: opam leaves the same out
/// when it pins a directory.
const NOT_SOURCE: [&str; 5] = [".git", ".hg", "_build", "_darcs", "_opam"];

/// Pinned content by its hash, and the packages of the bases.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    bases: BTreeMap<RecipeName, Vec<PinnedDeb>>,
    /// The commits of branches and tags.
    commits: BTreeMap<Question, Commit>,
    contents: HashMap<TreeHash, Content>,
    /// Where archives that a file names by a path are on this machine.
    archives: HashMap<Checksum, Vec<LocalPath>>,
}

impl Pins {
    /// Takes the bases and commits that a lock pins.
    pub fn new(lock: &Lock) -> Self {
        let bases = lock.bases.iter().map(|(name, base)| (name.clone(), base.packages.clone()));
        Self { bases: bases.collect(), commits: lock.git.clone(), ..Self::default() }
    }

    /// The packages of a base, if they are pinned.
    pub fn base(&self, name: &RecipeName) -> Option<&[PinnedDeb]> {
        self.bases.get(name).map(Vec::as_slice)
    }

    /// The commit of a git source, if it is written down or pinned.
    pub fn commit(&self, source: &GitSource) -> Option<Commit> {
        match &source.reference {
            Reference::Rev(commit) => Some(commit.clone()),
            _ => self.commits.get(&source.question()?).cloned(),
        }
    }

    /// A branch or tag of a repository that has come to this commit: where to look for it, if the server
    /// does not give away single commits.
    pub fn name_near(&self, url: &GitUrl, commit: &Commit) -> Option<&str> {
        let mut known = self.commits.iter().filter(|(asked, at)| asked.url == *url && *at == commit);
        known.find_map(|(asked, _)| asked.reference.name())
    }

    /// Remembers where the local places of an archive are: documents only say how they are written.
    pub fn pin_archive(&mut self, archive: &Archive) {
        let local = archive.places.iter().filter_map(|place| match place {
            Place::Path(path) => Some(path.clone()),
            _ => None,
        });
        let local: Vec<LocalPath> = local.collect();
        if !local.is_empty() {
            self.archives.entry(archive.checksums.name()).or_default().extend(local);
        }
    }

    /// The archive with its local places where they are on this machine.
    pub fn located(&self, archive: &Archive) -> Archive {
        let known = self.archives.get(&archive.checksums.name()).map(Vec::as_slice).unwrap_or_default();
        let places = archive.places.iter().flat_map(|place| match place {
            Place::Path(path) => {
                let same = known.iter().filter(|known| known.written == path.written);
                same.map(|known| Place::Path(known.clone())).collect()
            }
            place => vec![place.clone()],
        });
        Archive { checksums: archive.checksums, places: places.collect() }
    }

    /// Hashes a file or directory of this machine.
    pub fn pin_path(&mut self, path: &Path) -> Result<TreeHash, PinError> {
        let hash = scan(path)?.hash();
        self.contents.insert(hash, Content::Path(path.to_owned()));
        Ok(hash)
    }

    /// Hashes a directory of this machine that people work in: what version control, dune and opam
    /// keep there is left out.
    pub fn pin_repository(&mut self, path: &Path) -> Result<TreeHash, PinError> {
        let hash = scan_without(path, &NOT_SOURCE)?.hash();
        self.contents.insert(hash, Content::Repository(path.to_owned()));
        Ok(hash)
    }

    /// Hashes the files of a folder among the recipes. Files that end in `.sh` are executable.
    pub fn pin_folder(&mut self, recipes: &Recipes, folder: &str) -> Result<TreeHash, PinError> {
        let prefix = format!("{folder}/");
        let mut files = Vec::new();
        for path in recipes.list(&prefix) {
            let below = RelPath::parse(&path[prefix.len()..])
                .map_err(|source| PinError::Path { path: path.to_owned(), source })?;
            files.push((below, recipes.bytes(path)?));
        }
        if files.is_empty() {
            return Err(PinError::EmptyFolder(folder.to_owned()));
        }
        let tree = tree_of(&files, &mut |bytes, executable| {
            let blob = BlobHash::from_bytes(*blake3::hash(bytes).as_bytes());
            Ok(File { blob, size: bytes.len() as u64, executable })
        });
        let hash = tree?.hash();
        self.contents.insert(hash, Content::Files(files));
        Ok(hash)
    }

    /// Takes a file whose tree is known; see [`file_tree`].
    pub fn pin_file(&mut self, tree: TreeHash, place: &RelativePath, bytes: &Arc<[u8]>, executable: bool) {
        let (place, bytes) = (place.clone(), Arc::clone(bytes));
        self.contents.insert(tree, Content::File { place, bytes, executable });
    }

    /// Makes the bytes of a pinned tree be in the store. Content that has changed since it was
    /// hashed is an error.
    pub fn provide(&self, tree: &TreeHash, store: &Arc<Store>) -> Result<(), Failure> {
        let trouble = |error: PinError| match error {
            PinError::Store(error) if error.is_no_space() => Failure::NoSpace { what: error.to_string() },
            error => Failure::Machine { what: "a local source".into(), reason: error.to_string() },
        };
        if store.use_tree(tree).map_err(|error| trouble(error.into()))? {
            return Ok(());
        }
        let Some(content) = self.contents.get(tree) else {
            let reason = "it is neither in the store nor on this machine".into();
            return Err(Failure::Machine { what: tree.to_string(), reason });
        };
        let staging = store.stage().map_err(|error| trouble(error.into()))?;
        let staged = match content {
            Content::Path(path) => staging.add_path(path).map_err(PinError::from),
            Content::Repository(path) => staging.add_path_without(path, &NOT_SOURCE).map_err(PinError::from),
            Content::File { place, bytes, executable } => {
                staging.add_bytes(bytes, *executable).map(|file| alone(place, file)).map_err(PinError::from)
            }
            Content::Files(files) => {
                tree_of(files, &mut |bytes, executable| Ok(staging.add_bytes(bytes, executable)?))
            }
        };
        let staged = staged.map_err(trouble)?;
        if staged.hash() != *tree {
            let what = match content {
                Content::Path(path) | Content::Repository(path) => path.display().to_string(),
                Content::Files(_) => "a file of the recipes".into(),
                Content::File { place, .. } => place.to_string(),
            };
            return Err(Failure::Machine { what, reason: "it changed while the run was going on".into() });
        }
        staging.publish(&staged).map_err(|error| trouble(error.into()))?;
        Ok(())
    }
}

/// The tree that holds one file under the last name of its place.
pub fn file_tree(place: &RelativePath, bytes: &[u8], executable: bool) -> Tree {
    let blob = BlobHash::from_bytes(*blake3::hash(bytes).as_bytes());
    alone(place, File { blob, size: bytes.len() as u64, executable })
}

fn alone(place: &RelativePath, file: File) -> Tree {
    let mut tree = Tree::default();
    let name = place.as_str().rsplit('/').next().unwrap_or_default();
    let path = RelPath::parse(name).expect("the last name of a checked path");
    tree.insert(&path, Node::File(file)).expect("the only file of a tree");
    tree
}

fn tree_of(
    files: &[(RelPath, Arc<[u8]>)],
    take: &mut dyn FnMut(&[u8], bool) -> Result<File, PinError>,
) -> Result<Tree, PinError> {
    let mut tree = Tree::default();
    for (path, bytes) in files {
        let executable = path.file_name().is_some_and(|name| name.as_bytes().ends_with(b".sh"));
        let file = take(bytes, executable)?;
        tree.insert(path, Node::File(file))
            .map_err(|source| PinError::Path { path: path.to_string(), source })?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_content_is_provided_unless_it_changed() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        let source = directory.path().join("hello.txt");
        std::fs::write(&source, "hello").unwrap();
        let mut pins = Pins::default();
        let hash = pins.pin_path(&source).unwrap();
        assert!(!store.has_tree(&hash));
        pins.provide(&hash, &store).unwrap();
        assert_eq!(std::fs::read(store.tree_path(&hash).join("hello.txt")).unwrap(), b"hello");

        std::fs::write(&source, "one").unwrap();
        let hash = pins.pin_path(&source).unwrap();
        std::fs::write(&source, "two").unwrap();
        let failure = pins.provide(&hash, &store).unwrap_err();
        assert!(failure.to_string().contains("changed while"), "{failure}");
    }

    #[test]
    fn local_places_of_a_document_are_found_on_this_machine() {
        let path =
            |directory: &str| Place::Path(LocalPath { written: "a.tar".into(), directory: directory.into() });
        let archive = |places| Archive::new(crate::source::Sha256::from_bytes([1; 32]), places);
        let url = Place::Url("https://example.org/a.tar".into());
        let mut pins = Pins::default();
        pins.pin_archive(&archive(vec![url.clone(), path("/here")]));
        let text = serde_json::to_string(&archive(vec![path("/here"), url.clone()])).unwrap();
        let documented: Archive = serde_json::from_str(&text).unwrap();
        assert_eq!(documented.places, [path(""), url.clone()]);
        assert_eq!(pins.located(&documented).places, [path("/here"), url]);
    }

    #[test]
    fn a_repository_is_its_source_and_not_what_tools_keep_there() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        let source = directory.path().join("source");
        std::fs::create_dir_all(source.join("lib/_build")).unwrap();
        std::fs::write(source.join("lib/_build/kept"), "a directory below may be called so").unwrap();
        let mut pins = Pins::default();
        let hash = pins.pin_repository(&source).unwrap();
        std::fs::create_dir(source.join(".git")).unwrap();
        std::fs::write(source.join(".git/HEAD"), "ref: refs/heads/main").unwrap();
        assert_eq!(pins.pin_repository(&source).unwrap(), hash);
        pins.provide(&hash, &store).unwrap();
        let tree = store.tree_path(&hash);
        assert!(tree.join("lib/_build/kept").exists() && !tree.join(".git").exists());
    }

    #[test]
    fn folder_of_recipes_is_a_tree() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        let recipes = Recipes::built_in();
        let mut pins = Pins::default();
        let hash = pins.pin_folder(&recipes, "jtw-tools/worker").unwrap();
        pins.provide(&hash, &store).unwrap();
        assert!(store.tree_path(&hash).join("worker.ml").exists());
        assert!(matches!(pins.pin_folder(&recipes, "none"), Err(PinError::EmptyFolder(_))));
    }
}
