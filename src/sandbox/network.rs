//! Networks without anything, for one sandbox after another.
//!
//! Making a network namespace is the dearest part of making a sandbox. One whose processes are gone
//! and in which nothing ever happened cannot be told from a new one: no socket is left in it (one
//! that is under way to itself outlives its process), no label, and every counter is what it was at
//! first (also those that count what was not sent). Builders have no capability over it, because it
//! belongs to a user namespace of the spawner above theirs. So it serves again; any other does not.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Pid, Uid};

use super::namespaces;

/// What tells of anything that ever happened in a network, below `/proc/self/net`.
const TRACES: &[&str] = &["dev", "snmp", "snmp6", "netstat", "ip6_flowlabel"];
/// What lists sockets: all of their counts have to be 0, whatever they were when the network was new.
const SOCKETS: &[&str] = &["sockstat", "sockstat6"];

/// A network, and its traces when it was new.
#[derive(Debug)]
pub struct Network {
    descriptor: OwnedFd,
    traces: String,
}

/// The networks of a spawner. No two sandboxes have one at the same time.
#[derive(Debug, Default)]
pub struct Networks {
    /// Whether this process is in the user namespace that networks belong to.
    is_owner: bool,
    free: Vec<Network>,
    lent: HashMap<Pid, Network>,
}

impl Networks {
    /// Makes this process, and so what it forks, a member of a network that nobody else is in. The
    /// process has the user and group `ids`, and keeps them.
    pub fn enter(&mut self, ids: (Uid, Gid)) -> nix::Result<Network> {
        if !self.is_owner {
            become_owner(ids)?;
            self.is_owner = true;
        }
        while let Some(network) = self.free.pop() {
            setns(&network.descriptor, CloneFlags::CLONE_NEWNET)?;
            if has_no_sockets() && traces().is_some_and(|traces| traces == network.traces) {
                return Ok(network);
            }
        }
        unshare(CloneFlags::CLONE_NEWNET)?;
        namespaces::raise_loopback()?;
        let descriptor = open("/proc/self/ns/net", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        // A network of which nothing can be read is told from a new one by nothing: it serves once.
        Ok(Network { descriptor, traces: traces().unwrap_or_else(|| "unknown".to_owned()) })
    }

    /// Notes which sandbox a network is lent to, by its first process.
    pub fn lend(&mut self, to: Pid, network: Network) {
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

/// The traces of this process's network; `None` when they cannot be read.
fn traces() -> Option<String> {
    let read = |name: &&str| match std::fs::read_to_string(format!("/proc/self/net/{name}")) {
        // Some are not there without IPv6.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(String::new()),
        text => text.ok(),
    };
    TRACES.iter().map(read).collect()
}

/// Whether this process's network has no sockets: not one of any kind, also none without a process.
fn has_no_sockets() -> bool {
    let read = |name: &&str| std::fs::read_to_string(format!("/proc/self/net/{name}"));
    let unix = read(&"unix").is_ok_and(|list| list.lines().count() == 1);
    unix && SOCKETS.iter().all(|name| match read(name) {
        Err(error) => error.kind() == std::io::ErrorKind::NotFound && *name != SOCKETS[0],
        Ok(table) => counts_none(&table),
    })
}

/// Whether a table as in `/proc/net/sockstat` counts no socket of its network. Other numbers there
/// are the whole machine's.
fn counts_none(table: &str) -> bool {
    let count = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let of_key = |key: &str| words.iter().position(|word| *word == key).and_then(|at| words.get(at + 1));
        of_key("used").or(of_key("inuse")).is_some_and(|count| *count == "0")
    };
    !table.is_empty() && table.lines().all(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &str = "\
sockets: used 0
TCP: inuse 0 orphan 0 tw 0 alloc 2 mem 3
UDP: inuse 0 mem 0
FRAG: inuse 0 memory 0
";

    #[test]
    fn network_with_a_socket_is_not_as_good_as_new() {
        assert!(counts_none(NONE));
        assert!(!counts_none(&NONE.replace("used 0", "used 1")));
        assert!(!counts_none(&NONE.replace("TCP: inuse 0", "TCP: inuse 1")));
        assert!(!counts_none(""), "what cannot be read is not trusted");
    }
}
