//! The opam files of the worker's tree, which have to be known before there is a plan: of a directory, or
//! of a commit, which is fetched for it by the node that the plan will have.

use std::path::Path;
use std::sync::Arc;

use super::Loaded;
use crate::builder::{AnySandbox, LocalBuilder};
use crate::cli::summary::hint_for_commit;
use crate::cli::trouble::{Exit, Trouble};
use crate::derivation::NodeId;
use crate::diagnostic::SourceFile;
use crate::fetch::Fetcher;
use crate::opam::{Platform, pinned};
use crate::outcome::Failure;
use crate::pins::Pins;
use crate::plan::evaluate::Evaluation;
use crate::plan::tools::source_alone;
use crate::realise::{Builder, Job, Place, Quiet, Settings, Stop, realise};
use crate::solution::Solution;
use crate::store::facts::Facts;
use crate::store::tree::{Name, Node, RelPath, Tree, TreeHash};
use crate::store::{Store, disk};
use crate::universe::{ToolsSource, read_text};

/// Opam files with their paths in the tree.
pub(super) type OpamFiles = Vec<(String, SourceFile)>;

impl Loaded {
    /// The opam files of the worker's tree, sorted by path.
    pub(super) fn worker_files(&self, store: &Arc<Store>) -> Result<OpamFiles, Trouble> {
        match &self.universe.tools.source {
            ToolsSource::BuiltIn => Ok(Vec::new()),
            ToolsSource::Path { path, span } => {
                let files = of_directory(&self.universe.directory.join(path));
                Ok(files.map_err(|Unreadable(error)| {
                    let message = format!("the worker's source cannot be read: {error}");
                    let help = "the path is relative to the universe file".to_owned();
                    let code = "jtwbuild::universe::tools";
                    self.universe.error_at(*span, code, message, "this directory", Some(help))
                })?)
            }
            ToolsSource::Git(source) => {
                let pins = Pins::new(&self.lock);
                let commit = pins.commit(source).map(|commit| commit.short().to_owned()).unwrap_or_default();
                let tree = self.worker_commit(&pins, store)?;
                of_tree(store, &tree, &format!("{}#{commit}", source.url))
            }
        }
    }

    /// The tree of the commit that the worker's source is; fetched if the store does not have it.
    fn worker_commit(&self, pins: &Pins, store: &Arc<Store>) -> Result<TreeHash, Trouble> {
        let plan = source_alone(&Evaluation {
            universe: &self.universe,
            solution: &Solution::default(),
            recipes: &self.recipes,
            pins,
            platform: &Platform::debian(""),
            sources: &std::collections::BTreeMap::new(),
            worker: None,
            worker_packages: None,
            page: None,
        })?;
        let plan = plan.unwrap_or_default();
        let fetching = Fetching { store, pins, fetcher: &self.fetcher };
        let place = Place { plan: &plan, store, facts: &Facts::unread(&store.plans().join("facts")) };
        let run = realise(&place, &fetching, &Quiet, &Stop::default(), Settings::default());
        let report = run.report(NodeId(0));
        let failure = report.outcome.failure();
        report.tree.ok_or_else(|| self.cannot_fetch(failure))
    }

    fn cannot_fetch(&self, failure: Option<&Failure>) -> Trouble {
        let what = failure.map(ToString::to_string).unwrap_or_default();
        let message = format!("the worker's source cannot be had: {what}");
        let help = failure.and_then(hint_for_commit).map(str::to_owned);
        let is_verdict = failure.is_some_and(Failure::is_verdict);
        let code = "jtwbuild::tools::source";
        let span = self.universe.tools.span();
        let trouble = Trouble::from(self.universe.error_at(span, code, message, "this repository", help));
        Trouble { exit: if is_verdict { Exit::Input } else { Exit::Environment }, ..trouble }
    }
}

/// A builder that only ever fetches: it has a sandbox in the moment in which there is something to do.
struct Fetching<'a> {
    store: &'a Arc<Store>,
    pins: &'a Pins,
    fetcher: &'a Fetcher,
}

impl Builder for Fetching<'_> {
    fn build(&self, job: &Job<'_>) -> Result<TreeHash, Failure> {
        let Self { store, pins, fetcher } = *self;
        let sandbox = &AnySandbox::start(None);
        LocalBuilder::new(store, pins, fetcher, sandbox).build(job)
    }
}

/// Why a directory's opam files cannot be read: a sentence.
struct Unreadable(String);

impl<E: std::error::Error> From<E> for Unreadable {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Links are not followed.
fn of_directory(directory: &Path) -> Result<OpamFiles, Unreadable> {
    let mut found = Vec::new();
    for entry in disk::list(directory)? {
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let kind = entry.file_type()?;
        if kind.is_file() {
            found.push(name);
        } else if kind.is_dir() && pinned::is_directory_of_files(&name) {
            for below in disk::list(&directory.join(&name))? {
                let file = below.file_name();
                if let (Some(file), true) = (file.to_str(), below.file_type()?.is_file()) {
                    found.push(format!("{name}/{file}"));
                }
            }
        }
    }
    found.retain(|path| pinned::called(path).is_some());
    found.sort_unstable();
    let read = |path: String| {
        let file = read_text(&directory.join(&path))?;
        Ok((path, file))
    };
    found.into_iter().map(read).collect()
}

/// Messages call the tree `name`.
fn of_tree(store: &Store, tree: &TreeHash, name: &str) -> Result<OpamFiles, Trouble> {
    let tree = store.tree(tree)?;
    let mut found = Vec::new();
    add_files(&tree, "", &mut found);
    for (directory, node) in tree.entries() {
        if let (Some(directory), Node::Directory(below)) = (directory.as_str(), node)
            && pinned::is_directory_of_files(directory)
        {
            add_files(below, &format!("{directory}/"), &mut found);
        }
    }
    found.sort_unstable();
    let mut files = Vec::new();
    for path in found {
        let Ok(place) = RelPath::parse(&path) else { continue };
        let bytes = store.read_in(&tree, &place)?.unwrap_or_default();
        let file = SourceFile::new(format!("{name}/{path}"), &String::from_utf8_lossy(&bytes));
        files.push((path, file));
    }
    Ok(files)
}

/// The opam files of one directory.
fn add_files(directory: &Tree, prefix: &str, found: &mut Vec<String>) {
    let files = directory.entries().filter(|(_, node)| matches!(node, Node::File(_)));
    let paths = files.filter_map(|(name, _)| Some(format!("{prefix}{}", Name::as_str(name)?)));
    found.extend(paths.filter(|path| pinned::called(path).is_some()));
}
