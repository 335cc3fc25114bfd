//! `universe.toml`: what the user wants, read into checked types with the places of everything
//! that a later stage may have to complain about.

pub mod node;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::diagnostic::{Problem, SourceError, SourceFile, Span};
use crate::name::{NodeName, RecipeName};
use crate::package::Requirement;
use crate::path::RelativePath;
use crate::recipe::overlay::{RecipesError, read_bounded};
use crate::recipe::values::parse_url;
use crate::toml_reader::{FromText, MAX_FILE, Table, TextError, Value, one_of, read_file};
use crate::universe::node::{Node, UnresolvedNode, resolve};

/// Files that a universe may include: bounds what one command reads.
const MAX_INCLUDES: usize = 1000;

/// Everything that a universe file and the files that it includes say.
#[derive(Clone, Debug)]
pub struct Universe {
    pub name: NodeName,
    /// The compiler; present whenever there are packages.
    pub compiler: Option<Requirement>,
    pub packages: Vec<Requirement>,
    pub effects: Effects,
    pub base: BaseChoice,
    pub tools: Tools,
    /// Where the site goes, relative to the universe's directory.
    pub output: RelativePath,
    pub nodes: Vec<Node>,
    /// The universe file, then the included ones: what [`Span::file`] counts.
    pub files: Vec<SourceFile>,
    /// The directory that relative paths start from.
    pub directory: PathBuf,
}

/// How the browser's code does effects; the worker and all libraries must agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effects {
    #[default]
    Disabled,
    Cps,
    DoubleTranslation,
}

const EFFECTS: [(&str, Effects); 3] = [
    ("disabled", Effects::Disabled),
    ("cps", Effects::Cps),
    ("double-translation", Effects::DoubleTranslation),
];

impl Effects {
    /// The word for it, which is also what `js_of_ocaml` takes.
    pub fn as_str(self) -> &'static str {
        EFFECTS.iter().find(|(_, effects)| *effects == self).map_or("disabled", |(word, _)| word)
    }
}

impl FromText for Effects {
    fn from_text(text: &str) -> Result<Self, TextError> {
        one_of(text, "effects mode", &EFFECTS)
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
    /// Where the recipe is named, or the `[base]` table, or the file's beginning.
    pub span: Span,
}

/// Where the toplevel worker's source comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tools {
    /// The one among the recipes.
    BuiltIn,
    /// A directory of this machine, relative to the universe's directory unless absolute.
    Path { path: PathBuf, span: Span },
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
        let bytes = read_bounded(path)?;
        let text = text_of(path, bytes)?;
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        let file = SourceFile::new(path.display().to_string(), text);
        Self::parse(file, &directory, |include| {
            let place = include.below(&directory);
            let bytes = std::fs::File::open(&place).and_then(|file| {
                let mut bytes = Vec::new();
                io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE as u64 + 1), &mut bytes)?;
                Ok(bytes)
            })?;
            let text = String::from_utf8(bytes).map_err(|error| io::Error::other(error.utf8_error()))?;
            Ok(SourceFile::new(place.display().to_string(), text))
        })
    }

    /// Reads a universe whose includes `read_include` gives.
    pub fn parse(
        file: SourceFile,
        directory: &Path,
        mut read_include: impl FnMut(&RelativePath) -> io::Result<SourceFile>,
    ) -> Result<Self, UniverseError> {
        let mut parsed = match read_file(&file, "universe", |table| read_universe(table, directory)) {
            Ok(parsed) => parsed,
            Err(error) => return Err(UniverseError::Source(vec![error])),
        };
        let mut files = vec![file];
        let mut problems = Problems::default();
        let includes = std::mem::take(&mut parsed.includes);
        for (include, span) in includes {
            let included = match read_include(&include) {
                Ok(file) => file,
                Err(error) => {
                    let message = format!("cannot read `{include}`: {error}");
                    problems.add(span, "include", message, "included here", None);
                    continue;
                }
            };
            let index = u32::try_from(files.len()).unwrap_or(u32::MAX);
            files.push(included);
            let parent = include.parent();
            let context = node::Context { file: index, directory, parent: parent.as_ref() };
            match read_file(&files[index as usize], "universe", |table| read_include_file(table, &context)) {
                Ok(nodes) => parsed.nodes.extend(nodes),
                Err(error) => problems.other.push(error),
            }
        }
        let nodes = resolve(parsed.nodes, &mut problems);
        problems.into_result(&files)?;
        Ok(Self { nodes, files, directory: directory.to_owned(), ..parsed.universe })
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

fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String, RecipesError> {
    String::from_utf8(bytes).map_err(|error| RecipesError::NotText {
        name: path.display().to_string(),
        valid_up_to: error.utf8_error().valid_up_to(),
    })
}

/// Problems that are found when all files are read.
#[derive(Default)]
pub(crate) struct Problems {
    list: Vec<(u32, Problem)>,
    other: Vec<SourceError>,
}

impl Problems {
    pub(crate) fn add(
        &mut self,
        span: Span,
        code: &str,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        let problem = Problem {
            code: format!("jtwbuild::universe::{code}"),
            message: message.into(),
            span: span.range(),
            label: label.into(),
            help,
        };
        self.list.push((span.file, problem));
    }

    fn into_result(self, files: &[SourceFile]) -> Result<(), UniverseError> {
        let mut by_file: HashMap<u32, Vec<Problem>> = HashMap::new();
        for (file, problem) in self.list {
            by_file.entry(file).or_default().push(problem);
        }
        let mut errors = Vec::new();
        for (index, file) in (0..).zip(files) {
            errors.extend(by_file.remove(&index).map(|problems| SourceError::new(file, problems)));
            errors.extend(self.other.iter().filter(|error| error.file == file.name).cloned());
        }
        if errors.is_empty() { Ok(()) } else { Err(UniverseError::Source(errors)) }
    }
}

/// The universe file by itself.
struct Parsed {
    /// Without nodes and files.
    universe: Universe,
    nodes: Vec<UnresolvedNode>,
    includes: Vec<(RelativePath, Span)>,
}

fn read_universe(table: &mut Table<'_>, directory: &Path) -> Option<Parsed> {
    let name = table.required("name", Value::text);
    let compiler = table.optional("compiler", |value| Requirement::read(value, 0));
    let packages =
        table.optional("packages", |value| Some((value, value.list(|value| Requirement::read(value, 0))?)));
    let effects = table.optional("effects", Value::text).unwrap_or_default();
    let base = table.optional("base", |value| {
        let span = value.span_in(0);
        value.table(|table| read_base(table, span))
    });
    let tools = table.optional("tools", |value| value.table(read_tools));
    let output =
        table.optional("output", |value| value.table(|table| Some(table.optional("dir", Value::text))));
    let includes = table.optional("include", read_includes).unwrap_or_default();
    let context = node::Context { file: 0, directory, parent: None };
    let nodes = table.optional("node", |value| value.list(|value| node::read(value, &context)));
    let nodes = nodes.unwrap_or_default();

    if let (None, Some((value, packages))) = (&compiler, &packages)
        && !packages.is_empty()
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

    let default_base = || {
        let recipe = RecipeName::new("ocaml").expect("a good name");
        BaseChoice {
            recipe,
            suite: None,
            mirror: None,
            expired_release: ExpiredRelease::Warn,
            span: Span::default(),
        }
    };
    let universe = Universe {
        name: name?,
        compiler,
        packages: packages.map(|(_, packages)| packages).unwrap_or_default(),
        effects,
        base: base.unwrap_or_else(default_base),
        tools: tools.unwrap_or(Tools::BuiltIn),
        output: output.flatten().unwrap_or_else(|| RelativePath::new("site").expect("a good path")),
        nodes: Vec::new(),
        files: Vec::new(),
        directory: PathBuf::new(),
    };
    Some(Parsed { universe, nodes, includes })
}

fn read_base(table: &mut Table<'_>, span: Span) -> Option<BaseChoice> {
    let recipe = table.required("recipe", |value| Some((value.text()?, value.span_in(0))));
    let suite = table.optional("suite", Value::word);
    let mirror = table.optional("mirror", |value| value.text_with(parse_url));
    let expired_release = table.optional("expired-release", Value::text).unwrap_or_default();
    let (recipe, recipe_span) = recipe?;
    Some(BaseChoice {
        recipe,
        suite,
        mirror,
        expired_release,
        span: if recipe_span == Span::default() { span } else { recipe_span },
    })
}

fn read_tools(table: &mut Table<'_>) -> Option<Tools> {
    let path = table.required("path", |value| Some((value.line()?, value.span_in(0))));
    let (path, span) = path?;
    Some(Tools::Path { path: path.into(), span })
}

fn read_includes(value: Value<'_>) -> Option<Vec<(RelativePath, Span)>> {
    let mut seen = BTreeSet::new();
    let includes = value.list(|value| {
        let path: RelativePath = value.table(|table| table.required("path", Value::text))?;
        if !seen.insert(path.clone()) {
            value.problem("include", format!("`{path}` is included twice"), "included again", None);
            return None;
        }
        Some((path, value.span_in(0)))
    })?;
    if includes.len() > MAX_INCLUDES {
        value.problem("include", format!("more than {MAX_INCLUDES} files are included"), "too many", None);
        return None;
    }
    Some(includes)
}

fn read_include_file(table: &mut Table<'_>, context: &node::Context<'_>) -> Option<Vec<UnresolvedNode>> {
    table.required("node", |value| value.list(|value| node::read(value, context)))
}
