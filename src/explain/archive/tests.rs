//! Archives as `ar`, `tar` and `zip` write them, made byte by byte and by the crate.

use super::*;
use crate::explain::short;

/// An archive as `ar` writes it: name (long ones go into a table), time, bytes.
fn ar(symbols: &[&str], members: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    let mut add = |name: &str, time: u32, content: &[u8]| {
        bytes.extend(
            format!("{name:<16}{time:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 100_644, content.len()).bytes(),
        );
        bytes.extend(content);
        bytes.extend((content.len() % 2 == 1).then_some(b'\n'));
    };
    let mut table = u32::try_from(symbols.len()).unwrap().to_be_bytes().to_vec();
    table.extend(std::iter::repeat_n(0, 4 * symbols.len()));
    symbols.iter().for_each(|symbol| table.extend(symbol.bytes().chain([0])));
    add("/", 0, &table);
    let mut names = String::new();
    let short: Vec<String> = members
        .iter()
        .map(|(name, ..)| {
            if name.len() < 16 {
                return format!("{name}/");
            }
            let at = names.len();
            names += &format!("{name}/\n");
            format!("/{at}")
        })
        .collect();
    add("//", 0, names.as_bytes());
    for (short, (_, time, content)) in short.iter().zip(members) {
        add(short, *time, content);
    }
    bytes
}

/// An archive as `tar` writes it: name, time, bytes.
fn tar(members: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, time, content) in members {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mtime(*time);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A member of an archive as `zip` writes it.
#[derive(Clone)]
struct Zipped<'a> {
    name: &'a str,
    content: &'a [u8],
    /// Stored without a level.
    level: Option<u32>,
    /// Date and time as DOS has them.
    time: (u16, u16),
    mode: u32,
    /// Extra fields of the header before it.
    extra: &'a [u8],
    flags: u16,
}

const ZIPPED: Zipped = Zipped {
    name: "a.txt",
    content: b"one\n",
    level: Some(6),
    time: (0x5d7e, 0x1866),
    mode: 0o100_644,
    extra: b"",
    flags: 0,
};

/// Writes a header, or the entry of the directory: what both have is the same.
fn zip_header(bytes: &mut Vec<u8>, member: &Zipped, packed: &[u8], extra: &[u8]) {
    let mut sum = flate2::Crc::new();
    sum.update(member.content);
    let method = if member.level.is_some() { 8 } else { 0 };
    for number in [20, member.flags, method, member.time.1, member.time.0] {
        bytes.extend(number.to_le_bytes());
    }
    for number in [sum.sum(), packed.len().try_into().unwrap(), member.content.len().try_into().unwrap()] {
        bytes.extend(number.to_le_bytes());
    }
    for length in [member.name.len(), extra.len()] {
        bytes.extend(u16::try_from(length).unwrap().to_le_bytes());
    }
}

fn zip(members: &[Zipped], comment: &str) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let packed = member.level.map_or(member.content.to_vec(), |level| {
            let mut writer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(level));
            std::io::Write::write_all(&mut writer, member.content).unwrap();
            writer.finish().unwrap()
        });
        let at = u32::try_from(bytes.len()).unwrap();
        bytes.extend(b"PK\x03\x04");
        zip_header(&mut bytes, member, &packed, member.extra);
        bytes.extend([member.name.as_bytes(), member.extra, &packed].concat());
        directory.extend(b"PK\x01\x02\x1e\x03");
        zip_header(&mut directory, member, &packed, b"");
        directory.extend([0; 6]);
        directory.extend((member.mode << 16).to_le_bytes());
        directory.extend(at.to_le_bytes());
        directory.extend(member.name.bytes());
    }
    let (at, size) = (bytes.len(), directory.len());
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    bytes.extend([count, count].concat());
    bytes.extend([size, at].map(|number| u32::try_from(number).unwrap().to_le_bytes()).concat());
    bytes.extend(u16::try_from(comment.len()).unwrap().to_le_bytes());
    bytes.extend(comment.bytes());
    bytes
}

fn told(before: &[u8], after: &[u8]) -> Vec<String> {
    let read = match before {
        [b'!', ..] => read_ar,
        [b'P', b'K', ..] => read_zip,
        _ => read_tar,
    };
    short(read("x.a", before, after, &mut Room::default()).unwrap().findings)
}

const LONG: &str = "a_name_that_is_too_long_for_a_header.o";

#[test]
fn headers_symbols_and_contents_of_ar_are_told() {
    let before = ar(&["f", "g"], &[("a.o", 1_764_471_963, b"one\n"), (LONG, 0, b"two"), ("c.o", 7, b"c")]);
    assert_eq!(
        told(
            &before,
            &ar(&["f", "h"], &[("a.o", 1_764_471_964, b"1\n"), (LONG, 1, b"two!"), ("d.o", 7, b"dd")])
        ),
        [
            "symbol table g → h",
            "member a.o, modification time [and of one more member] 1764471963 (2025-11-30 03:06:03 UTC) → 1764471964 (2025-11-30 03:06:04 UTC)",
            "member a.o, line 1 one → 1",
            "member a_name_that_is_too_long_for_a_header.o, line 1 two → two!",
            "member c.o 1 bytes → nothing",
            "member d.o nothing → 2 bytes",
        ]
    );
    let moved = ar(&["g", "f"], &[(LONG, 0, b"two"), ("a.o", 1_764_471_963, b"one\n"), ("c.o", 7, b"c")]);
    assert_eq!(
        told(&before, &moved),
        [
            "symbol table [the same symbols in another order] f g → g f".to_owned(),
            format!(
                " [the members are in another order] (symbol table) a.o {LONG} c.o → (symbol table) {LONG} a.o c.o"
            ),
        ]
    );
}

#[test]
fn headers_and_contents_of_tar_are_told() {
    let deep = "d/".repeat(80) + "x";
    let before = tar(&[("a", 1_764_471_963, b"one\n"), (&deep, 5, b"\0\x01")]);
    assert_eq!(
        told(&before, &tar(&[("a", 1_764_471_964, b"two\n"), (&deep, 5, b"\0\x02")])),
        [
            "member a, modification time 1764471963 (2025-11-30 03:06:03 UTC) → 1764471964 (2025-11-30 03:06:04 UTC)".to_owned(),
            "member a, line 1 one → two".to_owned(),
            format!("member {deep}, byte 1 \\x00\\x01 → \\x00\\x02"),
        ]
    );
}

#[test]
fn headers_order_and_contents_of_zip_are_told() {
    let long = "a line of some length\n".repeat(100);
    let b = Zipped { name: "d/b.txt", content: long.as_bytes(), ..ZIPPED };
    let before = zip(&[ZIPPED, b.clone()], "");
    assert_eq!(told(&before, &zip(&[ZIPPED, b.clone()], "made by me")), ["comment nothing → made by me"]);
    let later = Zipped { time: (0x5d7e, 0x1867), mode: 0o100_755, content: b"1\n", ..ZIPPED };
    assert_eq!(
        told(&before, &zip(&[later, b.clone()], "")),
        [
            "member a.txt, mode 100644 → 100755",
            "member a.txt, modification time 2026-11-30 03:03:12 → 2026-11-30 03:03:14",
            "member a.txt, line 1 one → 1",
        ]
    );
    assert_eq!(
        told(&before, &zip(&[b.clone(), ZIPPED], "")),
        [" [the members are in another order] a.txt d/b.txt → d/b.txt a.txt"]
    );
    assert_eq!(
        told(&before, &zip(&[ZIPPED, Zipped { level: None, ..b.clone() }], "")),
        ["member d/b.txt, compression deflated → stored"]
    );
    assert_eq!(
        told(&before, &zip(&[ZIPPED, Zipped { level: Some(0), ..b.clone() }], "")),
        ["member d/b.txt [the same content, compressed in another way] nothing → nothing"]
    );
    let c = Zipped { name: "c", ..b };
    assert_eq!(
        told(&before, &zip(&[ZIPPED, c], "")),
        ["member d/b.txt 2200 bytes → nothing", "member c nothing → 2200 bytes"]
    );
}

#[test]
fn extra_fields_of_zip_are_told_in_words_where_they_are_known() {
    let member = |extra| zip(&[Zipped { extra, ..ZIPPED }], "");
    let one = member(b"UT\x05\0\x01\x9b\xb3\x2b\x69ux\x0b\0\x01\x04\xe8\x03\0\0\x04\0\0\0\0\xfe\xca\0\0");
    let other =
        member(b"UT\x05\0\x01\x9c\xb3\x2b\x69ux\x0b\0\x01\x04\xe9\x03\0\0\x04\x01\0\0\0\xff\xca\x01\0\x07");
    assert_eq!(
        told(&one, &other),
        [
            "member a.txt, extra fields 0xcafe:  → 0xcaff: 07",
            "member a.txt, group 0 → 1",
            "member a.txt, times 1764471707 (2025-11-30 03:01:47 UTC) → 1764471708 (2025-11-30 03:01:48 UTC)",
            "member a.txt, user 1000 → 1001",
        ]
    );
    // Bytes that no header accounts for.
    let mut padded = zip(&[ZIPPED], "");
    padded[4] ^= 1;
    assert_eq!(
        told(&zip(&[ZIPPED], ""), &padded),
        [" [the same members, written in another way] nothing → nothing"]
    );
}

#[test]
fn members_of_zip_are_unpacked_only_if_they_differ_and_there_is_room() {
    let (zeros, ones) = (vec![0; 1 << 16], vec![1; 1 << 16]);
    let pair = |same, content| {
        zip(&[Zipped { content: same, ..ZIPPED }, Zipped { name: "b", content, ..ZIPPED }], "")
    };
    let (before, after) = (pair(&zeros, &zeros), pair(&zeros, &ones));
    let in_room = |bytes| {
        let mut room = Room { depth: 1, bytes };
        (short(read_zip("x.zip", &before, &after, &mut room).unwrap().findings), room.bytes)
    };
    let (told_of, left) = in_room(1 << 17);
    assert!(told_of[0].starts_with("member b, byte 0 \\x00"), "{told_of:?}");
    assert_eq!(left, 0);
    let cannot = "member b [its content cannot be unpacked] 65536 bytes → 65536 bytes";
    assert_eq!(in_room((1 << 17) - 1), (vec![cannot.to_owned()], (1 << 16) - 1));
    // A password, and a sum that is another.
    let encrypted = zip(&[Zipped { flags: 1, content: b"two\n", ..ZIPPED }], "");
    assert_eq!(
        told(&encrypted, &zip(&[Zipped { flags: 1, ..ZIPPED }], "")),
        ["member a.txt [its content cannot be unpacked] 4 bytes → 4 bytes"]
    );
    let mut wrong = zip(&[ZIPPED], "");
    let entry = wrong.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    wrong[entry + 16] ^= 1;
    assert_eq!(
        told(&wrong, &zip(&[ZIPPED], "")),
        ["member a.txt [its content cannot be unpacked] 4 bytes → 4 bytes"]
    );
}

#[test]
fn damaged_zips_are_left_to_others() {
    let whole = zip(&[ZIPPED, Zipped { name: "b", ..ZIPPED }], "a comment");
    assert!(zip::read(&whole).is_some());
    for length in 0..whole.len() {
        assert!(zip::read(&whole[..length]).is_none(), "cut to {length} bytes");
    }
    assert!(zip::read(&zip(&[], "")).is_some_and(|empty| empty.members.is_empty()));
    assert!(zip::read(b"PK is how this text begins").is_none());
    // Members that are the same bytes could be more together than the file is.
    let mut shared = zip(&[ZIPPED, ZIPPED, ZIPPED], "");
    let entries: Vec<usize> =
        (0..shared.len()).filter(|at| shared[*at..].starts_with(b"PK\x01\x02")).collect();
    for entry in entries {
        shared[entry + 42..entry + 46].copy_from_slice(&[0; 4]);
    }
    assert!(zip::read(&shared).is_some(), "three times the same is less than the file");
    let many = zip(&vec![Zipped { content: &[7; 5000], level: None, ..ZIPPED }; 3], "");
    let mut shared = many.clone();
    for at in (0..many.len()).filter(|at| many[*at..].starts_with(b"PK\x01\x02")) {
        shared[at + 42..at + 46].copy_from_slice(&[0; 4]);
        shared[at + 20..at + 24].copy_from_slice(&9000_u32.to_le_bytes());
    }
    assert!(zip::read(&shared).is_none());
}

#[test]
fn archives_are_followed_into_each_other_but_not_without_end() {
    let mut pair = [b"one\n".to_vec(), b"two\n".to_vec()];
    for depth in 0..6 {
        pair = pair.map(|bytes| tar(&[(if depth == 0 { "x" } else { "y" }, 0, &bytes)]));
        let findings = told(&pair[0], &pair[1]);
        assert_eq!(findings.len(), 1, "{findings:?}");
    }
    let findings = told(&pair[0], &pair[1]);
    // The test itself asked for the outermost.
    assert!(
        findings[0].starts_with("member y, member y, member y, member y, member y, byte "),
        "{findings:?}"
    );
}

#[test]
fn of_many_members_only_some_are_looked_into() {
    let contents: Vec<(String, [u8; 1], [u8; 1])> =
        (0..MOST + 9).map(|at| (format!("m{at}"), [0], [1])).collect();
    let one: Vec<_> = contents.iter().map(|(name, one, _)| (name.as_str(), 0, one.as_slice())).collect();
    let other: Vec<_> =
        contents.iter().map(|(name, _, other)| (name.as_str(), 0, other.as_slice())).collect();
    let reading = read_ar("x.a", &ar(&[], &one), &ar(&[], &other), &mut Room::default()).unwrap();
    assert_eq!(reading.findings.len(), MOST + 9);
    assert_eq!(reading.findings[MOST], Finding::default());
}

#[test]
fn damaged_archives_are_left_to_others() {
    let whole = ar(&["f"], &[("a.o", 0, b"one\n"), (LONG, 0, b"two")]);
    // An archive may end between members, and without what fills the last one.
    let readable: Vec<usize> =
        (0..=whole.len()).filter(|length| ar::read(&whole[..*length]).is_some()).collect();
    let [symbols, names, first, last] = [8 + 60 + 10, 60 + 40, 60 + 4, 60 + 4];
    let ends = [8, symbols, symbols + names, symbols + names + first, whole.len() - 1, whole.len()];
    assert_eq!(symbols + names + first + last, whole.len());
    assert_eq!(readable, ends);
    assert!(tar::read(b"too short").is_none());
}
