//! What engine, spawner and the first process of a sandbox tell each other, and how.
//!
//! One message is a length (4 bytes, little-endian) and that many bytes of JSON, on a stream
//! socket; descriptors travel with its first bytes.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::conditions::Conditions;
use super::namespaces::received;
use crate::request::Command;

/// A message may not be larger than this, in bytes.
const LARGEST: usize = 64 << 20;
/// At most this many descriptors travel with one message (the kernel's own limit is 253).
pub const MOST_DESCRIPTORS: usize = 64;

/// Engine → first process: all that one run needs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// The directory that holds the trees; `layers` and `tree` below are names in it.
    pub trees: String,
    pub mounts: Vec<JobMount>,
    pub scratch: Scratch,
    pub stages: Vec<Vec<Command>>,
    /// `NAME=value`, the whole environment.
    pub env: Vec<String>,
    /// Search path of programs.
    pub path: String,
    /// Largest address space of one process in bytes, when control groups do not limit memory.
    pub address_space: Option<u64>,
    /// Processes and threads.
    pub processes: u64,
    /// How many commands of a stage run side by side.
    pub parallel: usize,
    /// Whether overlays take their layers one by one; else all in one string, which only so many
    /// fit in.
    pub one_by_one: bool,
    pub conditions: Conditions,
    /// What a person wants to run after the stages, however they ended. Comes with three descriptors for
    /// its input, output and errors.
    pub visit: Option<Visit>,
}

/// See [`Job::visit`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Visit {
    pub command: Command,
    /// Whether the descriptors are those of a terminal that is for the sandbox alone.
    pub is_terminal: bool,
}

/// One mount of a [`Job`].
#[derive(Debug, Serialize, Deserialize)]
pub enum JobMount {
    Overlay { at: String, layers: Vec<String>, captured: bool },
    ReadOnly { at: String, tree: String },
}

/// Where the writable parts of a sandbox live.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Scratch {
    /// A file system in memory of at most this many bytes.
    Memory { bytes: u64 },
    /// An empty directory of ours on a disk.
    /// `identity`: its device and number.
    Disk { directory: String, identity: (u64, u64) },
}

/// First process (or, when there is none, the spawner) → engine.
#[derive(Debug, Serialize, Deserialize)]
pub enum Event {
    /// The file system is in place and the first stage starts. Comes with the top directories of
    /// the captured overlays, in the order of the mounts, and at last the scratch space.
    Ready,
    /// The sandbox could not be made.
    Refused { step: String, errno: i32, detail: String },
    /// The stages are over. The command of a visit starts when the engine answers [`ENTER`].
    Visiting { failed: Option<(usize, usize, End)> },
    /// The run is over; every process but the first is gone.
    Ended(Ended),
}

/// How a run ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ended {
    /// The first command that failed, as `stage` and `index`, and how.
    pub failed: Option<(usize, usize, End)>,
    /// How the command of a visit ended, if it came to that.
    pub visited: Option<End>,
    /// User and system time of all commands, in microseconds.
    pub cpu: u64,
    /// Largest resident size of any process, in bytes.
    pub largest: u64,
}

/// How one command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    Status(i32),
    Signal(i32),
}

/// Asks the first process to end its commands politely; closing the socket ends them at once.
pub const STOP: u8 = b'T';
/// Asks the first process to end everything at once.
pub const KILL: u8 = b'K';
/// Lets a visitor in, who has been told where he is.
pub const ENTER: u8 = b'E';

/// Sends one message with descriptors.
pub fn send(to: &UnixStream, message: &impl Serialize, descriptors: &[BorrowedFd]) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - 4).map_err(|_| io::ErrorKind::InvalidInput)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    let sent = send_raw(to, &bytes, descriptors)?;
    let mut to = to;
    to.write_all(&bytes[sent..])
}

/// Receives one message and what came with it; `None` at the end of the stream.
pub fn receive<T: DeserializeOwned>(from: &UnixStream) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut head = [0; 4];
    let (got, descriptors) = receive_raw(from, &mut head)?;
    if got == 0 {
        return Ok(None);
    }
    let mut from = from;
    from.read_exact(&mut head[got..])?;
    let length = u32::from_le_bytes(head) as usize;
    if length > LARGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(Some((serde_json::from_slice(&bytes)?, descriptors)))
}

/// Sends bytes with descriptors in one packet and gives how many went.
pub fn send_raw(to: &impl AsRawFd, bytes: &[u8], descriptors: &[BorrowedFd]) -> io::Result<usize> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let control = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &[][..] } else { &control[..] };
    loop {
        match sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None) {
            Err(nix::errno::Errno::EINTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Receives bytes and the descriptors that came with them; no bytes at the end of the stream.
pub fn receive_raw(from: &impl AsRawFd, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = cmsg_space!([RawFd; MOST_DESCRIPTORS]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let mut buffers = [IoSliceMut::new(bytes)];
    let message = loop {
        match recvmsg::<()>(from.as_raw_fd(), &mut buffers, Some(&mut space), flags) {
            Err(nix::errno::Errno::EINTR) => {}
            result => break result?,
        }
    };
    let mut descriptors = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = part {
            descriptors.extend(raw.into_iter().map(received));
        }
    }
    Ok((message.bytes, descriptors))
}
