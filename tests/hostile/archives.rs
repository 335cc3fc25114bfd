//! R69, R70, R71, R75: every archive of the table comes to what the table says.

use std::io::Write;

use jtwbuild::fetch::archive::Limits;
use jtwbuild::store::tree::Tree;

use super::scene::{Scene, listing};
use super::table::{self, Expected};
use super::tar::{Tar, directory, file, link, program};

#[test]
fn every_archive_of_the_table_comes_to_what_it_says() {
    let scene = Scene::new();
    let mut wrong = Vec::new();
    for case in table::all() {
        let got = scene.unpack(&case.bytes, &Limits::default()).map(|(_, tree)| listing(&tree));
        match (&case.expected, got) {
            (Expected::Tree(expected), Ok(got)) if *expected == got => {}
            (Expected::Refused(words), Err(reason)) if reason.contains(words) => {}
            (_, got) => wrong.push(format!("{}: {got:?}", case.what)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_message_shows_a_hostile_name_without_its_control_characters_and_not_all_of_it() {
    let scene = Scene::new();
    let reason = |name: &str| {
        let bytes = Tar::of(&[file(format!("{name}/../x"), "1")]).end();
        scene.unpack(&bytes, &Limits::default()).map(|_| ()).unwrap_err()
    };
    let shown = reason("\u{1b}[2J\u{7}\n");
    assert!(!shown.contains(char::is_control), "{shown:?}");
    let bytes = Tar::of(&[super::tar::pax(b'x', &[(b"path", &vec![b'x'; 300_000])]), file("f", "1")]).end();
    let long = scene.unpack(&bytes, &Limits::default()).map(|_| ()).unwrap_err();
    assert!(long.len() < 1000, "{} bytes", long.len());
}

pub fn compressed(kind: &str, bytes: &[u8]) -> Vec<u8> {
    match kind {
        "gz" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "bz2" => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "zst" => zstd::encode_all(bytes, 1).unwrap(),
        _ => bytes.to_vec(),
    }
}

pub const COMPRESSIONS: [&str; 4] = ["gz", "bz2", "xz", "zst"];

fn small() -> Vec<u8> {
    Tar::of(&[directory("d/"), file("d/f", "text"), program("d/p", "#!"), link("d/l", "f")]).end()
}

fn unpacked(bytes: &[u8]) -> Result<Tree, String> {
    Scene::new().unpack(bytes, &Limits::default()).map(|(_, tree)| tree)
}

#[test]
fn compression_changes_nothing_and_every_cut_of_it_is_noticed() {
    let plain = unpacked(&small()).unwrap();
    let scene = Scene::new();
    for kind in COMPRESSIONS {
        let whole = compressed(kind, &small());
        assert_eq!(unpacked(&whole).unwrap(), plain, "{kind}");
        // Two streams one after the other are one, as the programs have it.
        let parts = [compressed(kind, &small()[..700]), compressed(kind, &small()[700..])].concat();
        assert_eq!(unpacked(&parts).unwrap(), plain, "{kind} in two streams");
        for cut in 0..whole.len() {
            assert!(scene.unpack(&whole[..cut], &Limits::default()).is_err(), "{kind} cut at {cut}");
        }
        for garbage in [&b"x"[..], b"PK\x03\x04", b"\x1f\x8b", &small()] {
            let bytes = [&whole[..], garbage].concat();
            assert!(scene.unpack(&bytes, &Limits::default()).is_err(), "{kind} and {garbage:?}");
        }
        let twice = compressed(kind, &whole);
        let reason = unpacked(&twice).unwrap_err();
        assert!(["not a tar archive", "truncated"].iter().any(|words| reason.contains(words)), "{reason}");
    }
}

#[test]
fn zip_archives_are_refused_by_name() {
    for bytes in [&b"PK\x03\x04rest of a zip archive"[..], b"PK\x05\x06an empty one"] {
        assert!(unpacked(bytes).unwrap_err().contains("zip"));
    }
}

#[test]
fn published_files_have_one_mode_one_time_and_no_attributes() {
    use std::os::unix::fs::MetadataExt;
    let scene = Scene::new();
    let entries = [
        program("suid", "1").mode(b"0007777\0"),
        file("plain", "2").mode(b"0000666\0"),
        directory("d/").mode(b"0007777\0"),
        directory("closed/").mode(b"0000000\0"),
        super::tar::pax(b'x', &[(b"SCHILY.xattr.user.evil", b"1"), (b"mtime", b"77"), (b"uid", b"12345")]),
        file("d/attributes", "3"),
    ];
    let (staging, tree) = scene.unpack(&Tar::of(&entries).end(), &Limits::default()).unwrap();
    let root = scene.store.tree_path(&staging.publish(&tree).unwrap());
    let mut times = std::collections::BTreeSet::new();
    for (name, mode) in [("suid", 0o111), ("plain", 0), ("d", 0o111), ("closed", 0o111), ("d/attributes", 0)]
    {
        let metadata = std::fs::symlink_metadata(root.join(name)).unwrap();
        assert_eq!(metadata.mode() & 0o7000, 0, "{name}");
        assert_eq!(metadata.mode() & 0o111, mode, "{name}");
        assert_eq!(metadata.mode() & 0o022, 0, "{name}: others may not write");
        assert_eq!(metadata.uid(), std::fs::metadata(scene.path("store")).unwrap().uid(), "{name}");
        if metadata.is_file() {
            times.insert(metadata.mtime());
        }
    }
    assert_eq!(times.len(), 1, "one time for all: {times:?}");
    assert!(!times.contains(&77));
}
