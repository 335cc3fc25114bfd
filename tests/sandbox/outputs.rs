//! Outputs that a tree cannot hold or that could do harm outside: refused with their path, or made
//! harmless.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use jtwbuild::outcome::Failure;
use jtwbuild::request::{Capture, Mount};
use jtwbuild::sandbox::Settings;

use crate::attacker::Arena;
use crate::attacks::table;
use crate::rounds;
use crate::world::{bad, listing};

/// What comes of an output.
enum Comes {
    /// It is taken in, as this listing of `/out` or `/merged`.
    As(&'static [&'static str]),
    /// It is refused, with this path and reason.
    Refused(&'static str, &'static str),
    /// It cannot even be made: the kernel answers the builder so.
    Denied(&'static str),
}

use Comes::{As, Denied, Refused};

/// Name, words for the book, and what comes of it.
#[rustfmt::skip]
const OUTPUTS: &[(&str, &str, Comes)] = &[
    ("set-user-id", "taken in without the bits", As(&["x x SIZE"])),
    ("set-group-id-directory", "taken in without the bits", As(&["d x"])),
    ("attribute", "taken in without the attribute", As(&["f x 1"])),
    ("access-list", "taken in without the list", As(&["f x 1"])),
    ("two-names", "taken in as two files", As(&["f x 1", "f y 1"])),
    ("link-of-layer", "taken in as a file of its own", As(&["f hard 8"])),
    ("link-of-input", "refused: EXDEV", Denied("EXDEV")),
    ("link-of-device", "refused: EXDEV", Denied("EXDEV")),
    ("pipe", "refused: it is a named pipe", Refused("x", "is a named pipe")),
    ("socket", "refused: it is a socket", Refused("x", "is a socket")),
    ("device", "refused: EPERM", Denied("EPERM")),
    ("whiteout", "refused: it is a device", Refused("x", "is a device")),
    ("whiteout-in-overlay", "refused: EPERM", Denied("EPERM")),
    ("whiteout-below", "refused: it is a device", Refused("d/x", "is a device")),
    ("opaque", "taken in without the mark", As(&["d d", "f d/x 1"])),
    ("opaque-in-overlay", "has no effect", As(&[])),
    ("redirect", "taken in without the mark", As(&["d d"])),
    ("owner", "refused: EINVAL", Denied("EINVAL")),
    ("links-out", "taken in as links, which nothing of ours follows", As(&["l absolute /etc/passwd", "l up ../../../etc/passwd"])),
    ("closed", "opened, read and taken in", As(&["d d", "d d/e", "f d/e/x 1"])),
    ("levels-10000", "refused: directories nest too deep", Refused("", "directories nest deeper than 128 levels")),
    ("wild-names", "taken in, byte for byte", As(&[])),
    ("sparse-and-huge", "refused: more than 16 GiB", Refused("", "the output's files have more than 16 GiB")),
    ("sparse", "taken in, as zeros", As(&["f x 67108864"])),
];

/// The rows of the book's table.
pub fn expected_words() -> impl Iterator<Item = (&'static str, &'static str)> {
    OUTPUTS.iter().map(|(name, words, _)| (*name, *words))
}

/// An arena's request to make one output, with `/out` and `/merged` captured as a whole or not.
fn request(arena: &Arena, name: &str, whole: bool) -> jtwbuild::request::Request {
    let mut request = arena.request(&["output", name]);
    for mount in &mut request.mounts {
        if let Mount::Overlay { at, capture, .. } = mount {
            let name = at.trim_start_matches('/').to_owned();
            *capture = (at != "/").then_some(Capture { name, whole });
        }
    }
    request
}

#[test]
fn outputs_are_made_harmless_or_refused_with_their_path() {
    let Some(arena) = Arena::new() else { return };
    let known: Vec<String> = table("outputs").unwrap().into_iter().flatten().collect();
    let size = fs::metadata(crate::attacker::program().unwrap()).unwrap().len().to_string();
    for (name, _, comes) in OUTPUTS {
        assert!(known.iter().any(|known| known == name), "{name}");
        for whole in [false, true] {
            let (result, log) = arena.run(&request(&arena, name, whole));
            match (comes, result) {
                (As(expected), Ok(report)) => {
                    let mut got = listing(&report.captured["out"]);
                    if !whole {
                        got.extend(listing(&report.captured["merged"]));
                    }
                    let expected: Vec<_> = expected.iter().map(|line| line.replace("SIZE", &size)).collect();
                    let of_layer = whole && *name == "link-of-layer";
                    assert!(got == expected || *name == "wild-names" || of_layer, "{name}: {got:?}");
                    assert!(*name != "wild-names" || got.len() == 8, "{got:?}");
                    for tree in report.captured.values() {
                        assert_plain(&arena.world.store.tree_path(&report.staging.publish(tree).unwrap()));
                    }
                }
                (Refused(path, reason), Err(Failure::BadOutput { path: at, reason: why })) => {
                    assert_eq!(
                        bad(path, reason),
                        bad(if path.is_empty() { "" } else { &at }, &why),
                        "{name}"
                    );
                }
                (Denied(errno), Err(Failure::BuilderExit { .. })) => assert_eq!(log.trim(), *errno, "{name}"),
                (_, result) => {
                    panic!("{name}: {:?}\n{log}", result.map(|report| listing(&report.captured["out"])))
                }
            }
        }
    }
    arena.assert_store_is_whole("outputs");
    println!("{} outputs, captured in two ways", OUTPUTS.len());
}

/// Nothing at or below `path` has bits, attributes or links that something could come of.
fn assert_plain(path: &Path) {
    let status = fs::symlink_metadata(path).unwrap();
    if status.is_symlink() {
        return;
    }
    let mode = status.permissions().mode() & 0o7777;
    assert!([0o755, 0o644].contains(&mode), "{mode:o} {}", path.display());
    assert_eq!(status.mtime(), 1);
    for entry in fs::read_dir(path).into_iter().flatten() {
        assert_plain(&entry.unwrap().path());
    }
}

#[test]
fn names_of_255_bytes_twenty_levels_deep_end_well() {
    for settings in [Settings::default(), Settings { scratch: 256 << 10, ..Settings::default() }] {
        let Some(arena) = Arena::with(settings) else { return };
        let (result, log) = arena.run(&request(&arena, "long-names", false));
        // 5120 bytes: more than a path may have.
        assert!(
            matches!(result, Err(Failure::BadOutput { ref reason, .. }) if reason == "its path is too long"),
            "{log}"
        );
    }
}

#[test]
fn ten_thousand_levels_on_disk_are_refused_and_removed() {
    // So little memory that the builder's files go to the disk.
    let Some(arena) = Arena::with(Settings { scratch: 256 << 10, ..Settings::default() }) else { return };
    for name in ["levels-10000", "levels-100"] {
        let mut request = request(&arena, name, false);
        // The first run fills the memory; the second is on disk.
        let fill = jtwbuild::request::Command {
            argv: ["sh", "-euc", "dd if=/dev/zero of=/tmp/fill bs=1k count=400"].map(str::to_owned).to_vec(),
            cwd: "/".to_owned(),
        };
        request.stages.insert(0, vec![fill]);
        let (result, log) = arena.run(&request);
        assert_eq!(result.is_ok(), name == "levels-100", "{:?}\n{log}", result.map(|_| ()));
        assert_eq!(scratch_of_sandboxes(&arena), 0, "after {name}");
    }
}

/// How many scratch directories of sandboxes are there.
fn scratch_of_sandboxes(arena: &Arena) -> usize {
    let scratch = arena.world.store.scratch().unwrap();
    let names = fs::read_dir(scratch).unwrap().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().starts_with("sandbox")).count()
}

#[test]
fn a_million_files_end_well_or_at_a_limit() {
    let count = if rounds() > 1 { 1_000_000 } else { 10_000 };
    let Some(arena) = Arena::new() else { return };
    let mut request = request(&arena, "many", false);
    request.env.insert("MANY".to_owned(), count.to_string());
    request.limits.seconds = 600;
    let (result, log) = arena.run(&request);
    let report = result.unwrap_or_else(|failure| panic!("{failure}\n{log}"));
    assert_eq!(report.captured["out"].files().len(), count);
}

/// Somebody with the rights of the user replaces scratch directories by links while they are in use
/// and removed (a builder cannot: it is gone by then): what the links lead to stays.
#[test]
fn swapped_scratch_directories_lead_nowhere() {
    let Some(arena) = Arena::with(Settings { scratch: 256 << 10, ..Settings::default() }) else { return };
    let victim = tempfile::tempdir().unwrap();
    fs::write(victim.path().join("file"), "stays").unwrap();
    fs::set_permissions(victim.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let scratch = arena.world.store.scratch().unwrap().to_owned();
    let (done, swaps) = (AtomicBool::new(false), std::sync::atomic::AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for entry in fs::read_dir(&scratch).into_iter().flatten().flatten() {
                    let path = entry.path();
                    let is_one = entry.file_name().to_string_lossy().starts_with("sandbox");
                    if is_one && fs::rename(&path, path.with_extension("away")).is_ok() {
                        swaps.fetch_add(1, Ordering::Relaxed);
                        let _ = symlink(victim.path(), &path);
                    }
                }
                std::thread::yield_now();
            }
        });
        for _ in 0..5 * rounds() {
            let script = "dd if=/dev/zero of=/out/big bs=1k count=400; mkdir /tmp/d; chmod 0 /tmp/d /out";
            // It may fail in any way; it may not touch what is not its own.
            let _ = arena.world.run(&arena.world.script(script));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(swaps.load(Ordering::Relaxed) > 0, "nothing was ever swapped");
    assert_eq!(fs::read_to_string(victim.path().join("file")).unwrap(), "stays");
    assert_eq!(fs::metadata(victim.path()).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 1);
}

#[test]
fn links_at_the_names_of_temporary_files_are_not_followed() {
    let Some(arena) = Arena::new() else { return };
    let victim = arena.world.directory.path().join("victim");
    fs::write(&victim, "stays").unwrap();
    let scratch = arena.world.store.scratch().unwrap().to_owned();
    let next = arena.world.store.scratch_path("next").unwrap();
    let next: u64 = next.to_str().unwrap().rsplit('-').next().unwrap().parse().unwrap();
    for number in next..next + 5000 {
        for name in [format!("{number}"), format!("tree-{number}"), format!("sandbox-{number}")] {
            let _ = symlink(&victim, scratch.join(name));
        }
    }
    let result =
        arena.world.run(&arena.world.script("head -c 300000 /dev/urandom > /out/large; echo x > /out/small"));
    let failure = result.map(|_| ()).expect_err("all names are taken");
    assert!(matches!(failure, Failure::Machine { .. }), "{failure}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "stays");
}

#[test]
fn scratch_on_disk_is_closed_to_others_and_gives_no_rights() {
    let Some(arena) = Arena::with(Settings { scratch: 256 << 10, ..Settings::default() }) else { return };
    let script = "dd if=/dev/zero of=/tmp/fill bs=1k count=400; cp /bin/busybox /out/su; chmod 6755 /out/su; \
                  echo ready; sleep 20; true";
    let request = arena.world.script(script);
    let (stop, log) = (AtomicBool::new(false), tempfile::NamedTempFile::new().unwrap());
    std::thread::scope(|scope| {
        let run = scope
            .spawn(|| arena.world.sandbox.run(&request, &arena.world.store, log.as_file(), &stop).map(drop));
        let started = std::time::Instant::now();
        // The first attempt, in memory, does not get so far.
        while !fs::read_to_string(log.path()).unwrap().contains("ready") {
            assert!(!run.is_finished() && started.elapsed().as_secs() < 60);
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let scratch = arena.world.store.scratch().unwrap();
        let of_run = fs::read_dir(scratch).unwrap().flatten().map(|entry| entry.path());
        let of_run = of_run.filter(|path| path.join("top-1").exists()).collect::<Vec<_>>();
        assert_eq!(of_run.len(), 1);
        assert_eq!(fs::metadata(&of_run[0]).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(
            fs::metadata(of_run[0].join("top-1/su")).unwrap().mode() & 0o7000,
            0o6000,
            "there is danger"
        );
        stop.store(true, Ordering::Relaxed);
        assert_eq!(run.join().unwrap(), Err(Failure::Cancelled));
    });
    assert_eq!(scratch_of_sandboxes(&arena), 0);
}
