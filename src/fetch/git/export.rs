//! All files of a commit as a tree: what a checkout would have, without `.git`.
//!
//! Submodules come from their own repositories, at the commits that the tree names. Nothing is checked
//! out: blobs go from the scratch repository into the store as they are. What cannot be meant to be built
//! (pointers of Git LFS, paths that belong to git) is an error, because leaving it out would be another
//! tree than the commit's.

use std::collections::HashMap;
use std::io::Read;

use super::{GitError, Remote, Scratch, is_id};
use crate::source::git::{Commit, GitUrl};
use crate::store::staging::Staging;
use crate::store::tree::{LinkTarget, Name, Node, RelPath, Tree};

/// Repositories within repositories go this deep.
const MAX_DEPTH: usize = 8;
/// Submodules of one source, all levels together.
const MAX_SUBMODULES: usize = 200;
/// Bytes of `.gitmodules`.
const MAX_GITMODULES: u64 = 1 << 20;
/// Bytes that a symbolic link may lead through.
const MAX_LINK: u64 = 4095;
/// Files of up to this size, in bytes, may be pointers of Git LFS; its specification has 1,024.
const MAX_POINTER: u64 = 1024;
/// How a pointer of Git LFS begins.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// What is taken of a repository.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    pub url: &'a GitUrl,
    pub commit: &'a Commit,
    /// A branch or tag to look at when the server does not give away single commits.
    pub near: Option<&'a str>,
    /// The directory whose content is taken; the empty path: all.
    pub subdir: &'a RelPath,
    pub submodules: bool,
    /// Whether only repositories of this machine may be read.
    pub offline: bool,
    pub limits: Limits,
}

/// The most that one source may have.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of all files together.
    pub bytes: u64,
    /// Files and links.
    pub members: u64,
}

impl Export<'_> {
    /// Fetches the commit and stages its files.
    pub fn run(
        &self,
        staging: &Staging,
        store: &crate::store::Store,
        stop: &std::sync::atomic::AtomicBool,
    ) -> Result<Tree, GitError> {
        let mut exporter = Exporter {
            export: self,
            staging,
            store,
            stop,
            left: self.limits,
            submodules: MAX_SUBMODULES,
            tree: Tree::default(),
        };
        let part = Part {
            url: self.url,
            commit: self.commit,
            near: self.near,
            below: self.subdir.names(),
            at: RelPath::default(),
            depth: 0,
        };
        exporter.take(&part)?;
        Ok(exporter.tree)
    }
}

/// What goes on while one source is taken.
struct Exporter<'a> {
    export: &'a Export<'a>,
    staging: &'a Staging,
    store: &'a crate::store::Store,
    stop: &'a std::sync::atomic::AtomicBool,
    left: Limits,
    submodules: usize,
    tree: Tree,
}

/// One repository of a source.
struct Part<'a> {
    url: &'a GitUrl,
    commit: &'a Commit,
    near: Option<&'a str>,
    /// What is taken of it: the content of this directory.
    below: &'a [Name],
    /// Where that goes.
    at: RelPath,
    depth: usize,
}

/// One record of `git ls-tree -l`.
struct Entry<'a> {
    kind: EntryKind,
    id: &'a str,
    size: u64,
    /// In the source's tree.
    place: RelPath,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum EntryKind {
    File { executable: bool },
    Link,
    Submodule,
}

/// A submodule, by its path in its repository.
struct Submodule<'a> {
    path: &'a [u8],
    id: &'a str,
    below: Vec<Name>,
    place: RelPath,
}

impl Exporter<'_> {
    fn take(&mut self, part: &Part<'_>) -> Result<(), GitError> {
        if self.export.offline && !part.url.is_local() {
            return Err(GitError::Offline { url: part.url.to_string(), commit: part.commit.to_string() });
        }
        let remote = Remote { url: part.url.as_str(), store: self.store, stop: self.stop };
        let scratch = remote.with_commit(part.commit.as_str(), part.near)?;
        let listed = remote.list(&scratch, part.commit.as_str())?;
        let mut entries = Vec::new();
        let mut submodules = Vec::new();
        let mut modules = None;
        let mut is_there = part.below.is_empty();
        for record in listed.split(|byte| *byte == 0).filter(|record| !record.is_empty()) {
            let (mut entry, path) =
                entry(record).ok_or_else(|| remote.failed("it lists files in an unknown way"))?;
            if path == b".gitmodules" && matches!(entry.kind, EntryKind::File { .. }) {
                modules = Some((entry.id, entry.size));
            }
            let names = RelPath::parse(path).map_err(|error| part.unusable(path, error.to_string()))?;
            let is_submodule = entry.kind == EntryKind::Submodule;
            let (rest, below) = match names.names().strip_prefix(part.below) {
                Some(rest) => (rest, &[][..]),
                None if is_submodule => match part.below.strip_prefix(names.names()) {
                    Some(below) => (&[][..], below),
                    None => continue,
                },
                None => continue,
            };
            is_there |= !is_submodule || self.export.submodules;
            if rest.is_empty() && !is_submodule {
                return Err(part.unusable(path, "it is a file, and a directory is wanted".into()));
            }
            entry.place = rest.iter().fold(part.at.clone(), |at, name| at.join(name.clone()));
            if is_submodule {
                let (below, place) = (below.to_vec(), entry.place);
                submodules.push(Submodule { path, id: entry.id, below, place });
            } else {
                self.count(&entry, part)?;
                entries.push((entry, path));
            }
        }
        if !is_there {
            return Err(part.no_directory());
        }
        self.stage(&remote, &scratch, part, &entries)?;
        if self.export.submodules && !submodules.is_empty() {
            let urls = part.urls(&remote, &scratch, modules)?;
            drop(scratch);
            for submodule in submodules {
                self.take_submodule(part, &submodule, urls.get(submodule.path))?;
            }
        }
        Ok(())
    }

    fn count(&mut self, entry: &Entry<'_>, part: &Part<'_>) -> Result<(), GitError> {
        let limits = self.export.limits;
        let too_much = |what, most| {
            Err(GitError::TooMuch { url: part.url.to_string(), commit: part.commit.to_string(), what, most })
        };
        match self.left.members.checked_sub(1) {
            Some(left) => self.left.members = left,
            None => return too_much("files", limits.members),
        }
        match self.left.bytes.checked_sub(entry.size) {
            Some(left) => self.left.bytes = left,
            None => return too_much("bytes", limits.bytes),
        }
        Ok(())
    }

    /// Takes the files and links of one repository in.
    fn stage(
        &mut self,
        remote: &Remote<'_>,
        scratch: &Scratch<'_>,
        part: &Part<'_>,
        entries: &[(Entry<'_>, &[u8])],
    ) -> Result<(), GitError> {
        if let Some((_, path)) = entries.iter().find(|(entry, _)| entry.place.names().iter().any(is_gits_own))
        {
            let why = "a file with a name of git's own could change what git does, where it is unpacked";
            return Err(part.unusable(path, why.into()));
        }
        let mut blobs = remote.blobs(scratch, entries.iter().map(|(entry, _)| entry.id))?;
        for (entry, path) in entries {
            let node =
                blobs.next(entry.id, remote, |from, size| self.node(part, (entry, path), from, size))?;
            self.tree.insert(&entry.place, node).map_err(|error| part.unusable(path, error.to_string()))?;
        }
        Ok(())
    }

    fn node(
        &self,
        part: &Part<'_>,
        (entry, path): (&Entry<'_>, &[u8]),
        from: &mut dyn Read,
        size: u64,
    ) -> Result<Node, GitError> {
        let whole = |from: &mut dyn Read| {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).map(|_| bytes).map_err(GitError::Io)
        };
        match entry.kind {
            EntryKind::Link if size > MAX_LINK => Err(part.unusable(path, "the link is too long".into())),
            EntryKind::Link => {
                let target = LinkTarget::new(&whole(from)?);
                target.map(Node::Link).map_err(|error| part.unusable(path, error.to_string()))
            }
            EntryKind::File { executable } if size <= MAX_POINTER => {
                let bytes = whole(from)?;
                if bytes.starts_with(POINTER) {
                    let why = "it is a pointer of Git LFS: what it points to is not in the repository";
                    return Err(part.unusable(path, why.into()));
                }
                Ok(Node::File(self.staging.add_bytes(&bytes, executable)?))
            }
            EntryKind::File { executable } => Ok(Node::File(self.staging.add(from, executable)?)),
            EntryKind::Submodule => {
                Err(GitError::Failed { url: part.url.to_string(), said: "a submodule is no blob".into() })
            }
        }
    }

    fn take_submodule(
        &mut self,
        part: &Part<'_>,
        submodule: &Submodule<'_>,
        url: Option<&String>,
    ) -> Result<(), GitError> {
        let bad = |why: String| part.unusable(submodule.path, why);
        if submodule.place.names().iter().any(is_gits_own) {
            return Err(bad("a submodule cannot have a name of git's own".into()));
        }
        let url = url.ok_or_else(|| bad("`.gitmodules` has no URL for this submodule".into()))?;
        let url = part.url.submodule(url).map_err(|error| {
            bad(format!("the URL of this submodule, `{}`, cannot be used: {error}", url.escape_debug()))
        })?;
        let commit = Commit::new(submodule.id).ok_or_else(|| bad("it has no commit".into()))?;
        self.submodules = match (self.submodules.checked_sub(1), part.depth < MAX_DEPTH) {
            (Some(left), true) => left,
            _ => return Err(bad("submodules are nested too deep, or too many".into())),
        };
        let inner = Part {
            url: &url,
            commit: &commit,
            near: None,
            below: &submodule.below,
            at: submodule.place.clone(),
            depth: part.depth + 1,
        };
        self.take(&inner).map_err(|error| match error {
            GitError::Stopped => error,
            error => {
                let path = String::from_utf8_lossy(submodule.path).into_owned();
                GitError::Submodule { path, source: Box::new(error) }
            }
        })
    }
}

impl Part<'_> {
    /// What `.gitmodules` says: URLs by paths.
    fn urls(
        &self,
        remote: &Remote<'_>,
        scratch: &Scratch<'_>,
        modules: Option<(&str, u64)>,
    ) -> Result<HashMap<Vec<u8>, String>, GitError> {
        let Some((id, size)) = modules else { return Ok(HashMap::new()) };
        if size > MAX_GITMODULES {
            return Err(self.unusable(b".gitmodules", "it is too long".into()));
        }
        remote
            .git(scratch, &["config", "--no-includes", "-z", "--blob", id, "--list"], super::ASK, None)
            .map_err(|error| match error {
                GitError::Stopped => error,
                error => self.unusable(b".gitmodules", error.to_string()),
            })?;
        Ok(submodule_urls(&scratch.answer_within(2 * MAX_GITMODULES)?.unwrap_or_default()))
    }

    fn unusable(&self, path: &[u8], why: String) -> GitError {
        let path = String::from_utf8_lossy(path).escape_debug().to_string();
        GitError::Unusable { url: self.url.to_string(), commit: self.commit.to_string(), path, why }
    }

    fn no_directory(&self) -> GitError {
        let path: Vec<String> = self.below.iter().map(ToString::to_string).collect();
        GitError::NoDirectory {
            url: self.url.to_string(),
            commit: self.commit.to_string(),
            path: path.join("/"),
        }
    }
}

/// Names that git treats as its own directory, on whatever file system.
fn is_gits_own(name: &Name) -> bool {
    name.as_bytes().eq_ignore_ascii_case(b".git")
}

/// An entry whose place is not known yet, and its path.
fn entry(record: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let tab = record.iter().position(|byte| *byte == b'\t')?;
    let mut words = std::str::from_utf8(&record[..tab]).ok()?.split_ascii_whitespace();
    let (mode, _, id, size) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (kind, size) = match mode {
        "100644" | "100664" => (EntryKind::File { executable: false }, size.parse().ok()?),
        "100755" => (EntryKind::File { executable: true }, size.parse().ok()?),
        "120000" => (EntryKind::Link, size.parse().ok()?),
        "160000" => (EntryKind::Submodule, 0),
        _ => return None,
    };
    is_id(id).then(|| (Entry { kind, id, size, place: RelPath::default() }, &record[tab + 1..]))
}

/// Reads what `git config -z --list` says of a `.gitmodules`: `submodule.<name>.path`, a line feed, the
/// value, NUL. Of several values of one key the last counts.
fn submodule_urls(said: &[u8]) -> HashMap<Vec<u8>, String> {
    let mut paths: HashMap<&[u8], &[u8]> = HashMap::new();
    let mut urls: HashMap<&[u8], String> = HashMap::new();
    for line in said.split(|byte| *byte == 0) {
        let Some(end) = line.iter().position(|byte| *byte == b'\n') else { continue };
        let (key, value) = (&line[..end], &line[end + 1..]);
        let Some(key) = key.strip_prefix(b"submodule.") else { continue };
        if let Some(name) = key.strip_suffix(b".path") {
            paths.insert(name, value.strip_suffix(b"/").unwrap_or(value));
        } else if let Some(name) = key.strip_suffix(b".url") {
            urls.insert(name, String::from_utf8_lossy(value).into_owned());
        }
    }
    paths.into_iter().filter_map(|(name, path)| Some((path.to_vec(), urls.get(name)?.clone()))).collect()
}
