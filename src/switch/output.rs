//! The output directory: what is in it is what the last run made, and nothing is ever half there.
//!
//! A directory that did not exist appears by one rename. One that did is brought up to date file by
//! file, each by a rename, the indexes last: whoever follows an index meets complete files. A marker
//! lists what is ours; files that we have not made are left alone, and a directory without a marker
//! that is not empty is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rayon::prelude::*;

use super::SwitchError;
use super::cache::{self, make_directories, move_into};
use super::held::Held;
use super::index::Files;
use crate::assemble::INDEX_FILES;
use crate::jtw::Blobs;
use crate::look::{Look, look};
use crate::store::tree::{BlobHash, File, RelPath};

/// Lists what is ours.
const MARKER: &str = ".jtwbuild-opam";
const HEAD: &str = "jtwbuild opam 1";
/// What is not in place yet.
const DRAFTS: &str = ".jtwbuild-new";

/// What became of the directory.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub new: usize,
    pub kept: usize,
    pub removed: usize,
    /// How every file looks now.
    pub looks: Vec<(PathBuf, Look)>,
}

/// A file of the marker: hash, size in bytes, time of its last change in nanoseconds.
type Known = (String, u64, u128);
type Manifest = BTreeMap<String, Known>;

/// Whether a run may write to `target`, before it does anything.
///
/// # Errors
/// When something is there that is not ours.
pub(super) fn check(target: &Path) -> Result<(), SwitchError> {
    manifest(target).map(|_| ())
}

/// What the marker lists; `None` when there is no directory yet.
fn manifest(target: &Path) -> Result<Option<Manifest>, SwitchError> {
    match fs::metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SwitchError::io("look at", target, source)),
        Ok(metadata) if !metadata.is_dir() => return Err(SwitchError::NotADirectory(target.to_owned())),
        Ok(_) => {}
    }
    let marker = target.join(MARKER);
    match fs::read_to_string(&marker) {
        Ok(text) if text.lines().next() == Some(HEAD) => {
            Ok(Some(text.lines().skip(1).filter_map(known_line).collect()))
        }
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(SwitchError::io("read", &marker, source))
        }
        _ => {
            let mut entries =
                fs::read_dir(target).map_err(|source| SwitchError::io("list", target, source))?;
            match entries.next() {
                None => Ok(Some(Manifest::new())),
                Some(_) => Err(SwitchError::NotOurs(target.to_owned())),
            }
        }
    }
}

/// `<hash> <size> <nanoseconds> <path>`. A path that could lead elsewhere is none of ours.
fn known_line(line: &str) -> Option<(String, Known)> {
    let mut words = line.splitn(4, ' ');
    let (hash, size, time) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let path = words.next()?;
    RelPath::parse(path).ok()?;
    Some((path.to_owned(), (hash.to_owned(), size, time)))
}

fn time(metadata: &fs::Metadata) -> u128 {
    let time = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    time.map_or(0, |time| time.as_nanos())
}

/// Makes `target` hold `files`. The caller sees to it that no other run does the same.
///
/// # Errors
/// When something that is not ours is in the way, or the disk fails.
pub(super) fn write(target: &Path, files: &Files, held: &Held) -> Result<Written, SwitchError> {
    match manifest(target)? {
        None => create(target, files, held),
        Some(before) => update(target, files, &before, held),
    }
}

fn create(target: &Path, files: &Files, held: &Held) -> Result<Written, SwitchError> {
    let name = target.file_name().and_then(|name| name.to_str()).unwrap_or("html");
    let parent = target.parent().unwrap_or(Path::new("."));
    make_directories(parent)?;
    let draft = parent.join(format!(".{name}.jtwbuild-new"));
    remove(&draft)?;
    let paths: Vec<(&String, PathBuf)> = files.keys().map(|path| (path, draft.join(path))).collect();
    let done = directories(paths.iter().map(|(_, path)| path.as_path()))
        .and_then(|()| copy(files, &paths, held))
        .and_then(|()| put_marker(&draft, &now(&draft, files)?, &draft.join(MARKER)))
        .and_then(|()| fs::rename(&draft, target).map_err(|source| SwitchError::io("write", target, source)));
    if done.is_err() {
        // The error is what there is to be told.
        let _ = remove(&draft);
    }
    done?;
    Ok(Written { new: files.len(), looks: looks(target, files)?, ..Written::default() })
}

fn update(target: &Path, files: &Files, before: &Manifest, held: &Held) -> Result<Written, SwitchError> {
    let is_kept = |path: &String, blob: &BlobHash, size: u64| {
        let Some((hash, known, changed)) = before.get(path) else { return false };
        let metadata = fs::symlink_metadata(target.join(path));
        *hash == hex(blob)
            && *known == size
            && metadata.is_ok_and(|now| now.is_file() && now.len() == size && time(&now) == *changed)
    };
    let new: Vec<&String> = files
        .iter()
        .filter(|(path, (blob, size))| !is_kept(path, blob, *size))
        .map(|(path, _)| path)
        .collect();
    let stale: Vec<&String> = before.keys().filter(|path| !files.contains_key(*path)).collect();
    let mut done = Written { kept: files.len() - new.len(), new: new.len(), ..Written::default() };
    if !new.is_empty() || !stale.is_empty() {
        let drafts = target.join(DRAFTS);
        remove(&drafts)?;
        make_directories(&drafts)?;
        let staged: Vec<(&String, PathBuf)> =
            new.iter().enumerate().map(|(number, path)| (*path, drafts.join(number.to_string()))).collect();
        copy(files, &staged, held)?;
        // From here on, what is there is ours whenever the run ends.
        let mut all = before.clone();
        for (path, (blob, size)) in files {
            all.entry(path.clone()).or_insert((hex(blob), *size, 0));
        }
        put_marker(target, &all, &drafts.join("marker"))?;
        let mut ordered: Vec<&(&String, PathBuf)> = staged.iter().collect();
        ordered.sort_by_key(|(path, _)| is_index(path));
        let mut parents = BTreeSet::new();
        for (path, draft) in ordered {
            own_directory(target, path, &mut parents)?;
            move_into(draft, &target.join(path))?;
        }
        for path in stale {
            done.removed += usize::from(fs::remove_file(target.join(path)).is_ok());
            let mut parent = Path::new(path).parent();
            while let Some(empty) = parent.filter(|parent| !parent.as_os_str().is_empty()) {
                // Fails for the first that is not empty.
                if fs::remove_dir(target.join(empty)).is_err() {
                    break;
                }
                parent = empty.parent();
            }
        }
        put_marker(target, &now(target, files)?, &drafts.join("marker"))?;
        remove(&drafts)?;
    }
    done.looks = looks(target, files)?;
    Ok(done)
}

fn is_index(path: &str) -> bool {
    INDEX_FILES.contains(&path.rsplit('/').next().unwrap_or_default())
}

fn hex(blob: &BlobHash) -> String {
    blake3::Hash::from_bytes(*blob.as_bytes()).to_hex().to_string()
}

/// Removes a directory that only we write to.
fn remove(path: &Path) -> Result<(), SwitchError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SwitchError::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// Makes the directory that a file is to be in; it is never reached through a link.
fn own_directory(target: &Path, path: &str, known: &mut BTreeSet<PathBuf>) -> Result<(), SwitchError> {
    let mut at = target.to_owned();
    let parent = Path::new(path).parent().unwrap_or(Path::new(""));
    for component in parent.components() {
        at.push(component);
        if known.contains(&at) {
            continue;
        }
        match fs::symlink_metadata(&at) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(SwitchError::NotADirectory(at)),
            Err(_) => make_directories(&at)?,
        }
        known.insert(at.clone());
    }
    Ok(())
}

fn directories<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<(), SwitchError> {
    let parents: BTreeSet<&Path> = paths.filter_map(Path::parent).collect();
    parents.into_iter().try_for_each(make_directories)
}

/// Writes the files to the places that stand beside them.
fn copy(files: &Files, places: &[(&String, PathBuf)], held: &Held) -> Result<(), SwitchError> {
    places.par_iter().try_for_each(|(path, to)| {
        let (blob, size) = files[*path];
        let bytes = held.read(&File { blob, size, executable: false })?;
        if blake3::hash(&bytes).as_bytes() != blob.as_bytes() {
            return Err(SwitchError::Changed((*path).clone()));
        }
        cache::write(to, &bytes)
    })
}

/// What the marker is to say of the files as they are now.
fn now(root: &Path, files: &Files) -> Result<Manifest, SwitchError> {
    let one = |(path, (blob, size)): (&String, &(BlobHash, u64))| {
        let at = root.join(path);
        let metadata = fs::metadata(&at).map_err(|source| SwitchError::io("look at", &at, source))?;
        Ok((path.clone(), (hex(blob), *size, time(&metadata))))
    };
    files.iter().map(one).collect()
}

fn put_marker(target: &Path, files: &Manifest, draft: &Path) -> Result<(), SwitchError> {
    let mut text = format!("{HEAD}\n");
    for (path, (hash, size, time)) in files {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{hash} {size} {time} {path}");
    }
    cache::write(draft, text.as_bytes())?;
    let marker = target.join(MARKER);
    if draft == marker { Ok(()) } else { move_into(draft, &marker) }
}

fn looks(target: &Path, files: &Files) -> Result<Vec<(PathBuf, Look)>, SwitchError> {
    let one = |path: &String| {
        let at = target.join(path);
        let metadata = fs::metadata(&at).map_err(|source| SwitchError::io("look at", &at, source))?;
        Ok((at, look(&metadata)))
    };
    files.keys().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(held: &Held, all: &[(&str, &str)]) -> Files {
        let one = |(path, text): &(&str, &str)| {
            let file = held.add_bytes(text.as_bytes()).unwrap();
            ((*path).to_owned(), (file.blob, file.size))
        };
        all.iter().map(one).collect()
    }

    fn listing(root: &Path, at: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(root.join(at)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = if at.is_empty() { name } else { format!("{at}/{name}") };
            if entry.file_type().unwrap().is_dir() { listing(root, &path, found) } else { found.push(path) }
        }
        found.sort();
    }

    fn all(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        listing(root, "", &mut found);
        found
    }

    #[test]
    fn what_is_no_longer_made_goes_and_what_others_made_stays() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("out");
        let held = Held::default();
        let first = files(&held, &[("lib/a/a.cmi", "1"), ("lib/b/b.cmi", "2"), ("findlib_index", "i")]);
        let done = write(&target, &first, &held).unwrap();
        assert_eq!((done.new, done.kept, done.removed), (3, 0, 0));
        assert_eq!(all(directory.path()).len(), 4, "nothing beside the output");
        fs::write(target.join("lib/a/mine.txt"), "mine").unwrap();
        let second = files(&held, &[("lib/b/b.cmi", "2"), ("lib/c/c.cmi", "3"), ("findlib_index", "j")]);
        let done = write(&target, &second, &held).unwrap();
        assert_eq!((done.new, done.kept, done.removed), (2, 1, 1));
        assert_eq!(all(&target), [MARKER, "findlib_index", "lib/a/mine.txt", "lib/b/b.cmi", "lib/c/c.cmi"]);
        assert_eq!(fs::read_to_string(target.join("findlib_index")).unwrap(), "j");
        let done = write(&target, &second, &held).unwrap();
        assert_eq!((done.new, done.kept, done.removed), (0, 3, 0));
    }

    #[test]
    fn a_damaged_or_deleted_output_is_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("out");
        let held = Held::default();
        let wanted = files(&held, &[("a", "1"), ("b", "2"), ("c", "3")]);
        write(&target, &wanted, &held).unwrap();
        fs::write(target.join("a"), "longer").unwrap();
        fs::remove_file(target.join("b")).unwrap();
        let done = write(&target, &wanted, &held).unwrap();
        assert_eq!((done.new, done.kept), (2, 1));
        assert_eq!(fs::read_to_string(target.join("a")).unwrap(), "1");
    }

    #[test]
    fn directories_of_others_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let held = Held::default();
        let wanted = files(&held, &[("a", "1")]);
        fs::write(directory.path().join("thesis.tex"), "x").unwrap();
        assert!(matches!(write(directory.path(), &wanted, &held), Err(SwitchError::NotOurs(_))));
        let file = directory.path().join("thesis.tex");
        assert!(matches!(write(&file, &wanted, &held), Err(SwitchError::NotADirectory(_))));
        let empty = directory.path().join("empty");
        fs::create_dir(&empty).unwrap();
        assert_eq!(write(&empty, &wanted, &held).unwrap().new, 1);
    }

    #[test]
    fn a_marker_cannot_name_files_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("out");
        fs::write(directory.path().join("precious"), "x").unwrap();
        fs::create_dir(&target).unwrap();
        fs::write(target.join(MARKER), format!("{HEAD}\nh 1 1 ../precious\nh 1 1 /etc/x\n")).unwrap();
        let held = Held::default();
        let done = write(&target, &files(&held, &[("a", "1")]), &held).unwrap();
        assert_eq!((done.new, done.removed), (1, 0));
        assert!(directory.path().join("precious").exists());
    }
}
