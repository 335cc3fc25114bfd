//! `[[node]]`: a node of the user's own, and how nodes name each other.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::diagnostic::{Span, did_you_mean};
use crate::name::{NodeName, RecipeName};
use crate::path::RelativePath;
use crate::recipe::values::{SourceArchive, byte_size, git_source, seconds, source_archive, variable_name};
use crate::source::git::GitSource;
use crate::toml_reader::{Table, Value};
use crate::universe::Problems;

/// Unknown inputs of one universe for which the name that was meant is looked for.
const MAX_SUGGESTIONS: usize = 20;

/// A node of the user's own.
#[derive(Clone, Debug)]
pub struct Node {
    pub name: NodeName,
    /// Where the name is written.
    pub span: Span,
    /// Other nodes, whose outputs appear as `/in/<name>`, read-only; each once, in written order.
    pub inputs: Vec<Input>,
    pub source: NodeSource,
    /// In place of the base of `recipes/script.toml`.
    pub base: Option<(RecipeName, Span)>,
    pub run: Run,
    /// What must be below `$out` afterwards; empty: anything may be.
    pub outputs: Vec<RelativePath>,
    /// On top of the environment of `recipes/script.toml`; values are taken as they are.
    pub env: BTreeMap<String, String>,
    /// Seconds, in place of the recipe's.
    pub timeout: Option<u64>,
    /// Bytes, in place of the recipe's.
    pub memory: Option<u64>,
}

/// One input of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Index in `Universe::nodes`.
    pub node: usize,
    pub span: Span,
}

/// What a node finds at `/src`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeSource {
    None,
    /// A file (which appears as `/src/<its name>`) or a directory (whose content is at `/src`),
    /// relative to the universe's directory.
    Local {
        path: RelativePath,
        span: Span,
    },
    /// An archive known by its checksum, unpacked at `/src`.
    Archive {
        archive: SourceArchive,
        span: Span,
    },
    /// A commit of a git repository, whose files are at `/src`. `file` is the one that its spans are in.
    Git {
        source: GitSource,
        file: u32,
    },
}

/// What a node does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// Given to the shell of `recipes/script.toml`.
    Script(String),
    /// A program with its arguments, never empty; no shell is involved.
    Command(Vec<String>),
}

/// The file that nodes are read from.
pub(crate) struct Context<'a> {
    pub(crate) file: u32,
    /// The universe's directory.
    pub(crate) directory: &'a Path,
    /// The file's own directory below it, when that is another.
    pub(crate) parent: Option<&'a RelativePath>,
}

/// A node whose inputs are still names.
pub(crate) struct UnresolvedNode {
    name: NodeName,
    span: Span,
    inputs: Vec<(String, Span)>,
    /// The rest, without inputs; `None` when it could not be read.
    node: Option<Node>,
}

/// Reads a node; `None` when not even its name can be read.
pub(crate) fn read(value: Value<'_>, context: &Context<'_>) -> Option<UnresolvedNode> {
    value.table(|table| read_node(table, context))
}

fn read_node(table: &mut Table<'_>, context: &Context<'_>) -> Option<UnresolvedNode> {
    let spanned = |value: Value<'_>| value.span_in(context.file);
    let name = table.required("name", |value| Some((value.text::<NodeName>()?, spanned(value))));
    let inputs =
        table.optional("inputs", |value| value.list(|value| Some((value.owned_string()?, spanned(value)))));
    let source = read_source(table, context);
    let base = table.optional("base", |value| Some((value.text()?, spanned(value))));
    let run = read_run(table);
    let outputs = table.optional("outputs", |value| value.non_empty_list(Value::text));
    let env = table.optional("env", |value| {
        value.map(|place, key, value| {
            let name = variable_name(place, key)?;
            Some((name.as_str().to_owned(), value.owned_string()?))
        })
    });
    let timeout = table.optional("timeout", seconds);
    let memory = table.optional("memory", byte_size);
    let (name, span) = name?;
    let node = source.zip(run).map(|(source, run)| Node {
        name: name.clone(),
        span,
        inputs: Vec::new(),
        source,
        base,
        run,
        outputs: outputs.unwrap_or_default(),
        env: env.unwrap_or_default().into_iter().collect(),
        timeout,
        memory,
    });
    Some(UnresolvedNode { name, span, inputs: inputs.unwrap_or_default(), node })
}

fn read_source(table: &mut Table<'_>, context: &Context<'_>) -> Option<NodeSource> {
    match (table.get("source"), table.get("archive")) {
        (None, None) => Some(NodeSource::None),
        (Some(value), None) if value.is_table() => {
            Some(NodeSource::Git { source: git_source(value)?, file: context.file })
        }
        (Some(value), None) => {
            let path: RelativePath = value.text()?;
            let path = context.parent.map_or(path.clone(), |parent| parent.join(&path));
            Some(NodeSource::Local { path, span: value.span_in(context.file) })
        }
        (None, Some(value)) => {
            let directory = match context.parent {
                Some(parent) => parent.below(context.directory),
                None => context.directory.to_owned(),
            };
            let archive = source_archive(value, Some(&directory))?;
            Some(NodeSource::Archive { archive, span: value.span_in(context.file) })
        }
        (Some(_), Some(archive)) => {
            archive.problem("two-sources", "a node has one `source` or one `archive`", "second source", None);
            None
        }
    }
}

fn read_run(table: &mut Table<'_>) -> Option<Run> {
    match (table.get("script"), table.get("command")) {
        (Some(script), None) => script.owned_string().map(Run::Script),
        (None, Some(command)) => {
            let argv = command.non_empty_list(Value::owned_string)?;
            (!argv.is_empty()).then_some(Run::Command(argv))
        }
        (None, None) => {
            let help = "say what the node does";
            table.problem(
                "missing-key",
                "`script` or `command` is missing",
                "it belongs here",
                Some(help.into()),
            );
            None
        }
        (Some(_), Some(command)) => {
            command.problem(
                "two-commands",
                "a node has one `script` or one `command`",
                "second command",
                None,
            );
            None
        }
    }
}

/// Turns names of inputs into nodes; reports names that are given twice or not at all. `None` when
/// a node could not be read.
pub(crate) fn resolve(unresolved: Vec<UnresolvedNode>, problems: &mut Problems) -> Option<Vec<Node>> {
    let mut indices: HashMap<&str, usize> = HashMap::with_capacity(unresolved.len());
    for (index, UnresolvedNode { name, span, .. }) in unresolved.iter().enumerate() {
        if indices.insert(name.as_str(), index).is_some() {
            let message = format!("there are two nodes called `{name}`");
            problems.add(*span, "duplicate-node", message, "second of this name", None);
        }
    }
    let mut suggestions = 0;
    let mut resolved = Vec::with_capacity(unresolved.len());
    // For each node, the last one that has it as an input: finds repetitions without a set.
    let mut used_by = vec![usize::MAX; unresolved.len()];
    for (index, UnresolvedNode { name, inputs, .. }) in unresolved.iter().enumerate() {
        let mut known = Vec::with_capacity(inputs.len());
        for (input, span) in inputs {
            let Some(&node) = indices.get(input.as_str()) else {
                // Looking for a name that is like it takes long among thousands of nodes.
                suggestions += 1;
                let names = indices.keys().copied().filter(|_| suggestions <= MAX_SUGGESTIONS);
                let help = did_you_mean(input, names).map(|name| format!("did you mean `{name}`?"));
                let message =
                    format!("`{name}` has the input `{}`, which is not a node", input.escape_debug());
                problems.add(*span, "unknown-input", message, "no node of this name", help);
                continue;
            };
            if std::mem::replace(&mut used_by[node], index) == index {
                let message = format!("`{name}` has the input `{input}` twice");
                problems.add(*span, "duplicate-input", message, "given again", None);
                continue;
            }
            known.push(Input { node, span: *span });
        }
        resolved.push(known);
    }
    let nodes = unresolved.into_iter().zip(resolved);
    nodes.map(|(UnresolvedNode { node, .. }, inputs)| Some(Node { inputs, ..node? })).collect()
}
