//! What a run may use: resource limits of the kernel, the same on every machine.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};

/// Which kind of memory limit is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLimit {
    /// A control group limits the sandbox as a whole.
    ControlGroup,
    /// No control group is delegated to us: each process's address space is limited.
    AddressSpace,
}

const MIB: rlim_t = 1 << 20;

/// Limits that no recipe sets: soft and hard, so that builders meet the same numbers everywhere.
const FIXED: &[(Resource, rlim_t, rlim_t)] = &[
    (Resource::RLIMIT_CORE, 0, 0),
    (Resource::RLIMIT_NOFILE, 4096, 4096),
    (Resource::RLIMIT_STACK, 8 * MIB, 1024 * MIB),
    (Resource::RLIMIT_MEMLOCK, 8 * MIB, 8 * MIB),
    (Resource::RLIMIT_SIGPENDING, 1024, 1024),
    (Resource::RLIMIT_MSGQUEUE, 819_200, 819_200),
    (Resource::RLIMIT_NICE, 0, 0),
    (Resource::RLIMIT_RTPRIO, 0, 0),
    (Resource::RLIMIT_CPU, RLIM_INFINITY, RLIM_INFINITY),
    (Resource::RLIMIT_DATA, RLIM_INFINITY, RLIM_INFINITY),
    // Only to keep one sparse file from looking endless; real bytes are limited by the scratch.
    (Resource::RLIMIT_FSIZE, 65536 * MIB, 65536 * MIB),
];

/// Sets the limits for this process and its children. A limit that this machine keeps lower
/// already stays lower.
pub fn apply(processes: u64) -> nix::Result<()> {
    // The first process counts as well.
    let processes = (Resource::RLIMIT_NPROC, processes + 1, processes + 1);
    for (resource, soft, hard) in FIXED.iter().copied().chain([processes]) {
        let (_, most) = getrlimit(resource)?;
        setrlimit(resource, soft.min(most), hard.min(most))?;
    }
    Ok(())
}
