//! The first process of a sandbox: it assembles the file system, runs the stages, reaps, reports.
//!
//! When it ends, the kernel ends everything in its process namespace, so nothing can outlive it:
//! no daemon, no double fork. It keeps its capabilities (which reach no further than the sandbox)
//! and so cannot be traced by the programs it starts; those lose them when they are executed.

use std::collections::HashMap;
use std::ffi::CString;
use std::fmt::Display;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{AccessFlags, Gid, Pid, Uid, access, chdir};

use super::conditions::Conditions;
use super::message::{ENTER, End, Ended, Event, Job, STOP, Visit, receive, send};
use super::trace::Tracer;
use super::wait::{Change, any_child};
use super::{filter, limits, namespaces, root};
use crate::request::Command;

/// What a shell would say when a program cannot be started.
const CANNOT_RUN: End = End::Status(127);

/// Runs one job that arrives over `control`, for the user and group that `ids` are outside. Gives
/// the exit status, which nobody reads: events tell the engine.
pub fn main(control: &UnixStream, ids: (Uid, Gid)) -> i32 {
    // Should the spawner die; the engine's death shows as the end of `control`.
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    let _ = nix::unistd::setsid();
    let Ok(Some((job, visitor))) = receive::<Job>(control) else { return 1 };
    match prepare(&job, ids) {
        Ok((results, children)) => {
            let borrowed: Vec<_> = results.iter().map(AsFd::as_fd).collect();
            if send(control, &Event::Ready, &borrowed).is_err() {
                return 1;
            }
            drop(results);
            match run(&job, control, &children, visitor) {
                Some(ended) => i32::from(send(control, &Event::Ended(ended), &[]).is_err()),
                None => 1,
            }
        }
        Err(refused) => {
            let root::Refused { step, errno, detail } = refused;
            let _ = send(control, &Event::Refused { step, errno: errno as i32, detail }, &[]);
            1
        }
    }
}

fn prepare(job: &Job, ids: (Uid, Gid)) -> Result<(Vec<OwnedFd>, SignalFd), root::Refused> {
    // What follows sets the largest process number and signals every process that there is: of the
    // whole machine, were this not the first process of its own namespace.
    if nix::unistd::getpid() != Pid::from_raw(1) {
        let step = "a process namespace".to_owned();
        return Err(root::Refused { step, errno: Errno::EPERM, detail: String::new() });
    }
    let results = root::assemble(job, ids)?;
    let finish = || {
        let null = nix::fcntl::open("/dev/null", nix::fcntl::OFlag::O_RDONLY, nix::sys::stat::Mode::empty())?;
        namespaces::duplicate_onto(&null, 0)?;
        limits::apply(job.processes)?;
        surround(&job.conditions)?;
        nix::sys::prctl::set_dumpable(false)?;
        namespaces::install_filter(&filter::program_inside())?;
        SignalFd::with_flags(
            &[Signal::SIGCHLD].into_iter().collect::<SigSet>(),
            SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
        )
    };
    match finish() {
        Ok(children) => Ok((results, children)),
        Err(errno) => {
            Err(root::Refused { step: "the limits of the run".to_owned(), errno, detail: String::new() })
        }
    }
}

/// What of the conditions this process hands on to all that it starts.
fn surround(conditions: &Conditions) -> nix::Result<()> {
    let usual = Conditions::default();
    if let Some(most) = conditions.processors {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let mut fewer = CpuSet::new();
        let processors = (0..CpuSet::count()).filter(|number| allowed.is_set(*number).unwrap_or(false));
        processors.take(most.max(1)).try_for_each(|number| fewer.set(number))?;
        sched_setaffinity(Pid::from_raw(0), &fewer)?;
    }
    if (conditions.fixed_addresses, conditions.old_kernel) != (usual.fixed_addresses, usual.old_kernel) {
        namespaces::set_personality(conditions.fixed_addresses, conditions.old_kernel)?;
    }
    Ok(())
}

/// Runs the stages, then the command of a visit, and ends what is left each time. `None` when the
/// engine is gone.
fn run(job: &Job, control: &UnixStream, children: &SignalFd, visitor: Vec<OwnedFd>) -> Option<Ended> {
    let mut tracer = Tracer::new(&job.conditions);
    let Stages { failed, is_broken_off } = run_stages(job, control, children, &mut tracer)?;
    end_all(&mut tracer);
    let visited = match &job.visit {
        Some(visit) if !is_broken_off => {
            send(control, &Event::Visiting { failed }, &[]).ok()?;
            if order(control)? == ENTER {
                let end = run_visit(visit, job, failed, control, children, visitor)?;
                end_all(&mut tracer);
                Some(end)
            } else {
                None
            }
        }
        _ => None,
    };
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
    // A program counts what this process had when it was started from it: no more than that says
    // nothing about the program.
    let own = getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss();
    let largest = if usage.max_rss() > own { usage.max_rss() } else { 0 };
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or_default()
    };
    Some(Ended {
        failed,
        visited,
        cpu: micros(usage.user_time()) + micros(usage.system_time()),
        largest: u64::try_from(largest).unwrap_or_default() * 1024,
    })
}

/// Ends every process but this one.
fn end_all(tracer: &mut Option<Tracer>) {
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    while reap(false, tracer).is_some() {}
}

/// How the stages ended.
#[derive(Default)]
struct Stages {
    failed: Option<(usize, usize, End)>,
    /// Whether the engine wanted them to end.
    is_broken_off: bool,
}

/// Runs the stages; `None` when the engine is gone.
fn run_stages(
    job: &Job,
    control: &UnixStream,
    children: &SignalFd,
    tracer: &mut Option<Tracer>,
) -> Option<Stages> {
    let mut ended = Stages::default();
    'stages: for (number, stage) in job.stages.iter().enumerate() {
        let mut waiting = stage.iter().enumerate();
        let mut running = HashMap::new();
        loop {
            while running.len() < job.parallel.max(1) {
                let Some((index, command)) = waiting.next() else { break };
                match start(command, job, false, tracer.as_mut()) {
                    Ok(pid) => drop(running.insert(pid, index)),
                    Err(errno) => {
                        say(&command.argv[0], errno.desc());
                        ended.failed = Some((number, index, CANNOT_RUN));
                        break 'stages;
                    }
                }
            }
            if running.is_empty() {
                break;
            }
            match wait(control, children)? {
                Wake::Children => {}
                Wake::Stop => {
                    ended.is_broken_off = true;
                    let _ = kill(Pid::from_raw(-1), Signal::SIGTERM);
                }
                Wake::Kill => {
                    ended.is_broken_off = true;
                    break 'stages;
                }
            }
            while let Some((pid, end)) = reap(true, tracer) {
                let Some(index) = running.remove(&pid) else { continue };
                if end != End::Status(0) {
                    ended.failed = Some((number, index, end));
                    break 'stages;
                }
            }
        }
    }
    Some(ended)
}

/// Runs the command of a visit where the stages ended. `None` when the engine is gone.
fn run_visit(
    visit: &Visit,
    job: &Job,
    failed: Option<(usize, usize, End)>,
    control: &UnixStream,
    children: &SignalFd,
    visitor: Vec<OwnedFd>,
) -> Option<End> {
    for (target, descriptor) in (0..3).zip(&visitor) {
        namespaces::duplicate_onto(descriptor, target).ok()?;
    }
    drop(visitor);
    // Without a terminal of its own a shell has no job control, and works.
    let is_terminal = visit.is_terminal && namespaces::take_terminal().is_ok();
    let of_failed = failed.map(|(stage, index, _)| job.stages[stage][index].cwd.clone());
    let mut command = visit.command.clone();
    command.cwd = of_failed.unwrap_or(command.cwd);
    let process = match start(&command, job, is_terminal, None) {
        Ok(process) => process,
        Err(errno) => {
            say(&command.argv[0], errno.desc());
            return Some(CANNOT_RUN);
        }
    };
    loop {
        match wait(control, children)? {
            Wake::Children => {}
            Wake::Stop => drop(kill(Pid::from_raw(-1), Signal::SIGTERM)),
            Wake::Kill => return Some(End::Signal(Signal::SIGKILL as i32)),
        }
        while let Some((pid, end)) = reap(true, &mut None) {
            if pid == process {
                return Some(end);
            }
        }
    }
}

enum Wake {
    Children,
    Stop,
    Kill,
}

/// Waits for what the engine has to say; `None` when it is gone.
fn order(control: &UnixStream) -> Option<u8> {
    let mut order = [0];
    loop {
        match nix::unistd::read(control, &mut order) {
            Ok(1) => return Some(order[0]),
            Err(Errno::EINTR) => {}
            _ => return None,
        }
    }
}

/// Waits until a child has ended or the engine has something to say; `None` when it is gone.
fn wait(control: &UnixStream, children: &SignalFd) -> Option<Wake> {
    loop {
        let mut ready = [
            PollFd::new(control.as_fd(), PollFlags::POLLIN),
            PollFd::new(children.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut ready, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            result => result.ok()?,
        };
        let is_ready = |index: usize| ready[index].any().unwrap_or(true);
        if is_ready(0) {
            return order(control).map(|order| if order == STOP { Wake::Stop } else { Wake::Kill });
        }
        if is_ready(1) {
            let _ = children.read_signal();
            return Some(Wake::Children);
        }
    }
}

/// Collects one ended child; `None` when there is none, or, with `only_look`, none yet. Those that have
/// stopped for the tracer go on.
fn reap(only_look: bool, tracer: &mut Option<Tracer>) -> Option<(Pid, End)> {
    loop {
        match any_child(only_look)? {
            (pid, Change::Ended(end)) => {
                tracer.iter_mut().for_each(|tracer| tracer.forget(pid));
                return Some((pid, end));
            }
            (pid, Change::Stopped(stopped)) => {
                tracer.iter_mut().for_each(|tracer| tracer.resume(pid, stopped));
            }
        }
    }
}

/// Starts a command, in front of the terminal if there is one for it.
fn start(command: &Command, job: &Job, in_front: bool, tracer: Option<&mut Tracer>) -> nix::Result<Pid> {
    chdir(command.cwd.as_str())?;
    let program = find(&command.argv[0], &job.path)?;
    let words = |words: &[String]| words.iter().map(|word| c_string(word)).collect::<nix::Result<Vec<_>>>();
    let (arguments, environment) = (words(&command.argv)?, words(&job.env)?);
    match tracer {
        Some(tracer) => tracer.start(&program, &arguments, &environment, job.address_space),
        None => namespaces::start_program(&program, &arguments, &environment, job.address_space, in_front),
    }
}

/// The file that `name` stands for: itself when it has a slash, else the first program of that
/// name on the search path.
fn find(name: &str, path: &str) -> nix::Result<CString> {
    if name.contains('/') {
        return c_string(name);
    }
    let is_program =
        |file: &String| Path::new(file).is_file() && access(file.as_str(), AccessFlags::X_OK).is_ok();
    let found = path.split(':').map(|directory| format!("{directory}/{name}")).find(is_program);
    c_string(&found.ok_or(Errno::ENOENT)?)
}

fn c_string(text: &str) -> nix::Result<CString> {
    CString::new(text).map_err(|_| Errno::EINVAL)
}

/// Writes a line of ours into the log.
fn say(what: &str, why: impl Display) {
    let _ = nix::unistd::write(std::io::stdout(), format!("jtwbuild: cannot run {what}: {why}\n").as_bytes());
}
