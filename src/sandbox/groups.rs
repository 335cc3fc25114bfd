//! Control groups: memory and process limits for a sandbox as a whole, where we may make groups.
//!
//! A new group is made beside the engine's own, below a parent that hands the memory controller on
//! and lets us write: what systemd gives to every user's session and to `Delegate=yes`. The engine
//! itself is never moved. Only version 2 of control groups can be handed to an ordinary user.

use std::fs::{File, create_dir, remove_dir};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::request::Limits;

/// Where version 2 is mounted: alone, or beside version 1.
const ROOTS: &[&str] = &["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// What the names of our groups begin with; the engine's process number follows.
const PREFIX: &str = "jtwbuild-";

/// A parent below which we may make groups.
#[derive(Debug)]
pub struct Groups {
    parent: PathBuf,
    next: AtomicU64,
}

/// The group of one run; removed when dropped.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
    directory: OwnedFd,
}

impl Groups {
    /// Looks for a parent that hands on the memory controller, and removes what engines that are
    /// gone have left there.
    pub fn find() -> Option<Self> {
        let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).filter(|own| !own.is_empty())?;
        let root = ROOTS.iter().map(Path::new).find(|root| root.join("cgroup.controllers").exists())?;
        let groups = Self::below(root.join(own).parent()?.to_owned());
        let handed_on = std::fs::read_to_string(groups.parent.join("cgroup.subtree_control")).ok()?;
        let has_memory = handed_on.split_whitespace().any(|controller| controller == "memory");
        groups.remove_leftovers();
        (has_memory && groups.make_empty().is_ok()).then_some(groups)
    }

    fn below(parent: PathBuf) -> Self {
        Self { parent, next: AtomicU64::new(0) }
    }

    /// Makes a group that holds what starts in it to the limits.
    pub fn make(&self, limits: &Limits) -> io::Result<Group> {
        let group = self.make_empty()?;
        let set = |name: &str, value: &str| std::fs::write(group.path.join(name), value);
        set("memory.max", &limits.memory.to_string())?;
        // A run that loses one process has failed anyway; let none of it linger.
        set("memory.oom.group", "1")?;
        // These two are not everywhere: swapping off, and a second limit of processes.
        let _ = set("memory.swap.max", "0");
        let _ = set("pids.max", &(limits.processes + 1).to_string());
        Ok(group)
    }

    /// Makes a group without limits.
    pub fn make_empty(&self) -> io::Result<Group> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        create_dir(&path)?;
        match File::open(&path) {
            Ok(directory) => Ok(Group { path, directory: directory.into() }),
            Err(error) => {
                let _ = remove_dir(&path);
                Err(error)
            }
        }
    }

    fn remove_leftovers(&self) {
        for entry in std::fs::read_dir(&self.parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
            if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
                // One with processes in it stays; the kernel sees to that.
                let _ = remove_dir(entry.path());
            }
        }
    }
}

impl Group {
    /// The group's directory, in which a process can be started.
    pub fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// Whether the kernel has ended processes of the group for want of memory.
    pub fn ran_out_of_memory(&self) -> bool {
        let events = std::fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.is_some_and(|count| count != "0")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The first process may need a moment to be gone after it has said its last word.
        for _ in 0..100 {
            match remove_dir(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    let _ = std::fs::write(self.path.join("cgroup.kill"), "1");
                    std::thread::sleep(Duration::from_millis(1));
                }
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::spawner::Spawner;
    use crate::sandbox::support::try_out;

    #[test]
    fn sandboxes_start_in_a_group_and_leave_none_behind() {
        // The memory controller may be elsewhere; starting in a group and removing it are the same.
        let root = ROOTS.iter().map(PathBuf::from).find(|root| root.join("cgroup.controllers").exists());
        let groups = root.map(Groups::below);
        let Some((groups, group)) =
            groups.and_then(|groups| groups.make_empty().ok().map(|group| (groups, group)))
        else {
            // Not a skip: the engine does without, and other tests cover that.
            eprintln!("DEGRADED: no control group can be made here");
            return;
        };
        let spawner = Spawner::start().unwrap();
        try_out(&spawner, Some(group.directory())).unwrap();
        let path = group.path.clone();
        assert!(path.exists());
        drop(group);
        assert!(!path.exists());
        let left = groups.parent.join(format!("{PREFIX}999999999-0"));
        create_dir(&left).unwrap();
        groups.remove_leftovers();
        assert!(!left.exists());
    }
}
