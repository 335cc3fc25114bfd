//! `[[repository]]`: where packages come from, and `[source]`: archives and commits in place of the
//! archives that a repository names.

use std::collections::BTreeMap;
use std::path::Path;

use crate::diagnostic::Span;
use crate::name::PackageName;
use crate::package::Requirement;
use crate::path::RelativePath;
use crate::recipe::values::{PackageSource, SourceArchive, package_source_in, parse_url, source_archive};
use crate::toml_reader::{FromText, Table, TextError, Value, one_of};
use crate::version::Version;

/// Whether packages are chosen together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Solving {
    /// One solution for all.
    #[default]
    Joint,
    /// Every package that is asked for has a solution, and a universe, of its own.
    Each,
}

impl FromText for Solving {
    fn from_text(text: &str) -> Result<Self, TextError> {
        one_of(text, "way to choose versions", &[("joint", Self::Joint), ("each", Self::Each)])
    }
}

/// One package set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryChoice {
    /// An opam repository: a directory, an archive or a git URL, as it is written.
    Opam { place: String, span: Span },
    /// The OCaml libraries of a Debian suite.
    Debian { suite: String, span: Span },
}

/// What is fetched in place of what a repository names for one package version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substitution {
    /// In place of the source.
    pub source: Option<PackageSource>,
    /// In place of extra sources, by their names.
    pub extra: BTreeMap<RelativePath, SourceArchive>,
    /// Where it is written.
    pub span: Span,
}

/// Substitutions by package and version.
pub type Substitutions = BTreeMap<(PackageName, Version), Substitution>;

/// Package sets and how they are used, as the universe says.
#[derive(Clone, Debug, Default)]
pub struct Repositories {
    /// In written order: the first one that has a version stands. None: the recipes.
    pub choices: Vec<RepositoryChoice>,
    pub solving: Solving,
    /// Versions of packages that may be chosen, whoever asks for them.
    pub constraints: Vec<Requirement>,
    /// Packages of libraries that the Debian suite is asked for: those whose names end in
    /// [`LIBRARIES`].
    pub libraries: Vec<Requirement>,
    /// Where `packages = "latest"` is written: everything that can be had is asked for.
    pub latest: Option<Span>,
    pub substitutions: Substitutions,
    /// Whether archives are taken that are known by nothing better than MD5.
    pub allow_weak_checksums: bool,
    /// Directories and URLs of archive caches in opam's layout.
    pub archive_mirrors: Vec<String>,
}

/// How packages of libraries are called in Debian; no package of an opam repository is.
const LIBRARIES: &str = "-ocaml-dev";

impl Repositories {
    /// Whether there is a Debian suite among them.
    pub fn has_debian(&self) -> bool {
        self.choices.iter().any(|choice| matches!(choice, RepositoryChoice::Debian { .. }))
    }

    /// Takes those requirements out that are for the Debian suite, if there is one.
    pub(super) fn take_libraries(&mut self, packages: Vec<Requirement>) -> Vec<Requirement> {
        let has_debian = self.has_debian();
        let is_library = |one: &Requirement| has_debian && one.name.as_str().ends_with(LIBRARIES);
        let (libraries, others) = packages.into_iter().partition(is_library);
        self.libraries = libraries;
        others
    }

    /// Whether packages come from opam repositories.
    pub fn has_opam(&self) -> bool {
        self.choices.iter().any(|choice| matches!(choice, RepositoryChoice::Opam { .. }))
    }
}

/// Reads everything of the universe's table that this module knows, but for `latest`.
pub(super) fn read(table: &mut Table<'_>, directory: &Path) -> Repositories {
    let choices = table.optional("repository", |value| value.list(|value| value.table(read_choice)));
    let solving = table.optional("solve", Value::text);
    let constraints = table.optional("constraints", |value| value.list(|value| Requirement::read(value, 0)));
    let substitutions = table.optional("source", |value| read_substitutions(value, directory));
    let weak = table.optional("allow-weak-checksums", Value::boolean);
    let mirrors = table.optional("archive-mirrors", |value| value.list(|value| mirror(value, directory)));
    let repositories = Repositories {
        choices: choices.unwrap_or_default(),
        solving: solving.unwrap_or_default(),
        constraints: constraints.unwrap_or_default(),
        libraries: Vec::new(),
        latest: None,
        substitutions: substitutions.unwrap_or_default(),
        allow_weak_checksums: weak.unwrap_or_default(),
        archive_mirrors: mirrors.unwrap_or_default(),
    };
    let debian = repositories.choices.iter().filter_map(|choice| match choice {
        RepositoryChoice::Debian { .. } => Some(()),
        RepositoryChoice::Opam { .. } => None,
    });
    if let (1.., Some(value)) = (debian.skip(1).count(), table.get("repository")) {
        let message = "libraries of two Debian suites do not go together";
        value.problem("repository", message, "more than one suite", None);
    }
    if let (true, Solving::Each, Some(value)) =
        (repositories.has_debian(), repositories.solving, table.get("solve"))
    {
        let message = "the libraries of a Debian suite are one set";
        let help = "leave `solve` out, or take the libraries in a universe of their own";
        value.problem("repository", message, "not with Debian's libraries", Some(help.into()));
    }
    if !table.has("repository") {
        for key in ["solve", "constraints", "source", "allow-weak-checksums", "archive-mirrors"] {
            if table.has(key)
                && let Some(value) = table.get(key)
            {
                let help = "recipes say themselves where sources are, and are always solved together";
                let message = format!("`{key}` is for packages of an opam repository");
                value.problem("no-repository", message, "without `[[repository]]`", Some(help.into()));
            }
        }
    }
    repositories
}

fn read_choice(table: &mut Table<'_>) -> Option<RepositoryChoice> {
    let opam = table
        .get("opam")
        .map(|value| value.line().map(|place| RepositoryChoice::Opam { place, span: value.span_in(0) }));
    let debian = table
        .get("debian")
        .map(|value| value.word().map(|suite| RepositoryChoice::Debian { suite, span: value.span_in(0) }));
    match (opam, debian) {
        (Some(choice), None) | (None, Some(choice)) => choice,
        _ => {
            let message = "a repository has either `opam` or `debian`";
            table.problem("repository", message, "not one repository", None);
            None
        }
    }
}

fn mirror(value: Value<'_>, directory: &Path) -> Option<String> {
    if value.string()?.contains("://") {
        return value.text_with(parse_url);
    }
    Some(directory.join(value.line()?).display().to_string())
}

fn read_substitutions(value: Value<'_>, directory: &Path) -> Option<Substitutions> {
    let packages = value.map(|place, name, versions| {
        let name: PackageName = key(place, name)?;
        let versions = versions.map(|place, version, value| {
            let version: Version = key(place, version)?;
            Some((version, substitution(value, place.span_in(0), directory)?))
        })?;
        Some(versions.into_iter().map(move |(version, what)| ((name.clone(), version), what)))
    })?;
    Some(packages.into_iter().flatten().collect())
}

/// A key of a table as a checked type.
fn key<T: FromText>(place: Value<'_>, text: &str) -> Option<T> {
    match T::from_text(text) {
        Ok(value) => Some(value),
        Err(error) => {
            place.problem(error.code, error.message, error.label, error.help);
            None
        }
    }
}

fn substitution(value: Value<'_>, span: Span, directory: &Path) -> Option<Substitution> {
    value.table(|table| {
        let extra = table.optional("extra", |value| {
            value.map(|place, name, value| {
                Some((key::<RelativePath>(place, name)?, source_archive(value, Some(directory))?))
            })
        });
        let has_source = ["git", "sha256", "places"].iter().any(|key| table.has(key)) || !table.has("extra");
        let source = if has_source { Some(package_source_in(table, Some(directory))?) } else { None };
        Some(Substitution { source, extra: extra.unwrap_or_default().into_iter().collect(), span })
    })
}
