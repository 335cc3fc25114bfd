//! `universe.lock`: what the universe left open and a run decided, so that the next run decides
//! the same. Written by jtwbuild only; the same content always gives the same bytes.

pub mod debian;
mod git;

use std::collections::BTreeMap;
use std::fmt::Write;

use self::debian::LockedLibraries;
use crate::diagnostic::{SourceError, SourceFile};
use crate::name::{PackageName, RecipeName};
use crate::source::git::{Commit, Question};
use crate::source::{PinnedDeb, Sha256};
use crate::toml_reader::{Table, TextError, Value, read_file};
use crate::version::Version;

/// The format that this jtwbuild writes, and the only one that it reads.
pub const FORMAT: u64 = 1;

/// Everything that is pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    pub bases: BTreeMap<RecipeName, LockedBase>,
    /// The version of every package of the solution.
    pub packages: BTreeMap<PackageName, Version>,
    /// The version of every package that those of the worker's tree are built with.
    pub tools: BTreeMap<PackageName, Version>,
    /// What the opam repositories held, in the order of the universe.
    pub repositories: Vec<LockedRepository>,
    /// The commits of branches and tags.
    pub git: BTreeMap<Question, Commit>,
    /// The libraries of a Debian suite.
    pub debian: Option<LockedLibraries>,
}

/// One opam repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedRepository {
    /// As the universe names it: when that changes, it is read anew.
    pub place: String,
    /// The commit, of a git repository.
    pub commit: Option<String>,
    /// The name of its content, in hexadecimal digits.
    pub tree: String,
}

/// The distribution packages of one base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedBase {
    pub suite: String,
    /// A fingerprint of what the recipe asked the suite for: when that changes, the packages are
    /// chosen anew.
    pub asked: String,
    /// The date of the release file that the packages were taken from, as it states it.
    pub release_date: String,
    /// In the order in which they are unpacked.
    pub packages: Vec<PinnedDeb>,
}

impl Lock {
    /// Reads a lock file.
    pub fn read(file: &SourceFile) -> Result<Self, SourceError> {
        read_file(file, "lock", |table| {
            let format = table.required("format", |value| {
                let format = value.integer(0..=u64::from(u32::MAX))?;
                if format != FORMAT {
                    let message =
                        format!("the lock has format {format}, and this jtwbuild reads format {FORMAT}");
                    let help = "`jtwbuild update` writes it anew, or use the jtwbuild that wrote it";
                    value.problem("format", message, "another format", Some(help.into()));
                }
                Some(())
            });
            let bases = table.optional("base", |value| {
                value.map(|place, name, value| {
                    let Some(name) = RecipeName::new(name) else {
                        place.problem("name", "this is not the name of a base", "bad name", None);
                        return None;
                    };
                    Some((name, value.table(read_base)?))
                })
            });
            let packages = table.optional("package", read_versions);
            let tools = table.optional("tools", |value| {
                value.table(|table| Some(table.optional("package", read_versions)))
            });
            let repositories = table.optional("repository", |value| {
                value.list(|value| {
                    value.table(|table| {
                        let place = table.required("place", Value::owned_string);
                        let commit = table.optional("commit", Value::word);
                        let tree = table.required("tree", Value::word);
                        Some(LockedRepository { place: place?, commit, tree: tree? })
                    })
                })
            });
            let git = table.optional("git", |value| value.list(|value| value.table(git::read)));
            let debian = table.optional("debian", |value| value.table(debian::read));
            format?;
            Some(Self {
                bases: bases.unwrap_or_default().into_iter().collect(),
                packages: packages.unwrap_or_default(),
                tools: tools.flatten().unwrap_or_default(),
                repositories: repositories.unwrap_or_default(),
                git: git.unwrap_or_default().into_iter().collect(),
                debian,
            })
        })
    }

    /// The text of the lock file.
    pub fn render(&self) -> String {
        let mut text = String::from("# Written by jtwbuild; `jtwbuild update` renews it.\n");
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "format = {FORMAT}")?;
        for repository in &self.repositories {
            writeln!(text, "\n[[repository]]\nplace = {}", quoted(&repository.place))?;
            if let Some(commit) = &repository.commit {
                writeln!(text, "commit = {}", quoted(commit))?;
            }
            writeln!(text, "tree = {}", quoted(&repository.tree))?;
        }
        git::write(&self.git, text)?;
        for (section, versions) in [("package", &self.packages), ("tools.package", &self.tools)] {
            for (name, version) in versions {
                writeln!(
                    text,
                    "\n[[{section}]]\nname = {}\nversion = {}",
                    quoted(name.as_str()),
                    quoted(version.as_str())
                )?;
            }
        }
        if let Some(libraries) = &self.debian {
            debian::write(libraries, text)?;
        }
        for (name, base) in &self.bases {
            let name = quoted(name.as_str());
            writeln!(text, "\n[base.{name}]\nsuite = {}", quoted(&base.suite))?;
            writeln!(text, "asked = {}", quoted(&base.asked))?;
            writeln!(text, "release-date = {}", quoted(&base.release_date))?;
            for deb in &base.packages {
                writeln!(text, "\n[[base.{name}.package]]\nname = {}", quoted(&deb.name))?;
                writeln!(text, "version = {}\npath = {}", quoted(&deb.version), quoted(&deb.path))?;
                writeln!(text, "size = {}\nsha256 = \"{}\"", deb.size, deb.sha256)?;
            }
        }
        Ok(())
    }
}

fn read_versions(value: Value<'_>) -> Option<BTreeMap<PackageName, Version>> {
    let versions = value.list(|value| {
        value.table(|table| {
            let name = table.required("name", Value::text);
            let version = table.required("version", Value::text);
            Some((name?, version?))
        })
    })?;
    Some(versions.into_iter().collect())
}

fn read_base(table: &mut Table<'_>) -> Option<LockedBase> {
    let suite = table.required("suite", Value::word);
    let asked = table.required("asked", Value::owned_string);
    let release_date = table.required("release-date", Value::owned_string);
    let packages = table.optional("package", |value| value.list(|value| value.table(read_deb)));
    Some(LockedBase {
        suite: suite?,
        asked: asked?,
        release_date: release_date?,
        packages: packages.unwrap_or_default(),
    })
}

fn read_deb(table: &mut Table<'_>) -> Option<PinnedDeb> {
    let name = table.required("name", Value::word);
    let version = table.required("version", Value::word);
    let path = table.required("path", |value| {
        value.text::<crate::path::RelativePath>().map(|path| path.as_str().to_owned())
    });
    let size = table.required("size", |value| value.integer(0..=1 << 40));
    let sha256 = table.required("sha256", |value| {
        value.text_with(|text| {
            Sha256::from_hex(text).ok_or_else(|| TextError {
                code: "checksum",
                message: "this is not a SHA-256 checksum".into(),
                label: "64 hexadecimal digits are expected".into(),
                help: None,
                within: None,
            })
        })
    });
    Some(PinnedDeb { name: name?, version: version?, path: path?, size: size?, sha256: sha256? })
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            // Never fails: it is a string.
            character if character.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::diagnostic::golden;
    use crate::source::git::{GitUrl, Reference};

    /// Numbers that look random and are the same in every run.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % bound
        }

        fn text(&mut self, alphabet: &str) -> String {
            let alphabet: Vec<char> = alphabet.chars().collect();
            (0..=self.below(12)).map(|_| alphabet[self.below(alphabet.len())]).collect()
        }
    }

    fn any_lock(numbers: &mut Numbers) -> Lock {
        let words = "abcXYZ019_+";
        let mut lock = Lock::default();
        for at in 0..numbers.below(9) {
            let name = PackageName::new(&format!("p{}", numbers.text(words))).unwrap();
            let versions = if at < 5 { &mut lock.packages } else { &mut lock.tools };
            versions.insert(name, Version::new(&numbers.text("019a~+")).unwrap());
        }
        for _ in 0..numbers.below(4) {
            let reference = match numbers.below(3) {
                0 => Reference::Head,
                1 => Reference::Branch(format!("b/{}", numbers.text(words))),
                _ => Reference::Tag(format!("v{}", numbers.text("0123"))),
            };
            let url = GitUrl::new(&format!("https://h/{}", numbers.text(words))).unwrap();
            let commit = Commit::new(&numbers.below(10).to_string().repeat(40)).unwrap();
            lock.git.insert(Question { url, reference }, commit);
        }
        for _ in 0..numbers.below(3) {
            let packages = (0..numbers.below(4)).map(|_| PinnedDeb {
                name: format!("d{}", numbers.text(words)),
                version: format!("1{}", numbers.text("0123:~-+\"\\é")),
                path: format!("pool/{}", numbers.text("ab\\\"'~ \u{7f}\n")),
                size: numbers.below(1 << 30) as u64,
                sha256: Sha256::from_bytes([u8::try_from(numbers.below(256)).unwrap(); 32]),
            });
            let packages = packages.collect();
            let release_date = numbers.text("Sun, 01 Jan\t\"\u{1}\u{85}");
            let base = LockedBase {
                suite: format!("s{}", numbers.text(words)),
                asked: numbers.text(words),
                release_date,
                packages,
            };
            lock.bases.insert(RecipeName::new(&format!("b{}", numbers.text("ab.c-"))).unwrap(), base);
        }
        lock
    }

    #[test]
    fn what_is_rendered_is_read_as_the_same_lock() {
        let mut numbers = Numbers(1);
        for round in 0..500 {
            let lock = any_lock(&mut numbers);
            let text = lock.render();
            match Lock::read(&SourceFile::new("universe.lock", &text)) {
                Ok(read) => {
                    assert_eq!(read, lock, "round {round}:\n{text}");
                    assert_eq!(read.render(), text);
                }
                Err(error) => panic!("round {round}: {error}\n{text}"),
            }
        }
    }

    #[test]
    fn the_text_of_a_lock() {
        let sha256 = Sha256::from_bytes([7; 32]);
        let deb = PinnedDeb {
            name: "ocaml".into(),
            version: "5.4.1-1".into(),
            path: "pool/o.deb".into(),
            size: 9,
            sha256,
        };
        let base = LockedBase {
            suite: "forky".into(),
            asked: "0123456789abcdef".into(),
            release_date: "Sat, 01 Aug 2026".into(),
            packages: vec![deb],
        };
        let packages = [("re", "1.14.0"), ("fmt", "0.9.0")];
        let repository = LockedRepository {
            place: "https://example.org/opam.git".into(),
            commit: Some("c0ffee".into()),
            tree: "00".into(),
        };
        let asked = |url: &str, reference| Question { url: GitUrl::new(url).unwrap(), reference };
        let commit = Commit::new(&"0123456789".repeat(4)).unwrap();
        let git = [
            (asked("https://example.org/worker.git", Reference::Head), commit.clone()),
            (asked("https://example.org/worker.git", Reference::Branch("main".into())), commit.clone()),
            (asked("file:///srv/fmt", Reference::Tag("v1".into())), commit),
        ];
        let lock = Lock {
            repositories: vec![repository],
            git: git.into(),
            bases: [(RecipeName::new("ocaml").unwrap(), base)].into(),
            packages: packages
                .map(|(name, version)| (PackageName::new(name).unwrap(), Version::new(version).unwrap()))
                .into(),
            tools: [(PackageName::new("ocaml").unwrap(), Version::new("5.4.1").unwrap())].into(),
            debian: None,
        };
        assert_snapshot!(lock.render());
    }

    #[test]
    fn a_lock_that_cannot_be_read_is_told_in_full() {
        let text = "format = 2\n[[git]]\nurl = \"ext::sh\"\ncommit = \"main\"\n\
            [[git]]\nurl = \"https://h/r\"\nbranch = \"a\"\ntag = \"-u\"\n[[package]]\nname = \"fmt\"\nversion = 1\n[base.\"a/b\"]\n[base.ocaml]\nsuite = \"forky\"\n\
            [[base.ocaml.package]]\nname = \"x\"\nversion = \"1\"\npath = \"../x\"\nsize = -1\nsha256 = \"0\"\n";
        assert_snapshot!(golden(&Lock::read(&SourceFile::new("universe.lock", text)).unwrap_err()));
    }
}
