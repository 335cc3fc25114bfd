//! What a repository holds that matters, whatever it was read from: opam files, the files beside them
//! in `files/`, and `repo`.

use crate::legible::is_hidden;
use crate::name::PackageName;
use crate::store::tree::Name;
use crate::version::Version;

/// Longest opam file, in bytes. The longest of the official repository has a fiftieth of that.
pub(super) const MAX_OPAM: u64 = 1 << 20;

/// Longest file in a `files/` directory, in bytes.
pub(super) const MAX_FILE: u64 = 16 << 20;

/// Bytes of a whole repository.
pub(super) const MAX_BYTES: u64 = 1 << 30;

/// Oddities that are told one by one.
const MAX_TOLD: usize = 20;

/// One file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// From the repository's root: `repo`, `packages/fmt/fmt.0.9.0/opam`, `packages/…/files/a/b`.
    pub path: String,
    pub executable: bool,
    pub bytes: Vec<u8>,
}

/// Files, and what was met beside them.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// Sorted by path once [`Content::finish`] was called.
    pub members: Vec<Member>,
    pub oddities: Oddities,
}

impl Content {
    /// Adds what another part of the repository holds.
    pub fn join(mut self, other: Self) -> Self {
        self.members.extend(other.members);
        self.oddities.ignored.extend(other.oddities.ignored);
        self.oddities.refused.extend(other.oddities.refused);
        self
    }

    /// Puts everything in order, so that equal repositories give equal bytes.
    pub fn finish(&mut self) {
        self.members.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        self.oddities.ignored.sort_unstable();
        self.oddities.refused.sort_unstable();
    }

    /// Names of packages that only differ in case: one of them is lost on some file systems.
    pub fn note_twins(&mut self) {
        let names = self.members.iter().filter_map(|member| member.path.split('/').nth(1));
        let mut names: Vec<(String, &str)> = names.map(|name| (name.to_lowercase(), name)).collect();
        names.sort_unstable();
        names.dedup();
        for pair in names.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let (first, second) = (pair[0].1, pair[1].1);
            self.oddities.ignored.push(format!(
                "`packages/{first}` and `packages/{second}` are two packages whose names differ in case only"
            ));
        }
    }
}

/// What does not look like a repository of packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Oddities {
    /// Left out, with a notice.
    pub ignored: Vec<String>,
    /// Names that nobody gives by accident: the repository is refused.
    pub refused: Vec<String>,
}

impl Oddities {
    /// Files a name under what is to be done about it.
    pub fn add(&mut self, below: &str, name: &str, oddity: Oddity) {
        let shown: String = name.chars().take(100).flat_map(char::escape_debug).collect();
        match oddity {
            Oddity::Ignored(reason) => self.ignored.push(format!("`{below}{shown}` is left out: {reason}")),
            Oddity::Refused(reason) => self.refused.push(format!("`{below}{shown}`: {reason}")),
        }
    }
}

/// The first of many sentences, and how many more there are.
pub(super) fn first_of(sentences: &[String]) -> Vec<String> {
    let mut told: Vec<String> = sentences.iter().take(MAX_TOLD).cloned().collect();
    if let more @ 1.. = sentences.len().saturating_sub(MAX_TOLD) {
        told.push(format!("and {more} more"));
    }
    told
}

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    Ignored(&'static str),
    Refused(&'static str),
}

/// What directories below `packages/` are called: names of packages.
pub(super) fn package_name(name: &str) -> Result<PackageName, Oddity> {
    harmless(name)?;
    PackageName::new(name).ok_or(Oddity::Ignored("this is not the name of a package"))
}

/// What directories of a package are called: its name, a dot, and a version.
pub(super) fn version_of(package: &PackageName, name: &str) -> Result<Version, Oddity> {
    harmless(name)?;
    let version = name.strip_prefix(package.as_str()).and_then(|rest| rest.strip_prefix('.'));
    let version = version.ok_or(Oddity::Ignored("this is not a version of the package it lies in"))?;
    Version::new(version).ok_or(Oddity::Ignored("what stands behind the first dot is not a version"))
}

/// A name below a `files/` directory.
pub(super) fn file_name(name: &str) -> Result<Name, Oddity> {
    harmless(name)?;
    Name::new(name.as_bytes()).map_err(|_| Oddity::Refused("this cannot be the name of a file"))
}

/// Refuses names that are made to be taken for something else.
fn harmless(name: &str) -> Result<(), Oddity> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\\', '\0']) {
        Err(Oddity::Refused("this name leads elsewhere"))
    } else if name.starts_with('-') {
        Err(Oddity::Refused("this name looks like an option"))
    } else if name.chars().any(is_hidden) {
        Err(Oddity::Refused("this name holds control characters"))
    } else {
        Ok(())
    }
}

/// Name and version of a package whose opam file is at `path`.
pub(super) fn opam_file(path: &str) -> Option<(&str, &str)> {
    let (name, rest) = path.strip_prefix("packages/")?.split_once('/')?;
    let directory = rest.strip_suffix("/opam").filter(|directory| !directory.contains('/'))?;
    let version = directory.strip_prefix(name)?.strip_prefix('.')?;
    Some((name, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_what_follows_the_first_dot() {
        let name = package_name("fmt").unwrap();
        assert_eq!(version_of(&name, "fmt.0.9.0~beta+1").unwrap().as_str(), "0.9.0~beta+1");
        assert_eq!(opam_file("packages/fmt/fmt.0.9.0/opam"), Some(("fmt", "0.9.0")));
        assert_eq!(opam_file("packages/fmt/fmt.0.9.0/files/opam"), None);
        assert_eq!(opam_file("packages/fmt/re.0.9.0/opam"), None);
        for odd in ["fmt", "fmt.", "re.1", "fmt-1", "fmt.1/2", "fmt..1", "fmt.1 2"] {
            assert!(version_of(&name, odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn names_that_are_made_to_mislead_are_refused_and_others_left_out() {
        for bad in ["..", "", "-rf", "a\nb", "a/b", "a\\b", "a\u{202e}b", "a\u{7f}"] {
            assert!(matches!(package_name(bad), Err(Oddity::Refused(_))), "{bad:?}");
            assert!(matches!(file_name(bad), Err(Oddity::Refused(_))), "{bad:?}");
        }
        for odd in ["a b", "123", "é", "a.b"] {
            assert!(matches!(package_name(odd), Err(Oddity::Ignored(_))), "{odd:?}");
        }
    }
}
