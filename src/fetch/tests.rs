//! Tests of fetching against real files, a real loopback server and archives made byte by byte.

mod archives;
mod checksums;
mod commits;
mod downloads;
mod extension;
mod faults;
mod last_copies;
mod libraries;
mod mirrors;
mod packages;
pub(crate) mod repo;
pub(crate) mod server;
mod signatures;
mod suites;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sha2::{Digest, Sha256 as Hasher};
use tempfile::TempDir;

use super::*;
use crate::source::{LocalPath, Place, Sha256};
use crate::store::staging::Staging;
use crate::store::tree::{Node, RelPath, Tree};

/// A store in a directory of its own.
#[derive(Debug)]
struct Scene {
    directory: TempDir,
    store: Arc<Store>,
}

impl Scene {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        Self { directory, store }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file below the directory, making the directories on the way.
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn stage(&self) -> Staging {
        self.store.stage().unwrap()
    }

    /// A file below the scene's directory, as a place.
    fn local(&self, path: &str) -> Place {
        Place::Path(LocalPath { written: path.into(), directory: self.path().to_owned() })
    }

    fn fetch(&self, fetcher: &Fetcher, archive: &Archive) -> Result<PathBuf, Failure> {
        fetcher.fetch(&self.store, archive, &|_, _| {}, &AtomicBool::new(false))
    }

    /// Files in the store's archives and scratch directories: what a failed fetch must not leave.
    fn leftovers(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.path().join("store/archives"), self.path().join("store/tmp")];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_none_or(|extension| extension != "lock") {
                    found.push(path);
                }
            }
        }
        found
    }
}

fn sum(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(Hasher::digest(bytes).into())
}

fn archive(bytes: &[u8], places: impl IntoIterator<Item = Place>) -> Archive {
    Archive::new(sum(bytes), places.into_iter().collect())
}

/// Limits under which a test tries again at once, but waits for a server on a busy machine.
fn quick() -> Limits {
    Limits {
        bytes: 1 << 20,
        connect: Duration::from_secs(20),
        stall: Duration::from_secs(20),
        attempts: 3,
        pause: Duration::from_millis(5),
        redirects: 5,
    }
}

fn fetcher() -> Fetcher {
    Fetcher::new(Settings { limits: quick(), ..Settings::default() })
}

/// One that gives slow servers up: for tests of just that.
fn hasty() -> Fetcher {
    let limits = Limits { connect: Duration::from_millis(500), stall: Duration::from_millis(400), ..quick() };
    Fetcher::new(Settings { limits, ..Settings::default() })
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

#[test]
fn a_full_disk_is_a_failure_of_its_own_and_no_verdict() {
    let full = io::Error::from_raw_os_error(28);
    let failure = machine(&StoreError::Io { operation: "write", path: "/x".into(), source: full });
    assert!(matches!(failure, Failure::NoSpace { .. }) && !failure.is_verdict(), "{failure}");
    let other = io_failure("writing", Path::new("/x"), &io::Error::from_raw_os_error(5));
    assert!(matches!(other, Failure::Machine { .. }), "{other}");
}

#[test]
fn one_fetcher_serves_all_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Fetcher>();
}

/// The text of a file in a tree, with `!` before it if it may be executed.
fn text(staging: &Staging, tree: &Tree, at: &str) -> String {
    match tree.get(&path(at)) {
        Some(Node::File(file)) => {
            let text = String::from_utf8(staging.read(file).unwrap()).unwrap();
            if file.executable { format!("!{text}") } else { text }
        }
        Some(Node::Link(target)) => format!("-> {}", String::from_utf8_lossy(target.as_bytes())),
        Some(Node::Directory(_)) => "a directory".into(),
        None => "nothing".into(),
    }
}

/// A tar archive under construction, byte by byte.
#[derive(Clone, Default)]
struct Tar(Vec<u8>);

impl Tar {
    /// A header with any fields, its checksum right, and any body.
    fn raw(mut self, kind: u8, name: &[u8], link: &[u8], mode: &[u8], size: &[u8], body: &[u8]) -> Self {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name);
        header[100..100 + mode.len()].copy_from_slice(mode);
        header[124..124 + size.len()].copy_from_slice(size);
        header[156] = kind;
        header[157..157 + link.len()].copy_from_slice(link);
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(body);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn member(self, kind: u8, name: &[u8], link: &[u8], body: &[u8]) -> Self {
        self.raw(kind, name, link, b"0000644\0", format!("{:011o}\0", body.len()).as_bytes(), body)
    }

    fn file(self, name: &str, body: &str) -> Self {
        self.member(b'0', name.as_bytes(), b"", body.as_bytes())
    }

    fn program(self, name: &str, body: &str) -> Self {
        let size = format!("{:011o}\0", body.len());
        // Setuid, setgid and sticky, which must not survive.
        self.raw(b'0', name.as_bytes(), b"", b"0007755\0", size.as_bytes(), body.as_bytes())
    }

    fn directory(self, name: &str) -> Self {
        self.member(b'5', name.as_bytes(), b"", b"")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.member(b'2', name.as_bytes(), target.as_bytes(), b"")
    }

    fn hard_link(self, name: &str, earlier: &str) -> Self {
        self.member(b'1', name.as_bytes(), earlier.as_bytes(), b"")
    }

    fn pax(self, kind: u8, records: &[(&str, &str)]) -> Self {
        use std::fmt::Write;
        let mut body = String::new();
        for (key, value) in records {
            let rest = format!(" {key}={value}\n");
            let mut length = rest.len() + 1;
            while length != rest.len() + length.to_string().len() {
                length += 1;
            }
            write!(body, "{length}{rest}").unwrap();
        }
        self.member(kind, b"pax", b"", body.as_bytes())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
