//! R72: archives that are small and become large. Each is unpacked by a process of its own, whose
//! memory is measured.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use jtwbuild::fetch::archive::Limits;

use super::archives::{COMPRESSIONS, compressed};
use super::random::rounds;
use super::scene::{Scene, directory};
use super::tar::{Entry, Tar, directory as folder, file, fix_sum, pax};

/// No refusal takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Memory that a process may have used, in KiB: the test program itself has 20 MiB.
const MEMORY: u64 = 400 << 10;

const BOMB: &str = "JTWBUILD_TEST_BOMB";
const MEMBERS: &str = "JTWBUILD_TEST_BOMB_MEMBERS";

/// What a process says that unpacked an archive: why it was refused, and its greatest memory in KiB.
fn refusal(bytes: &[u8], members: u64) -> (String, u64) {
    let place = directory();
    let path = place.path().join("bomb");
    fs::write(&path, bytes).unwrap();
    let begun = Instant::now();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "bombs::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(BOMB, &path)
        .env(MEMBERS, members.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    let line = |key: &str| {
        let line = text.lines().find_map(|line| line.split_once(key)).map(|(_, rest)| rest.trim());
        line.unwrap_or_else(|| panic!("no {key} in {text}")).to_owned()
    };
    (line("REASON:"), line("MEMORY:").parse().unwrap())
}

#[test]
#[ignore = "run by the other tests of this file, in a process of its own"]
fn child() {
    let Some(path) = std::env::var_os(BOMB) else { return };
    let members = std::env::var(MEMBERS).unwrap().parse().unwrap();
    let scene = Scene::new();
    let limits = Limits { members, ..Limits::default() };
    let reason = scene.unpack_file(Path::new(&path), &limits).map(|_| ()).unwrap_err();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("\nREASON: {reason}\nMEMORY: {}", peak.trim_end_matches("kB").trim());
}

#[track_caller]
fn check(what: &str, bytes: &[u8], words: &str) {
    check_within(what, bytes, Limits::default().members, words);
}

#[track_caller]
fn check_within(what: &str, bytes: &[u8], members: u64, words: &str) {
    let begun = Instant::now();
    let (reason, memory) = refusal(bytes, members);
    assert!(reason.contains(words), "{what}: {reason}");
    assert!(memory < MEMORY, "{what}: {} MiB of memory", memory >> 10);
    eprintln!("{what}: {} KiB, {} MiB of memory, {:?}", bytes.len() >> 10, memory >> 10, begun.elapsed());
}

#[test]
fn ten_gigabytes_of_zeros_end_in_a_clear_error() {
    for kind in COMPRESSIONS {
        let huge = file("zeros", "").size(b"77777777777\0");
        let mut bomb = compressed(kind, &Tar::of(&[huge]).0);
        let zeros = compressed(kind, &vec![0; 16 << 20]);
        for _ in 0..640 {
            bomb.extend_from_slice(&zeros);
        }
        check(&format!("10 GiB of zeros in {kind}"), &bomb, "times its own size");
        if kind != "zst" {
            continue;
        }
        // The same behind the end of an archive.
        let mut bomb = compressed(kind, &Tar::of(&[file("a", "1")]).end());
        for _ in 0..640 {
            bomb.extend_from_slice(&zeros);
        }
        check(&format!("10 GiB behind the end in {kind}"), &bomb, "times its own size");
    }
}

#[test]
fn more_bytes_than_allowed_are_refused_before_they_are_read() {
    let huge = file("a", "").size(b"77777777777\0");
    let bytes = Tar::of(&[huge.clone(), huge]).end();
    assert!(Scene::new().unpack(&bytes, &Limits::default()).map(|_| ()).unwrap_err().contains("truncated"));
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    let large = Tar::of(&[file("a", "").size(b"00004000001\0")]).end();
    let reason = Scene::new().unpack(&large, &limits).map(|_| ()).unwrap_err();
    assert!(reason.contains("more than 1048576 bytes"), "{reason}");
}

#[test]
fn a_million_members_end_in_a_clear_error() {
    // A header whose name is a number; only digits change, so the sum is easily kept up.
    let count = 20_000 * u64::try_from(rounds(1).min(50)).unwrap();
    let mut writer = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let header = Tar::of(&[file("0000000000", "")]).0;
    for number in 0..=count {
        let mut one = header.clone();
        one[..10].copy_from_slice(format!("{number:010}").as_bytes());
        fix_sum(&mut one);
        writer.write_all(&one).unwrap();
    }
    check_within(&format!("{count} members"), &writer.finish().unwrap(), count, "members");
}

#[test]
fn directories_that_names_imply_are_counted() {
    let mut tar = Tar::default();
    for number in 0..300 {
        let name = format!("{number}/{}f", "d/".repeat(120));
        tar = tar.add(&pax(b'x', &[(b"path", name.as_bytes())])).add(&file("f", ""));
    }
    let bytes = tar.end();
    check_within("300 files in 36000 directories", &bytes, 30_000, "more than 30000 members");
    let limits = Limits { members: 40_000, ..Limits::default() };
    assert!(Scene::new().unpack(&bytes, &limits).is_ok());
}

#[test]
fn names_of_any_depth_are_refused_in_no_time() {
    for depth in [129, 10_000, 500_000] {
        let name = format!("{}f", "d/".repeat(depth));
        let bytes = Tar::of(&[pax(b'x', &[(b"path", name.as_bytes())]), file("f", "")]).end();
        let words = if depth == 129 { "nest deeper" } else { "not a path" };
        check(&format!("{depth} directories"), &bytes, words);
        let target = [pax(b'x', &[(b"linkpath", name.as_bytes())]), Entry::new(b'1', "f")];
        check(&format!("a hard link {depth} deep"), &Tar::of(&target).end(), "not an earlier file");
    }
    let mut tar = Tar::default();
    for depth in 1..200 {
        tar = tar.add(&pax(b'x', &[(b"path", "d/".repeat(depth).as_bytes())])).add(&folder("d/"));
    }
    check("200 directories one by one", &tar.end(), "nest deeper");
}

#[test]
fn decompressors_do_not_take_the_memory_that_a_header_asks_for() {
    let mut xz = compressed("xz", &Tar::of(&[file("a", "1")]).end());
    // Block header: its size, flags, filter 0x21 with one byte of properties, the dictionary's size.
    assert_eq!(xz[12 + 2..12 + 4], [0x21, 1]);
    let end = 12 + (usize::from(xz[12]) + 1) * 4;
    for (property, words) in [(39, "limit"), (40, "limit"), (41, "")] {
        xz[12 + 4] = property;
        let mut sum = flate2::Crc::new();
        sum.update(&xz[12..end - 4]);
        xz[end - 4..end].copy_from_slice(&sum.sum().to_le_bytes());
        check(&format!("an xz dictionary of {property}"), &xz, words);
    }
    // Frame header without a size; a window of 2 to the power of 31; one raw block.
    let mut zst = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (31 - 10) << 3];
    zst.extend_from_slice(&[1 | 4 << 3, 0, 0, b'a', b'b', b'c', b'd']);
    check("a zstd window of 2 GiB", &zst, "");
}
