//! A directory with a store in which one test unpacks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jtwbuild::fetch::archive::{Limits, unpack};
use jtwbuild::outcome::Failure;
use jtwbuild::store::Store;
use jtwbuild::store::staging::Staging;
use jtwbuild::store::tree::{Node, Tree};

pub struct Scene {
    directory: tempfile::TempDir,
    pub store: Arc<Store>,
}

impl Scene {
    pub fn new() -> Self {
        let directory = directory();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        Self { directory, store }
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    pub fn write(&self, below: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(below);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn staging(&self) -> Staging {
        self.store.stage().unwrap()
    }

    /// Unpacks an archive; a refusal must be the archive's fault, and is given in words.
    pub fn unpack(&self, bytes: &[u8], limits: &Limits) -> Result<(Staging, Tree), String> {
        let path = self.write("archive", bytes);
        let unpacked = self.unpack_file(&path, limits);
        std::fs::remove_file(path).unwrap();
        unpacked
    }

    /// The same for a file.
    pub fn unpack_file(&self, path: &Path, limits: &Limits) -> Result<(Staging, Tree), String> {
        let staging = self.staging();
        match unpack("x.tar", path, &staging, 0, limits) {
            Ok(tree) => Ok((staging, tree)),
            Err(Failure::BadInput { reason, .. }) => Err(reason),
            Err(other) => panic!("not the archive's fault: {other}"),
        }
    }
}

/// Keeps an input that something was wrong with, for whoever looks into it: below `target/tmp`, or,
/// where that belongs to somebody else, where temporary files go.
pub fn keep(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if std::fs::write(&path, bytes).is_ok() {
        return path;
    }
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// In memory where there is such a place: thousands of files are made and thrown away.
pub fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = tempfile::Builder::new().prefix("jtwbuild-hostile-").tempdir_in(memory);
    made.unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// One line for each node: `- a/b 5`, `x` for a program, `d`, `l a -> b`. Bytes that are not
/// printable are escaped.
pub fn listing(tree: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    let done: Result<(), std::convert::Infallible> = tree.walk(&mut |path, node| {
        let names: Vec<String> =
            path.names().iter().map(|name| name.as_bytes().escape_ascii().to_string()).collect();
        let path = names.join("/");
        lines.push(match node {
            Node::File(file) => format!("{} {path} {}", if file.executable { 'x' } else { '-' }, file.size),
            Node::Link(target) => format!("l {path} -> {}", target.as_bytes().escape_ascii()),
            Node::Directory(_) => format!("d {path}"),
        });
        Ok(())
    });
    done.unwrap();
    lines
}
