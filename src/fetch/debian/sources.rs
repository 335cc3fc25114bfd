//! Which source archives a suite has: by checksum and by file name.
//!
//! Made of the suite's `Sources` (fields `Directory`, `Files`, `Checksums-*`, see `deb-src-control(5)`
//! and the wiki's "DebianRepository/Format") and kept in the store as a table of sorted records, so
//! that a later run reads one file of a few MiB instead of downloading and parsing tens of them.
//! Packaging (`.dsc`, `.debian.tar.*`, `.diff.gz`) and signatures are left out.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::bytes::{Reader, WORD, Writer, seal, unseal};
use crate::source::checksum::{Checksum, KINDS, Sha256};

const MAGIC: &[u8; WORD] = b"jtwb sources 1\n\0";

/// Bytes of a file's name and directory; longer ones are nobody's.
const MAX_PATH: usize = 1000;

/// The source archives of one suite on one mirror.
#[derive(Debug)]
pub struct SourceIndex {
    /// A sealed table.
    bytes: Vec<u8>,
    mirror: String,
    suite: String,
    /// The SHA-256 of the packed index that it was made of.
    of: Sha256,
    /// Places of paths, sorted by the file names at their ends: offset and length.
    names: Range<usize>,
    /// For each kind of checksum: digest and number of the path, sorted.
    sums: [Range<usize>; KINDS.len()],
    texts: Range<usize>,
}

/// What a stanza of `Sources` says of one file.
#[derive(Default)]
struct File {
    sums: [Option<Checksum>; KINDS.len()],
}

impl SourceIndex {
    /// Reads the text of a suite's `Sources`. Files whose paths could lead out of the mirror, or
    /// whose checksums are malformed, are passed over.
    pub fn parse(text: &str, mirror: &str, suite: &str, of: Sha256) -> Self {
        let mut files: BTreeMap<String, File> = BTreeMap::new();
        for stanza in text.split("\n\n") {
            add_stanza(stanza, &mut files);
        }
        let mut paths: Vec<&String> = files.keys().collect();
        paths.sort_by_key(|path| (base(path), path.as_str()));
        let (mut texts, mut names) = (Vec::new(), Vec::new());
        let mut sums: [Vec<(Vec<u8>, usize)>; KINDS.len()] = Default::default();
        for (number, path) in paths.iter().enumerate() {
            names.extend(little(texts.len()));
            names.extend(little(path.len()));
            texts.extend(path.as_bytes());
            for (sums, sum) in sums.iter_mut().zip(&files[*path].sums) {
                sums.extend(sum.iter().map(|sum| (digest(sum).to_vec(), number)));
            }
        }
        let mut writer = Writer(MAGIC.to_vec());
        writer.text(mirror.as_bytes());
        writer.text(suite.as_bytes());
        writer.text(of.as_bytes());
        writer.text(&names);
        for mut sums in sums {
            sums.sort();
            let table: Vec<u8> =
                sums.into_iter().flat_map(|(sum, number)| [sum, little(number).to_vec()].concat()).collect();
            writer.text(&table);
        }
        writer.text(&texts);
        Self::read(seal(writer.0)).expect("what has just been written can be read")
    }

    /// Reads what [`SourceIndex::bytes`] gave. `None`: it is damaged, or of another version.
    pub fn read(bytes: Vec<u8>) -> Option<Self> {
        let content = unseal(&bytes, MAGIC)?;
        let mut reader = Reader(content);
        let mirror = String::from_utf8(reader.text()?.to_vec()).ok()?;
        let suite = String::from_utf8(reader.text()?.to_vec()).ok()?;
        let of = Sha256::from_bytes(reader.text()?.try_into().ok()?);
        let mut region = || {
            let length = reader.text()?.len();
            let end = WORD + content.len() - reader.0.len();
            Some(end - length..end)
        };
        let names = region()?;
        let sums = [region()?, region()?, region()?];
        let texts = region()?;
        Some(Self { bytes, mirror, suite, of, names, sums, texts })
    }

    /// What is kept in the store.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn mirror(&self) -> &str {
        &self.mirror
    }

    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// The SHA-256 of the packed index that it was made of.
    pub fn of(&self) -> Sha256 {
        self.of
    }

    /// How many files it knows.
    pub fn len(&self) -> usize {
        self.names.len() / 8
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The path, below the mirror's root, of a file with this checksum.
    pub fn find(&self, sum: &Checksum) -> Option<String> {
        let kind = KINDS.iter().position(|kind| *kind == sum.kind())?;
        let (digest, table) = (digest(sum), &self.bytes[self.sums[kind].clone()]);
        let width = digest.len() + 4;
        let at = partition(table.len() / width, |at| table[at * width..][..digest.len()] < *digest);
        let record = table.get(at * width..(at + 1) * width)?;
        let (found, number) = record.split_last_chunk::<4>()?;
        (found == digest).then(|| self.path(usize_of(*number)?).map(str::to_owned))?
    }

    /// The paths, below the mirror's root, of the files with this name.
    pub fn named(&self, name: &str) -> Vec<String> {
        let name_at = |at| self.path(at).map(base).unwrap_or_default();
        let first = partition(self.len(), |at| name_at(at) < name);
        let same = (first..self.len()).take_while(|at| name_at(*at) == name);
        same.filter_map(|at| self.path(at).map(str::to_owned)).collect()
    }

    /// File names that begin so.
    pub fn beginning(&self, start: &str) -> Vec<&str> {
        let name_at = |at| self.path(at).map(base).unwrap_or_default();
        let first = partition(self.len(), |at| name_at(at) < start);
        (first..self.len()).map(name_at).take_while(|name| name.starts_with(start)).collect()
    }

    fn path(&self, number: usize) -> Option<&str> {
        let record = self.bytes[self.names.clone()].get(number.checked_mul(8)?..)?;
        let (start, rest) = record.split_first_chunk::<4>()?;
        let (start, length) = (usize_of(*start)?, usize_of(*rest.first_chunk::<4>()?)?);
        let text = self.bytes[self.texts.clone()].get(start..start.checked_add(length)?)?;
        std::str::from_utf8(text).ok()
    }
}

fn little(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

fn usize_of(bytes: [u8; 4]) -> Option<usize> {
    u32::from_le_bytes(bytes).try_into().ok()
}

/// The first of `count` numbers for which `is_before` does not hold.
fn partition(count: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if is_before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

fn base(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn digest(sum: &Checksum) -> &[u8] {
    match sum {
        Checksum::Sha256(sum) => sum.as_bytes(),
        Checksum::Sha512(sum) => sum.as_bytes(),
        Checksum::Md5(sum) => sum.as_bytes(),
    }
}

/// Adds the files of one stanza.
fn add_stanza(stanza: &str, files: &mut BTreeMap<String, File>) {
    let mut directory = None;
    let mut listed: Vec<(&str, Checksum)> = Vec::new();
    let mut kind = None;
    for line in stanza.lines() {
        if let Some(entry) = line.strip_prefix(' ') {
            let Some(kind) = kind else { continue };
            let mut words = entry.split_whitespace();
            if let (Some(sum), Some(_), Some(name), None) =
                (words.next(), words.next(), words.next(), words.next())
                && is_source(name)
            {
                listed.extend(Checksum::from_hex(kind, sum).map(|sum| (name, sum)));
            }
            continue;
        }
        let Some((field, value)) = line.split_once(':') else { continue };
        kind = match field {
            "Files" => Some("md5"),
            "Checksums-Sha256" => Some("sha256"),
            "Checksums-Sha512" => Some("sha512"),
            _ => None,
        };
        if field == "Directory" {
            directory = Some(value.trim());
        }
    }
    let Some(directory) = directory.filter(|directory| is_below_a_mirror(directory)) else { return };
    for (name, sum) in listed {
        let file = files.entry(format!("{directory}/{name}")).or_default();
        if let Some(slot) = KINDS.iter().position(|kind| *kind == sum.kind()) {
            file.sums[slot] = Some(sum);
        }
    }
}

/// Whether it is a plain relative path, so that nothing outside a mirror is ever asked for.
fn is_below_a_mirror(directory: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\0', '\\']);
    directory.len() < MAX_PATH && directory.split('/').all(plain)
}

/// Whether a file of that name may be what an upstream has published.
fn is_source(name: &str) -> bool {
    let packaging = [".dsc", ".asc", ".sig", ".diff.gz"].iter().any(|end| name.ends_with(end));
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".+-~_:".contains(&byte);
    !packaging
        && !name.contains(".debian.tar.")
        && !name.starts_with('.')
        && name.len() < MAX_PATH
        && name.bytes().all(legal)
}
