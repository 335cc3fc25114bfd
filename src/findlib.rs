//! META files of findlib: what they define, and how a definition is looked up.
//!
//! The format is described in findlib's reference manual ("META"). A file is untrusted text: it is
//! read into [`Meta`] under limits (see [`parse`](mod@parse)), and the directories it names are
//! [`LibDir`]s, which cannot leave the library root.

pub mod parse;
pub mod published;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::ops::Range;

use thiserror::Error;

/// Where the compiler's own libraries live below the library root; what `+dir` and `^dir` are
/// relative to.
pub const STDLIB: &str = "ocaml";

/// Library directories nest at most this deep.
const MAX_DIRECTORIES: usize = 64;

/// A META file, or the body of one `package "name" ( … )` in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// In the order of the text, which decides between definitions of equal rank.
    pub definitions: Vec<Definition>,
    /// In the order of the text; of two with one name the first counts.
    pub packages: Vec<SubPackage>,
}

/// A named package inside a META file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubPackage {
    /// One component of a dotted library name.
    pub name: String,
    /// What it defines; nothing is inherited but the directory.
    pub meta: Meta,
}

/// `variable(predicates) = "value"` or `+=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The variable that is defined.
    pub variable: String,
    /// All must hold for the definition to count.
    pub predicates: Vec<Predicate>,
    /// Whether it was written with `+=`.
    pub is_addition: bool,
    /// Without the quotes, escapes resolved.
    pub value: String,
    /// Bytes of the whole definition in the text it was read from.
    pub span: Range<usize>,
    /// Bytes of the value with its quotes.
    pub value_span: Range<usize>,
}

/// A condition on a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predicate {
    /// The predicate's name without a sign.
    pub name: String,
    /// Whether it was written with a leading `-`.
    pub is_negated: bool,
}

impl Definition {
    fn holds(&self, variable: &str, predicates: &[&str]) -> bool {
        self.variable == variable
            && self
                .predicates
                .iter()
                .all(|formal| predicates.contains(&formal.name.as_str()) != formal.is_negated)
    }
}

impl Meta {
    /// The value of `variable` when exactly `predicates` hold: of the `=` definitions that hold,
    /// the one with most predicates (the first of equals), followed by every `+=` that holds,
    /// separated by blanks. `None` when no definition holds.
    pub fn lookup(&self, variable: &str, predicates: &[&str]) -> Option<String> {
        let holding = || self.definitions.iter().filter(|one| one.holds(variable, predicates));
        let best = holding()
            .filter(|one| !one.is_addition)
            .reduce(|best, one| if one.predicates.len() > best.predicates.len() { one } else { best });
        let additions = holding().filter(|one| one.is_addition);
        let values: Vec<&str> = best.into_iter().chain(additions).map(|one| one.value.as_str()).collect();
        if values.is_empty() { None } else { Some(values.join(" ")) }
    }

    /// The words of a list value: separated by blanks or commas.
    pub fn words(&self, variable: &str, predicates: &[&str]) -> Vec<String> {
        let value = self.lookup(variable, predicates).unwrap_or_default();
        let words = value.split(|c: char| c == ',' || c.is_ascii_whitespace());
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    /// The libraries that other libraries `requires` names, under each of `settings` (sets of
    /// predicates), sorted, each once.
    pub fn requires(&self, settings: &[&[&str]]) -> Vec<String> {
        let all: BTreeSet<String> =
            settings.iter().flat_map(|predicates| self.words("requires", predicates)).collect();
        all.into_iter().collect()
    }

    /// Every `directory` that the text defines, in its order, whatever the predicates.
    fn directories(&self) -> impl Iterator<Item = &Definition> {
        self.definitions.iter().filter(|one| one.variable == "directory")
    }

    /// All libraries of this file, itself first, then its packages depth first. `name` is the
    /// findlib package's name, `directory` where the file's own libraries lie by default.
    pub fn libraries<'a>(&'a self, name: &str, directory: &LibDir) -> Vec<Library<'a>> {
        let (mut found, mut known) = (Vec::new(), HashSet::new());
        self.collect(name.to_owned(), directory, &mut known, &mut found);
        found
    }

    fn collect<'a>(
        &'a self,
        name: String,
        parent: &LibDir,
        known: &mut HashSet<String>,
        found: &mut Vec<Library<'a>>,
    ) {
        let mut directories = Vec::new();
        let mut escapes = Vec::new();
        for one in self.directories() {
            match parent.resolve(&one.value) {
                Ok(directory) => directories.push(directory),
                Err(escape) => escapes.push(escape),
            }
        }
        // The browser worker takes the first definition whatever its predicates.
        let directory = directories.first().unwrap_or(parent).clone();
        let packages = self.packages.iter();
        let children: Vec<_> = packages.map(|one| (format!("{name}.{}", one.name), &one.meta)).collect();
        known.insert(name.clone());
        found.push(Library { name, meta: self, directory: directory.clone(), directories, escapes });
        for (name, meta) in children {
            if !known.contains(&name) {
                meta.collect(name, &directory, known, found);
            }
        }
    }
}

/// One library of a META file.
#[derive(Clone, Debug)]
pub struct Library<'a> {
    /// Dotted name.
    pub name: String,
    /// Its definitions.
    pub meta: &'a Meta,
    /// Where it lies.
    pub directory: LibDir,
    /// Every directory that one of its definitions names.
    pub directories: Vec<LibDir>,
    /// Directories it names that lie outside the library root.
    pub escapes: Vec<DirectoryError>,
}

/// A directory below the library root (`<prefix>/lib`): names joined by `/`, none of them empty,
/// `.`, `..` or longer than 255 bytes, all of characters that mean nothing but themselves in a URL.
/// No name at all is the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LibDir(Vec<String>);

/// A `directory` that is not below the library root.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the directory `{0}` is not a plain path below the library root")]
pub struct DirectoryError(pub String);

impl LibDir {
    /// Reads a path relative to the library root; `.` and `..` are resolved.
    pub fn parse(path: &str) -> Result<Self, DirectoryError> {
        Self::default().resolve(path)
    }

    /// Where a `directory` value leads from here: relative to here, or to the compiler's library
    /// directory when it begins with `+` or `^`.
    pub fn resolve(&self, value: &str) -> Result<Self, DirectoryError> {
        let refused = || DirectoryError(value.chars().take(200).collect());
        let (mut names, rest) = match value.strip_prefix(['+', '^']) {
            Some(rest) => (vec![STDLIB.to_owned()], rest.trim_start_matches('/')),
            None if value.starts_with('/') => return Err(refused()),
            None => (self.0.clone(), value),
        };
        for name in rest.split('/') {
            match name {
                "" | "." => {}
                ".." => {
                    names.pop().ok_or_else(refused)?;
                }
                _ if name.len() > 255 || !is_plain(name) || names.len() >= MAX_DIRECTORIES => {
                    return Err(refused());
                }
                _ => names.push(name.to_owned()),
            }
        }
        Ok(Self(names))
    }

    /// The names, outermost first.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The relative path that leads from here to `other`; empty when they are the same.
    pub fn path_to(&self, other: &Self) -> String {
        let shared = self.0.iter().zip(&other.0).take_while(|(here, there)| here == there).count();
        let up = self.0[shared..].iter().map(|_| "..");
        up.chain(other.0[shared..].iter().map(String::as_str)).collect::<Vec<_>>().join("/")
    }
}

/// Whether a browser takes a name as it is: `%2e%2e`, `..\\` and `a?b` lead elsewhere than they say.
pub fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+~-@,=!:".contains(&byte))
}

impl fmt::Display for LibDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

/// A cycle among libraries that require one another, first name repeated at the end, or `None`.
/// Names that `requires` has no entry for are taken to require nothing.
pub fn cycle(requires: &BTreeMap<&str, Vec<&str>>) -> Option<Vec<String>> {
    // Iterative: the number of libraries is not bounded, the stack is.
    let mut done = BTreeSet::new();
    for start in requires.keys().copied() {
        let mut path: Vec<(&str, usize)> = vec![(start, 0)];
        let mut places = HashMap::from([(start, 0)]);
        while let Some((name, next)) = path.last_mut() {
            let Some(needed) = requires.get(name).and_then(|all| all.get(*next)).copied() else {
                done.insert(*name);
                places.remove(name);
                path.pop();
                continue;
            };
            *next += 1;
            if let Some(&first) = places.get(needed) {
                let names = path[first..].iter().map(|(name, _)| *name).chain([needed]);
                return Some(names.map(str::to_owned).collect());
            }
            if !done.contains(needed) {
                places.insert(needed, path.len());
                path.push((needed, 0));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(text: &str) -> Meta {
        Meta::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn most_predicates_win_and_additions_follow() {
        let text = r#"
            requires = "a"
            requires(mt) = "b"
            requires(mt,byte) = "c"
            requires(byte,mt) = "never: the first of equals wins"
            requires += "d"
            requires(-mt) += "e,f"
            requires(native) += "g"
        "#;
        let meta = meta(text);
        assert_eq!(meta.lookup("requires", &[]).unwrap(), "a d e,f");
        assert_eq!(meta.lookup("requires", &["mt"]).unwrap(), "b d");
        assert_eq!(meta.lookup("requires", &["mt", "byte"]).unwrap(), "c d");
        assert_eq!(meta.words("requires", &[]), ["a", "d", "e", "f"]);
        assert_eq!(meta.lookup("archive", &["byte"]), None);
        assert_eq!(meta.requires(&[&[], &["mt"]]), ["a", "b", "d", "e", "f"]);
    }

    #[test]
    fn an_empty_value_is_a_value() {
        assert_eq!(meta("archive(byte)=\"\"").lookup("archive", &["byte"]).unwrap(), "");
    }

    #[test]
    fn directories_follow_the_parent_and_the_compiler() {
        let text = r#"
            directory = "sub"
            package "a" ( directory = "more" package "b" ( ) )
            package "c" ( directory = "+threads" directory(mt) = "^vmthreads" )
            package "d" ( directory = "../../.." )
            package "e" ( directory = "/etc" )
            package "a" ( directory = "second of the name" )
        "#;
        let meta = meta(text);
        let libraries = meta.libraries("x", &LibDir::parse("x").unwrap());
        let shown: Vec<_> = libraries.iter().map(|one| format!("{} {}", one.name, one.directory)).collect();
        assert_eq!(
            shown,
            ["x x/sub", "x.a x/sub/more", "x.a.b x/sub/more", "x.c ocaml/threads", "x.d x/sub", "x.e x/sub"]
        );
        assert_eq!(libraries[3].directories[1].to_string(), "ocaml/vmthreads");
        assert_eq!(libraries[4].escapes.len(), 1);
        assert_eq!(libraries[5].escapes, [DirectoryError("/etc".into())]);
    }

    #[test]
    fn paths_between_directories_are_relative() {
        let at = |path| LibDir::parse(path).unwrap();
        assert_eq!(at("ocaml/stdlib").path_to(&at("ocaml")), "..");
        assert_eq!(at("str").path_to(&at("ocaml/str")), "../ocaml/str");
        assert_eq!(at("a").path_to(&at("a/b/c")), "b/c");
        assert_eq!(at("a").path_to(&at("a")), "");
        for refused in ["a/../..", "/a", "a\0b", &"x".repeat(256), &"x/".repeat(65)] {
            assert!(LibDir::parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn cycles_are_found_and_sharing_is_not_one() {
        let graph = |edges: &[(&'static str, &[&'static str])]| -> BTreeMap<&str, Vec<&str>> {
            edges.iter().map(|(name, needs)| (*name, needs.to_vec())).collect()
        };
        assert_eq!(cycle(&graph(&[("a", &["b", "c"]), ("b", &["c", "unknown"]), ("c", &[])])), None);
        let found = cycle(&graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])])).unwrap();
        assert_eq!(found, ["b", "c", "b"]);
        assert_eq!(cycle(&graph(&[("a", &["a"])])).unwrap(), ["a", "a"]);
    }
}
