//! Which files an output directory has, and its indexes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::closure::{Closure, head};
use super::held::Held;
use super::layer::Layer;
use super::{Request, Shape, SwitchError};
use crate::assemble::{INDEX_FILES, missing_in};
use crate::effects::Effects;
use crate::findlib::{LibDir, STDLIB};
use crate::jtw::{Artifacts, Blobs, DYNAMIC_CMIS, DynamicCmis, LibraryRecord};
use crate::store::tree::{BlobHash, File, Name, Node, RelPath, Tree};

/// All files of an output directory, by their paths in it.
pub(super) type Files = BTreeMap<String, (BlobHash, u64)>;

/// An index. Paths are relative to the index's own directory.
#[derive(Debug, Serialize)]
struct Index<'a> {
    compiler: Compiler<'a>,
    effects: Effects,
    meta_files: &'a [String],
    /// The same list under the key that older workers know.
    metas: &'a [String],
    /// Directories with further indexes.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    universes: &'a [String],
}

#[derive(Debug, Serialize)]
struct Compiler<'a> {
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_url: Option<String>,
}

/// What the files are made of.
pub(super) struct Parts<'a> {
    pub request: &'a Request,
    pub version: &'a str,
    pub closure: &'a Closure,
    pub layer: &'a Layer,
    pub artifacts: &'a Artifacts,
    /// Libraries that are required and elsewhere.
    pub beyond: &'a [LibraryRecord],
    pub worker: Option<File>,
    pub held: &'a Held,
}

impl Parts<'_> {
    /// Places everything.
    ///
    /// # Errors
    /// When a description of interfaces cannot be read or written.
    pub(super) fn files(&self) -> Result<Files, SwitchError> {
        let mut files = Files::new();
        if let Some(worker) = &self.worker {
            files.insert("worker.js".into(), (worker.blob, worker.size));
        }
        match self.request.shape {
            Shape::Flat => {
                let url = self.request.path.as_ref().map_or(String::new(), |path| format!("{path}/"));
                self.add_tree(&self.artifacts.tree, "", &url, &mut files)?;
                let metas: Vec<String> = self.metas(&self.packages()).collect();
                self.add_index("", &metas, &mut files)?;
            }
            Shape::Each { .. } => self.each(&mut files)?,
        }
        Ok(files)
    }

    /// A directory for each package, and an index for each library.
    fn each(&self, files: &mut Files) -> Result<(), SwitchError> {
        for (package, directories) in &self.layer.directories {
            let tree = self.part(directories)?;
            let place = format!("{package}/");
            self.add_tree(&tree, &place, &place, files)?;
        }
        for library in self.closure.requires.keys() {
            let packages = self.before(library);
            let own = self.own_meta(head(library), head(library) == library, "..");
            let others = packages.iter().filter_map(|package| self.own_meta(package, false, ".."));
            let stdlib = (head(library) != "stdlib" && !packages.iter().any(|one| one == "stdlib"))
                .then(|| self.own_meta("stdlib", false, ".."))
                .flatten();
            let metas: Vec<String> = own.into_iter().chain(others).chain(stdlib).collect();
            self.add_index(&format!("{library}/"), &metas, files)?;
        }
        let packages = self.packages();
        let metas = packages.iter().filter_map(|package| self.own_meta(package, false, "."));
        self.add_index("", &metas.collect::<Vec<_>>(), files)?;
        // Clients that do not know this layout look for the standard library here; `dcs_url` leads on.
        let [usual, real] = ["", "stdlib/"].map(|at| format!("{at}lib/{STDLIB}/{DYNAMIC_CMIS}"));
        if let Some(found) = files.get(&real).copied() {
            // Without the bundle, which is not there.
            let (blob, size) = found;
            let json = self.held.read(&File { blob, size, executable: false })?;
            let mut cmis: DynamicCmis = serde_json::from_slice(&json).expect("it was written just now");
            cmis.jtw_bundle = None;
            let file = self.held.add_bytes(&cmis.to_json())?;
            files.insert(usual, (file.blob, file.size));
        }
        Ok(())
    }

    /// The packages that the index of a library has beside its own: what the library needs, and for a
    /// package what any of its libraries needs.
    fn before(&self, library: &str) -> Vec<String> {
        let mut found = self.closure.before(library);
        let parts = self.closure.requires.keys().filter(|name| head(name) == head(library));
        for part in parts {
            for package in self.closure.before(part) {
                if !found.contains(&package) {
                    found.push(package);
                }
            }
        }
        found
    }

    /// Names of the packages, sorted, the standard library last.
    fn packages(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.layer.metas.keys().map(String::as_str).collect();
        names.sort_by_key(|name| (*name == "stdlib", *name));
        names
    }

    fn metas<'b>(&'b self, packages: &'b [&str]) -> impl Iterator<Item = String> + 'b {
        packages.iter().filter_map(|package| Some(format!("lib/{}/META", self.layer.metas.get(*package)?)))
    }

    /// The META of a package that has a directory of its own, seen from a place from which `up` leads
    /// to the root; from the package's own directory if it `is_here`.
    fn own_meta(&self, package: &str, is_here: bool, up: &str) -> Option<String> {
        let below = format!("lib/{}/META", self.layer.metas.get(package)?);
        Some(match (is_here, up) {
            (true, _) => below,
            (false, ".") => format!("{package}/{below}"),
            (false, up) => format!("{up}/{package}/{below}"),
        })
    }

    /// What of the artifacts lies directly in the directories.
    fn part(&self, directories: &BTreeSet<LibDir>) -> Result<Tree, SwitchError> {
        let mut part = Tree::default();
        for directory in directories {
            let below: Vec<&str> =
                std::iter::once("lib").chain(directory.names().iter().map(String::as_str)).collect();
            let path = RelPath::parse(below.join("/"))?;
            for (name, node) in self.artifacts.tree.directory(&path).into_iter().flat_map(Tree::entries) {
                if matches!(node, Node::File(_)) {
                    part.insert(&path.join(name.clone()), node.clone())?;
                }
            }
        }
        Ok(part)
    }

    /// Adds the files of `tree` below `place`; interfaces will be found below `url`, seen from the
    /// worker.
    fn add_tree(&self, tree: &Tree, place: &str, url: &str, files: &mut Files) -> Result<(), SwitchError> {
        let described = Name::new(DYNAMIC_CMIS.as_bytes())?;
        let missing = self.missing();
        for (path, file) in tree.files() {
            let mut file = file;
            if path.file_name() == Some(&described) {
                let directory = path.parent().unwrap_or_default().to_string();
                let json = self.held.read(&file)?;
                let mut cmis: DynamicCmis = serde_json::from_slice(&json).expect("it was written just now");
                cmis.dcs_url = format!("{url}{directory}/");
                let below = directory.strip_prefix("lib/").unwrap_or_default();
                cmis.jtw_missing_primitives = missing.get(below).cloned().unwrap_or_default();
                file = self.held.add_bytes(&cmis.to_json())?;
            }
            files.insert(format!("{place}{path}"), (file.blob, file.size));
        }
        Ok(())
    }

    /// Primitives that no library provides which is loaded before, by directory.
    fn missing(&self) -> BTreeMap<String, Vec<String>> {
        let libraries = &self.artifacts.libraries;
        let known: BTreeMap<&str, &LibraryRecord> =
            libraries.iter().chain(self.beyond).map(|library| (library.name.as_str(), library)).collect();
        let mut missing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for library in libraries.iter().filter(|library| !library.missing.is_empty()) {
            missing.entry(library.directory.clone()).or_default().extend(missing_in(library, &known));
        }
        missing.into_iter().map(|(at, names)| (at, names.into_iter().collect())).collect()
    }

    /// Adds the index of the directory `at` (ending in `/`, or empty) under both names.
    fn add_index(&self, at: &str, metas: &[String], files: &mut Files) -> Result<(), SwitchError> {
        let up = if at.is_empty() { "" } else { "../" };
        let universes: Vec<String> = match (&self.request.path, &self.request.shape) {
            (path, Shape::Flat) => {
                let depth = path.as_ref().map_or(0, |path| path.split('/').count());
                let up = "../".repeat(depth);
                self.request.universes.iter().map(|universe| format!("{up}{universe}")).collect()
            }
            _ => Vec::new(),
        };
        let index = Index {
            compiler: Compiler {
                version: self.version,
                worker_url: self.worker.map(|_| format!("{up}worker.js")),
            },
            effects: self.request.effects,
            meta_files: metas,
            metas,
            universes: &universes,
        };
        let json = serde_json::to_vec(&index).expect("an index is always JSON");
        let file = self.held.add_bytes(&json)?;
        for name in INDEX_FILES {
            files.insert(format!("{at}{name}"), (file.blob, file.size));
        }
        Ok(())
    }
}
