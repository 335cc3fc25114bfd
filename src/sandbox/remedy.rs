//! From what is known of a machine that cannot make a sandbox to the setting that is in the way.

use nix::errno::Errno;

use super::root;
use super::spawner::NEW_NAMESPACES;
use super::support::{Facts, OLDEST, TALKING, Trouble};

/// The steps at which a spawner that is gone shows.
const SILENCE: &[&str] = &[TALKING.0, TALKING.1];

/// Names the setting that is in the way.
pub fn of(facts: &Facts, trouble: &Trouble) -> String {
    let is_refusal = matches!(trouble.errno, Errno::EPERM | Errno::EACCES);
    let at_start = trouble.step == NEW_NAMESPACES;
    if facts.kernel < OLDEST {
        return format!("Linux {}.{} or newer is needed.", OLDEST.0, OLDEST.1);
    }
    if at_start && facts.user_namespaces.is_none() {
        return "This kernel is built without user namespaces (CONFIG_USER_NS).".to_owned();
    }
    if at_start && facts.user_namespaces == Some(0) {
        return "User namespaces are switched off: `sudo sysctl -w user.max_user_namespaces=15000`"
            .to_owned();
    }
    if let Some(kind) = facts.switched_off.first().filter(|_| at_start) {
        return format!(
            "Namespaces of a kind are switched off: `sudo sysctl -w user.max_{kind}_namespaces=15000`"
        );
    }
    if at_start && is_refusal && !facts.is_root && facts.unprivileged_clone == Some(0) {
        return "User namespaces are kept for root: `sudo sysctl -w kernel.unprivileged_userns_clone=1`"
            .to_owned();
    }
    if is_refusal && !facts.is_root && facts.apparmor_restricts == Some(1) {
        return "AppArmor takes the rights out of user namespaces: \
                `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, or give jtwbuild a profile \
                with `userns`"
            .to_owned();
    }
    if trouble.step.starts_with("/proc/") && matches!(trouble.errno, Errno::EROFS | Errno::ENOENT) {
        return "Parts of /proc are covered or read-only here, as containers have it: start the container with \
                `--security-opt systempaths=unconfined`, or mount a whole /proc"
            .to_owned();
    }
    let is_blocked = is_refusal || (trouble.errno == Errno::ENOSYS && facts.kernel >= OLDEST);
    if is_blocked && facts.in_container {
        return "The container forbids it: start it with `--security-opt seccomp=unconfined --security-opt \
                apparmor=unconfined --security-opt systempaths=unconfined` (nothing else is needed)"
            .to_owned();
    }
    if is_blocked && facts.is_filtered {
        return "A filter of system calls forbids it: allow `clone3`, `unshare`, `mount`, `fsopen`, \
                `move_mount`, `open_tree`, `mount_setattr` and `pivot_root` where jtwbuild is started"
            .to_owned();
    }
    if at_start && matches!(trouble.errno, Errno::ENOSPC | Errno::EUSERS) {
        return "Too many namespaces are in use: raise `user.max_user_namespaces`, \
                `user.max_net_namespaces` and their like with `sudo sysctl -w`"
            .to_owned();
    }
    if trouble.step.contains("overlay") && trouble.errno == Errno::ENODEV {
        return "The kernel has no overlay file system: `sudo modprobe overlay`".to_owned();
    }
    if trouble.detail.contains("stacking depth") {
        return "The layers lie on overlays themselves, more than the kernel stacks: put the store on a disk, \
                and not on a container's own file system, with `--store DIR`"
            .to_owned();
    }
    if trouble.step.starts_with("/dev/") || trouble.step == root::DEVICES_MADE {
        return "Devices are missing here: null, zero, full, random and urandom have to be in /dev"
            .to_owned();
    }
    if SILENCE.contains(&trouble.step.as_str()) {
        return "The process that makes sandboxes ended at once: the kernel has no filters of system calls \
                (CONFIG_SECCOMP_FILTER), or does not allow any here"
            .to_owned();
    }
    if trouble.step == root::ENTER && trouble.errno == Errno::EINVAL {
        return "The root directory is not a mount (a `chroot`, or a system that runs from its initial \
                memory disk): start jtwbuild where it is one"
            .to_owned();
    }
    if trouble.errno == Errno::EAGAIN {
        return "This user, or this container, may have no more processes: `ulimit -u`, or the container's \
                `pids` limit, has to be higher"
            .to_owned();
    }
    if is_refusal {
        return "A security module or a `chroot` around this process forbids it.".to_owned();
    }
    "No known setting explains this; the log of the kernel (`sudo dmesg`) may.".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(step: &str, errno: Errno) -> Facts {
        Facts {
            kernel: (6, 8),
            user_namespaces: Some(1000),
            trouble: Some(Trouble { step: step.to_owned(), errno, detail: String::new() }),
            ..Facts::default()
        }
    }

    #[test]
    fn each_refusal_names_its_knob() {
        let start = NEW_NAMESPACES;
        let cases = [
            (
                Facts { user_namespaces: Some(0), ..facts(start, Errno::ENOSPC) },
                "user.max_user_namespaces=15000",
            ),
            (Facts { user_namespaces: None, ..facts(start, Errno::EINVAL) }, "CONFIG_USER_NS"),
            (
                Facts { unprivileged_clone: Some(0), ..facts(start, Errno::EPERM) },
                "unprivileged_userns_clone=1",
            ),
            (
                Facts { apparmor_restricts: Some(1), ..facts("the host name", Errno::EPERM) },
                "apparmor_restrict_unprivileged_userns=0",
            ),
            (
                Facts { in_container: true, is_filtered: true, ..facts(start, Errno::ENOSYS) },
                "--security-opt seccomp=unconfined",
            ),
            (
                Facts { in_container: true, is_root: true, ..facts("the scratch space", Errno::EPERM) },
                "--security-opt seccomp=unconfined",
            ),
            (Facts { is_filtered: true, ..facts(start, Errno::EPERM) }, "allow `clone3`"),
            (Facts { kernel: (5, 10), ..facts("an overlay", Errno::EPERM) }, "Linux 5.12 or newer"),
            (facts("overlay file systems", Errno::ENODEV), "modprobe overlay"),
            (facts(start, Errno::ENOSPC), "user.max_net_namespaces"),
            (facts(root::ENTER, Errno::EINVAL), "`chroot`"),
            (facts(start, Errno::EPERM), "security module"),
            (
                Facts { switched_off: vec!["net"], ..facts(start, Errno::ENOSPC) },
                "user.max_net_namespaces=15000",
            ),
            (facts("/proc/sys/user/max_user_namespaces", Errno::EROFS), "systempaths=unconfined"),
            (facts("/proc/self/uid_map", Errno::ENOENT), "/proc"),
            (facts("/dev/null", Errno::ENOENT), "urandom have to be in /dev"),
            (facts("the devices", Errno::ENOENT), "urandom have to be in /dev"),
            (facts("listening to the sandbox", Errno::ECONNRESET), "CONFIG_SECCOMP_FILTER"),
            (
                Facts {
                    trouble: Some(Trouble {
                        step: "an overlay".to_owned(),
                        errno: Errno::EINVAL,
                        detail: "overlay: maximum fs stacking depth exceeded".to_owned(),
                    }),
                    ..facts(start, Errno::EPERM)
                },
                "--store",
            ),
        ];
        for (facts, knob) in cases {
            let checks = super::super::support::judge(&facts);
            let missing = checks.iter().find(|check| check.name == "sandbox").unwrap();
            assert_eq!(missing.state, super::super::support::State::Missing);
            let remedy = missing.remedy.as_deref().unwrap();
            assert!(remedy.contains(knob), "{facts:?}: {remedy}");
        }
    }
}
