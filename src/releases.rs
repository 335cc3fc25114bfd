//! Packages of opam repositories as releases: what their opam files, the universe's substitutions
//! and the files beside them come to.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::diagnostic::{Problem, SourceError, SourceFile};
use crate::name::PackageName;
use crate::opam::recipe::{Recipe, Source, Spanned};
use crate::opam::{Platform, beside};
use crate::path::RelativePath;
use crate::pins::file_tree;
use crate::recipe::values::{PackageSource, SourceArchive};
use crate::repository::Repositories;
use crate::solution::{Beside, OpamRelease, OpamSource};
use crate::solve::opam::{Needs, ReleaseError, Releases};
use crate::source::git::{Commit, GitSource, GitUrl, Reference};
use crate::source::{Archive, Checksum, ChecksumError, Checksums, Place, file_name_of};
use crate::universe::Universe;
use crate::universe::repository::Substitution;
use crate::version::Version;

/// Reads versions that opened repositories have.
pub struct OpamReleases<'a> {
    pub universe: &'a Universe,
    pub repositories: &'a Repositories,
    pub platform: &'a Platform,
    /// Packages whose source is the worker's tree, whatever their files say.
    pub of_worker: &'a BTreeSet<PackageName>,
}

impl Releases for OpamReleases<'_> {
    fn release(&self, name: &PackageName, version: &str) -> Result<(OpamRelease, Needs), ReleaseError> {
        let missing = || ReleaseError::Missing { package: format!("{name}.{version}") };
        let version = Version::new(version).ok_or_else(missing)?;
        let elsewhere = |error| ReleaseError::Elsewhere(Box::new(error));
        let file = self.repositories.file(name, &version).map_err(elsewhere)?.ok_or_else(missing)?;
        let recipe = Recipe::read(name.as_str(), version.as_str(), &file, self.platform)?;
        let substitutions = &self.universe.repositories.substitutions;
        let substitution = substitutions.get(&(name.clone(), version.clone()));
        let source = if self.of_worker.contains(name) {
            Some(OpamSource::WorkerTree)
        } else {
            self.source(&recipe, substitution, &file)?
        };
        let extra = self.extra(&recipe, substitution, &file)?;
        let mut files = Vec::new();
        for beside in self.repositories.files(name, &version).map_err(elsewhere)? {
            let place = beside.path.to_string();
            let place = RelativePath::new(&place).ok_or_else(missing)?;
            let bytes: Arc<[u8]> = beside.bytes.into();
            let tree = file_tree(&place, &bytes, beside.executable).hash();
            files.push(Beside { place, tree, bytes, executable: beside.executable });
        }
        let bytes: Vec<(&str, &[u8])> =
            files.iter().map(|file| (file.place.as_str(), &*file.bytes)).collect();
        beside::check(&recipe, &file, &bytes)?;
        let description = match recipe.synopsis.trim() {
            "" => format!("{name} {}", version.as_str()),
            synopsis => synopsis.to_owned(),
        };
        let release = OpamRelease {
            name: name.clone(),
            version,
            description,
            homepage: recipe.homepage,
            license: recipe.license,
            file: recipe.file,
            setenv: recipe.setenv,
            source,
            extra,
            files,
            depexts: recipe.depexts,
        };
        let needs = Needs { runtime: recipe.runtime, build: recipe.depends, optional: recipe.depopts };
        Ok((release, needs))
    }
}

impl OpamReleases<'_> {
    fn source(
        &self,
        recipe: &Recipe,
        substitution: Option<&Substitution>,
        file: &SourceFile,
    ) -> Result<Option<OpamSource>, SourceError> {
        let url = recipe.url.as_ref();
        let named = url.and_then(|url| file_name_of(&url.src.text));
        let file_name = named.unwrap_or("source").to_owned();
        if let Some(source) = substitution.and_then(|substitution| substitution.source.clone()) {
            return Ok(Some(OpamSource::Url { source, file_name }));
        }
        let Some(url) = url else { return Ok(None) };
        if url.src.text.starts_with("git+") {
            return Ok(Some(OpamSource::Url {
                source: PackageSource::Git(commit_of(&url.src, file)?),
                file_name,
            }));
        }
        let archive = SourceArchive { archive: self.archive(url, file)?, strip: None };
        Ok(Some(OpamSource::Url { source: PackageSource::Archive(archive), file_name }))
    }

    fn extra(
        &self,
        recipe: &Recipe,
        substitution: Option<&Substitution>,
        file: &SourceFile,
    ) -> Result<Vec<(RelativePath, Archive)>, SourceError> {
        let extra = recipe.extra_sources.iter().filter_map(|(name, source)| {
            let name = RelativePath::new(name)?;
            let other = substitution.and_then(|substitution| substitution.extra.get(&name));
            let archive = match other {
                Some(other) => Ok(other.archive.clone()),
                None => self.archive(source, file),
            };
            Some(archive.map(|archive| (name, archive)))
        });
        extra.collect()
    }

    /// The file that a section of an opam file names.
    fn archive(&self, source: &Source, file: &SourceFile) -> Result<Archive, SourceError> {
        let texts: Vec<&str> = source.checksums.iter().map(|checksum| checksum.text.as_str()).collect();
        let allow_weak = self.universe.repositories.allow_weak_checksums;
        let checksums = Checksums::parse(&texts).and_then(|checksums| checksums.allowed(allow_weak));
        let checksums = checksums.map_err(|error| {
            let code = match error {
                ChecksumError::Weak(_) => "weak-checksum",
                _ => "checksum",
            };
            let help = match error {
                ChecksumError::Weak(_) => Some("`allow-weak-checksums = true` in the universe takes it; `[source.<name>.<version>]` names other bytes".into()),
                ChecksumError::None => Some("`[source.<name>.<version>]` in the universe names its bytes".into()),
                _ => None,
            };
            let malformed = source.checksums.iter().find(|checksum| Checksum::parse(&checksum.text).is_err());
            let shown = malformed.or(source.checksums.first());
            let label = match error {
                ChecksumError::Kind(_) | ChecksumError::Digits { .. } => "not a checksum",
                ChecksumError::Conflict(..) => "this is the first of them",
                ChecksumError::None | ChecksumError::Weak(_) => "this is all that the file is known by",
            };
            let problem = Problem {
                code: format!("jtwbuild::opam::{code}"),
                message: error.to_string(),
                span: shown.map_or(source.span.clone(), |checksum| checksum.span.clone()),
                label: label.into(),
                help,
            };
            SourceError::new(file, vec![problem])
        })?;
        let urls = [&source.src].into_iter().chain(&source.mirrors);
        let places = urls.map(|Spanned { text, .. }| Place::Url(text.clone()));
        Ok(Archive::new(checksums, places.collect()))
    }
}

/// The commit that `git+https://…#<commit>` names. Anything less is not known beforehand.
fn commit_of(src: &Spanned, file: &SourceFile) -> Result<GitSource, SourceError> {
    let (url, commit) = src.text.split_once('#').unwrap_or((&src.text, ""));
    let problem = |message: String, help: &str| {
        let problem = Problem {
            code: "jtwbuild::opam::git".into(),
            message,
            span: src.span.clone(),
            label: "this source".into(),
            help: Some(help.into()),
        };
        SourceError::new(file, vec![problem])
    };
    let url = GitUrl::new(url).map_err(|error| {
        let message = format!("`{}` cannot be used: {error}", src.text.escape_debug());
        problem(message, "`[source.<name>.<version>]` in the universe names another source")
    })?;
    let commit = Commit::new(commit).ok_or_else(|| {
        let message = format!("`{}` does not name a commit", src.text.escape_debug());
        let help =
            "its id belongs behind `#`; `[source.<name>.<version>]` in the universe can follow a branch";
        problem(message, help)
    })?;
    Ok(GitSource {
        url,
        url_span: src.span.clone(),
        reference: Reference::Rev(commit),
        reference_span: src.span.clone(),
        subdir: None,
        submodules: true,
    })
}
