//! Two builds, at once or one after the other: neither finds the other, nor a helper on the host.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jtwbuild::outcome::Failure;

use crate::attacker::Arena;
use crate::attacks::table;
use crate::rounds;

/// What a seeker found, by the names of the channels.
fn found(log: &str) -> Vec<&str> {
    log.lines().filter_map(|line| line.strip_suffix("\tfound")).collect()
}

#[test]
fn two_builds_at_once_do_not_meet() {
    let Some(arena) = Arena::new() else { return };
    let count = table("channels").unwrap().len();
    // A helper on the host listens for whoever connects: an abstract name, and a path.
    let helper = arena.world.directory.path().join("helper").display().to_string();
    let _by_name = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&helper).unwrap()).unwrap();
    let _by_path = UnixListener::bind(&helper).unwrap();
    let stop = AtomicBool::new(false);
    let log = tempfile::NamedTempFile::new().unwrap();
    let said = std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let request = arena.request(&["serve"]);
            arena.world.sandbox.run(&request, &arena.world.store, log.as_file(), &stop).map(|_| ())
        });
        let started = Instant::now();
        while !fs::read_to_string(log.path()).unwrap().contains(&format!("serving {count} channels")) {
            assert!(!server.is_finished() && started.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut request = arena.request(&["seek"]);
        request.env.insert("HELPER".to_owned(), helper);
        let (result, said) = arena.run(&request);
        assert!(!server.is_finished(), "the server has to be there all the time");
        stop.store(true, Ordering::Relaxed);
        assert_eq!(server.join().unwrap(), Err(Failure::Cancelled));
        result.unwrap_or_else(|failure| panic!("{failure}\n{said}"));
        said
    });
    assert_eq!(found(&said), ["device-lock"], "{said}");
    assert_eq!(said.lines().count(), count + 2, "{said}");
    arena.assert_store_is_whole("two builds");
}

/// Inside one sandbox everything is found, or the test above would show nothing.
#[test]
fn two_commands_of_one_build_do_meet() {
    let settings = jtwbuild::sandbox::Settings { parallel: 2, ..Default::default() };
    let Some(arena) = Arena::with(settings) else { return };
    let mut request = arena.request(&["serve"]);
    let seek = arena.request(&["seek"]).stages.remove(0).remove(0);
    request.stages[0].push(seek);
    request.env.insert("TOGETHER".to_owned(), "1".to_owned());
    let (result, said) = arena.run(&request);
    result.unwrap_or_else(|failure| panic!("{failure}\n{said}"));
    assert_eq!(found(&said).len(), table("channels").unwrap().len(), "{said}");
}

/// A sandbox may get the network of one before it: nothing may be left in that.
#[test]
fn a_later_build_finds_no_sockets_and_no_counters_of_an_earlier_one() {
    let Some(arena) = Arena::new() else { return };
    let look = || {
        let mut request = arena.request(&["seek"]);
        request.stages[0][0].argv =
            ["sh", "-euc", "cat /proc/self/net/unix /proc/self/net/snmp /proc/self/net/snmp6"]
                .map(str::to_owned)
                .to_vec();
        let (result, said) = arena.run(&request);
        result.unwrap();
        said
    };
    let clean = look();
    for _ in 0..20 * rounds() {
        let (result, said) = arena.run(&arena.request(&["leave-sockets"]));
        result.unwrap_or_else(|failure| panic!("{failure}\n{said}"));
        assert_eq!(look(), clean);
    }
}
