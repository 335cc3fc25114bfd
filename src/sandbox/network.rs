//! Networks without anything, for one sandbox after another.
//!
//! Making a network namespace is the dearest part of making a sandbox. One over whose loopback
//! device nothing was ever sent, and whose processes are gone, cannot be told from a new one: no
//! port, no name and no counter is left in it, and builders have no capability over it, because it
//! belongs to a user namespace of the spawner above theirs. So it serves again; any other does not.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Pid, Uid};

use super::namespaces;

/// The networks of a spawner. No two sandboxes have one at the same time.
#[derive(Debug, Default)]
pub struct Networks {
    /// Whether this process is in the user namespace that networks belong to.
    is_owner: bool,
    free: Vec<OwnedFd>,
    lent: HashMap<Pid, OwnedFd>,
}

impl Networks {
    /// Makes this process, and so what it forks, a member of a network that nobody else is in. The
    /// process has the user and group `ids`, and keeps them.
    pub fn enter(&mut self, ids: (Uid, Gid)) -> nix::Result<OwnedFd> {
        if !self.is_owner {
            become_owner(ids)?;
            self.is_owner = true;
        }
        while let Some(network) = self.free.pop() {
            setns(&network, CloneFlags::CLONE_NEWNET)?;
            if is_untouched() {
                return Ok(network);
            }
        }
        unshare(CloneFlags::CLONE_NEWNET)?;
        namespaces::raise_loopback()?;
        open("/proc/self/ns/net", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
    }

    /// Notes which sandbox a network is lent to, by its first process.
    pub fn lend(&mut self, to: Pid, network: OwnedFd) {
        self.lent.insert(to, network);
    }

    /// The sandbox whose first process this was is gone, with all its processes.
    pub fn give_back(&mut self, from: Pid) {
        self.free.extend(self.lent.remove(&from));
    }
}

/// Moves this process into a user namespace of its own, in which it has the same user and group.
fn become_owner((uid, gid): (Uid, Gid)) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWUSER)?;
    let write = |path: &str, text: &str| {
        std::fs::write(path, text)
            .map_err(|error| nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or_default()))
    };
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("{uid} {uid} 1"))?;
    write("/proc/self/gid_map", &format!("{gid} {gid} 1"))
}

/// Whether nothing has ever been sent in this process's network.
fn is_untouched() -> bool {
    std::fs::read_to_string("/proc/self/net/dev").is_ok_and(|table| has_only_zeros(&table))
}

/// Whether every device of a table as in `/proc/net/dev` has sent and received nothing.
fn has_only_zeros(table: &str) -> bool {
    let devices = || table.lines().filter_map(|line| line.split_once(':'));
    let is_zero = |(_, counters): (&str, &str)| counters.split_whitespace().all(|counter| counter == "0");
    devices().any(|(name, _)| name.trim() == "lo") && devices().all(is_zero)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo:       0       0    0    0    0     0          0         0        0       0    0
";

    #[test]
    fn network_in_which_something_was_sent_is_not_as_good_as_new() {
        assert!(has_only_zeros(NEW));
        assert!(!has_only_zeros(&NEW.replace("lo:       0       0", "lo:     168       2")));
        assert!(!has_only_zeros(""), "what cannot be read is not trusted");
    }
}
