//! What has a binary form: archives, trees, caches.

use jtwbuild::derivation::Input;
use jtwbuild::fetch::archive::Limits;
use jtwbuild::fetch::deb::unpack_deb;
use jtwbuild::fetch::selection::Selection;
use jtwbuild::memo::table::Table;
use jtwbuild::outcome::Failure;
use jtwbuild::store::facts::{Fact, Facts};
use jtwbuild::store::key::{BuildKey, PlanKey};
use jtwbuild::store::tree::{Tree, TreeHash};

use super::super::archives::{COMPRESSIONS, compressed};
use super::super::random::Random;
use super::super::scene::Scene;
use super::super::tar::{Tar, directory, file, link, program};
use super::super::{differential, trees};
use super::{Target, fuzz};

/// A tree that was made must be one that can be kept.
fn keeps(tree: &Tree) -> String {
    let bytes = tree.encode();
    let again = Tree::decode(&bytes).expect("a tree can be read again");
    assert_eq!(again, *tree);
    assert_eq!(again.hash(), tree.hash());
    format!("taken: {} entries", if tree.len() > 3 { "many" } else { "few" })
}

fn small() -> Limits {
    Limits { members: 2000, bytes: 4 << 20, ratio: 200, always: 1 << 20 }
}

#[test]
fn tar_archives() {
    let scene = Scene::new();
    let originals = differential::originals();
    fuzz(Target {
        name: "tar",
        usual: 2000,
        seeds: originals.clone(),
        words: &[],
        special: Some(&|input, random| {
            // Another archive, or this one with others.
            let mut pool = originals[..8].to_vec();
            pool.push(std::mem::take(input));
            *input = differential::mutate(&pool, random);
        }),
        run: &mut |input| match scene.unpack(input, &small()) {
            Ok((_, tree)) => keeps(&tree),
            Err(reason) => reason,
        },
    });
}

#[test]
fn compressed_archives() {
    let scene = Scene::new();
    let entries = [directory("d/"), file("d/f", vec![b'x'; 2000]), link("d/l", "f"), program("d/p", "#!")];
    let tar = Tar::of(&entries).end();
    let plain = scene.unpack(&tar, &small()).unwrap().1;
    let seeds: Vec<_> = COMPRESSIONS.iter().map(|kind| compressed(kind, &tar)).collect();
    fuzz(Target {
        name: "compressed",
        usual: 2000,
        seeds,
        words: &[b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"],
        special: None,
        run: &mut |input| match scene.unpack(input, &small()) {
            // A changed time or name in a gzip header changes nothing. zstd has no checksum here.
            Ok((_, tree)) => keeps(&tree) + if tree == plain { "" } else { " other" },
            Err(reason) => reason,
        },
    });
}

/// An `ar` archive.
pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, body) in members {
        let head = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, body.len());
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(body);
        if body.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

#[test]
fn debian_packages() {
    let scene = Scene::new();
    let entries = [directory("./"), directory("./usr/"), file("./usr/f", "1"), program("./bin/sh", "#!")];
    let data = Tar::of(&entries).end();
    let deb =
        |name: &str, data: &[u8]| ar(&[("debian-binary", b"2.0\n"), ("control.tar.xz", b"x"), (name, data)]);
    let seeds = vec![
        deb("data.tar", &data),
        deb("data.tar.zst", &compressed("zst", &data)),
        deb("data.tar.xz", &compressed("xz", &data)),
        deb("data.tar.gz", &compressed("gz", &data)),
        ar(&[("debian-binary/", b"2.0\n"), ("control.tar/", b"x"), ("data.tar/", &data)]),
    ];
    fuzz(Target {
        name: "deb",
        usual: 2000,
        seeds,
        words: &[
            b"debian-binary   ",
            b"control.tar.xz  ",
            b"data.tar        ",
            b"`\n",
            b"2.0\n",
            b"!<arch>\n",
        ],
        special: None,
        run: &mut |input| {
            let path = scene.write("x.deb", input);
            match unpack_deb("x", &path, &scene.staging(), &Selection::default()) {
                Ok(tree) => keeps(&tree),
                Err(Failure::BadInput { reason, .. }) => reason,
                Err(other) => panic!("not the package's fault: {other}"),
            }
        },
    });
}

#[test]
fn encoded_trees() {
    let mut random = Random::new(3);
    let seeds: Vec<_> = (0..40).map(|_| trees::random(&mut random, 0).encode()).collect();
    fuzz(Target {
        name: "tree",
        usual: 20_000,
        seeds,
        words: &[
            b"f",
            b"x",
            b"l",
            b"d",
            b".",
            b"\0\0",
            b"\x01\0a",
            b"\xff\xff",
            b"\xf8\xff\xff\xff\xff\xff\xff\xff",
        ],
        special: None,
        run: &mut |input| match Tree::decode(input) {
            Ok(tree) => {
                assert_eq!(tree.encode(), input, "only one encoding is accepted");
                "taken".into()
            }
            Err(error) => error.to_string(),
        },
    });
}

#[test]
fn facts() {
    let scene = Scene::new();
    let path = scene.path("facts");
    let known = |byte: u8| {
        let fact =
            Fact { build: BuildKey::from_bytes([byte; 32]), tree: TreeHash::from_bytes([byte ^ 0xff; 32]) };
        (PlanKey::from_bytes([byte; 32]), fact)
    };
    let facts = Facts::load(&path);
    for byte in 0..8 {
        let (plan, fact) = known(byte);
        facts.remember(&plan, fact).unwrap();
    }
    drop(facts);
    let seeds =
        vec![std::fs::read(&path).unwrap(), b"jtwbuild facts 1".to_vec(), b"jtwbuild facts 2".to_vec()];
    fuzz(Target {
        name: "facts",
        usual: 1500,
        seeds,
        words: &[b"jtwbuild facts 1"],
        special: None,
        run: &mut |input| {
            std::fs::write(&path, input).unwrap();
            let facts = Facts::load(&path);
            let mut found = 0;
            for byte in 0..8 {
                let (plan, fact) = known(byte);
                // Its checksum is against torn writes: what it gives is right, or nothing.
                let got = facts.planned(&plan);
                assert!(got.is_none() || got == Some(fact), "{got:?}");
                found += usize::from(got.is_some()) + usize::from(facts.built(&fact.build).is_some());
            }
            let (plan, fact) = known(99);
            facts.remember(&plan, fact).unwrap();
            drop(facts);
            assert_eq!(Facts::load(&path).planned(&plan), Some(fact), "new facts are kept");
            format!(
                "found {}",
                ["nothing", "something", "all"][usize::from(found > 0) + usize::from(found == 16)]
            )
        },
    });
}

#[test]
fn tables_of_plans() {
    fuzz(Target {
        name: "table",
        usual: 8000,
        seeds: vec![table(0, 0, 0, ""), table(1, 0, 0, "a"), table(3, 4, 1, "abcdef")],
        words: &[b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x80"],
        special: Some(&|input, random| {
            let mut body = input[..input.len().saturating_sub(16)].to_vec();
            let pool = [body.clone()];
            super::mutate::mutate(&mut body, &pool, &[b"\0\0\0\x80", b"\x01\0\0\0"], random);
            *input = sealed(body);
        }),
        run: &mut |input| {
            let Some(table) = Table::read(input.to_vec()) else { return "no table".into() };
            // Whatever is asked of it is there.
            for node in 0..table.len() {
                let _ = (table.kind(node), table.name(node).len(), table.plan_key(node), table.result(node));
                for input in table.inputs(node) {
                    if let Input::Node(id) = input {
                        assert!(id.index() < node);
                    }
                }
            }
            format!("{} nodes", if table.is_empty() { "no" } else { "some" })
        },
    });
}

fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let check = blake3::hash(&body);
    body.extend_from_slice(&check.as_bytes()[..16]);
    body
}

/// A table with `nodes` nodes, whose names share `names` and whose last has all inputs.
fn table(nodes: usize, inputs: usize, given: usize, names: &str) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let mut body = b"jtwbuild table 1".to_vec();
    [nodes, inputs, given].iter().for_each(|count| body.extend(number(*count)));
    for node in 0..nodes {
        let last = node + 1 == nodes;
        body.extend([u8::try_from(node % 7).unwrap(), 3, 0, 0]);
        body.extend(number(names.len() * (node + 1) / nodes));
        body.extend(number(if last { inputs } else { 0 }));
        body.extend(number(10));
        body.extend([0; 16]);
        body.extend([7; 96]);
    }
    for input in 0..inputs {
        body.extend(if input < given {
            (1_u32 << 31).to_le_bytes()
        } else {
            number(input % nodes.max(2) / 2)
        });
    }
    body.extend(vec![9; 32 * given]);
    body.extend(names.as_bytes());
    sealed(body)
}
