//! Machines that cannot make a sandbox: each is refused with the setting that is in the way.

use jtwbuild::sandbox::support::State;
use jtwbuild::sandbox::{Sandbox, Settings};

use crate::world::World;

/// This program, asked for a sandbox on a machine that `script` makes: `"$@"` is its command line.
fn asked_where(script: &str) -> String {
    let done = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-ec", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "refusals::start_on_a_machine_without", "--nocapture"])
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

#[test]
fn a_machine_without_user_namespaces_is_refused_with_its_knob() {
    if World::new().is_none() {
        return;
    }
    let said = asked_where("echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\"");
    assert!(said.contains("refused: new namespaces: No space left on device"), "{said}");
    assert!(said.contains("sysctl -w user.max_user_namespaces=15000"), "{said}");
}

#[test]
fn each_kind_of_namespace_that_is_switched_off_is_named() {
    if World::new().is_none() {
        return;
    }
    for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let said = asked_where(&format!("echo 0 > /proc/sys/user/max_{kind}_namespaces; exec \"$@\""));
        assert!(said.contains("refused: new namespaces"), "{said}");
        assert!(said.contains(&format!("sysctl -w user.max_{kind}_namespaces=15000")), "{kind}: {said}");
    }
}

#[test]
fn calls_that_a_container_or_an_old_kernel_refuses_are_told() {
    let (Some(_), Some(attacker)) = (World::new(), crate::attacker::program()) else { return };
    let cases = [
        ("container", "new namespaces: Operation not permitted (EPERM)"),
        ("mounting", "a mount of proc: Operation not permitted (EPERM)"),
        ("old-clone", "new namespaces: Function not implemented (ENOSYS)"),
        ("old-mounts", "a mount of proc: Function not implemented (ENOSYS)"),
        ("no-setattr", "Function not implemented (ENOSYS)"),
        ("no-pivot", "the change of the root directory: Operation not permitted (EPERM)"),
    ];
    // A machine with the signs of a container is told about the container's options.
    let in_container =
        ["/.dockerenv", "/run/.containerenv"].iter().any(|sign| std::path::Path::new(sign).exists());
    let knob = if in_container {
        "--security-opt seccomp=unconfined"
    } else {
        "A filter of system calls forbids it"
    };
    for (kind, what) in cases {
        let said = asked_where(&format!("exec {} denied {kind} \"$@\"", attacker.display()));
        assert!(said.contains(what) && said.contains(knob), "{kind}: {said}");
    }
    let said = asked_where(&format!("exec {} denied no-filters \"$@\"", attacker.display()));
    assert!(said.contains("CONFIG_SECCOMP_FILTER"), "{said}");
}

#[test]
fn places_without_proc_or_devices_are_told() {
    if World::new().is_none() {
        return;
    }
    let said = asked_where("mount -t tmpfs tmpfs /proc/sys; exec \"$@\"");
    assert!(said.contains("systempaths=unconfined"), "{said}");
    let said = asked_where("mount -t tmpfs tmpfs /dev; touch /dev/null; exec \"$@\"");
    assert!(said.contains("urandom have to be in /dev"), "{said}");
}

/// Whether the program itself says the same, and builds nothing: `doctor`, and a whole run.
#[test]
fn doctor_names_the_knob_and_ends_with_the_status_of_the_machine() {
    let (Some(world), Some(attacker)) = (World::new(), crate::attacker::program()) else { return };
    let program = env!("CARGO_BIN_EXE_jtwbuild");
    if std::fs::File::open(program).is_err() {
        // A copy of these tests, for another user: whoever made the copy has run this.
        return;
    }
    let doctor = |kind: &str| {
        let store = world.directory.path().join("of-doctor");
        let done = std::process::Command::new(attacker)
            .args(["denied", kind, program, "--store", store.to_str().unwrap(), "doctor", "--json"])
            .output()
            .unwrap();
        let value: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        let check =
            value["checks"].as_array().unwrap().iter().find(|check| check["name"] == "sandbox").unwrap();
        (done.status.code(), check.clone())
    };
    let (code, check) = doctor("container");
    assert_eq!((code, &check["state"]), (Some(4), &"missing".into()));
    assert!(check["detail"].as_str().unwrap().contains("new namespaces: Operation not permitted"), "{check}");
    assert!(check["remedy"].as_str().unwrap().contains('`'), "no command: {check}");
}

/// The store may be where no program may be run and no rights be gained: sandboxes do not need that.
#[test]
fn a_store_on_a_mount_with_nosuid_nodev_and_noexec_serves_as_well() {
    if World::new().is_none() {
        return;
    }
    let script = "d=$(mktemp -d); mount -t tmpfs -o nosuid,nodev,noexec tmpfs \"$d\"; TMPDIR=$d; export TMPDIR; \
                  exec \"$1\" --exact builder::what_a_builder_adds_is_captured \
                  builder::attempts_to_reach_beyond_the_sandbox_fail --nocapture";
    let said = asked_where(script);
    assert!(said.contains("2 passed"), "{said}");
}

/// Not a test: what `a_machine_without_user_namespaces_is_refused_with_its_knob` runs.
#[test]
#[ignore = "runs where no sandbox can be made"]
fn start_on_a_machine_without() {
    match Sandbox::start(Settings::default()).and_then(|sandbox| sandbox.ready()) {
        Err(jtwbuild::sandbox::SandboxError::Refused(check)) => {
            println!("refused: {} {}", check.detail, check.remedy.unwrap_or_default());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn this_machine_is_ready() {
    if World::new().is_none() {
        return;
    }
    let checks = jtwbuild::sandbox::support::probe();
    let missing: Vec<_> = checks.iter().filter(|check| check.state == State::Missing).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // A scratch space that is needlessly on disk would go unnoticed: everything works, slowly.
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let version: Vec<u32> = release.split('.').take(2).map(|part| part.parse().unwrap()).collect();
    let scratch = checks.iter().find(|check| check.name == "scratch space").unwrap();
    assert_eq!(scratch.state == State::Ready, version >= vec![6, 6], "{scratch:?}");
}
