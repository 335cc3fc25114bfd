//! Protected keys, with minisign's library for the other side.

use std::os::unix::fs::PermissionsExt;

use ct_codecs::{Base64, Encoder};
use minisign::{KeyPair, SecretKeyBox};

use super::*;
use crate::statement::key::KeyFile;

/// So cheap that it protects nothing: for tests alone.
const CHEAP: Costs = Costs { work: 1 << 15, memory: 1 << 14 };

fn passphrase(text: &str) -> Passphrase {
    Passphrase::from_line(text.as_bytes()).unwrap()
}

/// A key, and its bytes under a passphrase.
fn key(text: &str, costs: Costs) -> (KeyPair, Vec<u8>) {
    let pair = KeyPair::generate_unencrypted_keypair().unwrap();
    let mut bytes = pair.sk.to_bytes();
    bytes[MASK_ALGORITHM].copy_from_slice(SCRYPT);
    bytes[SALT].copy_from_slice(b"salt of the tests, for all alike");
    bytes[WORK].copy_from_slice(&costs.work.to_le_bytes());
    bytes[MEMORY].copy_from_slice(&costs.memory.to_le_bytes());
    mask(&mut bytes, &passphrase(text), Path::new("key")).unwrap();
    (pair, bytes)
}

fn text(bytes: &[u8]) -> String {
    format!("untrusted comment: x\n{}\n", Base64::encode_to_string(bytes).unwrap())
}

/// Reads it as a key file.
fn read(text: &str) -> Result<KeyFile, KeyError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    KeyFile::read(&path)
}

fn unlocked(text: &str, with: &str) -> Result<SecretKey, KeyError> {
    match read(text)? {
        KeyFile::Protected(key) => key.unlock(&passphrase(with)),
        KeyFile::Open(_) => panic!("it is not protected"),
    }
}

#[test]
fn a_key_of_the_library_opens_with_its_passphrase_alone() {
    let pair = KeyPair::generate_encrypted_keypair(Some("open sesame".to_owned())).unwrap();
    let text = pair.sk.to_box(None).unwrap().into_string();
    let key = unlocked(&text, "open sesame").unwrap();
    assert_eq!(key.public().unwrap().text(), pair.pk.to_base64());
    for wrong in ["", "open sesame ", "Open sesame"] {
        let error = unlocked(&text, wrong).err().unwrap();
        assert!(matches!(error, KeyError::WrongPassphrase { .. }), "{error}");
    }
}

#[test]
fn whatever_the_costs_the_library_makes_the_same_of_them() {
    for (work, memory) in
        [(0, 0), (1 << 15, 1 << 20), (1 << 18, 1 << 14), (1 << 16, 1 << 24), (300_000, 1 << 23)]
    {
        let (pair, bytes) = key("open sesame", Costs { work, memory });
        let opened =
            SecretKeyBox::from(text(&bytes)).into_secret_key(Some("open sesame".to_owned())).unwrap();
        assert!(opened == pair.sk, "{work} {memory}");
    }
    // What minisign takes, what it takes where that is not to be had, and what the library takes.
    let parameters = |work, memory| Costs { work, memory }.parameters();
    assert_eq!(parameters(COSTS.work, COSTS.memory), (20, 1));
    assert_eq!(parameters(COSTS.work / 2, COSTS.memory / 2), (19, 1));
    assert_eq!(parameters(1 << 20, 1 << 25), (15, 1));
}

#[test]
fn no_key_takes_more_than_a_little_over_one_gibibyte() {
    for work in 0..=25 {
        for memory in 0..=30 {
            let costs = Costs { work: 1 << work, memory: 1 << memory };
            assert!(costs.bytes() < 1100 << 20, "2^{work}, 2^{memory}: {}", costs.bytes());
        }
    }
    let (_, bytes) = key("open sesame", CHEAP);
    for (at, most) in [(WORK, COSTS.work), (MEMORY, COSTS.memory)] {
        for value in [most + 1, 1 << 40, u64::MAX] {
            let mut hostile = bytes.clone();
            hostile[at.clone()].copy_from_slice(&value.to_le_bytes());
            let error = unlocked(&text(&hostile), "open sesame").err().unwrap();
            assert!(matches!(error, KeyError::Excessive { .. }), "{value}: {error}");
        }
    }
}

#[test]
fn a_protected_key_that_is_damaged_does_not_open() {
    let (_, bytes) = key("open sesame", CHEAP);
    assert!(unlocked(&text(&bytes), "open sesame").is_ok());
    // Other costs are another mask, and some would take long.
    for at in (0..LENGTH).filter(|at| !WORK.contains(at) && !MEMORY.contains(at)) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let error = unlocked(&text(&damaged), "open sesame").err().unwrap();
        let is_wrong = matches!(error, KeyError::WrongPassphrase { .. });
        let is_none = matches!(error, KeyError::NotOne { .. });
        assert!(if at < SALT.start { is_none } else { is_wrong }, "{at}: {error}");
    }
    for length in [0, 54, LENGTH - 1] {
        assert!(matches!(read(&text(&bytes[..length])), Err(KeyError::NotOne { .. })), "{length}");
    }
}
