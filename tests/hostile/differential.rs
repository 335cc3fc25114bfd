//! R71: what is unpacked at all is what GNU tar and bsdtar unpack, or else it is refused.
//!
//! The archives of the table and mutations of them are unpacked by jtwbuild and, where it takes
//! them, by both programs; what these leave on the disk must be the tree.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use jtwbuild::fetch::archive::Limits;
use jtwbuild::store::staging::scan;
use jtwbuild::store::tree::Tree;

use super::random::{Random, rounds};
use super::scene::{Scene, directory, keep, listing};
use super::table;
use super::tar::{fix_sum, headers};

/// The programs that are on this machine. Without both there is nothing to compare with.
fn programs() -> Option<Vec<&'static str>> {
    let is_there = |program: &&str| {
        let version = Command::new(program).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    };
    let found: Vec<_> = ["tar", "bsdtar"].into_iter().filter(is_there).collect();
    if found.len() == 2 {
        return Some(found);
    }
    assert!(std::env::var_os("CI").is_none(), "GNU tar and bsdtar are needed, there are {found:?}");
    eprintln!("SKIPPED: GNU tar and bsdtar (Debian: libarchive-tools) are needed, there are {found:?}");
    None
}

/// What `program` leaves of an archive, and what it says.
fn extracted(program: &str, archive: &Path, into: &Path) -> (Tree, String) {
    fs::create_dir(into).unwrap();
    let output = Command::new(program)
        .args(["--no-same-owner", "--no-same-permissions", "-xf"])
        .arg(archive)
        .arg("-C")
        .arg(into)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    open(into);
    let tree = scan(into).unwrap();
    fs::remove_dir_all(into).unwrap();
    (tree, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Makes everything readable: archives may say otherwise.
fn open(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            open(&path);
        } else if metadata.is_file() {
            let mode = metadata.permissions().mode() | 0o400;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}

/// Compares one archive; gives whether jtwbuild took it.
fn compare(scene: &Scene, programs: &[&str], what: &str, bytes: &[u8]) -> Result<bool, String> {
    let Ok((_, tree)) = scene.unpack(bytes, &Limits::default()) else { return Ok(false) };
    let archive = scene.write("archive", bytes);
    for program in programs {
        let (other, said) = extracted(program, &archive, &scene.path("out"));
        if other != tree {
            let (ours, theirs) = (listing(&tree).join("\n"), listing(&other).join("\n"));
            let kept = keep("differs.tar", bytes);
            let kept = kept.display();
            return Err(format!("{what} ({kept})\nours:\n{ours}\n{program}:\n{theirs}\n{said}"));
        }
    }
    Ok(true)
}

#[test]
fn archives_of_the_table_are_read_as_gnu_tar_and_bsdtar_read_them() {
    let Some(programs) = programs() else { return };
    let scene = Scene::new();
    let (mut compared, mut differ) = (0, Vec::new());
    for case in table::all() {
        match compare(&scene, &programs, &case.what, &case.bytes) {
            Ok(taken) => compared += usize::from(taken),
            Err(difference) => differ.push(difference),
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n\n"));
    assert!(compared >= 40, "only {compared} were taken");
    let all = table::all().len();
    eprintln!("{compared} of {all} archives of the table were taken and compared");
}

#[test]
fn mutated_archives_are_read_as_gnu_tar_and_bsdtar_read_them_or_refused() {
    let Some(programs) = programs() else { return };
    let mut random = Random::seeded("differential", 1);
    let scene = Scene::new();
    let originals = originals();
    let all = rounds(600);
    let (mut compared, mut differ) = (0, Vec::new());
    for round in 0..all {
        let bytes = mutate(&originals, &mut random);
        match compare(&scene, &programs, &format!("mutation {round}"), &bytes) {
            Ok(taken) => compared += usize::from(taken),
            Err(difference) => differ.push(difference),
        }
    }
    eprintln!("{all} mutated archives, of which {compared} were taken and compared");
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n\n"));
    assert!(compared * 10 > all, "only {compared} of {all} were taken");
}

/// The archives of the table, those that can be unpacked often: most mutations are refused.
pub fn originals() -> Vec<Vec<u8>> {
    let (taken, refused): (Vec<_>, Vec<_>) =
        table::all().into_iter().partition(|case| matches!(case.expected, table::Expected::Tree(_)));
    let often = taken.iter().chain(&taken).chain(&taken).chain(&taken).chain(&refused);
    often.map(|case| case.bytes.clone()).collect()
}

/// Fields of a header: where they begin and how long they are.
const FIELDS: [(usize, usize); 14] = [
    (0, 100),
    (100, 8),
    (108, 8),
    (116, 8),
    (124, 12),
    (136, 12),
    (148, 8),
    (156, 1),
    (157, 100),
    (257, 8),
    (265, 32),
    (329, 8),
    (345, 155),
    (500, 12),
];

/// What programs have been seen to disagree about.
const VALUES: [&[u8]; 40] = [
    b"",
    b"\0",
    b" ",
    b"0",
    b"1",
    b"5",
    b"7",
    b"x",
    b"g",
    b"L",
    b"K",
    b"S",
    b"a",
    b"a/",
    b"./a",
    b"./",
    b"a/b",
    b"../a",
    b"/a",
    b"0000000",
    b"0000777\0",
    b"0000111 ",
    b" 644",
    b"-1",
    b"00000000000\0",
    b"00000000001\0",
    b"00000001000\0",
    b"00000002000 ",
    b"         12\0",
    b"77777777777\0",
    b"\x80\0\0\0\0\0\0\0\0\0\0\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"ustar\x0000",
    b"ustar  \0",
    b"ustar\x0001",
    b"ustar\0\0\0",
    b"ustar 00",
    b"tar\0",
    b"10 path=x\n",
    b"9 size=1\n",
];

/// An archive made of others, with some of its bytes changed where it matters.
pub fn mutate(originals: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = originals[random.below(originals.len())].clone();
    for _ in 0..=random.below(2) {
        let at = headers(&bytes);
        let header = if at.is_empty() { None } else { Some(at[random.below(at.len())]) };
        match (random.below(10), header) {
            (0..=4, Some(header)) => {
                let (start, length) = FIELDS[random.below(FIELDS.len())];
                let value = random.pick(&VALUES);
                let value = &value[..value.len().min(length)];
                let field = &mut bytes[header + start..header + start + length];
                if random.once_in(2) {
                    field.fill(0);
                }
                field[..value.len()].copy_from_slice(value);
                fix_sum(&mut bytes[header..]);
            }
            (5, Some(header)) => {
                let index = random.below(512);
                bytes[header + index] = random.byte();
                fix_sum(&mut bytes[header..]);
            }
            (6, _) if !bytes.is_empty() => {
                let index = random.below(bytes.len());
                bytes[index] ^= 1 << random.below(8);
            }
            (7, _) if bytes.len() >= 1024 => {
                // Blocks change places, are doubled, taken out or made zeros.
                let blocks = bytes.len() / 512;
                let (one, two) = (random.below(blocks) * 512, random.below(blocks) * 512);
                let block = bytes[one..one + 512].to_vec();
                match random.below(4) {
                    0 => bytes[two..two + 512].copy_from_slice(&block),
                    1 => drop(bytes.splice(two..two, block)),
                    2 => drop(bytes.drain(one..one + 512)),
                    _ => drop(bytes.splice(two..two, [0; 512])),
                }
            }
            (8, _) if !bytes.is_empty() => bytes.truncate(random.below(bytes.len())),
            _ => {
                // The beginning of one archive and the end of another.
                let other = &originals[random.below(originals.len())];
                let (cut, from) = (random.below(bytes.len() / 512 + 1), random.below(other.len() / 512 + 1));
                bytes.truncate(cut * 512);
                bytes.extend_from_slice(&other[from * 512..]);
            }
        }
    }
    bytes
}

#[test]
fn the_comparison_sees_a_hidden_member() {
    // What a lax reader would take: the body of `a` shown as members.
    let hidden = super::tar::Tar::of(&[super::tar::file("hidden", "1")]).end();
    let archive = super::tar::Tar::of(&[super::tar::file("a", &hidden)]).end();
    let Some(programs) = programs() else { return };
    let place = directory();
    let path = place.path().join("x.tar");
    fs::write(&path, archive).unwrap();
    for program in programs {
        let (tree, _) = extracted(program, &path, &place.path().join("out"));
        assert_eq!(listing(&tree), [format!("- a {}", hidden.len())], "{program}");
    }
}
