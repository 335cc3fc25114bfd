//! Files → the compressed variants that lie beside them in a site: `worker.js.br`, `worker.js.gz`.
//!
//! A server hands out a variant in place of the file to clients that can unpack it. There is one
//! only where it pays. Equal bytes and settings give equal variants: no time, no name and no number
//! of threads is in them.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use brotli::enc::BrotliEncoderParams;
use rayon::prelude::*;
use thiserror::Error;

use crate::store::StoreError;
use crate::store::staging::Staging;
use crate::store::tree::{File, Name, Node, RelPath, Tree, TreeError};

/// The window of brotli, as a power of two: the largest that every client has to know.
const BROTLI_WINDOW: i32 = 24;

/// Files with fewer bytes are small: see [`brotli_level`].
const SMALL: usize = 64 * 1024;

/// How a variant is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Brotli,
    Gzip,
}

impl Coding {
    /// All codings, the one that saves most first.
    pub const ALL: [Self; 2] = [Self::Brotli, Self::Gzip];

    /// What the name of a variant has behind that of its file.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }

    /// What HTTP calls it.
    pub fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    fn encode(self, bytes: &[u8], settings: &Settings) -> io::Result<Vec<u8>> {
        let mut coded = Vec::with_capacity(bytes.len() / 3);
        match self {
            Self::Brotli => {
                let parameters = BrotliEncoderParams {
                    quality: brotli_level(settings.brotli, bytes.len()),
                    lgwin: BROTLI_WINDOW,
                    size_hint: bytes.len(),
                    ..BrotliEncoderParams::default()
                };
                brotli::BrotliCompress(&mut &bytes[..], &mut coded, &parameters)?;
            }
            Self::Gzip => coded = gzip(bytes, settings.gzip),
        }
        Ok(coded)
    }
}

/// The level for a file of `size` bytes when `level` is asked for. Between 6 and 9, brotli clears tables
/// of up to 32 MB for each file, which takes longer than all the rest and gains nothing on small ones.
fn brotli_level(level: u32, size: usize) -> i32 {
    match level {
        6..=9 if size < SMALL => 5,
        level => i32::try_from(level).unwrap_or(i32::MAX),
    }
}

/// A member of gzip (RFC 1952) without a time, a name and a system. Not by flate2: which encoder that
/// asks depends on the features that other crates choose, and so would the bytes.
fn gzip(bytes: &[u8], level: u32) -> Vec<u8> {
    let level = u8::try_from(level).unwrap_or(u8::MAX);
    let mut coded = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    coded.extend(miniz_oxide::deflate::compress_to_vec(bytes, level));
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    coded.extend(sum.sum().to_le_bytes());
    // Modulo 2³², as sums count.
    coded.extend(sum.amount().to_le_bytes());
    coded
}

/// How hard to try, and when a variant pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Level of brotli, 0 to 11; small files get 5 in place of 6 to 9.
    pub brotli: u32,
    /// Level of gzip, 0 to 9.
    pub gzip: u32,
    /// Files with fewer bytes have no variants.
    pub smallest: u64,
    /// How much smaller than its file a variant has to be, in per cent.
    pub saves: u32,
}

/// Why there are no variants.
#[derive(Debug, Error)]
pub enum CompressError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name that is too long with a suffix, or a place that is taken.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The encoder failed.
    #[error("{} failed: {source}", coding.token())]
    Encoder { coding: Coding, source: io::Error },
    /// The user has ended it.
    #[error("it was cancelled")]
    Cancelled,
}

/// Whether files of this name are worth compressing: text, and what OCaml writes. Pictures and fonts
/// are packed already, and so are variants.
pub fn is_compressible(name: &[u8]) -> bool {
    if matches!(name, b"META" | b"findlib_index") {
        return true;
    }
    let extension = name.iter().rposition(|byte| *byte == b'.').map(|dot| &name[dot + 1..]);
    matches!(
        extension.unwrap_or_default(),
        b"js"
            | b"mjs"
            | b"json"
            | b"map"
            | b"cmi"
            | b"bundle"
            | b"html"
            | b"css"
            | b"svg"
            | b"ts"
            | b"txt"
            | b"md"
            | b"wasm"
    )
}

/// The name of a variant's file, if this is the name of a variant.
pub fn original(name: &[u8]) -> Option<&[u8]> {
    Coding::ALL.iter().find_map(|coding| name.strip_suffix(coding.suffix().as_bytes()))
}

/// The variants of files of `tree`, at the places that they have beside the files. Files called one of
/// `except` have none.
///
/// # Errors
/// When the store fails, or when `stop` was set.
pub fn variants(
    tree: &Tree,
    except: &[&str],
    settings: &Settings,
    staging: &Staging,
    stop: &AtomicBool,
) -> Result<Tree, CompressError> {
    let is_meant = |path: &RelPath| {
        let name = path.file_name().map(Name::as_bytes).unwrap_or_default();
        is_compressible(name) && !except.iter().any(|one| one.as_bytes() == name)
    };
    let mut files: Vec<_> = tree.files().into_iter().filter(|(path, _)| is_meant(path)).collect();
    files.retain(|(_, file)| file.size >= settings.smallest);
    // The largest first, so that no thread has one to do when the others have finished.
    files.sort_by_key(|(_, file)| std::cmp::Reverse(file.size));
    let jobs: Vec<_> = files.iter().flat_map(|file| Coding::ALL.map(|coding| (file, coding))).collect();
    let made = jobs.par_iter().with_max_len(1).map(|((path, file), coding)| {
        if stop.load(Ordering::Relaxed) {
            return Err(CompressError::Cancelled);
        }
        let place = beside(path, *coding)?;
        if tree.get(&place).is_some() {
            return Ok(None);
        }
        Ok(variant(file, *coding, settings, staging)?.map(|variant| (place, variant)))
    });
    let mut variants = Tree::default();
    for (place, file) in made.collect::<Result<Vec<_>, CompressError>>()?.into_iter().flatten() {
        variants.insert(&place, Node::File(file))?;
    }
    Ok(variants)
}

/// The place of a variant of the file at `path`.
fn beside(path: &RelPath, coding: Coding) -> Result<RelPath, TreeError> {
    let name = path.file_name().map(Name::as_bytes).unwrap_or_default();
    let name = Name::new(&[name, coding.suffix().as_bytes()].concat())?;
    Ok(path.parent().unwrap_or_default().join(name))
}

fn variant(
    file: &File,
    coding: Coding,
    settings: &Settings,
    staging: &Staging,
) -> Result<Option<File>, CompressError> {
    let bytes = staging.read(file)?;
    let coded =
        coding.encode(&bytes, settings).map_err(|source| CompressError::Encoder { coding, source })?;
    let most = file.size - file.size * u64::from(settings.saves.min(100)) / 100;
    if coded.len() as u64 > most {
        return Ok(None);
    }
    Ok(Some(staging.add_bytes(&coded, false)?))
}

#[cfg(test)]
mod tests;
