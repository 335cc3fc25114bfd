//! `.install` files: what a package asks to have installed, as a tree at the prefix.
//!
//! The format and the meaning of its fields are described in opam's manual ("&lt;pkgname&gt;.install").
//! Sources and destinations are checked paths below the build directory and below the prefix, and
//! the result is a [`Tree`]: nothing in the text can name another place.

pub mod parse;

use thiserror::Error;

use crate::store::tree::{File, Name, Node, RelPath, Tree, TreeError};

pub use self::parse::SyntaxError;
use self::parse::{Entry, Item};

/// A package that installs more files than this is refused.
pub const MAX_FILES: usize = 100_000;

/// Why a `.install` file cannot be followed.
#[derive(Debug, Error)]
pub enum InstallError {
    /// The text is not a `.install` file.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A section that opam does not have.
    #[error("line {line}: `{field}` is not a section of a .install file")]
    UnknownField { line: usize, field: String },
    /// `misc` installs at absolute paths, which lie outside the prefix.
    #[error("line {0}: `misc` installs outside the prefix")]
    Misc(usize),
    /// A source or a destination that is absolute or leads outside.
    #[error("line {line}: {what} `{path}` is not a relative path without `..`")]
    Path { line: usize, what: &'static str, path: String },
    /// A source that is not optional and not there.
    #[error("line {line}: `{path}` was not built")]
    MissingSource { line: usize, path: String },
    /// A file where a directory is needed, or the other way round.
    #[error("line {line}: {source}")]
    Conflict { line: usize, source: TreeError },
    /// The package's name cannot be a directory.
    #[error("the package name `{0}` cannot be a directory")]
    Package(String),
    /// More than [`MAX_FILES`].
    #[error("more than {MAX_FILES} files are installed")]
    TooManyFiles,
}

/// A section of a `.install` file.
struct Section {
    name: &'static str,
    /// Directory below the prefix.
    directory: &'static str,
    /// Whether the package's name is one more directory.
    is_per_package: bool,
    is_executable: bool,
}

const SECTIONS: [Section; 14] = [
    section("lib", "lib", true, false),
    section("lib_root", "lib", false, false),
    section("libexec", "lib", true, true),
    section("libexec_root", "lib", false, true),
    section("bin", "bin", false, true),
    section("sbin", "sbin", false, true),
    section("toplevel", "lib/toplevel", false, false),
    section("share", "share", true, false),
    section("share_root", "share", false, false),
    section("etc", "etc", true, false),
    section("doc", "doc", true, false),
    section("man", "man", false, false),
    section("stublibs", "lib/stublibs", false, true),
    section("misc", "", false, false),
];

const fn section(
    name: &'static str,
    directory: &'static str,
    is_per_package: bool,
    is_executable: bool,
) -> Section {
    Section { name, directory, is_per_package, is_executable }
}

/// What the `.install` file `text` of `package` installs, as paths below the prefix.
///
/// `sources` gives the file at a path below the directory that the `.install` file is in, or
/// `None`. A source whose name begins with `?` may be missing. Executable are the files of `bin`,
/// `sbin`, `libexec` and `stublibs`, and no others, whatever they were in the build directory.
pub fn interpret(
    text: &[u8],
    package: &str,
    sources: &dyn Fn(&RelPath) -> Option<File>,
) -> Result<Tree, InstallError> {
    let package_name =
        Name::new(package.as_bytes()).map_err(|_| InstallError::Package(package.to_owned()))?;
    let mut tree = Tree::default();
    let mut count = 0_usize;
    for Entry { line, field, items } in parse::parse(text)? {
        if field == "opam-version" || field.starts_with("x-") {
            continue;
        }
        let Some(section) = SECTIONS.iter().find(|section| section.name == field) else {
            return Err(InstallError::UnknownField { line, field });
        };
        if section.directory.is_empty() {
            match items.first() {
                Some(first) => return Err(InstallError::Misc(first.line)),
                None => continue,
            }
        }
        let mut directory = RelPath::parse(section.directory).expect("the table holds relative paths");
        if section.is_per_package {
            directory = directory.join(package_name.clone());
        }
        for item in items {
            count += 1;
            if count > MAX_FILES {
                return Err(InstallError::TooManyFiles);
            }
            place(&item, section, &directory, sources, &mut tree)?;
        }
    }
    Ok(tree)
}

fn place(
    item: &Item,
    section: &Section,
    directory: &RelPath,
    sources: &dyn Fn(&RelPath) -> Option<File>,
    tree: &mut Tree,
) -> Result<(), InstallError> {
    let line = item.line;
    let (is_optional, source) = match item.source.strip_prefix('?') {
        Some(rest) => (true, rest),
        None => (false, item.source.as_str()),
    };
    let from = checked(source, "the source", line)?;
    let name = from.file_name().ok_or_else(|| path_error(source, "the source", line))?;
    let below = match &item.destination {
        Some(text) => checked(text, "the destination", line)?,
        None if section.name == "man" => manual_page(name),
        None => RelPath::default().join(name.clone()),
    };
    if below.names().is_empty() {
        return Err(path_error("", "the destination", line));
    }
    match sources(&from) {
        Some(file) => {
            let node = Node::File(File { executable: section.is_executable, ..file });
            let path = directory.extend(&below);
            // Opam copies one after the other: of two files for one place the later one stays.
            if matches!(tree.get(&path), Some(Node::File(_))) {
                tree.remove(&path);
            }
            tree.insert(&path, node).map_err(|source| InstallError::Conflict { line, source })
        }
        None if is_optional => Ok(()),
        None => Err(InstallError::MissingSource { line, path: source.to_owned() }),
    }
}

/// `foo.3o` goes to `man3/foo.3o`; a page without a section number stays where it is.
fn manual_page(name: &Name) -> RelPath {
    let bytes = name.as_bytes();
    let extension = bytes.iter().rposition(|byte| *byte == b'.').and_then(|dot| bytes.get(dot + 1));
    let page = RelPath::default().join(name.clone());
    match extension {
        Some(digit @ b'1'..=b'9') => RelPath::parse(format!("man{}", char::from(*digit)))
            .expect("a word and a digit are a path")
            .extend(&page),
        _ => page,
    }
}

/// A path of the text as a path that stays below. `./` and repeated slashes are tolerated, as
/// build systems write them.
fn checked(text: &str, what: &'static str, line: usize) -> Result<RelPath, InstallError> {
    if text.starts_with('/') {
        return Err(path_error(text, what, line));
    }
    let plain: Vec<&str> = text.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    RelPath::parse(plain.join("/")).map_err(|_| path_error(text, what, line))
}

fn path_error(text: &str, what: &'static str, line: usize) -> InstallError {
    InstallError::Path { line, what, path: text.chars().take(200).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tree::BlobHash;

    fn built(path: &RelPath) -> Option<File> {
        let text = path.to_string();
        (!text.contains("absent")).then(|| File {
            blob: BlobHash::from_bytes(*blake3::hash(text.as_bytes()).as_bytes()),
            size: text.len() as u64,
            executable: true,
        })
    }

    fn install(text: &str) -> Result<Tree, InstallError> {
        interpret(text.as_bytes(), "foo", &built)
    }

    fn listing(text: &str) -> Vec<String> {
        let files = install(text).unwrap().files();
        files.iter().map(|(path, file)| format!("{path}{}", if file.executable { "*" } else { "" })).collect()
    }

    #[test]
    fn every_section_has_its_place_and_mode() {
        let text = r#"
            lib: [ "_build/META" "pkg/foo.cma" {"sub/foo.cma"} "?absent.cmt" ]
            lib_root: "x" {"other/x"}
            libexec: ["helper"] libexec_root: ["root"] bin: ["./b//foo.exe" {"foo"}] sbin: ["d"]
            toplevel: ["foo.ml"] share: ["s"] share_root: ["r"] etc: ["e"] doc: ["README.md"]
            man: ["foo.1" "doc/foo.3o" "plain" "k.1" {"man7/k.7"}] stublibs: ["dllfoo.so"] misc: []
        "#;
        assert_eq!(
            listing(text),
            [
                "bin/foo*",
                "doc/foo/README.md",
                "etc/foo/e",
                "lib/foo/META",
                "lib/foo/helper*",
                "lib/foo/sub/foo.cma",
                "lib/other/x",
                "lib/root*",
                "lib/stublibs/dllfoo.so*",
                "lib/toplevel/foo.ml",
                "man/man1/foo.1",
                "man/man3/foo.3o",
                "man/man7/k.7",
                "man/plain",
                "sbin/d*",
                "share/foo/s",
                "share/r",
            ]
        );
    }

    #[test]
    fn nothing_is_installed_outside() {
        for text in [
            r#"lib: ["a" {"../../x"}]"#,
            r#"lib: ["a" {"/etc/x"}]"#,
            r#"lib: ["../secret"]"#,
            r#"lib: ["/etc/passwd"]"#,
            r#"lib: ["?../secret"]"#,
            r#"bin: ["a" {"b/../../../x"}]"#,
            r#"bin: ["a" {"b\000c"}]"#,
            r#"bin: ["a" {"."}]"#,
            r#"bin: [""]"#,
        ] {
            assert!(matches!(install(text), Err(InstallError::Path { .. })), "{text}");
        }
        assert!(matches!(install(r#"misc: ["a" {"/etc/x"}]"#), Err(InstallError::Misc(1))));
        for name in ["..", "", "a/b"] {
            assert!(matches!(interpret(b"", name, &built), Err(InstallError::Package(_))), "{name}");
        }
    }

    #[test]
    fn look_alikes_and_clashes_are_told_apart() {
        assert_eq!(listing(r#"lib: ["a"] lib_root: ["a" {"foobar/a"}]"#), ["lib/foo/a", "lib/foobar/a"]);
        let twice = install("lib: [\"a\"\n \"b\" {\"a\"}]").unwrap();
        let later = install(r#"lib: ["b" {"a"}]"#).unwrap();
        assert_eq!(twice, later, "of two files for one place the later one stays");
        let clash = install("lib: [\"a\"\n \"b\" {\"a/b\"}]").unwrap_err().to_string();
        assert_eq!(clash, "line 2: `lib/foo/a/b` occurs twice, as a file and as a directory");
        assert!(matches!(install(r#"lib: ["a" "b" {"a/b"}]"#), Err(InstallError::Conflict { .. })));
    }

    #[test]
    fn missing_sources_and_unknown_sections_are_reported() {
        assert_eq!(install("\nbin: \"absent\"").unwrap_err().to_string(), "line 2: `absent` was not built");
        assert_eq!(
            install("libs: []").unwrap_err().to_string(),
            "line 1: `libs` is not a section of a .install file"
        );
        assert!(install("opam-version: \"2.0\" x-mine: [\"a\"]").unwrap().is_empty());
    }
}
