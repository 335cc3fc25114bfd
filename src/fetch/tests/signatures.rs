//! Which signatures are believed.

use std::time::SystemTime;

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
    SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{KeyDetails, Password, Tag, Timestamp};

use super::super::signature::Keyring;
use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A throw-away key that signs by itself, with a second one below it that signs too.
pub fn key() -> SignedSecretKey {
    key_of(KeyType::Ed25519Legacy)
}

fn key_of(kind: KeyType) -> SignedSecretKey {
    let subkey =
        SubkeyParamsBuilder::default().key_type(KeyType::Ed25519Legacy).can_sign(true).build().unwrap();
    SecretKeyParamsBuilder::default()
        .key_type(kind)
        .can_certify(true)
        .can_sign(true)
        .primary_user_id("Test <test@example.org>".into())
        .subkey(subkey)
        .build()
        .unwrap()
        .generate(rand::thread_rng())
        .unwrap()
}

pub fn public(key: &SignedSecretKey) -> Vec<u8> {
    key.to_public_key().to_armored_bytes(ArmorOptions::default()).unwrap()
}

pub fn sign(text: &str, key: &SignedSecretKey) -> String {
    let message =
        CleartextSignedMessage::sign(rand::thread_rng(), text, &key.primary_key, &Password::empty()).unwrap();
    message.to_armored_string(ArmorOptions::default()).unwrap()
}

fn ring(keys: &[&SignedPublicKey]) -> Keyring {
    let mut ring = Keyring::default();
    for key in keys {
        assert_eq!(ring.add(&key.to_armored_bytes(ArmorOptions::default()).unwrap()).unwrap(), 1);
    }
    ring
}

fn later(days: u32) -> SystemTime {
    SystemTime::now() + DAY * days
}

fn refusal(ring: &Keyring, message: &str, now: SystemTime) -> String {
    ring.verify(message, now).expect_err("this must not be believed").to_string()
}

/// A self-signature of the key with these extra statements.
fn certify(key: &SignedSecretKey, kind: SignatureType, extra: Vec<SubpacketData>) -> pgp::packet::Signature {
    let mut config = SignatureConfig::v4(kind, key.primary_key.algorithm(), HashAlgorithm::Sha256);
    // Newer than the one that the key was made with.
    let now = Timestamp::from_secs(Timestamp::now().as_secs() + 5);
    let mut flags = KeyFlags::default();
    flags.set_sign(true);
    let basic = [
        SubpacketData::SignatureCreationTime(now),
        SubpacketData::IssuerFingerprint(key.fingerprint()),
        SubpacketData::KeyFlags(flags),
    ];
    config.hashed_subpackets =
        basic.into_iter().chain(extra).map(|data| Subpacket::regular(data).unwrap()).collect();
    let (primary, public, none) = (&key.primary_key, key.primary_key.public_key(), Password::empty());
    if kind == SignatureType::KeyRevocation {
        return config.sign_key(primary, &none, public).unwrap();
    }
    config.sign_certification(primary, public, &none, Tag::UserId, &key.details.users[0].id).unwrap()
}

#[test]
fn the_keys_that_come_with_the_program_can_be_read() {
    let mut ring = Keyring::embedded().unwrap();
    let again = include_bytes!("../../../recipes/keys/debian-trixie-automatic.asc");
    assert_eq!(ring.add(again).unwrap(), 0);
}

#[test]
fn a_signed_text_is_given_back_as_it_was() {
    let key = key();
    let text = "Suite: test\n- dashed\n-----\nfrom here\n";
    let verified = ring(&[&key.to_public_key()]).verify(&sign(text, &key), SystemTime::now()).unwrap();
    assert_eq!(verified.text, text);
    assert_eq!(verified.signer, key.fingerprint().to_string());
}

#[test]
fn a_signing_subkey_is_believed_and_one_that_is_not_bound_is_not() {
    let (key, other) = (key(), key());
    let signer = &key.secret_subkeys[0].key;
    let message =
        CleartextSignedMessage::sign(rand::thread_rng(), "text", signer, &Password::empty()).unwrap();
    let message = message.to_armored_string(ArmorOptions::default()).unwrap();
    ring(&[&key.to_public_key()]).verify(&message, SystemTime::now()).unwrap();
    let mut stolen = other.to_public_key();
    stolen.public_subkeys = key.to_public_key().public_subkeys;
    assert!(refusal(&ring(&[&stolen]), &message, SystemTime::now()).contains("not bound"));
}

#[test]
fn unsigned_unknown_and_changed_texts_are_refused() {
    let (key, other) = (key(), key());
    let (ours, theirs) = (ring(&[&key.to_public_key()]), ring(&[&other.to_public_key()]));
    let message = sign("Suite: test\nSHA256:\n abc\n", &key);
    let now = SystemTime::now();
    assert!(refusal(&ours, "Suite: test\n", now).contains("not a clear-signed"));
    assert!(refusal(&theirs, &message, now).contains("not trusted"));
    assert!(refusal(&Keyring::default(), &message, now).contains("not trusted"));
    assert!(refusal(&ours, &message.replace("abc", "abd"), now).contains("not what"));
    for outside in
        [format!("x\n{message}"), format!("{message}x\n"), message[..message.len() - 40].to_owned()]
    {
        refusal(&ours, &outside, now);
    }
}

#[test]
fn every_flipped_bit_of_a_signed_message_is_noticed() {
    let key = key();
    let ours = ring(&[&key.to_public_key()]);
    let message = sign("Suite: test\n", &key);
    let good = ours.verify(&message, SystemTime::now()).unwrap();
    for position in 0..message.len() {
        let mut bytes = message.clone().into_bytes();
        bytes[position] ^= 1 << (position % 7);
        let Ok(damaged) = String::from_utf8(bytes) else { continue };
        // Only what is not signed (armor headers, padding, checksum) may change without effect.
        if let Ok(verified) = ours.verify(&damaged, SystemTime::now()) {
            assert_eq!(verified, good, "{damaged}");
        }
    }
}

#[test]
fn signatures_with_weak_hashes_or_outside_their_time_are_refused() {
    // Of the kinds of keys only RSA signs weak hashes.
    let key = key_of(KeyType::Rsa(2048));
    let ours = ring(&[&key.to_public_key()]);
    let make = |hash, created: Timestamp, extra: Vec<SubpacketData>| {
        let mut config = SignatureConfig::v4(SignatureType::Text, key.primary_key.algorithm(), hash);
        let basic = [
            SubpacketData::SignatureCreationTime(created),
            SubpacketData::IssuerFingerprint(key.fingerprint()),
        ];
        config.hashed_subpackets =
            basic.into_iter().chain(extra).map(|data| Subpacket::regular(data).unwrap()).collect();
        let message =
            CleartextSignedMessage::new("text", config, &key.primary_key, &Password::empty()).unwrap();
        message.to_armored_string(ArmorOptions::default()).unwrap()
    };
    let now = SystemTime::now();
    let soon = Timestamp::now();
    ours.verify(&make(HashAlgorithm::Sha256, soon, vec![]), now).unwrap();
    assert!(refusal(&ours, &make(HashAlgorithm::Sha1, soon, vec![]), now).contains("too weak"));
    let future = Timestamp::from_secs(soon.as_secs() + 3 * 86_400);
    assert!(refusal(&ours, &make(HashAlgorithm::Sha256, future, vec![]), now).contains("future"));
    let short = SubpacketData::SignatureExpirationTime(pgp::types::Duration::from_secs(86_400));
    let short = make(HashAlgorithm::Sha256, soon, vec![short]);
    ours.verify(&short, now).unwrap();
    assert!(refusal(&ours, &short, later(2)).contains("expired"));
}

#[test]
fn expired_revoked_and_non_signing_keys_are_refused() {
    let key = key();
    let message = sign("text", &key);
    let mut public = key.to_public_key();
    let year = SubpacketData::KeyExpirationTime(pgp::types::Duration::from_secs(365 * 86_400));
    public.details.users[0].signatures.push(certify(&key, SignatureType::CertPositive, vec![year]));
    ring(&[&public]).verify(&message, later(360)).unwrap();
    assert!(refusal(&ring(&[&public]), &message, later(370)).contains("expired"));

    let mut revoked = key.to_public_key();
    revoked.details.revocation_signatures.push(certify(&key, SignatureType::KeyRevocation, vec![]));
    assert!(refusal(&ring(&[&revoked]), &message, SystemTime::now()).contains("revoked"));

    let mut bare = key.to_public_key();
    bare.details.users.clear();
    assert!(refusal(&ring(&[&bare]), &message, SystemTime::now()).contains("does not sign itself"));
}
