//! Outputs as plain files and directories, for other programs to look at.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Output;
use crate::store::StoreError;
use crate::store::disk::{self, Directory};
use crate::store::tree::{Node, RelPath, Tree, TreeError};

/// Why an output is not there as files.
#[derive(Debug, Error)]
pub enum SpreadError {
    #[error("its files have {bytes} bytes, and more than {most} are not spread out")]
    TooLarge { bytes: u64, most: u64 },
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Output {
    /// Makes the directory `to` with what the output has at `paths`, at most `most` bytes of it. What it
    /// does not have is left out.
    pub fn spread<'a>(
        &self,
        paths: impl Iterator<Item = &'a RelPath>,
        to: &Path,
        most: u64,
    ) -> Result<(), SpreadError> {
        let mut part = Tree::default();
        for path in paths {
            if let Some(node) = self.tree.get(path) {
                part.insert(path, node.clone())?;
            }
        }
        let bytes = part.files().iter().map(|(_, file)| file.size).sum();
        if bytes > most {
            return Err(SpreadError::TooLarge { bytes, most });
        }
        disk::make_private_directory(to)?;
        // Names of trees are single components, and a directory comes before what is in it: nothing here
        // is looked up through a link.
        part.walk(&mut |path, node| self.place(path, node, to))?;
        Ok(())
    }

    fn place(&self, path: &RelPath, node: &Node, to: &Path) -> Result<(), StoreError> {
        let mut whole = PathBuf::from(to);
        whole.extend(path.names().iter().map(|name| std::ffi::OsStr::from_bytes(name.as_bytes())));
        match node {
            Node::Directory(_) => disk::make_directory(&whole),
            Node::File(file) => {
                let bytes = self.read(file)?;
                let mut written = disk::create_new(&whole)?;
                disk::write_all(&mut written, &whole, &bytes)?;
                disk::finish_file(&written, &whole, file.executable)
            }
            Node::Link(target) => {
                let (Some(above), Some(name)) = (whole.parent(), whole.file_name()) else { return Ok(()) };
                Directory::open(above)?.link_to(name.as_bytes(), target.as_bytes(), &whole)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::Store;
    use crate::store::tree::LinkTarget;

    #[test]
    fn an_output_is_spread_as_far_as_it_is_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        let staging = store.stage().unwrap();
        let path = |text: &str| RelPath::parse(text).unwrap();
        let mut tree = Tree::default();
        for (name, executable) in [("bin/tool", true), ("lib/a/META", false), ("lib/b", false)] {
            let file = staging.add(&mut name.as_bytes(), executable).unwrap();
            tree.insert(&path(name), Node::File(file)).unwrap();
        }
        tree.insert(&path("out"), Node::Link(LinkTarget::new(b"/etc").unwrap())).unwrap();
        let output = Output::new(tree, staging);
        let wanted = ["lib/a", "bin/tool", "out", "missing"].map(path);
        let to = directory.path().join("before");
        output.spread(wanted.iter(), &to, 100).unwrap();
        assert_eq!(std::fs::read(to.join("lib/a/META")).unwrap(), b"lib/a/META");
        assert_eq!(std::fs::read_link(to.join("out")).unwrap(), Path::new("/etc"));
        let names = |at: &Path| std::fs::read_dir(at).unwrap().count();
        assert_eq!((names(&to), names(&to.join("lib"))), (3, 1), "nothing else");
        let is_executable = |at: &str| {
            use std::os::unix::fs::PermissionsExt;
            std::fs::metadata(to.join(at)).unwrap().permissions().mode() & 0o111 != 0
        };
        assert!(is_executable("bin/tool") && !is_executable("lib/a/META"));
        let other = directory.path().join("after");
        let error = output.spread(wanted.iter(), &other, 17).unwrap_err();
        assert!(matches!(error, SpreadError::TooLarge { bytes: 18, most: 17 }), "{error}");
        assert!(!other.exists());
    }
}
