//! The installed libraries as a tree in the layout of a package layer, so that the same code makes
//! artifacts of them: `lib/<d>/{META, *.cmi, *.cma, …}`, with META files whose directories are plain
//! relative ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::SwitchError;
use super::held::Held;
use super::installed::{Package, Packages, directory};
use super::looked::Looked;
use super::place::Place;
use crate::findlib::published::rewrite;
use crate::findlib::{LibDir, Meta, STDLIB, is_plain};
use crate::jtw::Blobs;
use crate::store::tree::{Name, Node, RelPath, Tree};

/// The META of a standard library that has none.
const NO_META: &str = "description = \"Standard library\"\ndirectory = \"..\"\n";

/// Which files of a directory can matter.
const SUFFIXES: [&str; 4] = [".cmi", ".cma", ".cmo", ".js"];

/// The tree, and what is known of its files.
#[derive(Default)]
pub(super) struct Layer {
    pub tree: Tree,
    /// Where the files of the tree really are.
    pub places: BTreeMap<String, String>,
    /// The published directory of each package's META, by package.
    pub metas: BTreeMap<String, LibDir>,
    /// Directories that each package's libraries lie in, its META's own included.
    pub directories: BTreeMap<String, BTreeSet<LibDir>>,
    /// Runtime files that a library has from the package that implements its primitives.
    pub borrowed: BTreeMap<String, Vec<String>>,
    /// What could not be taken in.
    pub notes: Vec<String>,
}

/// From the machine's directories to published ones, each with one name for the whole run.
struct Names<'a> {
    place: &'a Place,
    known: BTreeMap<PathBuf, LibDir>,
}

impl Names<'_> {
    /// `ocaml/…` for what is below the standard library's directory; else the path below the
    /// directory of the search path, below the first directory called `lib`, or the last name.
    fn published(&mut self, path: &Path) -> Option<LibDir> {
        if let Some(known) = self.known.get(path) {
            return Some(known.clone());
        }
        let text = |path: &Path| path.to_str().map(|text| text.replace(std::path::MAIN_SEPARATOR, "/"));
        let below = if let Ok(rest) = path.strip_prefix(&self.place.stdlib) {
            format!("{STDLIB}/{}", text(rest)?)
        } else if let Some(rest) = self.place.search.iter().find_map(|root| path.strip_prefix(root).ok()) {
            text(rest)?
        } else {
            let whole = text(path)?;
            match whole.split_once("/lib/") {
                Some((_, rest)) if !rest.is_empty() => rest.to_owned(),
                _ => whole.rsplit('/').next().unwrap_or_default().to_owned(),
            }
        };
        let named = (1..).map(|number| if number == 1 { below.clone() } else { format!("{below}-{number}") });
        for name in named.take(self.known.len() + 1) {
            let directory = LibDir::parse(&name).ok()?;
            if self.known.values().all(|other| *other != directory) {
                self.known.insert(path.to_owned(), directory.clone());
                return Some(directory);
            }
        }
        None
    }
}

/// Everything of `packages` that artifacts are made of.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn layer(
    looked: &Looked,
    place: &Place,
    installed: &Packages<'_>,
    packages: &BTreeMap<String, Arc<Package>>,
    held: &Held,
) -> Result<Layer, SwitchError> {
    let mut layer = Layer::default();
    let mut names = Names { place, known: BTreeMap::new() };
    // The standard library's directory has its name whatever else there is.
    names.published(&place.stdlib);
    let mut wanted: BTreeMap<PathBuf, LibDir> = BTreeMap::new();
    for package in packages.values() {
        let mut own = BTreeSet::new();
        let mut places = Vec::new();
        directories(&package.meta, &package.base, &place.stdlib, &mut places);
        for path in places {
            match names.published(&path) {
                Some(directory) => {
                    wanted.insert(path, directory.clone());
                    own.insert(directory);
                }
                None => layer.notes.push(format!(
                    "package {}: the directory `{}` cannot be part of a URL",
                    package.name,
                    path.display()
                )),
            }
        }
        let Some(meta) = add_meta(package, &mut names, held, &mut layer)? else { continue };
        own.insert(meta.clone());
        layer.metas.insert(package.name.clone(), meta);
        layer.directories.insert(package.name.clone(), own);
        runtime_elsewhere(looked, place, installed, package, held, &mut layer)?;
        borrow(looked, installed, package, &mut names, held, &mut layer)?;
    }
    add_files(looked, &wanted, held, &mut layer)?;
    Ok(layer)
}

/// The standard library as a package, when it has no META.
pub(super) fn stdlib_package(place: &Place) -> Package {
    let meta = Meta::parse(NO_META.as_bytes()).expect("it is a META");
    let base = place.stdlib.join("stdlib");
    Package { name: "stdlib".into(), text: NO_META.into(), meta, base }
}

/// Every directory that a definition of the META leads to, whatever the predicates.
fn directories(meta: &Meta, parent: &Path, stdlib: &Path, found: &mut Vec<PathBuf>) {
    let all = meta.definitions.iter().filter(|one| one.variable == "directory");
    let own: Vec<PathBuf> = all.map(|one| directory(parent, &one.value, stdlib)).collect();
    let here = own.first().cloned().unwrap_or_else(|| parent.to_owned());
    found.extend(own);
    found.push(here.clone());
    for package in &meta.packages {
        directories(&package.meta, &here, stdlib, found);
    }
}

/// Puts the META into the tree, in a directory that is called like the package: below `ocaml` when it
/// comes from below the standard library's directory.
fn add_meta(
    package: &Package,
    names: &mut Names<'_>,
    held: &Held,
    layer: &mut Layer,
) -> Result<Option<LibDir>, SwitchError> {
    let is_below = package.base.starts_with(&names.place.stdlib);
    let published = if is_below { format!("{STDLIB}/{}", package.name) } else { package.name.clone() };
    let is_fine = is_plain(&package.name) && !package.name.contains(['.', '+']);
    let Some(published) = LibDir::parse(&published).ok().filter(|_| is_fine) else {
        layer.notes.push(format!("package {} has a name that cannot be part of a URL", package.name));
        return Ok(None);
    };
    let stdlib = names.place.stdlib.clone();
    let names = std::cell::RefCell::new(names);
    let resolve = |parent: &PathBuf, value: &str| {
        let target = directory(parent, value, &stdlib);
        let name = names.borrow_mut().published(&target)?;
        Some((target, name))
    };
    let text = rewrite(&package.text, &package.meta, &package.base, &published, &resolve);
    let file = held.add_bytes(text.as_bytes())?;
    insert(&mut layer.tree, &format!("lib/{published}/META"), Node::File(file))?;
    Ok(Some(published))
}

fn insert(tree: &mut Tree, path: &str, node: Node) -> Result<(), SwitchError> {
    let path = RelPath::parse(path)?;
    Ok(tree.replace(&path, node)?)
}

/// The files of the directories, hashed.
fn add_files(
    looked: &Looked,
    wanted: &BTreeMap<PathBuf, LibDir>,
    held: &Held,
    layer: &mut Layer,
) -> Result<(), SwitchError> {
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for (path, directory) in wanted {
        for name in looked.names(path)? {
            let matters = SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
            if matters && is_plain(&name) && Name::new(name.as_bytes()).is_ok() {
                let below =
                    if directory.names().is_empty() { name.clone() } else { format!("{directory}/{name}") };
                files.push((path.join(name), format!("lib/{below}")));
            }
        }
    }
    let read = |(path, at): (PathBuf, String)| {
        if !looked.is_file(&path) {
            return Ok(None);
        }
        let file = held.add_file(&path, &looked.read(&path)?);
        Ok(Some((at, path, file)))
    };
    let read: Result<Vec<_>, SwitchError> = files.into_par_iter().map(read).collect();
    for (at, path, file) in read?.into_iter().flatten() {
        insert(&mut layer.tree, &at, Node::File(file))?;
        if let Some(path) = path.to_str() {
            layer.places.insert(at, path.to_owned());
        }
    }
    Ok(())
}

/// Runtime files of `<package>_stubs_js`, by whose name everybody knows that it implements the
/// primitives of the package, and which the package does not require.
fn borrow(
    looked: &Looked,
    installed: &Packages<'_>,
    package: &Package,
    names: &mut Names<'_>,
    held: &Held,
    layer: &mut Layer,
) -> Result<(), SwitchError> {
    // One that cannot be read is none.
    let Ok(Some(stubs)) = installed.package(&format!("{}_stubs_js", package.name)) else { return Ok(()) };
    for library in installed.libraries(&stubs) {
        for word in library.meta.words("jsoo_runtime", &[]) {
            let path = library.directory.join(&word);
            let place = names.published(&library.directory).and_then(|at| at.resolve(&word).ok());
            let (Some(at), true) = (place, looked.is_file(&path)) else { continue };
            let at = format!("lib/{at}");
            let file = held.add_file(&path, &looked.read(&path)?);
            insert(&mut layer.tree, &at, Node::File(file))?;
            layer.places.extend(path.to_str().map(|path| (at.clone(), path.to_owned())));
            layer.borrowed.entry(package.name.clone()).or_default().push(at);
        }
    }
    Ok(())
}

/// Runtime files of the older form, `linkopts(javascript) = "+dir/file.js"`, where `+` stands for the
/// place of all libraries.
fn runtime_elsewhere(
    looked: &Looked,
    place: &Place,
    installed: &Packages<'_>,
    package: &Package,
    held: &Held,
    layer: &mut Layer,
) -> Result<(), SwitchError> {
    for library in installed.libraries(package) {
        for word in library.meta.words("linkopts", &["javascript"]) {
            let Some(below) = word.strip_prefix('+').filter(|word| word.ends_with(".js")) else { continue };
            let Some(path) =
                place.search.iter().map(|root| root.join(below)).find(|path| looked.is_file(path))
            else {
                continue;
            };
            let Ok(at) = LibDir::parse(below) else { continue };
            let file = held.add_file(&path, &looked.read(&path)?);
            insert(&mut layer.tree, &format!("lib/{at}"), Node::File(file))?;
            layer.places.extend(path.to_str().map(|path| (format!("lib/{at}"), path.to_owned())));
        }
    }
    Ok(())
}
