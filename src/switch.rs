//! Browser artifacts of an *installed* OCaml, an opam switch or a distribution's: what `jtwbuild opam`
//! and `jtwbuild opam-all` do. No store, no sandbox.
//!
//! ```text
//! place      where OCaml, findlib's settings and js_of_ocaml are
//! installed  findlib's look-up        closure   what takes part
//! layer      all of it as a tree, of which `jtw` makes artifacts as of any package layer
//! compile    js_of_ocaml, in parallel cache     what was compiled before
//! worker     worker.js                index     which files there are
//! output     the directory            memo      whether there is anything to do
//! ```
//!
//! Everything here is plain Rust: no system call that only Linux has. `tests/layering.rs` sees to it.

mod beyond;
mod cache;
mod closure;
mod compile;
mod held;
mod index;
mod installed;
mod layer;
mod looked;
mod memo;
mod output;
mod place;
mod program;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use self::cache::Cache;
use self::closure::{Closure, Reach, SETTINGS};
use self::compile::{Compiler, Done, Task, outputs};
use self::held::Held;
use self::index::Parts;
use self::installed::Packages;
use self::looked::Looked;
use self::place::Place;
use self::worker::Worker;
use crate::effects::Effects;
use crate::findlib::is_plain;
use crate::findlib::parse::MetaError;
use crate::jtw::{self, Analysis, JtwError, Kind, Settings};
use crate::store::StoreError;
use crate::store::tree::TreeError;

/// Variables of the environment that have an influence. Programs get the others too.
pub const VARIABLES: [&str; 9] = [
    "PATH",
    "HOME",
    "OCAMLPATH",
    "OCAMLFIND_CONF",
    "OCAMLFIND_TOOLCHAIN",
    "OCAMLLIB",
    "CAMLLIB",
    "OPAMROOT",
    "OPAM_SWITCH_PREFIX",
];

/// What [`VARIABLES`] hold.
pub type Environment = BTreeMap<&'static str, OsString>;

/// What is to be made.
#[derive(Clone, Debug)]
pub struct Request {
    /// findlib names.
    pub libraries: Vec<String>,
    /// The output directory; absolute.
    pub output: PathBuf,
    /// The opam switch; without one, what `PATH` has.
    pub switch: Option<String>,
    /// Whether `worker.js` is built.
    pub worker: bool,
    /// Where below the output directory everything goes; then only the named libraries take part.
    pub path: Option<String>,
    /// Directories below the output directory, made by other runs, that the index refers to.
    pub universes: Vec<String>,
    pub shape: Shape,
    pub effects: Effects,
}

/// How the output is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One `lib` for all.
    Flat,
    /// A directory for each package, with an index; of everything that is installed, or only of what
    /// is asked for.
    Each { all: bool },
}

/// What is of this run only, and has no influence on what is made.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    pub environment: &'a Environment,
    /// Where to keep what was compiled.
    pub cache: Option<&'a Path>,
    /// How many programs may run at the same time.
    pub jobs: usize,
    pub progress: &'a dyn Progress,
}

/// Is told how a run goes on, from several threads.
pub trait Progress: Sync {
    /// So many programs are to be run; what is in the cache is not counted.
    fn wanted(&self, count: usize);
    /// One was started.
    fn started(&self, label: &str);
    /// It has ended.
    fn ended(&self, label: &str, took: Duration, is_success: bool);
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What is published.
    pub libraries: usize,
    pub archives: usize,
    pub interfaces: usize,
    /// How many programs ran, and how many results were in the cache.
    pub ran: usize,
    pub cached: usize,
    /// Files of the output.
    pub written: usize,
    pub kept: usize,
    pub removed: usize,
    /// What is wrong with single libraries.
    pub notes: Vec<String>,
    /// Whether nothing had changed since a run before, so that nothing was done.
    pub is_unchanged: bool,
}

/// A program that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What it was to make.
    pub label: String,
    /// `None` when a signal ended it.
    pub status: Option<i32>,
    /// Its standard error.
    pub said: String,
}

impl Failed {
    fn new(label: &str, ended: &program::Ended) -> Self {
        Self { label: label.to_owned(), status: ended.status, said: ended.said() }
    }
}

/// Why there are no artifacts.
#[derive(Debug, Error)]
pub enum SwitchError {
    /// A program is not on the search path.
    #[error("there is no `{0}` on PATH")]
    NoProgram(&'static str),
    /// A program cannot be started.
    #[error("cannot start `{}`: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    /// The switch cannot be found.
    #[error("the opam switch `{name}` cannot be used: {said}")]
    Switch { name: String, said: String },
    /// A program that is asked about itself failed.
    #[error("`{what}` failed: {said}")]
    Tool { what: &'static str, said: String },
    /// A library is not installed; `by` requires it.
    #[error("library `{name}` is not installed{}", by.as_ref().map(|by| format!(", and `{by}` requires it")).unwrap_or_default())]
    Unknown { name: String, by: Option<String>, like: Option<String> },
    /// The worker's library is not installed.
    #[error("library `{name}` is not installed, and worker.js is made of it{}", by.as_ref().map(|by| format!(" (`{by}` requires it)")).unwrap_or_default())]
    NoWorkerLibrary { name: String, by: Option<String> },
    /// A META or settings file that cannot be read.
    #[error("`{}`: {source}", path.display())]
    Meta { path: PathBuf, source: MetaError },
    /// Libraries that require one another.
    #[error("libraries require one another: {}", .0.join(" → "))]
    Circle(Vec<String>),
    /// Programs failed while they made something.
    #[error("{} of what is to be made failed", .0.len())]
    Compile(Vec<Failed>),
    /// What `--path` or the file of dependencies names.
    #[error("`{0}` is not a plain relative path")]
    Path(String),
    /// A path that is not UTF-8.
    #[error("`{}` is not UTF-8", .0.display())]
    NotText(PathBuf),
    /// The output directory holds something else.
    #[error("`{}` is not empty and was not made by `jtwbuild opam`", .0.display())]
    NotOurs(PathBuf),
    #[error("`{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// An input changed while it was read.
    #[error("what `{0}` is made of changed during the run")]
    Changed(String),
    /// The operating system refused or failed.
    #[error("cannot {operation} `{}`: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Held(#[from] StoreError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Jtw(#[from] JtwError),
}

impl SwitchError {
    fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { operation, path: path.to_owned(), source }
    }

    fn tool(what: &'static str, ended: &program::Ended) -> Self {
        Self::Tool { what, said: ended.said().trim().to_owned() }
    }
}

/// Makes what is asked for, and brings the output directory up to date.
///
/// # Errors
/// See [`SwitchError`]; then the output directory is as it was.
pub fn make(request: &Request, run: Run<'_>) -> Result<Report, SwitchError> {
    let target = target(request)?;
    let key = memo::key(request, run.environment);
    if let Some(report) = run.cache.and_then(|root| memo::recall(root, &key)) {
        return Ok(report);
    }
    output::check(&target)?;
    let looked = Looked::new();
    if let Ok(program) = std::env::current_exe() {
        // Another jtwbuild may have another worker in it.
        looked.at(&program);
    }
    let place = place::find(&looked, run.environment, request.switch.as_deref())?;
    let packages = Packages::new(&looked, &place);
    let closure = closure(request, &packages)?;
    let held = Held::default();
    let layer = layer::layer(&looked, &place, &packages, &closure.packages, &held)?;
    let analysis = analysis(request, &layer, &held)?;
    let cache = Cache::open(run.cache)?;
    let identity = identity(&looked, &place)?;
    let worker =
        request.worker.then(|| Worker::prepare(&looked, &place, &packages, &identity, request.effects));
    let worker = worker.transpose()?;
    // The worker takes longest.
    let tasks: Vec<Task<'_>> =
        worker.iter().map(Task::Worker).chain(analysis.steps.iter().map(Task::Step)).collect();
    let compiler = Compiler { place: &place, cache: &cache, identity, inputs: inputs(&layer)? };
    let Done { entries, ran } = compiler.run(&tasks, run.jobs, run.progress)?;
    let (of_worker, of_steps) = entries.split_at(usize::from(worker.is_some()));
    let compiled = outputs(analysis.steps.iter().zip(of_steps), &held)?;
    let artifacts = jtw::artifacts(&analysis, &compiled, &held)?;
    let worker = of_worker.first().map(|made| held.add_known(&made.path, made.blob, made.size));
    let beyond = beyond::beyond(&looked, &packages, &artifacts.libraries)?;
    let parts = Parts {
        request,
        version: &place.version,
        closure: &closure,
        layer: &layer,
        artifacts: &artifacts,
        beyond: &beyond,
        worker,
        held: &held,
    };
    let files = parts.files()?;
    let written = {
        let _alone = alone(&cache, &target)?;
        output::write(&target, &files, &held)?
    };
    let mut notes: Vec<String> = closure.notes.iter().chain(&layer.notes).cloned().collect();
    for problem in artifacts.problems.iter().map(ToString::to_string) {
        if !notes.contains(&problem) {
            notes.push(problem);
        }
    }
    let report = Report {
        libraries: artifacts.libraries.len(),
        archives: analysis.steps.iter().filter(|step| step.kind == Kind::Compile).count(),
        interfaces: files.keys().filter(|path| path.ends_with(".cmi")).count(),
        ran,
        cached: tasks.len() - ran,
        written: written.new,
        kept: written.kept,
        removed: written.removed,
        notes,
        is_unchanged: false,
    };
    if let (Some(root), Some(looks)) = (run.cache, looked.into_looks()) {
        memo::keep(&cache, root, &key, &report, looks, written.looks);
    }
    Ok(report)
}

/// The directory that is written.
fn target(request: &Request) -> Result<PathBuf, SwitchError> {
    let below = request.path.iter().chain(&request.universes);
    let is_fine = |path: &&String| {
        !path.is_empty()
            && path
                .split('/')
                .all(|name| !matches!(name, "" | "." | "..") && is_plain(name) && name.len() < 256)
    };
    if let Some(path) = below.clone().find(|path| !is_fine(path)) {
        return Err(SwitchError::Path(path.clone()));
    }
    Ok(match &request.path {
        Some(path) => request.output.join(path),
        None => request.output.clone(),
    })
}

/// Which libraries take part.
fn closure(request: &Request, packages: &Packages<'_>) -> Result<Closure, SwitchError> {
    let mut names = request.libraries.clone();
    let reach = match (request.shape, &request.path) {
        (Shape::Flat, Some(_)) => Reach::Named,
        (Shape::Each { all: true }, _) => {
            let mut notes = Vec::new();
            for package in packages.names()? {
                match packages.package(&package) {
                    Ok(package) => names.extend(
                        package.iter().flat_map(|package| packages.libraries(package)).map(|one| one.name),
                    ),
                    Err(error @ SwitchError::Meta { .. }) => notes.push(error.to_string()),
                    Err(error) => return Err(error),
                }
            }
            names.push("stdlib".to_owned());
            let mut closure = Closure::of(packages, &names, &SETTINGS, Reach::Lenient)?;
            closure.notes.splice(0..0, notes);
            return Ok(closure);
        }
        _ => {
            names.insert(0, "stdlib".to_owned());
            Reach::All
        }
    };
    Closure::of(packages, &names, &SETTINGS, reach)
}

fn analysis(request: &Request, layer: &layer::Layer, held: &Held) -> Result<Analysis, SwitchError> {
    let settings = Settings {
        effects: request.effects,
        elsewhere: layer.places.clone(),
        borrowed: layer.borrowed.clone(),
        with_stdlib: true,
        ..Settings::default()
    };
    let read = |file: &_| jtw::Blobs::read(held, file);
    Ok(jtw::analyse("installed", "", &layer.tree, &[], &read, &settings)?)
}

/// js_of_ocaml's version and the hash of its program.
fn identity(looked: &Looked, place: &Place) -> Result<blake3::Hash, SwitchError> {
    let ended = place.setting.run(&place.js_of_ocaml, &["--version"], None)?;
    if !ended.is_success() {
        return Err(SwitchError::tool("js_of_ocaml --version", &ended));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&ended.stdout).update(b"\0").update_rayon(&looked.read(&place.js_of_ocaml)?);
    Ok(hasher.finalize())
}

/// The hash of every file that is compiled, by its path.
fn inputs(layer: &layer::Layer) -> Result<BTreeMap<String, [u8; 32]>, SwitchError> {
    let files = layer.tree.files().into_iter();
    let files: BTreeMap<String, [u8; 32]> =
        files.map(|(path, file)| (path.to_string(), *file.blob.as_bytes())).collect();
    let known = layer.places.iter().filter_map(|(at, path)| Some((path.clone(), *files.get(at)?)));
    Ok(known.collect())
}

/// Held while an output directory is written: by no two runs that share a cache.
fn alone(cache: &Cache, target: &Path) -> Result<fs::File, SwitchError> {
    let key = blake3::hash(target.as_os_str().as_encoded_bytes());
    let path = cache.lock_file(&key);
    let failed = |source| SwitchError::io("lock", &path, source);
    let file = fs::OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}
