//! `packages.json`: what a universe's packages are, for people who look for one.
//!
//! Descriptions come from whoever wrote a package. Each is made one line of limited length without
//! characters that reorder what is around them, and the file's JSON could stand in a page as it is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{AssembleError, PackageSummary, Placed, path};
use crate::findlib::{LibDir, Meta};
use crate::jtw::{DynamicCmis, LibraryRecord};
use crate::store::staging::Staging;
use crate::store::tree::{Name, Node, Tree};

/// The file's name, beside the index of its universe.
pub const FILE_NAME: &str = "packages.json";

/// Raised when readers would misunderstand the file; additions do not raise it.
const FORMAT: u32 = 1;

/// Characters of a description, and of a licence.
const LONGEST_LINE: usize = 300;
/// Bytes of a home page's address, and of a name. What is longer is left out: half an address or
/// half a name is none.
const LONGEST_ADDRESS: usize = 500;
const LONGEST_NAME: usize = 255;
/// Names of modules of one directory, and of primitives of one library. The rest is left out.
const MOST_NAMES: usize = 2000;

/// The content of the file. Paths are relative to its directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages {
    pub format: u32,
    /// Sorted by name.
    pub packages: Vec<PackageLine>,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageLine {
    pub name: String,
    pub version: String,
    /// One line.
    pub description: String,
    /// An `http` or `https` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Whether the universe names it, rather than another package.
    pub asked_for: bool,
    pub content_hash: String,
    /// Where its files are; those below are relative to it.
    pub lib: String,
    /// The packages that its libraries require libraries of, sorted.
    pub depends: Vec<String>,
    pub libraries: Vec<LibraryLine>,
    /// Directories with interfaces, sorted.
    pub directories: Vec<DirectoryLine>,
}

/// One findlib library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryLine {
    /// Dotted name.
    pub name: String,
    /// One line, as its META has it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where its interfaces are: a path of [`DirectoryLine`], if there are any.
    pub directory: String,
    /// Libraries that are loaded before it.
    pub requires: Vec<String>,
    pub archives: Vec<ArchiveLine>,
    /// C primitives that it needs and nothing in the universe provides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_primitives: Vec<String>,
}

/// One archive, compiled to JavaScript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveLine {
    pub path: String,
    /// Before compression: a universe's address says nothing of how its files are compressed.
    pub bytes: u64,
}

/// One directory with compiled interfaces, which workers fetch when they first need them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryLine {
    pub path: String,
    /// Interfaces in it, and their size together.
    pub interfaces: usize,
    pub bytes: u64,
    /// Modules that a user may name, sorted.
    pub modules: Vec<String>,
}

impl Packages {
    /// The file's bytes. What HTML or JavaScript could take for its own is escaped.
    pub fn to_json(&self) -> Vec<u8> {
        let json = serde_json::to_string(self).expect("texts and numbers are always JSON");
        let mut safe = String::with_capacity(json.len());
        for character in json.chars() {
            // Outside of strings JSON has none of these.
            match character {
                '<' => safe.push_str("\\u003c"),
                '>' => safe.push_str("\\u003e"),
                '&' => safe.push_str("\\u0026"),
                '\u{2028}' => safe.push_str("\\u2028"),
                '\u{2029}' => safe.push_str("\\u2029"),
                _ => safe.push(character),
            }
        }
        safe.into_bytes()
    }
}

/// Describes the members of a universe, seen from two directories below the site's root.
///
/// # Errors
/// When the store fails.
pub(super) fn describe(
    placed: &[Placed<'_>],
    summaries: &[PackageSummary],
    staging: &Staging,
) -> Result<Packages, AssembleError> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for one in placed {
        for library in &one.record.libraries {
            owners.entry(&library.name).or_insert(one.member.name);
        }
    }
    let mut packages = Vec::with_capacity(placed.len());
    for (one, summary) in placed.iter().zip(summaries) {
        let nothing = Tree::default();
        let lib = one.member.layer.directory(&path("lib")?).unwrap_or(&nothing);
        let told = descriptions(&one.record.metas, lib, staging)?;
        let named = one.record.libraries.iter().zip(&summary.libraries);
        let named = named.filter(|(library, _)| library.name.len() <= LONGEST_NAME);
        let libraries = named.map(|(library, summary)| LibraryLine {
            name: library.name.clone(),
            description: told.get(&library.name).cloned().unwrap_or_default(),
            directory: library.directory.clone(),
            requires: names(&library.requires),
            archives: archives(library, lib),
            missing_primitives: names(&summary.missing_primitives),
        });
        let required = one.record.libraries.iter().flat_map(|library| &library.requires);
        let depends: BTreeSet<&str> = required
            .filter_map(|name| owners.get(name.as_str()).copied())
            .filter(|owner| *owner != one.member.name)
            .collect();
        packages.push(PackageLine {
            name: one.member.name.to_owned(),
            version: one.member.version.to_owned(),
            description: line(one.member.description),
            homepage: one.member.homepage.and_then(address),
            license: one.member.license.map(line).filter(|text| !text.is_empty()),
            asked_for: one.member.is_target,
            content_hash: one.hash.clone(),
            lib: format!("../../{}/lib", one.place()),
            depends: depends.into_iter().map(str::to_owned).collect(),
            libraries: libraries.collect(),
            directories: directories(lib),
        });
    }
    Ok(Packages { format: FORMAT, packages })
}

/// What META files say about their libraries.
fn descriptions(
    metas: &[String],
    lib: &Tree,
    staging: &Staging,
) -> Result<BTreeMap<String, String>, AssembleError> {
    let mut told = BTreeMap::new();
    for meta in metas {
        let at = path(meta)?;
        let directory = at.parent().unwrap_or_default();
        let (Some(name), Some(Node::File(file))) =
            (directory.file_name().and_then(Name::as_str), lib.get(&at))
        else {
            continue;
        };
        // Nothing but its descriptions is missing when it cannot be read.
        let Ok(read) = Meta::parse(&staging.read(file)?) else { continue };
        for library in read.libraries(name, &LibDir::default()) {
            if let Some(text) = library.meta.lookup("description", &["byte"]) {
                told.entry(library.name).or_insert_with(|| line(&text));
            }
        }
    }
    Ok(told)
}

fn archives(library: &LibraryRecord, lib: &Tree) -> Vec<ArchiveLine> {
    let placed = library.archives.iter().filter_map(|archive| match lib.get(&path(archive).ok()?) {
        Some(Node::File(file)) => Some(ArchiveLine { path: archive.clone(), bytes: file.size }),
        _ => None,
    });
    placed.collect()
}

fn directories(lib: &Tree) -> Vec<DirectoryLine> {
    let mut found: BTreeMap<String, (Vec<Name>, u64)> = BTreeMap::new();
    for (at, file) in lib.files() {
        if let Some(name) = at.file_name().filter(|name| name.as_bytes().ends_with(b".cmi")) {
            let directory = found.entry(at.parent().unwrap_or_default().to_string()).or_default();
            directory.0.push(name.clone());
            directory.1 += file.size;
        }
    }
    let line = |(path, (units, bytes)): (String, (Vec<Name>, u64))| {
        let described = DynamicCmis::describe(String::new(), units.iter(), Vec::new());
        DirectoryLine {
            path,
            interfaces: units.len(),
            bytes,
            modules: names(&described.dcs_toplevel_modules),
        }
    };
    found.into_iter().map(line).collect()
}

/// Those that are not too long, and not too many of them.
fn names(all: &[String]) -> Vec<String> {
    all.iter().filter(|name| name.len() <= LONGEST_NAME).take(MOST_NAMES).cloned().collect()
}

/// One line of `text`: blanks and control characters are one space, those that change the direction
/// of writing are nothing, and what is too long ends in `…`.
fn line(text: &str) -> String {
    let turns = |one: char| matches!(one, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut line = String::new();
    let mut count = 0;
    for word in text.split(|one: char| one.is_whitespace() || one.is_control()) {
        let word: Vec<char> = word.chars().filter(|one| !turns(*one)).collect();
        if word.is_empty() {
            continue;
        }
        if count > 0 {
            line.push(' ');
            count += 1;
        }
        for one in word {
            if count == LONGEST_LINE {
                line.push('…');
                return line;
            }
            line.push(one);
            count += 1;
        }
    }
    line
}

/// An address that a page may link to.
fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\`".contains(&byte));
    (is_plain && !rest.is_empty() && text.len() <= LONGEST_ADDRESS).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
