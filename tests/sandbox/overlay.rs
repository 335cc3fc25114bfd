//! Random sequences of operations in an overlay: what the engine makes of the top directory is what
//! the builder saw, entry by entry and byte by byte.

use std::collections::BTreeMap;

use jtwbuild::outcome::Failure;
use jtwbuild::request::Capture;
use jtwbuild::sandbox::{Report, Settings};
use jtwbuild::store::tree::{Node, Tree, TreeHash};

use crate::attacker::Arena;
use crate::rounds;
use crate::world::overlay;

const OPERATIONS: u32 = 40;
/// Sequences of each kind, in a run that somebody waits for.
const SEQUENCES: u64 = 60;

/// Path and the rest of each line, as the attacker's `overlay` prints them.
type Entries = BTreeMap<String, String>;

fn parse(list: &str) -> Entries {
    let entry = |line: &str| {
        let (kind, rest) = line.split_once(' ').unwrap();
        let (path, more) = rest.split_once(' ').unwrap_or((rest, ""));
        (path.to_owned(), format!("{kind} {more}"))
    };
    list.lines().map(entry).collect()
}

/// A captured tree in the same form, read by the engine's means alone.
fn entries(tree: &Tree, report: &Report) -> Entries {
    let mut all = Entries::new();
    let done: Result<(), std::convert::Infallible> = tree.walk(&mut |path, node| {
        let text = match node {
            Node::Directory(_) => "d ".to_owned(),
            Node::Link(target) => format!("l {}", String::from_utf8_lossy(target.as_bytes())),
            Node::File(file) => {
                let bytes = report.staging.read(file).unwrap();
                // FNV-1a, as the attacker has it.
                let fold = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
                let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, fold);
                assert_eq!(bytes.len() as u64, file.size);
                format!("{} {} {sum:016x}", if file.executable { "x" } else { "f" }, bytes.len())
            }
        };
        all.insert(path.to_string(), text);
        Ok(())
    });
    done.unwrap_or_else(|never| match never {});
    all
}

/// What a walk through both finds that is only in `seen`, with the directories around it.
fn difference(seen: &Entries, lower: &Entries) -> Entries {
    let mut added = Entries::new();
    for (path, what) in seen.iter().filter(|(path, _)| !lower.contains_key(*path)) {
        added.insert(path.clone(), what.clone());
        for (at, _) in path.match_indices('/') {
            added.insert(path[..at].to_owned(), "d ".to_owned());
        }
    }
    added
}

/// Two layers that share directories.
fn layers(arena: &Arena) -> [(&'static str, TreeHash); 2] {
    let files: Vec<(String, String)> = (0..40)
        .map(|n| (format!("d{}/e{}/f{n}{}", n % 3, n % 5, if n % 7 == 0 { "*" } else { "" }), n.to_string()))
        .collect();
    let part = |rest: usize| {
        let files = files.iter().enumerate().filter(|(number, _)| number % 2 == rest);
        files.map(|(_, (path, text))| (path.as_str(), text.as_str())).collect::<Vec<_>>()
    };
    [("even", arena.world.tree(&part(0))), ("odd", arena.world.tree(&part(1)))]
}

/// Runs one sequence. Gives what the builder saw (if it came to its end) and the result.
fn run(arena: &Arena, seed: u64, operations: &str, whole: bool) -> Result<(Entries, Entries), Failure> {
    let mut request = arena.request(&["overlay", &seed.to_string(), operations]);
    let layers = layers(arena);
    let mut opt = overlay("/opt", &layers, Some("opt"));
    if let jtwbuild::request::Mount::Overlay { capture, .. } = &mut opt {
        *capture = Some(Capture { name: "opt".to_owned(), whole });
    }
    request.mounts.push(opt);
    let (result, log) = arena.run(&request);
    if let Err(Failure::BuilderExit { .. } | Failure::BuilderSignal { .. }) = result {
        panic!("seed {seed}: the sequence itself failed: {log}");
    }
    let report = result?;
    let Some(Node::File(list)) = report.captured["out"].get(&crate::world::path("list")).cloned() else {
        panic!("seed {seed}: no list");
    };
    let seen = parse(&String::from_utf8(report.staging.read(&list).unwrap()).unwrap());
    Ok((seen, entries(&report.captured["opt"], &report)))
}

/// The layers as a builder sees them that does nothing.
fn untouched(arena: &Arena) -> Entries {
    run(arena, 0, "0", true).unwrap().0
}

fn base_seed() -> u64 {
    let given = std::env::var("JTWBUILD_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| u64::from(std::process::id()) << 20)
}

fn sequences(settings: Settings, count: u64) {
    let Some(arena) = Arena::with(settings) else { return };
    let (base, lower) = (base_seed(), untouched(&arena));
    println!("seeds from {base} (JTWBUILD_SEED)");
    let mut refused = 0;
    for seed in base..base + count {
        // All that is there in the end, whatever was done.
        let (seen, got) = run(&arena, seed, &OPERATIONS.to_string(), true)
            .unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        assert_eq!(got, seen, "seed {seed}, whole");
        // Only what was added; whoever changes or removes something of the layers is refused.
        match run(&arena, seed, &(seed % 7).to_string(), false) {
            Ok((seen, got)) => {
                assert_eq!(got, difference(&seen, &lower), "seed {seed}, added");
                assert!(
                    lower.iter().all(|(path, what)| seen.get(path) == Some(what)),
                    "seed {seed}: a change was not seen"
                );
            }
            Err(Failure::BadOutput { path, .. }) => {
                refused += 1;
                assert!(!path.is_empty(), "seed {seed}");
                let (seen, _) = run(&arena, seed, &(seed % 7).to_string(), true).unwrap();
                assert!(
                    lower.iter().any(|(path, what)| seen.get(path) != Some(what)),
                    "seed {seed}: refused for nothing"
                );
            }
            Err(failure) => panic!("seed {seed}: {failure}"),
        }
        // Sequences that leave the layers as they are give exactly the difference.
        let (seen, got) = run(&arena, seed, &format!("g{OPERATIONS}"), false)
            .unwrap_or_else(|failure| panic!("seed {seed}, gentle: {failure}"));
        assert_eq!(got, difference(&seen, &lower), "seed {seed}, gentle");
    }
    println!("{} sequences, {refused} refused", 3 * count);
}

#[test]
fn captured_overlays_are_the_difference_that_a_walk_finds() {
    sequences(Settings::default(), SEQUENCES * rounds());
}

#[test]
fn captured_overlays_on_disk_are_the_same() {
    // No space in memory at all: every run is repeated on disk.
    sequences(Settings { scratch: 4096, ..Settings::default() }, 4 * rounds());
}
