//! Attempts to gain rights, and calls that reach deep into the kernel and have no place in a build.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::Outcome::{Own, Refused};
use crate::calls::*;
use crate::{Attack, call};

const DENIED: &[i32] = &[EPERM];
const MISSING: &[i32] = &[ENOSYS];

fn limit(resource: u64, value: u64) -> Tried {
    let limit = [value, value];
    call!(PRLIMIT, 0, resource, limit.as_ptr(), 0).map(drop)
}

/// The entry of 32-bit programs, whose calls have other numbers.
#[cfg(target_arch = "x86_64")]
fn old_entry() -> Tried {
    // A kernel without it ends the process with a signal, so a child has to try.
    // SAFETY: the child runs one instruction and ends.
    unsafe {
        let child = fork();
        if child == 0 {
            let result: i32;
            // Number 20 is `getpid` there.
            std::arch::asm!("int 0x80", inlateout("eax") 20_i32 => result, options(nostack));
            _exit(if result == -ENOSYS { 38 } else { 0 });
        }
        let mut status = 0;
        waitpid(child, &raw mut status, 0);
        let refused = status & 0x7f != 0 || status >> 8 == 38;
        if refused { Err(ENOSYS) } else { Ok(()) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn old_entry() -> Tried {
    Err(ENOSYS)
}

#[cfg(target_arch = "x86_64")]
fn x32() -> Tried {
    call!(0x4000_0000 | GETPID).map(drop)
}

#[cfg(not(target_arch = "x86_64"))]
fn x32() -> Tried {
    Err(ENOSYS)
}

#[rustfmt::skip]
pub fn attacks() -> Vec<Attack> {
    vec![
        attack!("become-root", "become root", Refused(&[EINVAL, EPERM]), call!(SETUID, 0).map(drop)),
        attack!("become-member", "choose other groups", Refused(DENIED), {
            let groups = [0_u32];
            call!(SETGROUPS, 1, groups.as_ptr()).map(drop)
        }),
        attack!("become-capable", "raise a capability", Refused(DENIED), {
            let (head, data) = ([0x2008_0522_u32, 0], [u32::MAX; 6]);
            call!(CAPSET, head.as_ptr(), data.as_ptr()).map(drop)
        }),
        attack!("become-ambient", "keep a capability across programs", Refused(DENIED), call!(PRCTL, 47, 2, 21, 0, 0).map(drop)),
        attack!("become-new-privileges", "allow programs new privileges again", Refused(&[EINVAL]), call!(PRCTL, 38, 0, 0, 0, 0).map(drop)),
        attack!("become-unfiltered", "switch the filter of system calls off", Refused(&[EINVAL]), call!(PRCTL, 22, 0, 0, 0, 0).map(drop)),
        attack!("become-by-mode", "run a set-user-ID program", Own("it gains nothing"), {
            fs::copy("/proc/self/exe", "/out/suid").expect("a program can be copied");
            fs::set_permissions("/out/suid", fs::Permissions::from_mode(0o6755)).expect("own files have modes");
            let done = std::process::Command::new("/out/suid").args(["one", "become-root"]).output().expect("it starts");
            if done.status.success() { Ok(()) } else { Err(0) }
        }),
        attack!("file-capability", "give a file a capability", Refused(DENIED), {
            fs::write("/out/able", "").expect("outputs can be made");
            let (path, name) = (text("/out/able"), c"security.capability");
            let value: [u32; 5] = [0x0200_0001, u32::MAX, u32::MAX, 0, 0];
            call!(SETXATTR, at(&path), name.as_ptr(), value.as_ptr(), 20, 0).map(drop)
        }),
        attack!("file-trusted", "give a file a trusted attribute", Refused(DENIED), {
            fs::write("/out/trusted", "").expect("outputs can be made");
            let (path, name) = (text("/out/trusted"), c"trusted.overlay.opaque");
            call!(SETXATTR, at(&path), name.as_ptr(), c"y".as_ptr(), 1, 0).map(drop)
        }),
        attack!("file-owner", "give a file to root", Refused(&[EPERM, EINVAL]), {
            fs::write("/out/owned", "").expect("outputs can be made");
            tried(std::os::unix::fs::chown("/out/owned", Some(0), None))
        }),
        attack!("limit-processes", "raise the limit of processes", Refused(DENIED), limit(6, 1 << 20)),
        attack!("limit-files", "raise the limit of open files", Refused(DENIED), limit(7, 1 << 20)),
        attack!("limit-core", "allow core dumps", Refused(DENIED), limit(4, 1 << 20)),
        attack!("limit-locked", "raise the limit of locked memory", Refused(DENIED), limit(8, 1 << 40)),
        attack!("limit-nice", "run before everybody else", Refused(&[EACCES, EPERM]), call!(SETPRIORITY, 0, 0, -10).map(drop)),
        attack!("limit-realtime", "run in real time", Refused(DENIED), {
            let priority = [1_u32];
            call!(SCHED_SETSCHEDULER, 0, 1, priority.as_ptr()).map(drop)
        }),
        attack!("limit-disk", "read and write before everybody else", Refused(DENIED), call!(IOPRIO_SET, 1, 0, 1 << 13).map(drop)),
        attack!("limit-out-of-memory", "be spared when memory is short", Refused(&[EACCES]),
            tried(fs::write("/proc/self/oom_score_adj", "-1000"))),
        attack!("host-name", "change the host name", Refused(DENIED), call!(SETHOSTNAME, c"x".as_ptr(), 1).map(drop)),
        attack!("host-domain", "change the domain name", Refused(DENIED), call!(SETDOMAINNAME, c"x".as_ptr(), 1).map(drop)),
        attack!("host-time", "set the clock", Refused(DENIED), {
            let time = [1_u64, 0];
            call!(CLOCK_SETTIME, 0, time.as_ptr()).map(drop)
        }),
        attack!("host-time-of-day", "set the time of day", Refused(DENIED), {
            let time = [1_u64, 0];
            call!(SETTIMEOFDAY, time.as_ptr(), 0).map(drop)
        }),
        attack!("host-reboot", "switch the machine off", Refused(DENIED), call!(REBOOT, 0xfee1_dead_u32, 672_274_793, 0x4321_fedc, 0).map(drop)),
        attack!("host-swap", "swap to a file of its own", Refused(DENIED), call!(SWAPON, c"/out/swap".as_ptr(), 0).map(drop)),
        attack!("host-accounting", "write the accounting of processes", Refused(DENIED), call!(ACCT, c"/out/acct".as_ptr()).map(drop)),
        attack!("host-quota", "change quotas", Refused(DENIED), call!(QUOTACTL, 0, 0, 0, 0).map(drop)),
        attack!("host-log", "read the kernel's log", Refused(DENIED), call!(SYSLOG, 3, 0, 0).map(drop)),
        attack!("host-terminal", "hang the terminal up", Refused(DENIED), call!(VHANGUP).map(drop)),
        attack!("host-type", "type into a terminal (TIOCSTI)", Refused(DENIED), call!(IOCTL, 0, 0x5412, c"x".as_ptr()).map(drop)),
        attack!("host-console", "paste into a console (TIOCLINUX)", Refused(DENIED), call!(IOCTL, 0, 0x541c, c"x".as_ptr()).map(drop)),
        attack!("module-load", "load a kernel module", Refused(DENIED), call!(INIT_MODULE, 0, 0, c"".as_ptr()).map(drop)),
        attack!("module-load-file", "load a kernel module from a file", Refused(DENIED), call!(FINIT_MODULE, 0, c"".as_ptr(), 0).map(drop)),
        attack!("module-remove", "remove a kernel module", Refused(DENIED), call!(DELETE_MODULE, c"overlay".as_ptr(), 0).map(drop)),
        attack!("kernel-load", "load another kernel", Refused(DENIED), call!(KEXEC_LOAD, 0, 0, 0, 0).map(drop)),
        attack!("kernel-load-file", "load another kernel from a file", Refused(DENIED), call!(KEXEC_FILE_LOAD, 0, 0, 0, 0, 0).map(drop)),
        attack!("kernel-ports", "use ports of the hardware", Refused(&[EPERM, ENOSYS]), call!(IOPL, 3).and_then(|_| call!(IOPERM, 0, 1, 1)).map(drop)),
        attack!("key-add", "put a key into a keyring", Refused(DENIED), call!(ADD_KEY, c"user".as_ptr(), c"k".as_ptr(), c"v".as_ptr(), 1, -3).map(drop)),
        attack!("key-request", "ask for a key", Refused(DENIED), call!(REQUEST_KEY, c"user".as_ptr(), c"k".as_ptr(), 0, -3).map(drop)),
        attack!("key-read", "look into a keyring", Refused(DENIED), call!(KEYCTL, 0, -3, 0).map(drop)),
        attack!("deep-bpf", "load a BPF program", Refused(DENIED), call!(BPF, 5, 0, 0).map(drop)),
        attack!("deep-perf", "count events of the processor", Refused(DENIED), call!(PERF_EVENT_OPEN, 0, 0, -1, -1, 0).map(drop)),
        attack!("deep-userfaultfd", "handle page faults", Refused(DENIED), call!(USERFAULTFD, 1).map(drop)),
        attack!("deep-io-uring", "make an io_uring", Refused(DENIED), {
            let parameters = [0_u64; 16];
            call!(IO_URING_SETUP, 4, parameters.as_ptr()).map(drop)
        }),
        attack!("deep-handle", "open a file by its handle", Refused(DENIED), {
            let handle = [8_u32, 1, 2, 0];
            call!(OPEN_BY_HANDLE_AT, -100, handle.as_ptr(), 0).map(drop)
        }),
        attack!("deep-fanotify", "watch a whole file system", Refused(DENIED), call!(FANOTIFY_INIT, 0x200, 0).map(drop)),
        attack!("deep-inotify", "watch what other builds open", Refused(MISSING), call!(INOTIFY_INIT1, 0).map(drop)),
        attack!("deep-descriptor-table", "write a descriptor table of the processor", Refused(MISSING), call!(MODIFY_LDT, 1, 0, 0).map(drop)),
        attack!("deep-move-pages", "move another process's memory", Refused(DENIED), call!(MOVE_PAGES, 1, 0, 0, 0, 0, 0).map(drop)),
        attack!("deep-old-entry", "enter the kernel as a 32-bit program", Refused(MISSING), old_entry()),
        attack!("deep-x32", "enter the kernel as an x32 program", Refused(MISSING), x32()),
        attack!("hidden-memory", "keep memory in a nameless file", Refused(MISSING), call!(MEMFD_CREATE, c"x".as_ptr(), 0).map(drop)),
        attack!("hidden-segment", "keep memory in a System V segment", Refused(MISSING), call!(SHMGET, 1, 4096, 0o1666).map(drop)),
        attack!("hidden-secret-memory", "keep memory that the kernel cannot see", Refused(MISSING), call!(MEMFD_SECRET, 0).map(drop)),
    ]
}
