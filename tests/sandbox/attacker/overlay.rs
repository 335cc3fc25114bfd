//! A random sequence of file operations in the overlay at `/opt`, and a list of what is there
//! afterwards, for the comparison with what the engine made of the overlay's top directory.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::call;
use crate::calls::*;

/// A generator of numbers that the same seed makes repeat (PCG with 32 bits).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn place(random: &mut Random, is_new: bool) -> PathBuf {
    // New paths have a letter of their own, so that gentle sequences leave the layers alone.
    let letter = if is_new { "n" } else { "d" };
    let path = match random.below(3) {
        0 => format!("{letter}{}", random.below(4)),
        1 => format!("d{}/{}{}", random.below(3), if is_new { "n" } else { "e" }, random.below(6)),
        _ => format!(
            "d{}/e{}/{}{}",
            random.below(3),
            random.below(5),
            if is_new { "n" } else { "f" },
            random.below(40)
        ),
    };
    Path::new("/opt").join(path)
}

fn add(path: &Path, bytes: &[u8]) {
    let _ =
        OpenOptions::new().append(true).create(true).open(path).and_then(|mut file| file.write_all(bytes));
}

fn times(path: &Path) {
    let path = text(path);
    let _ = call!(UTIMENSAT, -100, at(&path), 0, 0);
}

/// Moves as `mv` does: by a copy where a rename is refused.
fn rename(from: &Path, to: &Path) {
    if fs::rename(from, to).is_err_and(|error| error.raw_os_error() == Some(EXDEV))
        && fs::symlink_metadata(to).is_err()
    {
        copy(from, to);
        let _ = fs::remove_dir_all(from);
    }
}

fn copy(from: &Path, to: &Path) {
    let Ok(status) = fs::symlink_metadata(from) else { return };
    if to.starts_with(from) {
        return;
    }
    if status.is_dir() {
        let _ = fs::create_dir(to);
        for entry in fs::read_dir(from).into_iter().flatten().flatten() {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else if let Ok(target) = fs::read_link(from) {
        let _ = symlink(target, to);
    } else {
        let _ = fs::copy(from, to);
    }
}

fn gentle(random: &mut Random) {
    let (old, new) = (place(random, false), place(random, true));
    match random.below(9) {
        0 => times(&old),
        1 => drop(OpenOptions::new().write(true).open(&old)),
        2 => {
            // Away and back again, byte for byte.
            if let (Ok(bytes), Ok(status)) = (fs::read(&old), fs::symlink_metadata(&old)) {
                if status.is_file() {
                    let _ = fs::remove_file(&old);
                    let _ = fs::write(&old, bytes);
                    let _ = fs::set_permissions(&old, status.permissions());
                }
            }
        }
        3 => drop(fs::hard_link(&old, &new)),
        4 if fs::symlink_metadata(&new).is_err() => copy(&old, &new),
        // Not through a second name of a layer's file: that would change the layer's.
        5 if fs::symlink_metadata(&new).map_or(true, |status| status.nlink() == 1 && status.is_file()) => {
            add(&new, b"more")
        }
        6 => drop(fs::create_dir_all(&new)),
        7 => {
            // A directory of the layers is replaced by an equal one, which is opaque then.
            let away = Path::new("/tmp/away");
            if fs::symlink_metadata(&old).is_ok_and(|status| status.is_dir()) {
                copy(&old, away);
                let _ = fs::remove_dir_all(&old);
                copy(away, &old);
                let _ = fs::remove_dir_all(away);
            }
        }
        _ => drop(symlink(&old, &new)),
    }
}

fn any(random: &mut Random) {
    let is_new = random.below(3) == 0;
    let (one, other) = (place(random, is_new), place(random, false));
    match random.below(17) {
        0 => drop(fs::remove_file(&one)),
        1 => drop(fs::remove_dir_all(&one)),
        2 => {
            let _ = fs::remove_dir_all(&one);
            let _ = fs::create_dir_all(&one);
        }
        3 | 4 => rename(&one, &other),
        5 => drop(fs::write(&one, format!("new {}", random.below(100)))),
        6 => drop(symlink(&one, &other)),
        7 | 8 => drop(fs::hard_link(&one, &other)),
        9 => drop(fs::create_dir_all(one.join("below"))),
        10 => {
            let bits = [0o755, 0o4755, 0o700, 0o600][random.below(4) as usize];
            // The list at the end has to get into every directory.
            let bits = if one.is_dir() { bits | 0o700 } else { bits };
            let _ = fs::set_permissions(&one, Permissions::from_mode(bits));
        }
        11 => copy(&one, &other),
        12 => times(&one),
        13 => {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&one);
            let _ = file.and_then(|mut file| {
                file.seek(SeekFrom::Start(random.below(1 << 20)))?;
                file.write_all(b"far")
            });
        }
        14 => {
            let (one, other) = (text(&one), text(&other));
            let _ = call!(RENAMEAT2, -100, at(&one), -100, at(&other), 2);
        }
        15 => {
            let file = OpenOptions::new().write(true).open(&one);
            let _ = file.and_then(|file| file.set_len(random.below(9)));
        }
        _ => add(&one, b"more"),
    }
}

/// Lists everything at `path`: kind, executable bit, size and checksum or target, path.
fn list(path: &Path, to: &mut impl Write) {
    let mut names: Vec<_> =
        fs::read_dir(path).expect("it can be listed").flatten().map(|entry| entry.path()).collect();
    names.sort();
    for path in names {
        let status = fs::symlink_metadata(&path).expect("it is there");
        let shown = path.strip_prefix("/opt").expect("it is below").display().to_string();
        if status.is_dir() {
            writeln!(to, "d {shown}").expect("written");
            list(&path, to);
        } else if let Ok(target) = fs::read_link(&path) {
            writeln!(to, "l {shown} {}", target.display()).expect("written");
        } else {
            let mut bytes = Vec::new();
            File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)).expect("it can be read");
            // FNV-1a
            let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
                (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
            });
            let executable = if status.mode() & 0o100 == 0 { "f" } else { "x" };
            writeln!(to, "{executable} {shown} {} {sum:016x}", bytes.len()).expect("written");
        }
    }
}

/// `operations` is a number, with a leading `g` for sequences that leave the layers as they are.
pub fn run(seed: &str, operations: &str) -> i32 {
    let mut random = Random(seed.parse().expect("a number"));
    let is_gentle = operations.starts_with('g');
    let count: u32 = operations.trim_start_matches('g').parse().expect("a number");
    for _ in 0..count {
        if is_gentle { gentle(&mut random) } else { any(&mut random) }
    }
    let options = OpenOptions::new().write(true).create_new(true).mode(0o644).open("/out/list");
    let mut out = std::io::BufWriter::new(options.expect("a new file"));
    list(Path::new("/opt"), &mut out);
    out.flush().expect("written");
    0
}
