//! Machines that cannot make a sandbox: each is refused with the setting that is in the way.

use jtwbuild::sandbox::support::State;
use jtwbuild::sandbox::{Sandbox, Settings};

use crate::world::World;

/// Makes the machines that refuse, and asks what they say.
#[test]
fn a_machine_without_user_namespaces_is_refused_with_its_knob() {
    if World::new().is_none() {
        return;
    }
    let this = std::env::current_exe().unwrap();
    let limit = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
    let done = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", limit])
        .arg(this)
        .args(["--exact", "--ignored", "refusals::start_on_a_machine_without", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(said.contains("refused: new namespaces: No space left on device"), "{said}");
    assert!(said.contains("sysctl -w user.max_user_namespaces=15000"), "{said}");
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
