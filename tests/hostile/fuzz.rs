//! A bounded fuzz loop: the corpus first, then mutations of it.
//!
//! An input that comes to something new (another kind of answer) joins the inputs that are mutated,
//! as coverage would have it in a larger fuzzer. A target panics when a property does not hold; the
//! input is kept then, and belongs into `tests/fuzz/corpus/<target>/` once its cause is mended.

mod bytes;
mod documents;
mod explanations;
mod interfaces;
mod mutate;
mod opam;
mod packages;
mod requests;
mod statements;

use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::random::{Random, rounds};
use super::scene::keep;

/// No input takes longer, even on a busy machine and in a debug build.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many inputs are mutated at most, and none grows larger.
const POOL: usize = 2000;
pub const LARGEST: usize = 1 << 16;

/// One thing that is fuzzed.
pub struct Target<'a> {
    pub name: &'static str,
    /// Executions of a usual run.
    pub usual: usize,
    /// Inputs to begin with, besides the corpus.
    pub seeds: Vec<Vec<u8>>,
    /// Words that mean something in this format.
    pub words: &'a [&'a [u8]],
    /// Changes that keep what a blind change would break.
    pub special: Option<&'a dyn Fn(&mut Vec<u8>, &mut Random)>,
    /// Reads an input and panics if a property does not hold. What it gives tells kinds of outcome
    /// apart.
    pub run: &'a mut dyn FnMut(&[u8]) -> String,
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// An outcome without numbers and quoted parts: messages of one kind are one.
fn kind(outcome: &str) -> String {
    let parts = outcome.split(['`', '"', '\'']).step_by(2).collect::<String>();
    parts.chars().filter(|one| !one.is_ascii_digit()).take(160).collect()
}

/// Runs a target: the corpus, then as many mutations as are usual.
pub fn fuzz(target: Target<'_>) {
    let Target { name, usual, seeds, words, special, run } = target;
    let failed = format!("fuzz-{name}");
    // What runs now is on the disk when it does not end, or ends the process.
    let (begun, watched) = channel::<Option<Vec<u8>>>();
    let place = failed.clone();
    let watch = std::thread::spawn(move || {
        let mut current = None;
        loop {
            match watched.recv_timeout(PATIENCE) {
                Ok(next) => current = next,
                Err(RecvTimeoutError::Timeout) if current.is_some() => {
                    let kept = keep(&place, &current.unwrap_or_default());
                    eprintln!("{name}: an input does not end; it is in {}", kept.display());
                    std::process::abort();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
    let mut slowest = Duration::ZERO;
    let mut try_one = |input: &[u8], what: &dyn Fn() -> String| -> String {
        let _ = begun.send(Some(input.to_vec()));
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| run(input)));
        slowest = slowest.max(start.elapsed());
        let _ = begun.send(None);
        outcome.unwrap_or_else(|_| {
            panic!("{name}: {} fails; it is in {}", what(), keep(&failed, input).display())
        })
    };

    if let Some(path) = std::env::var_os("JTWBUILD_FUZZ_INPUT") {
        let outcome = try_one(&fs::read(path).unwrap(), &|| "the given input".into());
        eprintln!("{name}: {outcome}");
        return;
    }
    let mut random = Random::seeded(name, 1);
    let mut kinds = HashSet::new();
    let mut pool = corpus(name);
    pool.extend(seeds);
    assert!(!pool.is_empty(), "{name} has nothing to begin with");
    for (index, input) in pool.iter().enumerate() {
        kinds.insert(kind(&try_one(input, &|| format!("input {index} of the corpus"))));
    }
    let all = rounds(usual);
    for round in 0..all {
        let mut input = pool[random.below(pool.len())].clone();
        match special {
            Some(special) if random.once_in(2) => special(&mut input, &mut random),
            _ => mutate::mutate(&mut input, &pool, words, &mut random),
        }
        let outcome = try_one(&input, &|| format!("round {round}"));
        if kinds.insert(kind(&outcome)) && pool.len() < POOL {
            pool.push(input);
        }
    }
    drop(begun);
    watch.join().unwrap();
    let slowest = slowest.as_millis();
    eprintln!("{name}: {all} executions, {} kinds of outcome, the slowest took {slowest} ms", kinds.len());
}

#[test]
fn the_loop_finds_a_planted_fault_and_keeps_the_input() {
    let failed = catch_unwind(|| {
        fuzz(Target {
            name: "planted",
            usual: 200_000,
            seeds: vec![b"begin end".to_vec()],
            words: &[b"fault"],
            special: None,
            run: &mut |input| {
                let text = String::from_utf8_lossy(input);
                assert!(!(text.contains("fault") && text.ends_with("end")), "here it is");
                String::new()
            },
        });
    });
    let said = failed.expect_err("it was found");
    let said = said.downcast_ref::<String>().expect("a message");
    let (_, kept) = said.split_once("it is in ").expect("the message says where");
    assert!(String::from_utf8_lossy(&fs::read(kept).unwrap()).contains("fault"));
}
