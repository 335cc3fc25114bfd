//! Attacks on inputs: `/input` is a read-only tree, `/merged` an overlay of the same tree.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};

use crate::Outcome::{Own, Refused};
use crate::calls::*;
use crate::{Attack, call};

const COPY: &str = "changes a copy of its own";
const READ_ONLY: &[i32] = &[EROFS];

/// Writes through a shared mapping of the whole of a file opened so.
fn write_mapped(options: &OpenOptions, path: &str) -> Tried {
    let file = options.open(path).map_err(|error| error.raw_os_error().unwrap_or(0))?;
    // SAFETY: a new mapping, of one page of a file that has at least one byte.
    let page = unsafe { mmap(std::ptr::null_mut(), 4096, 3, 1, file.as_raw_fd(), 0) };
    if page as isize == -1 {
        return Err(last());
    }
    // SAFETY: see above.
    unsafe { page.cast::<u8>().write(b'!') };
    Ok(())
}

fn reopened(open: &str) -> Tried {
    let file = File::open(open).map_err(|error| error.raw_os_error().unwrap_or(0))?;
    tried(OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd())))
}

fn write(path: &str) -> Tried {
    tried(fs::write(path, "changed"))
}

fn punch(file: File) -> Tried {
    call!(FALLOCATE, file.as_raw_fd(), 3, 0, 4).map(drop)
}

fn times(path: &str) -> Tried {
    let path = text(path);
    call!(UTIMENSAT, -100, at(&path), 0, 0).map(drop)
}

fn attribute(path: &str) -> Tried {
    let (path, name) = (text(path), c"user.changed");
    call!(SETXATTR, at(&path), name.as_ptr(), c"x".as_ptr(), 1, 0).map(drop)
}

fn truncated(path: &str) -> Tried {
    let path = text(path);
    call!(TRUNCATE, at(&path), 0).map(drop)
}

fn exchange(one: &str, other: &str) -> Tried {
    let (one, other) = (text(one), text(other));
    call!(RENAMEAT2, -100, at(&one), -100, at(&other), 2).map(drop)
}

fn chmod(path: &str) -> Tried {
    tried(fs::set_permissions(path, Permissions::from_mode(0o666)))
}

fn read_only() -> File {
    File::open("/input/file").expect("inputs can be read")
}

#[rustfmt::skip]
pub fn attacks() -> Vec<Attack> {
    vec![
        attack!("input-write", "open an input for writing", Refused(READ_ONLY), write("/input/file")),
        attack!("input-append", "open an input for appending", Refused(READ_ONLY),
            tried(OpenOptions::new().append(true).open("/input/file"))),
        attack!("input-chmod-write", "change an input's mode, then write", Refused(READ_ONLY),
            chmod("/input/file").and_then(|()| write("/input/file"))),
        attack!("input-truncate", "cut an input off", Refused(READ_ONLY), truncated("/input/file")),
        attack!("input-rename", "rename an input", Refused(READ_ONLY), tried(fs::rename("/input/file", "/input/other"))),
        attack!("input-move", "move an input into the output", Refused(&[EXDEV]), tried(fs::rename("/input/file", "/out/file"))),
        attack!("input-replace", "rename a file onto an input", Refused(&[EXDEV]), {
            tried(fs::write("/out/new", "x")).and_then(|()| tried(fs::rename("/out/new", "/input/file")))
        }),
        attack!("input-exchange", "let two inputs change places", Refused(READ_ONLY), exchange("/input/file", "/input/tool")),
        attack!("input-remove", "remove an input", Refused(READ_ONLY), tried(fs::remove_file("/input/file"))),
        attack!("input-link-out", "link an input into the output", Refused(&[EXDEV]), tried(fs::hard_link("/input/file", "/out/hard"))),
        attack!("input-link", "give an input a second name", Refused(READ_ONLY), tried(fs::hard_link("/input/file", "/input/hard"))),
        attack!("input-symlink", "add a symbolic link to an input", Refused(READ_ONLY), tried(symlink("x", "/input/soft"))),
        attack!("input-add", "add a file to an input", Refused(READ_ONLY), write("/input/new")),
        attack!("input-nameless", "make a nameless file in an input", Refused(READ_ONLY),
            tried(OpenOptions::new().write(true).custom_flags(0o20_200_000).open("/input"))),
        attack!("input-proc-fd", "reopen an input for writing via /proc/self/fd", Refused(READ_ONLY), reopened("/input/file")),
        attack!("input-proc-root", "write an input via /proc/self/root", Refused(READ_ONLY), write("/proc/self/root/input/file")),
        attack!("input-proc-cwd", "write an input via /proc/self/cwd", Refused(READ_ONLY), {
            std::env::set_current_dir("/input").expect("inputs can be entered");
            write("/proc/self/cwd/file")
        }),
        attack!("input-chmod-fd", "change an input's mode via /proc/self/fd", Refused(READ_ONLY),
            {
                let file = read_only();
                chmod(&format!("/proc/self/fd/{}", file.as_raw_fd()))
            }),
        attack!("input-remount", "mount an input again, writable", Refused(&[EPERM]), {
            let (none, path) = (text("none"), text("/input"));
            call!(MOUNT, at(&none), at(&path), 0, 0x20 | 0x1000, 0).map(drop)
        }),
        attack!("input-setattr", "take the read-only attribute from a mount", Refused(&[EPERM]), {
            let change = [0_u64, 1, 0, 0];
            let path = text("/input");
            call!(MOUNT_SETATTR, -100, at(&path), 0, change.as_ptr(), 32).map(drop)
        }),
        attack!("input-bind", "mount the output over an input", Refused(&[EPERM]), {
            let (from, path) = (text("/out"), text("/input"));
            call!(MOUNT, at(&from), at(&path), 0, 0x1000, 0).map(drop)
        }),
        attack!("input-unmount", "unmount an input", Refused(&[EPERM]), {
            let path = text("/input");
            call!(UMOUNT, at(&path), 2).map(drop)
        }),
        attack!("input-map", "map an input shared and writable", Refused(&[EACCES]),
            write_mapped(OpenOptions::new().read(true), "/input/file")),
        attack!("input-protect", "make a shared mapping of an input writable", Refused(&[EACCES]), {
            // SAFETY: a new mapping.
            let page = unsafe { mmap(std::ptr::null_mut(), 4096, 1, 1, read_only().as_raw_fd(), 0) };
            call!(MPROTECT, page, 4096, 3).map(drop)
        }),
        attack!("input-memory", "write a private mapping of an input via /proc/self/mem", Own(COPY), {
            use std::os::unix::fs::FileExt;
            // SAFETY: a new mapping.
            let page = unsafe { mmap(std::ptr::null_mut(), 4096, 1, 2, read_only().as_raw_fd(), 0) };
            let memory = OpenOptions::new().write(true).open("/proc/self/mem");
            tried(memory.and_then(|memory| memory.write_all_at(b"!", page as u64)))
        }),
        attack!("input-xattr", "give an input an extended attribute", Refused(READ_ONLY), attribute("/input/file")),
        attack!("input-punch", "punch a hole into an input", Refused(&[EBADF]), punch(read_only())),
        attack!("input-copy-range", "copy into an input within the kernel", Refused(&[EBADF]), {
            let (from, to) = (read_only(), read_only());
            call!(COPY_FILE_RANGE, from.as_raw_fd(), 0, to.as_raw_fd(), 0, 1, 0).map(drop)
        }),
        attack!("input-flags", "make an input immutable", Refused(&[EROFS, EPERM, ENOTTY, EOPNOTSUPP]), {
            let flags = 0x10_u64;
            call!(IOCTL, read_only().as_raw_fd(), 0x4008_6602, &raw const flags).map(drop)
        }),
        attack!("input-times", "change an input's times", Refused(READ_ONLY), times("/input/file")),
        attack!("input-owner", "change an input's owner", Refused(READ_ONLY), tried(std::os::unix::fs::chown("/input/file", Some(1000), None))),
        attack!("input-program", "write to the program that runs", Refused(&[ETXTBSY, EROFS]),
            tried(OpenOptions::new().write(true).open("/proc/self/exe"))),
        attack!("layer-write", "write to a file of a layer", Own(COPY), write("/merged/file")),
        attack!("layer-map", "write a shared mapping of a layer's file", Own(COPY),
            write_mapped(OpenOptions::new().read(true).write(true), "/merged/mapped")),
        attack!("layer-truncate", "cut a layer's file off", Own(COPY), truncated("/merged/cut")),
        attack!("layer-punch", "punch a hole into a layer's file", Own(COPY),
            punch(OpenOptions::new().write(true).open("/merged/hole").expect("it can be opened"))),
        attack!("layer-chmod", "change the mode of a layer's file", Own(COPY), chmod("/merged/mode")),
        attack!("layer-times", "change the times of a layer's file", Own(COPY), times("/merged/times")),
        attack!("layer-link", "link a layer's file, then write to the link", Own(COPY),
            tried(fs::hard_link("/merged/linked", "/merged/link")).and_then(|()| write("/merged/link"))),
        attack!("layer-proc-fd", "reopen a layer's file for writing", Own(COPY), reopened("/merged/reopened")),
        attack!("layer-rename", "rename a layer's file", Own(COPY), tried(fs::rename("/merged/named", "/merged/renamed"))),
        attack!("layer-remove", "remove a layer's file", Own(COPY), tried(fs::remove_file("/merged/removed"))),
        attack!("layer-directory", "remove a layer's directory", Own(COPY), tried(fs::remove_dir_all("/merged/directory"))),
        attack!("layer-stale", "keep a descriptor from before the copy and write through it", Refused(&[EBADF]), {
            let before = File::open("/merged/stale").expect("it can be read");
            write("/merged/stale")?;
            call!(FTRUNCATE, before.as_raw_fd(), 0).map(drop).map_err(|errno| if errno == EINVAL { EBADF } else { errno })
        }),
    ]
}
