//! Repositories in directories: read in parallel, and told to be the same by looking at their files
//! instead of reading them.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;

use super::content::{
    Content, MAX_BYTES, MAX_FILE, MAX_OPAM, Member, Oddity, file_name, package_name, version_of,
};
use super::table::Table;

/// Timestamps of files may lag behind the clock by this much.
const GRAIN: Duration = Duration::from_millis(20);

/// Directories in `files/` may nest this deep.
pub(super) const MAX_DEPTH: usize = 16;

/// What was read of a directory.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub content: Content,
    /// Every directory that was looked into, from the root, and how it looked before. Files that were
    /// too long too.
    pub directories: Vec<(String, Look)>,
    /// How the files looked, by their paths, before they were read.
    files: Vec<(String, Look)>,
}

/// Times, size, inode and mode: what no ordinary change leaves the same.
type Look = [u64; 7];

impl Reading {
    /// How everything looked, if it tells: nothing had changed so lately that another change might not
    /// show. `since` is when the reading began.
    pub fn looks(&self, since: SystemTime) -> Option<[u8; 32]> {
        let all = || self.directories.iter().chain(&self.files).map(|(_, look)| look);
        let is_settled = all().all(|look| is_settled(look, since));
        is_settled.then(|| digest(all()))
    }
}

/// Why a directory could not be read.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is no `packages/` in it.
    NoPackages,
    Io {
        path: String,
        source: io::Error,
    },
    TooLarge,
}

type Read<T> = Result<T, Trouble>;

/// Reads all opam files and `files/` below `root`.
pub(super) fn read(root: &Path) -> Read<Reading> {
    let before = look_at(root, "packages").unwrap_or_default();
    let packages = match fs::read_dir(root.join("packages")) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(Trouble::NoPackages);
        }
        other => other,
    };
    let mut whole = Reading::default();
    whole.directories.push(("packages".to_owned(), before));
    let mut names = Vec::new();
    for entry in listed("packages", packages)? {
        match package_directory(&entry) {
            Ok(Some(name)) => names.push(name),
            Ok(None) => {}
            Err((name, oddity)) => whole.content.oddities.add("packages/", &name, oddity),
        }
    }
    let join = |mut a: Reading, b: Reading| {
        a.content = a.content.join(b.content);
        a.directories.extend(b.directories);
        a.files.extend(b.files);
        Ok(a)
    };
    let read = names.par_iter().map(|name| read_package(root, name)).try_reduce(Reading::default, join)?;
    whole = join(whole, read)?;
    if let Some(member) = read_file(root, "repo", MAX_OPAM, &mut whole)? {
        whole.content.members.push(Member { executable: false, ..member });
    }
    whole.content.finish();
    whole.directories.sort_unstable();
    whole.files.sort_unstable();
    let bytes: u64 = whole.content.members.iter().map(|member| member.bytes.len() as u64).sum();
    if bytes > MAX_BYTES { Err(Trouble::TooLarge) } else { Ok(whole) }
}

fn trouble(path: &str) -> impl FnOnce(io::Error) -> Trouble {
    let path = path.to_owned();
    move |source| Trouble::Io { path, source }
}

fn listed(path: &str, list: io::Result<fs::ReadDir>) -> Read<Vec<DirEntry>> {
    list.and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(trouble(path))
}

/// The name of an entry, and whether it is a directory, if it is not hidden.
fn kind_of(entry: &DirEntry) -> Result<Option<(String, bool)>, (String, Oddity)> {
    let name = entry.file_name();
    let Some(name) = name.to_str() else {
        return Err((name.to_string_lossy().into_owned(), Oddity::Refused("this name is not UTF-8")));
    };
    if name.starts_with('.') {
        return Ok(None);
    }
    match entry.file_type() {
        Ok(kind) if kind.is_dir() || kind.is_file() => Ok(Some((name.to_owned(), kind.is_dir()))),
        _ => Err((name.to_owned(), Oddity::Ignored("links and special files are not followed"))),
    }
}

fn package_directory(entry: &DirEntry) -> Result<Option<crate::name::PackageName>, (String, Oddity)> {
    match kind_of(entry)? {
        None => Ok(None),
        Some((name, true)) => package_name(&name).map(Some).map_err(|oddity| (name, oddity)),
        Some((name, false)) => {
            let oddity = package_name(&name).err().filter(|oddity| matches!(oddity, Oddity::Refused(_)));
            Err((name, oddity.unwrap_or(Oddity::Ignored("this is not a directory"))))
        }
    }
}

fn read_package(root: &Path, package: &crate::name::PackageName) -> Read<Reading> {
    let mut reading = Reading::default();
    let base = format!("packages/{package}");
    reading.directories.push((base.clone(), look_at(root, &base).unwrap_or_default()));
    for entry in listed(&base, fs::read_dir(root.join(&base)))? {
        let oddity = match kind_of(&entry) {
            Ok(None) => continue,
            Ok(Some((name, is_directory))) => match version_of(package, &name) {
                Ok(_) if is_directory => {
                    read_version(root, format!("{base}/{name}"), &mut reading)?;
                    continue;
                }
                Ok(_) => (name, Oddity::Ignored("this is not a directory")),
                Err(oddity) => (name, oddity),
            },
            Err(odd) => odd,
        };
        reading.content.oddities.add(&format!("{base}/"), &oddity.0, oddity.1);
    }
    Ok(reading)
}

fn read_version(root: &Path, base: String, reading: &mut Reading) -> Read<()> {
    let mut has_opam = false;
    reading.directories.push((base.clone(), look_at(root, &base).unwrap_or_default()));
    for entry in listed(&base, fs::read_dir(root.join(&base)))? {
        let oddity = match kind_of(&entry) {
            Ok(None) => continue,
            Ok(Some((name, false))) if name == "opam" => {
                let member = read_file(root, &format!("{base}/opam"), MAX_OPAM, reading)?;
                has_opam |= member.is_some();
                reading.content.members.extend(member.map(|member| Member { executable: false, ..member }));
                continue;
            }
            Ok(Some((name, true))) if name == "files" => {
                read_files(root, format!("{base}/files"), reading, 0)?;
                continue;
            }
            Ok(Some((name, _))) => (name, Oddity::Ignored("it is neither `opam` nor `files/`")),
            Err(odd) => odd,
        };
        reading.content.oddities.add(&format!("{base}/"), &oddity.0, oddity.1);
    }
    if !has_opam {
        let (below, name) = base.rsplit_once('/').unwrap_or(("", &base));
        let oddity = Oddity::Ignored("there is no usable file `opam` in it");
        reading.content.oddities.add(&format!("{below}/"), name, oddity);
        // Whatever is in `files/` belongs to nothing.
        let lost = format!("{base}/");
        reading.content.members.retain(|member| !member.path.starts_with(&lost));
        reading.files.retain(|(path, _)| !path.starts_with(&lost));
    }
    Ok(())
}

fn read_files(root: &Path, base: String, reading: &mut Reading, depth: usize) -> Read<()> {
    reading.directories.push((base.clone(), look_at(root, &base).unwrap_or_default()));
    for entry in listed(&base, fs::read_dir(root.join(&base)))? {
        let name = entry.file_name();
        let (name, kind) = (name.to_string_lossy().into_owned(), entry.file_type().ok());
        let oddity = match file_name(&name) {
            Err(oddity) => oddity,
            Ok(_) if kind.is_some_and(|kind| kind.is_file()) => {
                let member = read_file(root, &format!("{base}/{name}"), MAX_FILE, reading)?;
                reading.content.members.extend(member);
                continue;
            }
            Ok(_) if kind.is_some_and(|kind| kind.is_dir()) && depth < MAX_DEPTH => {
                read_files(root, format!("{base}/{name}"), reading, depth + 1)?;
                continue;
            }
            Ok(_) => Oddity::Ignored("links and special files are not followed"),
        };
        reading.content.oddities.add(&format!("{base}/"), &name, oddity);
    }
    Ok(())
}

/// One file, if it is there and not too long.
fn read_file(root: &Path, path: &str, max: u64, reading: &mut Reading) -> Read<Option<Member>> {
    use std::io::Read as _;
    let mut file = match fs::File::open(root.join(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(trouble(path))?,
    };
    let metadata = file.metadata().map_err(trouble(path))?;
    if metadata.len() > max || !metadata.is_file() {
        reading.content.oddities.add("", path, too_long(metadata.is_file()));
        // It may become shorter without its directory looking different.
        reading.directories.push((path.to_owned(), look(&metadata)));
        return Ok(None);
    }
    // As long as it was a moment ago: if it grows, it looks different afterwards.
    let mut bytes = vec![0; usize::try_from(metadata.len()).unwrap_or_default()];
    file.read_exact(&mut bytes).map_err(trouble(path))?;
    let executable = metadata.mode() & 0o100 != 0;
    reading.files.push((path.to_owned(), look(&metadata)));
    Ok(Some(Member { path: path.to_owned(), executable, bytes }))
}

/// What to say of a file that is not read.
pub(super) fn too_long(is_file: bool) -> Oddity {
    Oddity::Ignored(if is_file {
        "it is too long (1 MiB for opam files, 16 MiB for others)"
    } else {
        "it is not a regular file"
    })
}

/// The moment before reading, for [`Reading::looks`].
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

/// How all directories and files look now, in the order of [`Reading::looks`]: equal looks mean equal
/// content. `None` when one is missing.
pub(super) fn looks(root: &Path, directories: &[String], table: &Table) -> Option<[u8; 32]> {
    let files = table.entries().iter().map(|entry| &*entry.path);
    let paths: Vec<&str> = directories.iter().map(String::as_str).chain(files).collect();
    let looks: Option<Vec<Look>> = paths.par_iter().map(|path| look_at(root, path)).collect();
    let has_new_file = table.find("repo").is_none() && root.join("repo").exists();
    looks.filter(|_| !has_new_file).map(|looks| digest(looks.iter()))
}

fn look_at(root: &Path, path: &str) -> Option<Look> {
    fs::symlink_metadata(root.join(path)).ok().map(|metadata| look(&metadata))
}

fn look(metadata: &Metadata) -> Look {
    let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
    let [a, b, c, d] = times.map(i64::cast_unsigned);
    [a, b, c, d, metadata.size(), metadata.ino(), u64::from(metadata.mode())]
}

fn digest<'l>(looks: impl Iterator<Item = &'l Look>) -> [u8; 32] {
    let bytes: Vec<u8> = looks.flatten().flat_map(|number| number.to_le_bytes()).collect();
    *blake3::hash(&bytes).as_bytes()
}

/// Whether the last change was clearly before `since`.
fn is_settled(look: &Look, since: SystemTime) -> bool {
    let seconds = u64::try_from(look[2].cast_signed());
    let (Ok(seconds), Ok(nanos)) = (seconds, u32::try_from(look[3])) else { return false };
    UNIX_EPOCH + Duration::new(seconds, nanos) + GRAIN < since
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_since_the_reading_began_tells_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let before = now();
        let package = directory.path().join("packages/a/a.1");
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("opam"), "opam-version: \"2.0\"").unwrap();
        let reading = read(directory.path()).unwrap();
        assert_eq!(reading.looks(before), None);
        let looks = reading.looks(before + Duration::from_secs(3600)).expect("an hour later it does");
        let directories: Vec<String> = reading.directories.iter().map(|(path, _)| path.clone()).collect();
        let table = Table::of(&reading.content.members);
        assert_eq!(super::looks(directory.path(), &directories, &table), Some(looks));
    }
}
