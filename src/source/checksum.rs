//! Checksums that others have given for their files: SHA-256, SHA-512 and MD5, several at a time.
//!
//! opam files list any of the three; all of those that are listed must be right. MD5 alone tells
//! nothing of bytes that somebody has made on purpose, so it does not count as strong.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::Digest;
use thiserror::Error;

macro_rules! digest {
    ($(#[$about:meta])* $name:ident, $bytes:literal, $word:literal) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Takes a finished digest.
            pub fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The digest.
            pub fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// Reads hexadecimal digits, two for each byte.
            pub fn from_hex(text: &str) -> Option<Self> {
                let mut bytes = [0; $bytes];
                read_hex(text, &mut bytes)?;
                Some(Self(bytes))
            }

            /// Lower-case hexadecimal digits.
            pub fn to_hex(&self) -> String {
                write_hex(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($word, ":{}"), self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                let expected = concat!("expected the hexadecimal digits of ", stringify!($bytes), " bytes");
                Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom(expected))
            }
        }
    };
}

digest!(
    /// A SHA-256 digest: what Debian indexes and package recipes name bytes by.
    Sha256, 32, "sha256"
);
digest!(
    /// A SHA-512 digest.
    Sha512, 64, "sha512"
);
digest!(
    /// An MD5 digest. Two files of one digest can be made in seconds.
    Md5, 16, "md5"
);

fn read_hex(text: &str, bytes: &mut [u8]) -> Option<()> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(digits[0])? << 4 | digit(digits[1])?;
    }
    Some(())
}

fn write_hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// One checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Checksum {
    Sha256(Sha256),
    Sha512(Sha512),
    Md5(Md5),
}

/// The kinds of checksum by their names, the one that names an archive in the store first.
pub const KINDS: [&str; 3] = ["sha256", "sha512", "md5"];

impl Checksum {
    /// Its kind, as opam writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sha256(_) => KINDS[0],
            Self::Sha512(_) => KINDS[1],
            Self::Md5(_) => KINDS[2],
        }
    }

    /// Lower-case hexadecimal digits.
    pub fn to_hex(&self) -> String {
        match self {
            Self::Sha256(sum) => sum.to_hex(),
            Self::Sha512(sum) => sum.to_hex(),
            Self::Md5(sum) => sum.to_hex(),
        }
    }

    /// A checksum of this kind.
    pub fn from_hex(kind: &str, hex: &str) -> Option<Self> {
        match kind {
            "sha256" => Sha256::from_hex(hex).map(Self::Sha256),
            "sha512" => Sha512::from_hex(hex).map(Self::Sha512),
            "md5" => Md5::from_hex(hex).map(Self::Md5),
            _ => None,
        }
    }

    /// Reads what opam files say: `sha512=…`, or only the digits of an MD5. Letters may be of either
    /// case, in the kind too.
    pub fn parse(text: &str) -> Result<Self, ChecksumError> {
        let (kind, hex) = text.split_once('=').unwrap_or(("md5", text));
        let known = KINDS.into_iter().find(|known| known.eq_ignore_ascii_case(kind));
        let kind = known.ok_or_else(|| ChecksumError::Kind(text.to_owned()))?;
        Self::from_hex(kind, hex).ok_or_else(|| ChecksumError::Digits {
            text: text.to_owned(),
            kind,
            digits: match kind {
                "sha256" => 64,
                "sha512" => 128,
                _ => 32,
            },
        })
    }

    /// The path below the root of a cache of opam's: `sha256/ab/ab…`.
    pub fn path(&self) -> String {
        let hex = self.to_hex();
        format!("{}/{}/{hex}", self.kind(), &hex[..2])
    }

    /// One word that stands for it: a SHA-256 is only its digits, others say their kind too.
    pub fn label(&self) -> String {
        match self {
            Self::Sha256(sum) => sum.to_hex(),
            other => format!("{}-{}", other.kind(), other.to_hex()),
        }
    }

    /// Reads a [`Checksum::label`].
    pub fn from_label(label: &str) -> Option<Self> {
        let (kind, hex) = label.split_once('-').unwrap_or((KINDS[0], label));
        Self::from_hex(kind, hex).filter(|sum| sum.label() == label)
    }

    /// The 32 bytes by which the store's locks and roots know an archive of this name: the digest, as
    /// much of it as there is room for.
    pub fn id(&self) -> [u8; 32] {
        match self {
            Self::Sha256(sum) => *sum.as_bytes(),
            Self::Sha512(sum) => *sum.as_bytes().first_chunk().expect("64 bytes are more than 32"),
            Self::Md5(sum) => {
                let mut id = [0; 32];
                id[..16].copy_from_slice(sum.as_bytes());
                id
            }
        }
    }

    /// Whether nobody can make other bytes of this checksum.
    pub fn is_strong(&self) -> bool {
        !matches!(self, Self::Md5(_))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind(), self.to_hex())
    }
}

impl From<Sha256> for Checksum {
    fn from(sum: Sha256) -> Self {
        Self::Sha256(sum)
    }
}

/// Why a list of checksums is no good.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ChecksumError {
    #[error("`{}` is not a checksum of a known kind", .0.escape_debug())]
    Kind(String),
    #[error("`{}` is not a checksum: {kind} has {digits} hexadecimal digits", .text.escape_debug())]
    Digits { text: String, kind: &'static str, digits: usize },
    #[error("{0} and {1} contradict each other: no file has both")]
    Conflict(String, String),
    #[error("there is no checksum")]
    None,
    #[error("there is only a weak checksum, {0}: other bytes can be made to have it")]
    Weak(String),
}

/// What a file is known by: at least one checksum, and all of them must be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Listed")]
pub struct Checksums {
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<Sha256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha512: Option<Sha512>,
    #[serde(skip_serializing_if = "Option::is_none")]
    md5: Option<Md5>,
}

/// [`Checksums`] as documents have them.
#[derive(Deserialize)]
struct Listed {
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
    md5: Option<Md5>,
}

impl TryFrom<Listed> for Checksums {
    type Error = ChecksumError;

    fn try_from(Listed { sha256, sha512, md5 }: Listed) -> Result<Self, ChecksumError> {
        let listed = Self { sha256, sha512, md5 };
        if listed.all().next().is_some() { Ok(listed) } else { Err(ChecksumError::None) }
    }
}

impl From<Sha256> for Checksums {
    fn from(sum: Sha256) -> Self {
        Self { sha256: Some(sum), sha512: None, md5: None }
    }
}

impl From<Checksum> for Checksums {
    fn from(sum: Checksum) -> Self {
        let mut one = Self { sha256: None, sha512: None, md5: None };
        match sum {
            Checksum::Sha256(sum) => one.sha256 = Some(sum),
            Checksum::Sha512(sum) => one.sha512 = Some(sum),
            Checksum::Md5(sum) => one.md5 = Some(sum),
        }
        one
    }
}

impl Checksums {
    /// Reads the checksums of an opam file (`["sha256=…" "md5=…"]`). Whether they are strong is for
    /// [`Checksums::allowed`] to say.
    pub fn parse(texts: &[&str]) -> Result<Self, ChecksumError> {
        let mut all: Option<Self> = None;
        for text in texts {
            let sum = Checksum::parse(text)?;
            let one = Self::from(sum);
            let so_far = all.get_or_insert(one);
            if let Some(other) = so_far.all().find(|other| other.kind() == sum.kind() && *other != sum) {
                return Err(ChecksumError::Conflict(other.to_string(), sum.to_string()));
            }
            so_far.sha256 = so_far.sha256.or(one.sha256);
            so_far.sha512 = so_far.sha512.or(one.sha512);
            so_far.md5 = so_far.md5.or(one.md5);
        }
        all.ok_or(ChecksumError::None)
    }

    /// All that are listed, [`Checksums::name`] first.
    pub fn all(&self) -> impl Iterator<Item = Checksum> {
        let sha256 = self.sha256.map(Checksum::Sha256);
        let sha512 = self.sha512.map(Checksum::Sha512);
        [sha256, sha512, self.md5.map(Checksum::Md5)].into_iter().flatten()
    }

    /// The one that names the file in the store: SHA-256 if it is listed, else SHA-512, else MD5. The
    /// two strong ones are equally good here; the first has more company.
    pub fn name(&self) -> Checksum {
        self.all().next().expect("there is at least one, see the constructors")
    }

    /// The SHA-256, if it is listed.
    pub fn sha256(&self) -> Option<Sha256> {
        self.sha256
    }

    /// Whether at least one of them is strong. All have to be right, so one is enough.
    pub fn is_strong(&self) -> bool {
        self.all().any(|sum| sum.is_strong())
    }

    /// Itself if it is strong, or if weak ones are allowed.
    pub fn allowed(self, weak: bool) -> Result<Self, ChecksumError> {
        if weak || self.is_strong() { Ok(self) } else { Err(ChecksumError::Weak(self.name().to_string())) }
    }

    /// The first that bytes with these digests do not have, and what they have instead.
    pub fn mismatch(&self, digests: &Digests) -> Option<(Checksum, Checksum)> {
        self.all().find_map(|expected| {
            let got = digests.of_kind(expected.kind()).unwrap_or(Checksum::Sha256(digests.sha256));
            (got != expected).then_some((expected, got))
        })
    }
}

impl fmt::Display for Checksums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.all().map(|sum| sum.to_string()).collect();
        f.write_str(&all.join(" "))
    }
}

/// What some bytes have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    pub sha256: Sha256,
    pub sha512: Option<Sha512>,
    pub md5: Option<Md5>,
}

impl Digests {
    fn of_kind(&self, kind: &str) -> Option<Checksum> {
        match kind {
            "sha256" => Some(Checksum::Sha256(self.sha256)),
            "sha512" => self.sha512.map(Checksum::Sha512),
            _ => self.md5.map(Checksum::Md5),
        }
    }
}

/// Works digests out while bytes pass by: the SHA-256 always, the others as they are wanted.
#[derive(Clone, Debug)]
pub struct Hashing {
    sha256: sha2::Sha256,
    sha512: Option<sha2::Sha512>,
    md5: Option<md5::Md5>,
}

impl Hashing {
    /// For bytes that should have these checksums.
    pub fn new(wanted: &Checksums) -> Self {
        Self {
            sha256: sha2::Sha256::new(),
            sha512: wanted.sha512.map(|_| sha2::Sha512::new()),
            md5: wanted.md5.map(|_| md5::Md5::new()),
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha512.iter_mut().for_each(|hasher| hasher.update(bytes));
        self.md5.iter_mut().for_each(|hasher| hasher.update(bytes));
    }

    /// The digests of all bytes.
    pub fn finish(self) -> Digests {
        Digests {
            sha256: Sha256(self.sha256.finalize().into()),
            sha512: self.sha512.map(|hasher| Sha512(hasher.finalize().into())),
            md5: self.md5.map(|hasher| Md5(hasher.finalize().into())),
        }
    }
}

#[cfg(test)]
mod tests;
