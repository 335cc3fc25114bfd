//! A visit: a person's command in the sandbox of a request, after its stages or in place of them.
//!
//! The sandbox is the same as for a run: file system, user, filters, no network. What is different:
//! time and log have no limit, the command has the person's terminal or descriptors, and nothing of
//! what is left behind is looked at.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::groups::Group;
use super::message::{self, ENTER, End, Event, Job, KILL, STOP, Scratch, receive};
use super::scratch::DiskScratch;
use super::terminal::Terminal;
use super::watch::{DYING, refused};
use super::{Sandbox, absolute, check, command_failed};
use crate::outcome::Failure;
use crate::request::{Command, Request};
use crate::store::Store;

/// How often the stop flag and the size of the terminal are looked at, in milliseconds.
const TICK: u8 = 100;

/// What a visit is for.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// Its stages are run first, up to the first command that fails.
    pub request: &'a Request,
    /// What is run then: where the failed command ran, if one did, else in its own directory.
    pub command: Command,
}

/// Where a visitor is.
#[derive(Clone, Copy, Debug)]
pub struct Streams<'a> {
    pub input: BorrowedFd<'a>,
    pub output: BorrowedFd<'a>,
    /// Also takes what the stages print.
    pub error: BorrowedFd<'a>,
    /// Whether input and output are a terminal; then the command gets one too.
    pub is_terminal: bool,
}

/// Is told that the stages are over, with the command that failed and how.
pub type Arrival<'a> = &'a mut dyn FnMut(Option<(&Command, Failure)>);

impl Sandbox {
    /// Makes the sandbox, runs the stages and lets the visitor in. Gives the exit status of the
    /// command, as a shell would tell it.
    pub fn visit(
        &self,
        plan: &Plan<'_>,
        store: &Arc<Store>,
        streams: Streams<'_>,
        stop: &AtomicBool,
        arrival: Arrival<'_>,
    ) -> Result<u8, Failure> {
        let trial = self.trial().map_err(|error| error.failure())?;
        check(plan.request, store)?;
        let machine = |reason: &str| Failure::Machine { what: "a visit".into(), reason: reason.to_owned() };
        let limits = &plan.request.limits;
        let group = trial.groups.as_ref().and_then(|groups| groups.make(limits).ok());
        let disk = if trial.memory_is_fit { None } else { Some(DiskScratch::make(store)?) };
        let scratch = match &disk {
            None => Scratch::Memory { bytes: self.settings.scratch },
            Some(disk) => Scratch::Disk { directory: absolute(&disk.path)?, identity: disk.identity },
        };
        let (mut terminal, its_end) = if streams.is_terminal {
            let made = Terminal::open(streams.input, streams.output);
            let (terminal, its_end) = made.map_err(|errno| machine(errno.desc()))?;
            (Some(terminal), Some(its_end))
        } else {
            (None, None)
        };
        let visit = message::Visit { command: plan.command.clone(), is_terminal: terminal.is_some() };
        let job = Job { visit: Some(visit), ..self.job(plan.request, store, scratch, group.is_some())? };
        let io = |error: std::io::Error| machine(&error.to_string());
        let (control, its_control) = UnixStream::pair().map_err(io)?;
        let log: OwnedFd = streams.error.try_clone_to_owned().map_err(io)?;
        self.spawner.spawn(&its_control, &log, group.as_ref().map(Group::directory)).map_err(io)?;
        drop((its_control, log));
        let descriptors = match &its_end {
            Some(end) => [end.as_fd(); 3],
            None => [streams.input, streams.output, streams.error],
        };
        // Should the sandbox be gone already, the end of the stream tells.
        let _ = message::send(&control, &job, &descriptors);
        drop(its_end);
        let mut follow = Follow { control: &control, stop, asked: None, is_killed: false };
        let mut guest = Guest { terminal: terminal.as_mut(), is_in: false };
        loop {
            let event = follow.next(&mut guest, self.settings.grace).map_err(io)?;
            match event {
                Next::Nothing | Next::Event(Event::Ready) => {}
                Next::Event(Event::Refused { step, errno, detail }) => {
                    return Err(refused(step, errno, &detail));
                }
                Next::Event(Event::Visiting { failed }) => {
                    let failed = failed.map(|(stage, index, end)| {
                        let command = &plan.request.stages[stage][index];
                        (command, command_failed(command, end))
                    });
                    arrival(failed);
                    guest.enter();
                    let _ = message::send_raw(&control, &[ENTER], &[]);
                }
                Next::Event(Event::Ended(ended)) => {
                    guest.leave();
                    return match ended.visited {
                        Some(End::Status(status)) => Ok(u8::try_from(status).unwrap_or(u8::MAX)),
                        Some(End::Signal(signal)) => Ok(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
                        None => Err(Failure::Cancelled),
                    };
                }
                Next::Gone if stop.load(Ordering::Relaxed) => return Err(Failure::Cancelled),
                // Only the kernel, short of memory, ends the first process of a sandbox.
                Next::Gone => return Err(Failure::OutOfMemory { limit: limits.memory }),
            }
        }
    }
}

/// The visitor, before and after the door.
struct Guest<'g, 't> {
    terminal: Option<&'g mut Terminal<'t>>,
    is_in: bool,
}

impl Guest<'_, '_> {
    fn enter(&mut self) {
        self.is_in = true;
        self.terminal.iter_mut().for_each(|terminal| terminal.begin());
    }

    /// Shows what has been written last.
    fn leave(&mut self) {
        if let Some(terminal) = &self.terminal {
            terminal.show();
        }
    }
}

enum Next {
    Nothing,
    Event(Event),
    Gone,
}

struct Follow<'a> {
    control: &'a UnixStream,
    stop: &'a AtomicBool,
    /// When the sandbox was asked to end.
    asked: Option<Instant>,
    is_killed: bool,
}

impl Follow<'_> {
    /// Waits for a tick at most, and moves what goes between the terminals meanwhile.
    fn next(&mut self, guest: &mut Guest<'_, '_>, grace: std::time::Duration) -> std::io::Result<Next> {
        self.check_stop(guest, grace);
        let mut ready = vec![PollFd::new(self.control.as_fd(), PollFlags::POLLIN)];
        if let Some(terminal) = guest.terminal.as_deref().filter(|_| guest.is_in) {
            ready.extend(terminal.waits_for().map(|(descriptor, flags)| PollFd::new(descriptor, flags)));
        }
        match poll(&mut ready, PollTimeout::from(TICK)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let is_ready: Vec<bool> = ready.iter().map(|descriptor| descriptor.any().unwrap_or(true)).collect();
        if let [_, typed, shown] = is_ready[..]
            && let Some(terminal) = guest.terminal.as_deref_mut()
            && !terminal.relay([typed, shown])
        {
            guest.is_in = false;
        }
        if !is_ready[0] {
            return Ok(Next::Nothing);
        }
        match receive::<Event>(self.control) {
            Ok(Some((event, _))) => Ok(Next::Event(event)),
            Ok(None) => Ok(Next::Gone),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(Next::Gone),
            Err(error) => Err(error),
        }
    }

    /// Whoever closes the terminal, or stops us, ends the visit.
    fn check_stop(&mut self, guest: &Guest<'_, '_>, grace: std::time::Duration) {
        let is_closed = guest.terminal.as_deref().is_some_and(|terminal| terminal.is_closed);
        let order = |order: u8| drop(message::send_raw(self.control, &[order], &[]));
        match self.asked {
            None if is_closed || self.stop.load(Ordering::Relaxed) => {
                self.asked = Some(Instant::now());
                order(STOP);
            }
            Some(asked) if asked.elapsed() >= grace + DYING => {
                // The first process itself hangs; without its socket it ends as soon as it can.
                let _ = self.control.shutdown(std::net::Shutdown::Both);
            }
            Some(asked) if asked.elapsed() >= grace && !self.is_killed => {
                self.is_killed = true;
                order(KILL);
            }
            _ => {}
        }
    }
}
