//! Objects that the tests write themselves: no compiler is needed.

use super::*;
use crate::explain::short;

/// A section: name, kind (1 data, 2 symbols, 3 strings; perhaps [`COMPRESSED`]), address, bytes.
type Part<'a> = (&'a str, u32, u64, Vec<u8>);

const COMPRESSED: u32 = 1 << 31;

/// An object for 64 bits as assemblers write it; symbols have names, sections, addresses and sizes.
fn object(parts: &[Part], symbols: &[(&str, u16, u64, u64)]) -> Vec<u8> {
    let mut strings = vec![0];
    let mut table = vec![0; 24];
    for (name, section, address, size) in symbols {
        table.extend(u32::try_from(strings.len()).unwrap().to_le_bytes());
        table.extend([0x12, 0]);
        table.extend(section.to_le_bytes());
        table.extend(address.to_le_bytes());
        table.extend(size.to_le_bytes());
        strings.extend(name.bytes().chain([0]));
    }
    let mut parts: Vec<Part> = [("", 0, 0, Vec::new())].into_iter().chain(parts.iter().cloned()).collect();
    let strings_at = u32::try_from(parts.len()).unwrap();
    parts.push((".strtab", 3, 0, strings));
    parts.push((".symtab", 2, 0, table));
    let mut names = vec![];
    let name_at: Vec<usize> = parts
        .iter()
        .map(|part| part.0)
        .chain([".shstrtab"])
        .map(|name| {
            names.extend(name.bytes().chain([0]));
            names.len() - name.len() - 1
        })
        .collect();
    parts.push((".shstrtab", 3, 0, names));
    let mut bytes = vec![0; 64];
    let mut headers = Vec::new();
    for ((_, kind, address, content), name) in parts.iter().zip(name_at) {
        let (link, info, entry) = if *kind == 2 { (strings_at, 1_u32, 24_u64) } else { (0, 0, 0) };
        while !bytes.len().is_multiple_of(8) {
            bytes.push(0);
        }
        headers.extend(u32::try_from(name).unwrap().to_le_bytes());
        headers.extend((kind & !COMPRESSED).to_le_bytes());
        headers.extend((if kind & COMPRESSED == 0 { 2_u64 } else { 0x802 }).to_le_bytes());
        headers.extend(address.to_le_bytes());
        headers.extend((bytes.len() as u64).to_le_bytes());
        headers.extend((content.len() as u64).to_le_bytes());
        headers.extend(link.to_le_bytes());
        headers.extend(info.to_le_bytes());
        headers.extend(1_u64.to_le_bytes());
        headers.extend(entry.to_le_bytes());
        bytes.extend(content);
    }
    while !bytes.len().is_multiple_of(8) {
        bytes.push(0);
    }
    let count = u16::try_from(parts.len()).unwrap();
    let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\x3e\0\x01\0\0\0".to_vec();
    header.extend([0; 16]);
    header.extend((bytes.len() as u64).to_le_bytes());
    header.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0]);
    header.extend(count.to_le_bytes());
    header.extend((count - 1).to_le_bytes());
    bytes[..64].copy_from_slice(&header);
    bytes.extend(headers);
    bytes
}

fn parts(text: &[u8], data: &[u8], id: u8, comment: &str) -> [Part<'static>; 4] {
    let mut note = b"\x04\0\0\0\x02\0\0\0\x03\0\0\0GNU\0".to_vec();
    note.extend([id, 0xff]);
    [
        (".text", 1, 0, text.to_vec()),
        (".rodata", 1, 0, data.to_vec()),
        (".note.gnu.build-id", 7, 0, note),
        (".comment", 1, 0, format!("{comment}\0").into_bytes()),
    ]
}

const SYMBOLS: [(&str, u16, u64, u64); 2] = [("caml_f", 1, 0, 4), ("caml_g", 1, 4, 4)];

fn told(before: &[u8], after: &[u8]) -> Vec<String> {
    short(read(before, after, &mut Room::default()).unwrap().findings)
}

#[test]
fn sections_and_strings_are_told() {
    let before = object(&parts(b"12345678", b"\0\x01built in /tmp/a/x\0\x02same\0", 1, "GCC 14.2"), &SYMBOLS);
    let after = object(&parts(b"12345x7y", b"\0\x01built in /tmp/b/x\0\x02same\0", 2, "GCC 14.3"), &SYMBOLS);
    assert_eq!(
        told(&before, &after),
        [
            "section .text, symbol caml_g, byte 5 [2 of 8 bytes differ] 36 37 38 → 78 37 79",
            "section .rodata, strings [an absolute path] built in /tmp/a/x → built in /tmp/b/x",
            "section .comment, strings GCC 14.2 → GCC 14.3",
            "section .note.gnu.build-id [a digest of the whole file] 01ff → 02ff",
        ]
    );
    assert_eq!(told(&before, &before), [""; 0]);
    let other =
        object(&parts(b"12345678", b"\0\x01built in /tmp/a/x\0\x03same\0", 1, "GCC 14.2")[..2], &SYMBOLS);
    assert_eq!(
        told(&before, &other),
        [
            "section .rodata, byte 20 [1 of 26 bytes differ] 02 73 61 6d 65 00 → 03 73 61 6d 65 00",
            "section .comment 9 bytes → nothing",
            "section .note.gnu.build-id 18 bytes → nothing",
        ]
    );
}

#[test]
fn symbols_are_told_and_not_their_tables() {
    let before = object(&parts(b"12345678", b"", 1, ""), &SYMBOLS);
    let after = object(&parts(b"12345678", b"", 1, ""), &[("caml_h", 1, 0, 2), ("caml_g", 1, 2, 6)]);
    assert_eq!(
        told(&before, &after),
        [
            "symbols [1 symbol only in the first] caml_f → nothing",
            "symbols [1 symbol only in the second] nothing → caml_h",
            "symbols [1 symbol of another size, of which the first is] caml_g 4 bytes → caml_g 6 bytes",
            "symbols [1 symbol at another place, of which the first is] caml_g at 0x4 → caml_g at 0x2",
        ]
    );
}

#[test]
fn damaged_objects_are_left_to_others() {
    let whole = object(&parts(b"12345678", b"", 1, ""), &SYMBOLS);
    assert!(read(&whole, &whole[..whole.len() / 2], &mut Room::default()).is_none());
    assert!(read(b"\x7fELF", &whole, &mut Room::default()).is_none());
    assert!(read(b"\x7fELF", b"\x7fELG", &mut Room::default()).is_none());
}

/// Offsets into a table of strings follow from its strings.
#[test]
fn debug_information_that_refers_to_other_strings_is_named_only() {
    let file = |directory: &str, offset: u8, line: u8| {
        let strings = format!("{directory}\0main\0").into_bytes();
        let parts: [Part; 4] = [
            (".text", 1, 0, vec![1, 2, 3]),
            (".debug_info", 1, 0, vec![offset, 0, 0, 0]),
            (".debug_line", 1, 0, vec![line, 0, 0, 0]),
            (".debug_str", 1, 0, strings),
        ];
        object(&parts, &[])
    };
    assert_eq!(
        told(&file("/build", 7, 1), &file("/other/build", 13, 2)),
        [
            "section .debug_str, strings /build → /other/build",
            "section .debug_info, .debug_line [differ, too; they refer to strings of debug information] nothing → nothing",
        ]
    );
    let alone = told(&file("/build", 7, 1), &file("/build", 7, 2));
    assert_eq!(alone, ["section .debug_line, byte 0 [1 of 4 bytes differ] 01 00 00 00 → 02 00 00 00"]);
}

/// What a compressed section has: which method, how long it is unpacked, and the packed bytes.
fn packed(method: u32, size: usize, bytes: &[u8]) -> Vec<u8> {
    let mut header = [method, 0].map(u32::to_le_bytes).concat();
    header.extend([size as u64, 1].map(u64::to_le_bytes).concat());
    [header, bytes.to_vec()].concat()
}

fn zlib(content: &[u8], level: u32) -> Vec<u8> {
    let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(level));
    std::io::Write::write_all(&mut writer, content).unwrap();
    packed(1, content.len(), &writer.finish().unwrap())
}

fn zstd(content: &[u8]) -> Vec<u8> {
    packed(2, content.len(), &::zstd::bulk::compress(content, 3).unwrap())
}

fn debug_strings(kind: u32, strings: Vec<u8>) -> Vec<u8> {
    object(&[(".text", 1, 0, vec![1, 2, 3]), (".debug_str", kind, 0, strings)], &[])
}

#[test]
fn compressed_sections_are_compared_by_what_they_hold() {
    let strings = |name: &str| format!("{}main\0{name}\0", "int\0char\0".repeat(100)).into_bytes();
    let (one, other) = (strings("/build/a"), strings("/build/b"));
    let expected = ["section .debug_str, strings [an absolute path] /build/a → /build/b"];
    for (before, after) in
        [(zlib(&one, 6), zlib(&other, 6)), (zstd(&one), zstd(&other)), (zstd(&one), zlib(&other, 6))]
    {
        assert_eq!(
            told(&debug_strings(1 | COMPRESSED, before), &debug_strings(1 | COMPRESSED, after)),
            expected
        );
    }
    let plain = debug_strings(1, one.clone());
    let by_zlib = debug_strings(1 | COMPRESSED, zlib(&one, 6));
    assert_eq!(told(&plain, &debug_strings(1 | COMPRESSED, zstd(&other))), expected);
    for also in
        [&plain, &debug_strings(1 | COMPRESSED, zlib(&one, 1)), &debug_strings(1 | COMPRESSED, zstd(&one))]
    {
        let expected = "section .debug_str [the same content, compressed in another way] nothing → nothing";
        assert_eq!(told(&by_zlib, also), [expected]);
    }
    assert_eq!(told(&by_zlib, &by_zlib), [""; 0]);
}

#[test]
fn compressed_sections_that_cannot_be_unpacked_are_compared_by_their_bytes() {
    let (one, other) = (vec![0; 1 << 16], vec![1; 1 << 16]);
    let file = |bytes: Vec<u8>| debug_strings(1 | COMPRESSED, bytes);
    let in_room = |before: Vec<u8>, after: Vec<u8>, bytes: usize| {
        let mut room = Room { depth: 1, bytes };
        let told = short(read(&file(before), &file(after), &mut room).unwrap().findings);
        (told.join("; "), room.bytes)
    };
    // Both together need twice as much as one.
    let (told, left) = in_room(zlib(&one, 6), zlib(&other, 6), 1 << 17);
    assert!(told.starts_with("section .debug_str, strings "), "{told}");
    assert_eq!(left, 0);
    let (told, left) = in_room(zlib(&one, 6), zlib(&other, 6), (1 << 17) - 1);
    assert!(told.starts_with("section .debug_str, byte "), "{told}");
    assert_eq!(left, (1 << 16) - 1);
    for (method, size) in [(1, 1 << 15), (1, 1 << 17), (2, 1 << 16), (3, 1 << 16)] {
        let mut wrong = zlib(&other, 6);
        wrong[..4].copy_from_slice(&u32::to_le_bytes(method));
        wrong[8..16].copy_from_slice(&u64::to_le_bytes(size));
        let (told, _) = in_room(zlib(&one, 6), wrong, 1 << 20);
        assert!(told.starts_with("section .debug_str, byte "), "method {method}, {size} bytes: {told}");
    }
}
