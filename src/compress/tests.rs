//! What has variants, and that they are what they claim to be.

use std::io::Read;

use super::*;
use crate::jtw::fixture::Fixture;

const SETTINGS: Settings = Settings { brotli: 9, gzip: 9, smallest: 1024, saves: 10 };

fn text(lines: usize) -> String {
    (0..lines).map(|line| format!("let value_{line} = {};;\n", line * line)).collect()
}

fn made(fixture: &Fixture, files: &[(&str, &str)]) -> Tree {
    let tree = fixture.tree(files);
    variants(&tree, &["skipped.json"], &SETTINGS, &fixture.staging, &AtomicBool::new(false)).unwrap()
}

fn bytes(fixture: &Fixture, tree: &Tree, at: &str) -> Vec<u8> {
    let Some(Node::File(file)) = tree.get(&RelPath::parse(at).unwrap()) else { panic!("no {at}") };
    fixture.staging.read(file).unwrap()
}

#[test]
fn variants_unpack_to_their_files() {
    let fixture = Fixture::new();
    let text = text(5000);
    let variants = made(&fixture, &[("a/worker.js", &text), ("a/META", &text)]);
    assert_eq!(Fixture::listing(&variants), ["a/META.br", "a/META.gz", "a/worker.js.br", "a/worker.js.gz"]);
    let mut unpacked = Vec::new();
    let coded = bytes(&fixture, &variants, "a/worker.js.br");
    brotli::Decompressor::new(&coded[..], 4096).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, text.as_bytes());
    let coded = bytes(&fixture, &variants, "a/worker.js.gz");
    assert!(coded.len() < text.len() / 2);
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&coded[..]).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, text);
    assert_eq!(coded[4..8], [0; 4], "no time");
    assert_eq!(coded[3], 0, "no name");
}

#[test]
fn there_is_a_variant_only_where_it_pays() {
    let fixture = Fixture::new();
    let text = text(500);
    let variants = made(
        &fixture,
        &[
            ("packed.png", &text),
            ("plain", &text),
            ("a.js.gz", &text),
            ("skipped.json", &text),
            ("small.json", "{\"x\":           1}"),
            ("threshold.css", &text[..1024]),
            ("below.css", &text[..1023]),
            ("taken.js", &text),
            ("taken.js.br", "x"),
        ],
    );
    assert_eq!(Fixture::listing(&variants), ["taken.js.gz", "threshold.css.br", "threshold.css.gz"]);
}

#[test]
fn a_small_saving_is_not_worth_a_file() {
    let fixture = Fixture::new();
    let text = text(500);
    let tree = fixture.tree(&[("a.js", &text)]);
    let all = Settings { saves: 99, ..SETTINGS };
    let variants = variants(&tree, &[], &all, &fixture.staging, &AtomicBool::new(false)).unwrap();
    assert!(variants.is_empty());
}

/// If this fails, an encoder makes other bytes of the same input: raise the revision of the nodes
/// that compress, and say why under **Keys** in the changelog.
#[test]
fn variants_are_the_same_bytes_every_time() {
    let fixture = Fixture::new();
    let text = text(20_000);
    let one = made(&fixture, &[("a.js", &text), ("b.cmi", &text[..100_000])]);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let two = pool.install(|| made(&fixture, &[("a.js", &text), ("b.cmi", &text[..100_000])]));
    assert_eq!(one, two);
    insta::assert_snapshot!(one.hash().to_string());
}

#[test]
fn a_run_that_is_ended_ends() {
    let fixture = Fixture::new();
    let tree = fixture.tree(&[("a.js", &text(500))]);
    let stopped = variants(&tree, &[], &SETTINGS, &fixture.staging, &AtomicBool::new(true));
    assert!(matches!(stopped, Err(CompressError::Cancelled)));
}

#[test]
fn names_of_variants_lead_to_their_files() {
    assert_eq!(original(b"worker.js.br"), Some(&b"worker.js"[..]));
    assert_eq!(original(b"worker.js.gz"), Some(&b"worker.js"[..]));
    assert_eq!(original(b"worker.js"), None);
}
