//! What a run read, and whether it is still the same, told by looking at files instead of reading
//! them.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::bytes::{Reader, Writer};
use crate::look::{Look, is_settled, look, read_look, write_look};
use crate::source::git::{Commit, GitUrl, Question, Reference};
use crate::store::tree::TreeHash;

/// Everything that a run read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watched {
    /// Files and directories by path, as they looked.
    looks: Vec<(PathBuf, Look)>,
    /// Paths at which nothing was.
    absent: Vec<PathBuf>,
    /// Small files that the run may have written itself: BLAKE3 of what they hold.
    contents: Vec<(PathBuf, [u8; 32])>,
    /// Branches that are followed, and what they stood for. Whoever may ask their servers does.
    pub branches: Vec<(Question, Commit)>,
    /// Sources of nodes: what becomes of them is told apart from what becomes of the rest.
    pub sources: Vec<Source>,
}

/// A file or directory of this machine that nodes take as their source.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub path: PathBuf,
    /// What it held.
    pub tree: TreeHash,
    /// The nodes that have it, by position in the plan, each with the slot that it is bound to.
    pub users: Vec<(u32, u32)>,
    /// How it and everything below it looked; `None` if that tells nothing, because it changed
    /// (almost) while it was read.
    looks: Option<(Look, Vec<(PathBuf, Look)>)>,
}

impl Watched {
    /// Looks at a file, or at a directory and everything in it. `since` is when the run began:
    /// `Ok(false)` if the path may have changed since then.
    pub fn add(&mut self, path: &Path, since: SystemTime) -> io::Result<bool> {
        let metadata = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.absent.push(path.to_owned());
                return Ok(true);
            }
            other => other?,
        };
        if !is_settled(&metadata, since) {
            return Ok(false);
        }
        self.looks.push((path.to_owned(), look(&metadata)));
        if metadata.is_dir() {
            for entry in std::fs::read_dir(path)? {
                if !self.add(&entry?.path(), since)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Remembers a small file by what it holds.
    pub fn add_content(&mut self, path: &Path, content: &[u8]) {
        self.contents.push((path.to_owned(), *blake3::hash(content).as_bytes()));
    }

    /// Whether everything but the sources is as it was.
    pub(super) fn is_unchanged(&self) -> bool {
        let same = |(path, known): &(PathBuf, Look)| {
            std::fs::metadata(path).is_ok_and(|metadata| look(&metadata) == *known)
        };
        let holds = |(path, known): &(PathBuf, [u8; 32])| {
            std::fs::read(path).is_ok_and(|content| blake3::hash(&content).as_bytes() == known)
        };
        self.looks.iter().all(same)
            && !self.absent.iter().any(|path| path.exists())
            && self.contents.iter().all(holds)
    }

    pub(super) fn write(&self, to: &mut Writer) {
        write_looks(to, &self.looks);
        to.number(self.absent.len());
        self.absent.iter().for_each(|path| to.text(path.as_os_str().as_bytes()));
        to.number(self.contents.len());
        for (path, hash) in &self.contents {
            to.text(path.as_os_str().as_bytes());
            to.0.extend(hash);
        }
        to.number(self.branches.len());
        for (Question { url, reference }, commit) in &self.branches {
            to.text(url.as_str().as_bytes());
            to.text(reference.name().unwrap_or_default().as_bytes());
            to.text(commit.as_str().as_bytes());
        }
        to.number(self.sources.len());
        self.sources.iter().for_each(|source| source.write(to));
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            looks: read_looks(from)?,
            absent: from.list(read_path)?,
            contents: from.list(|from| Some((read_path(from)?, from.array()?)))?,
            branches: from.list(read_branch)?,
            sources: from.list(Source::read)?,
        })
    }
}

fn read_branch(from: &mut Reader<'_>) -> Option<(Question, Commit)> {
    let mut text = || std::str::from_utf8(from.text()?).ok();
    let (url, name, commit) = (text()?, text()?, text()?);
    let reference = if name.is_empty() { Reference::Head } else { Reference::Branch(name.to_owned()) };
    Some((Question { url: GitUrl::new(url).ok()?, reference }, Commit::new(commit)?))
}

impl Source {
    /// The source at `path`, which held `tree` when the run that began at `since` read it.
    pub fn new(path: &Path, tree: TreeHash, users: Vec<(u32, u32)>, since: SystemTime) -> Self {
        let mut below = Vec::new();
        let looks = std::fs::metadata(path).ok().filter(|metadata| is_settled(metadata, since));
        let looks = looks.filter(|metadata| {
            !metadata.is_dir() || look_below(path, since, &mut below).is_ok_and(|settled| settled)
        });
        let looks = looks.map(|metadata| (look(&metadata), below));
        Self { path: path.to_owned(), tree, users, looks }
    }

    /// Whether it is told to be as it was by looking. If not, it may be all the same.
    pub(super) fn looks_unchanged(&self) -> bool {
        let Some((top, below)) = &self.looks else { return false };
        let same = |(path, known): &(PathBuf, Look)| {
            std::fs::symlink_metadata(path).is_ok_and(|metadata| look(&metadata) == *known)
        };
        std::fs::metadata(&self.path).is_ok_and(|metadata| look(&metadata) == *top) && below.iter().all(same)
    }

    fn write(&self, to: &mut Writer) {
        to.text(self.path.as_os_str().as_bytes());
        to.0.extend(self.tree.as_bytes());
        to.number(self.users.len());
        for (node, slot) in &self.users {
            to.0.extend(node.to_le_bytes());
            to.0.extend(slot.to_le_bytes());
        }
        to.0.push(u8::from(self.looks.is_some()));
        if let Some((top, below)) = &self.looks {
            write_look(to, top);
            write_looks(to, below);
        }
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let (path, tree) = (read_path(from)?, TreeHash::from_bytes(from.array()?));
        let number = |from: &mut Reader<'_>| from.array().map(u32::from_le_bytes);
        let users = from.list(|from| Some((number(from)?, number(from)?)))?;
        let looks = match from.array()? {
            [0] => None,
            _ => Some((read_look(from)?, read_looks(from)?)),
        };
        Some(Self { path, tree, users, looks })
    }
}

/// Looks at everything in a directory, as a scan of it does: links are not followed. `Ok(false)` if
/// something may have changed since `since`.
fn look_below(path: &Path, since: SystemTime, looks: &mut Vec<(PathBuf, Look)>) -> io::Result<bool> {
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        let metadata = std::fs::symlink_metadata(&path)?;
        let is_directory = metadata.is_dir();
        looks.push((path.clone(), look(&metadata)));
        if !is_settled(&metadata, since) || (is_directory && !look_below(&path, since, looks)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn write_looks(to: &mut Writer, looks: &[(PathBuf, Look)]) {
    to.number(looks.len());
    for (path, look) in looks {
        to.text(path.as_os_str().as_bytes());
        write_look(to, look);
    }
}

fn read_looks(from: &mut Reader<'_>) -> Option<Vec<(PathBuf, Look)>> {
    from.list(|from| Some((read_path(from)?, read_look(from)?)))
}

fn read_path(from: &mut Reader<'_>) -> Option<PathBuf> {
    from.text().map(|bytes| PathBuf::from(OsStr::from_bytes(bytes)))
}
