//! Inputs before they are used: whether a tree is what its name says, as far as that can be told
//! without reading it, or by reading all of it.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

use crate::store::disk::look;
use crate::store::tree::{Node, Tree, TreeHash};
use crate::store::{Store, StoreError, staging};

/// How closely inputs are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scrutiny {
    /// Names, kinds, sizes and modes.
    #[default]
    Quick,
    /// Every byte.
    Full,
}

impl Store {
    /// Looks at a tree that is about to be used, once for each process. [`StoreError::Damaged`] says
    /// what is wrong.
    pub fn check_input(&self, hash: &TreeHash, scrutiny: Scrutiny) -> Result<(), StoreError> {
        if self.is_checked(hash) {
            return Ok(());
        }
        let tree = self.tree(hash)?;
        let root = self.tree_path(hash);
        below(&root, &tree)?;
        if scrutiny == Scrutiny::Full {
            let found = staging::scan(&root)?.hash();
            if found != *hash {
                return Err(damaged(&root, format!("its content is {found}")));
            }
        }
        self.checked().insert(*hash);
        Ok(())
    }

    fn checked(&self) -> MutexGuard<'_, HashSet<TreeHash>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether [`Store::check_input`] found the tree sound earlier in this process.
    pub fn is_checked(&self, hash: &TreeHash) -> bool {
        self.checked().contains(hash)
    }
}

fn below(at: &Path, tree: &Tree) -> Result<(), StoreError> {
    for (name, node) in tree.entries() {
        let path = at.join(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let metadata = match look::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(&path, "it is missing".into()));
            }
            Err(source) => return Err(StoreError::Io { operation: "read", path, source }),
        };
        match node {
            Node::File(file) if metadata.is_file() => {
                let mode = if file.executable { 0o755 } else { 0o644 };
                if metadata.len() != file.size {
                    let reason = format!("it has {} bytes instead of {}", metadata.len(), file.size);
                    return Err(damaged(&path, reason));
                }
                if metadata.mode() & 0o7777 != mode {
                    let reason = format!("its mode is {:o}, not {mode:o}", metadata.mode() & 0o7777);
                    return Err(damaged(&path, reason));
                }
            }
            Node::Link(target) if metadata.is_symlink() => {
                let found = look::read_link(&path);
                if found.map_or(true, |found| found.as_os_str().as_bytes() != target.as_bytes()) {
                    return Err(damaged(&path, "it is a link that leads elsewhere".into()));
                }
            }
            Node::Directory(tree) if metadata.is_dir() => below(&path, tree)?,
            node => return Err(damaged(&path, format!("it is not {}", node.kind()))),
        }
    }
    let count = look::read_dir(at).map(Iterator::count);
    match count {
        Ok(count) if count == tree.len() => Ok(()),
        Ok(_) => Err(damaged(at, "it holds something that does not belong there".into())),
        Err(source) => Err(StoreError::Io { operation: "list", path: at.to_owned(), source }),
    }
}

fn damaged(path: &Path, reason: String) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), reason }
}
