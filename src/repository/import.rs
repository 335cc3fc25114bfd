//! Archives and git repositories: from their members to what of them matters.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::RepositoryError;
use super::content::{
    Content, MAX_BYTES, MAX_FILE, MAX_OPAM, Member, Oddity, file_name, package_name, version_of,
};
use super::directory::{MAX_DEPTH, too_long};
use crate::fetch::archive::{Limits, read_tar};
use crate::fetch::git::{GitFile, GitKind};
use crate::opam::place::Place;
use crate::store::tree::{BlobHash, Name, Node, RelPath, Tree};

const NOT_FOLLOWED: Oddity = Oddity::Ignored("links and special files are not followed");

/// What a path of an archive or a commit stands for.
pub(super) enum Found {
    File { executable: bool, bytes: Vec<u8> },
    TooLong,
    Other,
}

/// Sorts files by their paths into what belongs to a repository and what does not.
#[derive(Default)]
pub(super) struct Sorter {
    content: Content,
    /// The directories of versions, and whether there is an opam file in them.
    versions: BTreeMap<String, bool>,
}

impl Sorter {
    /// Takes one file, whose path is relative to the repository's root.
    pub fn add(&mut self, path: &[u8], found: Found) {
        let Ok(path) = std::str::from_utf8(path) else {
            let shown = String::from_utf8_lossy(path).into_owned();
            if shown.starts_with("packages/") {
                self.content.oddities.add("", &shown, Oddity::Refused("this name is not UTF-8"));
            }
            return;
        };
        let names: Vec<&str> = path.split('/').collect();
        match names.as_slice() {
            ["repo"] => self.keep(path, MAX_OPAM, found, false),
            ["packages", package, rest @ ..] if !package.starts_with('.') => {
                if let Err((depth, oddity)) = self.below_packages(path, package, rest, found) {
                    let (below, name) = (names[..=depth].join("/"), names[depth + 1]);
                    self.content.oddities.add(&format!("{below}/"), name, oddity);
                }
            }
            _ => {}
        }
    }

    /// `package` and `rest` are the components behind `packages`. An oddity comes with the number of
    /// components before the odd one, less one.
    fn below_packages(
        &mut self,
        path: &str,
        package: &str,
        rest: &[&str],
        found: Found,
    ) -> Result<(), (usize, Oddity)> {
        // As a directory is read: what is not followed is not asked for its name.
        let is_link = matches!(found, Found::Other);
        let last = if is_link { NOT_FOLLOWED } else { Oddity::Ignored("this is not a directory") };
        let [version, below @ ..] = rest else {
            let refused = package_name(package).err().filter(|oddity| matches!(oddity, Oddity::Refused(_)));
            return Err((0, refused.filter(|_| !is_link).unwrap_or(last)));
        };
        let name = package_name(package).map_err(|oddity| (0, oddity))?;
        if version.starts_with('.') {
            return Ok(());
        }
        if below.is_empty() && is_link {
            return Err((1, last));
        }
        version_of(&name, version).map_err(|oddity| (1, oddity))?;
        if below.is_empty() {
            return Err((1, last));
        }
        let has_opam = self.versions.entry(format!("packages/{package}/{version}")).or_default();
        match below {
            ["opam"] => {
                *has_opam = matches!(&found, Found::File { bytes, .. } if bytes.len() as u64 <= MAX_OPAM);
                self.keep(path, MAX_OPAM, found, false);
            }
            ["files", inside @ ..] if !inside.is_empty() => {
                for (depth, name) in inside.iter().enumerate() {
                    file_name(name).map_err(|oddity| (3 + depth, oddity))?;
                }
                if inside.len() > MAX_DEPTH + 1 {
                    return Err((3, NOT_FOLLOWED));
                }
                self.keep(path, MAX_FILE, found, true);
            }
            [hidden, ..] if hidden.starts_with('.') => {}
            [_] if is_link => return Err((2, last)),
            _ => return Err((2, Oddity::Ignored("it is neither `opam` nor `files/`"))),
        }
        Ok(())
    }

    fn keep(&mut self, path: &str, max: u64, found: Found, may_execute: bool) {
        match found {
            Found::File { executable, bytes } if bytes.len() as u64 <= max => {
                let executable = executable && may_execute;
                self.content.members.push(Member { path: path.to_owned(), executable, bytes });
            }
            Found::File { .. } | Found::TooLong => self.content.oddities.add("", path, too_long(true)),
            Found::Other => self.content.oddities.add("", path, NOT_FOLLOWED),
        }
    }

    /// Everything, in order.
    pub fn finish(mut self) -> Content {
        for (directory, has_opam) in &self.versions {
            if !has_opam {
                let lost = format!("{directory}/");
                self.content.members.retain(|member| !member.path.starts_with(&lost));
                let oddity = Oddity::Ignored("there is no usable file `opam` in it");
                self.content.oddities.add("", directory, oddity);
            }
        }
        self.content.finish();
        self.content
    }
}

/// Reads a tar archive that has `packages/` at its top, or in the one directory that is there.
pub(super) fn archive(place: &Place, path: &Path) -> Result<Content, RepositoryError> {
    if is_page(path) {
        let reason = "there is a web page, and no archive".into();
        return Err(RepositoryError::NotARepository { place: place.written.clone(), reason });
    }
    let limits = Limits { members: 1_000_000, bytes: MAX_BYTES, ..Limits::default() };
    // What lies elsewhere is not even kept in memory.
    let wanted = |path: RelPath| {
        let names = path.names();
        let is = |name: &Name, text: &str| name.as_bytes() == text.as_bytes();
        let at_top = |name: &Name| is(name, "packages") || is(name, "repo");
        let good = match names {
            [first, second, ..] => at_top(first) || at_top(second),
            [first] => at_top(first),
            [] => false,
        };
        good.then_some(path)
    };
    let (tree, mut blobs) =
        read_tar(path, &wanted, &limits).map_err(|error| RepositoryError::archive(place, error))?;
    let root = root_of(&tree).ok_or_else(|| RepositoryError::NotARepository {
        place: place.written.clone(),
        reason: "there is no directory `packages` in the archive".into(),
    })?;
    let mut sorter = Sorter::default();
    let walked: Result<(), std::convert::Infallible> = root.walk(&mut |path, node| {
        let found = match node {
            Node::Directory(_) => return Ok(()),
            Node::Link(_) => Found::Other,
            Node::File(file) => {
                Found::File { executable: file.executable, bytes: bytes_of(&mut blobs, &file.blob) }
            }
        };
        let bytes: Vec<&[u8]> = path.names().iter().map(Name::as_bytes).collect();
        sorter.add(&bytes.join(&b'/'), found);
        Ok(())
    });
    match walked {
        Ok(()) => Ok(sorter.finish()),
    }
}

/// Whether a file is HTML: what servers like to send in place of what was asked for.
fn is_page(path: &Path) -> bool {
    let mut head = [0; 256];
    let read = File::open(path).and_then(|mut file| file.read(&mut head)).unwrap_or_default();
    head[..read].trim_ascii_start().first() == Some(&b'<')
}

/// Two members may have the same bytes.
fn bytes_of(blobs: &mut HashMap<BlobHash, Vec<u8>>, blob: &BlobHash) -> Vec<u8> {
    blobs.get(blob).cloned().unwrap_or_default()
}

fn root_of(tree: &Tree) -> Option<&Tree> {
    let has_packages = |tree: &&Tree| {
        let packages = RelPath::parse("packages").ok().and_then(|path| tree.directory(&path).map(Tree::len));
        packages.is_some()
    };
    if has_packages(&tree) {
        return Some(tree);
    }
    let mut below = tree.entries().filter_map(|(_, node)| match node {
        Node::Directory(below) => Some(below.as_ref()),
        _ => None,
    });
    let only = below.next().filter(|_| below.next().is_none());
    only.filter(has_packages)
}

/// Whether a file of a commit may belong to a repository.
pub(super) fn is_wanted(path: &[u8]) -> bool {
    path == b"repo" || path.starts_with(b"packages/")
}

/// Takes the files of a commit.
pub(super) fn commit(place: &Place, files: Vec<GitFile>) -> Result<Content, RepositoryError> {
    if !files.iter().any(|file| file.path.starts_with(b"packages/")) {
        return Err(RepositoryError::NotARepository {
            place: place.written.clone(),
            reason: "there is no directory `packages` in its commit".into(),
        });
    }
    if files.iter().map(|file| file.bytes.len() as u64).sum::<u64>() > MAX_BYTES {
        return Err(RepositoryError::TooLarge { place: place.written.clone() });
    }
    let mut sorter = Sorter::default();
    for file in files {
        let found = match file.kind {
            GitKind::File { executable } => Found::File { executable, bytes: file.bytes },
            GitKind::TooLong => Found::TooLong,
            GitKind::Other => Found::Other,
        };
        sorter.add(&file.path, found);
    }
    Ok(sorter.finish())
}
