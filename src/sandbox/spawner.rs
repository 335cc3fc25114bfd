//! The spawner: a small single-threaded process from which every sandbox is forked.
//!
//! Forking from the engine would copy the page tables of a process that grows with the plan and
//! has many threads. The spawner is forked early, holds no descriptor but its socket, and ends
//! when the engine's end of that socket is closed, whatever the engine died of.

use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{Gid, Pid, Uid};

use super::message::{Event, receive_raw, send};
use super::network::Networks;
use super::{filter, init, namespaces, wait};

/// The descriptors with which a sandbox is started: its end of the control socket, what takes its
/// standard output and error, and the directory of its control group.
pub const CONTROL: i32 = 3;

/// How readily the kernel ends builders when memory is short, from -1000 to 1000: no builder can
/// lower what a user's programs usually have, 0 to 200, below that.
const FIRST_TO_GO: &str = "800";

/// The step that only the kernel's permission for namespaces decides.
pub const NEW_NAMESPACES: &str = "new namespaces";

/// A running spawner.
#[derive(Debug)]
pub struct Spawner {
    socket: Option<OwnedFd>,
    process: Pid,
}

impl Spawner {
    /// Forks the spawner. What keeps it from working as it should is reported as the step and the
    /// error of that step.
    pub fn start() -> Result<Self, (&'static str, Errno)> {
        let (ours, its) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(|errno| ("a socket for the spawner", errno))?;
        #[cfg(test)]
        let _starting = crate::store::disk::starting();
        let process =
            namespaces::fork(|| serve(its.as_raw_fd())).map_err(|errno| ("the spawner process", errno))?;
        Ok(Self { socket: Some(ours), process })
    }

    /// Asks for a new sandbox that speaks over `control` and writes to `log`, as a member of the
    /// control group whose directory is given.
    pub fn spawn(&self, control: &UnixStream, log: &OwnedFd, group: Option<&OwnedFd>) -> std::io::Result<()> {
        let socket = self.socket.as_ref().expect("the socket is taken only by drop");
        let mut descriptors = vec![control.as_fd(), log.as_fd()];
        descriptors.extend(group.map(AsFd::as_fd));
        super::message::send_raw(socket, b"+", &descriptors).map(drop)
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        self.socket = None;
        let _ = nix::sys::wait::waitpid(self.process, None);
    }
}

/// The spawner's main function. Gives its exit status.
fn serve(socket: i32) -> i32 {
    match prepare(socket).and_then(|(socket, children)| answer(&socket, &children)) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

fn prepare(socket: i32) -> nix::Result<(OwnedFd, SignalFd)> {
    namespaces::reset_signals(&[Signal::SIGCHLD])?;
    // Signals that a terminal sends are for the engine, which then ends builders in its own way.
    nix::unistd::setsid()?;
    let null = nix::fcntl::open("/dev/null", nix::fcntl::OFlag::O_RDWR, nix::sys::stat::Mode::empty())?;
    for standard in 0..3 {
        namespaces::duplicate_onto(&null, standard)?;
    }
    if socket != CONTROL {
        // SAFETY-free: the copy below is the only one that stays.
        let borrowed = namespaces::received(socket);
        namespaces::duplicate_onto(&borrowed, CONTROL)?;
        let _ = borrowed.into_raw_fd();
    }
    let _ = null.into_raw_fd();
    namespaces::close_from(CONTROL + 1, false)?;
    namespaces::close_from(CONTROL, true)?;
    let socket = namespaces::received(CONTROL);
    nix::unistd::chdir("/")?;
    let _ = nix::sys::prctl::set_name(c"jtwbuild-spawn");
    // When the machine is short of memory, builders go first.
    let _ = std::fs::write("/proc/self/oom_score_adj", FIRST_TO_GO);
    // Only root may; others keep groups that show up in the sandbox as `nogroup`.
    let _ = nix::unistd::setgroups(&[]);
    // Not allowed in some containers; the output does not depend on it.
    let _ = namespaces::set_personality(true, false);
    nix::sys::prctl::set_no_new_privs()?;
    namespaces::install_filter(&filter::program())?;
    let children =
        SignalFd::with_flags(&[Signal::SIGCHLD].into_iter().collect::<SigSet>(), SfdFlags::SFD_CLOEXEC)?;
    Ok((socket, children))
}

fn answer(socket: &OwnedFd, children: &SignalFd) -> nix::Result<()> {
    let ids = (nix::unistd::geteuid(), nix::unistd::getegid());
    let mut networks = Networks::default();
    loop {
        let mut ready = [
            PollFd::new(socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(children.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut ready, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            result => result?,
        };
        let is_ready = |index: usize| ready[index].any().unwrap_or(true);
        if is_ready(1) {
            let _ = children.read_signal();
            reap(&mut networks);
        }
        if is_ready(0) {
            let mut request = [0];
            let (count, descriptors) = receive_raw(socket, &mut request).map_err(|_| Errno::EIO)?;
            if count == 0 {
                return Ok(());
            }
            start(descriptors, ids, &mut networks);
        }
    }
}

fn reap(networks: &mut Networks) {
    while let Some((process, _)) = wait::any_child(true) {
        networks.give_back(process);
    }
}

fn start(descriptors: Vec<OwnedFd>, ids: (Uid, Gid), networks: &mut Networks) {
    let mut descriptors = descriptors.into_iter();
    let (Some(control), Some(log)) = (descriptors.next(), descriptors.next()) else { return };
    let group = descriptors.next();
    let group = group.as_ref().map(AsFd::as_fd);
    let forked = networks.enter(ids).and_then(|network| {
        let process =
            namespaces::fork_with_namespaces(namespaces::ALL_NAMESPACES, group, || {
                match hand_over(&control, &log) {
                    Ok(control) => init::main(&control, ids),
                    Err(_) => 1,
                }
            })?;
        networks.lend(process, network);
        Ok(())
    });
    if let Err(errno) = forked {
        let event =
            Event::Refused { step: NEW_NAMESPACES.to_owned(), errno: errno as i32, detail: String::new() };
        let _ = send(&UnixStream::from(control), &event, &[]);
    }
}

/// Leaves the new process with nothing but standard descriptors and its control socket.
fn hand_over(control: &OwnedFd, log: &OwnedFd) -> nix::Result<UnixStream> {
    namespaces::duplicate_onto(log, 1)?;
    namespaces::duplicate_onto(log, 2)?;
    namespaces::duplicate_onto(control, CONTROL)?;
    namespaces::close_from(CONTROL + 1, false)?;
    namespaces::close_from(CONTROL, true)?;
    Ok(UnixStream::from(namespaces::received(CONTROL)))
}
