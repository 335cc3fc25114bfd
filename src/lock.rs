//! `universe.lock`: what the universe left open and a run decided, so that the next run decides
//! the same. Written by jtwbuild only; the same content always gives the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::diagnostic::{SourceError, SourceFile};
use crate::name::{PackageName, RecipeName};
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
}

/// The distribution packages of one base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedBase {
    pub suite: String,
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
                        format!("the lock has format {format}, this jtwbuild reads format {FORMAT}");
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
            let packages = table.optional("package", |value| {
                value.list(|value| {
                    value.table(|table| {
                        let name = table.required("name", Value::text);
                        let version = table.required("version", Value::text);
                        Some((name?, version?))
                    })
                })
            });
            format?;
            Some(Self {
                bases: bases.unwrap_or_default().into_iter().collect(),
                packages: packages.unwrap_or_default().into_iter().collect(),
            })
        })
    }

    /// The text of the lock file.
    pub fn render(&self) -> String {
        let mut text = String::from("# Written by jtwbuild; `jtwbuild update` renews it.\n");
        self.write(&mut text).expect("writing to a string cannot fail");
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "format = {FORMAT}")?;
        for (name, version) in &self.packages {
            writeln!(
                text,
                "\n[[package]]\nname = {}\nversion = {}",
                quoted(name.as_str()),
                quoted(version.as_str())
            )?;
        }
        for (name, base) in &self.bases {
            let name = quoted(name.as_str());
            writeln!(text, "\n[base.{name}]\nsuite = {}", quoted(&base.suite))?;
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

fn read_base(table: &mut Table<'_>) -> Option<LockedBase> {
    let suite = table.required("suite", Value::word);
    let release_date = table.required("release-date", Value::owned_string);
    let packages = table.optional("package", |value| value.list(|value| value.table(read_deb)));
    Some(LockedBase { suite: suite?, release_date: release_date?, packages: packages.unwrap_or_default() })
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
