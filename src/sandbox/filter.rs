//! The filter of system calls that every builder runs under.
//!
//! Namespaces do not cover everything: keyrings, virtual-machine sockets and the kernel's log are
//! shared by the whole machine, and some calls exist to reach deep into the kernel. None of them
//! has a place in a build. One filter is installed in the spawner and inherited; the first process
//! of a sandbox adds another when the sandbox is made, and nothing has to be mounted any more.

use nix::libc;

use super::namespaces::Instruction;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;
#[cfg(target_arch = "riscv64")]
const ARCHITECTURE: u32 = 0xC000_00F3;

/// Refused with `EPERM`.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_syslog,
    libc::SYS_quotactl,
    libc::SYS_kexec_load,
    #[cfg(not(target_arch = "riscv64"))]
    libc::SYS_kexec_file_load,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_vhangup,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// Answered with `ENOSYS`, as by a kernel without them: programs have another way then.
///
/// Files without a name and System V's segments are memory that no limit counts, and a watched device
/// would tell what other builds open.
const UNKNOWN: &[libc::c_long] = &[
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_shmget,
    libc::SYS_inotify_init1,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_inotify_init,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Refused with `EPERM` from the moment on when a sandbox is made: what it was made with.
const REFUSED_INSIDE: &[libc::c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// Orders to a terminal that put words into somebody else's mouth: `TIOCSTI`, `TIOCLINUX`.
const TERMINAL_ORDERS: &[u32] = &[0x5412, 0x541c];

/// The only protocols of internet sockets (whatever suits the kind of socket, TCP, UDP): others load
/// modules of the kernel.
const PROTOCOLS: &[i32] = &[0, libc::IPPROTO_TCP, libc::IPPROTO_UDP];

/// System calls of the x32 interface carry this bit.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

// Operations of the classic BPF (`linux/bpf_common.h`) and answers (`linux/seccomp.h`).
const LOAD: u16 = 0x20;
const IF_EQUAL: u16 = 0x15;
const IF_ANY_BIT: u16 = 0x45;
#[cfg(target_arch = "x86_64")]
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
// The lower halves of arguments: all that are looked at have no other.
#[cfg(target_endian = "little")]
const FIRST_ARGUMENT: u32 = 16;
#[cfg(target_endian = "little")]
const SECOND_ARGUMENT: u32 = 24;
#[cfg(target_endian = "little")]
const THIRD_ARGUMENT: u32 = 32;

/// All that makes a new namespace.
const NEW_NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

fn fail_with(errno: i32) -> u32 {
    0x0005_0000 | errno.cast_unsigned()
}

fn step(code: u16, k: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code, jt: if_true, jf: if_false, k }
}

/// `if the loaded word is value { return answer }`.
fn answer_if(test: u16, value: u32, answer: u32) -> [Instruction; 2] {
    [step(test, value, 0, 1), step(RETURN, answer, 0, 0)]
}

/// Appends what is to happen at one system call: `rules` has to end with an answer, and starts with
/// the call's number loaded.
fn at_call(program: &mut Vec<Instruction>, call: libc::c_long, rules: &[Instruction]) {
    let length = u8::try_from(rules.len()).expect("the rules of one call are few");
    program.push(step(IF_EQUAL, number(call), 0, length));
    program.extend_from_slice(rules);
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).expect("numbers of system calls are small")
}

/// The beginning of every program: only the calls of this architecture, and their number loaded.
fn start() -> Vec<Instruction> {
    let mut program = vec![step(LOAD, ARCH, 0, 0), step(IF_EQUAL, ARCHITECTURE, 1, 0)];
    program.push(step(RETURN, fail_with(libc::ENOSYS), 0, 0));
    program.push(step(LOAD, NUMBER, 0, 0));
    #[cfg(target_arch = "x86_64")]
    program.extend(answer_if(IF_AT_LEAST, X32, fail_with(libc::ENOSYS)));
    program
}

/// The program of the spawner and all that comes of it, in the order in which it runs.
pub fn program() -> Vec<Instruction> {
    let mut program = start();
    for call in REFUSED {
        program.extend(answer_if(IF_EQUAL, number(*call), fail_with(libc::EPERM)));
    }
    for call in UNKNOWN {
        program.extend(answer_if(IF_EQUAL, number(*call), fail_with(libc::ENOSYS)));
    }
    let mut ioctl = vec![step(LOAD, SECOND_ARGUMENT, 0, 0)];
    for order in TERMINAL_ORDERS {
        ioctl.extend(answer_if(IF_EQUAL, *order, fail_with(libc::EPERM)));
    }
    ioctl.push(step(RETURN, ALLOW, 0, 0));
    at_call(&mut program, libc::SYS_ioctl, &ioctl);
    // Limits of oneself only: those of the first process are not a builder's to lower.
    let mut limits = vec![step(LOAD, FIRST_ARGUMENT, 0, 0)];
    limits.extend(answer_if(IF_EQUAL, 0, ALLOW));
    limits.push(step(RETURN, fail_with(libc::EPERM), 0, 0));
    at_call(&mut program, libc::SYS_prlimit64, &limits);
    at_call(&mut program, libc::SYS_socket, &sockets());
    program.push(step(RETURN, ALLOW, 0, 0));
    program
}

/// What decides about a new socket: its family, then its protocol.
fn sockets() -> Vec<Instruction> {
    let mut rules = vec![step(LOAD, FIRST_ARGUMENT, 0, 0)];
    rules.extend(answer_if(IF_EQUAL, libc::AF_UNIX.cast_unsigned(), ALLOW));
    let mut internet = vec![step(LOAD, THIRD_ARGUMENT, 0, 0)];
    for protocol in PROTOCOLS {
        internet.extend(answer_if(IF_EQUAL, protocol.cast_unsigned(), ALLOW));
    }
    internet.push(step(RETURN, fail_with(libc::EPROTONOSUPPORT), 0, 0));
    // Routes and devices of one's own network; nothing else that the kernel tells.
    let mut netlink = vec![step(LOAD, THIRD_ARGUMENT, 0, 0)];
    netlink.extend(answer_if(IF_EQUAL, libc::NETLINK_ROUTE.cast_unsigned(), ALLOW));
    netlink.push(step(RETURN, fail_with(libc::EPROTONOSUPPORT), 0, 0));
    for (family, of_family) in
        [(libc::AF_INET, &internet), (libc::AF_INET6, &internet), (libc::AF_NETLINK, &netlink)]
    {
        let length = u8::try_from(of_family.len()).expect("the rules of one family are few");
        rules.push(step(IF_EQUAL, family.cast_unsigned(), 0, length));
        rules.extend_from_slice(of_family);
    }
    rules.push(step(RETURN, fail_with(libc::EAFNOSUPPORT), 0, 0));
    rules
}

/// The program that the first process of a sandbox adds for itself and all builders.
pub fn program_inside() -> Vec<Instruction> {
    let mut program = start();
    for call in REFUSED_INSIDE {
        program.extend(answer_if(IF_EQUAL, number(*call), fail_with(libc::EPERM)));
    }
    // `clone3` has its flags in memory, where a filter cannot look; that no user namespace may be
    // made stands in its way.
    let clone = [
        step(LOAD, FIRST_ARGUMENT, 0, 0),
        step(IF_ANY_BIT, NEW_NAMESPACES.cast_unsigned(), 0, 1),
        step(RETURN, fail_with(libc::EPERM), 0, 0),
        step(RETURN, ALLOW, 0, 0),
    ];
    at_call(&mut program, libc::SYS_clone, &clone);
    program.push(step(RETURN, ALLOW, 0, 0));
    program
}

/// The program of builders whose clock or listings are not the machine's: it stops them for the tracer.
#[cfg(target_arch = "x86_64")]
pub fn program_traced(has_clock: bool, has_listings: bool) -> Vec<Instruction> {
    const TRACE: u32 = 0x7ff0_0000;
    const CLOCK: &[libc::c_long] = &[
        libc::SYS_clock_gettime,
        libc::SYS_gettimeofday,
        libc::SYS_time,
        libc::SYS_stat,
        libc::SYS_fstat,
        libc::SYS_lstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_clock_nanosleep,
    ];
    const REALTIME_FUTEX: u32 = 256;
    let mut program = start();
    for call in CLOCK.iter().filter(|_| has_clock) {
        program.extend(answer_if(IF_EQUAL, number(*call), TRACE));
    }
    if has_clock {
        let futex = [
            step(LOAD, SECOND_ARGUMENT, 0, 0),
            step(IF_ANY_BIT, REALTIME_FUTEX, 0, 1),
            step(RETURN, TRACE, 0, 0),
            step(RETURN, ALLOW, 0, 0),
        ];
        at_call(&mut program, libc::SYS_futex, &futex);
    }
    if has_listings {
        program.extend(answer_if(IF_EQUAL, number(libc::SYS_getdents64), TRACE));
    }
    program.push(step(RETURN, ALLOW, 0, 0));
    program
}
