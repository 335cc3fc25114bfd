//! The hash of one file, by all processors when the file is large.
//!
//! A large file is split where BLAKE3's own tree splits it, so that each thread reads a piece into a
//! buffer that stays in its cache and hashes it there. Nothing is mapped: a file that somebody cuts
//! off meanwhile is an error, not a signal.

use std::cell::RefCell;
use std::io;
use std::os::unix::fs::FileExt;

use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len};
use blake3::hazmat::{merge_subtrees_non_root, merge_subtrees_root};

use crate::store::disk::look::File;
use crate::store::tree::BlobHash;

/// Bytes that are read and hashed together: a power of two, and little enough for a second-level
/// cache.
const PIECE: usize = 256 << 10;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The hash of the first `size` bytes of `file`. A file that is shorter is an error of the kind
/// [`io::ErrorKind::UnexpectedEof`].
pub(super) fn hash(file: &File, size: u64) -> io::Result<BlobHash> {
    let hash = if size <= PIECE as u64 {
        with_piece(file, 0, size, blake3::hash)?
    } else {
        let (left, right) = halves(file, 0, size)?;
        merge_subtrees_root(&left, &right, Mode::Hash)
    };
    Ok(BlobHash::from_bytes(*hash.as_bytes()))
}

fn halves(file: &File, offset: u64, size: u64) -> io::Result<(ChainingValue, ChainingValue)> {
    let left = left_subtree_len(size);
    let halves = rayon::join(|| subtree(file, offset, left), || subtree(file, offset + left, size - left));
    Ok((halves.0?, halves.1?))
}

fn subtree(file: &File, offset: u64, size: u64) -> io::Result<ChainingValue> {
    if size <= PIECE as u64 {
        return with_piece(file, offset, size, |piece| {
            blake3::Hasher::new().set_input_offset(offset).update(piece).finalize_non_root()
        });
    }
    let (left, right) = halves(file, offset, size)?;
    Ok(merge_subtrees_non_root(&left, &right, Mode::Hash))
}

/// Reads at most [`PIECE`] bytes into this thread's buffer.
fn with_piece<T>(file: &File, offset: u64, size: u64, take: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.is_empty() {
            buffer.resize(PIECE, 0);
        }
        let piece = &mut buffer[..usize::try_from(size).unwrap_or(PIECE)];
        file.read_exact_at(piece, offset)?;
        Ok(take(piece))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_pieces_has_the_hash_of_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let bytes: Vec<u8> = (0..5 * PIECE + 1234).map(|at| ((at * at) >> 7).to_le_bytes()[0]).collect();
        for size in [0, 1, 1024, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE - 7, bytes.len()] {
            std::fs::write(&path, &bytes[..size]).unwrap();
            let got = hash(&File::open(&path).unwrap(), size as u64).unwrap();
            assert_eq!(got.as_bytes(), blake3::hash(&bytes[..size]).as_bytes(), "{size}");
        }
        let error = hash(&File::open(&path).unwrap(), bytes.len() as u64 + 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
