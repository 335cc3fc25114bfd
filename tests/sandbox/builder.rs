//! What a builder gets, and what comes of it.

use std::time::Instant;

use jtwbuild::outcome::Failure;
use jtwbuild::request::{Layer, Mount, Request};
use jtwbuild::sandbox::Settings;

use crate::world::{World, is_root, listing, long_time, overlay, processes_with};

#[test]
fn what_a_builder_adds_is_captured() {
    let Some(world) = World::new() else { return };
    let report = world
        .run(&world.script(
            "mkdir -p /out/lib/a /out/empty; echo hello > /out/lib/a/text; ln -s a /out/lib/link; \
             echo run > /out/run; chmod 755 /out/run; echo no > /out/closed; chmod 000 /out/closed",
        ))
        .unwrap_or_else(|failure| panic!("{failure}\n{}", world.log_text()));
    assert_eq!(
        listing(&report.captured["out"]),
        ["f closed 3", "d empty", "d lib", "d lib/a", "f lib/a/text 6", "l lib/link a", "x run 4"]
    );
}

#[test]
fn commands_of_a_stage_run_side_by_side_and_stages_in_order() {
    let settings = Settings { parallel: 3, ..Settings::default() };
    let Some(world) = World::with(settings) else { return };
    // Each of the first three waits for the other two; the second stage needs the first.
    let meet = |me: u32| {
        format!("echo > /out/{me}; until test -e /out/1 -a -e /out/2 -a -e /out/3; do sleep 0.01; done")
    };
    let first = [meet(1), meet(2), meet(3), "test -e /out/1".to_owned()];
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    let request = world.request(&[], &[&first, &["rm /out/1 /out/2 /out/3", "true"], &["! test -e /out/1"]]);
    world.run(&request).unwrap_or_else(|failure| panic!("{failure}"));
    let time = long_time(4);
    let failing = world.request(&[], &[&[&format!("sleep {time}"), "exit 4"], &["echo no > /out/late"]]);
    let failure = world.run(&failing).map(|_| ()).unwrap_err();
    assert_eq!(failure, Failure::BuilderExit { command: "sh -euc exit 4".to_owned(), status: 4 });
    assert_eq!(processes_with(&time), 0);
}

#[test]
fn mount_points_are_not_part_of_what_is_captured_around_them() {
    let Some(world) = World::new() else { return };
    let mut request = world.script("echo > /opt/jtw/inner; mkdir -p /var/lib; echo > /var/lib/x");
    request.mounts[0] = overlay("/", &[("base", world.base)], Some("root"));
    request.mounts.push(overlay("/opt/jtw", &[], Some("jtw")));
    let report = world.run(&request).unwrap();
    assert_eq!(listing(&report.captured["root"]), ["d var", "d var/lib", "f var/lib/x 1"]);
    assert_eq!(listing(&report.captured["jtw"]), ["f inner 1"]);
}

#[test]
fn malformed_requests_are_refused_before_anything_runs() {
    let Some(world) = World::new() else { return };
    let change: [(&str, fn(&mut Request)); 8] = [
        ("no root", |request| drop(request.mounts.remove(0))),
        ("relative mount", |request| request.mounts.push(overlay("x", &[], None))),
        ("dots", |request| request.mounts.push(overlay("/a/../b", &[], None))),
        ("root twice", |request| request.mounts.push(overlay("/", &[], None))),
        ("no program", |request| request.stages[0][0].argv.clear()),
        ("relative directory", |request| request.stages[0][0].cwd = "x".to_owned()),
        ("NUL", |request| request.stages[0][0].argv.push("a\0b".to_owned())),
        ("variable name", |request| drop(request.env.insert("A=B".to_owned(), String::new()))),
    ];
    for (what, change) in change {
        let mut request = world.script("true");
        change(&mut request);
        assert!(matches!(world.run(&request), Err(Failure::BadInput { .. })), "{what}");
    }
}

#[test]
fn attempts_to_reach_beyond_the_sandbox_fail() {
    let Some(world) = World::new() else { return };
    let input = world.tree(&[("file", "content\n"), ("tool*", "#!/bin/sh\n")]);
    let mounts = [
        Mount::ReadOnly { at: "/input".to_owned(), tree: Layer { name: "input".to_owned(), tree: input } },
        overlay("/merged", &[("input", input)], None),
    ];
    let attempts = [
        "echo x > /input/file",
        "echo x >> /input/file",
        "chmod 777 /input/file",
        "chmod 777 /input",
        "touch /input/file",
        "rm /input/file",
        "mv /input/file /input/other",
        "mv /input /elsewhere",
        "ln /input/file /out/hard",
        "ln /input/file /input/hard",
        "ln -s x /input/soft",
        "mkdir /input/new",
        "sh -c 'exec 3</input/file; echo x > /proc/self/fd/3'",
        "mount -o remount,rw /input",
        "mount -o bind /out /input",
        "umount /input",
        "mount -t tmpfs none /out",
        "mount -t proc none /out",
        "chroot / true",
        "unshare -U true",
        "unshare -Ur true",
        "unshare -m true",
        "nsenter -t 1 -m true",
        "kill -9 1 && sleep 1 && ! true",
        "ls /proc/1",
        "ls /proc/1/root/",
        "cat /proc/1/environ",
        "ls /sys/kernel",
        "test -e /proc/sys",
        "test -e /proc/kcore",
        "test -e /proc/sysrq-trigger",
        "echo x > /dev/new",
        "chmod 666 /dev/null",
        "rm /dev/null",
        "mknod /out/mem c 1 1",
        "mknod /out/disk b 8 0",
        "test -e /dev/mem",
        "test -e /dev/kmsg",
        "dmesg",
        "hostname other",
        "date -s 2001-01-01; test $(date +%Y) = 2001",
        "ip link set lo down",
        "ip link add dummy0 type dummy",
        "ping -c 1 -W 1 192.0.2.1",
        "nc -w 1 192.0.2.1 80 < /dev/null",
        "nslookup localhost 127.0.0.53",
        "chown 0 /out",
        "chgrp 0 /out",
        "su root -c true",
        "ulimit -n 100000",
        "ulimit -c 100",
        "renice -n -5 $$",
        "cd /..; cd ..; test -e /host",
    ];
    for attempt in attempts {
        let result = world.run(&world.request(&mounts, &[&[attempt]]));
        assert!(
            matches!(result, Err(Failure::BuilderExit { .. })),
            "`{attempt}` gave {:?}",
            result.map(|report| listing(&report.captured["out"]))
        );
    }
    let harmless = "cat /input/file; /input/tool; echo y > /merged/file; rm /merged/tool; \
                    echo x > /dev/null; echo x > /dev/shm/x; echo x > /tmp/x; head -c 1 /dev/urandom > /out/r";
    world.output(&world.request(&mounts, &[&[harmless]]));
    let stored = world.store.tree_path(&input);
    assert_eq!(std::fs::read_to_string(stored.join("file")).unwrap(), "content\n");
    assert_eq!(jtwbuild::store::staging::scan(&stored).unwrap().hash(), input);
}

/// What is tried as an ordinary user too, by modules. All of it in the long variant, and in step
/// `user` of `tests/run`.
const AS_USER: &[&str] =
    &["builder::", "attacks::", "channels::", "lifecycle::", "layers::what", "limits::fork"];

#[test]
fn everything_works_for_an_ordinary_user_too() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if std::env::var_os("JTWBUILD_TEST_AS_USER").is_some() || !is_root() {
        return;
    }
    // A copy, because the repository may be where only root can go.
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let this = directory.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &this).unwrap();
    let attacker = directory.path().join("attacker");
    if let Some(compiled) = crate::attacker::program() {
        std::fs::copy(compiled, &attacker).unwrap();
    }
    let done = std::process::Command::new(this)
        .env("JTWBUILD_TEST_AS_USER", "1")
        .env("JTWBUILD_ATTACKER", attacker)
        .env("INSTA_UPDATE", "no")
        .uid(54321)
        .gid(54321)
        .current_dir("/")
        .args(["--test-threads", "2"])
        .args(if std::env::var_os("JTWBUILD_LONG").is_some() { &[][..] } else { AS_USER })
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("test builder::what_a_builder_adds_is_captured ... ok"), "{said}");
}

#[test]
#[ignore = "a measurement"]
fn price_of_a_trivial_node() {
    let Some(world) = World::new() else { return };
    let mut request = world.script("");
    request.stages[0][0].argv = vec!["true".to_owned()];
    let cpu = || {
        let text = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<u64> = text
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .skip(11)
            .take(4)
            .map(|field| field.parse().unwrap())
            .collect();
        fields.iter().sum::<u64>() * 10
    };
    let (before, started) = (cpu(), Instant::now());
    for _ in 0..500 {
        world.run(&request).unwrap();
    }
    let wall = started.elapsed();
    drop(world);
    eprintln!("wall {:?} per node, cpu {} ms for 500", wall / 500, cpu() - before);
}
