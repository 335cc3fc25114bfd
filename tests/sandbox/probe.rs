//! What a builder can observe: all of it is the same on every machine, but for the things that the
//! book lists.

use crate::attacker::Arena;

/// What differs from machine to machine or from run to run, by the beginnings of its names. The
/// book's list (`concepts/sandbox.md`) holds them all.
const VARIES: &[&str] = &[
    "name of the kernel",
    "name of the machine",
    "status Groups",
    "status THP_enabled",
    "status Seccomp_filters",
    "status Speculation_Store_Bypass",
    "device, number and change time",
    "mount options of",
    "mode, owner and time of /dev/null",
    "vector: hardware capabilities",
    "vector: more hardware capabilities",
    "vector: page size",
    "vector: signal stack",
    "process",
    "processors",
    "uptime, load, memory and processes (sysinfo)",
    "clock",
    "random numbers",
    "address of",
    "/proc/self/attr/current",
    "/proc/self/autogroup",
    "/proc/self/cgroup",
    "/proc/self/coredump_filter",
    "/proc/self/cpuset",
    "/proc/self/loginuid",
    "/proc/self/sessionid",
    "/proc/self/net/netlink",
    "/proc/self/personality",
    "/proc/self/timens_offsets",
    "/proc/self/uid_map",
    "/proc/self/gid_map",
];

fn observed(arena: &Arena) -> String {
    let mut request = arena.request(&["observe"]);
    request.env.insert("HOME".to_owned(), "/homeless".to_owned());
    request.env.remove("STORE");
    let (result, log) = arena.run(&request);
    result.unwrap_or_else(|failure| panic!("{failure}\n{log}"));
    let line = |line: &str| {
        let (name, value) = line.split_once(" = ").unwrap_or_else(|| panic!("{line}"));
        let varies = VARIES.iter().any(|known| name.starts_with(known));
        format!("{name} = {}\n", if varies { "(varies)" } else { value })
    };
    log.lines().map(line).collect()
}

#[test]
fn a_builder_observes_the_same_fixed_things_everywhere() {
    let Some(arena) = Arena::new() else { return };
    let seen = observed(&arena);
    assert_eq!(observed(&arena), seen);
    insta::assert_snapshot!(seen);
}

#[test]
fn the_book_lists_what_varies() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src/concepts/sandbox.md");
    let page = std::fs::read_to_string(page).unwrap();
    for name in VARIES {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}
