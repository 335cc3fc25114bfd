//! Some files of a commit, in memory: how opam repositories are read.

use super::{GitError, Remote, Wanted, is_id};

/// A file of a commit.
#[derive(Clone, Debug)]
pub struct GitFile {
    /// From the root; any bytes.
    pub path: Vec<u8>,
    pub kind: GitKind,
    /// Of files only.
    pub bytes: Vec<u8>,
}

/// What a path of a commit stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitKind {
    File {
        executable: bool,
    },
    /// A file that is longer than allowed; its bytes are not there.
    TooLong,
    /// A symbolic link or a submodule; neither is followed.
    Other,
}

impl Remote<'_> {
    /// The files of a commit that `wants` by their paths; of those, files longer than `longest` bytes
    /// without their bytes. `near` is a branch or tag to look at when the server does not give away
    /// single commits.
    pub fn files(
        &self,
        commit: &str,
        near: Wanted<'_>,
        wants: &dyn Fn(&[u8]) -> bool,
        longest: u64,
    ) -> Result<Vec<GitFile>, GitError> {
        let scratch = self.with_commit(commit, near)?;
        let listed = self.list(&scratch, commit)?;
        let mut files: Vec<(GitFile, &str)> = Vec::new();
        for line in listed.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            let one =
                listed_file(line, longest).ok_or_else(|| self.failed("it lists files in an unknown way"))?;
            files.extend(wants(&one.0.path).then_some(one));
        }
        self.read_blobs(&scratch, &mut files)?;
        Ok(files.into_iter().map(|(file, _)| file).collect())
    }

    /// Reads the bytes of files, each listed with the id of its blob.
    fn read_blobs(
        &self,
        scratch: &super::Scratch<'_>,
        files: &mut [(GitFile, &str)],
    ) -> Result<(), GitError> {
        let is_wanted = |(file, _): &&mut (GitFile, &str)| matches!(file.kind, GitKind::File { .. });
        let wanted = files.iter().filter(|(file, _)| matches!(file.kind, GitKind::File { .. }));
        let mut blobs = self.blobs(scratch, wanted.map(|(_, id)| *id))?;
        for (file, id) in files.iter_mut().filter(is_wanted) {
            file.bytes = blobs.next(id, self, |from, _| {
                let mut bytes = Vec::new();
                from.read_to_end(&mut bytes).map_err(GitError::Io)?;
                Ok(bytes)
            })?;
        }
        Ok(())
    }
}

/// One record of `git ls-tree -l`: `100644 blob <id> <size>\t<path>`.
fn listed_file(record: &[u8], longest: u64) -> Option<(GitFile, &str)> {
    let tab = record.iter().position(|byte| *byte == b'\t')?;
    let mut words = std::str::from_utf8(&record[..tab]).ok()?.split_ascii_whitespace();
    let (mode, kind, id, size) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let kind = match (mode, kind) {
        ("100644" | "100755" | "100664", "blob") if size.parse::<u64>().ok()? > longest => GitKind::TooLong,
        ("100644" | "100664", "blob") => GitKind::File { executable: false },
        ("100755", "blob") => GitKind::File { executable: true },
        _ => GitKind::Other,
    };
    is_id(id).then(|| (GitFile { path: record[tab + 1..].to_vec(), kind, bytes: Vec::new() }, id))
}
