//! Machines that refuse: runs a program under a filter of system calls, as containers and security
//! modules would have it, or inside a changed root directory.

use std::ffi::c_long;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::call;
use crate::calls::*;

/// One instruction of the classic BPF.
#[repr(C)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

#[repr(C)]
struct Program {
    length: u16,
    first: *const Instruction,
}

const MOUNTING: &[c_long] = &[MOUNT, UMOUNT, PIVOT_ROOT, FSOPEN, OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR];

/// The calls that are answered with an error on such a machine.
fn denied(kind: &str) -> Option<Vec<(c_long, i32)>> {
    let all = |calls: &[c_long], errno: i32| calls.iter().map(|call| (*call, errno)).collect::<Vec<_>>();
    Some(match kind {
        // What Docker's default filter does to a process without `CAP_SYS_ADMIN`.
        "container" => [all(MOUNTING, EPERM), all(&[UNSHARE, SETNS], EPERM), all(&[CLONE3], ENOSYS)].concat(),
        "mounting" => all(MOUNTING, EPERM),
        "old-clone" => all(&[CLONE3], ENOSYS),
        "old-mounts" => all(&[FSOPEN, OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR], ENOSYS),
        "no-setattr" => all(&[MOUNT_SETATTR], ENOSYS),
        "no-pivot" => all(&[PIVOT_ROOT], EPERM),
        "no-filters" => all(&[PRCTL_SECCOMP], EINVAL),
        _ => return None,
    })
}

/// Stands for `prctl(PR_SET_SECCOMP, …)`, which is told from other orders of `prctl` by an argument.
const PRCTL_SECCOMP: c_long = -1;

fn install(calls: &[(c_long, i32)]) {
    let step =
        |code: u16, value: u32, if_true: u8, if_false: u8| Instruction { code, if_true, if_false, value };
    let answer = |errno: i32| step(0x06, 0x0005_0000 | errno.cast_unsigned(), 0, 0);
    let mut program = vec![step(0x20, 0, 0, 0)];
    for (number, errno) in calls {
        if *number == PRCTL_SECCOMP {
            let prctl = u32::try_from(PRCTL).expect("small");
            program.extend([
                step(0x15, prctl, 0, 4),
                step(0x20, 16, 0, 0),
                step(0x15, 22, 0, 1),
                answer(*errno),
            ]);
            program.push(step(0x06, 0x7fff_0000, 0, 0));
        } else {
            program.extend([step(0x15, u32::try_from(*number).expect("small"), 0, 1), answer(*errno)]);
        }
    }
    program.push(step(0x06, 0x7fff_0000, 0, 0));
    let program =
        Program { length: u16::try_from(program.len()).expect("short"), first: program.leak().as_ptr() };
    call!(PRCTL, 38, 1, 0, 0, 0).expect("this always works");
    call!(PRCTL, 22, 2, &raw const program, 0, 0).expect("filters are allowed here");
}

/// Runs a program on a machine of that kind, instead of this one.
pub fn run(kind: &str, program: &str, arguments: &[&str]) -> i32 {
    if kind == "chroot" {
        // Into what is the root already: the path is the same, and the kernel knows that it is not.
        let path = text("/");
        let place = std::env::var("CHROOT").map_or(path, text);
        call!(CHROOT, at(&place)).expect("this needs rights");
    } else {
        let Some(calls) = denied(kind) else { return 2 };
        install(&calls);
    }
    let error = Command::new(program).args(arguments).exec();
    eprintln!("attacker: {program}: {error}");
    1
}
