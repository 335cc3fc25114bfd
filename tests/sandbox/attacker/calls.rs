//! System calls without a library: what an attacker has, and names for their errors.
#![allow(dead_code)]

use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Nothing, or the number of the error.
pub type Tried = Result<(), i32>;

unsafe extern "C" {
    pub fn syscall(number: c_long, ...) -> c_long;
    pub fn mmap(
        at: *mut c_void,
        length: usize,
        protection: c_int,
        flags: c_int,
        fd: c_int,
        offset: i64,
    ) -> *mut c_void;
    pub fn fork() -> c_int;
    pub fn waitpid(process: c_int, status: *mut c_int, flags: c_int) -> c_int;
    pub fn _exit(status: c_int) -> !;
}

macro_rules! numbers {
    ($($name:ident $x86:literal $arm:literal;)*) => {
        $(#[cfg(target_arch = "x86_64")] pub const $name: c_long = $x86;
          #[cfg(not(target_arch = "x86_64"))] pub const $name: c_long = $arm;)*
    };
}

// Numbers of system calls on x86-64, and those that all newer architectures share.
numbers! {
    SHMGET 29 194; SHMAT 30 196; SOCKET 41 198; CONNECT 42 203; SENDTO 44 206; SENDMSG 46 211; BIND 49 200;
    LISTEN 50 201; ACCEPT 43 202; SOCKETPAIR 53 199; SEMGET 64 190; MSGGET 68 186; MSGSND 69 189; MSGRCV 70 188;
    FCNTL 72 25; FLOCK 73 32; FTRUNCATE 77 46; TRUNCATE 76 45; IOCTL 16 29; MPROTECT 10 226; PTRACE 101 117;
    SYSLOG 103 116; SETUID 105 146; SETGROUPS 116 159; CAPSET 126 91; SIGALTSTACK 131 132; PERSONALITY 135 92;
    PIVOT_ROOT 155 41; PRCTL 157 167; ADJTIMEX 159 171; SETRLIMIT 160 164; CHROOT 161 51; ACCT 163 89;
    SETTIMEOFDAY 164 170; MOUNT 165 40; UMOUNT 166 39; SWAPON 167 224; REBOOT 169 142; SETHOSTNAME 170 161;
    SETDOMAINNAME 171 162; IOPL 172 10000; IOPERM 173 10000; INIT_MODULE 175 105; DELETE_MODULE 176 106;
    QUOTACTL 179 60; SETXATTR 188 5; GETXATTR 191 8; CLOCK_SETTIME 227 112; MQ_OPEN 240 180; KEXEC_LOAD 246 104;
    ADD_KEY 248 217; REQUEST_KEY 249 218; KEYCTL 250 219; INOTIFY_INIT1 294 26; MKNODAT 259 33; FCHOWNAT 260 54;
    UNSHARE 272 97; SPLICE 275 76; UTIMENSAT 280 88; FALLOCATE 285 47; PERF_EVENT_OPEN 298 241;
    FANOTIFY_INIT 300 262; PRLIMIT 302 261; NAME_TO_HANDLE_AT 303 264; OPEN_BY_HANDLE_AT 304 265; SETNS 308 268;
    PROCESS_VM_WRITEV 311 271; KCMP 312 272; FINIT_MODULE 313 273; RENAMEAT2 316 276; MEMFD_CREATE 319 279;
    KEXEC_FILE_LOAD 320 294; BPF 321 280; USERFAULTFD 323 282; COPY_FILE_RANGE 326 285; SCHED_SETSCHEDULER 144 119;
    SETPRIORITY 141 140; IOPRIO_SET 251 30; GETPID 39 172; KILL 62 129; UMASK 95 166; SYSINFO 99 179;
    SIGPROCMASK 14 135; SIGACTION 13 134; GETRLIMIT 97 163; LOOKUP_DCOOKIE 212 18; MIGRATE_PAGES 256 238;
    MOVE_PAGES 279 239; VHANGUP 153 58; MODIFY_LDT 154 10000; LANDLOCK 444 444; MLOCKALL 151 230;
    PIDFD_SEND_SIGNAL 424 424; IO_URING_SETUP 425 425; OPEN_TREE 428 428; MOVE_MOUNT 429 429; FSOPEN 430 430;
    FSPICK 433 433; PIDFD_OPEN 434 434; CLONE3 435 435; PIDFD_GETFD 438 438; MOUNT_SETATTR 442 442;
    QUOTACTL_FD 443 443; MEMFD_SECRET 447 447; PROCESS_MADVISE 440 440; MSEAL 462 462;
}

pub const EPERM: i32 = 1;
pub const ENOENT: i32 = 2;
pub const ESRCH: i32 = 3;
pub const EBADF: i32 = 9;
pub const EAGAIN: i32 = 11;
pub const EACCES: i32 = 13;
pub const EEXIST: i32 = 17;
pub const EXDEV: i32 = 18;
pub const ENOTDIR: i32 = 20;
pub const EINVAL: i32 = 22;
pub const ETXTBSY: i32 = 26;
pub const ENOSPC: i32 = 28;
pub const EROFS: i32 = 30;
pub const ENOSYS: i32 = 38;
pub const EPROTONOSUPPORT: i32 = 93;
pub const EOPNOTSUPP: i32 = 95;
pub const EAFNOSUPPORT: i32 = 97;
pub const EADDRINUSE: i32 = 98;
pub const ENETUNREACH: i32 = 101;
pub const ECONNREFUSED: i32 = 111;
pub const ENOTTY: i32 = 25;
pub const ENODEV: i32 = 19;
pub const ENODATA: i32 = 61;

/// How an error is written in tables.
pub fn name(errno: i32) -> String {
    let known = [
        (EPERM, "EPERM"),
        (ENOENT, "ENOENT"),
        (ESRCH, "ESRCH"),
        (EBADF, "EBADF"),
        (EAGAIN, "EAGAIN"),
        (EACCES, "EACCES"),
        (EEXIST, "EEXIST"),
        (EXDEV, "EXDEV"),
        (ENOTDIR, "ENOTDIR"),
        (EINVAL, "EINVAL"),
        (ETXTBSY, "ETXTBSY"),
        (ENOSPC, "ENOSPC"),
        (EROFS, "EROFS"),
        (ENOSYS, "ENOSYS"),
        (EPROTONOSUPPORT, "EPROTONOSUPPORT"),
        (EOPNOTSUPP, "EOPNOTSUPP"),
        (EAFNOSUPPORT, "EAFNOSUPPORT"),
        (EADDRINUSE, "EADDRINUSE"),
        (ENETUNREACH, "ENETUNREACH"),
        (ECONNREFUSED, "ECONNREFUSED"),
        (ENOTTY, "ENOTTY"),
        (ENODEV, "ENODEV"),
        (ENODATA, "ENODATA"),
    ];
    known
        .iter()
        .find(|(number, _)| *number == errno)
        .map_or_else(|| format!("errno {errno}"), |(_, name)| (*name).to_owned())
}

/// The result of a system call of up to six words.
#[macro_export]
macro_rules! call {
    ($number:expr $(, $word:expr)*) => {{
        // SAFETY: an attacker does not care, and the kernel checks what it is given.
        let result = unsafe { $crate::calls::syscall($number $(, $word as std::ffi::c_long)*) };
        if result < 0 { Err($crate::calls::last()) } else { Ok(result) }
    }};
}

pub fn last() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The error of something that the standard library tried.
pub fn tried<T>(result: io::Result<T>) -> Tried {
    result.map(drop).map_err(|error| error.raw_os_error().unwrap_or(0))
}

pub fn text(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).expect("no NUL")
}

pub fn at(text: &CString) -> *const c_char {
    text.as_ptr()
}
