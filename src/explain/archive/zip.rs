//! The archives of `zip` (PKWARE's APPNOTE): the directory at the end, and the members that it names.
//!
//! ```text
//! { local header 30, name, extra fields, bytes }…  { entry 46, name, extra fields, comment }…  end 22, comment
//! ```
//!
//! A reader of our own: what is wanted is what the headers say, of which the crate for zip hands out a
//! part, and what that is made for (unpacking, writing, a dozen methods) is not. Archives that need the
//! 64-bit fields, that are split, or that have something in front are told by their bytes.

use std::borrow::Cow;

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::{MOST_MEMBERS, Member, time};
use crate::explain::compressed::unpacked_to;
use crate::explain::{Finding, Room, excerpt};

const LOCAL: &[u8] = b"PK\x03\x04";
const ENTRY: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const LOCAL_SIZE: usize = 30;
const ENTRY_SIZE: usize = 46;
const END_SIZE: usize = 22;

/// The flag of members that need a password.
const ENCRYPTED: u16 = 1;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// The systems of whose files the upper half of the attributes is a mode.
const UNIX: [u8; 2] = [3, 19];

/// Extra fields that are told in words: times, and who owns it.
const TIMES: u16 = 0x5455;
const OWNER: u16 = 0x7875;

/// An archive that has been read.
pub(super) struct Archive<'a> {
    pub members: Vec<Member<'a>>,
    comment: &'a [u8],
}

/// How the bytes of a member are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packing {
    pub method: u16,
    /// Bytes of the content.
    pub size: u64,
    sum: u32,
    is_encrypted: bool,
}

impl Packing {
    /// The content; nothing if it is damaged, packed in a way that is not known, or larger than there is
    /// room for.
    pub fn unpack<'a>(&self, bytes: &'a [u8], room: &mut Room) -> Option<Cow<'a, [u8]>> {
        let content = match self.method {
            _ if self.is_encrypted => return None,
            STORED => Cow::Borrowed(bytes),
            DEFLATED => Cow::Owned(unpacked_to(self.size, DeflateDecoder::new(bytes), room)?),
            _ => return None,
        };
        let mut sum = Crc::new();
        sum.update(&content);
        (content.len() as u64 == self.size && sum.sum() == self.sum).then_some(content)
    }
}

/// Reads an archive; nothing if it is none, or damaged.
pub(super) fn read(bytes: &[u8]) -> Option<Archive<'_>> {
    (bytes.starts_with(LOCAL) || bytes.starts_with(END)).then_some(())?;
    let (end, comment) = end(bytes)?;
    let count = usize::from(number(bytes, end + 10)?);
    (count <= MOST_MEMBERS && number(bytes, end + 4)? == 0).then_some(())?;
    let mut at = size(bytes, end + 16)?;
    // No two members have the same part: so they are never more together than the file is.
    let mut left = bytes.len();
    let mut members = Vec::new();
    for _ in 0..count {
        let entry = bytes.get(at..end)?;
        let behind = |from: usize, length: usize| entry.get(from..from.checked_add(length)?);
        entry.starts_with(ENTRY).then_some(())?;
        let length = |at| Some(usize::from(number(entry, at)?));
        let (name, extra, note) = (length(28)?, length(30)?, length(32)?);
        let (extra_at, note_at) = (ENTRY_SIZE + name, ENTRY_SIZE + name + extra);
        let name = behind(ENTRY_SIZE, name)?;
        let (local, content) = local(bytes, entry)?;
        left = left.checked_sub(LOCAL_SIZE + local.len() + content.len())?;
        let extra = [local, behind(extra_at, extra)?];
        members.push(Member {
            name: String::from_utf8_lossy(name).into_owned(),
            fields: fields(entry, extra, behind(note_at, note)?)?,
            bytes: content,
            packing: Some(Packing {
                method: number(entry, 10)?,
                size: size(entry, 24)? as u64,
                sum: long(entry, 16)?,
                is_encrypted: number(entry, 8)? & ENCRYPTED != 0,
            }),
        });
        at += note_at + note;
    }
    Some(Archive { members, comment })
}

/// Where the end of the directory is, and the comment behind it, with which the file ends.
fn end(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let last = bytes.len().checked_sub(END_SIZE)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let is_end = |at: &usize| {
        bytes[*at..].starts_with(END) && number(bytes, at + 20).is_some_and(|it| usize::from(it) == last - at)
    };
    let at = (first..=last).rev().find(is_end)?;
    Some((at, &bytes[at + END_SIZE..]))
}

/// Extra fields of the header before a member, and the bytes of the member.
fn local<'a>(bytes: &'a [u8], entry: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let header = bytes.get(size(entry, 42)?..)?;
    header.starts_with(LOCAL).then_some(())?;
    let (name, extra) = (usize::from(number(header, 26)?), usize::from(number(header, 28)?));
    let (extra, rest) = header.get(LOCAL_SIZE + name..)?.split_at_checked(extra)?;
    Some((extra, rest.get(..size(entry, 20)?)?))
}

/// What is said of a member besides: by its entry, and by the extra fields of both headers.
fn fields(entry: &[u8], extra: [&[u8]; 2], note: &[u8]) -> Option<Vec<(&'static str, String)>> {
    let (attributes, [version, system]) = (long(entry, 38)?, number(entry, 4)?.to_le_bytes());
    let method = match number(entry, 10)? {
        STORED => "stored".to_owned(),
        DEFLATED => "deflated".to_owned(),
        other => format!("method {other}"),
    };
    let mut fields = vec![
        ("modification time", dos_time(number(entry, 14)?, number(entry, 12)?)),
        ("made by", format!("system {system}, version {version}")),
        ("version needed", number(entry, 6)?.to_string()),
        ("flags", format!("{:#x}", number(entry, 8)?)),
        ("compression", method),
        ("internal attributes", format!("{:#x}", number(entry, 36)?)),
    ];
    if UNIX.contains(&system) {
        fields.push(("mode", format!("{:o}", attributes >> 16)));
        fields.push(("attributes", format!("{:#x}", attributes & 0xffff)));
    } else {
        fields.push(("attributes", format!("{attributes:#x}")));
    }
    if !note.is_empty() {
        fields.push(("comment", String::from_utf8_lossy(note).into_owned()));
    }
    for (bytes, rest) in extra.into_iter().zip(["extra fields", "extra fields of the directory"]) {
        let others: Vec<String> =
            extra_fields(bytes).filter_map(|(id, data)| told(id, data, &mut fields)).collect();
        if !others.is_empty() {
            fields.push((rest, others.join(" ")));
        }
    }
    Some(fields)
}

/// Adds an extra field to those that are told in words; otherwise gives it as digits.
fn told(id: u16, data: &[u8], fields: &mut Vec<(&'static str, String)>) -> Option<String> {
    let mut tell = |name: &'static str, text: String| {
        // The header before the member comes first, and says more.
        if fields.iter().all(|(known, _)| *known != name) {
            fields.push((name, text));
        }
    };
    match (id, data) {
        (TIMES, [_, times @ ..]) => {
            let times = times.chunks_exact(4).filter_map(|four| Some(time(u64::from(long(four, 0)?))));
            tell("times", times.collect::<Vec<_>>().join(", "));
        }
        (OWNER, [1, ids @ ..]) => {
            let (user, group) = owner(ids)?;
            tell("user", user);
            tell("group", group);
        }
        _ => {
            let digits: String =
                data.iter().take(excerpt::STATEMENT).map(|byte| format!("{byte:02x}")).collect();
            return Some(format!("{id:#06x}: {digits}"));
        }
    }
    None
}

/// Two numbers, each behind its length.
fn owner(ids: &[u8]) -> Option<(String, String)> {
    let one = |bytes: &[u8]| {
        let (length, rest) = bytes.split_first()?;
        let (id, rest) = rest.split_at_checked(usize::from(*length))?;
        let id =
            (id.len() <= 8).then(|| id.iter().rev().fold(0_u64, |id, byte| id << 8 | u64::from(*byte)))?;
        Some((id.to_string(), rest.to_vec()))
    };
    let (user, rest) = one(ids)?;
    Some((user, one(&rest)?.0))
}

/// The extra fields of a header: what they are, and what is in them.
fn extra_fields(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (id, length) = (number(bytes, 0)?, usize::from(number(bytes, 2)?));
        let (data, rest) = bytes[4..].split_at_checked(length)?;
        bytes = rest;
        Some((id, data))
    })
}

/// Year from 1980, month, day; hour, minute and half the seconds, where the archive was made.
fn dos_time(date: u16, time: u16) -> String {
    let (year, month, day) = (1980 + (date >> 9), date >> 5 & 15, date & 31);
    let (hour, minute, second) = (time >> 11, time >> 5 & 63, (time & 31) * 2);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// That two archives have other comments.
pub(super) fn comments(before: &Archive, after: &Archive) -> Option<Finding> {
    let text = |bytes: &[u8]| {
        let text = excerpt::head(&String::from_utf8_lossy(bytes), excerpt::STATEMENT);
        (!bytes.is_empty()).then_some(text)
    };
    let (one, other) = (text(before.comment), text(after.comment));
    let place = vec!["comment".to_owned()];
    (before.comment != after.comment).then_some(Finding { place, note: None, before: one, after: other })
}

/// Numbers of two and of four bytes, the lowest first.
fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A length or a place, which is nothing where a field of 64 bits says it.
fn size(bytes: &[u8], at: usize) -> Option<usize> {
    long(bytes, at).filter(|size| *size != u32::MAX).and_then(|size| usize::try_from(size).ok())
}
