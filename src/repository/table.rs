//! The table of a packed repository: path, size and hash of each of its files, in order. Where a file
//! lies in the contents follows from the sizes before it.
//!
//! A packed repository is a tree of two files in the store: `table`, and `contents` with the bytes of
//! all files, one behind the other. Equal repositories give equal bytes, whatever they were read from,
//! so the tree's name stands for what they hold.

use rayon::prelude::*;

use super::content::{Member, opam_file};
use crate::bytes::{Reader, WORD, Writer};

/// What a table begins with. It changes with the format, and with the rules for what belongs to a
/// repository.
const MAGIC: &[u8; WORD] = b"jtw opam table 1";

/// All files of a repository.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Sorted by path.
    entries: Vec<Entry>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub path: Box<str>,
    pub executable: bool,
    /// Where its bytes are among the contents.
    pub offset: u64,
    pub length: usize,
    pub hash: [u8; 32],
}

impl Entry {
    /// Whether these are its bytes.
    pub fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.length && *blake3::hash(bytes).as_bytes() == self.hash
    }
}

impl Table {
    /// The table of members, which are sorted by path.
    pub fn of(members: &[Member]) -> Self {
        let hashes: Vec<[u8; 32]> =
            members.par_iter().map(|member| *blake3::hash(&member.bytes).as_bytes()).collect();
        let mut offset = 0;
        let entries = members.iter().zip(hashes).map(|(member, hash)| {
            let entry = Entry {
                path: member.path.as_str().into(),
                executable: member.executable,
                offset,
                length: member.bytes.len(),
                hash,
            };
            offset += member.bytes.len() as u64;
            entry
        });
        Self { entries: entries.collect() }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer(MAGIC.to_vec());
        writer.number(self.entries.len());
        for entry in &self.entries {
            writer.text(entry.path.as_bytes());
            writer.0.push(u8::from(entry.executable));
            writer.number(entry.length);
            writer.0.extend(entry.hash);
        }
        writer.0
    }

    /// Reads what [`Table::encode`] wrote, and nothing else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes.strip_prefix(MAGIC)?);
        let mut offset = 0;
        let entries = reader.list(|reader| {
            let path = std::str::from_utf8(reader.text()?).ok()?.into();
            let executable = match reader.array::<1>()? {
                [0] => false,
                [1] => true,
                _ => return None,
            };
            let length = reader.number()?;
            let entry = Entry { path, executable, offset, length, hash: reader.array()? };
            offset += length as u64;
            Some(entry)
        })?;
        let in_order = entries.windows(2).all(|pair: &[Entry]| pair[0].path < pair[1].path);
        (reader.0.is_empty() && in_order).then_some(Self { entries })
    }

    /// All files.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Bytes of all files together.
    pub fn length(&self) -> u64 {
        self.entries.last().map_or(0, |last| last.offset + last.length as u64)
    }

    /// The file at a path.
    pub fn find(&self, path: &str) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| (*entry.path).cmp(path)).ok()?;
        Some(&self.entries[at])
    }

    /// The files whose paths begin with `prefix`.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Entry> {
        let from = self.entries.partition_point(|entry| *entry.path < *prefix);
        self.entries[from..].iter().take_while(move |entry| entry.path.starts_with(prefix))
    }

    /// Every opam file with its package's name and version.
    pub fn opam_files(&self) -> impl Iterator<Item = (&str, &str, &Entry)> {
        let found = self.entries.iter().filter_map(|entry| Some((opam_file(&entry.path)?, entry)));
        found.map(|((name, version), entry)| (name, version, entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> (Table, Vec<u8>) {
        let member = |path: &str, bytes: &[u8]| Member {
            path: path.to_owned(),
            executable: path.ends_with(".sh"),
            bytes: bytes.to_vec(),
        };
        let members = [
            member("packages/a/a.1/files/x.sh", b"echo"),
            member("packages/a/a.1/opam", b"opam-version: \"2.0\""),
            member("packages/a/a.10/opam", b""),
            member("repo", b"x"),
        ];
        (Table::of(&members), members.iter().flat_map(|member| member.bytes.clone()).collect())
    }

    #[test]
    fn a_table_is_read_as_it_was_written_and_nothing_else_is() {
        let (table, contents) = table();
        let bytes = table.encode();
        assert_eq!(Table::decode(&bytes).unwrap(), table);
        assert_eq!(table.length(), contents.len() as u64);
        for entry in table.entries() {
            let start = usize::try_from(entry.offset).unwrap();
            assert!(entry.is(&contents[start..start + entry.length]), "{}", entry.path);
        }
        for cut in 0..bytes.len() {
            assert!(Table::decode(&bytes[..cut]).is_none(), "{cut}");
        }
        assert!(Table::decode(&[bytes, vec![0]].concat()).is_none());
    }

    #[test]
    fn files_are_found_by_path_and_by_directory() {
        let (table, _) = table();
        assert!(table.find("packages/a/a.1/opam").is_some() && table.find("packages/a/a.1").is_none());
        assert_eq!(table.below("packages/a/a.1/files/").count(), 1);
        let versions: Vec<&str> = table.opam_files().map(|(_, version, _)| version).collect();
        assert_eq!(versions, ["1", "10"]);
    }
}
