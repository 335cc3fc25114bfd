//! Archives as `ar` and `tar` write them, made byte by byte and by the crate.

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

fn told(before: &[u8], after: &[u8]) -> Vec<String> {
    let read = if before.starts_with(b"!") { read_ar } else { read_tar };
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
