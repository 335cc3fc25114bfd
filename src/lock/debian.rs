//! `[debian]`: the packages of libraries of a suite.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{quoted, read_deb};
use crate::name::PackageName;
use crate::source::PinnedDeb;
use crate::toml_reader::{Table, Value};
use crate::version::Version;

/// The packages of libraries that a universe takes from a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedLibraries {
    pub suite: String,
    /// A fingerprint of what was asked for: when that changes, the packages are chosen anew.
    pub asked: String,
    /// The date of the release file that the packages were taken from, as it states it.
    pub release_date: String,
    pub libraries: BTreeMap<PackageName, LockedLibrary>,
}

/// One package of libraries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedLibrary {
    /// The package of this name, then those with its runtime files.
    pub debs: Vec<PinnedDeb>,
    /// That of the first, without an epoch, which is no part of what users see.
    pub version: Version,
    /// One line.
    pub description: String,
    /// Packages of libraries that it depends on, sorted.
    pub needs: Vec<PackageName>,
}

impl LockedLibrary {
    /// A package of libraries as its packages say; nothing if its version cannot be part of a file's
    /// name.
    pub fn new(debs: Vec<PinnedDeb>, description: String, needs: Vec<PackageName>) -> Option<Self> {
        let version = &debs.first()?.version;
        let version = Version::new(version.split_once(':').map_or(version.as_str(), |(_, rest)| rest))?;
        Some(Self { debs, version, description, needs })
    }
}

/// One entry of the list.
struct Entry {
    deb: PinnedDeb,
    /// The package of libraries that it has runtime files of.
    of: Option<PackageName>,
    description: String,
    needs: Vec<PackageName>,
}

pub(super) fn read(table: &mut Table<'_>) -> Option<LockedLibraries> {
    let suite = table.required("suite", Value::word);
    let asked = table.required("asked", Value::owned_string);
    let release_date = table.required("release-date", Value::owned_string);
    let mut libraries: BTreeMap<PackageName, LockedLibrary> = BTreeMap::new();
    table.optional("package", |value| {
        value.list(|place| {
            let Entry { deb, of, description, needs } = place.table(read_entry)?;
            match of {
                None => {
                    let name = PackageName::new(&deb.name);
                    let library = LockedLibrary::new(vec![deb], description, needs);
                    let Some((name, library)) = name.zip(library) else {
                        let message = "no package of libraries can have this name and version";
                        place.problem("package", message, "cannot be used", None);
                        return None;
                    };
                    libraries.insert(name, library);
                }
                Some(of) => match libraries.get_mut(&of) {
                    Some(library) => library.debs.push(deb),
                    None => {
                        let message = format!("there is no package `{of}` before this one");
                        place.problem("package", message, "belongs to nothing", None);
                        return None;
                    }
                },
            }
            Some(())
        })
    });
    Some(LockedLibraries { suite: suite?, asked: asked?, release_date: release_date?, libraries })
}

fn read_entry(table: &mut Table<'_>) -> Option<Entry> {
    let of = table.optional("of", Value::text);
    let description = table.optional("description", Value::owned_string);
    let needs = table.optional("needs", |value| value.list(Value::text));
    let deb = read_deb(table)?;
    Some(Entry { deb, of, description: description.unwrap_or_default(), needs: needs.unwrap_or_default() })
}

pub(super) fn write(locked: &LockedLibraries, text: &mut String) -> std::fmt::Result {
    writeln!(text, "\n[debian]\nsuite = {}", quoted(&locked.suite))?;
    writeln!(text, "asked = {}\nrelease-date = {}", quoted(&locked.asked), quoted(&locked.release_date))?;
    for (name, library) in &locked.libraries {
        for (at, deb) in library.debs.iter().enumerate() {
            writeln!(text, "\n[[debian.package]]\nname = {}", quoted(&deb.name))?;
            if at > 0 {
                writeln!(text, "of = {}", quoted(name.as_str()))?;
            } else {
                writeln!(text, "description = {}", quoted(&library.description))?;
                let needs: Vec<String> = library.needs.iter().map(|name| quoted(name.as_str())).collect();
                writeln!(text, "needs = [{}]", needs.join(", "))?;
            }
            writeln!(text, "version = {}\npath = {}", quoted(&deb.version), quoted(&deb.path))?;
            writeln!(text, "size = {}\nsha256 = \"{}\"", deb.size, deb.sha256)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::{SourceFile, golden};
    use crate::lock::Lock;
    use crate::name::PackageName;
    use crate::source::{PinnedDeb, Sha256};

    use super::{LockedLibraries, LockedLibrary};

    fn deb(name: &str) -> PinnedDeb {
        let sha256 = Sha256::from_bytes([7; 32]);
        PinnedDeb {
            name: name.into(),
            version: "1:0.11~x-1+b5".into(),
            path: "pool/o.deb".into(),
            size: 9,
            sha256,
        }
    }

    fn locked() -> Lock {
        let name = |text: &str| PackageName::new(text).unwrap();
        let debs = vec![deb("libfmt-ocaml-dev"), deb("libfmt-ocaml")];
        let needs = vec![name("libstdlib-ocaml-dev")];
        let fmt = LockedLibrary::new(debs, "says \"hello\"".into(), needs).unwrap();
        let stdlib = LockedLibrary::new(vec![deb("libstdlib-ocaml-dev")], String::new(), vec![]).unwrap();
        assert_eq!(fmt.version.as_str(), "0.11~x-1+b5");
        let libraries = [(name("libfmt-ocaml-dev"), fmt), (name("libstdlib-ocaml-dev"), stdlib)].into();
        let debian = LockedLibraries {
            suite: "forky".into(),
            asked: "0123".into(),
            release_date: "Sat, 01 Aug 2026".into(),
            libraries,
        };
        Lock { debian: Some(debian), ..Lock::default() }
    }

    #[test]
    fn libraries_are_read_as_they_are_written() {
        let (lock, text) = (locked(), locked().render());
        assert_eq!(Lock::read(&SourceFile::new("universe.lock", &text)).unwrap(), lock);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn runtime_files_of_nothing_are_told() {
        let text = locked().render().replace("of = \"libfmt", "of = \"libfnt");
        insta::assert_snapshot!(golden(&Lock::read(&SourceFile::new("universe.lock", &text)).unwrap_err()));
    }
}
