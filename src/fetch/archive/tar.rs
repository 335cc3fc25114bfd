//! The members of a tar archive, read strictly.
//!
//! Headers are the tar crate's; which member they make is decided here, because readers of the
//! format disagree about oddities, and archives have been made that show one content to a checker
//! and another to an unpacker. Whatever GNU tar and bsdtar could read differently is an error:
//! sizes that an extended header contradicts, extended headers that are malformed, unknown or
//! given twice, bodies of directories and links, sparse files, base-256 sizes, devices, numbers that
//! are none, unknown versions of the format. `tests/hostile/differential.rs` compares.
//! Formats: POSIX.1-2017 `pax`, GNU tar's manual, "Basic Tar Format".

use std::io::{self, Read};

use tar::Header;

use super::{ArchiveError, MemberError, shown, trouble};

const BLOCK: usize = 512;
/// Names and extended headers longer than this are refused before they are read.
const MAX_EXTENSION: u64 = 1 << 20;

/// What a member is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File {
        executable: bool,
    },
    Directory,
    /// A symbolic link, with its target.
    Link(Vec<u8>),
    /// The same file as an earlier member, with that member's name.
    HardLink(Vec<u8>),
}

/// One member; of a file the bytes are read from [`Members`] before the next member.
#[derive(Debug)]
pub(super) struct Member {
    pub name: Vec<u8>,
    pub kind: Kind,
    pub size: u64,
}

/// Reads members one after another; as a `Read`, it gives the bytes of the current one.
pub(super) struct Members<R> {
    reader: R,
    /// Bytes of the current member that are still to be read, and the padding after them.
    body: u64,
    padding: u64,
}

/// What extended headers say about the member after them.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    pax: bool,
}

impl<R: Read> Members<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, body: 0, padding: 0 }
    }

    /// The next member; nothing at the end of the archive.
    pub(super) fn next(&mut self) -> Result<Option<Member>, ArchiveError> {
        let mut extended = Extended::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                let unused = extended.pax || extended.name.is_some() || extended.link.is_some();
                return if unused {
                    Err(refuse(b"", header_error("an extended header without a member")))
                } else {
                    Ok(None)
                };
            };
            let name = header.path_bytes().into_owned();
            check_form(&header).map_err(|what| refuse(&name, header_error(what)))?;
            let size =
                number(&header.as_old().size).ok_or_else(|| refuse(&name, header_error("its size")))?;
            self.body = size;
            self.padding = size.next_multiple_of(BLOCK as u64) - size;
            let kind = header.entry_type().as_byte();
            match kind {
                b'L' | b'K' => {
                    let mut text = self.extension(&name)?;
                    if text.pop() != Some(0) {
                        return Err(refuse(&name, header_error("a long name that does not end in NUL")));
                    }
                    let slot = if kind == b'L' { &mut extended.name } else { &mut extended.link };
                    if slot.replace(text).is_some() {
                        return Err(refuse(&name, header_error("two long names for one member")));
                    }
                }
                b'x' => {
                    if std::mem::replace(&mut extended.pax, true) {
                        return Err(refuse(&name, header_error("two extended headers for one member")));
                    }
                    let text = self.extension(&name)?;
                    pax(&text, &mut |key, value| extended.record(key, value))
                        .map_err(|reason| refuse(&name, reason))?;
                }
                b'g' => {
                    // git writes the commit here. What would change members is refused.
                    let text = self.extension(&name)?;
                    pax(&text, &mut |key, _| match key {
                        b"comment" => Ok(()),
                        key => ignorable(key),
                    })
                    .map_err(|reason| refuse(&name, reason))?;
                }
                _ => return self.member(&header, name, extended).map(Some),
            }
        }
    }

    fn member(&mut self, header: &Header, name: Vec<u8>, extended: Extended) -> Result<Member, ArchiveError> {
        let name = extended.name.unwrap_or(name);
        let size = self.body;
        if extended.size.is_some_and(|claimed| claimed != size) {
            return Err(refuse(&name, header_error("its two headers give different sizes")));
        }
        let link = || {
            let short = header.link_name_bytes().map(std::borrow::Cow::into_owned);
            extended.link.clone().or(short).unwrap_or_default()
        };
        let kind = match header.entry_type().as_byte() {
            b'0' | b'\0' | b'7' => {
                let mode =
                    number(&header.as_old().mode).ok_or_else(|| refuse(&name, header_error("its mode")))?;
                Kind::File { executable: mode & 0o100 != 0 }
            }
            b'5' => Kind::Directory,
            b'2' => Kind::Link(link()),
            b'1' => Kind::HardLink(link()),
            other => return Err(refuse(&name, MemberError::Kind(other))),
        };
        if size != 0 && !matches!(kind, Kind::File { .. }) {
            return Err(refuse(&name, MemberError::Body));
        }
        Ok(Member { name, kind, size })
    }

    /// Passes over what was not read of the current member.
    fn skip(&mut self) -> Result<(), ArchiveError> {
        let mut left = self.body + self.padding;
        (self.body, self.padding) = (0, 0);
        let mut chunk = [0; 16 << 10];
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            let count = read_full(&mut self.reader, &mut chunk[..wanted])?;
            if count < wanted {
                return Err(ended());
            }
            left -= count as u64;
        }
        Ok(())
    }

    /// The next header; nothing at the end mark or, as both tar programs have it, at the end of
    /// the file between members.
    fn header(&mut self) -> Result<Option<Header>, ArchiveError> {
        let mut header = Header::new_old();
        match read_full(&mut self.reader, header.as_mut_bytes())? {
            0 => return Ok(None),
            BLOCK => {}
            _ => return Err(ended()),
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let bytes = header.as_bytes();
        let sum = bytes[..148].iter().chain(&bytes[156..]).map(|byte| u64::from(*byte)).sum::<u64>() + 8 * 32;
        if number(&header.as_old().cksum) != Some(sum) {
            return Err(ArchiveError::NotAnArchive);
        }
        Ok(Some(header))
    }

    /// The body of an extended header.
    fn extension(&mut self, name: &[u8]) -> Result<Vec<u8>, ArchiveError> {
        if self.body > MAX_EXTENSION {
            return Err(refuse(name, header_error("an extended header of more than a megabyte")));
        }
        let mut text = Vec::new();
        let size = self.body;
        let count = io::copy(&mut *self, &mut text).map_err(trouble)?;
        if count == size { Ok(text) } else { Err(ended()) }
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.body).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            // zstd takes a read of nothing for being stuck.
            return Ok(0);
        }
        let count = self.reader.read(&mut buffer[..wanted])?;
        self.body -= count as u64;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is truncated"));
        }
        Ok(count)
    }
}

impl Extended {
    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), MemberError> {
        let twice = || Err(header_error("it says something twice"));
        match key {
            b"path" if self.name.replace(value.to_vec()).is_some() => twice(),
            b"linkpath" if self.link.replace(value.to_vec()).is_some() => twice(),
            b"path" | b"linkpath" => Ok(()),
            b"size" => {
                let text =
                    std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
                let size =
                    text.and_then(|text| text.parse().ok()).ok_or(header_error("its extended size"))?;
                if self.size.replace(size).is_some() { twice() } else { Ok(()) }
            }
            key => ignorable(key),
        }
    }
}

/// Refuses headers that one program reads by another format's rules than the other, or not at all.
fn check_form(header: &Header) -> Result<(), &'static str> {
    let old = header.as_old();
    let bytes = header.as_bytes();
    let known = match &bytes[257..265] {
        b"ustar\x0000" | b"ustar  \0" => true,
        // Without the word there is only the oldest form, which has nothing here.
        other => !other.starts_with(b"ustar"),
    };
    if !known {
        return Err("its format");
    }
    // bsdtar takes what is here for the map of a sparse file, whatever the member's kind.
    if bytes[257..265] == *b"ustar  \0" && bytes[386..495].iter().any(|byte| *byte != 0) {
        return Err("a map of a sparse file");
    }
    // Nobody needs these numbers here, but where they are none, bsdtar sees no archive.
    let numbers = [&old.mode[..], &old.uid, &old.gid, &old.mtime, &bytes[329..337], &bytes[337..345]];
    let is_number = |field: &&[u8]| {
        let blank = field.iter().all(|byte| matches!(byte, 0 | b' '));
        blank || matches!(field[0], 0x80 | 0xff) || number(field).is_some()
    };
    if numbers.iter().all(is_number) { Ok(()) } else { Err("a number in it") }
}

/// Extended headers about what a tree does not hold.
fn ignorable(key: &[u8]) -> Result<(), MemberError> {
    const IGNORED: [&[u8]; 16] = [
        b"atime",
        b"ctime",
        b"mtime",
        b"uid",
        b"gid",
        b"uname",
        b"gname",
        b"comment",
        b"charset",
        b"hdrcharset",
        b"LIBARCHIVE.creationtime",
        b"MSWINDOWS.rawsd",
        b"SCHILY.dev",
        b"SCHILY.ino",
        b"SCHILY.nlink",
        b"SCHILY.fflags",
    ];
    const PREFIXES: [&[u8]; 5] =
        [b"SCHILY.xattr.", b"SCHILY.acl.", b"LIBARCHIVE.xattr.", b"RHT.security.", b"APPLE."];
    if IGNORED.contains(&key) || PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
        return Ok(());
    }
    Err(MemberError::Extension(shown(key)))
}

/// Takes key and value of a pax record.
type Record<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), MemberError> + 'a;

/// Reads the records of a pax header, `LENGTH KEY=VALUE\n` each, where LENGTH counts all of it.
fn pax(mut text: &[u8], record: &mut Record) -> Result<(), MemberError> {
    let malformed = || header_error("a malformed extended header");
    while !text.is_empty() {
        let space = text.iter().take(20).position(|byte| *byte == b' ').ok_or_else(malformed)?;
        let digits =
            std::str::from_utf8(&text[..space]).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let length: usize = digits.and_then(|digits| digits.parse().ok()).ok_or_else(malformed)?;
        let (this, rest) = text.split_at_checked(length).ok_or_else(malformed)?;
        let this = this.get(space + 1..).and_then(|this| this.strip_suffix(b"\n")).ok_or_else(malformed)?;
        let equals = this.iter().position(|byte| *byte == b'=').filter(|at| *at > 0).ok_or_else(malformed)?;
        record(&this[..equals], &this[equals + 1..])?;
        text = rest;
    }
    Ok(())
}

/// An octal field: spaces, digits, then spaces or NULs. The base-256 form is refused: it is for
/// numbers beyond what a file may have here.
fn number(field: &[u8]) -> Option<u64> {
    let start = field.iter().position(|byte| *byte != b' ')?;
    let field = &field[start..];
    let end = field.iter().position(|byte| !(b'0'..=b'7').contains(byte)).unwrap_or(field.len());
    let clean = field[end..].iter().all(|byte| matches!(byte, 0 | b' '));
    let digits = std::str::from_utf8(&field[..end]).ok()?;
    if clean { u64::from_str_radix(digits, 8).ok() } else { None }
}

fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(trouble(error)),
        }
    }
    Ok(filled)
}

fn header_error(what: &'static str) -> MemberError {
    MemberError::Header(what)
}

fn refuse(name: &[u8], reason: MemberError) -> ArchiveError {
    ArchiveError::Member { member: shown(name), reason }
}

fn ended() -> ArchiveError {
    ArchiveError::Read(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is truncated"))
}
