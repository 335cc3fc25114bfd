//! A suite's indexes, read once and known to be those that its release file lists.

use std::io::Read;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use sha2::{Digest, Sha256 as Hasher};

use super::closure::Index;
use super::release::Release;
use super::{DebianError, Notice, Resolution};
use crate::fetch::archive::{ArchiveError, decompress};
use crate::fetch::glob::Glob;
use crate::fetch::http::Trouble;
use crate::fetch::signature::Keyring;
use crate::fetch::{Expired, Fetcher, MirrorRead};
use crate::source::{PinnedDeb, Sha256};

/// Bytes of a release file and of an index, unpacked.
const MAX_RELEASE: u64 = 16 << 20;
const MAX_INDEX: u64 = 512 << 20;

/// The indexes of some components of a suite, for one architecture.
#[derive(Clone, Debug)]
pub struct Suite {
    texts: Vec<String>,
    arch: String,
    /// `Date` of the release file, as it writes it.
    pub date: String,
    /// Fingerprint of the key that signed the release file.
    pub signer: String,
    pub notices: Vec<Notice>,
}

impl Suite {
    /// Reads the indexes of a suite whose release file is signed by a trusted key. Nothing is
    /// written.
    pub fn open(
        fetcher: &Fetcher,
        suite: &str,
        components: &[String],
        arch: &str,
        now: SystemTime,
        stop: &AtomicBool,
    ) -> Result<Self, DebianError> {
        let Opened { release, signer, notices } = open(fetcher, suite, now, stop)?;
        let texts = components.iter().map(|component| {
            let stem = format!("{component}/binary-{arch}/Packages");
            index_text(fetcher, suite, &release, &stem, stop)
        });
        let texts = texts.collect::<Result<_, _>>()?;
        Ok(Self { texts, arch: arch.to_owned(), date: release.date.clone(), signer, notices })
    }

    /// The packages of the indexes, to be asked more than once.
    pub fn index(&self) -> Index<'_> {
        Index::new(&self.texts, &self.arch)
    }

    /// `packages` and everything they depend on; see [`Index::closure`].
    pub fn resolve(&self, packages: &[String], without: &[Glob]) -> Result<Resolution, DebianError> {
        Ok(self.resolution(self.index().closure(packages, without)?))
    }

    fn resolution(&self, debs: Vec<PinnedDeb>) -> Resolution {
        let (date, signer, notices) = (self.date.clone(), self.signer.clone(), self.notices.clone());
        Resolution { debs, date, signer, notices }
    }
}

/// A release file that a trusted key has signed.
pub(super) struct Opened {
    pub release: Release,
    /// Fingerprint of the key.
    pub signer: String,
    pub notices: Vec<Notice>,
}

/// Reads the release file of a suite.
pub(super) fn open(
    fetcher: &Fetcher,
    suite: &str,
    now: SystemTime,
    stop: &AtomicBool,
) -> Result<Opened, DebianError> {
    let path = format!("dists/{suite}/InRelease");
    let (url, bytes) = read(fetcher, &path, MAX_RELEASE, stop)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| DebianError::Release { url: url.clone(), reason: "it is not UTF-8" })?;
    let verified = keyring(fetcher)?
        .verify(&text, now)
        .map_err(|source| DebianError::Signature { url: url.clone(), source })?;
    let release =
        Release::parse(&verified.text).map_err(|reason| DebianError::Release { url: url.clone(), reason })?;
    if !release.is_of(suite) {
        return Err(DebianError::OtherSuite { url, suite: suite.to_owned(), got: release.names() });
    }
    let mut notices = Vec::new();
    if let Some((until, text)) = &release.valid_until
        && *until < now
    {
        let (suite, until) = (suite.to_owned(), text.clone());
        match fetcher.settings.expired {
            Expired::Refuse => return Err(DebianError::Expired { suite, until }),
            Expired::Warn => notices.push(Notice::Expired { suite, until }),
        }
    }
    Ok(Opened { release, signer: verified.signer, notices })
}

/// The smallest form in which a suite has an index: its name, checksum and size.
pub(super) fn index_of(release: &Release, stem: &str) -> Option<(String, Sha256, u64)> {
    [".xz", ".gz", ""].iter().find_map(|extension| {
        let name = format!("{stem}{extension}");
        release.files.get(&name).map(|(sum, size)| (name, *sum, *size))
    })
}

/// The text of one index (`main/source/Sources`), which is the one that the release file lists.
pub(super) fn index_text(
    fetcher: &Fetcher,
    suite: &str,
    release: &Release,
    stem: &str,
    stop: &AtomicBool,
) -> Result<String, DebianError> {
    let Some((name, sha256, size)) = index_of(release, stem) else {
        let components = release.components.clone();
        return Err(DebianError::NoIndex { suite: suite.to_owned(), index: stem.to_owned(), components });
    };
    let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
    let dists = format!("dists/{suite}");
    // Under its hash an index stays the same while the mirror is being updated.
    let mut paths = vec![format!("{dists}/{name}")];
    if release.by_hash {
        paths.insert(0, format!("{dists}/{directory}/by-hash/SHA256/{sha256}"));
    }
    let mut last = None;
    for path in paths {
        match read(fetcher, &path, size, stop) {
            Ok((url, bytes)) => {
                let got = Sha256::from_bytes(Hasher::digest(&bytes).into());
                if got == sha256 {
                    return text(&bytes).map_err(|source| DebianError::Unpack { url, source });
                }
                let size = bytes.len() as u64;
                last = Some(DebianError::Checksum { url, expected: sha256, got, size });
            }
            Err(DebianError::Cancelled) => return Err(DebianError::Cancelled),
            Err(error) => last = Some(error),
        }
    }
    Err(last.expect("there is at least one path"))
}

fn text(bytes: &[u8]) -> Result<String, ArchiveError> {
    let mut text = String::new();
    let mut reader = decompress(bytes)?.take(MAX_INDEX + 1);
    reader.read_to_string(&mut text).map_err(ArchiveError::Read)?;
    if text.len() as u64 > MAX_INDEX { Err(ArchiveError::TooLarge(MAX_INDEX)) } else { Ok(text) }
}

fn read(
    fetcher: &Fetcher,
    path: &str,
    max: u64,
    stop: &AtomicBool,
) -> Result<(String, Vec<u8>), DebianError> {
    fetcher.read_mirror(path, max, stop).map_err(|miss| match miss {
        MirrorRead::Mirror(error) => DebianError::Mirror(error),
        MirrorRead::Offline { url } => DebianError::Offline { url },
        MirrorRead::Trouble { trouble: Trouble::Cancelled, .. } => DebianError::Cancelled,
        MirrorRead::Trouble { url, trouble } => {
            DebianError::Fetch { url, reason: trouble.to_string(), transient: trouble.is_transient() }
        }
    })
}

/// Keys that come with the program, those of the host's Debian keyring (so that suites newer than
/// the program work), and those of the settings.
fn keyring(fetcher: &Fetcher) -> Result<Keyring, DebianError> {
    let embedded = |source| DebianError::Keyring { path: "built in".into(), source };
    let mut keyring = Keyring::embedded().map_err(embedded)?;
    for path in
        ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"]
    {
        // A keyring that is missing or of a format still to come is no loss: others are there.
        if let Ok(bytes) = std::fs::read(path) {
            let _ = keyring.add(&bytes);
        }
    }
    for path in &fetcher.settings.keyrings {
        let shown = path.display().to_string();
        let bytes =
            std::fs::read(path).map_err(|source| DebianError::ReadKeyring { path: shown.clone(), source })?;
        keyring.add(&bytes).map_err(|source| DebianError::Keyring { path: shown, source })?;
    }
    Ok(keyring)
}
