//! The end of a run, and of the engine: nothing is left.

use std::fs::File;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use jtwbuild::outcome::Failure;

use crate::world::{World, long_time, processes_with};

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

#[test]
fn killed_engine_leaves_no_process_and_no_mount() {
    let Some(_world) = World::new() else { return };
    let this = std::env::current_exe().unwrap();
    let mut engine = std::process::Command::new(this)
        .args(["--exact", "--ignored", "lifecycle::engine_to_be_killed", "--nocapture"])
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
