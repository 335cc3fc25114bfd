//! Files that are for their owner alone, and what is read from them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::key::KeyError;

/// Reads a file that nobody but its owner may use. `None` if it has more than `most` bytes. What is read
/// is overwritten when it is dropped.
pub(super) fn read(path: &Path, most: u16) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
    let trouble = |source: io::Error| KeyError::Io { operation: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(trouble)?;
    let mode = file.metadata().map_err(trouble)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    // Room for all of it, so that it never moves and leaves a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::from(most) + 64));
    file.take(u64::from(most) + 1).read_to_end(&mut bytes).map_err(trouble)?;
    Ok((bytes.len() <= usize::from(most)).then_some(bytes))
}
