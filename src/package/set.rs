//! `PackageSet`: which packages and versions there are, and their recipes when they are needed.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use thiserror::Error;

use crate::diagnostic::SourceError;
use crate::name::PackageName;
use crate::package::PackageRecipe;
use crate::package::index::TooManyVersions;
use crate::recipe::overlay::{Recipes, RecipesError};
use crate::version::Version;

/// Where package recipes lie among the recipes.
const FOLDER: &str = "packages/";

/// Why a package's recipe cannot be had.
#[derive(Clone, Debug, Error)]
pub enum PackageError {
    /// The file cannot be read.
    #[error(transparent)]
    Unreadable(Arc<RecipesError>),
    /// The file holds problems.
    #[error(transparent)]
    Recipe(Arc<SourceError>),
    /// There are more versions of a package than can be numbered.
    #[error(transparent)]
    TooMany(TooManyVersions),
}

/// A file below `packages/` that is not called `<name>/<version>.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{file}` is not the place of a package recipe: those are called `packages/<name>/<version>.toml`")]
pub struct Misplaced {
    pub file: String,
}

/// The packages of a set of recipes: names and versions are known from paths alone, recipes are
/// parsed when they are asked for, once.
#[derive(Debug)]
pub struct PackageSet<'r> {
    recipes: &'r Recipes,
    /// Newest version first.
    packages: BTreeMap<PackageName, Vec<Candidate>>,
}

/// One version that there is.
#[derive(Debug)]
pub struct Candidate {
    pub version: Version,
    path: String,
    recipe: OnceLock<Result<Arc<PackageRecipe>, PackageError>>,
}

impl<'r> PackageSet<'r> {
    /// Lists the packages.
    pub fn new(recipes: &'r Recipes) -> Result<Self, Misplaced> {
        let mut packages: BTreeMap<PackageName, Vec<Candidate>> = BTreeMap::new();
        for path in recipes.list(FOLDER) {
            let place = path[FOLDER.len()..].split_once('/');
            let place = place.and_then(|(name, file)| {
                Some((PackageName::new(name)?, Version::new(file.strip_suffix(".toml")?)?))
            });
            let (name, version) = place.ok_or_else(|| Misplaced { file: path.to_owned() })?;
            let candidate = Candidate { version, path: path.to_owned(), recipe: OnceLock::new() };
            packages.entry(name).or_default().push(candidate);
        }
        for candidates in packages.values_mut() {
            // Versions that compare equal keep the order of their paths.
            candidates.sort_by(|a, b| Reverse(&a.version).cmp(&Reverse(&b.version)));
        }
        Ok(Self { recipes, packages })
    }

    /// Names of all packages, sorted.
    pub fn names(&self) -> impl Iterator<Item = &PackageName> + Clone {
        self.packages.keys()
    }

    /// All versions of a package, newest first; none if there is no such package.
    pub fn versions(&self, name: &PackageName) -> &[Candidate] {
        self.packages.get(name).map_or(&[], Vec::as_slice)
    }

    /// The recipe of one of [`versions`](Self::versions).
    pub fn recipe(
        &self,
        name: &PackageName,
        candidate: &Candidate,
    ) -> Result<Arc<PackageRecipe>, PackageError> {
        candidate
            .recipe
            .get_or_init(|| {
                let file = self.recipes.text(&candidate.path);
                let file = file.map_err(|error| PackageError::Unreadable(Arc::new(error)))?;
                let directory = self.recipes.directory_of(&candidate.path);
                PackageRecipe::parse(&file, name, &candidate.version, directory.as_deref())
                    .map(Arc::new)
                    .map_err(|error| PackageError::Recipe(Arc::new(error)))
            })
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_recipe_of_this_repository_is_good() {
        let recipes = Recipes::built_in();
        let packages = PackageSet::new(&recipes).unwrap();
        let mut count = 0;
        for name in packages.names() {
            for candidate in packages.versions(name) {
                if let Err(error) = packages.recipe(name, candidate) {
                    panic!("{error}");
                }
                count += 1;
            }
        }
        assert!(count > 30, "only {count} package recipes");
    }

    #[test]
    fn versions_come_newest_first_and_files_in_wrong_places_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let package = directory.path().join("packages/demo");
        std::fs::create_dir_all(&package).unwrap();
        for version in ["1.9", "1.10", "1.10~rc1"] {
            std::fs::write(package.join(format!("{version}.toml")), "").unwrap();
        }
        let recipes = Recipes::with_overrides(&[directory.path().to_owned()]).unwrap();
        let packages = PackageSet::new(&recipes).unwrap();
        let demo = PackageName::new("demo").unwrap();
        let versions: Vec<_> = packages.versions(&demo).iter().map(|c| c.version.as_str()).collect();
        assert_eq!(versions, ["1.10", "1.10~rc1", "1.9"]);

        std::fs::write(package.join("notes.txt"), "").unwrap();
        let recipes = Recipes::with_overrides(&[directory.path().to_owned()]).unwrap();
        let error = PackageSet::new(&recipes).unwrap_err();
        assert_eq!(error.file, "packages/demo/notes.txt");
    }
}
