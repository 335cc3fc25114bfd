//! Downloads whose checksum nobody knows yet: what they hold is pinned by who asks.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::http::{Sink, Trouble};
use super::{Fetcher, Progress, io_failure, machine};
use crate::outcome::Failure;
use crate::store::Store;

impl Fetcher {
    /// Whether the network may not be used.
    pub fn is_offline(&self) -> bool {
        self.settings.offline
    }

    /// Downloads `url`, at most `max` bytes, and lets `read` look at the file before it is removed.
    pub fn download<T>(
        &self,
        store: &Store,
        url: &str,
        max: u64,
        progress: Progress,
        stop: &AtomicBool,
        read: impl FnOnce(&Path) -> T,
    ) -> Result<T, Failure> {
        if self.settings.offline {
            return Err(Failure::Offline { what: url.to_owned() });
        }
        let path = store.scratch_path("download").map_err(|error| machine(&error))?;
        let trouble = |error: &io::Error| io_failure("writing a download", &path, error);
        let file = File::create_new(&path).map_err(|error| trouble(&error))?;
        let mut body = Body { file, path: path.clone(), done: 0, total: None, progress };
        match self.client.download(url, max, stop, &mut body) {
            Ok(()) => Ok(read(&body.path)),
            Err(Trouble::Cancelled) => Err(Failure::Cancelled),
            Err(Trouble::Write(error)) => Err(trouble(&error)),
            Err(trouble) => {
                let (what, tried) = (url.to_owned(), vec![trouble.to_string()]);
                Err(Failure::FetchFailed { what, tried, lost: !trouble.is_transient() })
            }
        }
    }
}

/// What arrives, in a file that is removed when dropped.
struct Body<'a> {
    file: File,
    path: PathBuf,
    done: u64,
    total: Option<u64>,
    progress: Progress<'a>,
}

impl Sink for Body<'_> {
    fn start(&mut self, size: Option<u64>) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        (self.done, self.total) = (0, size);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.done += bytes.len() as u64;
        (self.progress)(self.done, self.total);
        Ok(())
    }
}

impl Drop for Body<'_> {
    fn drop(&mut self) {
        // What stays goes with the process's scratch directory.
        let _ = fs::remove_file(&self.path);
    }
}
