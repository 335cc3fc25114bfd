//! Attempts to leave the sandbox: by paths, descriptors, mounts, namespaces and other processes.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, symlink};

use crate::Outcome::{Limit, Own, Refused};
use crate::calls::*;
use crate::{Attack, call};

const DENIED: &[i32] = &[EPERM];
const ABSENT: &[i32] = &[ENOENT];

fn mount(kind: &str, at_path: &str) -> Tried {
    let (kind, at_path) = (text(kind), text(at_path));
    call!(MOUNT, at(&kind), at(&at_path), at(&kind), 0, 0).map(drop)
}

fn unshare(flag: u64) -> Tried {
    call!(UNSHARE, flag).map(drop)
}

fn enter(namespace: &str) -> Tried {
    let file = File::open(format!("/proc/self/ns/{namespace}"))
        .map_err(|error| error.raw_os_error().unwrap_or(0))?;
    call!(SETNS, file.as_raw_fd(), 0).map(drop)
}

fn open(path: &str) -> Tried {
    tried(File::open(path))
}

fn device(path: &str, kind: u32, number: u64) -> Tried {
    let path = text(path);
    call!(MKNODAT, -100, at(&path), kind | 0o666, number).map(drop)
}

/// A file of the host that an attacker was told about.
fn secret() -> String {
    std::env::var("SECRET").expect("the test names a file of the host")
}

fn of_first_process(what: &str) -> Tried {
    tried(fs::read(format!("/proc/1/{what}")))
}

fn namespace_of(flags: u64) -> Tried {
    // `struct clone_args`: flags, pidfd, child_tid, parent_tid, exit_signal, …
    let arguments = [flags, 0, 0, 0, 17, 0, 0, 0];
    match call!(CLONE3, arguments.as_ptr(), 64)? {
        // SAFETY: the child ends at once.
        0 => unsafe { _exit(0) },
        _ => Ok(()),
    }
}

fn io_vector(bytes: &[u8]) -> [usize; 2] {
    [bytes.as_ptr() as usize, bytes.len()]
}

#[rustfmt::skip]
pub fn attacks() -> Vec<Attack> {
    vec![
        attack!("root-dotdot", "go above the root by `..`", Own("stays at its own root"), {
            let (root, above) = (fs::metadata("/").expect("/"), fs::metadata("/../../../..").expect("/.."));
            if (root.ino(), root.dev()) == (above.ino(), above.dev()) { Ok(()) } else { Err(0) }
        }),
        attack!("root-host-path", "open a file of the host by its path", Refused(ABSENT), open(&secret())),
        attack!("root-dotdot-path", "open a file of the host by `..` from every place", Refused(ABSENT), {
            for place in ["/", "/proc", "/dev", "/dev/shm", "/tmp", "/input", "/merged", "/out"] {
                open(&format!("{place}{}{}", "/..".repeat(12), secret())).map_or_else(
                    |errno| if errno == ENOENT { Ok(()) } else { Err(errno) }, |()| Err(0))?;
            }
            Err(ENOENT)
        }),
        attack!("root-link", "follow a link of its own to a file of the host", Refused(ABSENT), {
            symlink(secret(), "/tmp/link").expect("links can be made");
            open("/tmp/link")
        }),
        attack!("root-descriptors", "find an open descriptor of something outside", Own("has only its standard descriptors"), {
            let mut open: Vec<_> = fs::read_dir("/proc/self/fd").expect("own descriptors").flatten()
                .map(|entry| entry.file_name().into_string().expect("a number")).collect();
            open.sort();
            // The fourth is the listing itself.
            if open == ["0", "1", "2", "3"] { Ok(()) } else { Err(0) }
        }),
        attack!("root-pivot", "change the root of the mount namespace", Refused(DENIED), {
            let (new, old) = (text("/out"), text("/out"));
            call!(PIVOT_ROOT, at(&new), at(&old)).map(drop)
        }),
        attack!("root-chroot", "change the root directory", Refused(DENIED), {
            let path = text("/out");
            call!(CHROOT, at(&path)).map(drop)
        }),
        attack!("mount-tmpfs", "mount a tmpfs", Refused(DENIED), mount("tmpfs", "/out")),
        attack!("mount-proc", "mount another proc", Refused(DENIED), mount("proc", "/out")),
        attack!("mount-sysfs", "mount sysfs", Refused(DENIED), mount("sysfs", "/out")),
        attack!("mount-overlay", "mount an overlay", Refused(DENIED), mount("overlay", "/out")),
        attack!("mount-fsopen", "open a file system's context", Refused(DENIED), {
            let kind = text("tmpfs");
            call!(FSOPEN, at(&kind), 0).map(drop)
        }),
        attack!("mount-fspick", "reconfigure the root's file system", Refused(DENIED), {
            let path = text("/");
            call!(FSPICK, -100, at(&path), 0).map(drop)
        }),
        attack!("mount-clone", "copy a mount", Refused(DENIED), {
            let path = text("/proc");
            call!(OPEN_TREE, -100, at(&path), 1).map(drop)
        }),
        attack!("mount-move", "move a mount", Refused(DENIED), {
            let (from, to) = (text("/tmp"), text("/out"));
            call!(MOVE_MOUNT, -100, at(&from), -100, at(&to), 0).map(drop)
        }),
        attack!("mount-umount-proc", "unmount /proc", Refused(DENIED), {
            let path = text("/proc");
            call!(UMOUNT, at(&path), 2).map(drop)
        }),
        attack!("unshare-nothing", "ask for a new namespace of no kind", Refused(DENIED), unshare(0)),
        attack!("unshare-user", "make a user namespace", Refused(&[EPERM, ENOSPC]), unshare(0x1000_0000)),
        attack!("unshare-mount", "make a mount namespace", Refused(DENIED), unshare(0x2_0000)),
        attack!("unshare-pid", "make a process namespace", Refused(DENIED), unshare(0x2000_0000)),
        attack!("unshare-net", "make a network namespace", Refused(DENIED), unshare(0x4000_0000)),
        attack!("unshare-ipc", "make an IPC namespace", Refused(DENIED), unshare(0x800_0000)),
        attack!("unshare-uts", "make a namespace of host names", Refused(DENIED), unshare(0x400_0000)),
        attack!("unshare-cgroup", "make a control group namespace", Refused(DENIED), unshare(0x200_0000)),
        attack!("unshare-time", "make a time namespace", Refused(DENIED), unshare(0x80)),
        attack!("clone-user", "start a process in a user namespace", Refused(&[EPERM, ENOSPC, ENOSYS]), namespace_of(0x1000_0000)),
        attack!("clone-user-mount", "start a process in user and mount namespaces", Refused(&[EPERM, ENOSPC, ENOSYS]), namespace_of(0x1002_0000)),
        attack!("clone-into-group", "start a process in another control group", Refused(&[EINVAL, EPERM, EBADF, ENOSYS]), namespace_of(0x2_0000_0000)),
        attack!("setns-mount", "enter a mount namespace", Refused(DENIED), enter("mnt")),
        attack!("setns-user", "enter a user namespace", Refused(&[EPERM, EINVAL]), enter("user")),
        attack!("setns-net", "enter a network namespace", Refused(DENIED), enter("net")),
        attack!("setns-pid", "enter a process namespace", Refused(DENIED), enter("pid")),
        attack!("setns-process", "enter all namespaces of the first process", Refused(DENIED), {
            let process = call!(PIDFD_OPEN, 1, 0)?;
            call!(SETNS, process, 0x2_0000 | 0x4000_0000).map(drop)
        }),
        attack!("first-root", "go through the first process's root", Refused(ABSENT), tried(fs::read_dir("/proc/1/root"))),
        attack!("first-cwd", "go through the first process's directory", Refused(ABSENT), tried(fs::read_dir("/proc/1/cwd"))),
        attack!("first-descriptors", "list the first process's descriptors", Refused(ABSENT), tried(fs::read_dir("/proc/1/fd"))),
        attack!("first-environment", "read the first process's environment", Refused(ABSENT), of_first_process("environ")),
        attack!("first-memory", "read the first process's memory", Refused(ABSENT), of_first_process("mem")),
        attack!("first-trace", "trace the first process", Refused(DENIED), call!(PTRACE, 16, 1, 0, 0).map(drop)),
        attack!("first-seize", "seize the first process", Refused(DENIED), call!(PTRACE, 0x4206, 1, 0, 0).map(drop)),
        attack!("first-write-memory", "write into the first process's memory", Refused(DENIED), {
            let (mine, its) = (io_vector(b"x"), io_vector(b"y"));
            call!(PROCESS_VM_WRITEV, 1, mine.as_ptr(), 1, its.as_ptr(), 1, 0).map(drop)
        }),
        attack!("first-take-descriptor", "take a descriptor from the first process", Refused(DENIED), {
            let process = call!(PIDFD_OPEN, 1, 0)?;
            call!(PIDFD_GETFD, process, 3, 0).map(drop)
        }),
        attack!("first-compare", "compare kernel objects with the first process", Refused(DENIED), {
            call!(KCMP, 1, std::process::id(), 0, 3, 3).map(drop)
        }),
        attack!("first-limits", "lower the first process's limits", Refused(DENIED), {
            let limit = [4_u64, 4];
            call!(PRLIMIT, 1, 7, limit.as_ptr(), 0).map(drop)
        }),
        attack!("first-kill", "kill the first process", Own("the signal has no effect"), {
            call!(KILL, 1, 9).and_then(|_| call!(KILL, 1, 19)).map(drop)
        }),
        attack!("first-kill-descriptor", "kill the first process by a descriptor of it", Own("the signal has no effect"), {
            let process = call!(PIDFD_OPEN, 1, 0)?;
            call!(PIDFD_SEND_SIGNAL, process, 9, 0, 0).map(drop)
        }),
        attack!("others-kill", "signal every process there is", Own("reaches its own processes"), {
            call!(KILL, -1, 0).map(drop).or_else(|errno| if errno == ESRCH { Ok(()) } else { Err(errno) })
        }),
        attack!("others-see", "see a process that is not its own", Own("sees its own processes"), {
            let count = fs::read_dir("/proc").expect("/proc").flatten()
                .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit())).count();
            if count <= 2 { Ok(()) } else { Err(0) }
        }),
        attack!("see-kernel-settings", "open /proc/sys", Refused(ABSENT), open("/proc/sys/kernel/core_pattern")),
        attack!("see-sysrq", "open /proc/sysrq-trigger", Refused(ABSENT), open("/proc/sysrq-trigger")),
        attack!("see-kcore", "open /proc/kcore", Refused(ABSENT), open("/proc/kcore")),
        attack!("see-keys", "open /proc/keys", Refused(ABSENT), open("/proc/keys")),
        attack!("see-sys", "open /sys", Refused(ABSENT), open("/sys")),
        attack!("see-memory-device", "open /dev/mem", Refused(ABSENT), open("/dev/mem")),
        attack!("see-kernel-messages", "open /dev/kmsg", Refused(ABSENT), open("/dev/kmsg")),
        attack!("see-terminal", "open /dev/tty", Refused(ABSENT), open("/dev/tty")),
        attack!("see-fuse", "open /dev/fuse", Refused(ABSENT), open("/dev/fuse")),
        attack!("see-mounts", "read /proc/self/mountinfo for paths of the host", Own("sees hashes of trees, no path of the host"), {
            let table = fs::read_to_string("/proc/self/mountinfo").expect("own mounts");
            let store = std::env::var("STORE").expect("the test names the store");
            if table.contains(&store) || table.contains("/trees") { Err(0) } else { Ok(()) }
        }),
        attack!("device-memory", "make a device node for the memory", Refused(DENIED), device("/out/mem", 0o20000, 0x101)),
        attack!("device-disk", "make a device node for a disk", Refused(DENIED), device("/out/disk", 0o60000, 0x800)),
        attack!("device-dev", "make a file in /dev", Refused(&[EROFS]), tried(fs::write("/dev/new", ""))),
        attack!("device-mode", "change the mode of /dev/null", Refused(&[EROFS]), {
            use std::os::unix::fs::PermissionsExt;
            tried(fs::set_permissions("/dev/null", fs::Permissions::from_mode(0o600)))
        }),
        attack!("device-times", "change the times of /dev/null", Refused(&[EROFS]), {
            let path = text("/dev/null");
            call!(UTIMENSAT, -100, at(&path), 0, 0).map(drop)
        }),
        attack!("device-remove", "remove /dev/null", Refused(&[EROFS]), tried(fs::remove_file("/dev/null"))),
        attack!("device-lock", "lock /dev/null, which other builds can notice", Limit("an open device takes locks"), {
            let null = File::open("/dev/null").expect("/dev/null");
            call!(FLOCK, null.as_raw_fd(), 1).map(drop)
        }),
    ]
}
