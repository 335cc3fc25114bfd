//! What OCaml's compilers write: interfaces, units, libraries, typed trees, bytecode.
//!
//! All of these files begin with a magic word, or end with it, and hold marshalled values:
//!
//! ```text
//! bytes ──► magic word ──► Heap (marshal) ──► Graph: checked steps ──► interface, or records of others
//! ```
//!
//! The shapes of the values are those of OCaml 5.3 and 5.4. Files of other versions are told by their magic
//! word, and refused.

pub mod changes;
pub(crate) mod graph;
pub mod interface;
pub mod marshal;

use thiserror::Error;

pub use self::interface::{Interface, Item, Kind};

/// Every magic word begins so; a letter and a number of three digits follow (`utils/config.ml`).
const MAGIC: &[u8] = b"Caml1999";

/// The numbers that OCaml 5.3 and 5.4 write.
const KNOWN: [&str; 2] = ["035", "036"];

/// How long a magic word is.
pub const MAGIC_LENGTH: usize = MAGIC.len() + 4;

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OcamlError {
    /// No compiler of OCaml writes such files.
    #[error("it is nothing that OCaml's compilers write")]
    Foreign,
    /// The file is something else.
    #[error("it is not a compiled interface")]
    NotAnInterface,
    /// Another version of OCaml wrote it.
    #[error("it is of a version of OCaml that is not known here (`{magic}`)")]
    OtherVersion { magic: String },
    /// It is not what that version writes.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// Reading it would take more than such a file is worth.
    #[error("it is larger than such files are")]
    TooLarge,
    /// It nests deeper than is followed.
    #[error("its types or modules nest too deep")]
    TooDeep,
}

/// What a file is, by the letter of its magic word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// `.cmi`, and the first part of many a `.cmt`.
    Interface,
    /// `.cmo`
    Unit,
    /// `.cma`
    Library,
    /// `.cmx`
    NativeUnit,
    /// `.cmxa`
    NativeLibrary,
    /// `.cmt`, `.cmti`
    Annotations,
    /// A program in bytecode, which ends with the word.
    Executable,
}

/// Reads a magic word at the beginning of `bytes`; gives what comes after it too.
///
/// # Errors
/// [`OcamlError::Foreign`], [`OcamlError::OtherVersion`].
pub fn begin(bytes: &[u8]) -> Result<(Content, &[u8]), OcamlError> {
    let (word, rest) = bytes.split_at_checked(MAGIC_LENGTH).ok_or(OcamlError::Foreign)?;
    let after = word.strip_prefix(MAGIC).ok_or(OcamlError::Foreign)?;
    let content = match after[0] {
        b'I' => Content::Interface,
        b'O' => Content::Unit,
        b'A' => Content::Library,
        // The small letters are those of compilers with flambda.
        b'Y' | b'y' => Content::NativeUnit,
        b'Z' | b'z' => Content::NativeLibrary,
        b'T' => Content::Annotations,
        b'X' => Content::Executable,
        _ => return Err(OcamlError::Foreign),
    };
    if KNOWN.iter().any(|known| known.as_bytes() == &after[1..]) {
        Ok((content, rest))
    } else {
        Err(OcamlError::OtherVersion { magic: String::from_utf8_lossy(word).into_owned() })
    }
}
