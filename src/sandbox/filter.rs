//! The filter of system calls that every builder runs under.
//!
//! Namespaces do not cover everything: keyrings, virtual-machine sockets and the kernel's log are
//! shared by the whole machine, and some calls exist to reach deep into the kernel. None of them
//! has a place in a build. The filter is installed once, in the spawner, and inherited.

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
    libc::SYS_swapon,
    libc::SYS_acct,
];

/// The only kinds of sockets; others are answered with `EAFNOSUPPORT`, as on a kernel without them.
const SOCKETS: &[i32] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// System calls of the x32 interface carry this bit.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

// Operations of the classic BPF (`linux/bpf_common.h`) and answers (`linux/seccomp.h`).
const LOAD: u16 = 0x20;
const IF_EQUAL: u16 = 0x15;
#[cfg(target_arch = "x86_64")]
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
#[cfg(target_endian = "little")]
const FIRST_ARGUMENT: u32 = 16;

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

/// The program, in the order in which it runs.
pub fn program() -> Vec<Instruction> {
    let number = |call: libc::c_long| u32::try_from(call).expect("numbers of system calls are small");
    let mut program = vec![step(LOAD, ARCH, 0, 0), step(IF_EQUAL, ARCHITECTURE, 1, 0)];
    program.push(step(RETURN, fail_with(libc::ENOSYS), 0, 0));
    program.push(step(LOAD, NUMBER, 0, 0));
    #[cfg(target_arch = "x86_64")]
    program.extend(answer_if(IF_AT_LEAST, X32, fail_with(libc::ENOSYS)));
    for call in REFUSED {
        program.extend(answer_if(IF_EQUAL, number(*call), fail_with(libc::EPERM)));
    }
    program.extend([step(IF_EQUAL, number(libc::SYS_socket), 1, 0), step(RETURN, ALLOW, 0, 0)]);
    program.push(step(LOAD, FIRST_ARGUMENT, 0, 0));
    for family in SOCKETS {
        program.extend(answer_if(IF_EQUAL, family.cast_unsigned(), ALLOW));
    }
    program.push(step(RETURN, fail_with(libc::EAFNOSUPPORT), 0, 0));
    program
}
