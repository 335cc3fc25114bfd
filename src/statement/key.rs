//! Keys and signatures, in minisign's formats: a key made here works there, and the other way round.
//!
//! A secret key is a file that nobody but its owner may read. Its content is in no value that can be
//! printed, and leaves this module only into such a file. Our copies of it are overwritten when they
//! are dropped; those that the minisign library has on its stack while it makes a key or signs are not.

use std::fs::OpenOptions;
use std::io::{self, Cursor, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ct_codecs::{Base64, Decoder, Encoder};
use minisign::{KeyPair, SignatureBox};
use thiserror::Error;
use zeroize::Zeroizing;

use super::passphrase::Passphrase;
use super::private;
use super::protection::{LENGTH, MASK_ALGORITHM, ProtectedKey, SCRYPT, protect};

/// The comment lines of signatures. The second one is signed: a signature that the same key gave to
/// something else is none of a statement.
const UNTRUSTED: &str = "jtwbuild statement";
const TRUSTED: &str = "jtwbuild statement 1";

/// How long the second and the fourth line of a signature are.
const LENGTHS: [usize; 2] = [100, 88];

/// The last part of a key, which says whether the rest is whole.
const CHECKSUM: usize = 32;

/// Key files have two lines.
const MAX_KEY_FILE: u16 = 4096;

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
    /// Which of the two it is cannot be known.
    #[error("this is not the passphrase of the key in `{}`, or the key is damaged", path.display())]
    WrongPassphrase { path: PathBuf },
    #[error("`{}` holds no passphrase: {why}", path.display())]
    NoPassphrase { path: PathBuf, why: &'static str },
    #[error("the key in `{}` would take more time or memory than minisign ever asks for", path.display())]
    Excessive { path: PathBuf },
    #[error("the passphrase of the key in `{}` takes {mebibytes} MiB of memory, which are not there", path.display())]
    Memory { path: PathBuf, mebibytes: u64 },
    #[error("`{}` exists already", path.display())]
    Exists { path: PathBuf },
    #[error("no key can be made, or none can sign: {0}")]
    Crypto(String),
}

/// A key that signs: the bytes of its file, without passphrase.
pub struct SecretKey(Zeroizing<Vec<u8>>);

/// What is in a key's file.
pub enum KeyFile {
    Open(SecretKey),
    Protected(ProtectedKey),
}

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

impl KeyFile {
    /// Reads a key file that only its owner may use.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let trouble = |source| KeyError::Io { operation: "read", path: path.to_owned(), source };
        let not_one = || KeyError::NotOne { path: path.to_owned() };
        if !std::fs::metadata(path).map_err(trouble)?.is_file() {
            return Err(not_one());
        }
        let text = private::read(path, MAX_KEY_FILE)?.ok_or_else(not_one)?;
        let text = std::str::from_utf8(&text).map_err(|_| not_one())?;
        let bytes = text.lines().nth(1).and_then(|line| Base64::decode_to_vec(line, None).ok());
        let bytes = Zeroizing::new(bytes.ok_or_else(not_one)?);
        if bytes.len() != LENGTH || !bytes.starts_with(b"Ed") || bytes[4..6] != *b"B2" {
            return Err(not_one());
        }
        match &bytes[MASK_ALGORITHM] {
            b"\0\0" => SecretKey::checked(bytes).map(Self::Open).ok_or_else(not_one),
            algorithm if algorithm == SCRYPT => {
                Ok(Self::Protected(ProtectedKey { path: path.to_owned(), bytes }))
            }
            _ => Err(not_one()),
        }
    }
}

impl SecretKey {
    /// Reads the file of a key without passphrase, as [`KeyFile::read`] does.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        match KeyFile::read(path)? {
            KeyFile::Open(key) => Ok(key),
            KeyFile::Protected(_) => Err(KeyError::Protected { path: path.to_owned() }),
        }
    }

    /// The key of these bytes, of the right length and algorithms, if its checksum is right. Minisign
    /// itself writes keys without passphrase with zeros in its place; if such a key is damaged, it signs
    /// nothing that its public half takes, and signing looks at that.
    pub(super) fn checked(bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        let is_open = bytes[MASK_ALGORITHM] == *b"\0\0";
        if is_open && bytes.ends_with(&[0; CHECKSUM]) {
            return Some(Self(bytes));
        }
        // The library looks at the checksum if it takes the key for one that had a passphrase.
        let mut had_passphrase = bytes.clone();
        had_passphrase[MASK_ALGORITHM].copy_from_slice(SCRYPT);
        let key = minisign::SecretKey::from_bytes(&had_passphrase).ok()?;
        (!key.is_encrypted()).then_some(Self(bytes))
    }

    /// Makes a key and writes it, for its owner alone, to a file that is not there yet; with a
    /// passphrase, under that.
    pub fn generate(path: &Path, passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        let trouble = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_owned() },
            _ => KeyError::Io { operation: "write", path: path.to_owned(), source },
        };
        let crypto = |error: minisign::PError| KeyError::Crypto(error.to_string());
        let KeyPair { sk, .. } = KeyPair::generate_unencrypted_keypair().map_err(crypto)?;
        let key = Self(Zeroizing::new(sk.to_bytes()));
        let protected = passphrase.map(|passphrase| protect(&key.0, passphrase, path)).transpose()?;
        let line = Base64::encode_to_string(protected.as_ref().unwrap_or(&key.0).as_slice());
        let line = Zeroizing::new(line.map_err(|error| KeyError::Crypto(error.to_string()))?);
        let options = OpenOptions::new().write(true).create_new(true).mode(0o600).to_owned();
        let mut file = options.open(path).map_err(trouble)?;
        let parts = ["untrusted comment: jtwbuild secret key\n", &line, "\n"];
        let mut written = parts.iter().try_for_each(|part| file.write_all(part.as_bytes()));
        written = written.and_then(|()| file.sync_all());
        if let Err(error) = written {
            // Half a key is none; that it cannot be removed is told by the next attempt.
            let _ = std::fs::remove_file(path);
            return Err(trouble(error));
        }
        Ok(key)
    }

    fn key(&self) -> Result<minisign::SecretKey, KeyError> {
        minisign::SecretKey::from_bytes(&self.0).map_err(|error| KeyError::Crypto(error.to_string()))
    }

    /// The key that its signatures are checked with.
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        let public = minisign::PublicKey::from_secret_key(&self.key()?);
        public.map(PublicKey).map_err(|error| KeyError::Crypto(error.to_string()))
    }

    /// The four lines of a signature of `text`.
    pub(super) fn sign(&self, text: &[u8]) -> Result<String, KeyError> {
        let public = self.public()?;
        // Given the public key, the library checks what it has signed.
        let (key, text) = (self.key()?, Cursor::new(text));
        let signed = minisign::sign(Some(&public.0), &key, text, Some(TRUSTED), Some(UNTRUSTED));
        signed.map(SignatureBox::into_string).map_err(|error| KeyError::Crypto(error.to_string()))
    }
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
