//! The system calls that make a sandbox and that no safe library offers: the only `unsafe` here.
//!
//! Every function is a thin, safe wrapper of one call: it owns its arguments for the length of the
//! call, gives descriptors as owned ones, and turns failure into an [`Errno`].
#![allow(unsafe_code, reason = "new kinds of namespaces and mounts have no safe wrapper")]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::unistd::Pid;

/// The namespaces of a sandbox: everything that the kernel can keep apart, apart. The network comes
/// from the spawner.
pub const ALL_NAMESPACES: c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Mount attributes (`linux/mount.h`).
pub const RDONLY: u64 = 0x1;
pub const NOSUID: u64 = 0x2;
pub const NODEV: u64 = 0x4;
pub const NOEXEC: u64 = 0x8;

/// `linux/sched.h`; `libc` has it cut off to 32 bits.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// One instruction of a system call filter, as `libc::sock_filter` has it.
pub type Instruction = libc::sock_filter;

fn check(result: c_long) -> nix::Result<c_long> {
    Errno::result(result)
}

fn owned(result: c_long) -> nix::Result<OwnedFd> {
    let raw = RawFd::try_from(check(result)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just given this descriptor to us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

fn text(bytes: &str) -> nix::Result<CString> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}

/// Takes over a descriptor that `recvmsg` has reported.
pub fn received(raw: RawFd) -> OwnedFd {
    // SAFETY: called once for each descriptor that arrived, right after it arrived.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

/// Forks; the child runs `child` and ends with the status it returns, without unwinding or running
/// any of the parent's destructors.
///
/// The parent may have other threads. The child may allocate (the C library makes that safe after
/// `fork`), but must not wait for locks that such a thread could hold.
pub fn fork(child: impl FnOnce() -> i32) -> nix::Result<Pid> {
    // SAFETY: see above; the child never returns from this function.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(child),
        nix::unistd::ForkResult::Child => end(run_contained(child)),
    }
}

/// Starts `child` as a process with new namespaces (`flags` of `CLONE_NEW*`), in the control group
/// whose directory is given.
pub fn fork_with_namespaces(
    flags: c_int,
    group: Option<BorrowedFd>,
    child: impl FnOnce() -> i32,
) -> nix::Result<Pid> {
    // SAFETY: all-zero is a valid value of this plain structure.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from(flags.cast_unsigned());
    arguments.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    if let Some(group) = group {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(group.as_raw_fd().cast_unsigned());
    }
    // SAFETY: a plain fork without shared memory; callers are single-threaded processes.
    let pid = check(unsafe {
        libc::syscall(libc::SYS_clone3, &raw const arguments, std::mem::size_of::<libc::clone_args>())
    })?;
    match pid {
        0 => end(run_contained(child)),
        pid => Ok(Pid::from_raw(c_int::try_from(pid).map_err(|_| Errno::EOVERFLOW)?)),
    }
}

fn run_contained(child: impl FnOnce() -> i32) -> i32 {
    // A panic must not unwind into the frames that the child has copied from its parent.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(70)
}

/// Ends this process at once.
pub fn end(status: i32) -> ! {
    // SAFETY: `_exit` has no conditions.
    unsafe { libc::_exit(status) }
}

/// Closes every descriptor from `first` on, or marks them to be closed by `exec`.
pub fn close_from(first: RawFd, only_at_exec: bool) -> nix::Result<()> {
    let flags = if only_at_exec { libc::CLOSE_RANGE_CLOEXEC } else { 0 };
    // SAFETY: callers own no descriptor object above `first` that they go on using.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, c_uint::MAX, flags) }).map(drop)
}

/// Makes `target` (0, 1 or 2) a copy of `from`.
pub fn duplicate_onto(from: impl AsFd, target: RawFd) -> nix::Result<()> {
    // SAFETY: nothing owns the standard descriptors.
    check(c_long::from(unsafe { libc::dup2(from.as_fd().as_raw_fd(), target) })).map(drop)
}

/// A new context for mounting a file system of the named type.
pub fn open_file_system(kind: &CStr) -> nix::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: c_uint = 1;
    // SAFETY: the string is terminated and outlives the call.
    owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })
}

fn configure(
    context: &OwnedFd,
    command: c_uint,
    key: Option<&CStr>,
    value: Option<&CStr>,
) -> nix::Result<()> {
    let key = key.map_or(std::ptr::null::<c_char>(), CStr::as_ptr);
    let value = value.map_or(std::ptr::null::<c_char>(), CStr::as_ptr);
    // SAFETY: strings are terminated or null, and outlive the call.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0) }).map(drop)
}

/// Sets an option that has no value.
pub fn set_flag(context: &OwnedFd, key: &CStr) -> nix::Result<()> {
    configure(context, 0, Some(key), None)
}

/// Sets an option to a text of at most 255 bytes.
pub fn set_option(context: &OwnedFd, key: &CStr, value: &str) -> nix::Result<()> {
    configure(context, 1, Some(key), Some(&text(value)?))
}

/// Makes the file system and gives it as a mount that is not attached anywhere yet.
pub fn make_mount(context: &OwnedFd, attributes: u64) -> nix::Result<OwnedFd> {
    const FSMOUNT_CLOEXEC: c_uint = 1;
    configure(context, 6, None, None)?;
    // SAFETY: plain numbers.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
}

/// A copy of the mount at `path` (below `at`, or `at` itself when it is empty), not attached anywhere
/// yet.
pub fn copy_mount(at: impl AsFd, path: &str) -> nix::Result<OwnedFd> {
    const OPEN_TREE_CLONE: c_uint = 1;
    let path = text(path)?;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC.cast_unsigned() | libc::AT_EMPTY_PATH.cast_unsigned();
    // SAFETY: the string is terminated and outlives the call.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, at.as_fd().as_raw_fd(), path.as_ptr(), flags) })
}

/// Sets attributes of a mount.
pub fn set_attributes(mount: &OwnedFd, attributes: u64) -> nix::Result<()> {
    /// `struct mount_attr` of `linux/mount.h`.
    #[repr(C)]
    struct MountAttr {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let change = MountAttr { set: attributes, clear: 0, propagation: 0, user_namespace: 0 };
    // SAFETY: the structure has the kernel's layout and outlives the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const change,
            std::mem::size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Attaches a mount at `path` (below `at`).
pub fn attach(mount: &OwnedFd, at: impl AsFd, path: &str) -> nix::Result<()> {
    const MOVE_MOUNT_F_EMPTY_PATH: c_uint = 4;
    let path = text(path)?;
    // SAFETY: strings are terminated and outlive the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            at.as_fd().as_raw_fd(),
            path.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// Brings the loopback device of this network namespace up.
pub fn raise_loopback() -> nix::Result<()> {
    /// The part of `struct ifreq` that this request reads, padded to its full size.
    #[repr(C)]
    struct InterfaceFlags {
        name: [u8; 16],
        flags: i16,
        rest: [u8; 22],
    }
    let request = InterfaceFlags {
        name: *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        flags: i16::try_from(libc::IFF_UP).unwrap_or(1),
        rest: [0; 22],
    };
    // SAFETY: plain numbers.
    let socket = owned(c_long::from(unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)
    }))?;
    // SAFETY: the structure is as large as the kernel's and outlives the call.
    check(c_long::from(unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request)
    }))
    .map(drop)
}

/// Sets the NIS domain name of this UTS namespace.
pub fn set_domain_name(name: &str) -> nix::Result<()> {
    // SAFETY: pointer and length belong together.
    check(c_long::from(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) })).map(drop)
}

/// Makes the terminal that is the standard input that of this session, which has none.
pub fn take_terminal() -> nix::Result<()> {
    // SAFETY: plain numbers.
    check(c_long::from(unsafe { libc::ioctl(0, libc::TIOCSCTTY as _, 0) })).map(drop)
}

/// The size of a terminal.
pub fn window_size(terminal: impl AsFd) -> nix::Result<libc::winsize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the structure has the kernel's layout and outlives the call.
    check(c_long::from(unsafe {
        libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCGWINSZ as _, &raw mut size)
    }))?;
    Ok(size)
}

/// Sets the size of a terminal.
pub fn set_window_size(terminal: impl AsFd, size: &libc::winsize) -> nix::Result<()> {
    // SAFETY: the structure has the kernel's layout and outlives the call.
    check(c_long::from(unsafe {
        libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSWINSZ as _, &raw const *size)
    }))
    .map(drop)
}

/// Puts every program started from now on at fixed addresses, where that is allowed, or not; to all of
/// them, the kernel says that it is version 2.6, or what it is.
pub fn set_personality(fixed_addresses: bool, old_kernel: bool) -> nix::Result<()> {
    let flag = |flag: c_int, is_set: bool| if is_set { flag.cast_unsigned() } else { 0 };
    let flags = flag(libc::ADDR_NO_RANDOMIZE, fixed_addresses) | flag(libc::UNAME26, old_kernel);
    // SAFETY: plain numbers.
    check(c_long::from(unsafe { libc::personality(flags.into()) })).map(drop)
}

/// Leaves a traced process, which has been told to stop, as it is until it is told to go on.
pub fn listen(process: Pid) -> nix::Result<()> {
    // SAFETY: this request takes no addresses.
    check(unsafe { libc::ptrace(libc::PTRACE_LISTEN, process.as_raw(), 0, 0) }).map(drop)
}

/// Lets a traced process that has stopped go on, with a signal or with none (0). Real-time signals, which
/// `nix` has no names for, are signals like others.
pub fn go_on(process: Pid, signal: i32) -> nix::Result<()> {
    // SAFETY: this request takes no addresses.
    check(unsafe { libc::ptrace(libc::PTRACE_CONT, process.as_raw(), 0, c_long::from(signal)) }).map(drop)
}

/// Waits for any child, or only looks: who, and what `wait(2)` calls its status.
pub fn wait_for_any(only_look: bool) -> nix::Result<Option<(Pid, i32)>> {
    let mut status = 0;
    let flags = if only_look { libc::WNOHANG } else { 0 };
    // SAFETY: the status outlives the call.
    let child = check(c_long::from(unsafe { libc::waitpid(-1, &raw mut status, flags) }))?;
    Ok((child != 0).then(|| (Pid::from_raw(i32::try_from(child).unwrap_or_default()), status)))
}

/// Installs a filter of system calls for this process and its children.
pub fn install_filter(program: &[Instruction]) -> nix::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::E2BIG)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: the program outlives the call; the kernel checks it.
    check(c_long::from(unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            (&raw const program).cast::<c_void>(),
            0,
            0,
        )
    }))
    .map(drop)
}

/// Gives every signal its default effect again, and blocks only those in `blocked`.
pub fn reset_signals(blocked: &[nix::sys::signal::Signal]) -> nix::Result<()> {
    // The C library's function leaves out two signals that it uses itself, and an ignored signal
    // stays ignored in every program that is started.
    let default = [0_u64; 4];
    for signal in (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        // SAFETY: all-zero is the kernel's `struct sigaction` for the default effect, with a mask
        // of 8 bytes; it runs no code of ours.
        check(unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null::<c_void>(),
                size_of::<u64>(),
            )
        })?;
    }
    blocked.iter().copied().collect::<nix::sys::signal::SigSet>().thread_set_mask()
}

/// Whether a directory takes extended attributes of users (and leaves one on it). The descriptor
/// may be one that only names a place.
pub fn takes_attributes(place: &OwnedFd) -> bool {
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let Ok(directory) = nix::fcntl::openat(place, ".", flags, nix::sys::stat::Mode::empty()) else {
        return false;
    };
    // SAFETY: pointer and length belong together, the name is terminated.
    0 == unsafe {
        libc::fsetxattr(directory.as_raw_fd(), c"user.jtwbuild".as_ptr(), c"".as_ptr().cast(), 0, 0)
    }
}

/// Whether a directory carries the mark with which an overlay hides the layers below it.
pub fn is_opaque(directory: impl AsFd) -> bool {
    let mut value = [0_u8; 4];
    // SAFETY: the buffer is as long as said, the name is terminated.
    let length = unsafe {
        libc::fgetxattr(
            directory.as_fd().as_raw_fd(),
            c"user.overlay.opaque".as_ptr(),
            value.as_mut_ptr().cast(),
            value.len(),
        )
    };
    length == 1 && value[0] == b'y'
}

/// Starts a program as the leader of its own process group, with no signal blocked, at most
/// `address_space` bytes of memory, and everything else as this process has it. `in_front`: the terminal
/// that is its standard input, and this session's, takes its group for the one in front.
///
/// The child borrows this process's memory until it executes, which waits for that: no page table
/// is copied. (`posix_spawn` does the same, but cannot set the limit, under which this process
/// itself could not work.)
pub fn start_program(
    program: &CStr,
    arguments: &[CString],
    environment: &[CString],
    address_space: Option<u64>,
    in_front: bool,
) -> nix::Result<Pid> {
    const STACK: usize = 32 << 10;
    let pointers = |texts: &[CString]| -> Vec<*const c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    let mut start = Start {
        program: program.as_ptr(),
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
        address_space,
        in_front,
        errno: 0,
    };
    // Stacks grow downwards and must be aligned to 16 bytes.
    let mut stack = vec![0_u128; STACK / size_of::<u128>()];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: with `CLONE_VFORK` this call returns when the child no longer uses our memory, so
    // all that it points to outlives it; this process has no other thread. The child runs only
    // system calls.
    let pid = check(c_long::from(unsafe {
        libc::clone(execute, stack.as_mut_ptr_range().end.cast(), flags, (&raw mut start).cast())
    }))?;
    let pid = Pid::from_raw(c_int::try_from(pid).map_err(|_| Errno::EOVERFLOW)?);
    match start.errno {
        0 => Ok(pid),
        errno => {
            let _ = nix::sys::wait::waitpid(pid, None);
            Err(Errno::from_raw(errno))
        }
    }
}

/// What [`execute`] needs, and where it leaves the reason for which it failed.
struct Start {
    program: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    address_space: Option<u64>,
    in_front: bool,
    errno: c_int,
}

extern "C" fn execute(start: *mut c_void) -> c_int {
    // SAFETY: called only by `start_program`, which hands over a valid `Start` and waits; all
    // pointers in it are to terminated strings and arrays.
    unsafe {
        let start = &mut *start.cast::<Start>();
        libc::setpgid(0, 0);
        let mut none: libc::sigset_t = std::mem::zeroed();
        if start.in_front {
            // Else the group, which is in the background still, would be stopped for that.
            libc::sigfillset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            libc::tcsetpgrp(0, libc::getpid());
        }
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        if let Some(bytes) = start.address_space {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            libc::setrlimit(libc::RLIMIT_AS, &raw const limit);
        }
        libc::execve(start.program, start.arguments, start.environment);
        start.errno = Errno::last_raw();
    }
    127
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filtered_calls_are_refused_and_others_are_not() {
        // The child has all locks of the other tests while it is there.
        let _starting = crate::store::disk::starting();
        let child = fork(|| {
            nix::sys::prctl::set_no_new_privs().unwrap();
            install_filter(&super::super::filter::program()).unwrap();
            // SAFETY: arguments of zero; the filter answers before any of these calls looks at them.
            let call = |number| Errno::result(unsafe { libc::syscall(number, 0, 0, 0, 0, 0) });
            let refused = [
                libc::SYS_keyctl,
                libc::SYS_add_key,
                libc::SYS_request_key,
                libc::SYS_bpf,
                libc::SYS_perf_event_open,
                libc::SYS_userfaultfd,
                libc::SYS_io_uring_setup,
                libc::SYS_open_by_handle_at,
                libc::SYS_syslog,
            ];
            let all_refused = refused.iter().all(|number| call(*number) == Err(Errno::EPERM));
            let no_x32 = call(0x4000_0000 | libc::SYS_getpid) == Err(Errno::ENOSYS);
            let works = call(libc::SYS_getpid).is_ok();
            i32::from(!(all_refused && no_x32 && works))
        });
        let status = nix::sys::wait::waitpid(child.unwrap(), None).unwrap();
        assert!(matches!(status, nix::sys::wait::WaitStatus::Exited(_, 0)), "{status:?}");
    }

    #[test]
    fn program_that_cannot_be_executed_is_an_error_and_no_process() {
        let arguments = [c"x".to_owned()];
        let _starting = crate::store::disk::starting();
        let child = fork(|| {
            let missing = start_program(c"/nonexistent", &arguments, &[], None, false) == Err(Errno::ENOENT);
            let no_program =
                start_program(c"/etc/passwd", &arguments, &[], None, false) == Err(Errno::EACCES);
            let no_child = nix::sys::wait::waitpid(None::<Pid>, None) == Err(Errno::ECHILD);
            i32::from(!(missing && no_program && no_child))
        });
        let status = nix::sys::wait::waitpid(child.unwrap(), None).unwrap();
        assert!(matches!(status, nix::sys::wait::WaitStatus::Exited(_, 0)), "{status:?}");
    }
}
