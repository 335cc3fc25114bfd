//! R74: the encoding of trees has one form for each tree and takes nothing else.

use std::sync::Arc;

use jtwbuild::store::tree::{BlobHash, File, LinkTarget, MAX_DEPTH, Name, Node, RelPath, Tree};

use super::random::{Random, rounds};

/// A tree with odd names, empty directories, links to anywhere and sizes at the edge.
pub fn random(random: &mut Random, depth: usize) -> Tree {
    let mut tree = Tree::default();
    for _ in 0..random.below(5) {
        let length = [1, 2, 3, 8, 255][random.below(5)];
        let name: Vec<u8> = (0..length).map(|_| random.byte()).collect();
        let Ok(name) = Name::new(&name) else { continue };
        let node = match random.below(if depth < 6 { 4 } else { 2 }) {
            0 => Node::File(File {
                blob: BlobHash::from_bytes([random.byte(); 32]),
                size: [0, 1, 4096, u64::MAX - 7, u64::MAX][random.below(5)],
                executable: random.once_in(2),
            }),
            1 => {
                let length = [1, 20, 4095][random.below(3)];
                let target: Vec<u8> = (0..length).map(|_| random.byte().max(1)).collect();
                Node::Link(LinkTarget::new(&target).unwrap())
            }
            _ => Node::Directory(Arc::new(self::random(random, depth + 1))),
        };
        let _ = tree.insert(&RelPath::default().join(name), node);
    }
    tree
}

#[test]
fn every_tree_is_read_again_as_it_was() {
    let mut numbers = Random::seeded("trees", 1);
    let mut hashes = std::collections::HashMap::new();
    for _ in 0..rounds(3000) {
        let tree = random(&mut numbers, 0);
        let bytes = tree.encode();
        assert_eq!(Tree::decode(&bytes).unwrap(), tree);
        // Two trees have one hash only if they are one tree.
        let known = hashes.entry(tree.hash()).or_insert_with(|| bytes.clone());
        assert_eq!(*known, bytes);
    }
    assert!(hashes.len() > 1000);
}

/// Kind, name and what follows.
fn entry(kind: u8, name: &[u8], rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap().to_le_bytes();
    [&[kind][..], &length, name, rest].concat()
}

fn plain(name: &[u8]) -> Vec<u8> {
    entry(b'f', name, &[7; 40])
}

fn target(text: &[u8]) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_le_bytes()[..], text].concat()
}

#[test]
fn nothing_but_the_one_form_is_taken() {
    let end = b".".to_vec();
    let whole = |parts: &[Vec<u8>]| parts.concat();
    assert!(Tree::decode(&whole(&[plain(b"a"), plain(b"b"), end.clone()])).is_ok());
    for (what, bytes, words) in [
        ("nothing", vec![], "too early"),
        ("out of order", whole(&[plain(b"b"), plain(b"a"), end.clone()]), "out of order"),
        ("twice", whole(&[plain(b"a"), plain(b"a"), end.clone()]), "out of order"),
        (
            "twice, as file and link",
            whole(&[plain(b"a"), entry(b'l', b"a", &target(b"t")), end.clone()]),
            "order",
        ),
        ("an unknown kind", whole(&[entry(b'z', b"a", &[7; 40]), end.clone()]), "unknown kind"),
        ("a device", whole(&[entry(b'c', b"a", &[7; 40]), end.clone()]), "unknown kind"),
        ("no end", plain(b"a"), "too early"),
        ("bytes after the end", whole(&[plain(b"a"), end.clone(), vec![0]]), "after the end"),
        ("two ends", whole(&[end.clone(), end.clone()]), "after the end"),
        ("no name", whole(&[plain(b""), end.clone()]), "may not be empty"),
        ("a dot", whole(&[plain(b"."), end.clone()]), "cannot be a file name"),
        ("two dots", whole(&[plain(b".."), end.clone()]), "cannot be a file name"),
        ("a slash", whole(&[plain(b"a/b"), end.clone()]), "slash or a NUL"),
        ("a NUL", whole(&[plain(b"a\0b"), end.clone()]), "slash or a NUL"),
        ("a long name", whole(&[plain(&[b'a'; 256]), end.clone()]), "longer than 255"),
        ("an empty target", whole(&[entry(b'l', b"a", &target(b"")), end.clone()]), "target of a link"),
        ("a NUL in a target", whole(&[entry(b'l', b"a", &target(b"x\0y")), end.clone()]), "target of a link"),
        (
            "a long target",
            whole(&[entry(b'l', b"a", &target(&[b't'; 4096])), end.clone()]),
            "target of a link",
        ),
        ("a length beyond the end", vec![b'f', 0xff, 0xff, b'a'], "too early"),
        ("a length of 2^64-8", [&b"f"[..], &(u64::MAX - 7).to_le_bytes()].concat(), "too early"),
        ("a directory without an end", whole(&[entry(b'd', b"a", b""), end.clone()]), "too early"),
        (
            "names out of order below",
            whole(&[entry(b'd', b"d", &[plain(b"b"), plain(b"a")].concat())]),
            "order",
        ),
    ] {
        let error = Tree::decode(&bytes).expect_err(what).to_string();
        assert!(error.contains(words), "{what}: {error}");
    }
    // A size of 2^64-8 is a number like any other: nothing is reserved for it.
    let size = [&(u64::MAX - 7).to_le_bytes()[..], &[7; 32]].concat();
    let tree = Tree::decode(&whole(&[entry(b'f', b"a", &size), end])).unwrap();
    assert_eq!(tree.files()[0].1.size, u64::MAX - 7);
}

#[test]
fn depth_is_bounded_before_the_stack_is() {
    let nested = |depth: usize| [entry(b'd', b"d", b"").repeat(depth), b".".repeat(depth + 1)].concat();
    let deepest = Tree::decode(&nested(MAX_DEPTH)).unwrap();
    assert_eq!(deepest.encode(), nested(MAX_DEPTH));
    for depth in [MAX_DEPTH + 1, 10_000, 1_000_000] {
        let error = Tree::decode(&nested(depth)).unwrap_err().to_string();
        assert!(error.contains("nest too deep"), "{error}");
    }
}
