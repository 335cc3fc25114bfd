//! Archives into trees: decompression, limits, and how members become nodes.
//!
//! Nothing of an archive is ever used as a path of this machine. Members become nodes of a
//! [`Tree`], whose types refuse what could lead out of it; of a member only its name, kind,
//! executable bit, link target and bytes count. What two tar programs could read differently is
//! refused rather than guessed (see [`tar`]).

mod tar;

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use thiserror::Error;

use self::tar::{Kind, Members};
use super::machine;
use crate::legible;
use crate::outcome::Failure;
use crate::store::StoreError;
use crate::store::staging::Staging;
use crate::store::tree::{self, BlobHash, LinkTarget, Node, RelPath, Tree, TreeError};

/// What an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Members of any kind, and the directories that their names imply.
    pub members: u64,
    /// Bytes of all files together.
    pub bytes: u64,
    /// Bytes that may come of one compressed byte, once there are [`Limits::always`] of them. Of what
    /// people pack hardly anything shrinks to a fiftieth.
    pub ratio: u64,
    /// Bytes that may come of anything.
    pub always: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { members: 1_000_000, bytes: 8 << 30, ratio: 200, always: 256 << 20 }
    }
}

/// Memory that a decompressor may ask for: that of `xz -9` and of `zstd --long`, with room to spare.
const DECODER_MEMORY: u64 = 192 << 20;

/// Bytes of a name that messages show.
const SHOWN: usize = 120;

/// Why an archive was refused. Members are named as the archive names them.
#[derive(Debug, Error)]
pub enum ArchiveError {
    #[error("{0}")]
    Read(#[source] io::Error),
    #[error("this is not a tar archive (plain or gzip, bzip2, xz or zstd compressed)")]
    NotAnArchive,
    #[error("this is a zip archive; only tar archives can be unpacked")]
    Zip,
    #[error("member `{member}`: {reason}")]
    Member { member: String, reason: MemberError },
    #[error("member `{member}`: {source}")]
    Tree { member: String, source: TreeError },
    #[error("it holds more than {0} members")]
    TooMany(u64),
    #[error("it unpacks to more than {0} bytes")]
    TooLarge(u64),
    #[error("it unpacks to more than {0} bytes, more than {1} times its own size")]
    Bomb(u64, u64),
    #[error("there are bytes after its end")]
    Trailing,
    #[error("this is not a Debian package: {0}")]
    Deb(&'static str),
    #[error("no member is left after stripping {0} leading directories")]
    Empty(usize),
    /// The store could not take the files in.
    #[error(transparent)]
    Store(StoreError),
}

/// What is wrong with one member.
#[derive(Debug, Error)]
pub enum MemberError {
    #[error("its name is not a path below the archive")]
    Name,
    #[error("its kind is not a file, directory or link, but `{}`", char::from(*.0).escape_default())]
    Kind(u8),
    #[error("it is a hard link to `{0}`, which is not an earlier file")]
    HardLink(String),
    #[error("it is not a file, and yet has bytes")]
    Body,
    #[error("its header is malformed: {0}")]
    Header(&'static str),
    #[error("its extended header `{0}` is not understood")]
    Extension(String),
}

impl ArchiveError {
    /// The failure of a node that needed `what` unpacked.
    pub fn into_failure(self, what: &str) -> Failure {
        match self {
            Self::Store(error) => machine(&error),
            Self::Read(error) if error.raw_os_error().is_some() => {
                Failure::Machine { what: format!("reading {what}"), reason: error.to_string() }
            }
            error => Failure::BadInput { what: what.to_owned(), reason: error.to_string() },
        }
    }
}

/// Unpacks the archive at `path`, called `what` in messages, into a tree without the first `strip`
/// components of every name. File bytes go into `staging`. Members that have no name left are
/// left out; that nothing is left is an error.
pub fn unpack(
    what: &str,
    path: &Path,
    staging: &Staging,
    strip: usize,
    limits: &Limits,
) -> Result<Tree, Failure> {
    let keep = |name: RelPath| {
        let names = name.names().get(strip..).unwrap_or_default();
        let kept = names.iter().fold(RelPath::default(), |path, name| path.join(name.clone()));
        (!kept.names().is_empty()).then_some(kept)
    };
    let unpacked = File::open(path)
        .map_err(ArchiveError::Read)
        .and_then(|file| unpack_tar(BufReader::new(file), staging, &keep, limits))
        .and_then(|tree| if tree.is_empty() { Err(ArchiveError::Empty(strip)) } else { Ok(tree) });
    unpacked.map_err(|error| error.into_failure(what))
}

/// Whether the file at `path`, called `what` in messages, begins as an archive does: a compressed
/// file, a tar archive or a zip archive. Opam decides by the first bytes too.
pub fn is_archive(what: &str, path: &Path) -> Result<bool, Failure> {
    let mut head = [0; 512];
    let mut read = || {
        let mut file = File::open(path)?;
        let mut length = 0;
        while length < head.len() {
            match file.read(&mut head[length..]) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(length)
    };
    let length = read().map_err(|error| ArchiveError::Read(error).into_failure(what))?;
    let head = &head[..length];
    let is_tar = head.get(257..262) == Some(b"ustar");
    Ok(is_tar || MAGIC.iter().any(|magic| head.starts_with(magic)))
}

/// How compressed files and zip archives begin: gzip, bzip2, xz, zstd, lzma, zip.
const MAGIC: [&[u8]; 6] = [
    &[0x1f, 0x8b],
    b"BZh",
    &[0xfd, b'7', b'z', b'X', b'Z', 0],
    &[0x28, 0xb5, 0x2f, 0xfd],
    &[0x5d, 0, 0],
    &[b'P', b'K', 3, 4],
];

/// A tree that holds the file at `path`, called `what` in messages, under `name`. Its bytes go into
/// `staging`.
pub fn single(
    what: &str,
    path: &Path,
    name: &str,
    staging: &Staging,
    limits: &Limits,
) -> Result<Tree, Failure> {
    let take = || {
        let wrong = |source| ArchiveError::Tree { member: shown(name.as_bytes()), source };
        let target = RelPath::parse(name).map_err(wrong)?;
        let file = File::open(path).map_err(ArchiveError::Read)?;
        if file.metadata().map_err(ArchiveError::Read)?.len() > limits.bytes {
            return Err(ArchiveError::TooLarge(limits.bytes));
        }
        let mut body = Tapped { inner: file, failed: None };
        let added = staging.add(&mut body, false);
        let added = match body.failed {
            Some(error) => Err(ArchiveError::Read(error)),
            None => added.map_err(ArchiveError::Store),
        };
        let mut tree = Tree::default();
        tree.insert(&target, Node::File(added?)).map_err(wrong)?;
        Ok(tree)
    };
    take().map_err(|error| error.into_failure(what))
}

/// Unpacks a tar archive, compressed or not. `place` says where a member goes in the tree, or that
/// it is left out.
pub(super) fn unpack_tar(
    reader: impl BufRead,
    staging: &Staging,
    place: &dyn Fn(RelPath) -> Option<RelPath>,
    limits: &Limits,
) -> Result<Tree, ArchiveError> {
    unpack_members(reader, &mut |from, executable| staging.add(from, executable), place, limits)
}

/// Reads a tar archive, compressed or not, into memory: the members that `place` puts somewhere, and
/// the bytes of their files. The limits are those of the whole archive.
pub fn read_tar(
    path: &Path,
    place: &dyn Fn(RelPath) -> Option<RelPath>,
    limits: &Limits,
) -> Result<(Tree, HashMap<BlobHash, Vec<u8>>), ArchiveError> {
    let mut blobs = HashMap::new();
    let mut take = |from: &mut dyn Read, executable| {
        let mut bytes = Vec::new();
        let read = from.read_to_end(&mut bytes);
        read.map_err(|source| StoreError::Io { operation: "read", path: path.to_owned(), source })?;
        let blob = BlobHash::from_bytes(*blake3::hash(&bytes).as_bytes());
        let file = tree::File { blob, size: bytes.len() as u64, executable };
        blobs.insert(blob, bytes);
        Ok(file)
    };
    let reader = BufReader::new(File::open(path).map_err(ArchiveError::Read)?);
    let tree = unpack_members(reader, &mut take, place, limits)?;
    Ok((tree, blobs))
}

/// Takes the bytes of a file in: what a tree is to hold for them.
type Take<'a> = &'a mut dyn FnMut(&mut dyn Read, bool) -> Result<tree::File, StoreError>;

fn unpack_members(
    reader: impl BufRead,
    take: Take<'_>,
    place: &dyn Fn(RelPath) -> Option<RelPath>,
    limits: &Limits,
) -> Result<Tree, ArchiveError> {
    let taken = Cell::new(0);
    let counted = Counted { inner: reader, taken: &taken };
    let mut bounded = Bounded { inner: decompress(counted)?, taken: &taken, given: 0, limits };
    let mut members = Members::new(&mut bounded);
    let mut tree = Tree::default();
    let (mut count, mut bytes) = (0, 0_u64);
    while let Some(member) = members.next()? {
        count += 1;
        if count > limits.members {
            return Err(ArchiveError::TooMany(limits.members));
        }
        bytes = bytes.saturating_add(member.size);
        if bytes > limits.bytes {
            return Err(ArchiveError::TooLarge(limits.bytes));
        }
        let refuse = |reason| ArchiveError::Member { member: shown(&member.name), reason };
        let wrong = |source| ArchiveError::Tree { member: shown(&member.name), source };
        let name = member_path(&member.name, matches!(member.kind, Kind::Directory)).ok_or(MemberError::Name);
        let target = place(name.map_err(refuse)?);
        let node = match member.kind {
            Kind::Directory => Node::Directory(std::sync::Arc::default()),
            Kind::Link(target) => Node::Link(LinkTarget::new(&target).map_err(wrong)?),
            Kind::HardLink(earlier) => {
                let missing = || refuse(MemberError::HardLink(shown(&earlier)));
                let Some(path) = member_path(&earlier, false) else { return Err(missing()) };
                // A link that is left out need not find its target, which may be left out too.
                match place(path).and_then(|path| tree.get(&path).cloned()) {
                    Some(node @ (Node::File(_) | Node::Link(_))) => node,
                    _ if target.is_none() => continue,
                    _ => return Err(missing()),
                }
            }
            Kind::File { executable } => {
                if target.is_none() {
                    continue;
                }
                Node::File(take_body(&mut members, take, executable)?)
            }
        };
        let Some(target) = target.filter(|target| !target.names().is_empty()) else { continue };
        count += implied(&tree, &target);
        if count > limits.members {
            return Err(ArchiveError::TooMany(limits.members));
        }
        tree.insert(&target, node).map_err(wrong)?;
    }
    if count == 0 {
        return Err(ArchiveError::NotAnArchive);
    }
    drain(&mut bounded)?;
    Ok(tree)
}

/// Takes the bytes of the member that was just read in.
fn take_body<R: Read>(
    members: &mut Members<R>,
    take: Take<'_>,
    executable: bool,
) -> Result<tree::File, ArchiveError> {
    let mut body = Tapped { inner: members, failed: None };
    let added = take(&mut body, executable);
    match body.failed {
        Some(error) => Err(trouble(error)),
        None => added.map_err(ArchiveError::Store),
    }
}

/// How many directories on the way to `path` are not there yet.
fn implied(tree: &Tree, path: &RelPath) -> u64 {
    let (mut here, mut missing) = (Some(tree), 0);
    for name in path.names().split_last().map_or(&[][..], |(_, parents)| parents) {
        here = here.and_then(|tree| match tree.child(name) {
            Some(Node::Directory(below)) => Some(below.as_ref()),
            _ => None,
        });
        missing += u64::from(here.is_none());
    }
    missing
}

/// A hostile name as messages show it: its beginning, without control characters.
fn shown(name: &[u8]) -> String {
    let mut shown = legible::line(&String::from_utf8_lossy(&name[..name.len().min(SHOWN)]));
    if name.len() > SHOWN {
        shown.push('…');
    }
    shown
}

/// A member's name as a path: `./` before it and, of a directory, `/` after it are taken away.
fn member_path(name: &[u8], directory: bool) -> Option<RelPath> {
    let mut name = name;
    while let Some(rest) = name.strip_prefix(b"./") {
        name = rest;
    }
    if directory {
        name = name.strip_suffix(b"/").unwrap_or(name);
        if matches!(name, b"" | b".") {
            return Some(RelPath::default());
        }
    }
    // bsdtar takes the letter of a drive away, GNU tar does not.
    let has_drive = matches!(name, [letter, b':', ..] if letter.is_ascii_alphabetic());
    // Deeper than any tree: not worth taking apart.
    let is_deep = name.split(|byte| *byte == b'/').nth(4 * tree::MAX_DEPTH).is_some();
    if has_drive || is_deep {
        return None;
    }
    let path = RelPath::parse(name).ok()?;
    // The empty path is the archive itself, which only a directory can be.
    (!path.names().is_empty()).then_some(path)
}

/// Reads to the end, so that the compression's own checks have their say. After the end of the
/// archive there may be nothing but zeros.
fn drain(reader: &mut impl Read) -> Result<(), ArchiveError> {
    let mut chunk = vec![0; 64 << 10];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) if chunk[..count].iter().any(|byte| *byte != 0) => return Err(ArchiveError::Trailing),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(trouble(error)),
        }
    }
}

/// Undoes the compression that the first bytes tell of, whatever the file is called.
pub(super) fn decompress<'a>(mut reader: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>, ArchiveError> {
    let head = reader.fill_buf().map_err(ArchiveError::Read)?;
    Ok(match head {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(reader)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let flags = liblzma::stream::CONCATENATED;
            let stream = liblzma::stream::Stream::new_stream_decoder(DECODER_MEMORY, flags)
                .map_err(|error| ArchiveError::Read(error.into()))?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(reader, stream))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(zstd::stream::read::Decoder::with_buffer(reader).map_err(ArchiveError::Read)?)
        }
        [b'P', b'K', 3 | 5, 4 | 6, ..] => return Err(ArchiveError::Zip),
        [] => return Err(ArchiveError::NotAnArchive),
        _ => Box::new(reader),
    })
}

/// Counts the bytes that a decompressor takes.
struct Counted<'a, R> {
    inner: R,
    taken: &'a Cell<u64>,
}

impl<R: BufRead> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.taken.set(self.taken.get().saturating_add(count as u64));
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.taken.set(self.taken.get().saturating_add(count as u64));
        self.inner.consume(count);
    }
}

/// Ends a decompression bomb.
struct Bounded<'a, R> {
    inner: R,
    /// Bytes that went into the decompressor, and bytes that came out of it.
    taken: &'a Cell<u64>,
    given: u64,
    limits: &'a Limits,
}

/// Carried through `io::Error` to be recognised again.
#[derive(Debug, Error)]
enum OverLimit {
    #[error("it unpacks to more than {0} bytes")]
    Bytes(u64),
    #[error("it unpacks to more than {0} bytes, more than {1} times its own size")]
    Ratio(u64, u64),
}

/// Trouble that a reader of the archive met.
fn trouble(error: io::Error) -> ArchiveError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<OverLimit>()) {
        Some(OverLimit::Bytes(limit)) => ArchiveError::TooLarge(*limit),
        Some(OverLimit::Ratio(bytes, times)) => ArchiveError::Bomb(*bytes, *times),
        None => ArchiveError::Read(error),
    }
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.given = self.given.saturating_add(count as u64);
        let limits = self.limits;
        // Headers and padding count here too, so that not even empty members are free.
        let total = limits.bytes.saturating_add(limits.members.saturating_mul(1024));
        let fair = limits.always.max(self.taken.get().saturating_mul(limits.ratio));
        if self.given > total {
            return Err(io::Error::other(OverLimit::Bytes(limits.bytes)));
        }
        if self.given > fair {
            return Err(io::Error::other(OverLimit::Ratio(fair, limits.ratio)));
        }
        Ok(count)
    }
}

/// Remembers whether trouble came from the archive (and not from the store that reads it).
struct Tapped<R> {
    inner: R,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Tapped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let seen = io::Error::new(error.kind(), error.to_string());
                self.failed = Some(error);
                Err(seen)
            }
        }
    }
}
