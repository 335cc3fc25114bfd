//! Which libraries take part: those that were asked for, and what they require.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::SwitchError;
use super::installed::{Package, Packages};
use crate::findlib::cycle;

/// Under which predicates the `requires` of libraries for browsers is read. The browser worker follows
/// what holds without any; with `ppx_driver` a rewriter brings what it was built of.
pub(super) const SETTINGS: [&[&str]; 3] = [&[], &["byte"], &["byte", "ppx_driver"]];

/// The libraries that take part.
#[derive(Debug, Default)]
pub(super) struct Closure {
    /// What each library requires, under any of the settings.
    pub requires: BTreeMap<String, Vec<String>>,
    /// Their packages by name.
    pub packages: BTreeMap<String, Arc<Package>>,
    /// What is missing, where that is no reason to fail.
    pub notes: Vec<String>,
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The libraries themselves.
    Named,
    /// With all that they require, which has to be there.
    All,
    /// The same, but what is missing is only told.
    Lenient,
}

impl Closure {
    /// The closure of `names`; `requires` is read under each of `settings`.
    ///
    /// # Errors
    /// When a library is not installed, or libraries require one another in a circle.
    pub(super) fn of(
        packages: &Packages<'_>,
        names: &[String],
        settings: &[&[&str]],
        reach: Reach,
    ) -> Result<Self, SwitchError> {
        let mut closure = Self::default();
        let mut waiting: Vec<(String, Option<String>)> =
            names.iter().rev().map(|name| (name.clone(), None)).collect();
        let mut missing = BTreeSet::new();
        while let Some((name, by)) = waiting.pop() {
            if closure.requires.contains_key(&name) || missing.contains(&name) {
                continue;
            }
            let requires = match closure.add(packages, &name, settings) {
                Ok(Some(requires)) => requires,
                Ok(None) if reach == Reach::Lenient && by.is_some() => {
                    let by = by.unwrap_or_default();
                    closure.notes.push(format!("library {by} requires {name}, which is not installed"));
                    missing.insert(name);
                    continue;
                }
                Ok(None) => {
                    let like = packages.like(&name);
                    return Err(SwitchError::Unknown { name, by, like });
                }
                Err(error @ SwitchError::Meta { .. }) if reach == Reach::Lenient => {
                    closure.notes.push(error.to_string());
                    missing.insert(name);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if reach != Reach::Named {
                waiting.extend(requires.iter().rev().map(|required| (required.clone(), Some(name.clone()))));
            }
            closure.requires.insert(name, requires);
        }
        closure.check_circles(reach)?;
        Ok(closure)
    }

    /// Takes the package of a library in, and says what the library requires; `None` when it is not
    /// installed.
    fn add(
        &mut self,
        packages: &Packages<'_>,
        name: &str,
        settings: &[&[&str]],
    ) -> Result<Option<Vec<String>>, SwitchError> {
        let head = name.split('.').next().unwrap_or_default();
        let Some(package) = packages.package(head)? else { return Ok(None) };
        let libraries = packages.libraries(&package);
        let Some(library) = libraries.iter().find(|one| one.name == name) else { return Ok(None) };
        let requires = library.meta.requires(settings);
        self.packages.insert(head.to_owned(), package);
        Ok(Some(requires))
    }

    fn check_circles(&mut self, reach: Reach) -> Result<(), SwitchError> {
        let requires = self.requires.iter();
        let requires =
            requires.map(|(name, all)| (name.as_str(), all.iter().map(String::as_str).collect())).collect();
        match cycle(&requires) {
            Some(names) if reach == Reach::Lenient => {
                self.notes.push(SwitchError::Circle(names).to_string());
                Ok(())
            }
            Some(names) => Err(SwitchError::Circle(names)),
            None => Ok(()),
        }
    }

    /// `names` and what they require, each library once and after what it requires.
    pub(super) fn load_order(&self, names: &[String]) -> Vec<String> {
        let mut order = Vec::new();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for start in names {
            let mut path: Vec<(&str, usize)> = Vec::new();
            path.extend(seen.insert(start).then_some((start.as_str(), 0)));
            while let Some((here, next)) = path.last_mut() {
                let needed = self.requires.get(*here).and_then(|all| all.get(*next));
                *next += 1;
                match needed {
                    Some(needed) if seen.insert(needed) => path.push((needed, 0)),
                    Some(_) => {}
                    None => {
                        order.extend(self.requires.contains_key(*here).then(|| (*here).to_owned()));
                        path.pop();
                    }
                }
            }
        }
        order
    }

    /// The packages that `name` needs, in the order in which they are loaded, without its own.
    pub(super) fn before(&self, name: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for library in self.load_order(&[name.to_owned()]) {
            let package = head(&library);
            if package != head(name) && !found.iter().any(|one| one == package) {
                found.push(package.to_owned());
            }
        }
        found
    }
}

/// The package that a library's name begins with.
pub(super) fn head(library: &str) -> &str {
    library.split('.').next().unwrap_or_default()
}
