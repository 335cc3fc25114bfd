//! Debian packages into one root file system, without root and without dpkg.
//!
//! A `.deb` is an `ar` archive (`deb(5)`) whose member `data.tar.*` holds the files. Maintainer
//! scripts are not run: what they would have made, a base's recipe makes in the sandbox.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::archive::{ArchiveError, Limits, unpack_tar};
use super::selection::Selection;
use super::{Fetcher, Progress};
use crate::outcome::Failure;
use crate::source::{Archive, PinnedDeb, Place};
use crate::store::Store;
use crate::store::staging::Staging;
use crate::store::tree::{LinkTarget, Name, Node, RelPath, Tree, TreeError};

/// Downloads that run side by side; more would only burden the mirror.
const DOWNLOADS: usize = 4;

/// Top-level directories that are links into `usr` on a merged system.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Downloads and unpacks what is selected of `debs` into one root file system, or into a tree of the
/// parts that are taken. Downloads overlap with unpacking; the result does not depend on which comes first.
/// Two packages that hold different things at one path are a [`Failure::Overlap`].
pub fn base(
    fetcher: &Fetcher,
    store: &Store,
    staging: &Staging,
    debs: &[PinnedDeb],
    selection: &Selection,
    progress: Progress,
    stop: &AtomicBool,
) -> Result<Tree, Failure> {
    let total: u64 = debs.iter().map(|deb| deb.size).sum();
    let done = AtomicU64::new(0);
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let results: Vec<_> = debs.iter().map(|_| Mutex::new(None)).collect();
    // The biggest first: a long tail of one package would leave the other processors idle.
    let mut order: Vec<usize> = (0..debs.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(debs[*index].size));

    let download = |deb: &PinnedDeb| {
        let archive = Archive::new(deb.sha256, vec![Place::Mirror(deb.path.clone())]);
        let before = AtomicU64::new(0);
        let report = |now: u64, _: Option<u64>| {
            // A new attempt starts at 0 again, so the difference may be negative.
            let last = before.swap(now.min(deb.size), Ordering::Relaxed);
            let sum = done.fetch_add(now.min(deb.size).wrapping_sub(last), Ordering::Relaxed);
            progress(sum.wrapping_add(now.min(deb.size)).wrapping_sub(last), Some(total));
        };
        fetcher.fetch_within(store, &archive, deb.size, &report, stop)
    };
    let settle = |index: usize, result: Result<Tree, Failure>| {
        failed.fetch_or(result.is_err(), Ordering::Relaxed);
        *results[index].lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(result);
    };
    rayon::in_place_scope(|unpackers| {
        let download_some = || {
            while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                if failed.load(Ordering::Relaxed) || stop.load(Ordering::Relaxed) {
                    return;
                }
                let (deb, settle) = (&debs[index], &settle);
                match download(deb) {
                    Ok(path) => {
                        unpackers.spawn(move |_| settle(index, unpack_one(deb, &path, staging, selection)));
                    }
                    Err(failure) => settle(index, Err(failure)),
                }
            }
        };
        std::thread::scope(|downloaders| {
            // This thread is one of them. There may be no other to be had.
            for _ in 1..DOWNLOADS.min(debs.len()) {
                let thread = std::thread::Builder::new();
                if thread.spawn_scoped(downloaders, download_some).is_err() {
                    break;
                }
            }
            download_some();
        });
    });

    let mut unpacked = Vec::with_capacity(debs.len());
    let mut missing = false;
    for (deb, result) in debs.iter().zip(results) {
        match result.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
            Some(Ok(tree)) => unpacked.push((deb.name.as_str(), tree)),
            Some(Err(failure)) => return Err(failure),
            None => missing = true,
        }
    }
    if missing {
        return Err(Failure::Cancelled);
    }
    let mut root = merge(&unpacked)?;
    if selection.is_whole() {
        usr_merge(&mut root).map_err(|error| bad("the root file system", &error))?;
    }
    Ok(root)
}

fn unpack_one(
    deb: &PinnedDeb,
    path: &Path,
    staging: &Staging,
    selection: &Selection,
) -> Result<Tree, Failure> {
    unpack_deb(&format!("{} {}", deb.name, deb.version), path, staging, selection)
}

/// All trees in one.
fn merge(unpacked: &[(&str, Tree)]) -> Result<Tree, Failure> {
    let mut root = Tree::default();
    for (index, (name, tree)) in unpacked.iter().enumerate() {
        root.merge(tree).map_err(|error| match error {
            TreeError::Conflict { path, .. } => {
                let at = RelPath::parse(&path).unwrap_or_default();
                let holds = |(_, tree): &&(&str, Tree)| tree.get(&at).is_some();
                let first = unpacked[..index].iter().find(holds).map_or("another package", |(name, _)| name);
                Failure::Overlap { path, first: first.to_owned(), second: (*name).to_owned() }
            }
            other => bad(name, &other),
        })?;
    }
    Ok(root)
}

fn bad(what: &str, error: &TreeError) -> Failure {
    Failure::BadInput { what: what.to_owned(), reason: error.to_string() }
}

/// Unpacks what is selected of one package, called `what` in messages. What it holds in `bin`,
/// `sbin`, `lib` or `lib64` is selected by, and goes to, the same place below `usr`.
pub fn unpack_deb(
    what: &str,
    path: &Path,
    staging: &Staging,
    selection: &Selection,
) -> Result<Tree, Failure> {
    let usr = RelPath::parse("usr").map_err(|error| bad(what, &error))?;
    let place = |path: RelPath| {
        let path = match path.names() {
            // The links themselves come with `usr_merge`.
            [only] if is_merged(only) => return None,
            [first, ..] if is_merged(first) => usr.extend(&path),
            _ => path,
        };
        selection.place(path)
    };
    let unpack = || {
        let data = data_member(File::open(path).map_err(ArchiveError::Read)?)?;
        unpack_tar(data, staging, &place, &Limits::default())
    };
    unpack().map_err(|error| error.into_failure(what))
}

fn is_merged(name: &Name) -> bool {
    name.as_str().is_some_and(|name| MERGED.contains(&name))
}

/// Adds the links that a merged system has at its top, with the directories they lead to.
pub fn usr_merge(root: &mut Tree) -> Result<(), TreeError> {
    for name in MERGED {
        let target = format!("usr/{name}");
        root.insert(&RelPath::parse(&target)?, Node::Directory(Arc::default()))?;
        root.insert(&RelPath::parse(name)?, Node::Link(LinkTarget::new(target.as_bytes())?))?;
    }
    Ok(())
}

/// Finds `data.tar.*` in a `.deb`; before it there must be `debian-binary` of version 2 and the
/// control archive.
fn data_member(file: File) -> Result<impl BufRead, ArchiveError> {
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let refuse = |reason| ArchiveError::Deb(reason);
    let mut magic = [0; 8];
    reader.read_exact(&mut magic).map_err(|_| refuse("it is too short"))?;
    if magic != *b"!<arch>\n" {
        return Err(refuse("it is not an ar archive"));
    }
    for expected in ["debian-binary", "control.tar", "data.tar"] {
        let (name, size) = ar_header(&mut reader)?;
        if name.split_once(".tar").map_or(name.as_str(), |(stem, _)| &name[..stem.len() + 4]) != expected {
            return Err(refuse("its members are not debian-binary, control.tar and data.tar"));
        }
        match expected {
            "debian-binary" => {
                let mut version = String::new();
                (&mut reader).take(size.min(64)).read_to_string(&mut version).map_err(ArchiveError::Read)?;
                if size > 64 || !version.starts_with("2.") || !version.ends_with('\n') {
                    return Err(refuse("its format is not version 2"));
                }
                pass(&mut reader, size % 2)?;
            }
            "data.tar" => return Ok(reader.take(size)),
            _ => pass(&mut reader, size + size % 2)?,
        }
    }
    Err(refuse("it has no data.tar"))
}

/// One header of an `ar` archive: name and size.
fn ar_header(reader: &mut impl Read) -> Result<(String, u64), ArchiveError> {
    let mut header = [0; 60];
    reader.read_exact(&mut header).map_err(|_| ArchiveError::Deb("it is truncated"))?;
    let text = |range: std::ops::Range<usize>| std::str::from_utf8(&header[range]).ok().map(str::trim_end);
    let size = text(48..58).filter(|size| size.bytes().all(|byte| byte.is_ascii_digit()));
    match (text(0..16), size.and_then(|size| size.parse().ok()), &header[58..]) {
        // GNU ar ends names with a slash.
        (Some(name), Some(size), b"`\n") => Ok((name.trim_end_matches('/').to_owned(), size)),
        _ => Err(ArchiveError::Deb("a header of its ar archive is malformed")),
    }
}

fn pass(reader: &mut impl Read, count: u64) -> Result<(), ArchiveError> {
    match std::io::copy(&mut reader.take(count), &mut std::io::sink()) {
        Ok(passed) if passed == count => Ok(()),
        Ok(_) => Err(ArchiveError::Deb("it is truncated")),
        Err(error) => Err(ArchiveError::Read(error)),
    }
}
