//! A clock and an order of directory listings that the machine does not have, for audits only.
//!
//! The first process of the sandbox traces every other one. A filter of system calls stops them where
//! they ask for the time, for what a file is like, or for a listing; the answer is put in place of the
//! kernel's. That reaches static programs as well, which a preloaded library does not. The kernel's page
//! that answers without a system call (vDSO) is taken out of what programs are told when they start.
//!
//! The clock starts at a given second and goes a thousand times slower than the real one: so two builds
//! see the same seconds, however long they take. Who asks very often waits for time to pass, and gets the
//! real pace. The times of files that the build makes start at the same second and go at the real pace.
//! `CLOCK_MONOTONIC` is left alone.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io::{IoSlice, IoSliceMut};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::conditions::Conditions;
use super::wait::Stopped;
use super::{filter, namespaces};

const BILLION: i128 = 1_000_000_000;
/// So much slower goes the clock.
const SLOWER: i128 = 1000;
/// After so many looks at the clock it goes at its real pace.
const PATIENCE: u32 = 500;
/// The clock moves in steps of so many nanoseconds, so that the first second of a build is one moment.
const STEP: i128 = 1_000_000;
/// File times are those of the kernel's last tick.
const TICK: i128 = 20_000_000;
/// The part of a new program's stack that is looked at, in words: argument and environment pointers.
const STACK_WORDS: usize = 1 << 19;
/// `linux/auxvec.h`
const AT_IGNORE: u64 = 1;
const AT_SYSINFO_EHDR: u64 = 33;
/// Below the stack pointer, this many bytes belong to the program.
const RED_ZONE: u64 = 128;
/// The largest listing that is turned round, in bytes.
const LARGEST_LISTING: u64 = 4 << 20;
/// `linux/futex.h`
const FUTEX_CLOCK_REALTIME: u64 = 256;

/// Where in `struct stat` and in `struct statx` the times are; all are a number of 64 bits of seconds,
/// then nanoseconds, which take 64 bits or 32.
const STAT_TIMES: &[usize] = &[72, 88, 104];
const STATX_TIMES: &[usize] = &[64, 80, 96, 112];

/// The tracing of all processes of a sandbox.
#[derive(Debug)]
pub struct Tracer {
    clock: Option<Clock>,
    is_reversed: bool,
    /// What stopped processes will have been told when their system call ends.
    pending: HashMap<Pid, Call>,
}

/// A system call whose answer is changed: what is at which address.
#[derive(Clone, Copy, Debug)]
enum Call {
    Stat { at: u64 },
    Statx { at: u64 },
    Listing { at: u64 },
}

/// A clock of its own.
#[derive(Debug)]
struct Clock {
    /// What it showed in the beginning, and when that was; nanoseconds since 1970.
    shown: i128,
    began: i128,
    looks: u32,
    /// When it began to go at the real pace.
    hurried: Option<i128>,
}

impl Clock {
    fn new(seconds: i64) -> Self {
        Self { shown: i128::from(seconds) * BILLION, began: real(), looks: 0, hurried: None }
    }

    fn now(&mut self) -> i128 {
        self.looks = self.looks.saturating_add(1);
        let now = real();
        if self.looks > PATIENCE && self.hurried.is_none() {
            self.hurried = Some(now);
        }
        let shown = self.at(now);
        if self.hurried.is_none() { shown - shown.rem_euclid(STEP) } else { shown }
    }

    /// What it shows at a real moment.
    fn at(&self, moment: i128) -> i128 {
        match self.hurried {
            Some(since) if moment > since => self.shown + (since - self.began) / SLOWER + (moment - since),
            _ => self.shown + (moment - self.began) / SLOWER,
        }
    }

    /// The time of a file: what was made since the beginning is as old as it is, seen from this clock's
    /// beginning. It does not go slower: programs that wait for a second and look what is newer would be
    /// led astray.
    fn of_file(&self, time: i128) -> i128 {
        let is_made_here = time >= self.began - TICK && time <= real() + TICK;
        if is_made_here { self.shown + (time - self.began).max(0) } else { time }
    }

    /// The real moment for which somebody waits who has reckoned by this clock.
    fn deadline(&self, shown: i128) -> i128 {
        let now = real();
        now + shown - self.at(now)
    }
}

/// The real time in nanoseconds since 1970.
fn real() -> i128 {
    clock_gettime(ClockId::CLOCK_REALTIME)
        .map_or(0, |time| i128::from(time.tv_sec()) * BILLION + i128::from(time.tv_nsec()))
}

fn split(time: i128) -> (i64, i64) {
    let (seconds, nanoseconds) = (time.div_euclid(BILLION), time.rem_euclid(BILLION));
    (i64::try_from(seconds).unwrap_or(i64::MAX), i64::try_from(nanoseconds).unwrap_or(0))
}

impl Tracer {
    /// The tracer that these conditions need, if they need one.
    pub fn new(conditions: &Conditions) -> Option<Self> {
        let is_needed = conditions.clock.is_some() || conditions.reversed_listings;
        is_needed.then(|| Self {
            clock: conditions.clock.map(Clock::new),
            is_reversed: conditions.reversed_listings,
            pending: HashMap::new(),
        })
    }

    /// Starts a program as [`namespaces::start_program`] does, traced.
    pub fn start(
        &mut self,
        program: &CStr,
        arguments: &[CString],
        environment: &[CString],
        address_space: Option<u64>,
    ) -> nix::Result<Pid> {
        let filter = filter::program_traced(self.clock.is_some(), self.is_reversed);
        let child = || {
            let run = || -> nix::Result<()> {
                nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
                SigSet::empty().thread_set_mask()?;
                ptrace::traceme()?;
                nix::sys::signal::raise(Signal::SIGSTOP)?;
                if let Some(bytes) = address_space {
                    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_AS, bytes, bytes)?;
                }
                namespaces::install_filter(&filter)?;
                nix::unistd::execve(program, arguments, environment).map(|never| match never {})
            };
            run().err().map_or(0, |errno| errno as i32)
        };
        let pid = namespaces::fork(child)?;
        let begin = || -> nix::Result<()> {
            stopped(pid)?;
            ptrace::setoptions(pid, Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL)?;
            ptrace::cont(pid, None)?;
            stopped(pid)?;
            self.begin(pid)?;
            // A process that lets itself be traced cannot be told to stop as others are, and one that has
            // not executed yet cannot be seized: its memory belongs to a user namespace above.
            // A signal that comes with letting go is not heeded at this point: it has to wait already, or the
            // program begins with nobody there whom the filter could call.
            kill(pid, Signal::SIGSTOP)?;
            ptrace::detach(pid, None)?;
            let options = Options::PTRACE_O_TRACEFORK
                | Options::PTRACE_O_TRACEVFORK
                | Options::PTRACE_O_TRACECLONE
                | Options::PTRACE_O_TRACEEXEC
                | Options::PTRACE_O_TRACESECCOMP
                | Options::PTRACE_O_TRACESYSGOOD
                | Options::PTRACE_O_EXITKILL;
            ptrace::seize(pid, options)?;
            kill(pid, Signal::SIGCONT)
        };
        let begun = begin();
        if begun.is_err() {
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
        }
        begun.map(|()| pid)
    }

    /// A program begins.
    fn begin(&self, pid: Pid) -> nix::Result<()> {
        if self.clock.is_some() { hide_vdso(pid) } else { Ok(()) }
    }

    /// Forgets a process that has ended: its number may be another one's soon.
    pub fn forget(&mut self, pid: Pid) {
        self.pending.remove(&pid);
    }

    /// Lets a process go on that has stopped. A process that is gone by then is nobody's trouble.
    pub fn resume(&mut self, pid: Pid, stopped: Stopped) {
        /// A system call, because of `PTRACE_O_TRACESYSGOOD`.
        const CALL: i32 = libc::SIGTRAP | 0x80;
        let Stopped { signal, event } = stopped;
        let _ = match (event, signal) {
            (libc::PTRACE_EVENT_EXEC, _) => {
                self.pending.remove(&pid);
                let _ = self.begin(pid);
                namespaces::go_on(pid, 0)
            }
            (libc::PTRACE_EVENT_SECCOMP, _) if self.enter(pid).unwrap_or(false) => ptrace::syscall(pid, None),
            (0, CALL) => {
                if let Some(call) = self.pending.remove(&pid) {
                    let _ = self.leave(pid, call);
                }
                namespaces::go_on(pid, 0)
            }
            // It was told to stop, and stays so until it is told to go on.
            (libc::PTRACE_EVENT_STOP, signal) if signal != libc::SIGTRAP => namespaces::listen(pid),
            (0, signal) => namespaces::go_on(pid, signal),
            _ => namespaces::go_on(pid, 0),
        };
    }

    /// At the beginning of a system call: answers it, or gives true to see how it ends.
    fn enter(&mut self, pid: Pid) -> nix::Result<bool> {
        let mut registers = ptrace::getregs(pid)?;
        let call = libc::c_long::try_from(registers.orig_rax).unwrap_or(-1);
        let watched = match call {
            libc::SYS_getdents64 if self.is_reversed => Some(Call::Listing { at: registers.rsi }),
            libc::SYS_stat | libc::SYS_fstat | libc::SYS_lstat => Some(Call::Stat { at: registers.rsi }),
            libc::SYS_newfstatat => Some(Call::Stat { at: registers.rdx }),
            libc::SYS_statx => Some(Call::Statx { at: registers.r8 }),
            _ => None,
        };
        if let Some(call) = watched {
            self.pending.insert(pid, call);
            return Ok(true);
        }
        let Some(clock) = &mut self.clock else { return Ok(false) };
        let words = |time: i128, unit: i64| {
            let (seconds, nanoseconds) = split(time);
            [seconds.to_le_bytes(), (nanoseconds / unit).to_le_bytes()].concat()
        };
        let answered = match call {
            libc::SYS_clock_gettime => {
                let is_wall = [libc::CLOCK_REALTIME, libc::CLOCK_REALTIME_COARSE, libc::CLOCK_TAI]
                    .iter()
                    .any(|known| u64::from(known.cast_unsigned()) == registers.rdi);
                if !is_wall {
                    return Ok(false);
                }
                write(pid, registers.rsi, &words(clock.now(), 1))?;
                0
            }
            libc::SYS_gettimeofday => {
                if registers.rdi != 0 {
                    write(pid, registers.rdi, &words(clock.now(), 1000))?;
                }
                if registers.rsi != 0 {
                    write(pid, registers.rsi, &[0; 8])?;
                }
                0
            }
            libc::SYS_time => {
                let (seconds, _) = split(clock.now());
                if registers.rdi != 0 {
                    write(pid, registers.rdi, &seconds.to_le_bytes())?;
                }
                seconds.cast_unsigned()
            }
            libc::SYS_futex if registers.rsi & FUTEX_CLOCK_REALTIME != 0 && registers.r10 != 0 => {
                registers.r10 = real_deadline(pid, clock, registers.r10, registers.rsp)?;
                ptrace::setregs(pid, registers)?;
                return Ok(false);
            }
            libc::SYS_clock_nanosleep
                if registers.rdi == u64::from(libc::CLOCK_REALTIME.cast_unsigned())
                    && registers.rsi & u64::from(libc::TIMER_ABSTIME.cast_unsigned()) != 0 =>
            {
                registers.rdx = real_deadline(pid, clock, registers.rdx, registers.rsp)?;
                ptrace::setregs(pid, registers)?;
                return Ok(false);
            }
            _ => return Ok(false),
        };
        // The call is left out, and this is what it gives.
        registers.orig_rax = u64::MAX;
        registers.rax = answered;
        ptrace::setregs(pid, registers)?;
        Ok(false)
    }

    /// At the end of a system call: changes what it gave.
    fn leave(&self, pid: Pid, call: Call) -> nix::Result<()> {
        let given = ptrace::getregs(pid)?.rax.cast_signed();
        if given < 0 {
            return Ok(());
        }
        let (at, size, times, has_long_fraction) = match call {
            Call::Listing { at } => {
                let length = given.cast_unsigned();
                if length <= LARGEST_LISTING {
                    let mut listing = vec![0; usize::try_from(length).unwrap_or(0)];
                    read(pid, at, &mut listing)?;
                    write(pid, at, &reversed(&listing))?;
                }
                return Ok(());
            }
            Call::Stat { at } => (at, 144, STAT_TIMES, true),
            Call::Statx { at } => (at, 256, STATX_TIMES, false),
        };
        let Some(clock) = &self.clock else { return Ok(()) };
        let mut bytes = vec![0; size];
        read(pid, at, &mut bytes)?;
        for at in times {
            let seconds = i64::from_le_bytes(eight(&bytes, *at));
            let fraction = &bytes[at + 8..at + 12];
            let fraction = u32::from_le_bytes([fraction[0], fraction[1], fraction[2], fraction[3]]);
            let time = i128::from(seconds) * BILLION + i128::from(fraction);
            let (seconds, fraction) = split(clock.of_file(time));
            bytes[*at..at + 8].copy_from_slice(&seconds.to_le_bytes());
            let fraction = fraction.to_le_bytes();
            let length = if has_long_fraction { 8 } else { 4 };
            bytes[at + 8..at + 8 + length].copy_from_slice(&fraction[..length]);
        }
        write(pid, at, &bytes)
    }
}

/// Waits until a process has stopped; what it has ended with is the number of an error.
fn stopped(pid: Pid) -> nix::Result<()> {
    match waitpid(pid, None)? {
        WaitStatus::Exited(_, errno) => Err(Errno::from_raw(errno)),
        WaitStatus::Signaled(..) => Err(Errno::ESRCH),
        _ => Ok(()),
    }
}

fn eight(bytes: &[u8], at: usize) -> [u8; 8] {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    eight
}

/// Puts a moment of the real clock where the program's own stack is not used, in place of one that it
/// has from ours, and gives its address.
fn real_deadline(pid: Pid, clock: &Clock, at: u64, stack: u64) -> nix::Result<u64> {
    let mut time = [0; 16];
    read(pid, at, &mut time)?;
    let (seconds, fraction) = (i64::from_le_bytes(eight(&time, 0)), i64::from_le_bytes(eight(&time, 8)));
    let (seconds, fraction) = split(clock.deadline(i128::from(seconds) * BILLION + i128::from(fraction)));
    let place = (stack - RED_ZONE - 64) & !15;
    write(pid, place, &[seconds.to_le_bytes(), fraction.to_le_bytes()].concat())?;
    Ok(place)
}

/// The entries of a listing, the last one first. Their offsets stay where they are: whoever goes on
/// from one of them goes on behind the entries that were there.
fn reversed(listing: &[u8]) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut rest = listing;
    while rest.len() > 18 {
        let length = usize::from(u16::from_le_bytes([rest[16], rest[17]]));
        if length <= 18 || length > rest.len() {
            return listing.to_vec();
        }
        let (entry, others) = rest.split_at(length);
        entries.push(entry);
        rest = others;
    }
    let mut turned = Vec::with_capacity(listing.len());
    for (entry, place) in entries.iter().rev().zip(&entries) {
        turned.extend_from_slice(&entry[..8]);
        turned.extend_from_slice(&place[8..16]);
        turned.extend_from_slice(&entry[16..]);
    }
    turned
}

/// Takes the vDSO out of what a program that begins is told: then it asks the kernel.
fn hide_vdso(pid: Pid) -> nix::Result<()> {
    const WORDS: usize = 512;
    let mut at = ptrace::getregs(pid)?.rsp;
    // The stack has: the number of arguments, arguments, 0, environment, 0, pairs of kind and value.
    let mut zeros = 0;
    let mut is_kind = true;
    for index in (0..STACK_WORDS).step_by(WORDS) {
        let mut bytes = [0; WORDS * 8];
        let count = read_some(pid, at, &mut bytes)? / 8;
        for word in 0..count {
            let value = u64::from_le_bytes(eight(&bytes, word * 8));
            if index + word == 0 {
                continue;
            }
            if zeros < 2 {
                zeros += usize::from(value == 0);
                continue;
            }
            if is_kind {
                match value {
                    AT_SYSINFO_EHDR => return write(pid, at + word as u64 * 8, &AT_IGNORE.to_le_bytes()),
                    0 => return Ok(()),
                    _ => {}
                }
            }
            is_kind = !is_kind;
        }
        if count < WORDS {
            return Ok(());
        }
        at += (WORDS * 8) as u64;
    }
    Ok(())
}

fn read_some(pid: Pid, at: u64, into: &mut [u8]) -> nix::Result<usize> {
    let remote = RemoteIoVec { base: usize::try_from(at).unwrap_or(0), len: into.len() };
    process_vm_readv(pid, &mut [IoSliceMut::new(into)], &[remote])
}

fn read(pid: Pid, at: u64, into: &mut [u8]) -> nix::Result<()> {
    if read_some(pid, at, into)? == into.len() { Ok(()) } else { Err(Errno::EFAULT) }
}

fn write(pid: Pid, at: u64, bytes: &[u8]) -> nix::Result<()> {
    let remote = RemoteIoVec { base: usize::try_from(at).unwrap_or(0), len: bytes.len() };
    let written = process_vm_writev(pid, &[IoSlice::new(bytes)], &[remote])?;
    if written == bytes.len() { Ok(()) } else { Err(Errno::EFAULT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_slow_until_somebody_waits_for_it() {
        let mut clock = Clock::new(1000);
        let first = clock.now();
        assert_eq!(split(first), (1000, 0));
        assert_eq!(split(clock.at(clock.began + 10 * BILLION)), (1000, 10_000_000));
        for _ in 0..=PATIENCE {
            clock.now();
        }
        let hurried = clock.hurried.unwrap();
        assert_eq!(clock.at(hurried + 5 * BILLION) - clock.at(hurried), 5 * BILLION);
        assert!(clock.at(hurried) >= first);
    }

    #[test]
    fn only_what_a_build_makes_has_times_of_its_clock() {
        let clock = Clock::new(1000);
        assert_eq!(clock.of_file(BILLION), BILLION);
        assert_eq!(split(clock.of_file(clock.began)).0, 1000);
        let future = clock.began + 1000 * BILLION;
        assert_eq!(clock.of_file(future), future);
        let wait = clock.deadline(1001 * BILLION) - real();
        assert!((BILLION * 9 / 10..=BILLION).contains(&wait), "{wait}");
    }

    #[test]
    fn listings_are_turned_round_entry_by_entry() {
        let entry = |number: u8, offset: u8, length: u8| {
            let mut entry = vec![number; usize::from(length)];
            entry[8..16].copy_from_slice(&u64::from(offset).to_le_bytes());
            entry[16..18].copy_from_slice(&u16::from(length).to_le_bytes());
            entry
        };
        let listing = [entry(7, 1, 24), entry(8, 2, 32), entry(9, 3, 24)].concat();
        let expected = [entry(9, 1, 24), entry(8, 2, 32), entry(7, 3, 24)].concat();
        assert_eq!(reversed(&listing), expected);
        assert!(reversed(&[]).is_empty());
        let broken = [0_u8; 40];
        assert_eq!(reversed(&broken), broken);
    }
}
