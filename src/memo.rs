//! `Memo`: what a successful run read and made, so that a run with nothing to do is told apart by
//! looking at those files, without reading them again.
//!
//! A memo is a cache beside the facts: deleting it costs time, and a file that could have changed
//! unseen (within the clock's grain before it was read, or since) keeps it from being written, or, if
//! it is the source of a node, is read again. Beside it are the plan as a [`Table`] and the heads of its
//! nodes: with them, a run after a change of sources plans only what these reach.

pub mod snapshot;
pub mod table;
#[cfg(test)]
mod tests;
mod watched;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::snapshot::{HEADS_AT, HEADS_MAGIC};
use self::table::Table;
use crate::bytes::{self, Check, Reader, WORD, Writer};
use crate::store::tree::TreeHash;
use crate::store::{Store, StoreError, disk};

pub use self::watched::{Source, Watched};

/// Changed when the file's form or what it stands for changes.
const MAGIC: &[u8; WORD] = b"jtwbuild memo  4";

/// A successful run.
#[derive(Clone, Debug, PartialEq)]
pub struct Memo {
    pub watched: Watched,
    pub made: Made,
    /// The checksum of the table that goes with it.
    table: Check,
}

/// What a run has made.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    pub universe: String,
    /// How many nodes the plan had.
    pub nodes: usize,
    /// The nodes that the run was for, with their outputs.
    pub targets: Vec<(String, TreeHash)>,
    /// The published tree, and where.
    pub site: Option<(TreeHash, PathBuf)>,
    /// What is worth telling of sources.
    pub sources: Vec<SourceNote>,
}

/// Where the archive of a source came from, if that is worth telling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceNote {
    /// The node's name, without its kind.
    pub name: String,
    /// All checksums that it has.
    pub checksums: String,
    /// Who gave it, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether the universe gives it in place of the package's own.
    pub substituted: bool,
    /// Whether it has no checksum that cannot be forged.
    pub weak: bool,
}

/// A memo of a run that read the same as the next one would, but for some sources.
#[derive(Debug)]
pub struct Recalled {
    pub memo: Memo,
    /// Positions of the sources that do not look as they did.
    pub suspects: Vec<usize>,
}

/// Where the memo of one command is: the same universe with other settings has another one.
#[derive(Clone, Debug)]
pub struct Place {
    path: PathBuf,
}

impl Place {
    /// `settings` are all that decide what a run reads and where its site goes. The running
    /// program is one of them: its recipes are built in.
    pub fn new(store: &Store, settings: &BTreeMap<&str, String>) -> Self {
        let program = std::fs::metadata("/proc/self/exe").map(|metadata| crate::look::look(&metadata)).ok();
        let text = serde_json::to_string(&(MAGIC, program, settings)).expect("settings are text");
        let name = blake3::hash(text.as_bytes()).to_hex();
        Self { path: store.plans().join(format!("memo-{}", &name[..32])) }
    }

    /// The name of the memo's file in `plans/`.
    pub fn name(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }

    /// The memo, if nothing that its run read has changed since, but perhaps sources of nodes.
    pub fn recall(&self) -> Option<Recalled> {
        let file = disk::read_if_present(&self.path).ok()??;
        let memo = Memo::read(&file)?;
        if !memo.watched.is_unchanged() {
            return None;
        }
        let sources = memo.watched.sources.iter().enumerate();
        let suspects = sources.filter(|(_, source)| !source.looks_unchanged()).map(|(at, _)| at).collect();
        Some(Recalled { memo, suspects })
    }

    /// The table that goes with a memo.
    pub fn table(&self, memo: &Memo) -> Option<Table> {
        let file = disk::read_if_present(&self.path.with_extension("table")).ok()??;
        file.ends_with(&memo.table).then(|| Table::read(file))?
    }

    /// Where the heads of the plan's nodes are.
    pub fn heads(&self) -> PathBuf {
        self.path.with_extension("heads")
    }

    /// Leaves a memo. `heads` are those that go with the table, unless they are there already.
    pub fn leave(
        &self,
        store: &Store,
        watched: Watched,
        made: Made,
        table: Table,
        heads: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        if let Some(heads) = heads {
            self.leave_heads(store, heads)?;
        }
        let (file, check) = table.seal();
        write_anew(store, &self.path.with_extension("table"), &file)?;
        self.leave_again(store, &Memo { watched, made, table: check })
    }

    /// Leaves a memo whose table is there.
    pub fn leave_again(&self, store: &Store, memo: &Memo) -> Result<(), StoreError> {
        write_anew(store, &self.path, &memo.write())
    }

    /// The heads of all nodes are most of what there is to write, and are mostly as they were.
    fn leave_heads(&self, store: &Store, heads: &[u8]) -> Result<(), StoreError> {
        let mut start = HEADS_MAGIC.to_vec();
        start.extend(bytes::check(heads));
        let mut known = [0; HEADS_AT];
        let there = std::fs::File::open(self.heads()).and_then(|mut file| {
            file.read_exact(&mut known)?;
            file.metadata()
        });
        let length = start.len() + heads.len();
        if there.is_ok_and(|metadata| metadata.len() == length as u64) && known == *start {
            return Ok(());
        }
        start.extend(heads);
        write_anew(store, &self.heads(), &start)
    }
}

/// Writes a file that nobody misses while it is not there: a file system has more to do, and at once,
/// when a file takes the place of another.
fn write_anew(store: &Store, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    disk::remove_file(path)?;
    store.write_whole(path, bytes)
}

impl Memo {
    /// Whether the outputs that the run was for are there.
    pub fn has_outputs(&self, store: &Store) -> bool {
        self.made.targets.iter().all(|(_, tree)| store.has_tree(tree))
    }

    fn write(&self) -> Vec<u8> {
        let mut to = Writer(MAGIC.to_vec());
        to.0.extend(self.table);
        self.watched.write(&mut to);
        to.text(self.made.universe.as_bytes());
        to.number(self.made.nodes);
        to.number(self.made.targets.len());
        for (id, tree) in &self.made.targets {
            to.text(id.as_bytes());
            to.0.extend(tree.as_bytes());
        }
        to.0.push(u8::from(self.made.site.is_some()));
        if let Some((tree, path)) = &self.made.site {
            to.0.extend(tree.as_bytes());
            to.text(path.as_os_str().as_bytes());
        }
        to.number(self.made.sources.len());
        for note in &self.made.sources {
            to.text(note.name.as_bytes());
            to.text(note.checksums.as_bytes());
            to.text(note.from.as_deref().unwrap_or_default().as_bytes());
            to.0.extend([u8::from(note.substituted), u8::from(note.weak)]);
        }
        bytes::seal(to.0)
    }

    fn read(file: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes::unseal(file, MAGIC)?);
        let table = from.array()?;
        let watched = Watched::read(&mut from)?;
        let text = |from: &mut Reader<'_>| String::from_utf8(from.text()?.to_vec()).ok();
        let (universe, nodes) = (text(&mut from)?, from.number()?);
        let targets = from.list(|from| Some((text(from)?, TreeHash::from_bytes(from.array()?))))?;
        let site = match from.array()? {
            [0] => None,
            _ => {
                let tree = TreeHash::from_bytes(from.array()?);
                Some((tree, Path::new(OsStr::from_bytes(from.text()?)).to_owned()))
            }
        };
        let sources = from.list(|from| {
            let (name, checksums, given) = (text(from)?, text(from)?, text(from)?);
            let [substituted, weak] = from.array()?.map(|flag: u8| flag != 0);
            Some(SourceNote {
                name,
                checksums,
                from: Some(given).filter(|given| !given.is_empty()),
                substituted,
                weak,
            })
        })?;
        Some(Self { watched, made: Made { universe, nodes, targets, site, sources }, table })
    }
}
