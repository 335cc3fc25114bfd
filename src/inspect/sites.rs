//! Published sites: what is in them now, and what differs between two.
//!
//! A site keeps the universes that were published before. What counts here is the one that its
//! `universe.json` names or, where a site has several, each of those beside an index.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use super::folder::{Folder, on_disk};
use super::pins::PackageSide;
use crate::assemble::{Summary, UNIVERSE};
use crate::compress;
use crate::store::tree::{Node, RelPath};
use crate::store::{StoreError, disk};

/// Why a directory cannot be read as a site.
#[derive(Debug, Error)]
pub enum SiteError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No `universe.json` is where one should be.
    #[error("`{}` has no `{UNIVERSE}`", .0.display())]
    NoUniverse(PathBuf),
    /// It cannot be read.
    #[error("`{}` is not what jtwbuild writes: {source}", path.display())]
    Universe { path: PathBuf, source: serde_json::Error },
    /// A place that is not below the site.
    #[error("`{}` names `{text}`, which is no part of a site", path.display())]
    Place { path: PathBuf, text: String },
}

/// The toplevel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Worker {
    /// The part of its URL that is made from its content; where no site is, the name of its bytes.
    pub content_hash: String,
    /// Of `worker.js`.
    pub bytes: u64,
}

/// What a site publishes now.
#[derive(Debug, Default)]
pub struct Site {
    /// Compiler and effects mode, by what users call them.
    pub toolchain: BTreeMap<String, String>,
    /// By version of the compiler.
    pub workers: BTreeMap<String, Worker>,
    /// By name; further versions of a package that is there several times by name and version.
    pub packages: BTreeMap<String, PackageSide>,
    /// Everything, at paths that do not depend on content: `packages/fmt/…`, `compiler/…`.
    pub folder: Folder,
}

/// Whether the directory looks like a site.
pub fn is_site(directory: &Path) -> bool {
    disk::exists(&directory.join(UNIVERSE)) || directory.join("u").is_dir()
}

impl Site {
    /// Reads the site in `directory`.
    pub fn read(directory: &Path) -> Result<Self, SiteError> {
        let mut site = Self::default();
        for (path, summary) in summaries(directory)? {
            site.add(directory, &path, &summary)?;
        }
        for entry in disk::list(directory)? {
            let name = entry.file_name();
            let is_plain = entry.file_type().is_ok_and(|kind| kind.is_file());
            // Locks and markers; and what is told by the rest.
            let is_variant = compress::original(name.as_bytes()).is_some();
            if is_plain && !is_variant && !name.as_bytes().starts_with(b".") && name != UNIVERSE {
                site.folder.add(&entry.path(), &RelPath::default())?;
            }
        }
        Ok(site)
    }

    fn add(&mut self, directory: &Path, path: &Path, summary: &Summary) -> Result<(), SiteError> {
        let compiler = &summary.compiler;
        self.toolchain.insert("compiler".to_owned(), compiler.version.clone());
        self.toolchain.insert("effects".to_owned(), summary.effects.as_str().to_owned());
        let checked = |parts: &[&str]| {
            let text = parts.join("/");
            RelPath::parse(&text).map_err(|_| SiteError::Place { path: path.to_owned(), text })
        };
        if !self.workers.contains_key(&compiler.version) {
            let place = checked(&["compiler", &compiler.version, &compiler.content_hash])?;
            let at = checked(&["compiler", &compiler.version])?;
            self.folder.add_published(&on_disk(directory, &place), &at)?;
            let worker = at.extend(&checked(&["worker.js"])?);
            let bytes = match self.folder.tree.get(&worker) {
                Some(Node::File(file)) => file.size,
                _ => 0,
            };
            let worker = Worker { content_hash: compiler.content_hash.clone(), bytes };
            self.workers.insert(compiler.version.clone(), worker);
        }
        for package in &summary.packages {
            let mut name = package.name.clone();
            if let Some(known) = self.packages.get(&name) {
                if known.content_hash.as_ref() == Some(&package.content_hash) {
                    continue;
                }
                name = format!("{name}.{}", package.version);
                if self.packages.contains_key(&name) {
                    continue;
                }
            }
            let place = checked(&["p", &package.name, &package.version, &package.content_hash])?;
            let at = checked(&["packages", &name])?;
            let bytes = self.folder.add_published(&on_disk(directory, &place), &at)?;
            let package = PackageSide {
                version: package.version.clone(),
                content_hash: Some(package.content_hash.clone()),
                bytes: Some(bytes),
            };
            self.packages.insert(name, package);
        }
        Ok(())
    }
}

/// The universes that a site shows, with the files that tell of them.
fn summaries(directory: &Path) -> Result<Vec<(PathBuf, Summary)>, SiteError> {
    let mut paths = vec![directory.join(UNIVERSE)];
    if !disk::exists(&paths[0]) {
        paths.clear();
        for entry in disk::list(&directory.join("u"))? {
            paths.push(entry.path().join(UNIVERSE));
        }
        paths.retain(|path| disk::exists(path));
        paths.sort();
    }
    if paths.is_empty() {
        return Err(SiteError::NoUniverse(directory.to_owned()));
    }
    let read = |path: PathBuf| {
        let bytes =
            disk::read_if_present(&path)?.ok_or_else(|| SiteError::NoUniverse(directory.to_owned()))?;
        match serde_json::from_slice(&bytes) {
            Ok(summary) => Ok((path, summary)),
            Err(source) => Err(SiteError::Universe { path, source }),
        }
    };
    paths.into_iter().map(read).collect()
}
