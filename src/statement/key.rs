//! Keys and signatures, in minisign's formats: a key made here works there, and the other way round.
//!
//! A secret key is a file that nobody but its owner may read. Its content is in no value that can be
//! printed, and leaves this module only into such a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ct_codecs::{Base64, Decoder};
use minisign::{KeyPair, SecretKeyBox, SignatureBox};
use thiserror::Error;

/// The comment lines of signatures. The second one is signed: a signature that the same key gave to
/// something else is none of a statement.
const UNTRUSTED: &str = "jtwbuild statement";
const TRUSTED: &str = "jtwbuild statement 1";

/// How long the second and the fourth line of a signature are.
const LENGTHS: [usize; 2] = [100, 88];

/// What the line of a key with a passphrase begins with: it names the algorithm.
const PROTECTED: &str = "RWRTY";

/// Key files have two lines.
const MAX_KEY_FILE: u64 = 4096;

/// Trouble with a key. No message has any part of one.
#[derive(Debug, Error)]
pub enum KeyError {
    #[error("cannot {operation} `{}`: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("`{}` is no file with a minisign secret key", path.display())]
    NotOne { path: PathBuf },
    #[error("others than its owner may use `{}`: its mode is {mode:o}", path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("the key in `{}` is protected by a passphrase", path.display())]
    Protected { path: PathBuf },
    #[error("`{}` exists already", path.display())]
    Exists { path: PathBuf },
    #[error("no key can be made, or none can sign: {0}")]
    Crypto(String),
}

/// A key that signs.
pub struct SecretKey(minisign::SecretKey);

/// A key that signatures are checked with.
#[derive(Clone, Debug)]
pub struct PublicKey(minisign::PublicKey);

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for PublicKey {}

/// Why a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    #[error("it is not signed")]
    Unsigned,
    #[error("its first four lines are no signature of a statement")]
    NotOne,
    #[error("the key that signed it is not a trusted one")]
    OtherKey,
    #[error("its signature is wrong: it is not what was signed")]
    Wrong,
}

impl PublicKey {
    /// Reads the one line of text that minisign prints (`RW…`).
    pub fn from_text(text: &str) -> Option<Self> {
        let key = Self(minisign::PublicKey::from_base64(text).ok()?);
        (key.bytes().starts_with(b"Ed") && key.text() == text).then_some(key)
    }

    /// That line.
    pub fn text(&self) -> String {
        self.0.to_base64()
    }

    /// Algorithm, number and key.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    fn is_maker_of(&self, signature: &SignatureBox) -> bool {
        self.0.keynum() == signature.keynum()
    }
}

impl SecretKey {
    /// Reads a key file that only its owner may use.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let trouble = |source| KeyError::Io { operation: "read", path: path.to_owned(), source };
        let mut file = File::open(path).map_err(trouble)?;
        let metadata = file.metadata().map_err(trouble)?;
        if !metadata.is_file() || metadata.len() > MAX_KEY_FILE {
            return Err(KeyError::NotOne { path: path.to_owned() });
        }
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        let read = (&mut file).take(MAX_KEY_FILE).read_to_string(&mut text);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => KeyError::NotOne { path: path.to_owned() },
            _ => trouble(error),
        })?;
        if text.lines().nth(1).is_some_and(|line| line.starts_with(PROTECTED)) {
            return Err(KeyError::Protected { path: path.to_owned() });
        }
        let without_checksum = written_by_minisign(&text);
        let key = SecretKeyBox::from(text).into_unencrypted_secret_key().ok().or(without_checksum);
        key.map(Self).ok_or_else(|| KeyError::NotOne { path: path.to_owned() })
    }

    /// Makes a key and writes it, for its owner alone, to a file that is not there yet.
    pub fn generate(path: &Path) -> Result<Self, KeyError> {
        let trouble = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_owned() },
            _ => KeyError::Io { operation: "write", path: path.to_owned(), source },
        };
        let crypto = |error: minisign::PError| KeyError::Crypto(error.to_string());
        let KeyPair { sk, .. } = KeyPair::generate_unencrypted_keypair().map_err(crypto)?;
        let text = sk.to_box(Some("jtwbuild secret key")).map_err(crypto)?.into_string();
        let options = OpenOptions::new().write(true).create_new(true).mode(0o600).to_owned();
        let mut file = options.open(path).map_err(trouble)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // Half a key is none; that it cannot be removed is told by the next attempt.
            let _ = std::fs::remove_file(path);
            return Err(trouble(error));
        }
        Ok(Self(sk))
    }

    /// The key that its signatures are checked with.
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        let public = minisign::PublicKey::from_secret_key(&self.0);
        public.map(PublicKey).map_err(|error| KeyError::Crypto(error.to_string()))
    }

    /// The four lines of a signature of `text`.
    pub(super) fn sign(&self, text: &[u8]) -> Result<String, KeyError> {
        let public = self.public()?;
        // Given the public key, the library checks what it has signed.
        let signed =
            minisign::sign(Some(&public.0), &self.0, Cursor::new(text), Some(TRUSTED), Some(UNTRUSTED));
        signed.map(SignatureBox::into_string).map_err(|error| KeyError::Crypto(error.to_string()))
    }
}

/// A key as minisign itself writes it without passphrase: with zeros in place of the checksum, which the
/// library would refuse. A key that is damaged signs nothing that its public half takes, and signing
/// looks at that.
fn written_by_minisign(text: &str) -> Option<minisign::SecretKey> {
    let bytes = Base64::decode_to_vec(text.lines().nth(1)?, None).ok()?;
    let (key, checksum) = bytes.split_last_chunk::<32>()?;
    let is_one = key.len() == 126 && key.starts_with(b"Ed\0\0B2") && *checksum == [0; 32];
    if is_one { minisign::SecretKey::from_bytes(&bytes).ok() } else { None }
}

/// Takes a file apart into its signature and what was signed.
fn split(file: &str) -> Result<(&str, &str), SignatureError> {
    if file.starts_with('{') {
        return Err(SignatureError::Unsigned);
    }
    let end = file.match_indices('\n').nth(3).map(|(at, _)| at + 1);
    end.map(|end| file.split_at(end)).ok_or(SignatureError::NotOne)
}

/// The position, among `keys`, of the one that signed the file, and what was signed.
pub(super) fn signed_by<'a>(file: &'a str, keys: &[&PublicKey]) -> Result<(usize, &'a str), SignatureError> {
    let (lines, text) = split(file)?;
    // The library takes the lengths for granted.
    let mut lengths = lines.lines().skip(1).step_by(2).map(str::len);
    if !LENGTHS.iter().all(|length| lengths.next() == Some(*length)) {
        return Err(SignatureError::NotOne);
    }
    let signature = SignatureBox::from_string(lines).map_err(|_| SignatureError::NotOne)?;
    let comments = (signature.untrusted_comment(), signature.trusted_comment());
    let is_ours = matches!(&comments, (Ok(one), Ok(other)) if one == UNTRUSTED && other == TRUSTED);
    // One signature is written in one way only, or a changed file could pass.
    if !is_ours || !signature.is_prehashed() || signature.to_string() != lines {
        return Err(SignatureError::NotOne);
    }
    let by_number = keys.iter().enumerate().filter(|(_, key)| key.is_maker_of(&signature));
    let mut is_named = false;
    for (at, key) in by_number {
        is_named = true;
        if minisign::verify(&key.0, &signature, Cursor::new(text), true, false, false).is_ok() {
            return Ok((at, text));
        }
    }
    Err(if is_named { SignatureError::Wrong } else { SignatureError::OtherKey })
}
