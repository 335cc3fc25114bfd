//! `Recipes`: the built-in recipes, and the directories that override them file by file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use include_dir::{Dir, DirEntry, include_dir};
use thiserror::Error;

use crate::diagnostic::SourceFile;
use crate::toml_reader::MAX_FILE;

static BUILT_IN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/recipes");

/// Every built-in file by its path. Sorted, so that listings are.
static BUILT_IN_FILES: LazyLock<BTreeMap<&'static str, &'static [u8]>> = LazyLock::new(|| {
    let mut files = BTreeMap::new();
    let mut left = vec![&BUILT_IN];
    while let Some(directory) = left.pop() {
        for entry in directory.entries() {
            match entry {
                DirEntry::Dir(directory) => left.push(directory),
                DirEntry::File(file) => {
                    files.extend(file.path().to_str().map(|path| (path, file.contents())));
                }
            }
        }
    }
    files
});

/// Directories below which an override may lie: bounds the walk where links form a loop.
const MAX_DEPTH: usize = 16;

/// Why a recipe's file cannot be had.
#[derive(Debug, Error)]
pub enum RecipesError {
    /// Neither built in nor among the overrides.
    #[error("there is no recipe `{path}`")]
    Missing { path: String },
    /// The operating system refused or failed.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// Larger than any recipe.
    #[error("`{}` has more than {} MiB", path.display(), MAX_FILE >> 20)]
    TooBig { path: PathBuf },
    /// A text file that is not UTF-8.
    #[error("`{name}` is not UTF-8 text: byte {valid_up_to} does not belong there")]
    NotText { name: String, valid_up_to: usize },
    /// A file of an override directory whose path is not UTF-8, or too deep.
    #[error("`{}` cannot be the path of a recipe", path.display())]
    BadPath { path: PathBuf },
}

/// All recipe files by their path below `recipes/` (`packages/fmt/0.9.0.toml`).
#[derive(Debug, Default)]
pub struct Recipes {
    /// The file system's path of each file that overrides or adds one.
    overrides: BTreeMap<String, PathBuf>,
    /// What was read of them so far.
    read: Mutex<BTreeMap<String, Arc<[u8]>>>,
    /// Every file that was read so far, built in or not.
    used: Mutex<BTreeSet<String>>,
}

impl Recipes {
    /// Only the recipes of this binary.
    pub fn built_in() -> Self {
        Self::default()
    }

    /// The recipes of this binary, overridden by the files of `directories`; the later one wins.
    /// Files and directories whose names begin with a dot are not looked at.
    pub fn with_overrides(directories: &[PathBuf]) -> Result<Self, RecipesError> {
        let mut overrides = BTreeMap::new();
        for directory in directories {
            walk(directory, "", 0, &mut overrides)?;
        }
        Ok(Self { overrides, ..Self::default() })
    }

    /// Paths that begin with `prefix`, sorted.
    pub fn list<'s>(&'s self, prefix: &'s str) -> Vec<&'s str> {
        let built_in = BUILT_IN_FILES
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .map(|(path, _)| *path);
        let built_in = built_in.take_while(|path| path.starts_with(prefix));
        let overrides = self
            .overrides
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .map(|(path, _)| path.as_str());
        let overrides = overrides.take_while(|path| path.starts_with(prefix));
        let mut paths: Vec<&str> = built_in.chain(overrides).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// The bytes of a file.
    pub fn bytes(&self, path: &str) -> Result<Arc<[u8]>, RecipesError> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        let Some(place) = self.overrides.get(path) else {
            let bytes = BUILT_IN_FILES.get(path);
            return bytes
                .map(|bytes| Arc::from(*bytes))
                .ok_or_else(|| RecipesError::Missing { path: path.into() });
        };
        if let Some(bytes) = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(bytes.clone());
        }
        let bytes: Arc<[u8]> = read_bounded(place)?.into();
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), bytes.clone());
        Ok(bytes)
    }

    /// The files that were read so far, built in or not.
    pub fn used(&self) -> BTreeSet<String> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A text file, with the name that messages use for it.
    pub fn text(&self, path: &str) -> Result<SourceFile, RecipesError> {
        let bytes = self.bytes(path)?;
        let name = match self.overrides.get(path) {
            Some(place) => place.display().to_string(),
            None => format!("<built-in>/{path}"),
        };
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(SourceFile::new(name, text)),
            Err(error) => Err(RecipesError::NotText { name, valid_up_to: error.valid_up_to() }),
        }
    }

    /// The directory of the file system that a file lies in; `None` for a built-in one.
    pub fn directory_of(&self, path: &str) -> Option<PathBuf> {
        self.overrides.get(path).and_then(|place| place.parent()).map(Path::to_owned)
    }

    /// All files that override or add one, whether they were read or not: path among the recipes,
    /// path in the file system.
    pub fn override_files(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.overrides.iter().map(|(path, place)| (path.as_str(), place.as_path()))
    }

    /// The override files that were read so far, with their bytes.
    pub fn overrides_read(&self) -> BTreeMap<String, Arc<[u8]>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn walk(
    directory: &Path,
    prefix: &str,
    depth: usize,
    files: &mut BTreeMap<String, PathBuf>,
) -> Result<(), RecipesError> {
    let unreadable = |path: &Path, source| RecipesError::Unreadable { path: path.to_owned(), source };
    if depth > MAX_DEPTH {
        return Err(RecipesError::BadPath { path: directory.to_owned() });
    }
    let entries = std::fs::read_dir(directory).map_err(|error| unreadable(directory, error))?;
    for entry in entries {
        let path = entry.map_err(|error| unreadable(directory, error))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name else { return Err(RecipesError::BadPath { path }) };
        if name.starts_with('.') {
            continue;
        }
        let key = format!("{prefix}{name}");
        let kind = std::fs::metadata(&path).map_err(|error| unreadable(&path, error))?;
        if kind.is_dir() {
            walk(&path, &format!("{key}/"), depth + 1, files)?;
        } else if kind.is_file() {
            files.insert(key, path);
        }
    }
    Ok(())
}

/// Reads a file that has no more than [`MAX_FILE`] bytes.
pub(crate) fn read_bounded(path: &Path) -> Result<Vec<u8>, RecipesError> {
    let unreadable = |source| RecipesError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_FILE {
        return Err(RecipesError::TooBig { path: path.to_owned() });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_replaces_one_file_and_adds_others() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("packages/mine")).unwrap();
        std::fs::write(directory.path().join("packages/mine/1.toml"), "mine").unwrap();
        std::fs::write(directory.path().join("build.toml"), "other").unwrap();
        std::fs::write(directory.path().join(".hidden"), "x").unwrap();
        let recipes = Recipes::with_overrides(&[directory.path().to_owned()]).unwrap();

        assert_eq!(&*recipes.bytes("build.toml").unwrap(), b"other");
        assert!(recipes.list("packages/").contains(&"packages/mine/1.toml"));
        assert!(recipes.list("packages/").contains(&"packages/fmt/0.9.0.toml"));
        assert!(recipes.list("").is_sorted());
        assert_eq!(recipes.list("build.toml"), ["build.toml"]);
        assert!(!recipes.list("").contains(&".hidden"));
        assert_eq!(recipes.directory_of("packages/fmt/0.9.0.toml"), None);
        assert_eq!(recipes.overrides_read().keys().collect::<Vec<_>>(), ["build.toml"]);
        assert_eq!(recipes.override_files().count(), 2);
    }

    #[test]
    fn a_loop_of_links_and_a_missing_directory_are_errors() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(".", directory.path().join("again")).unwrap();
        let error = Recipes::with_overrides(&[directory.path().to_owned()]).unwrap_err();
        assert!(matches!(error, RecipesError::BadPath { .. } | RecipesError::Unreadable { .. }), "{error}");
        let error = Recipes::with_overrides(&[directory.path().join("nowhere")]).unwrap_err();
        assert!(matches!(error, RecipesError::Unreadable { .. }), "{error}");
    }

    #[test]
    fn text_is_checked_and_a_missing_recipe_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("bad.toml"), b"a\xff").unwrap();
        let recipes = Recipes::with_overrides(&[directory.path().to_owned()]).unwrap();
        let error = recipes.text("bad.toml").unwrap_err();
        assert!(matches!(error, RecipesError::NotText { valid_up_to: 1, .. }), "{error}");
        assert_eq!(recipes.text("none.toml").unwrap_err().to_string(), "there is no recipe `none.toml`");
    }
}
