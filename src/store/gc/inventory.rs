//! What is in the store, and what of it no root keeps.

use super::Kind;
use super::mark::{Ids, Marks};
use crate::source::checksum::{Checksum, KINDS};
use crate::store::key::BuildKey;
use crate::store::tree::TreeHash;
use crate::store::uses::Id;
use crate::store::{Store, StoreError, disk};

/// Something that no root keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condemned {
    /// A layer, a tree or an archive.
    pub kind: Kind,
    pub id: Id,
    /// The name of its directory entry; of an archive its [`Checksum::label`].
    pub name: String,
}

/// What the roots keep, and the rest.
pub(super) struct Inventory {
    /// Layers first, then trees, then archives.
    pub condemned: Vec<Condemned>,
    /// How many things that are there some root keeps.
    pub rooted: u64,
    /// All trees that are there.
    pub trees: Ids,
}

impl Inventory {
    /// Lists the store. Names that are none of ours are passed over.
    pub fn of(store: &Store, marks: &mut Marks) -> Result<Self, StoreError> {
        let mut inventory = Self { condemned: Vec::new(), rooted: 0, trees: Ids::default() };
        for name in names(store, "layers")? {
            let key = name.rsplit_once('-').and_then(|(_, hex)| BuildKey::from_hex(hex));
            inventory.add(Kind::Layer, key.map(|key| *key.as_bytes()), name, marks);
        }
        let trees = names(store, "trees")?;
        inventory.trees.reserve(trees.len());
        for name in trees {
            let id = TreeHash::from_hex(&name).map(|tree| *tree.as_bytes());
            inventory.trees.extend(id);
            inventory.add(Kind::Tree, id, name, marks);
        }
        for kind in KINDS {
            let place = format!("archives/{kind}");
            for below in names(store, &place).or_else(when_missing)? {
                for name in names(store, &format!("{place}/{below}")).or_else(when_missing)? {
                    let path = format!("{kind}/{below}/{name}");
                    let sum = Checksum::from_hex(kind, &name).filter(|sum| sum.path() == path);
                    if let Some(sum) = sum {
                        inventory.add(Kind::Archive, Some(sum.id()), sum.label(), marks);
                    }
                }
            }
        }
        Ok(inventory)
    }

    fn add(&mut self, kind: Kind, id: Option<Id>, name: String, marks: &mut Marks) {
        let Some(id) = id else { return };
        if marks.count(&id) {
            self.rooted += 1;
        } else {
            self.condemned.push(Condemned { kind, id, name });
        }
    }
}

/// The names in a directory of the store. Those that are not text are none of ours.
pub(super) fn names(store: &Store, directory: &str) -> Result<Vec<String>, StoreError> {
    let entries = disk::list(&store.root().join(directory))?;
    Ok(entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// A directory that is not there holds nothing; nor does a file.
pub(super) fn when_missing<T: Default>(error: StoreError) -> Result<T, StoreError> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match error {
        StoreError::Io { source, .. } if matches!(source.kind(), NotFound | NotADirectory) => {
            Ok(T::default())
        }
        error => Err(error),
    }
}
