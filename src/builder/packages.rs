//! Package builds, and the tools.

use std::collections::BTreeSet;

use super::workdir::WorkDir;
use super::{LocalBuilder, Product, bound, taken};
use crate::derivation::{Build, OUT, Tools, WORK};
use crate::findlib::{LibDir, Meta};
use crate::install;
use crate::jtw;
use crate::outcome::Failure;
use crate::realise::{Job, machine_trouble};
use crate::store::staging::Staging;
use crate::store::tree::{File, Node, RelPath, Tree};

impl LocalBuilder<'_> {
    pub(super) fn package(&self, job: &Job<'_>, build: &Build) -> Result<Product, Failure> {
        let request = self.varied(bound(&build.request, job.trees));
        let mut report = self.run(job, &request)?;
        let mut layer = taken(&mut report, OUT)?;
        if let Some(file) = &build.install_file {
            let work = WorkDir::captured(taken(&mut report, WORK)?, &request, WORK);
            let installed = installed(&build.package, file, &work, &report.staging)?;
            layer.merge(&installed).map_err(|error| bad_output(file, &error))?;
        }
        check_findlib(build, &layer, &report.staging)?;
        Ok((layer, report.staging))
    }

    pub(super) fn tools(&self, job: &Job<'_>, tools: &Tools) -> Result<Product, Failure> {
        let mut report = self.run(job, &self.varied(bound(&tools.request, job.trees)))?;
        let work = taken(&mut report, OUT)?;
        let base = self.tree(&job.trees[tools.base])?;
        let place = RelPath::parse(tools.stdlib.trim_start_matches('/'))
            .map_err(|error| bad_output(&tools.stdlib, &error))?;
        let stdlib =
            base.directory(&place).ok_or_else(|| Failure::MissingOutput { path: tools.stdlib.clone() })?;
        let (worker, library) = (made(&work, "worker.js")?, made(&work, "stdlib.cma.js")?);
        let layer = jtw::tools_layer(worker, library, stdlib, &tools.compiler, &report.staging)
            .map_err(|error| jtw_failure("the tools", &error))?;
        Ok((layer, report.staging))
    }
}

/// What a `.install` file of the working directory installs.
pub(super) fn installed(
    package: &str,
    file: &str,
    work: &WorkDir,
    staging: &Staging,
) -> Result<Tree, Failure> {
    let text = work.file_at(file).ok_or_else(|| Failure::MissingOutput { path: file.to_owned() })?;
    let text = staging.read(&text).map_err(|error| machine_trouble(&error))?;
    install::interpret(&text, package, &|path| work.file(path)).map_err(|error| bad_output(file, &error))
}

/// The file that a run must have made.
fn made(work: &Tree, path: &str) -> Result<File, Failure> {
    let missing = || Failure::MissingOutput { path: path.to_owned() };
    let place = RelPath::parse(path).map_err(|_| missing())?;
    match work.get(&place) {
        Some(Node::File(file)) => Ok(*file),
        _ => Err(missing()),
    }
}

/// A package must install the findlib libraries that its recipe promises.
fn check_findlib(build: &Build, layer: &Tree, staging: &Staging) -> Result<(), Failure> {
    let mut there = BTreeSet::new();
    for (path, file) in layer.files() {
        let Some((package, directory)) = meta_of(&path) else { continue };
        let text = staging.read(&file).map_err(|error| machine_trouble(&error))?;
        if let Ok(meta) = Meta::parse(&text) {
            there.extend(meta.libraries(&package, &directory).into_iter().map(|library| library.name));
        }
    }
    match build.findlib.iter().find(|library| !there.contains(*library)) {
        None => Ok(()),
        Some(library) => Err(Failure::MissingOutput { path: format!("the findlib library {library}") }),
    }
}

/// The findlib package of a META file (`lib/<d>/META` or `lib/META.<name>`) and its directory.
fn meta_of(path: &RelPath) -> Option<(String, LibDir)> {
    let names: Vec<&str> = path.names().iter().map(|name| name.as_str()).collect::<Option<_>>()?;
    match names.as_slice() {
        ["lib", directory @ .., package, "META"] => {
            let place = [directory, &[*package]].concat().join("/");
            Some(((*package).to_owned(), LibDir::parse(&place).ok()?))
        }
        ["lib", file] => Some((file.strip_prefix("META.")?.to_owned(), LibDir::parse("").ok()?)),
        _ => None,
    }
}

pub(super) fn bad_output(path: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::BadOutput { path: path.to_owned(), reason: error.to_string() }
}

/// Trouble while making browser artifacts of `what`.
pub(super) fn jtw_failure(what: &str, error: &jtw::JtwError) -> Failure {
    match error {
        jtw::JtwError::Store(error) => machine_trouble(error),
        jtw::JtwError::MissingOutput(path) => Failure::MissingOutput { path: path.clone() },
        error => Failure::BadInput { what: what.to_owned(), reason: error.to_string() },
    }
}
