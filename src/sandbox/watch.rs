//! Following one run from the engine's side: its log, its time, its events, and stopping it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::statvfs::fstatvfs;

use super::KeepFree;
use super::message::{Ended, Event, KILL, STOP, receive};
use crate::outcome::Failure;
use crate::request::Limits;

/// How often the stop flag, the clock and the scratch space are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long a sandbox may take to end when it is killed.
pub const DYING: Duration = Duration::from_secs(10);
/// What the C library says for `ENOSPC` and `EDQUOT`, in the language that builders run in.
const COMPLAINTS: &[&[u8]] = &[b"No space left on device", b"Disk quota exceeded"];
/// Below this many free bytes, a scratch space was full even when nobody complained.
const HARDLY_ANY: u64 = 1 << 20;
/// Above this many free bytes, a complaint was not about the scratch space.
const PLENTY: u64 = 1 << 30;

/// What came of a run that ended by itself.
#[derive(Debug)]
pub struct Followed {
    /// The top directories of the captured overlays, in the order of the mounts.
    pub captured: Vec<OwnedFd>,
    pub ended: Ended,
    pub fullness: Fullness,
}

/// What was noticed of the scratch space while a run went on.
#[derive(Clone, Copy, Debug)]
pub struct Fullness {
    /// The fewest free bytes seen.
    least_free: u64,
    /// Whether the log says that something was full.
    complained: bool,
}

impl Fullness {
    /// Whether what the builder did, be it a failure or a success, may come of a full scratch space.
    pub fn may_have_mattered(self) -> bool {
        self.least_free < HARDLY_ANY || (self.complained && self.least_free < PLENTY)
    }
}

impl Default for Fullness {
    fn default() -> Self {
        Self { least_free: u64::MAX, complained: false }
    }
}

/// A run in progress.
pub struct Watch<'a> {
    pub control: &'a UnixStream,
    /// The reading end of what the builder takes for its output; does not block.
    pub output: File,
    pub log: &'a File,
    pub limits: &'a Limits,
    pub stop: &'a AtomicBool,
    pub started: Instant,
    /// Between asking a builder to end and ending it.
    pub grace: Duration,
    /// What has to stay free of the disk that the builder's files are on.
    pub keep_free: Option<KeepFree>,
}

/// The changing part of a [`Watch`].
#[derive(Default)]
struct State {
    captured: Vec<OwnedFd>,
    scratch: Option<OwnedFd>,
    ended: Option<Ended>,
    output_is_open: bool,
    logged: u64,
    tail: Vec<u8>,
    fullness: Fullness,
    /// Why the builder is being stopped, and when it is killed.
    stopping: Option<(Failure, Instant)>,
    is_killed: bool,
}

impl Watch<'_> {
    /// Follows the run to its end.
    pub fn follow(mut self) -> Result<Followed, Failure> {
        let mut state = State { output_is_open: true, ..State::default() };
        let mut buffer = vec![0; 64 << 10];
        while state.ended.is_none() {
            self.check_time(&mut state);
            let (event, output) = self.wait(&state)?;
            if output {
                self.copy_output(&mut state, &mut buffer);
            }
            if event && !self.take_event(&mut state)? {
                break;
            }
            self.check_scratch(&mut state);
        }
        while state.output_is_open && self.copy_output(&mut state, &mut buffer) {}
        match (state.stopping, state.ended) {
            (Some((failure, _)), _) => Err(failure),
            (None, Some(ended)) => Ok(Followed { captured: state.captured, ended, fullness: state.fullness }),
            // Only the kernel, short of memory, ends the first process of a sandbox.
            (None, None) => Err(Failure::OutOfMemory { limit: self.limits.memory }),
        }
    }

    /// Waits for an event or output, for a tick at most.
    fn wait(&self, state: &State) -> Result<(bool, bool), Failure> {
        let mut ready = vec![PollFd::new(self.control.as_fd(), PollFlags::POLLIN)];
        if state.output_is_open {
            ready.push(PollFd::new(self.output.as_fd(), PollFlags::POLLIN));
        }
        let tick = PollTimeout::try_from(TICK).unwrap_or(PollTimeout::ZERO);
        match poll(&mut ready, tick) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(machine("waiting for the builder", errno.desc())),
        }
        let is_ready = |index: usize| ready.get(index).is_some_and(|fd| fd.any().unwrap_or(true));
        Ok((is_ready(0), is_ready(1)))
    }

    /// Takes one event in; false at the end of the stream.
    fn take_event(&mut self, state: &mut State) -> Result<bool, Failure> {
        match receive::<Event>(self.control) {
            Ok(Some((Event::Ready, mut descriptors))) => {
                state.scratch = descriptors.pop();
                state.captured = descriptors;
            }
            // Nobody visits a run that is followed.
            Ok(Some((Event::Visiting { .. }, _))) => {}
            Ok(Some((Event::Ended(ended), _))) => state.ended = Some(ended),
            Ok(Some((Event::Refused { step, errno, detail }, _))) => {
                return Err(refused(step, errno, &detail));
            }
            Ok(None) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(machine("listening to the sandbox", &error.to_string())),
        }
        Ok(true)
    }

    fn check_time(&mut self, state: &mut State) {
        let now = Instant::now();
        match &state.stopping {
            None => {
                let limit = Duration::from_secs(self.limits.seconds);
                if self.stop.load(Ordering::Relaxed) {
                    self.begin_stop(state, Failure::Cancelled, self.grace);
                } else if now.duration_since(self.started) >= limit {
                    let failure = Failure::TimeOut { seconds: self.limits.seconds };
                    self.begin_stop(state, failure, self.grace);
                }
            }
            Some((_, end)) if now >= *end + DYING => {
                // The first process itself hangs; without its socket it ends as soon as it can.
                let _ = self.control.shutdown(std::net::Shutdown::Both);
            }
            Some((_, end)) if now >= *end && !state.is_killed => {
                state.is_killed = true;
                self.order(KILL);
            }
            Some(_) => {}
        }
    }

    fn begin_stop(&mut self, state: &mut State, why: Failure, grace: Duration) {
        if state.stopping.is_none() {
            state.stopping = Some((why, Instant::now() + grace));
            self.order(if grace.is_zero() { KILL } else { STOP });
            state.is_killed = grace.is_zero();
        }
    }

    fn order(&mut self, order: u8) {
        // Should it be gone already, the end of the stream tells.
        let _ = super::message::send_raw(self.control, &[order], &[]);
    }

    /// Moves what is there from the builder to the log; false when nothing is there now.
    fn copy_output(&mut self, state: &mut State, buffer: &mut [u8]) -> bool {
        let bytes = match self.output.read(buffer) {
            Ok(0) => {
                state.output_is_open = false;
                return false;
            }
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == ErrorKind::Interrupted => return true,
            Err(_) => return false,
        };
        let room = self.limits.log.saturating_sub(state.logged);
        let kept = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        state.logged += kept as u64;
        if let Err(error) = self.log.write_all(&bytes[..kept]) {
            let failure = match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    Failure::NoSpace { what: "writing the log".to_owned() }
                }
                _ => machine("writing the log", &error.to_string()),
            };
            self.begin_stop(state, failure, Duration::ZERO);
        } else if kept < bytes.len() {
            self.begin_stop(state, Failure::LogLimit { limit: self.limits.log }, Duration::ZERO);
        }
        state.note_complaint(bytes);
        true
    }

    fn check_scratch(&mut self, state: &mut State) {
        if let Some(status) = state.scratch.as_ref().and_then(|scratch| fstatvfs(scratch).ok()) {
            let no_more_files = status.files() > 0 && status.files_available() == 0;
            let free = status.blocks_available().saturating_mul(status.fragment_size());
            let free = if no_more_files { 0 } else { free };
            state.fullness.least_free = state.fullness.least_free.min(free);
            let kept =
                self.keep_free.map(|kept| kept.of(status.blocks().saturating_mul(status.fragment_size())));
            if let Some(kept) = kept.filter(|kept| free < *kept) {
                let what = format!(
                    "the builder's files: of the store's disk, {} MiB are kept free (see `--store`)",
                    kept >> 20
                );
                self.begin_stop(state, Failure::NoSpace { what }, Duration::ZERO);
            }
        }
    }
}

impl State {
    /// Looks for the C library's words for a full disk, across the borders of reads.
    fn note_complaint(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        let has = |words: &&[u8]| self.tail.windows(words.len()).any(|window| window == *words);
        self.fullness.complained |= COMPLAINTS.iter().any(has);
        self.tail.drain(..self.tail.len().saturating_sub(COMPLAINTS[0].len() - 1));
    }
}

fn machine(what: &str, reason: &str) -> Failure {
    Failure::Machine { what: what.to_owned(), reason: reason.to_owned() }
}

/// The failure for a sandbox that could not be made.
pub fn refused(step: String, errno: i32, detail: &str) -> Failure {
    let errno = Errno::from_raw(errno);
    if matches!(errno, Errno::ENOSPC | Errno::EDQUOT) && step != super::spawner::NEW_NAMESPACES {
        return Failure::NoSpace { what: format!("making a sandbox: {step}") };
    }
    let mut reason = format!("{} ({errno:?})", errno.desc());
    if !detail.is_empty() {
        reason = format!("{reason}: {detail}");
    }
    Failure::Sandbox { what: step, reason }
}
