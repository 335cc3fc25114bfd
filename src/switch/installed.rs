//! findlib's look-up: from the name of a library to its META file and its directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::SwitchError;
use super::layer::stdlib_package;
use super::looked::Looked;
use super::place::{Place, lexical};
use crate::diagnostic::did_you_mean;
use crate::findlib::Meta;

/// A META file that is installed, with all its libraries.
#[derive(Debug)]
pub(super) struct Package {
    /// The first component of its libraries' names.
    pub name: String,
    /// The META file's.
    pub text: String,
    pub meta: Meta,
    /// What the file's relative directories are relative to: the directory that it lies in.
    pub base: PathBuf,
}

/// One library of a package.
#[derive(Clone, Debug)]
pub(super) struct Installed<'a> {
    /// Dotted name.
    pub name: String,
    pub meta: &'a Meta,
    /// Where its files are.
    pub directory: PathBuf,
}

/// Packages by name, read when they are first asked for.
pub(super) struct Packages<'a> {
    looked: &'a Looked,
    place: &'a Place,
    known: Mutex<BTreeMap<String, Option<Arc<Package>>>>,
}

impl<'a> Packages<'a> {
    pub(super) fn new(looked: &'a Looked, place: &'a Place) -> Self {
        Self { looked, place, known: Mutex::default() }
    }

    /// The package, from the first directory of the search path that has it: as `<name>/META`, else
    /// as `META.<name>`.
    pub(super) fn package(&self, name: &str) -> Result<Option<Arc<Package>>, SwitchError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(package) = known.get(name) {
            return Ok(package.clone());
        }
        let package = self.look_up(name)?.map(Arc::new);
        known.insert(name.to_owned(), package.clone());
        Ok(package)
    }

    fn look_up(&self, name: &str) -> Result<Option<Package>, SwitchError> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\']) {
            return Ok(None);
        }
        for root in &self.place.search {
            let own = root.join(name);
            for (path, base) in [(own.join("META"), &own), (root.join(format!("META.{name}")), root)] {
                if !self.looked.is_file(&path) {
                    continue;
                }
                let bytes = self.looked.read(&path)?;
                let meta = match Meta::parse(&bytes) {
                    Ok(meta) => meta,
                    Err(source) => return Err(SwitchError::Meta { path, source }),
                };
                let text = String::from_utf8(bytes).expect("a META that was parsed is UTF-8");
                return Ok(Some(Package { name: name.to_owned(), text, meta, base: base.clone() }));
            }
        }
        Ok((name == "stdlib").then(|| stdlib_package(self.place)))
    }

    /// The libraries of `package` that exist, itself first.
    pub(super) fn libraries<'p>(&self, package: &'p Package) -> Vec<Installed<'p>> {
        let mut found = Vec::new();
        self.collect(package.name.clone(), &package.meta, &package.base, &mut found);
        found
    }

    fn collect<'p>(&self, name: String, meta: &'p Meta, parent: &Path, found: &mut Vec<Installed<'p>>) {
        let value = meta.lookup("directory", &[]).unwrap_or_default();
        let directory = directory(parent, &value, &self.place.stdlib);
        let signs = meta.words("exists_if", &["byte"]);
        let exists = signs.is_empty() || signs.iter().any(|sign| self.looked.is_file(&directory.join(sign)));
        let is_known = found.iter().any(|one| one.name == name);
        if exists && !is_known {
            found.push(Installed { name: name.clone(), meta, directory: directory.clone() });
        }
        for below in &meta.packages {
            self.collect(format!("{name}.{}", below.name), &below.meta, &directory, found);
        }
    }

    /// The names of all packages, sorted.
    pub(super) fn names(&self) -> Result<Vec<String>, SwitchError> {
        let mut names = Vec::new();
        for root in &self.place.search {
            for name in self.looked.names(root)? {
                match name.strip_prefix("META.") {
                    Some(name) => names.push(name.to_owned()),
                    None if self.looked.is_file(&root.join(&name).join("META")) => names.push(name),
                    None => {}
                }
            }
        }
        // A dot would make it a library of another package.
        names.retain(|name| !name.is_empty() && !name.contains('.'));
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// An installed library of a similar name.
    pub(super) fn like(&self, name: &str) -> Option<String> {
        let mut all = self.names().unwrap_or_default();
        let head = name.split('.').next().unwrap_or_default();
        if let Ok(Some(package)) = self.package(head) {
            all = self.libraries(&package).into_iter().map(|one| one.name).collect();
        }
        did_you_mean(name, all.iter().map(String::as_str)).map(str::to_owned)
    }
}

/// Where a `directory` value leads from `parent`: `+` and `^` stand for the standard library's
/// directory.
pub(super) fn directory(parent: &Path, value: &str, stdlib: &Path) -> PathBuf {
    match value.strip_prefix(['+', '^']) {
        Some(rest) => lexical(&stdlib.join(rest.trim_start_matches('/'))),
        // An absolute value takes the place of the parent.
        None => lexical(&parent.join(value)),
    }
}
