//! What became of a child: `waitpid` of `nix` without its names for signals, because it has none for
//! real-time ones and so loses a child that one of these has ended.

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

use super::message::End;
use super::namespaces;

/// What became of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Ended(End),
    Stopped(Stopped),
}

/// A traced child that does not go on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    pub signal: i32,
    /// Which of `PTRACE_EVENT_…`, or 0.
    pub event: i32,
}

impl Change {
    fn new(status: i32) -> Self {
        if libc::WIFEXITED(status) {
            Self::Ended(End::Status(libc::WEXITSTATUS(status)))
        } else if libc::WIFSIGNALED(status) {
            Self::Ended(End::Signal(libc::WTERMSIG(status)))
        } else {
            Self::Stopped(Stopped { signal: libc::WSTOPSIG(status), event: status >> 16 })
        }
    }
}

/// Waits until something has become of a child, or only looks; `None` when there is no child, or nothing
/// to be seen.
pub fn any_child(only_look: bool) -> Option<(Pid, Change)> {
    loop {
        match namespaces::wait_for_any(only_look) {
            Err(Errno::EINTR) => {}
            Err(_) | Ok(None) => return None,
            Ok(Some((pid, status))) => return Some((pid, Change::new(status))),
        }
    }
}
