//! Everything in which two universes, locks, contents or sites differ, root facts first; what
//! `diff --json` prints.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::contents::{self, ContentDifference};
use super::document::without_version;
use super::explained::Explainer;
use super::folder::Folder;
use super::pins::{BaseDifference, PackageSide, Pair, PinDifferences, Sides};
use super::plans::{self, NodeDifferences};
use super::sites::{Site, Worker};
use super::trees::Entry;
use crate::derivation::Kind;
use crate::store::layer::LayerRecord;
use crate::store::tree::{File, Tree};
use crate::store::{Store, StoreError};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    Universes,
    Locks,
    Contents,
    Sites,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub sort: Sort,
    /// As the user named them.
    pub before: String,
    pub after: String,
    pub is_equal: bool,
    /// All in one line, for people.
    pub verdict: String,
    pub packages: Vec<Sides<PackageSide>>,
    pub toolchain: Vec<Pair>,
    pub workers: Vec<Sides<Worker>>,
    pub bases: Vec<BaseDifference>,
    pub repositories: Vec<Pair>,
    pub nodes: NodeDifferences,
    pub contents: Vec<ContentDifference>,
}

/// A content that is compared by itself.
#[derive(Debug)]
pub struct Content {
    /// Of the host; else it is in the store.
    pub folder: Option<Folder>,
    pub stored: Arc<Tree>,
    /// The layer whose output it is.
    pub record: Option<LayerRecord>,
}

impl Content {
    /// The content itself.
    pub fn tree(&self) -> &Tree {
        self.folder.as_ref().map_or(&*self.stored, |folder| &folder.tree)
    }

    /// The kind of node whose output it is, if it is known to be one.
    fn kind(&self) -> Option<Kind> {
        let kind = self.record.as_ref()?.kind.clone();
        serde_json::from_value(kind.into()).ok()
    }
}

/// The worker of two outputs of one node, if it differs.
fn worker(content: &ContentDifference) -> Option<Sides<Worker>> {
    let file = content.files.iter().find(|file| file.difference.path.to_string() == "worker.js")?;
    let of = |entry: Option<&Entry>| match entry? {
        Entry::File { size, blob, .. } => Some(Worker { content_hash: blob.clone(), bytes: *size }),
        _ => None,
    };
    let (before, after) = (of(file.difference.change.before()), of(file.difference.change.after()));
    Some(Sides { name: "worker.js".to_owned(), before, after })
}

impl Report {
    /// A report in which nothing differs yet.
    pub fn new(sort: Sort, before: &str, after: &str) -> Self {
        Self {
            sort,
            before: before.to_owned(),
            after: after.to_owned(),
            is_equal: true,
            verdict: String::new(),
            packages: Vec::new(),
            toolchain: Vec::new(),
            workers: Vec::new(),
            bases: Vec::new(),
            repositories: Vec::new(),
            nodes: NodeDifferences::default(),
            contents: Vec::new(),
        }
    }

    /// Adds what differs between two locks.
    pub fn add_pins(&mut self, pins: PinDifferences) {
        self.packages.extend(pins.packages);
        self.toolchain.extend(pins.toolchain);
        self.bases.extend(pins.bases);
        self.repositories.extend(pins.repositories);
    }

    /// Adds what differs between the nodes of two plans, and what assemblies say of their sites.
    pub fn add_plans(
        &mut self,
        nodes: NodeDifferences,
        contents: Vec<ContentDifference>,
        toolchain: [BTreeMap<String, String>; 2],
    ) {
        self.toolchain.splice(0..0, Pair::between(&toolchain[0], &toolchain[1]));
        self.nodes = nodes;
        for content in &contents {
            match content.of.split_once('/') {
                Some(("build", id)) => self.add_rebuilt(id),
                Some(("jtw-tools", _)) => self.workers.extend(worker(content)),
                _ => {}
            }
        }
        self.contents = contents;
    }

    /// Tells of a package whose version is the same and whose output is not.
    fn add_rebuilt(&mut self, id: &str) {
        let name = without_version(id);
        if self.packages.iter().all(|package| package.name != name) {
            let version = id[name.len()..].trim_start_matches('.').to_owned();
            let side = Some(PackageSide { version, content_hash: None, bytes: None });
            self.packages.push(Sides { name: name.to_owned(), before: side.clone(), after: side });
        }
    }

    /// Adds what differs between two sites; if `explains`, also inside their files.
    pub fn add_sites(&mut self, before: &Site, after: &Site, explains: bool) -> Result<(), StoreError> {
        self.toolchain = Pair::between(&before.toolchain, &after.toolchain);
        self.workers = Sides::between(&before.workers, &after.workers);
        self.packages = Sides::between(&before.packages, &after.packages);
        let (before, after) = (&before.folder, &after.folder);
        let read = |file: &File| match before.bytes(file)? {
            Some(bytes) => Ok(bytes),
            None => after.bytes(file)?.ok_or(StoreError::MissingBlob(file.blob)),
        };
        self.add_trees((&before.tree, &after.tree), &read, Some(Kind::Assembly), explains)
    }

    /// Adds what differs between two trees, outputs of such a node if of any.
    fn add_trees(
        &mut self,
        (before, after): (&Tree, &Tree),
        read: &dyn Fn(&File) -> Result<Vec<u8>, StoreError>,
        kind: Option<Kind>,
        explains: bool,
    ) -> Result<(), StoreError> {
        let mut content = contents::compare("", before, after, read, true)?;
        if let Some(content) = content.as_mut().filter(|_| explains) {
            Explainer::default().explain(content, kind, (before, after), read)?;
        }
        self.contents.extend(content);
        Ok(())
    }

    /// Adds what differs between two contents, and between the layers that tell how they came to be; if
    /// `explains`, also inside files.
    pub fn add_contents(
        &mut self,
        before: &Content,
        after: &Content,
        store: &Store,
        explains: bool,
    ) -> Result<(), StoreError> {
        let read = |file: &File| {
            for content in [before, after] {
                if let Some(folder) = &content.folder
                    && let Some(bytes) = folder.bytes(file)?
                {
                    return Ok(bytes);
                }
            }
            store.read(file)
        };
        let kind = before.kind().filter(|kind| after.kind() == Some(*kind));
        self.add_trees((before.tree(), after.tree()), &read, kind, explains)?;
        if let (Some(old), Some(new)) = (&before.record, &after.record) {
            self.nodes = plans::compare_layers(old, new, store)?;
        }
        Ok(())
    }

    /// Says whether anything differs, once all is added.
    pub fn finish(&mut self) {
        self.is_equal = self.packages.is_empty()
            && self.toolchain.is_empty()
            && self.workers.is_empty()
            && self.bases.is_empty()
            && self.repositories.is_empty()
            && self.nodes.is_empty()
            && self.contents.is_empty();
    }
}
