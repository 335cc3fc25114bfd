//! Compressed files: what their headers say, and how what is inside differs.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::{Finding, Format, Reading, Room, around, common, excerpt, read as read_inside};
use crate::moment::utc;

const BUFFER: usize = 64 << 10;

/// Reads gzip by its magic word, and brotli, which has none, by the name's ending.
pub(super) fn read(name: &str, before: &[u8], after: &[u8], room: &mut Room) -> Option<Reading> {
    let mut findings = Vec::new();
    let (format, one, other) = if before.starts_with(b"\x1f\x8b") && after.starts_with(b"\x1f\x8b") {
        headers(before, after, &mut findings);
        let one = unpacked(MultiGzDecoder::new(before), room)?;
        (Format::Gzip, one, unpacked(MultiGzDecoder::new(after), room)?)
    } else if name.ends_with(".br") {
        let one = unpacked(brotli::Decompressor::new(before, BUFFER), room)?;
        (Format::Brotli, one, unpacked(brotli::Decompressor::new(after, BUFFER), room)?)
    } else {
        return None;
    };
    if one == other {
        if findings.is_empty() {
            findings.push(packed_otherwise(Vec::new()));
        }
        return Some(Reading { format, findings });
    }
    findings.extend(inside(&inner_name(name), "unpacked", &one, &other, room));
    Some(Reading { format, findings })
}

/// What differs in a part of a file, with the part before each place; at least one finding.
pub(super) fn inside(name: &str, part: &str, before: &[u8], after: &[u8], room: &mut Room) -> Vec<Finding> {
    let Reading { mut findings, .. } = read_inside(name, before, after, room);
    if findings.is_empty() {
        let common = common(before, after);
        findings.push(Finding {
            place: vec![format!("byte {common}")],
            note: None,
            before: Some(around(before, common)),
            after: Some(around(after, common)),
        });
    }
    for finding in &mut findings {
        finding.place.insert(0, part.to_owned());
    }
    findings
}

/// All that a stream gives; nothing if it is damaged, or larger than there is room for. What was unpacked
/// in vain takes room, too.
fn unpacked(stream: impl Read, room: &mut Room) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(room.bytes).unwrap_or(u64::MAX);
    let ended = stream.take(most.saturating_add(1)).read_to_end(&mut bytes);
    let left = room.bytes.checked_sub(bytes.len());
    room.bytes = left.unwrap_or(0);
    ended.ok().and(left).map(|_| bytes)
}

/// What a stream gives if it is so many bytes.
pub(super) fn unpacked_to(size: u64, stream: impl Read, room: &mut Room) -> Option<Vec<u8>> {
    if size > room.bytes as u64 {
        return None;
    }
    unpacked(stream.take(size + 1), room).filter(|bytes| bytes.len() as u64 == size)
}

/// That two parts say the same, although their compressed bytes differ.
pub(super) fn packed_otherwise(place: Vec<String>) -> Finding {
    Finding {
        place,
        note: Some("the same content, compressed in another way".to_owned()),
        ..Finding::default()
    }
}

fn inner_name(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, "tgz")) => format!("{stem}.tar"),
        Some((stem, "gz" | "br")) => stem.to_owned(),
        _ => name.to_owned(),
    }
}

/// The fields of gzip's header (RFC 1952).
fn headers(before: &[u8], after: &[u8], findings: &mut Vec<Finding>) {
    let (one, other) = (MultiGzDecoder::new(before), MultiGzDecoder::new(after));
    let (Some(one), Some(other)) = (one.header(), other.header()) else { return };
    let mut field = |name: &str, before: Option<String>, after: Option<String>| {
        if before != after {
            findings.push(Finding { place: vec!["header".into(), name.into()], note: None, before, after });
        }
    };
    // 0 stands for no time.
    let time = |seconds: u32| (seconds > 0).then(|| format!("{seconds} ({})", utc(seconds)));
    field("modification time", time(one.mtime()), time(other.mtime()));
    let text = |bytes: Option<&[u8]>| {
        bytes.map(|bytes| excerpt::head(&String::from_utf8_lossy(bytes), excerpt::STATEMENT))
    };
    field("file name", text(one.filename()), text(other.filename()));
    field("comment", text(one.comment()), text(other.comment()));
    let system = |number: u8| Some(number.to_string());
    field("operating system", system(one.operating_system()), system(other.operating_system()));
    // How hard the compressor worked: 2 is hardest, 4 is fastest.
    let effort = |bytes: &[u8]| bytes.get(8).map(u8::to_string);
    field("extra flags", effort(before), effort(after));
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, GzBuilder};

    use super::*;

    fn gzip(text: &str, time: u32, level: u32) -> Vec<u8> {
        let mut writer =
            GzBuilder::new().mtime(time).filename("a").write(Vec::new(), Compression::new(level));
        writer.write_all(text.as_bytes()).unwrap();
        writer.finish().unwrap()
    }

    fn brotli(text: &str, quality: u32) -> Vec<u8> {
        let mut packed = Vec::new();
        let mut writer = ::brotli::CompressorWriter::new(&mut packed, 4096, quality, 20);
        writer.write_all(text.as_bytes()).unwrap();
        drop(writer);
        packed
    }

    fn told(name: &str, before: &[u8], after: &[u8]) -> (Format, Vec<Finding>) {
        let reading = read(name, before, after, &mut Room::default()).unwrap();
        (reading.format, reading.findings)
    }

    #[test]
    fn headers_and_content_are_told_apart() {
        let (format, findings) = told("a.txt.gz", &gzip("x\n", 0, 6), &gzip("x\n", 1_796_083_199, 6));
        assert_eq!(format, Format::Gzip);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].place, ["header", "modification time"]);
        assert_eq!(findings[0].after.as_deref(), Some("1796083199 (2026-11-30 23:59:59 UTC)"));

        let (_, findings) = told("a.js.gz", &gzip("a;b", 0, 6), &gzip("a;c", 0, 6));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].place, ["unpacked", "statement 2 at line 1, column 3"]);
    }

    #[test]
    fn the_same_content_may_be_compressed_in_another_way() {
        let text = "a line of some length, ".repeat(300) + "and its end";
        let (format, findings) = told("a.br", &brotli(&text, 1), &brotli(&text, 9));
        assert_eq!(format, Format::Brotli);
        assert_eq!(findings[0].note.as_deref(), Some("the same content, compressed in another way"));
        let (_, findings) = told("a.br", &brotli("one", 5), &brotli("two", 5));
        assert_eq!(findings[0].place, ["unpacked", "line 1"]);
    }

    #[test]
    fn bombs_and_damage_are_left_to_others() {
        let zeros = "\0".repeat(1 << 20);
        let (one, other) = (gzip(&zeros, 0, 9), gzip(&zeros, 1, 9));
        let mut room = Room { depth: 1, bytes: 1 << 18 };
        assert_eq!(read("a.gz", &one, &other, &mut room), None);
        assert_eq!(room.bytes, 0, "what was unpacked in vain");
        let mut room = Room::default();
        let all = room.bytes;
        assert_eq!(read("a.gz", &one[..one.len() / 2], &other, &mut room), None);
        assert!((1 << 18..1 << 20).contains(&(all - room.bytes)), "{}", all - room.bytes);
        // What is inside each other counts together.
        let mut nested = [one, other];
        for _ in 0..6 {
            nested = nested.map(|bytes| {
                let mut writer = GzBuilder::new().write(Vec::new(), Compression::new(1));
                writer.write_all(&bytes).unwrap();
                writer.finish().unwrap()
            });
        }
        let (_, findings) = told("a.gz", &nested[0], &nested[1]);
        assert_eq!(findings[0].place[..5], ["unpacked"; 5]);
        assert!(findings[0].place[5].starts_with("byte "), "{findings:?}");
    }
}
