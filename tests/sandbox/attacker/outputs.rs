//! Outputs that a tree cannot hold, or that would do harm outside: `output NAME` makes one in `/out`
//! (a directory of its own) or `/merged` (an overlay).

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::call;
use crate::calls::*;

fn mode(path: &str, bits: u32) {
    fs::set_permissions(path, Permissions::from_mode(bits)).expect("own files have modes");
}

fn attribute(path: &str, name: &str, value: &[u8]) -> Tried {
    let (path, name) = (text(path), text(name));
    call!(SETXATTR, at(&path), at(&name), value.as_ptr(), value.len(), 0).map(drop)
}

fn node(path: &str, kind: u32) -> Tried {
    let path = text(path);
    call!(MKNODAT, -100, at(&path), kind | 0o666, 0).map(drop)
}

fn levels(count: usize) {
    std::env::set_current_dir("/out").expect("it is there");
    for _ in 0..count {
        fs::create_dir("d").expect("one more level");
        std::env::set_current_dir("d").expect("it is there");
    }
}

type Make = fn() -> Tried;

#[rustfmt::skip]
fn outputs() -> Vec<(&'static str, Make)> {
    vec![
        ("set-user-id", || { fs::copy("/attacker", "/out/x").expect("a copy"); mode("/out/x", 0o6755); Ok(()) }),
        ("set-group-id-directory", || { fs::create_dir("/out/x").expect("new"); mode("/out/x", 0o3777); Ok(()) }),
        ("attribute", || { fs::write("/out/x", "x").expect("new"); attribute("/out/x", "user.note", b"hello") }),
        ("access-list", || {
            fs::write("/out/x", "x").expect("new");
            // Version 2; owner rw, user 1000 rwx, group r, mask rwx, others rwx.
            let mut list = 2_u32.to_ne_bytes().to_vec();
            for (tag, rights, id) in [(1_u16, 6_u16, u32::MAX), (2, 7, 1000), (4, 4, u32::MAX), (16, 7, u32::MAX), (32, 7, u32::MAX)] {
                list.extend([tag.to_ne_bytes(), rights.to_ne_bytes()].concat());
                list.extend(id.to_ne_bytes());
            }
            attribute("/out/x", "system.posix_acl_access", &list)
        }),
        ("two-names", || { fs::write("/out/x", "x").expect("new"); tried(fs::hard_link("/out/x", "/out/y")) }),
        ("link-of-layer", || tried(fs::hard_link("/merged/file", "/merged/hard"))),
        ("link-of-input", || tried(fs::hard_link("/input/file", "/out/hard"))),
        ("link-of-device", || tried(fs::hard_link("/dev/null", "/out/null"))),
        ("pipe", || node("/out/x", 0o10000)),
        ("socket", || node("/out/x", 0o140000)),
        ("device", || { let path = text("/out/x"); call!(MKNODAT, -100, at(&path), 0o20666, 0x103).map(drop) }),
        ("whiteout", || node("/out/x", 0o20000)),
        ("whiteout-in-overlay", || node("/merged/x", 0o20000)),
        ("whiteout-below", || { fs::create_dir("/out/d").expect("new"); node("/out/d/x", 0o20000) }),
        ("opaque", || {
            fs::create_dir("/out/d").expect("new");
            fs::write("/out/d/x", "x").expect("new");
            attribute("/out/d", "user.overlay.opaque", b"y")
        }),
        ("opaque-in-overlay", || { let _ = attribute("/merged/directory", "user.overlay.opaque", b"y"); Ok(()) }),
        ("redirect", || {
            fs::create_dir("/out/d").expect("new");
            attribute("/out/d", "user.overlay.redirect", b"/../../etc")
        }),
        ("owner", || tried(std::os::unix::fs::chown("/out", Some(0), Some(0)))),
        ("links-out", || tried(symlink("/etc/passwd", "/out/absolute")).and_then(|()| tried(symlink("../../../etc/passwd", "/out/up")))),
        ("closed", || {
            fs::create_dir_all("/out/d/e").expect("new");
            fs::write("/out/d/e/x", "x").expect("new");
            for path in ["/out/d/e/x", "/out/d/e", "/out/d"] { mode(path, 0); }
            Ok(())
        }),
        ("levels-100", || { levels(100); Ok(()) }),
        ("levels-10000", || { levels(10_000); Ok(()) }),
        ("long-names", || {
            std::env::set_current_dir("/out").expect("it is there");
            for _ in 0..20 {
                let name = "n".repeat(255);
                fs::create_dir(&name).expect("new");
                std::env::set_current_dir(&name).expect("it is there");
            }
            tried(fs::write("x", "x"))
        }),
        ("wild-names", || {
            use std::os::unix::ffi::OsStrExt;
            for name in [&b"a\nb"[..], b"\xff\xfe", b"-rf", b"..a", b"...", b" ", b"a\\b", b"\x1b[2J"] {
                fs::write(std::path::Path::new("/out").join(std::ffi::OsStr::from_bytes(name)), "x").expect("a legal name");
            }
            Ok(())
        }),
        ("many", || {
            let count: u32 = std::env::var("MANY").expect("the test says how many").parse().expect("a number");
            for number in 0..count {
                if number % 1000 == 0 { fs::create_dir(format!("/out/{}", number / 1000)).map_err(|error| error.raw_os_error().unwrap_or(0))?; }
                tried(File::create(format!("/out/{}/{number}", number / 1000)))?;
            }
            Ok(())
        }),
        ("sparse-and-huge", || {
            for number in 0..3 {
                tried(File::create(format!("/out/{number}")).and_then(|file| file.set_len(8 << 30)))?;
            }
            Ok(())
        }),
        ("sparse", || { let file = File::create("/out/x").expect("new"); tried(file.set_len(64 << 20)) }),
    ]
}

pub fn list() -> i32 {
    for (name, _) in outputs() {
        println!("{name}");
    }
    0
}

pub fn make(name: &str) -> i32 {
    let Some((_, make)) = outputs().into_iter().find(|(known, _)| *known == name) else { return 2 };
    match make() {
        Ok(()) => 0,
        Err(errno) => {
            println!("{}", crate::calls::name(errno));
            1
        }
    }
}
