//! `universe.toml`: what the user wants, read into checked types with the places of everything
//! that a later stage may have to complain about.

pub mod layout;
pub mod node;
pub mod repository;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use crate::effects::Effects;

use crate::diagnostic::{Problem, SourceError, SourceFile, Span};
use crate::name::{NodeName, RecipeName};
use crate::package::Requirement;
use crate::path::RelativePath;
use crate::recipe::opam::OpamRecipe;
use crate::recipe::overlay::{RecipesError, read_bounded};
use crate::recipe::values::{git_source_in, parse_url, refuse_git_keys};
use crate::source::git::GitSource;
use crate::toml_reader::{FromText, Table, TextError, Value, one_of, read_partly, span_in};
use crate::universe::layout::Layout;
use crate::universe::node::{Node, UnresolvedNode, resolve};
use crate::universe::repository::Repositories;

/// Files that a universe may include: bounds what one command reads.
const MAX_INCLUDES: usize = 1000;

/// The opam package that stands for a compiler that the base has.
pub const SYSTEM_COMPILER: &str = "ocaml-system";

/// Everything that a universe file and the files that it includes say.
#[derive(Clone, Debug)]
pub struct Universe {
    pub name: NodeName,
    /// The compiler; present whenever there are packages.
    pub compiler: Option<Requirement>,
    pub packages: Vec<Requirement>,
    pub repositories: Repositories,
    pub effects: Effects,
    pub base: BaseChoice,
    pub tools: Tools,
    /// Whether there is one: otherwise packages are only built.
    pub has_site: bool,
    /// Where the site goes, relative to the universe's directory.
    pub output: RelativePath,
    /// The compressed variants that files of the site have.
    pub compress: Compress,
    pub nodes: Vec<Node>,
    /// The universe file, then the included ones: what [`Span::file`] counts.
    pub files: Vec<SourceFile>,
    /// The directory that relative paths start from.
    pub directory: PathBuf,
}

impl FromText for Effects {
    fn from_text(text: &str) -> Result<Self, TextError> {
        one_of(text, "effects mode", &Self::ALL)
    }
}

/// Which compressed variants the files of a site have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compress {
    None,
    /// Those that are made in next to no time.
    #[default]
    Fast,
    /// The smallest, which take their time.
    Best,
}

impl FromText for Compress {
    fn from_text(text: &str) -> Result<Self, TextError> {
        let words = [("none", Self::None), ("fast", Self::Fast), ("best", Self::Best)];
        one_of(text, "way to compress a site", &words)
    }
}

/// What to do about a release file that is past its date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpiredRelease {
    #[default]
    Warn,
    Refuse,
}

impl FromText for ExpiredRelease {
    fn from_text(text: &str) -> Result<Self, TextError> {
        one_of(text, "way to treat an expired release", &[("warn", Self::Warn), ("refuse", Self::Refuse)])
    }
}

/// The base that packages are built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseChoice {
    /// `recipes/base/<recipe>.toml`.
    pub recipe: RecipeName,
    /// In place of the recipe's suite.
    pub suite: Option<String>,
    /// In place of the machine's own mirror.
    pub mirror: Option<String>,
    pub expired_release: ExpiredRelease,
    /// Where the recipe is named; the file's beginning when it is not.
    pub span: Span,
}

/// The toplevel worker.
#[derive(Clone, Debug, Default)]
pub struct Tools {
    pub source: ToolsSource,
    /// What the tree is that the source names.
    pub layout: Layout,
}

impl Tools {
    /// Where the source is named, in the universe file; its beginning when it is not.
    pub fn span(&self) -> Span {
        match &self.source {
            ToolsSource::BuiltIn => Span::default(),
            ToolsSource::Path { span, .. } => *span,
            ToolsSource::Git(source) => span_in(source.url_span.clone(), 0),
        }
    }
}

/// Where the toplevel worker's source comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolsSource {
    /// The one among the recipes.
    #[default]
    BuiltIn,
    /// A directory of this machine, relative to the universe's directory unless absolute.
    Path { path: PathBuf, span: Span },
    /// A commit of a git repository; its spans are in the universe file.
    Git(GitSource),
}

/// Why a universe could not be read.
#[derive(Debug, Error)]
pub enum UniverseError {
    /// The universe file cannot be read.
    #[error(transparent)]
    File(#[from] RecipesError),
    /// One or more files hold problems, in the order of the files.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Source(Vec<SourceError>),
}

impl Universe {
    /// Reads a universe file and what it includes. Messages call files by the path given here.
    pub fn load(path: &Path) -> Result<Self, UniverseError> {
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(read_text(path)?, &directory, |include| read_text(&include.below(&directory)))
    }

    /// Reads a universe whose includes `read_include` gives.
    pub fn parse(
        file: SourceFile,
        directory: &Path,
        mut read_include: impl FnMut(&RelativePath) -> Result<SourceFile, RecipesError>,
    ) -> Result<Self, UniverseError> {
        let mut problems = Problems::default();
        let (parsed, found) = read_partly(&file, "universe", |table| Some(read_universe(table, directory)));
        problems.extend(0, found);
        let mut files = vec![file];
        let (universe, mut nodes, includes) = match parsed {
            Some(Parsed { universe, nodes, includes }) => (universe, nodes, includes),
            None => (None, None, Vec::new()),
        };
        for (include, span) in includes {
            let file = match read_include(&include) {
                Ok(file) => file,
                Err(error) => {
                    problems.add(span, "include", error.to_string(), "included here", None);
                    nodes = None;
                    continue;
                }
            };
            let index = u32::try_from(files.len()).unwrap_or(u32::MAX);
            let parent = include.parent();
            let context = node::Context { file: index, directory, parent: parent.as_ref() };
            let (more, found) = read_partly(&file, "universe", |table| read_include_file(table, &context));
            problems.extend(index, found);
            files.push(file);
            match (&mut nodes, more) {
                (Some(nodes), Some(more)) => nodes.extend(more),
                (nodes, _) => *nodes = None,
            }
        }
        // Without all nodes nobody can say which names are unknown.
        let nodes = nodes.and_then(|nodes| resolve(nodes, &mut problems));
        problems.into_result(&files)?;
        let (universe, nodes) = universe.zip(nodes).expect("what could not be read was reported");
        Ok(Self { nodes, files, directory: directory.to_owned(), ..universe })
    }

    /// The base that packages of opam repositories are built in: the one that the universe names, else
    /// the recipe's for its compiler.
    pub fn opam_base<'a>(&'a self, recipe: &'a OpamRecipe) -> &'a RecipeName {
        let is_system =
            self.compiler.as_ref().is_some_and(|compiler| compiler.name.as_str() == SYSTEM_COMPILER);
        match (self.base.span == Span::default(), is_system) {
            (false, _) => &self.base.recipe,
            (true, true) => &recipe.system,
            (true, false) => &recipe.base,
        }
    }

    /// An error about `span` of one of the universe's files, for later stages; `code` is the whole
    /// code.
    pub fn error_at(
        &self,
        span: Span,
        code: &str,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) -> SourceError {
        let problem = Problem {
            code: code.to_owned(),
            message: message.into(),
            span: span.range(),
            label: label.into(),
            help,
        };
        SourceError::new(&self.files[span.file as usize], vec![problem])
    }
}

/// Reads a text file, which messages call by its path.
pub fn read_text(path: &Path) -> Result<SourceFile, RecipesError> {
    let bytes = read_bounded(path)?;
    let name = path.display().to_string();
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(SourceFile::new(name, text)),
        Err(error) => Err(RecipesError::NotText { name, valid_up_to: error.valid_up_to() }),
    }
}

/// Problems of all files, each with the index of its file.
#[derive(Default)]
pub(crate) struct Problems(Vec<(u32, Problem)>);

impl Problems {
    fn extend(&mut self, file: u32, problems: Vec<Problem>) {
        self.0.extend(problems.into_iter().map(|problem| (file, problem)));
    }

    pub(crate) fn add(
        &mut self,
        span: Span,
        code: &str,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        let code = format!("jtwbuild::universe::{code}");
        let (message, label) = (message.into(), label.into());
        self.0.push((span.file, Problem { code, message, span: span.range(), label, help }));
    }

    fn into_result(self, files: &[SourceFile]) -> Result<(), UniverseError> {
        let mut by_file: BTreeMap<u32, Vec<Problem>> = BTreeMap::new();
        for (file, problem) in self.0 {
            by_file.entry(file).or_default().push(problem);
        }
        if by_file.is_empty() {
            return Ok(());
        }
        let errors =
            by_file.into_iter().map(|(file, problems)| SourceError::new(&files[file as usize], problems));
        Err(UniverseError::Source(errors.collect()))
    }
}

/// The universe file by itself. What could not be read is `None`, and has been reported.
struct Parsed {
    /// Without nodes and files.
    universe: Option<Universe>,
    nodes: Option<Vec<UnresolvedNode>>,
    includes: Vec<(RelativePath, Span)>,
}

fn read_universe(table: &mut Table<'_>, directory: &Path) -> Parsed {
    let name = table.required("name", Value::text);
    let compiler = table.optional("compiler", |value| Requirement::read(value, 0));
    let mut repositories = repository::read(table, directory);
    let packages = table.optional("packages", |value| {
        if value.is_text() {
            repositories.latest = Some(latest(value, &repositories)?);
            return Some((value, Vec::new()));
        }
        Some((value, value.list(|value| Requirement::read(value, 0))?))
    });
    let has_site = table.optional("site", Value::boolean);
    let effects = table.optional("effects", Value::text).unwrap_or_default();
    let base = table.optional("base", |value| value.table(|table| Some(read_base(table))));
    let tools = table.optional("tools", |value| value.table(read_tools));
    let output = table.optional("output", |value| value.table(|table| Some(read_output(table))));
    let includes = table.optional("include", read_includes).unwrap_or_default();
    let context = node::Context { file: 0, directory, parent: None };
    let nodes = match table.get("node") {
        None => Some(Vec::new()),
        Some(value) => read_nodes(value, &context),
    };

    if let (None, Some((value, packages))) = (&compiler, &packages)
        && (!packages.is_empty() || !repositories.choices.is_empty())
        && !table.has("compiler")
    {
        let help = "name it as in `compiler = \"ocaml.5.4.1\"`";
        value.problem(
            "missing-key",
            "packages need a `compiler`",
            "packages are asked for",
            Some(help.into()),
        );
    }
    if !["compiler", "packages", "node", "include"].iter().any(|key| table.has(key)) {
        let help = "give a `compiler` and `packages`, or some `[[node]]`";
        table.problem("empty", "the universe asks for nothing", "", Some(help.into()));
    }

    let output = output.unwrap_or_default();
    let default_base = || BaseChoice {
        recipe: default_base(),
        suite: None,
        mirror: None,
        expired_release: ExpiredRelease::Warn,
        span: Span::default(),
    };
    let universe = name.map(|name| Universe {
        name,
        compiler,
        packages: repositories.take_libraries(packages.map(|(_, packages)| packages).unwrap_or_default()),
        repositories,
        effects,
        base: base.unwrap_or_else(default_base),
        tools: tools.unwrap_or_default(),
        has_site: has_site.unwrap_or(true),
        output: output.dir.unwrap_or_else(|| RelativePath::new("site").expect("a good path")),
        compress: output.compress,
        nodes: Vec::new(),
        files: Vec::new(),
        directory: PathBuf::new(),
    });
    Parsed { universe, nodes, includes }
}

/// The place of `packages = "latest"`.
fn latest(value: Value<'_>, repositories: &Repositories) -> Option<Span> {
    value.text_with(|text| one_of(text, "way to ask for packages", &[("latest", ()), ("all", ())]))?;
    if repositories.choices.is_empty() {
        let help = "name the packages, or a `[[repository]]`";
        value.problem(
            "no-repository",
            "recipes cannot be asked for all at once",
            "of what?",
            Some(help.into()),
        );
        return None;
    }
    Some(value.span_in(0))
}

fn read_base(table: &mut Table<'_>) -> BaseChoice {
    let recipe = table.optional("recipe", |value| Some((value.text()?, value.span_in(0))));
    let suite = table.optional("suite", Value::word);
    let mirror = table.optional("mirror", |value| {
        // A directory of this machine serves as well.
        if value.string()?.starts_with('/') { value.line() } else { value.text_with(parse_url) }
    });
    let expired_release = table.optional("expired-release", Value::text).unwrap_or_default();
    let (recipe, span) = recipe.unwrap_or_else(|| (default_base(), Span::default()));
    BaseChoice { recipe, suite, mirror, expired_release, span }
}

/// `[output]`.
#[derive(Default)]
struct Output {
    dir: Option<RelativePath>,
    compress: Compress,
}

fn read_output(table: &mut Table<'_>) -> Output {
    Output {
        dir: table.optional("dir", Value::text),
        compress: table.optional("compress", Value::text).unwrap_or_default(),
    }
}

fn default_base() -> RecipeName {
    RecipeName::new("ocaml").expect("a good name")
}

fn read_tools(table: &mut Table<'_>) -> Option<Tools> {
    let path = table.get("path");
    if table.get("git").is_some() {
        if let Some(path) = path {
            path.problem("two-sources", "a worker has one `path` or one `git`", "second source", None);
        }
        let source = git_source_in(table);
        let layout = layout::read(table);
        return Some(Tools { source: ToolsSource::Git(source?), layout: layout? });
    }
    refuse_git_keys(table);
    let layout = layout::read(table);
    let Some(path) = path else {
        let help = "name the directory of a worker, or as `git` the URL of a repository";
        let message = "`path` or `git` is missing";
        table.problem("missing-key", message, "it belongs here", Some(help.into()));
        return None;
    };
    let source = ToolsSource::Path { path: path.line()?.into(), span: path.span_in(0) };
    Some(Tools { source, layout: layout? })
}

fn read_includes(value: Value<'_>) -> Option<Vec<(RelativePath, Span)>> {
    let mut seen = BTreeSet::new();
    let includes = value.list(|value| {
        value.table(|table| {
            table.required("path", |value| {
                let path: RelativePath = value.text()?;
                if !seen.insert(path.clone()) {
                    let message = format!("`{path}` is included twice");
                    value.problem("include", message, "included again", None);
                    return None;
                }
                Some((path, value.span_in(0)))
            })
        })
    })?;
    if includes.len() > MAX_INCLUDES {
        value.problem("include", format!("more than {MAX_INCLUDES} files are included"), "too many", None);
        return None;
    }
    Some(includes)
}

fn read_include_file(table: &mut Table<'_>, context: &node::Context<'_>) -> Option<Vec<UnresolvedNode>> {
    table.required("node", |value| read_nodes(value, context))
}

/// All nodes, or `None` when one of them is nothing like a node.
fn read_nodes(value: Value<'_>, context: &node::Context<'_>) -> Option<Vec<UnresolvedNode>> {
    let nodes = value.list(|value| Some(node::read(value, context)))?;
    nodes.into_iter().collect()
}

#[cfg(test)]
mod tests;
