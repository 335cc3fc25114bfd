//! What this machine can do for sandboxes, found out by making one, and what to do when it cannot.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;

use super::conditions::Conditions;
use super::groups::Groups;
use super::message::{self, Event, Job, JobMount, Scratch};
use super::namespaces;
use super::remedy;
use super::spawner::Spawner;

/// The kinds of namespaces that have a limit of their own, beside those of users.
const KINDS: &[&str] = &["mnt", "pid", "net", "ipc", "uts", "cgroup"];
/// The steps of speaking with the spawner and with a sandbox.
pub(super) const TALKING: (&str, &str) = ("asking the spawner", "listening to the sandbox");
/// The oldest kernel that has all the calls a sandbox is made with (`mount_setattr`).
pub(super) const OLDEST: (u32, u32) = (5, 12);
/// From here on, files in memory can carry the marks that overlays leave on them.
const MARKS_IN_MEMORY: (u32, u32) = (6, 6);
/// From here on, an overlay takes its layers one by one.
const LAYERS_ONE_BY_ONE: (u32, u32) = (6, 7);
/// From here on, the number of root's processes in a sandbox can be limited.
const LIMIT_FOR_ROOT: (u32, u32) = (6, 14);

/// One thing that was tried or looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub state: State,
    /// What was found, as part of a sentence.
    pub detail: String,
    /// What to do about it: a sentence, or a command.
    pub remedy: Option<String>,
}

/// How a [`Check`] came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ready,
    /// It works, but something is weaker or slower than it could be.
    Degraded,
    /// Nothing can run.
    Missing,
}

/// The step at which a sandbox could not be made, the error, and the kernel's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub step: String,
    pub errno: Errno,
    pub detail: String,
}

/// What is known of the machine. Settings are `None` where the kernel does not have them.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Facts {
    pub kernel: (u32, u32),
    pub is_root: bool,
    /// `user.max_user_namespaces`
    pub user_namespaces: Option<u64>,
    /// `kernel.unprivileged_userns_clone` (Debian's and Arch's kernels)
    pub unprivileged_clone: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu)
    pub apparmor_restricts: Option<u64>,
    /// Whether this process runs under a filter of system calls.
    pub is_filtered: bool,
    /// Whether the signs of Docker or Podman are there.
    pub in_container: bool,
    /// Kinds of namespaces of which none may be made: `net` of `user.max_net_namespaces` and so on.
    pub switched_off: Vec<&'static str>,
    /// What came of making a sandbox.
    pub trouble: Option<Trouble>,
    /// Whether files in memory take extended attributes of users.
    pub marks_in_memory: bool,
    /// Whether control groups limit the memory of a sandbox.
    pub limits_groups: bool,
}

impl Facts {
    /// Looks everything up, and makes a sandbox in a process of its own.
    pub fn gather() -> Self {
        let (trouble, marks_in_memory) = match Spawner::start() {
            Ok(spawner) => match try_out(&spawner, None) {
                Ok(marks) => (None, marks),
                Err(trouble) => (Some(trouble), false),
            },
            Err((step, errno)) => {
                (Some(Trouble { step: step.to_owned(), errno, detail: String::new() }), false)
            }
        };
        Self { trouble, marks_in_memory, ..Self::look_up() }
    }

    /// Looks up what can be read.
    pub(super) fn look_up() -> Self {
        let setting = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let filter = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
        Self {
            kernel: kernel_version(),
            is_root: nix::unistd::geteuid().is_root(),
            user_namespaces: setting("/proc/sys/user/max_user_namespaces"),
            unprivileged_clone: setting("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor_restricts: setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            is_filtered: filter.is_some_and(|mode| mode.trim() == "2"),
            in_container: ["/.dockerenv", "/run/.containerenv"]
                .iter()
                .any(|sign| std::fs::exists(sign).unwrap_or(false)),
            switched_off: KINDS
                .iter()
                .copied()
                .filter(|kind| setting(&format!("/proc/sys/user/max_{kind}_namespaces")) == Some(0))
                .collect(),
            trouble: None,
            marks_in_memory: false,
            limits_groups: Groups::find().is_some(),
        }
    }
}

/// The check that says why there is no sandbox.
pub(super) fn refusal(trouble: Trouble) -> Check {
    sandbox(&Facts { trouble: Some(trouble), ..Facts::look_up() })
}

/// What `doctor` shows: tries everything out and judges it.
pub fn probe() -> Vec<Check> {
    judge(&Facts::gather())
}

/// The checks that follow from what is known.
pub fn judge(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![kernel(facts), sandbox(facts)];
    if facts.trouble.is_none() {
        checks.push(scratch(facts));
        checks.push(processes(facts));
        checks.push(memory(facts));
    }
    checks
}

fn ready(name: &'static str, detail: impl Into<String>) -> Check {
    Check { name, state: State::Ready, detail: detail.into(), remedy: None }
}

fn kernel(facts: &Facts) -> Check {
    let (major, minor) = facts.kernel;
    let detail = format!("Linux {major}.{minor}");
    if facts.kernel < OLDEST {
        let remedy = format!("Linux {}.{} or newer is needed.", OLDEST.0, OLDEST.1);
        return Check { name: "kernel", state: State::Missing, detail, remedy: Some(remedy) };
    }
    ready("kernel", detail)
}

fn sandbox(facts: &Facts) -> Check {
    match &facts.trouble {
        None => ready("sandbox", "namespaces and overlays work; no sub-uids are needed"),
        Some(trouble) => {
            let Trouble { step, errno, detail } = trouble;
            let mut found = format!("{step}: {} ({errno:?})", errno.desc());
            if !detail.is_empty() {
                found = format!("{found}: {detail}");
            }
            let remedy = Some(remedy::of(facts, trouble));
            Check { name: "sandbox", state: State::Missing, detail: found, remedy }
        }
    }
}

fn scratch(facts: &Facts) -> Check {
    if facts.marks_in_memory {
        return ready("scratch space", "in memory, on disk when that is full");
    }
    let (major, minor) = MARKS_IN_MEMORY;
    Check {
        name: "scratch space",
        state: State::Degraded,
        detail: "on disk only, which is slower".to_owned(),
        remedy: Some(format!("Linux {major}.{minor} or newer can keep it in memory.")),
    }
}

fn processes(facts: &Facts) -> Check {
    if !facts.is_root || facts.kernel >= LIMIT_FOR_ROOT {
        return ready("process limit", "in force");
    }
    let (major, minor) = LIMIT_FOR_ROOT;
    let remedy = format!("Run jtwbuild as an ordinary user, or on Linux {major}.{minor} or newer.");
    Check {
        name: "process limit",
        state: State::Degraded,
        detail: "not in force: the kernel does not hold root to it".to_owned(),
        remedy: Some(remedy),
    }
}

fn memory(facts: &Facts) -> Check {
    if facts.limits_groups {
        return ready("memory limit", "for each sandbox as a whole, by control groups");
    }
    Check {
        name: "memory limit",
        state: State::Degraded,
        detail: "for each process, not for a sandbox as a whole".to_owned(),
        remedy: Some("`systemd-run --user --scope jtwbuild …` where systemd keeps control groups".to_owned()),
    }
}

/// Makes one sandbox that runs nothing. Gives whether files in memory take users' attributes.
pub(super) fn try_out(spawner: &Spawner, group: Option<&OwnedFd>) -> Result<bool, Trouble> {
    let trouble = |step: &str, error: &std::io::Error| Trouble {
        step: step.to_owned(),
        errno: Errno::from_raw(error.raw_os_error().unwrap_or(0)),
        detail: String::new(),
    };
    let (control, its_control) = UnixStream::pair().map_err(|error| trouble("a socket", &error))?;
    let null = std::fs::File::options().write(true).open("/dev/null");
    let null = null.map_err(|error| trouble("/dev/null", &error))?.into();
    spawner.spawn(&its_control, &null, group).map_err(|error| trouble(TALKING.0, &error))?;
    drop(its_control);
    let job = Job {
        // Any directory of the machine may be the layer: the overlay is thrown away.
        trees: "/".to_owned(),
        mounts: vec![JobMount::Overlay {
            at: "/".to_owned(),
            layers: vec!["usr".to_owned()],
            captured: false,
        }],
        scratch: Scratch::Memory { bytes: 1 << 20 },
        stages: Vec::new(),
        env: Vec::new(),
        path: String::new(),
        address_space: None,
        processes: 16,
        parallel: 1,
        one_by_one: takes_layers_one_by_one(),
        conditions: Conditions::default(),
        visit: None,
    };
    // Should the sandbox be gone already, the event tells why.
    let _ = message::send(&control, &job, &[]);
    match message::receive::<Event>(&control) {
        Ok(Some((Event::Ready, descriptors))) => {
            Ok(descriptors.last().is_some_and(namespaces::takes_attributes))
        }
        Ok(Some((Event::Refused { step, errno, detail }, _))) => {
            Err(Trouble { step, errno: Errno::from_raw(errno), detail })
        }
        Ok(_) => Err(Trouble {
            step: "the first process of a sandbox".to_owned(),
            errno: Errno::ECHILD,
            detail: String::new(),
        }),
        Err(error) => Err(trouble(TALKING.1, &error)),
    }
}

/// Whether overlays take their layers one by one, as any number of them needs.
pub(super) fn takes_layers_one_by_one() -> bool {
    kernel_version() >= LAYERS_ONE_BY_ONE
}

/// Whether the number of root's processes in a sandbox can be limited.
pub(super) fn limits_processes_of_root() -> bool {
    kernel_version() >= LIMIT_FOR_ROOT
}

/// Major and minor version of the running kernel; zeros when it does not say.
fn kernel_version() -> (u32, u32) {
    let release = nix::sys::utsname::uname().ok();
    let release = release.as_ref().and_then(|name| name.release().to_str()).unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weaknesses_of_older_kernels_are_told() {
        let facts = Facts { kernel: (6, 1), is_root: true, ..Facts::default() };
        let states: Vec<_> = judge(&facts).iter().map(|check| (check.name, check.state)).collect();
        assert!(states.contains(&("scratch space", State::Degraded)));
        assert!(states.contains(&("process limit", State::Degraded)));
        let facts = Facts { kernel: (6, 18), marks_in_memory: true, ..facts };
        let states: Vec<_> = judge(&facts).iter().map(|check| (check.name, check.state)).collect();
        assert!(states.contains(&("scratch space", State::Ready)));
        assert!(states.contains(&("process limit", State::Ready)));
    }
}
