//! Archives as upstreams make them, and as attackers do.

use std::io::Write;

use super::archive::{Limits, unpack};
use super::*;

fn unpack_bytes(bytes: &[u8], strip: usize) -> Result<(Scene, Staging, Tree), String> {
    unpack_within(bytes, strip, &Limits::default())
}

fn unpack_within(bytes: &[u8], strip: usize, limits: &Limits) -> Result<(Scene, Staging, Tree), String> {
    let scene = Scene::new();
    let file = scene.write("archive", bytes);
    let staging = scene.stage();
    match unpack("x.tar", &file, &staging, strip, limits) {
        Ok(tree) => Ok((scene, staging, tree)),
        Err(Failure::BadInput { what, reason }) => {
            assert_eq!(what, "x.tar");
            Err(reason)
        }
        Err(other) => panic!("{other}"),
    }
}

fn reason(tar: Tar) -> String {
    match unpack_bytes(&tar.end(), 0) {
        Ok((_, _, tree)) => panic!("unpacked to {tree:?}"),
        Err(reason) => reason,
    }
}

fn sample() -> Vec<u8> {
    Tar::default()
        .pax(b'g', &[("comment", "0123456789abcdef")])
        .directory("./")
        .directory("./pkg-1/")
        .file("./pkg-1/README", "read me")
        .program("./pkg-1/bin/run", "#!")
        .link("./pkg-1/out", "../../../etc/passwd")
        .hard_link("./pkg-1/same", "./pkg-1/bin/run")
        .directory("./pkg-1/empty/")
        .end()
}

fn compressed(kind: &str, bytes: &[u8]) -> Vec<u8> {
    match kind {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "bzip2" => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(bytes, 1).unwrap(),
        _ => bytes.to_vec(),
    }
}

#[test]
fn every_compression_gives_the_same_tree() {
    for kind in ["plain", "gzip", "bzip2", "xz", "zstd"] {
        let (_scene, staging, tree) = unpack_bytes(&compressed(kind, &sample()), 1).unwrap();
        assert_eq!(text(&staging, &tree, "README"), "read me", "{kind}");
        assert_eq!(text(&staging, &tree, "bin/run"), "!#!");
        assert_eq!(text(&staging, &tree, "same"), "!#!");
        assert_eq!(text(&staging, &tree, "out"), "-> ../../../etc/passwd");
        assert_eq!(text(&staging, &tree, "empty"), "a directory");
        assert_eq!(tree.entries().count(), 5);
    }
    let (_scene, _, tree) = unpack_bytes(&sample(), 0).unwrap();
    assert_eq!(tree.entries().count(), 1);
    assert!(unpack_bytes(&sample(), 4).unwrap_err().contains("no member is left"));
}

#[test]
fn damaged_and_truncated_compression_is_an_error() {
    for kind in ["gzip", "bzip2", "xz", "zstd"] {
        let whole = compressed(kind, &sample());
        for cut in [whole.len() / 2, whole.len() - 5] {
            assert!(unpack_bytes(&whole[..cut], 1).is_err(), "{kind} {cut}");
        }
        if kind != "zstd" {
            let mut damaged = whole.clone();
            let middle = damaged.len() / 2;
            damaged[middle] ^= 0x55;
            assert!(unpack_bytes(&damaged, 1).is_err(), "{kind}");
        }
        let mut trailing = whole.clone();
        trailing.extend_from_slice(b"garbage after the end");
        assert!(unpack_bytes(&trailing, 1).is_err(), "{kind}");
    }
    for cut in [100, 512 + 100, sample().len() - 1024 - 100] {
        assert!(unpack_bytes(&sample()[..cut], 1).is_err(), "{cut}");
    }
    for (bytes, expected) in [
        (&b""[..], "not a tar"),
        (b"hello", "truncated"),
        (b"PK\x03\x04zip", "zip"),
        (&[0; 2048], "not a tar"),
    ] {
        let reason = unpack_bytes(bytes, 0).unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn names_that_could_leave_the_tree_are_refused_and_odd_ones_kept() {
    for bad in [
        "../x",
        "a/../x",
        "a/..",
        "..",
        "/etc/passwd",
        "a//b",
        "a/./b",
        ".",
        "",
        "./",
        "file/",
        "a/b/",
        "./../x",
    ] {
        let reason = reason(Tar::default().file(bad, "x"));
        assert!(reason.contains(&format!("`{bad}`")), "{bad}: {reason}");
    }
    for bad in ["a\0b", &"x".repeat(256), "x/../../y"] {
        assert!(
            unpack_bytes(&Tar::default().pax(b'x', &[("path", bad)]).file("a", "").end(), 0).is_err(),
            "{bad}"
        );
    }
    for odd in ["c\\x", "a\\..\\b", "-rf", "a b\n", "\u{fffd}é", "...", ".x"] {
        let (_scene, staging, tree) = unpack_bytes(&Tar::default().file(odd, "x").end(), 0).unwrap();
        assert_eq!(text(&staging, &tree, odd), "x");
    }
    let deep = "d/".repeat(200) + "x";
    assert!(reason(Tar::default().pax(b'x', &[("path", &deep)]).file("a", "")).contains("nest deeper"));
}

#[test]
fn nothing_is_written_through_a_link_and_no_member_replaces_another() {
    let tar = Tar::default;
    for (tar, member) in [
        (tar().link("d", "/etc").file("d/passwd", "x"), "d/passwd"),
        (tar().link("a", "b").link("a/c", "/etc"), "a/c"),
        (tar().directory("d").link("d", "/etc"), "d"),
        (tar().link("d", "/etc").directory("d/"), "d/"),
        (tar().file("f", "x").directory("f/"), "f/"),
        (tar().directory("f/").file("f", "x"), "f"),
        (tar().file("f", "1").file("f", "2"), "f"),
        (tar().file("f", "1").program("f", "1"), "f"),
        (tar().file("f", "1").file("f/g", "2"), "f/g"),
    ] {
        let reason = reason(tar);
        assert!(reason.starts_with(&format!("member `{member}`")), "{reason}");
    }
    let (_scene, _, tree) =
        unpack_bytes(&tar().directory("d").file("d/f", "1").directory("d/").file("d/f", "1").end(), 0)
            .unwrap();
    assert_eq!(tree.files().len(), 1);
}

#[test]
fn hard_links_are_to_earlier_files_only() {
    let tar = Tar::default;
    for (tar, member) in [
        (tar().hard_link("a", "/etc/passwd"), "/etc/passwd"),
        (tar().hard_link("a", "../x"), "../x"),
        (tar().hard_link("a", "b").file("b", "x"), "b"),
        (tar().directory("d").hard_link("a", "d"), "d"),
        (tar().link("l", "/etc").hard_link("a", "l/passwd"), "l/passwd"),
        (tar().hard_link("a", "a"), "a"),
    ] {
        let reason = reason(tar);
        assert!(reason.contains(&format!("hard link to `{member}`")), "{reason}");
    }
    assert!(reason(tar().file("f", "x").member(b'1', b"a", b"f", b"body")).contains("has bytes"));
}

#[test]
fn devices_and_other_kinds_are_refused() {
    for kind in *b"346SDMVXNAZ" {
        let reason = reason(Tar::default().member(kind, b"x", b"", b""));
        assert!(reason.contains(&format!("`{}`", char::from(kind))), "{reason}");
    }
    for kind in *b"52" {
        assert!(reason(Tar::default().member(kind, b"x", b"y", b"body")).contains("has bytes"));
    }
}

#[test]
fn sizes_that_two_readers_could_see_differently_are_refused() {
    let hidden = Tar::default().file("hidden", "inner").end();
    let body = std::str::from_utf8(&hidden).unwrap();
    let tar = Tar::default;
    // The PAX header hides a whole archive in a body, or shows one.
    for size in ["0", "512", "99999999", "-1", "+5", "0x5", ""] {
        let reason = reason(tar().pax(b'x', &[("size", size)]).file("a", body));
        assert!(reason.contains("size"), "{size}: {reason}");
    }
    let right = body.len().to_string();
    assert!(unpack_bytes(&tar().pax(b'x', &[("size", &right)]).file("a", body).end(), 0).is_ok());
    for field in [
        &b"\x80\0\0\0\0\0\0\0\0\0\0\x05"[..],
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfb",
        b"-0000000005\0",
        b"+0000000005\0",
        b"0000000005x\0",
        b"00000000008\0",
        b"\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        assert!(reason(tar().raw(b'0', b"a", b"", b"0000644\0", field, b"12345")).contains("its size"));
    }
    // A size that leads beyond the end.
    assert!(
        reason(tar().raw(b'0', b"a", b"", b"0000644\0", b"00000777777\0", b"12345")).contains("truncated")
    );
    assert!(
        reason(tar().raw(b'0', b"a", b"", b"0000644\0", b"77777777777\0", b"12345")).contains("truncated")
    );
}

#[test]
fn extended_headers_are_understood_or_refused() {
    let tar = Tar::default;
    let long = format!("{}/{}", "n".repeat(150), "m".repeat(150));
    let gnu = |kind, text: &str| tar().member(kind, b"././@LongLink", b"", format!("{text}\0").as_bytes());
    for tar in [
        gnu(b'L', &long).file("short", "x"),
        tar().pax(b'x', &[("path", &long), ("mtime", "1.5")]).file("s", "x"),
    ] {
        let (_scene, staging, tree) = unpack_bytes(&tar.end(), 0).unwrap();
        assert_eq!(text(&staging, &tree, &long), "x");
    }
    let (_scene, staging, tree) = unpack_bytes(&gnu(b'K', &long).link("l", "short").end(), 0).unwrap();
    assert_eq!(text(&staging, &tree, "l"), format!("-> {long}"));
    for (tar, why) in [
        (gnu(b'L', "a").member(b'L', b"x", b"", b"b\0").file("s", ""), "two long names"),
        (tar().member(b'L', b"x", b"", b"no NUL").file("s", ""), "end in NUL"),
        (tar().raw(b'0', b"a", b"", b"00x0644\0", b"00000000000\0", b""), "a number in it"),
        (gnu(b'L', "a").pax(b'x', &[("path", "b")]).file("s", ""), "twice"),
        (tar().pax(b'x', &[("mtime", "1")]).pax(b'x', &[("mtime", "1")]).file("s", ""), "two extended"),
        (tar().pax(b'x', &[("path", "a"), ("path", "b")]).file("s", ""), "twice"),
        (tar().pax(b'x', &[("GNU.sparse.major", "1")]).file("s", ""), "GNU.sparse.major"),
        (tar().pax(b'x', &[("SCHILY.realsize", "1")]).file("s", ""), "SCHILY.realsize"),
        (tar().pax(b'g', &[("path", "x")]).file("s", ""), "`path`"),
        (tar().pax(b'g', &[("size", "1")]).file("s", ""), "`size`"),
        (tar().member(b'x', b"p", b"", b"99 path=x\n").file("s", ""), "malformed"),
        (tar().member(b'x', b"p", b"", b"10 path=x\n0").file("s", ""), "malformed"),
        (tar().member(b'x', b"p", b"", b"path=x\n").file("s", ""), "malformed"),
        (tar().member(b'x', b"p", b"", b"8 pathx\n").file("s", ""), "malformed"),
        (tar().pax(b'x', &[("path", "x")]), "without a member"),
        (tar().raw(b'L', b"L", b"", b"0000644\0", b"77777777777\0", b""), "more than a megabyte"),
    ] {
        let reason = reason(tar);
        assert!(reason.contains(why), "{why}: {reason}");
    }
}

#[test]
fn archives_after_the_end_are_refused() {
    let one = Tar::default().file("a", "1").end();
    let two = [one.clone(), Tar::default().file("b", "2").end()].concat();
    assert!(unpack_bytes(&two, 0).unwrap_err().contains("bytes after its end"));
    assert!(unpack_bytes(&[one, vec![0; 9000]].concat(), 0).is_ok());
    let mut bad_sum = Tar::default().file("a", "1").end();
    bad_sum[0] = b'b';
    assert!(unpack_bytes(&bad_sum, 0).is_err());
}

#[test]
fn bombs_end_in_a_clear_error() {
    let limits = Limits { members: 10, bytes: 10_000, ..Limits::default() };
    let zeros = compressed("gzip", &Tar::default().file("z", &"\0".repeat(20_000)).end());
    assert!(unpack_within(&zeros, 0, &limits).unwrap_err().contains("more than 10000 bytes"));
    let tail = compressed("xz", &[Tar::default().file("a", "1").end(), vec![0; 1 << 20]].concat());
    assert!(unpack_within(&tail, 0, &limits).unwrap_err().contains("more than 10000 bytes"));
    let many = (0..11).fold(Tar::default(), |tar, index| tar.directory(&format!("d{index}")));
    assert!(unpack_within(&many.end(), 0, &limits).unwrap_err().contains("more than 10 members"));
}

#[test]
fn a_file_that_is_no_archive_is_placed_under_its_name() {
    let scene = Scene::new();
    let staging = scene.stage();
    let file = scene.write("download", b"#!/bin/sh\n");
    let tree = archive::single("x", &file, "script.sh", &staging, &Limits::default()).unwrap();
    let path = RelPath::parse("script.sh").unwrap();
    assert!(matches!(tree.get(&path), Some(Node::File(file)) if file.size == 10 && !file.executable));
    assert_eq!(tree.entries().count(), 1);
    staging.publish(&tree).unwrap();
    for bad in ["../x", "/x", "a/../../x", "", "."] {
        let failure = archive::single("x", &file, bad, &staging, &Limits::default()).unwrap_err();
        assert!(matches!(failure, Failure::BadInput { .. }), "{bad}");
    }
    let little = Limits { bytes: 9, ..Limits::default() };
    assert!(archive::single("x", &file, "a", &staging, &little).is_err());
}

#[test]
fn bytes_and_not_names_say_what_is_an_archive() {
    let scene = Scene::new();
    let tar = sample();
    let gzip = {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&tar).unwrap();
        packer.finish().unwrap()
    };
    let cases: [(&[u8], bool); 10] = [
        (&tar, true),
        (&gzip, true),
        (b"BZh91AY", true),
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], true),
        (&[0x28, 0xb5, 0x2f, 0xfd, 0], true),
        (b"PK\x03\x04", true),
        (b"#!/bin/sh\n", false),
        (b"BZ", false),
        (b"", false),
        (&[0x1f], false),
    ];
    for (at, (bytes, expected)) in cases.into_iter().enumerate() {
        let file = scene.write("archive.tar.gz", bytes);
        assert_eq!(archive::is_archive("x", &file).unwrap(), expected, "{at}");
    }
}
