//! What building a package reads of its opam file, checked as far as it can be without building.

use std::collections::BTreeSet;
use std::ops::Range;

use super::commands::{self, Filtered, Misfit};
use super::filter::{Scope, Setting};
use super::formula::{self, Items, NotAFormula};
use super::syntax::{Content, Item, Kind, OpamFile, Value, field};
use super::{Choosing, Platform, environment, not_a_formula, paths, print, unreadable, words};
use crate::diagnostic::{Problem, SourceError, SourceFile};
use crate::name::PackageName;
use crate::package::formula::Formula;

/// Larger opam files are refused, in bytes; the largest of the public repository has 24,000.
pub const MAX_SIZE: usize = 1 << 20;

/// Longest version taken, in bytes: a version is part of directory names.
const MAX_VERSION: usize = 200;

/// The fields that say how a package is built, in the order of the normal form.
const BUILD_FIELDS: [&str; 5] = ["patches", "substs", "build-env", "build", "install"];

/// How one version of a package is built.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    pub name: String,
    pub version: String,
    /// What its build reads of the file, in one normal form: layout, comments and all that is said
    /// for people does not change it. Reading it again gives the same.
    pub file: String,
    /// What it does to the environment of packages that depend on it: the value of its `setenv` in
    /// normal form, as `Present::setenv` has it.
    pub setenv: Option<String>,
    pub url: Option<Source>,
    /// Files from elsewhere, with their paths in the working directory.
    pub extra_sources: Vec<(String, Source)>,
    /// Files that lie beside the opam file, in `files/`: path and checksum.
    pub extra_files: Vec<(String, Spanned)>,
    /// Distribution packages that it needs on this platform, sorted.
    pub depexts: Vec<String>,
    /// One line for people.
    pub synopsis: String,
    /// The first of its home pages, and its licences, joined by `AND` when there are several.
    pub homepage: Option<String>,
    pub license: Option<String>,
    pub flags: Vec<String>,
    /// What has to be there when it is built; `post` dependencies are not in it.
    pub depends: Option<Formula>,
    /// What of that is needed by those who use it, too: all without `{build}`.
    pub runtime: Option<Formula>,
    /// What is made use of if it is there.
    pub depopts: Option<Formula>,
}

/// Where a file comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub src: Spanned,
    pub mirrors: Vec<Spanned>,
    /// As written: `sha256=…`. All have to match.
    pub checksums: Vec<Spanned>,
    /// The whole section.
    pub span: Range<usize>,
}

/// A text and the bytes of the file that it was written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned {
    pub text: String,
    pub span: Range<usize>,
}

impl Recipe {
    /// Reads the opam file of one package version for one platform.
    pub fn read(
        name: &str,
        version: &str,
        file: &SourceFile,
        platform: &Platform,
    ) -> Result<Self, SourceError> {
        check_size_and_name(name, version, file)?;
        let read = OpamFile::parse(&file.text).map_err(|error| unreadable(file, error))?;
        let mut reader = Reader { file, read: &read, problems: Vec::new() };
        let recipe = Self {
            name: name.to_owned(),
            version: version.to_owned(),
            file: reader.build_fields(),
            setenv: reader.setenv(),
            url: reader.sources("url").into_iter().next().map(|(_, source)| source),
            extra_sources: reader.extra_sources(),
            extra_files: reader.extra_files(),
            depexts: reader.depexts(&Choosing { platform, name, version }),
            synopsis: reader.synopsis(),
            homepage: reader.texts("homepage").into_iter().next(),
            license: Some(reader.texts("license").join(" AND ")).filter(|text| !text.is_empty()),
            flags: read.field("flags").map(words).unwrap_or_default(),
            depends: reader.formula("depends", Items::All, &Edges { platform, name, version, build: true }),
            runtime: reader.formula("depends", Items::All, &Edges { platform, name, version, build: false }),
            depopts: reader.formula("depopts", Items::Any, &Edges { platform, name, version, build: true }),
        };
        match reader.problems {
            problems if problems.is_empty() => Ok(recipe),
            problems => Err(SourceError::new(file, problems)),
        }
    }
}

/// Variables while edges of the build graph are read: what is needed after the build is none.
struct Edges<'a> {
    platform: &'a Platform,
    name: &'a str,
    version: &'a str,
    build: bool,
}

impl Scope for Edges<'_> {
    fn variable(&self, name: &str) -> Option<Setting<'_>> {
        match name {
            "post" => Some(Setting::Bool(false)),
            "build" => Some(Setting::Bool(self.build)),
            _ => {
                let Self { platform, name: own, version, .. } = *self;
                // What is looked up outlives the scope that looks.
                let text = match (Choosing { platform, name: own, version }).variable(name)? {
                    Setting::Bool(truth) => return Some(Setting::Bool(truth)),
                    Setting::Text(text) => text.into_owned(),
                };
                Some(Setting::Text(text.into()))
            }
        }
    }
}

fn check_size_and_name(name: &str, version: &str, file: &SourceFile) -> Result<(), SourceError> {
    let problem = |code: &str, message: String, label: &str, help: &str| {
        let problem = Problem {
            code: format!("jtwbuild::opam::{code}"),
            message,
            span: 0..0,
            label: label.into(),
            help: Some(help.into()),
        };
        Err(SourceError::new(file, vec![problem]))
    };
    if file.text.len() > MAX_SIZE {
        let message = format!("this opam file has {} bytes, more than {MAX_SIZE}", file.text.len());
        return problem("too-large", message, "here it begins", "keep long texts elsewhere");
    }
    if PackageName::new(name).is_none() {
        let message = format!("`{}` is not a package name", name.escape_debug());
        let help = "a package name is made of letters, digits, `_`, `+` and `-`, with at least one letter";
        return problem("name", message, "its opam file", help);
    }
    if !is_version(version) {
        let message = format!("`{}` is not a version of a package", version.escape_debug());
        let help = "a version is made of letters, digits, `.`, `_`, `+`, `~`, `:` and `-`";
        return problem("version", message, "its opam file", help);
    }
    Ok(())
}

/// Versions are parts of directory names and of arguments.
fn is_version(text: &str) -> bool {
    text.len() <= MAX_VERSION
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+~:-".contains(&byte))
        && text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
}

/// Reads one field after the other and collects what is wrong.
struct Reader<'a> {
    file: &'a SourceFile,
    read: &'a OpamFile<'a>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn misfit(&mut self, code: &str, field: &str, misfit: Misfit) {
        self.problems.push(Problem {
            code: format!("jtwbuild::opam::{code}"),
            message: format!("`{field}`: {}", misfit.message),
            span: misfit.span.range(),
            label: "here".into(),
            help: Some(misfit.help.into()),
        });
    }

    fn value(&mut self, name: &str) -> Option<&'a Value<'a>> {
        let mut all = self.read.items.iter().filter(|item| item.name == name);
        let first = all.find_map(|item| match &item.content {
            Content::Field(value) => Some(value),
            Content::Section { .. } => None,
        })?;
        if let Some(second) = all.next() {
            self.problems.push(Problem {
                code: "jtwbuild::opam::twice".into(),
                message: format!("`{name}` is there twice"),
                span: second.span.range(),
                label: "the second".into(),
                help: Some("put all of it into one field".into()),
            });
        }
        Some(first)
    }

    fn build_fields(&mut self) -> String {
        let mut text = String::new();
        for name in BUILD_FIELDS {
            let Some(value) = self.value(name) else { continue };
            let (code, checked) = match name {
                "build" | "install" => ("command", commands::check(value)),
                "build-env" => ("environment", environment::check(value)),
                _ => ("path", paths::list(value, None).map(drop)),
            };
            match checked {
                Ok(()) => text.push_str(&print::field(name, value)),
                Err(misfit) => self.misfit(code, name, misfit),
            }
        }
        text
    }

    fn setenv(&mut self) -> Option<String> {
        let value = self.value("setenv")?;
        match environment::check(value) {
            Ok(()) => Some(value.to_string()),
            Err(misfit) => {
                self.misfit("environment", "setenv", misfit);
                None
            }
        }
    }

    /// The sections of that name that say where a file comes from.
    fn sources(&mut self, name: &str) -> Vec<(Option<Spanned>, Source)> {
        let mut found = Vec::new();
        for item in self.read.items.iter().filter(|item| item.name == name) {
            let Content::Section { label, items } = &item.content else { continue };
            let span = item.span.range();
            let label = label.as_ref().map(|text| Spanned { text: text.to_string(), span: span.clone() });
            match self.source(items, span) {
                Ok(source) => found.push((label, source)),
                Err(misfit) => self.misfit("source", name, misfit),
            }
        }
        if name == "url" && found.len() > 1 {
            self.problems.push(Problem {
                code: "jtwbuild::opam::twice".into(),
                message: "`url` is there twice".into(),
                span: found[1].1.span.clone(),
                label: "the second".into(),
                help: Some("further files are an `extra-source`".into()),
            });
        }
        found
    }

    fn source(&self, items: &[Item<'_>], span: Range<usize>) -> Result<Source, Misfit> {
        let texts = |name: &str| match field(items, name) {
            None => Ok(Vec::new()),
            Some(value) => strings(value),
        };
        // `archive` is what `src` was called in the first format.
        let mut src = texts("src")?;
        if src.is_empty() {
            src = texts("archive")?;
        }
        let Some(src) = (src.len() == 1).then(|| src.remove(0)) else {
            return Err(Misfit {
                span: self
                    .read
                    .items
                    .iter()
                    .find(|item| item.span.range() == span)
                    .map_or_else(Default::default, |item| item.span),
                message: "it must have one `src`".into(),
                help: "write `src: \"https://…\"`",
            });
        };
        Ok(Source { src, mirrors: texts("mirrors")?, checksums: texts("checksum")?, span })
    }

    fn extra_sources(&mut self) -> Vec<(String, Source)> {
        let mut found: Vec<(String, Source)> = Vec::new();
        let mut seen = BTreeSet::new();
        for (label, source) in self.sources("extra-source") {
            let label = label.unwrap_or_else(|| Spanned { text: String::new(), span: source.span.clone() });
            if let Some(path) = self.path("extra-source", &label) {
                if seen.insert(path.clone()) {
                    found.push((path, source));
                } else {
                    self.twice(&label);
                }
            }
        }
        found
    }

    fn extra_files(&mut self) -> Vec<(String, Spanned)> {
        let Some(value) = self.value("extra-files") else { return Vec::new() };
        let flat = match strings(value) {
            Ok(flat) if flat.len() % 2 == 0 => flat,
            Ok(_) => {
                let help = "write `[[\"path\" \"sha256=…\"]]`";
                self.misfit(
                    "path",
                    "extra-files",
                    Misfit::new(value, "a path or a checksum is missing", help),
                );
                return Vec::new();
            }
            Err(misfit) => {
                self.misfit("path", "extra-files", misfit);
                return Vec::new();
            }
        };
        let mut files = Vec::new();
        for pair in flat.chunks(2) {
            if let [path, checksum] = pair
                && let Some(path) = self.path("extra-files", path)
            {
                files.push((path, checksum.clone()));
            }
        }
        files
    }

    fn path(&mut self, field: &str, text: &Spanned) -> Option<String> {
        if let Some(path) = paths::checked(&text.text) {
            return Some(path.as_str().to_owned());
        }
        self.problems.push(Problem {
            code: "jtwbuild::opam::path".into(),
            message: format!("`{field}`: {}", paths::bad(&text.text)),
            span: text.span.clone(),
            label: "here".into(),
            help: Some("write the file's path below the working directory, without `..`".into()),
        });
        None
    }

    fn twice(&mut self, text: &Spanned) {
        self.problems.push(Problem {
            code: "jtwbuild::opam::twice".into(),
            message: format!("there are two files `{}`", text.text.escape_debug()),
            span: text.span.clone(),
            label: "the second".into(),
            help: Some("give each a path of its own".into()),
        });
    }

    fn depexts(&mut self, scope: &dyn Scope) -> Vec<String> {
        let Some(value) = self.value("depexts") else { return Vec::new() };
        let groups = match &value.kind {
            Kind::List(parts) if parts.iter().any(|part| !matches!(part.kind, Kind::String(_))) => parts,
            _ => std::slice::from_ref(value),
        };
        let mut names = BTreeSet::new();
        for group in groups {
            let group = Filtered::new(group);
            if !group.holds(scope) {
                continue;
            }
            match strings(group.value) {
                Ok(found) => {
                    for name in found {
                        if is_distribution_package(&name.text) {
                            names.insert(name.text);
                        } else {
                            self.problems.push(Problem {
                                code: "jtwbuild::opam::depexts".into(),
                                message: format!("`{}` is not a Debian package", name.text.escape_debug()),
                                span: name.span,
                                label: "here".into(),
                                help: Some(
                                    "such a name is made of small letters, digits, `+`, `-` and `.`".into(),
                                ),
                            });
                        }
                    }
                }
                Err(misfit) => self.misfit("depexts", "depexts", misfit),
            }
        }
        names.into_iter().collect()
    }

    fn synopsis(&mut self) -> String {
        let text = |name| match self.read.field(name).map(|value| &value.kind) {
            Some(Kind::String(text)) => text.trim(),
            _ => "",
        };
        let line =
            text("synopsis").lines().chain(text("description").lines()).find(|line| !line.trim().is_empty());
        line.unwrap_or_default().trim().to_owned()
    }

    /// The texts of a field that is for people, one or a list. What is wrong with it is nobody's trouble.
    fn texts(&self, name: &str) -> Vec<String> {
        let texts = self.read.field(name).and_then(|value| strings(value).ok()).unwrap_or_default();
        let texts = texts.into_iter().map(|one| one.text.trim().to_owned());
        texts.filter(|text| !text.is_empty()).collect()
    }

    fn formula(&mut self, name: &str, items: Items, scope: &dyn Scope) -> Option<Formula> {
        match formula::read(self.read.field(name)?, items, scope) {
            Ok(formula) => formula,
            Err(NotAFormula(span)) => {
                // The same field is read for several purposes.
                for problem in not_a_formula(self.file, name, span).problems {
                    if !self.problems.contains(&problem) {
                        self.problems.push(problem);
                    }
                }
                None
            }
        }
    }
}

/// One string, or lists of them.
fn strings(value: &Value<'_>) -> Result<Vec<Spanned>, Misfit> {
    match &value.kind {
        Kind::String(text) => Ok(vec![Spanned { text: text.to_string(), span: value.span.range() }]),
        Kind::List(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(strings(part)?);
            }
            Ok(all)
        }
        _ => Err(Misfit::new(value, "this is no string", "write it in quotes")),
    }
}

/// Debian Policy, section 5.6.1.
fn is_distribution_package(name: &str) -> bool {
    (2..=200).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte))
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests;
