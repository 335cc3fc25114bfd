//! `OpenPGP`: whether a clear-signed text was signed by a key that we trust.

use std::io::Cursor;
use std::time::{Duration, SystemTime};

use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Tag, VerifyingKey};
use thiserror::Error;

/// Keys of the Debian archive, so that a host without them can still verify. Exported from the
/// package `debian-archive-keyring` with `gpg --export-options export-minimal`.
const EMBEDDED: [&str; 4] = [
    include_str!("../../recipes/keys/debian-bookworm-automatic.asc"),
    include_str!("../../recipes/keys/debian-bookworm-stable.asc"),
    include_str!("../../recipes/keys/debian-trixie-automatic.asc"),
    include_str!("../../recipes/keys/debian-trixie-stable.asc"),
];

/// Clocks of signers may be ahead of ours by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3600);

/// Signatures of one text that are looked at: checking takes time, and nobody has more keys.
const MAX_SIGNATURES: usize = 32;

/// Why a text is not taken as signed.
#[derive(Debug, Error)]
pub enum SignatureError {
    #[error("it is not a clear-signed OpenPGP message")]
    NotSigned(#[source] Box<pgp::errors::Error>),
    #[error("none of its signatures is good: {}", .0.join("; "))]
    NoneGood(Vec<String>),
    #[error("a keyring cannot be read")]
    Keyring(#[source] Box<pgp::errors::Error>),
}

/// Public keys that are trusted.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    keys: Vec<SignedPublicKey>,
}

/// A text with a good signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The signed text and nothing else, lines ended by `\n`.
    pub text: String,
    /// Fingerprint of the key that signed it.
    pub signer: String,
}

impl Keyring {
    /// The Debian archive keys that come with the program.
    pub fn embedded() -> Result<Self, SignatureError> {
        let mut keyring = Self::default();
        for armored in EMBEDDED {
            keyring.add(armored.as_bytes())?;
        }
        Ok(keyring)
    }

    /// Trusts the keys of a keyring, armored or binary. Keys of kinds that we cannot read are left
    /// out; the number of those added is returned.
    pub fn add(&mut self, bytes: &[u8]) -> Result<usize, SignatureError> {
        let keyring = |error| SignatureError::Keyring(Box::new(error));
        let keys = if bytes.starts_with(b"-----") {
            SignedPublicKey::from_armor_many(Cursor::new(bytes)).map_err(keyring)?.0
        } else {
            SignedPublicKey::from_bytes_many(Cursor::new(bytes)).map_err(keyring)?
        };
        let before = self.keys.len();
        for key in keys.flatten() {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
        Ok(self.keys.len() - before)
    }

    /// Verifies a clear-signed message: one signature by a trusted key that is valid `now` is
    /// enough, as signers change and sign with the old and the new key for a while.
    pub fn verify(&self, message: &str, now: SystemTime) -> Result<Verified, SignatureError> {
        let (message, _) = CleartextSignedMessage::from_string(message)
            .map_err(|error| SignatureError::NotSigned(Box::new(error)))?;
        let text = message.signed_text();
        let mut reasons = Vec::new();
        for signature in message.signatures().iter().take(MAX_SIGNATURES) {
            match self.check(signature, text.as_bytes(), now) {
                Ok(signer) => return Ok(Verified { text: text.replace("\r\n", "\n"), signer }),
                Err(reason) => reasons.push(reason),
            }
        }
        if reasons.is_empty() {
            reasons.push("there is none".into());
        }
        Err(SignatureError::NoneGood(reasons))
    }

    /// Checks one signature; gives the signer's fingerprint or why it is not good.
    fn check(&self, signature: &Signature, text: &[u8], now: SystemTime) -> Result<String, String> {
        if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
            return Err("it is not a signature of a document".into());
        }
        strong(signature)?;
        let created = created(signature)?;
        if created > now + CLOCK_SKEW {
            return Err("it was made in the future".into());
        }
        if ended(created, signature.signature_expiration_time(), now) {
            return Err("it has expired".into());
        }
        let mut reason = format!("it was made by a key that is not trusted ({})", issuer(signature));
        for key in &self.keys {
            let primary = &key.primary_key;
            let subkeys = key.public_subkeys.iter().map(|subkey| &subkey.key);
            if made_by(signature, primary) {
                match signature.verify(primary, text) {
                    Ok(()) => match usable(key, created, now).and_then(|self_signature| {
                        may_sign(self_signature).then_some(()).ok_or_else(|| "that key may not sign".into())
                    }) {
                        Ok(()) => return Ok(primary.fingerprint().to_string()),
                        Err(why) => reason = why,
                    },
                    Err(_) => reason = format!("the text is not what {} signed", primary.fingerprint()),
                }
            }
            for (index, subkey) in subkeys.enumerate().filter(|(_, subkey)| made_by(signature, *subkey)) {
                match signature.verify(subkey, text) {
                    Ok(()) => match usable(key, created, now).and_then(|_| bound(key, index, created, now)) {
                        Ok(()) => return Ok(primary.fingerprint().to_string()),
                        Err(why) => reason = why,
                    },
                    Err(_) => reason = format!("the text is not what {} signed", subkey.fingerprint()),
                }
            }
        }
        Err(reason)
    }
}

fn issuer(signature: &Signature) -> String {
    let prints = signature.issuer_fingerprint();
    let print = prints.first().map(ToString::to_string);
    print
        .or_else(|| signature.issuer_key_id().first().map(ToString::to_string))
        .unwrap_or_else(|| "unnamed".into())
}

/// Whether the signature names this key as its issuer, or none at all.
fn made_by(signature: &Signature, key: &impl VerifyingKey) -> bool {
    let (ids, prints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
    ids.is_empty() && prints.is_empty()
        || ids.iter().any(|id| **id == key.legacy_key_id())
        || prints.iter().any(|print| **print == key.fingerprint())
}

/// Refuses hashes for which collisions can be made.
fn strong(signature: &Signature) -> Result<(), String> {
    match signature.hash_alg() {
        Some(
            HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512,
        ) => Ok(()),
        Some(other) => Err(format!("its hash {other} is too weak")),
        None => Err("it is of an unknown version".into()),
    }
}

fn created(signature: &Signature) -> Result<SystemTime, String> {
    signature.created().map(SystemTime::from).ok_or_else(|| "it has no date".into())
}

/// Whether something made at `start` that lasts `length` (0 or none: for ever) has ended.
fn ended(start: SystemTime, length: Option<pgp::types::Duration>, now: SystemTime) -> bool {
    let length = length.map(Duration::from).filter(|length| !length.is_zero());
    length.is_some_and(|length| start + length <= now)
}

/// The newest valid self-signature of a key that is neither revoked nor expired, and was there when
/// the signature of the text was made.
fn usable(key: &SignedPublicKey, signed: SystemTime, now: SystemTime) -> Result<&Signature, String> {
    let (primary, print) = (&key.primary_key, key.primary_key.fingerprint());
    let revoked = |signature: &&Signature| {
        signature.typ() == Some(SignatureType::KeyRevocation) && signature.verify_key(primary).is_ok()
    };
    let details = &key.details;
    if details.revocation_signatures.iter().chain(&details.direct_signatures).any(|one| revoked(&one)) {
        return Err(format!("the key {print} is revoked"));
    }
    let of_users = details.users.iter().flat_map(|user| {
        let good = |one: &&Signature| {
            one.is_certification() && one.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        };
        user.signatures.iter().filter(good)
    });
    let newest = of_users.filter(|one| strong(one).is_ok()).max_by_key(|one| one.created());
    let newest = newest.ok_or_else(|| format!("the key {print} does not sign itself"))?;
    let born = SystemTime::from(primary.created_at());
    if born > signed + CLOCK_SKEW || ended(born, newest.key_expiration_time(), now) {
        return Err(format!("the key {print} has expired or was not valid yet"));
    }
    Ok(newest)
}

fn may_sign(self_signature: &Signature) -> bool {
    self_signature.key_flags().sign()
}

/// Whether a subkey belongs to its key, may sign, and is neither revoked nor expired.
fn bound(key: &SignedPublicKey, index: usize, signed: SystemTime, now: SystemTime) -> Result<(), String> {
    let (primary, subkey) = (&key.primary_key, &key.public_subkeys[index]);
    let print = subkey.key.fingerprint();
    let valid = |one: &&Signature| one.verify_subkey_binding(primary, &subkey.key).is_ok();
    let is = |one: &&Signature, kind| one.typ() == Some(kind);
    let of = |kind| subkey.signatures.iter().filter(move |one| is(one, kind)).filter(valid);
    if of(SignatureType::SubkeyRevocation).next().is_some() {
        return Err(format!("the key {print} is revoked"));
    }
    let newest =
        of(SignatureType::SubkeyBinding).filter(|one| strong(one).is_ok()).max_by_key(|one| one.created());
    let newest = newest.ok_or_else(|| format!("the key {print} is not bound to its owner"))?;
    let back = newest.embedded_signature();
    if !may_sign(newest)
        || back.is_none_or(|back| back.verify_primary_key_binding(&subkey.key, primary).is_err())
    {
        return Err(format!("the key {print} may not sign"));
    }
    let born = SystemTime::from(subkey.key.created_at());
    if born > signed + CLOCK_SKEW || ended(born, newest.key_expiration_time(), now) {
        return Err(format!("the key {print} has expired or was not valid yet"));
    }
    Ok(())
}
