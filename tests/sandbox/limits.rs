//! What a run may use, and what comes of a builder that wants more.

use std::time::{Duration, Instant};

use jtwbuild::outcome::Failure;
use jtwbuild::request::Limits;
use jtwbuild::sandbox::{KeepFree, Settings};

use crate::world::{World, bad, listing, long_time, processes_with};

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
        // A real-time signal, which few libraries have a name for.
        ("kill -40 $$", signal(40)),
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
fn builder_that_goes_on_when_its_scratch_space_is_full_has_its_second_try_too() {
    let Some(world) = World::with(Settings { scratch: 4 << 20, ..Settings::default() }) else { return };
    let request = world.script("dd if=/dev/zero of=/out/big bs=1M count=8 || true");
    let report = world.run(&request).unwrap_or_else(|failure| panic!("{failure}\n{}", world.log_text()));
    assert_eq!(listing(&report.captured["out"]), ["f big 8388608"]);
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
fn builder_that_would_fill_the_disk_is_ended_before() {
    // All of the disk is to stay free, so any file on it is one too many.
    let keep_free = KeepFree { percent: 100, most: u64::MAX };
    let Some(world) = World::with(Settings { scratch: 1 << 20, keep_free, ..Settings::default() }) else {
        return;
    };
    let request = world.script("dd if=/dev/zero of=/out/big bs=64k count=64; sleep 20");
    let failure = world.run(&request).map(|_| ()).unwrap_err();
    let Failure::NoSpace { what } = &failure else { panic!("{failure}") };
    assert!(what.contains("kept free"), "{what}");
    assert!(!failure.is_verdict());
}
