//! Statements, each kind of bad one, and keys.

use std::collections::BTreeMap;

use super::challenge::Sayings;
use super::key::{PublicKey, SecretKey, SignatureError};
use super::trust::{Party, Trust};
use super::verify::{Against, Refusal, verify, verify_all};
use super::*;
use crate::store::statements::{Scope, Seen};

const NOW: u64 = 1_800_000_000;

struct World {
    _directory: tempfile::TempDir,
    alice: SecretKey,
    mallory: SecretKey,
    trust: Trust,
}

fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let alice = SecretKey::generate(&directory.path().join("alice.key"), None).unwrap();
    let mallory = SecretKey::generate(&directory.path().join("mallory.key"), None).unwrap();
    let party = Party { name: "alice".into(), key: alice.public().unwrap(), expires: Some(NOW + 1) };
    World { _directory: directory, alice, mallory, trust: Trust { parties: vec![party] } }
}

fn statement(made: u64, tree: u8) -> Statement {
    let claim = |number: u8| Claim {
        key: BuildKey::from_bytes([number; 32]),
        tree: TreeHash::from_bytes([tree; 32]),
        node: format!("node/{number}"),
    };
    Statement::new("alice", "demo", made, vec![claim(2), claim(1)])
}

fn against<'a>(world: &'a World, seen: &'a BTreeMap<Scope, Seen>) -> Against<'a> {
    Against { trust: &world.trust, seen, now: NOW, max_age_days: None }
}

#[test]
fn a_good_statement_is_accepted() {
    let world = world();
    let file = statement(NOW, 1).signed(&world.alice).unwrap();
    let verified = verify(file.as_bytes(), &against(&world, &BTreeMap::new())).unwrap();
    assert_eq!(verified.statement(), &statement(NOW, 1));
    assert_eq!(verified.party(), 0);
    let sayings = Sayings::of(&[verified.clone(), verified]);
    let said = sayings.said(&BuildKey::from_bytes([1; 32])).unwrap();
    assert_eq!(said.trees().map(|(_, parties)| parties.len()).collect::<Vec<_>>(), [1]);
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused() {
    let world = world();
    let file = statement(NOW, 1).signed(&world.alice).unwrap().into_bytes();
    let seen = BTreeMap::new();
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut bytes = file.clone();
            bytes[at] ^= 1 << bit;
            assert!(verify(&bytes, &against(&world, &seen)).is_err(), "bit {bit} of byte {at}");
        }
        assert!(verify(&file[..at], &against(&world, &seen)).is_err(), "{at}");
    }
    let longer = [file.as_slice(), b"\n"].concat();
    assert!(verify(&longer, &against(&world, &seen)).is_err());
    let crlf = String::from_utf8(file).unwrap().replace('\n', "\r\n");
    assert!(verify(crlf.as_bytes(), &against(&world, &seen)).is_err());
}

#[test]
fn lines_of_the_signature_of_other_lengths_are_refused() {
    let world = world();
    let file = statement(NOW, 1).signed(&world.alice).unwrap();
    let lines: Vec<&str> = file.lines().collect();
    for number in [1, 3] {
        for length in 0..lines[number].len() {
            let mut shorter = lines.clone();
            shorter[number] = &lines[number][..length];
            let text = shorter.join("\n") + "\n";
            let error = verify(text.as_bytes(), &against(&world, &BTreeMap::new())).unwrap_err();
            assert!(matches!(error, Refusal::Signature(SignatureError::NotOne)), "{error}");
        }
    }
}

#[test]
fn refusals_say_why() {
    let world = world();
    let none = BTreeMap::new();
    let good = against(&world, &none);
    let word = |file: &str, against: &Against<'_>| verify(file.as_bytes(), against).unwrap_err().word();
    let signed = |made| statement(made, 1).signed(&world.alice).unwrap();

    assert_eq!(word(&statement(NOW, 1).text(), &good), "unsigned");
    assert_eq!(word(&statement(NOW, 1).signed(&world.mallory).unwrap(), &good), "untrusted");
    assert_eq!(word(&signed(NOW), &Against { now: NOW + 1, ..good }), "expired");
    assert_eq!(word(&signed(NOW + 601), &good), "future");
    assert_eq!(word(&signed(NOW - 86_401), &Against { max_age_days: Some(1), ..good }), "old");
    let other = statement(NOW, 1).text().replace("node/1", "node/3");
    let moved = signed(NOW).lines().take(4).fold(String::new(), |text, line| text + line + "\n") + &other;
    assert_eq!(word(&moved, &good), "signature");
    // What the key has signed, and is no statement in its one form.
    for text in ["{}", "x", &statement(NOW, 1).text().replace("  ", " "), &(statement(NOW, 1).text() + " ")] {
        let file = format!("{}{text}", world.alice.sign(text.as_bytes()).unwrap());
        assert_eq!(word(&file, &good), "malformed", "{text}");
    }
    let double = statement(NOW, 1).text().replace("\"party\"", "\"party\": \"bob\",\n  \"party\"");
    let file = format!("{}{double}", world.alice.sign(double.as_bytes()).unwrap());
    assert_eq!(word(&file, &good), "malformed");
}

#[test]
fn an_older_statement_does_not_take_the_place_of_a_newer_one() {
    let world = world();
    let none = BTreeMap::new();
    let signed = |made, tree| statement(made, tree).signed(&world.alice).unwrap().into_bytes();
    let (old, new, same) = (signed(NOW - 9, 1), signed(NOW, 2), signed(NOW, 3));
    let accepted = verify(&new, &against(&world, &none)).unwrap();
    let seen = BTreeMap::from([accepted.to_remember()]);
    let word = |file: &[u8]| verify(file, &against(&world, &seen)).map_err(|refusal| refusal.word());
    assert!(word(&new).is_ok());
    assert_eq!(word(&old).unwrap_err(), "replayed");
    assert_eq!(word(&same).unwrap_err(), "replayed");
    // Beside each other, in any order.
    for files in [[old.clone(), new.clone()], [new.clone(), old.clone()]] {
        let results = verify_all(&files, &against(&world, &none));
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert!(results.iter().flatten().all(|verified| verified.statement().made == NOW));
    }
    let results = verify_all(&[new.clone(), same], &against(&world, &none));
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    // Another universe is another matter.
    let other = Statement::new("alice", "other", NOW - 9, vec![]).signed(&world.alice).unwrap();
    assert!(verify(other.as_bytes(), &against(&world, &seen)).is_ok());
}

#[test]
fn a_draft_is_signed_only_in_its_one_form() {
    let world = world();
    let draft = statement(NOW, 1).text();
    let file = sign_draft(&draft, &world.alice).unwrap();
    assert!(verify(file.as_bytes(), &against(&world, &BTreeMap::new())).is_ok());
    assert!(matches!(sign_draft(&file, &world.alice), Err(DraftError::Malformed(_))));
    assert!(matches!(sign_draft(&draft[1..], &world.alice), Err(DraftError::Malformed(_))));
}

#[test]
fn keys_are_files_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let key = SecretKey::generate(&path, None).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert!(matches!(SecretKey::generate(&path, None), Err(KeyError::Exists { .. })));
    assert_eq!(SecretKey::read(&path).unwrap().public().unwrap(), key.public().unwrap());
    for mode in [0o640, 0o604, 0o660, 0o666, 0o610, 0o777] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(SecretKey::read(&path), Err(KeyError::Exposed { .. })), "{mode:o}");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    assert!(SecretKey::read(&path).is_ok());
    let other = directory.path().join("other");
    for text in [b"".as_slice(), b"x\ny\n", &[0xff; 100], &[b'x'; 5000]] {
        std::fs::write(&other, text).unwrap();
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
        let error = SecretKey::read(&other).err().unwrap();
        assert!(matches!(error, KeyError::NotOne { .. }), "{error}");
    }
    assert!(PublicKey::from_text(&(key.public().unwrap().text() + " ")).is_none());
}
