//! Opam files of a source tree: which there are, and what packages they describe.
//!
//! They are looked for where `opam pin` looks (opam 2 manual, "Pinning"): `NAME.opam` and `opam` at
//! the tree's top and in its directory `opam/`, and the same as a directory with a file `opam`.

use std::collections::BTreeMap;

use super::recipe::Recipe;
use super::syntax::{Kind, OpamFile};
use super::{Platform, unreadable};
use crate::diagnostic::{Problem, SourceError, SourceFile};
use crate::name::PackageName;
use crate::version::Version;

/// The version of a package whose opam file has none.
const NO_VERSION: &str = "dev";

/// What an opam file is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called<'a> {
    /// After its package.
    Package(&'a str),
    /// `opam`: it says itself which package it describes.
    Opam,
}

/// The name of the opam file at `path`, which is relative to the tree's top, if one is looked for
/// there.
pub fn called(path: &str) -> Option<Called<'_>> {
    let name = |text| match text {
        "opam" => Some(Called::Opam),
        _ => called_after_package(text),
    };
    match path.split_once('/') {
        None => name(path),
        Some(("opam", file)) if !file.contains('/') => name(file),
        Some((directory, "opam")) => called_after_package(directory),
        Some(_) => None,
    }
}

fn called_after_package(name: &str) -> Option<Called<'_>> {
    name.strip_suffix(".opam").filter(|stem| !stem.is_empty()).map(Called::Package)
}

/// Whether opam files are looked for in a directory with this name at the tree's top.
pub fn is_directory_of_files(name: &str) -> bool {
    name == "opam" || called_after_package(name).is_some()
}

/// A package that a tree describes.
#[derive(Clone, Debug)]
pub struct Pinned {
    pub name: PackageName,
    /// What its file says, else `dev`.
    pub version: Version,
    pub file: SourceFile,
    /// Whether the file says where packages that it depends on are to be pinned to.
    pub pins_others: bool,
}

/// Reads opam files, each with its path in the tree. All that is wrong with any of them is reported.
pub fn read<'p>(
    files: impl IntoIterator<Item = (&'p str, SourceFile)>,
    platform: &Platform,
) -> Result<Vec<Pinned>, Vec<SourceError>> {
    let mut packages: BTreeMap<PackageName, Pinned> = BTreeMap::new();
    let mut errors = Vec::new();
    for (path, file) in files {
        let Some(called) = called(path) else { continue };
        match read_one(called, file, platform) {
            Err(error) => errors.push(error),
            Ok(pinned) => {
                if let Some(first) = packages.get(&pinned.name) {
                    let message =
                        format!("`{}` describes the package `{}` too", first.file.name, pinned.name);
                    let help = "remove one of them";
                    errors.push(at_the_top(&pinned.file, "twice", message, help));
                } else {
                    packages.insert(pinned.name.clone(), pinned);
                }
            }
        }
    }
    if errors.is_empty() { Ok(packages.into_values().collect()) } else { Err(errors) }
}

fn read_one(called: Called<'_>, file: SourceFile, platform: &Platform) -> Result<Pinned, SourceError> {
    let read = OpamFile::parse(&file.text).map_err(|error| unreadable(&file, error))?;
    let text = |field: &str| {
        let value = read.field(field)?;
        match &value.kind {
            Kind::String(text) => Some((text.as_ref(), value.span.range())),
            _ => None,
        }
    };
    let name = match (called, text("name")) {
        (Called::Package(name), None) => name,
        (Called::Package(name), Some((said, _))) if said == name => name,
        (Called::Package(name), Some((said, span))) => {
            let problem = Problem {
                code: "jtwbuild::opam::name".into(),
                message: format!("this file is called after `{name}` and says that it is of `{said}`"),
                span,
                label: "another name".into(),
                help: Some("leave `name` out, or call the file after the package".into()),
            };
            return Err(SourceError::new(&file, vec![problem]));
        }
        (Called::Opam, Some((said, _))) => said,
        (Called::Opam, None) => {
            let message = "this opam file does not say of which package it is";
            let help = "write `name: \"…\"`, or call the file `NAME.opam`";
            return Err(at_the_top(&file, "name", message.into(), help));
        }
    };
    let version = text("version").map_or(NO_VERSION, |(said, _)| said);
    // It also checks that name and version can be what they are.
    Recipe::read(name, version, &file, platform)?;
    let (name, version) = PackageName::new(name).zip(Version::new(version)).ok_or_else(|| {
        at_the_top(&file, "version", format!("`{version}` is not a version"), "write `version: \"1.0\"`")
    })?;
    Ok(Pinned { name, version, pins_others: read.field("pin-depends").is_some(), file: file.clone() })
}

/// A problem of the file as a whole.
fn at_the_top(file: &SourceFile, code: &str, message: String, help: &str) -> SourceError {
    let problem = Problem {
        code: format!("jtwbuild::opam::{code}"),
        message,
        span: 0..0,
        label: "this file".into(),
        help: Some(help.into()),
    };
    SourceError::new(file, vec![problem])
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn packages(files: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let files = files.iter().map(|(path, text)| {
            (*path, SourceFile::new(format!("tree/{path}"), &format!("opam-version: \"2.0\"\n{text}\n")))
        });
        match read(files, &Platform::debian("14")) {
            Ok(found) => Ok(found.iter().map(|one| format!("{}.{}", one.name, one.version)).collect()),
            Err(errors) => Err(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    }

    #[test]
    fn opam_files_are_where_opam_pin_looks() {
        let tree = [
            ("a.opam", ""),
            ("opam/b.opam", "version: \"1.2\""),
            ("c.opam/opam", "name: \"c\""),
            ("opam/opam", "name: \"d\""),
            ("vendor/e.opam", ""),
            ("opam/deep/f.opam", ""),
            ("dune-project", ""),
            (".opam", ""),
        ];
        assert_eq!(packages(&tree).unwrap(), ["a.dev", "b.1.2", "c.dev", "d.dev"]);
        assert_eq!(packages(&[("opam", "name: \"x\" version: \"3\"")]).unwrap(), ["x.3"]);
        assert!(is_directory_of_files("opam") && is_directory_of_files("a.opam"));
        assert!(!is_directory_of_files("src") && !is_directory_of_files(".opam"));
    }

    #[test]
    fn everything_wrong_with_the_files_of_a_tree_is_told() {
        let tree = [
            ("a.opam", "depends: [1]"),
            ("b.opam", "name: \"c\""),
            ("d.opam", ""),
            ("opam/d.opam", ""),
            ("e.opam", "build: [ \"make\""),
            ("f g.opam", ""),
            ("h.opam", "version: \"1 2\""),
            ("opam/opam", ""),
        ];
        assert_snapshot!(packages(&tree).unwrap_err());
    }
}
