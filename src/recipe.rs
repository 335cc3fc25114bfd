//! Recipes: one TOML template per kind of node, read into checked types.
//!
//! A recipe says what the engine binds for every node of its kind: commands, environment, limits.
//! What differs between two nodes comes from the universe and from package recipes.

pub mod build;
pub mod debian;
pub mod opam;
pub mod overlay;
pub mod template;
pub mod values;

use std::collections::BTreeMap;

use thiserror::Error;

use crate::diagnostic::{Problem, SourceError, SourceFile, quoted_list};
use crate::name::RecipeName;
use crate::path::{AbsolutePath, RelativePath};
use crate::recipe::overlay::{Recipes, RecipesError};
use crate::recipe::template::{Scope, Unbound};
use crate::recipe::values::{Argv, Environment, commands, limits};
use crate::request::Limits;
use crate::toml_reader::{Table, Value, read_file};

/// Why a recipe cannot be used.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// Its file cannot be had.
    #[error(transparent)]
    File(#[from] RecipesError),
    /// Its file holds problems.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// A recipe together with the file it was read from.
#[derive(Clone, Debug)]
pub struct Loaded<R> {
    pub recipe: R,
    pub file: SourceFile,
}

/// One kind of recipe, of which there is one file.
pub trait RecipeKind: Sized {
    /// Its path among the recipes.
    const PATH: &'static str;

    /// Reads the file's table.
    fn read(table: &mut Table<'_>) -> Option<Self>;

    /// Reads the recipe of this kind.
    fn load(recipes: &Recipes) -> Result<Loaded<Self>, RecipeError> {
        let file = recipes.text(Self::PATH)?;
        let recipe = read_file(&file, "recipe", Self::read)?;
        Ok(Loaded { recipe, file })
    }
}

impl Unbound {
    /// As a problem of the file that the template is written in.
    pub fn in_file(&self, file: &SourceFile) -> SourceError {
        let problem = Problem {
            code: "jtwbuild::recipe::unbound-variable".into(),
            message: self.to_string(),
            span: self.span.clone(),
            label: "used here".into(),
            help: Some(format!("known here: {}", quoted_list(self.known.iter().map(String::as_str)))),
        };
        SourceError::new(file, vec![problem])
    }
}

fn purpose(table: &mut Table<'_>) -> Option<String> {
    table.required("purpose", Value::line)
}

/// `source.toml`: how fixed outputs are unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRecipe {
    pub purpose: String,
    /// Bytes of one downloaded archive.
    pub archive_bytes: u64,
    /// Bytes of all files of an unpacked archive together.
    pub unpacked_bytes: u64,
    /// Members of an archive.
    pub members: u64,
}

impl RecipeKind for SourceRecipe {
    const PATH: &'static str = "source.toml";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let purpose = purpose(table);
        let (archive, unpacked, members) = table.required("limits", |value| {
            value.table(|table| {
                let archive = table.required("archive", values::byte_size);
                let unpacked = table.required("unpacked", values::byte_size);
                let members = table.required("members", |value| value.integer(1..=u64::from(u32::MAX)));
                Some((archive?, unpacked?, members?))
            })
        })?;
        Some(Self { purpose: purpose?, archive_bytes: archive, unpacked_bytes: unpacked, members })
    }
}

/// `base.toml`: what the set-up commands of every base run with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseKindRecipe {
    pub purpose: String,
    pub env: Environment,
    pub limits: Limits,
}

/// Nothing can be named where there is nothing yet.
const NO_VARIABLES: Scope = Scope { variables: &[], facts: false };

impl RecipeKind for BaseKindRecipe {
    const PATH: &'static str = "base.toml";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let purpose = purpose(table);
        let env = table.required("env", |value| Environment::read(value, &NO_VARIABLES));
        let limits = table.required("limits", limits);
        Some(Self { purpose: purpose?, env: env?, limits: limits? })
    }
}

/// `base/<name>.toml`: one base system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseRecipe {
    pub name: RecipeName,
    pub description: String,
    /// The distribution's suite, when the universe names no other.
    pub suite: String,
    /// Archive areas, such as `main`.
    pub components: Vec<String>,
    /// Distribution packages asked for; their dependencies follow.
    pub packages: Vec<String>,
    /// Patterns of packages that are left out unless they are asked for.
    pub without: Vec<String>,
    /// Patterns of paths that are not unpacked.
    pub drop: Vec<String>,
    /// Commands run in the unpacked base.
    pub setup: Vec<Argv>,
    /// Where the tree is placed, when it is not a whole root.
    pub prefix: Option<AbsolutePath>,
    /// What other recipes may name as `${base.<fact>}`.
    pub facts: BTreeMap<String, String>,
}

impl BaseRecipe {
    /// Reads the base of this name.
    pub fn load(recipes: &Recipes, name: &RecipeName) -> Result<Loaded<Self>, RecipeError> {
        let file = recipes.text(&format!("base/{name}.toml"))?;
        let recipe = read_file(&file, "recipe", |table| Self::read(table, name))?;
        Ok(Loaded { recipe, file })
    }

    /// A fingerprint of what the recipe asks a suite for, for machines of the architecture `arch`.
    pub fn asked(&self, arch: &str) -> String {
        let asked = (arch, &self.components, &self.packages, &self.without);
        let text = serde_json::to_string(&asked).expect("lists of text");
        blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
    }

    /// Names of all bases, sorted.
    pub fn names(recipes: &Recipes) -> Vec<RecipeName> {
        let paths = recipes.list("base/");
        let names = paths.iter().filter_map(|path| path.strip_prefix("base/")?.strip_suffix(".toml"));
        names.filter_map(RecipeName::new).collect()
    }

    fn read(table: &mut Table<'_>, name: &RecipeName) -> Option<Self> {
        let description = table.required("description", Value::line);
        let suite = table.required("suite", Value::word);
        let components = table.required("components", |value| value.non_empty_list(Value::word));
        let packages = table.required("packages", |value| value.non_empty_list(Value::word));
        let without = table.optional("without", |value| value.list(Value::word));
        let drop = table.optional("drop", |value| value.list(Value::line));
        let setup = table.optional("setup", |value| commands(value, &NO_VARIABLES));
        let prefix = table.optional("prefix", Value::text);
        let facts = table.optional("facts", |value| {
            value.map(|_, name, value| Some((name.to_owned(), value.owned_string()?)))
        });
        Some(Self {
            name: name.clone(),
            description: description?,
            suite: suite?,
            components: components?,
            packages: packages?,
            without: without.unwrap_or_default(),
            drop: drop.unwrap_or_default(),
            setup: setup.unwrap_or_default(),
            prefix,
            facts: facts.unwrap_or_default().into_iter().collect(),
        })
    }
}

/// `jtw-tools.toml`: how the toplevel worker is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JtwToolsRecipe {
    pub purpose: String,
    /// The base it is built in.
    pub base: RecipeName,
    /// Bases whose trees are added to it.
    pub extra: Vec<RecipeName>,
    /// A folder among the recipes: the worker's source, when the universe names no other. For a tree
    /// of opam packages it is what lies in `workdir` in the beginning.
    pub worker: RelativePath,
    /// Where the source is, writable, and where commands run.
    pub workdir: AbsolutePath,
    pub commands: Vec<Argv>,
    /// What must be in `workdir` afterwards: the tree that is kept.
    pub outputs: Vec<RelativePath>,
    pub env: Environment,
    pub limits: Limits,
}

/// Variables of the tools' commands.
const TOOLS_SCOPE: Scope = Scope { variables: &["workdir", "effects", "jobs"], facts: true };

/// The same for a tree of opam packages, which are installed at a prefix.
const OPAM_TOOLS_SCOPE: Scope = Scope { variables: &["workdir", "effects", "jobs", "prefix"], facts: true };

impl RecipeKind for JtwToolsRecipe {
    const PATH: &'static str = "jtw-tools.toml";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let worker =
            table.required("worker", |value| value.table(|table| table.required("source", Value::text)));
        Self::read_with(table, &TOOLS_SCOPE, worker)
    }
}

impl JtwToolsRecipe {
    const OPAM_PATH: &'static str = "jtw-tools-opam.toml";

    /// Reads `jtw-tools-opam.toml`: how the worker is built by a program that opam packages install.
    pub fn load_opam(recipes: &Recipes) -> Result<Loaded<Self>, RecipeError> {
        let file = recipes.text(Self::OPAM_PATH)?;
        let recipe = read_file(&file, "recipe", |table| {
            let files = table.required("files", Value::text);
            Self::read_with(table, &OPAM_TOOLS_SCOPE, files)
        })?;
        Ok(Loaded { recipe, file })
    }

    fn read_with(table: &mut Table<'_>, scope: &Scope, worker: Option<RelativePath>) -> Option<Self> {
        let purpose = purpose(table);
        let base = table.required("base", Value::text);
        let extra = table.optional("extra", |value| value.list(Value::text));
        let workdir = table.required("workdir", Value::text);
        let commands = table.required("commands", |value| commands(value, scope));
        let outputs = table.required("outputs", |value| value.non_empty_list(Value::text));
        let env = table.required("env", |value| Environment::read(value, scope));
        let limits = table.required("limits", limits);
        Some(Self {
            purpose: purpose?,
            base: base?,
            extra: extra.unwrap_or_default(),
            worker: worker?,
            workdir: workdir?,
            commands: commands?,
            outputs: outputs?,
            env: env?,
            limits: limits?,
        })
    }
}

/// `jtw.toml`: how one package's libraries are compiled for the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JtwRecipe {
    pub purpose: String,
    /// Bases whose trees are added to the one that packages are built in.
    pub extra: Vec<RecipeName>,
    /// The compiler; its sub-command, flags, runtime files, the archive and the output follow.
    pub command: Argv,
    pub env: Environment,
    pub limits: Limits,
}

/// Variables of the compiler's command.
const JTW_SCOPE: Scope = Scope { variables: &["name", "version", "prefix", "effects"], facts: true };

impl RecipeKind for JtwRecipe {
    const PATH: &'static str = "jtw.toml";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let purpose = purpose(table);
        let extra = table.optional("extra", |value| value.list(Value::text)).unwrap_or_default();
        let command = table.required("command", |value| Argv::read(value, &JTW_SCOPE));
        let env = table.required("env", |value| Environment::read(value, &JTW_SCOPE));
        let limits = table.required("limits", limits);
        Some(Self { purpose: purpose?, extra, command: command?, env: env?, limits: limits? })
    }
}

/// `assembly.toml`: what a site has besides artifacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssemblyRecipe {
    pub purpose: String,
    /// A folder among the recipes whose files go to the site's root.
    pub page: RelativePath,
}

impl RecipeKind for AssemblyRecipe {
    const PATH: &'static str = "assembly.toml";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let purpose = purpose(table);
        let page = table.required("page", Value::text);
        Some(Self { purpose: purpose?, page: page? })
    }
}

/// `compressed.toml`: how files of a site are compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressedRecipe {
    pub purpose: String,
    /// Bytes of the smallest file that has variants.
    pub smallest: u64,
    /// How much smaller than its file a variant is at least, in per cent.
    pub saves: u32,
    /// What is done in next to no time, and what may take its time.
    pub fast: Levels,
    pub best: Levels,
}

/// How hard encoders try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    pub brotli: u32,
    pub gzip: u32,
}

impl RecipeKind for CompressedRecipe {
    const PATH: &'static str = "compressed.toml";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let number = |table: &mut Table<'_>, key: &'static str, most: u64| {
            let number = table.required(key, |value| value.integer(0..=most));
            number.and_then(|number| u32::try_from(number).ok())
        };
        let levels = |value: Value<'_>| {
            value.table(|table| {
                let (brotli, gzip) = (number(table, "brotli", 11), number(table, "gzip", 9));
                Some(Levels { brotli: brotli?, gzip: gzip? })
            })
        };
        let purpose = purpose(table);
        let smallest = table.required("smallest", values::byte_size);
        let saves = number(table, "saves", 99);
        let (fast, best) = (table.required("fast", levels), table.required("best", levels));
        Some(Self { purpose: purpose?, smallest: smallest?, saves: saves?, fast: fast?, best: best? })
    }
}

/// `script.toml`: what nodes of the user's own get unless they say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptRecipe {
    pub purpose: String,
    pub base: RecipeName,
    /// What is put before a node's `script`.
    pub shell: Argv,
    /// Where inputs appear: `<inputs>/<name>`.
    pub inputs: AbsolutePath,
    /// Where a node's source appears.
    pub source: AbsolutePath,
    /// Where the output is made.
    pub out: AbsolutePath,
    /// Where commands run.
    pub workdir: AbsolutePath,
    pub env: Environment,
    pub limits: Limits,
}

/// Variables of a node's environment.
const SCRIPT_SCOPE: Scope = Scope { variables: &["name", "inputs", "source", "out", "workdir"], facts: true };

impl RecipeKind for ScriptRecipe {
    const PATH: &'static str = "script.toml";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let purpose = purpose(table);
        let base = table.required("base", Value::text);
        let shell = table.required("shell", |value| Argv::read(value, &SCRIPT_SCOPE));
        let inputs = table.required("inputs", Value::text);
        let source = table.required("source", Value::text);
        let out = table.required("out", Value::text);
        let workdir = table.required("workdir", Value::text);
        let env = table.required("env", |value| Environment::read(value, &SCRIPT_SCOPE));
        let limits = table.required("limits", limits);
        Some(Self {
            purpose: purpose?,
            base: base?,
            shell: shell?,
            inputs: inputs?,
            source: source?,
            out: out?,
            workdir: workdir?,
            env: env?,
            limits: limits?,
        })
    }
}

#[cfg(test)]
mod tests;
