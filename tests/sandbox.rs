//! The sandbox with real namespaces and a real builder: the host's static busybox.
//!
//! Without namespaces or busybox every test says so and passes, except under `CI`, where that is
//! a failure.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use jtwbuild::outcome::Failure;
use jtwbuild::request::{Command, Layer, Limits, Mount, Request};
use jtwbuild::sandbox::support::State;
use jtwbuild::sandbox::{Report, Sandbox, Settings};
use jtwbuild::store::Store;
use jtwbuild::store::tree::{Node, RelPath, Tree, TreeHash};

/// What the base has beside busybox's shell and its built-in commands.
const PROGRAMS: &[&str] = &[
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "chroot",
    "cp",
    "date",
    "dd",
    "dmesg",
    "domainname",
    "env",
    "find",
    "grep",
    "head",
    "hostname",
    "id",
    "ip",
    "ln",
    "ls",
    "mkdir",
    "mkfifo",
    "mknod",
    "mount",
    "mv",
    "nc",
    "nsenter",
    "nslookup",
    "ping",
    "readlink",
    "renice",
    "rm",
    "setsid",
    "sh",
    "sleep",
    "su",
    "touch",
    "true",
    "umount",
    "unshare",
    "wc",
];

/// A store with a busybox base, and a sandbox.
struct World {
    _directory: tempfile::TempDir,
    store: Arc<Store>,
    sandbox: Sandbox,
    base: TreeHash,
    log: PathBuf,
}

impl World {
    fn new() -> Option<Self> {
        Self::with(Settings { grace: Duration::from_millis(300), ..Settings::default() })
    }

    fn with(settings: Settings) -> Option<Self> {
        let Some(busybox) = busybox() else {
            assert!(std::env::var_os("CI").is_none(), "no static busybox on this machine");
            eprintln!("SKIPPED: no static busybox on this machine");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        let sandbox = Sandbox::start(settings).unwrap();
        let staging = store.stage().unwrap();
        let program = staging.add(&mut File::open(busybox).unwrap(), true).unwrap();
        let mut tree = Tree::default();
        tree.insert(&path("bin/busybox"), Node::File(program)).unwrap();
        for name in PROGRAMS {
            let target = jtwbuild::store::tree::LinkTarget::new(b"busybox").unwrap();
            tree.insert(&path(&format!("bin/{name}")), Node::Link(target)).unwrap();
        }
        let base = staging.publish(&tree).unwrap();
        let log = directory.path().join("log");
        Some(Self { _directory: directory, store, sandbox, base, log })
    }

    /// A tree of text files; a path that ends in `*` is executable.
    fn tree(&self, files: &[(&str, &str)]) -> TreeHash {
        let staging = self.store.stage().unwrap();
        let mut tree = Tree::default();
        for (name, text) in files {
            let file = staging.add_bytes(text.as_bytes(), name.ends_with('*')).unwrap();
            tree.insert(&path(name.trim_end_matches('*')), Node::File(file)).unwrap();
        }
        staging.publish(&tree).unwrap()
    }

    fn base(&self) -> Mount {
        overlay("/", &[("base", self.base)], None)
    }

    /// A request of one shell script, with `/out` captured.
    fn script(&self, script: &str) -> Request {
        self.request(&[], &[&[script]])
    }

    fn request(&self, mounts: &[Mount], stages: &[&[&str]]) -> Request {
        let mut all = vec![self.base(), overlay("/out", &[], Some("out"))];
        all.extend_from_slice(mounts);
        let shell = |script: &&str| Command {
            argv: ["sh", "-euc", script].map(str::to_owned).to_vec(),
            cwd: "/".to_owned(),
        };
        Request {
            mounts: all,
            stages: stages.iter().map(|stage| stage.iter().map(shell).collect()).collect(),
            env: BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]),
            limits: Limits { seconds: 20, memory: 1 << 30, log: 1 << 20, processes: 200 },
        }
    }

    fn run(&self, request: &Request) -> Result<Report, Failure> {
        let log = File::options().append(true).create(true).open(&self.log).unwrap();
        self.sandbox.run(request, &self.store, &log, &AtomicBool::new(false))
    }

    /// Runs a script that must succeed and gives what it printed.
    fn output(&self, request: &Request) -> String {
        let _ = std::fs::remove_file(&self.log);
        let result = self.run(request);
        let log = self.log_text();
        result.unwrap_or_else(|failure| panic!("{failure}\n{log}"));
        log
    }

    fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox-static"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file() && is_static(path))
}

/// Whether a program needs no interpreter: no `PT_INTERP` entry among its program headers.
fn is_static(program: &Path) -> bool {
    let bytes = std::fs::read(program).unwrap_or_default();
    bytes.starts_with(b"\x7fELF") && !bytes.windows(14).take(4096).any(|window| window == b"/lib64/ld-linu")
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

fn overlay(at: &str, layers: &[(&str, TreeHash)], capture: Option<&str>) -> Mount {
    let layers = layers.iter().map(|(name, tree)| Layer { name: (*name).to_owned(), tree: *tree });
    Mount::Overlay { at: at.to_owned(), layers: layers.collect(), capture: capture.map(Into::into) }
}

/// A tree as lines: kind, path, and for links the target.
fn listing(tree: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    let done: Result<(), std::convert::Infallible> = tree.walk(&mut |path, node| {
        lines.push(match node {
            Node::File(file) if file.executable => format!("x {path} {}", file.size),
            Node::File(file) => format!("f {path} {}", file.size),
            Node::Link(target) => format!("l {path} {}", String::from_utf8_lossy(target.as_bytes())),
            Node::Directory(_) => format!("d {path}"),
        });
        Ok(())
    });
    match done {
        Ok(()) => lines,
    }
}

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
fn a_builder_observes_the_same_fixed_things_everywhere() {
    let Some(world) = World::new() else { return };
    let mut request = world.script(
        "cd /proc/self; \
         echo env; env; \
         echo id; id; umask; hostname; pwd; \
         echo root; ls -A /; echo dev; ls -A /dev; echo proc; ls /proc | grep -v '^[0-9]'; \
         echo processes; ls /proc | grep -c '^[0-9]'; \
         echo descriptors; ls fd; readlink fd/0; \
         echo limits; ulimit -a | grep -v 'locks\\|pending\\|cpu\\|nice\\|rtprio\\|queues'; \
         echo status; grep 'NoNewPrivs\\|Seccomp:\\|CapEff\\|CapPrm\\|CapAmb\\|SigBlk\\|SigIgn\\|TracerPid' /proc/self/status; \
         echo maps; cat setgroups; cat cgroup | grep -v ':/$' || true; \
         echo net; ip addr | grep -v valid_lft; ip route; \
         echo host; cat /proc/1/cmdline /proc/cpuinfo /etc/machine-id /proc/sys/kernel/hostname 2>&1 || true",
    );
    request.env.insert("HOME".to_owned(), "/homeless".to_owned());
    let seen = world.output(&request);
    // The groups of whoever runs this can be neither dropped nor named in a user namespace of an
    // ordinary user: his own is seen as the builder's, others as 65534.
    let (before, after) = seen.split_once("gid=1000").expect("`id` names a group");
    let (_groups, after) = after.split_once('\n').expect("`id` prints a line");
    insta::assert_snapshot!(format!("{before}gid=1000\n{after}"));
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

/// This test program and the libraries it needs, as a tree to be mounted at `/`.
fn this_program(world: &World) -> TreeHash {
    let staging = world.store.stage().unwrap();
    let mut tree = Tree::default();
    let mut put = |from: &str, to: &str| {
        let file = staging.add(&mut File::open(from).unwrap(), true).unwrap();
        tree.insert(&path(to), Node::File(file)).unwrap();
    };
    put("/proc/self/exe", "attacker");
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libraries: std::collections::BTreeSet<&str> = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .filter(|file| file.contains(".so"))
        .collect();
    for library in libraries {
        let name = library.rsplit('/').next().unwrap();
        put(library, &format!("lib/{name}"));
        if name.starts_with("ld-linux") {
            put(library, &format!("lib64/{name}"));
        }
    }
    staging.publish(&tree).unwrap()
}

#[test]
fn system_calls_that_reach_past_namespaces_are_refused() {
    let Some(world) = World::new() else { return };
    let mut request = world.script("");
    request.mounts[0] = overlay("/", &[("base", world.base), ("this", this_program(&world))], None);
    let words = ["/attacker", "--exact", "--ignored", "attacks_from_inside", "--nocapture"];
    request.stages[0][0].argv = words.map(str::to_owned).to_vec();
    request.env.insert("LD_LIBRARY_PATH".to_owned(), "/lib".to_owned());
    request.limits.memory = 4 << 30;
    let said = world.output(&request);
    assert!(said.contains("every attack failed"), "{said}");
}

/// Not a test: what `system_calls_that_reach_past_namespaces_are_refused` runs as a builder.
#[test]
#[ignore = "runs inside a sandbox"]
fn attacks_from_inside() {
    use nix::errno::Errno;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    assert!(std::fs::exists("/attacker").unwrap(), "this is for the inside of a sandbox");
    for family in [AddressFamily::Vsock, AddressFamily::Packet, AddressFamily::Alg, AddressFamily::Bluetooth]
    {
        let got = socket(family, SockType::Raw, SockFlag::empty(), None).map(drop);
        assert_eq!(got, Err(Errno::EAFNOSUPPORT), "{family:?}");
    }
    assert!(socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), None).is_err());
    for address in ["[fe80::1]:80", "192.0.2.1:80", "127.0.0.1:22", "[::1]:22"] {
        assert!(std::net::TcpStream::connect(address).is_err(), "{address}");
    }
    assert!(nix::unistd::pivot_root("/out", "/out").is_err());
    assert!(nix::unistd::chroot("/out").is_err());
    let into = nix::sched::CloneFlags::CLONE_NEWUSER;
    assert!(nix::sched::unshare(into).is_err());
    assert!(
        nix::sched::setns(File::open("/proc/self/ns/mnt").unwrap(), nix::sched::CloneFlags::empty()).is_err()
    );
    print!("every attack failed ");
}

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
        .args(["--exact", "--ignored", "start_on_a_machine_without", "--nocapture"])
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
fn two_builds_do_not_meet() {
    let Some(world) = World::new() else { return };
    let serve = "(echo secret | nc -l -p 7777 &); echo x > /dev/shm/meet; echo x > /tmp/meet; sleep 1";
    let look = "! nc -w 1 127.0.0.1 7777 < /dev/null; ! test -e /dev/shm/meet; ! test -e /tmp/meet; \
                test $(ls /proc | grep -c '^[0-9]') -lt 6";
    std::thread::scope(|scope| {
        let server = scope.spawn(|| world.run(&world.script(serve)));
        std::thread::sleep(Duration::from_millis(300));
        world.run(&world.script(look)).unwrap_or_else(|failure| panic!("{failure}: {}", world.log_text()));
        server.join().unwrap().unwrap();
    });
}

#[test]
fn each_way_to_fail_has_its_failure() {
    let Some(world) = World::new() else { return };
    let exit = |status| Failure::BuilderExit { command: String::new(), status };
    let signal = |signal| Failure::BuilderSignal { command: String::new(), signal };
    let limits = Limits { seconds: 2, memory: 64 << 20, log: 4096, processes: 30 };
    let cases = [
        ("exit 3", exit(3)),
        ("nosuchprogram", exit(127)),
        ("kill -TERM $$", signal(15)),
        ("kill -SEGV $$", signal(11)),
        ("sleep 60", Failure::TimeOut { seconds: 2 }),
        ("trap '' TERM; while :; do :; done", Failure::TimeOut { seconds: 2 }),
        ("exec > /dev/null 2>&1 < /dev/null; exec 1>&- 2>&-; sleep 60", Failure::TimeOut { seconds: 2 }),
        ("while :; do echo line; done", Failure::LogLimit { limit: 4096 }),
        ("x=0123456789; while :; do x=$x$x; done", Failure::OutOfMemory { limit: 64 << 20 }),
        ("mkfifo /out/pipe", bad("pipe", "is a named pipe")),
    ];
    for (script, expected) in cases {
        let mut request = world.script(script);
        request.limits = limits;
        let started = Instant::now();
        let mut failure = world.run(&request).map(|_| ()).expect_err(script);
        if let Failure::BuilderExit { command, .. } | Failure::BuilderSignal { command, .. } = &mut failure {
            assert_eq!(*command, format!("sh -euc {script}"));
            command.clear();
        }
        assert_eq!(failure, expected, "{script}");
        assert!(started.elapsed() < Duration::from_secs(6), "{script}");
    }
}

fn bad(path: &str, reason: &str) -> Failure {
    Failure::BadOutput { path: path.to_owned(), reason: reason.to_owned() }
}

#[test]
fn fork_bomb_is_held_by_the_process_limit() {
    let Some(world) = World::new() else { return };
    let marker = long_time(1);
    let mut request = world.script(&format!("bomb() {{ bomb | bomb & }}; bomb; sleep {marker}"));
    request.limits.processes = 50;
    request.limits.seconds = 2;
    let watched = std::thread::scope(|scope| {
        let run = scope.spawn(|| world.run(&request).map(|_| ()));
        let mut most = 0;
        while !run.is_finished() {
            std::thread::sleep(Duration::from_millis(50));
            most = most.max(processes_with(&marker));
        }
        assert!(run.join().unwrap().is_err());
        most
    });
    assert!(watched < 400, "{watched} processes");
    assert_eq!(processes_with(&marker), 0);
}

#[test]
fn nothing_outlives_a_run() {
    let Some(world) = World::new() else { return };
    let time = long_time(2);
    let daemon = format!("(setsid sh -c 'trap \"\" HUP TERM; sleep {time}' &) ; sleep 0.2");
    world.run(&world.script(&daemon)).unwrap();
    assert_eq!(processes_with(&time), 0);
}

#[test]
fn stopping_ends_a_run_soon() {
    let Some(world) = World::new() else { return };
    let time = long_time(3);
    for script in [format!("sleep {time}"), format!("trap '' TERM; sleep {time}; sleep {time}")] {
        let stop = AtomicBool::new(false);
        let log = File::create(&world.log).unwrap();
        let request = world.script(&script);
        let (failure, took) = std::thread::scope(|scope| {
            let run = scope.spawn(|| world.sandbox.run(&request, &world.store, &log, &stop).map(|_| ()));
            std::thread::sleep(Duration::from_millis(300));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            let asked = Instant::now();
            (run.join().unwrap().unwrap_err(), asked.elapsed())
        });
        assert_eq!(failure, Failure::Cancelled);
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert_eq!(processes_with(&time), 0);
    }
}

/// How long a program is to sleep, as a text that no other test and no other user's tests use.
fn long_time(of_test: u32) -> String {
    use std::os::unix::fs::MetadataExt;
    let user = std::fs::metadata("/proc/self").unwrap().uid();
    format!("600.{of_test}{user:010}1")
}

/// How many processes of this machine have `text` in their command line.
fn processes_with(text: &str) -> usize {
    let is_one = |entry: std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.windows(text.len().max(1)).any(|window| window == text.as_bytes())
    };
    std::fs::read_dir("/proc").unwrap().flatten().map(is_one).filter(|found| *found).count()
}

#[test]
fn what_happens_to_files_of_a_layer_is_judged() {
    let Some(world) = World::new() else { return };
    let fmt = world.tree(&[("lib/fmt/META", "meta\n"), ("lib/fmt/run*", "run\n"), ("share/x", "x\n")]);
    let ok = [
        ("touch /opt/lib /opt/lib/fmt", &[][..]),
        ("touch /opt/lib/fmt/META", &[]),
        ("mkdir /opt/lib/a; echo a > /opt/lib/a/a", &["d lib", "d lib/a", "f lib/a/a 2"]),
        ("cat /opt/lib/fmt/META > /tmp/m; rm /opt/lib/fmt/META; cp /tmp/m /opt/lib/fmt/META", &[]),
        ("cp -r /opt/lib /tmp/lib; rm -r /opt/lib; cp -r /tmp/lib /opt/lib", &[]),
        ("echo x > /opt/new; rm /opt/new", &[]),
        ("ln /opt/lib/fmt/run /opt/copy", &["x copy 4"]),
        ("chmod 700 /opt/lib/fmt/run; chmod 600 /opt/share/x", &[]),
    ];
    for (script, expected) in ok {
        let request = world.request(&[overlay("/opt", &[("fmt", fmt)], Some("opt"))], &[&[script]]);
        let report = world.run(&request).unwrap_or_else(|failure| panic!("{script}: {failure}"));
        assert_eq!(listing(&report.captured["opt"]), expected, "{script}");
    }
    let refused = [
        ("rm /opt/share/x", bad("share/x", "removes a file of fmt")),
        ("rm -r /opt/share", bad("share", "removes a directory of fmt")),
        ("rm -r /opt/lib; mkdir -p /opt/lib/fmt", bad("lib/fmt/META", "removes a file of fmt")),
        ("echo y > /opt/share/x", bad("share/x", "changes a file of fmt")),
        ("chmod +x /opt/share/x", bad("share/x", "changes a file of fmt")),
        ("rm /opt/share/x; ln -s y /opt/share/x", bad("share/x", "changes a file of fmt")),
        ("rm /opt/share/x; mkdir /opt/share/x", bad("share/x", "changes a file of fmt")),
        ("rm -r /opt/share; echo y > /opt/share", bad("share", "changes a directory of fmt")),
        ("mv /opt/share /opt/other", bad("share", "removes a directory of fmt")),
    ];
    for (script, expected) in refused {
        let request = world.request(&[overlay("/opt", &[("fmt", fmt)], Some("opt"))], &[&[script]]);
        assert_eq!(world.run(&request).map(|_| ()).expect_err(script), expected, "{script}");
    }
}

#[test]
fn a_whole_capture_is_what_the_builder_saw() {
    let Some(world) = World::new() else { return };
    let files: Vec<(String, String)> = (0..40)
        .map(|number| (format!("d{}/e{}/f{number}", number % 3, number % 5), number.to_string()))
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let (odd, even): (Vec<_>, Vec<_>) = files.iter().partition(|(_, text)| text.len() % 2 == 0);
    let layers = [("odd", world.tree(&odd)), ("even", world.tree(&even))];
    let mut random = 20_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for _ in 0..12 {
        let mut script = "cd /opt; set +e; exec 2> /dev/null".to_owned();
        for _ in 0..30 {
            let mut place = || match next(3) {
                0 => format!("d{}", next(4)),
                1 => format!("d{}/e{}", next(4), next(6)),
                _ => format!("d{}/e{}/f{}", next(4), next(6), next(45)),
            };
            let (one, other) = (place(), place());
            script += &match next(10) {
                0 => format!("; rm -rf {one}"),
                1 => format!("; rm -rf {one}; mkdir -p {one}"),
                2 => format!("; mv {one} {other}"),
                3 => format!("; echo new > {one}"),
                4 => format!("; ln -s {one} {other}"),
                5 => format!("; ln {one} {other}"),
                6 => format!("; mkdir -p {one}/{other}"),
                7 => format!("; touch {one}; chmod 755 {one}"),
                8 => format!("; cp -r {one} {other}"),
                _ => format!("; echo more >> {one}"),
            };
        }
        script += "; cp -a . /out; true";
        let mut request = world.request(&[], &[&[&script]]);
        request.mounts.push(Mount::Overlay {
            at: "/opt".to_owned(),
            layers: match overlay("/opt", &layers, None) {
                Mount::Overlay { layers, .. } => layers,
                Mount::ReadOnly { .. } => unreachable!(),
            },
            capture: Some(jtwbuild::request::Capture::whole("opt")),
        });
        let report = world.run(&request).unwrap_or_else(|failure| panic!("{failure}\n{script}"));
        assert_eq!(listing(&report.captured["opt"]), listing(&report.captured["out"]), "{script}");
        assert_eq!(report.captured["opt"], report.captured["out"], "{script}");
    }
}

#[test]
fn layers_that_differ_at_one_path_are_refused_and_equal_ones_merge() {
    let Some(world) = World::new() else { return };
    let tree = |files: &[(&str, &str)]| world.tree(files);
    let one = tree(&[("lib/a/x", "1"), ("lib/shared", "s"), ("doc", "d")]);
    let cases = [
        (tree(&[("lib/b/y", "2"), ("lib/shared", "s")]), None),
        (tree(&[("lib/shared", "other")]), Some("lib/shared")),
        (tree(&[("lib/shared*", "s")]), Some("lib/shared")),
        (tree(&[("lib/a", "file")]), Some("lib/a")),
        (tree(&[("doc/d", "directory")]), Some("doc")),
    ];
    for (other, conflict) in cases {
        let mounts = [overlay("/opt", &[("one", one), ("other", other)], None)];
        let result = world.run(&world.request(&mounts, &[&["find /opt | wc -l"]]));
        let expected = conflict.map(|path| Failure::Overlap {
            path: path.to_owned(),
            first: "one".to_owned(),
            second: "other".to_owned(),
        });
        assert_eq!(result.map(|_| ()).err(), expected);
    }
}

#[test]
fn many_layers_are_one_tree() {
    for (count, old_overlays) in
        [(40, true), (128, true), (40, false), (128, false), (300, false), (500, false)]
    {
        let Some(world) = World::with(Settings { old_overlays, ..Settings::default() }) else { return };
        let trees: Vec<TreeHash> = (0..count)
            .map(|number| world.tree(&[(&format!("lib/p{number}/{}", "n".repeat(200)), "x")]))
            .collect();
        let layers: Vec<(&str, TreeHash)> = trees.iter().map(|tree| ("layer", *tree)).collect();
        let request = world.request(
            &[overlay("/opt", &layers, Some("opt"))],
            &[&["ls /opt/lib | wc -l; echo > /opt/lib/new"]],
        );
        assert_eq!(world.output(&request).trim(), count.to_string());
    }
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
fn full_scratch_space_in_memory_means_a_second_try_on_disk() {
    let Some(world) = World::with(Settings { scratch: 4 << 20, ..Settings::default() }) else { return };
    let request = world
        .script("dd if=/dev/zero of=/out/big bs=1M count=8; chmod 555 /out; mkdir /tmp/d; chmod 0 /tmp/d");
    let report = world.run(&request).unwrap_or_else(|failure| panic!("{failure}\n{}", world.log_text()));
    assert_eq!(listing(&report.captured["out"]), ["f big 8388608"]);
    let scratch = world.store.scratch().unwrap();
    let left: Vec<_> = std::fs::read_dir(scratch).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("sandbox")), "{left:?}");
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
fn deep_and_wide_outputs_end_well() {
    let Some(world) = World::new() else { return };
    let deep = world.script("cd /out; i=0; while [ $i -lt 300 ]; do mkdir d; cd d; i=$((i+1)); done");
    assert!(matches!(world.run(&deep), Err(Failure::BadOutput { .. })));
    let wide = world.script("cd /out; i=0; while [ $i -lt 2000 ]; do echo $i > f$i; i=$((i+1)); done");
    assert_eq!(world.run(&wide).unwrap().captured["out"].len(), 2000);
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
fn killed_engine_leaves_no_process_and_no_mount() {
    let Some(_world) = World::new() else { return };
    let this = std::env::current_exe().unwrap();
    let mut engine = std::process::Command::new(this)
        .args(["--exact", "--ignored", "engine_to_be_killed", "--nocapture"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let wait_for = |wanted: &dyn Fn(usize) -> bool| {
        let started = Instant::now();
        while !wanted(processes_with(&long_time(5))) {
            assert!(started.elapsed() < Duration::from_secs(20), "{}", processes_with(&long_time(5)));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for(&|count| count >= 8);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("top-0"));
    engine.kill().unwrap();
    engine.wait().unwrap();
    wait_for(&|count| count == 0);
}

/// Not a test: what `killed_engine_leaves_no_process_and_no_mount` starts and kills.
#[test]
#[ignore = "started by another test"]
fn engine_to_be_killed() {
    let Some(world) = World::new() else { return };
    let time = long_time(5);
    let request = world.script(&format!("(setsid sleep {time} &); sleep {time}"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| world.run(&request).map(drop));
        }
    });
}

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
    let done = std::process::Command::new(this)
        .env("JTWBUILD_TEST_AS_USER", "1")
        .env("INSTA_UPDATE", "no")
        .uid(54321)
        .gid(54321)
        .current_dir("/")
        .args(["--test-threads", "2"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("test what_a_builder_adds_is_captured ... ok"), "{said}");
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|status| status.uid() == 0)
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
