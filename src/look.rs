//! How a file looks from outside: enough that no ordinary write leaves it the same.

use std::fs::Metadata;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::bytes::{Reader, Writer};

/// Timestamps of files may lag behind the clock by this much.
const GRAIN: Duration = Duration::from_millis(20);

/// Device, inode, size, and times of the last changes, as far as the system tells them.
pub type Look = [u64; 7];

/// The look of a file or directory.
#[cfg(unix)]
pub fn look(metadata: &Metadata) -> Look {
    use std::os::unix::fs::MetadataExt;
    [
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        metadata.mtime().cast_unsigned(),
        metadata.mtime_nsec().cast_unsigned(),
        metadata.ctime().cast_unsigned(),
        metadata.ctime_nsec().cast_unsigned(),
    ]
}

/// The look of a file or directory.
#[cfg(not(unix))]
pub fn look(metadata: &Metadata) -> Look {
    let changed = modified(metadata);
    [0, 0, metadata.len(), changed.as_secs(), u64::from(changed.subsec_nanos()), 0, 0]
}

/// Whether a file's timestamps tell that it has not changed since `since`.
pub fn is_settled(metadata: &Metadata, since: SystemTime) -> bool {
    let limit = since.checked_sub(GRAIN).and_then(|limit| limit.duration_since(UNIX_EPOCH).ok());
    limit.is_some_and(|limit| last_change(metadata) < limit)
}

#[cfg(unix)]
fn last_change(metadata: &Metadata) -> Duration {
    use std::os::unix::fs::MetadataExt;
    let changed = u64::try_from(metadata.ctime()).unwrap_or(0);
    Duration::new(changed, u32::try_from(metadata.ctime_nsec()).unwrap_or(0))
}

#[cfg(not(unix))]
use self::modified as last_change;

#[cfg(not(unix))]
fn modified(metadata: &Metadata) -> Duration {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    modified.unwrap_or_default()
}

/// Writes a look as numbers.
pub fn write_look(to: &mut Writer, look: &Look) {
    look.iter().for_each(|number| to.0.extend(number.to_le_bytes()));
}

/// Reads what [`write_look`] wrote.
pub fn read_look(from: &mut Reader<'_>) -> Option<Look> {
    let mut look = Look::default();
    for number in &mut look {
        *number = from.array().map(u64::from_le_bytes)?;
    }
    Some(look)
}
