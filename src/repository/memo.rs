//! What is worth remembering between runs, below `plans/opam/` in the store: indexes, what directories
//! held, and what commits held. Everything here can be made again; what is damaged, or of another
//! format, is not there.

use std::path::{Path, PathBuf};

use super::table::Table;
use crate::bytes::{self, Reader, WORD, Writer};
use crate::opam::Platform;
use crate::opam::place::Pin;
use crate::store::tree::TreeHash;
use crate::store::{Store, StoreError, disk};

/// Counted up when an index comes out differently from the same files: when the rules for reading opam
/// files change, or the form of indexes.
const INDEX: &[u8; WORD] = b"jtw opam index 1";
const DIRECTORY: &[u8; WORD] = b"jtw opam place 1";
const COMMIT: &[u8; WORD] = b"jtw opam commit1";

fn place(store: &Store, name: &str) -> PathBuf {
    store.plans().join("opam").join(name)
}

/// What a sealed file holds, if it is whole.
fn read(store: &Store, name: &str, magic: &[u8; WORD]) -> Option<Vec<u8>> {
    let mut file = disk::read_if_present(&place(store, name)).ok()??;
    let content = bytes::unseal(&file, magic)?.len();
    file.truncate(WORD + content);
    Some(file)
}

/// Writes a sealed file. That this fails costs time, the next time, and nothing else.
fn write(store: &Store, name: &str, sealed: &[u8]) {
    let path = place(store, name);
    let written = || -> Result<(), StoreError> {
        disk::make_directories(path.parent().unwrap_or(&path))?;
        store.write_whole(&path, sealed)
    };
    let _ = written();
}

/// The name of the index over these repositories, in this order, for a platform.
pub(super) fn index_name(pins: &[&Pin], platform: &Platform) -> String {
    let mut writer = Writer(INDEX.to_vec());
    writer.number(pins.len());
    pins.iter().for_each(|pin| writer.0.extend(pin.tree.as_bytes()));
    for (name, value) in platform.variables() {
        writer.text(name.as_bytes());
        writer.text(value.as_bytes());
    }
    format!("index-{}", blake3::hash(&writer.0).to_hex())
}

/// The encoded index of that name.
pub(super) fn read_index(store: &Store, name: &str) -> Option<Vec<u8>> {
    let mut file = read(store, name, INDEX)?;
    file.drain(..WORD);
    Some(file)
}

/// Keeps an encoded index.
pub(super) fn write_index(store: &Store, name: &str, index: &[u8]) {
    write(store, name, &bytes::seal([INDEX, index].concat()));
}

/// What a directory held when it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    pub tree: TreeHash,
    /// How everything looked.
    pub looks: [u8; 32],
    pub directories: Vec<String>,
    pub notices: Vec<String>,
    pub table: Table,
}

fn directory_name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    format!("directory-{}", blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex())
}

/// What is remembered of a directory.
pub(super) fn read_directory(store: &Store, path: &Path) -> Option<Remembered> {
    let file = read(store, &directory_name(path), DIRECTORY)?;
    let mut reader = Reader(&file[WORD..]);
    let text = |reader: &mut Reader<'_>| std::str::from_utf8(reader.text()?).ok().map(str::to_owned);
    Some(Remembered {
        tree: TreeHash::from_bytes(reader.array()?),
        looks: reader.array()?,
        directories: reader.list(text)?,
        notices: reader.list(text)?,
        table: Table::decode(reader.0)?,
    })
}

/// Remembers a directory.
pub(super) fn write_directory(store: &Store, path: &Path, remembered: &Remembered) {
    let mut writer = Writer(DIRECTORY.to_vec());
    writer.0.extend(remembered.tree.as_bytes());
    writer.0.extend(remembered.looks);
    for list in [&remembered.directories, &remembered.notices] {
        writer.number(list.len());
        list.iter().for_each(|text| writer.text(text.as_bytes()));
    }
    writer.0.extend(remembered.table.encode());
    write(store, &directory_name(path), &bytes::seal(writer.0));
}

/// What a commit holds, if it was ever read.
pub(super) fn read_commit(store: &Store, commit: &str) -> Option<TreeHash> {
    let file = read(store, &format!("commit-{commit}"), COMMIT)?;
    Reader(&file[WORD..]).array().map(TreeHash::from_bytes)
}

/// Remembers what a commit holds.
pub(super) fn write_commit(store: &Store, commit: &str, tree: &TreeHash) {
    let sealed = bytes::seal([&COMMIT[..], tree.as_bytes()].concat());
    write(store, &format!("commit-{commit}"), &sealed);
}
