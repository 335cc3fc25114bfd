//! `Derivation`: one node of the graph, and the build document that is its identity.
//!
//! A document is an action and the names of its inputs. The action says everything that is done
//! and refers to inputs by number, so it is the same before and after the inputs are known; with
//! plan keys as names it gives the plan key, with tree hashes the build key. The same value is
//! what the builder consumes and what `layer.json` keeps.

mod source;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::effects::Effects;
use crate::request::{Layer, Limits, Request};
use crate::source::PinnedDeb;
use crate::store::tree::TreeHash;

pub use self::source::{Fetch, Git, Holds};
pub use crate::store::key::{BuildKey, PlanKey};

/// The version of the document. Raising it gives every node a new key: the changelog has to say
/// why.
pub const FORMAT: u32 = 1;

const PLAN_CONTEXT: &str = "jtwbuild 2026-11 plan key v1";
const BUILD_CONTEXT: &str = "jtwbuild 2026-11 build key v1";

/// The number of an input of a derivation, as its action refers to it.
pub type Slot = usize;

/// The kinds of node; each is one recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Source,
    Base,
    Build,
    JtwTools,
    Jtw,
    Assembly,
    Node,
}

impl Kind {
    /// The word that layers, messages and JSON use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Base => "base",
            Self::Build => "build",
            Self::JtwTools => "jtw-tools",
            Self::Jtw => "jtw",
            Self::Assembly => "assembly",
            Self::Node => "node",
        }
    }
}

impl Kind {
    /// Roughly how long such a node takes, in seconds: only the order of starting depends on it.
    pub fn weight(self) -> u64 {
        match self {
            Self::Source | Self::Assembly | Self::Node => 1,
            Self::Jtw => 2,
            Self::Build => 5,
            Self::JtwTools => 15,
            Self::Base => 30,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A node of the graph by its position in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The position as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a slot is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The output of another node.
    Node(NodeId),
    /// Content that was known when the plan was made: local files, files that come with recipes.
    Tree(TreeHash),
}

/// Everything that a node does. Input trees are slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Action {
    /// Fetch an archive (fixed output) and unpack it.
    Fetch(Fetch),
    /// Fetch the files of a commit (fixed output).
    Git(Git),
    /// Fetch distribution packages (fixed outputs), unpack them and set the result up.
    Base(Base),
    /// Run a user's script.
    Script(Script),
    /// Build a package and install it under the prefix.
    Build(Build),
    /// Build a package as its opam file says, and install it under the prefix.
    Opam(OpamBuild),
    /// Build the toplevel worker and collect the standard library's artifacts.
    Tools(Tools),
    /// Make the browser artifacts of one package layer.
    Jtw(Jtw),
    /// Compose the site.
    Assembly(Assembly),
}

/// See [`Action::Base`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    pub packages: Vec<PinnedDeb>,
    /// Patterns of paths that are not unpacked.
    pub drop: Vec<String>,
    /// Parts that alone are unpacked, the first that has a path deciding; none: everything is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub take: Vec<Take>,
    /// Where the tree is placed; absent: it is a whole root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Commands run in the unpacked base.
    pub setup: Vec<Vec<String>>,
    pub env: BTreeMap<String, String>,
    pub limits: Limits,
}

/// A part of the packages of a base: what is below `from`, and matches one of `keep` as seen from there,
/// goes to the same place below `to`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Take {
    pub from: String,
    pub to: String,
    /// Patterns of paths.
    pub keep: Vec<String>,
}

/// The name under which runs capture what becomes the node's tree.
pub const OUT: &str = "out";

/// The name under which package builds capture their working directory, when it is needed.
pub const WORK: &str = "work";

/// See [`Action::Script`]. The tree is what the request captures as [`OUT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    pub request: Request<Slot>,
    /// Paths that must be in the tree.
    pub outputs: Vec<String>,
}

/// See [`Action::Build`]. The tree is what the request captures as [`OUT`] (the prefix), with what
/// the install file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    pub package: String,
    pub version: String,
    pub request: Request<Slot>,
    /// A `.install` file below the working directory; its sources are looked up in what the
    /// request captures as [`WORK`], then in the source tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Slot>,
    /// Findlib libraries that must be there afterwards.
    pub findlib: Vec<String>,
}

/// See [`Action::Opam`]. What its commands are is found out when it is realised, because variables
/// that dependencies define are part of their outputs.
///
/// The tree is what the run adds at the prefix, with what `<package>.install` says and, at
/// [`CONFIG_DIRECTORY`], `<package>.config`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpamBuild {
    pub package: String,
    pub version: String,
    /// What building reads of the opam file, printed in one normal form.
    pub file: String,
    /// Every global variable that is defined: those of the platform, `jobs`, `make`, …
    pub variables: BTreeMap<String, String>,
    /// All packages of the closure, each behind its own dependencies.
    pub present: Vec<Present>,
    /// Mounts (`/`, then the prefix with the layers of `present` captured as [`OUT`], then the working
    /// directory captured whole as [`WORK`]), the fixed part of the environment, and limits. No
    /// stages: they come from `file`.
    pub request: Request<Slot>,
    /// Where packages are installed, and where this one is built.
    pub prefix: String,
    pub workdir: String,
    /// The unpacked archive of the opam file's `url`; absent: an empty working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Slot>,
    /// Files put into the working directory, with their paths below it: extra sources and what lies
    /// beside the opam file. Each slot is a tree of one file.
    pub extra: Vec<(String, Slot)>,
    /// Raised when jtwbuild itself makes something else of the same inputs.
    pub revision: u32,
}

/// A package that is there while another one is built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    pub package: String,
    pub version: String,
    /// Whether the package that is built names it itself (`depends` or `depopts`).
    pub direct: bool,
    /// What it installed.
    pub layer: Slot,
    /// Its `setenv`: the field's value in normal form; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setenv: Option<String>,
}

/// Below the prefix: where `<package>.config` files are kept, as opam keeps them in its switches.
pub const CONFIG_DIRECTORY: &str = ".opam-switch/config";

/// See [`Action::Tools`]. The request captures the working directory as [`OUT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tools {
    pub request: Request<Slot>,
    /// The base, and where its standard library is.
    pub base: Slot,
    pub stdlib: String,
    /// The compiler's version.
    pub compiler: String,
    /// Raised when jtwbuild itself makes something else of the same inputs.
    pub revision: u32,
}

/// See [`Action::Jtw`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jtw {
    pub package: String,
    pub version: String,
    /// The root that the compiler runs in, and what is added to it.
    pub base: Layer<Slot>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<Layer<Slot>>,
    /// The package's layer, and where it is mounted.
    pub layer: Slot,
    pub prefix: String,
    /// Layers whose runtime files implement this package's primitives.
    pub primitives: Vec<Layer<Slot>>,
    /// The compiler and its options.
    pub command: Vec<String>,
    pub effects: Effects,
    pub env: BTreeMap<String, String>,
    pub limits: Limits,
    /// Raised when jtwbuild itself makes something else of the same inputs.
    pub revision: u32,
}

/// See [`Action::Assembly`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assembly {
    pub universe: String,
    /// The compiler's version, as published URLs have it.
    pub compiler: String,
    pub effects: Effects,
    pub tools: Slot,
    pub packages: Vec<AssemblyPackage>,
    /// Files for the site's root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<Slot>,
    /// Whether it is one universe of a site with several: then nothing is put at the site's root.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_part: bool,
    /// Raised when jtwbuild itself makes something else of the same inputs.
    pub revision: u32,
}

/// One package of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssemblyPackage {
    pub name: String,
    pub version: String,
    pub description: String,
    /// Home page and licence, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Its browser artifacts.
    pub jtw: Slot,
    /// Whether the user asked for it, rather than another package.
    pub asked_for: bool,
}

/// A node as planned.
#[derive(Clone, Debug)]
pub struct Derivation {
    pub kind: Kind,
    /// What it is called in its plan, unique within its kind: `fmt.0.9.0`. Its document may have a
    /// shorter name: see [`Plan::add`](crate::plan::Plan::add).
    pub name: Arc<str>,
    /// What the action's slots are bound to.
    pub inputs: Vec<Input>,
    /// The part of the document that does not depend on inputs, as it is hashed.
    head: Arc<[u8]>,
}

impl Derivation {
    /// A node that does `action`, with the action's slots bound to `inputs`.
    pub fn new(kind: Kind, name: Arc<str>, action: &Action, inputs: Vec<Input>) -> Self {
        let mut text = Vec::with_capacity(2048);
        let head = Head { format: FORMAT, kind, name: &name, action };
        serde_json::to_writer(&mut text, &head).expect("actions have only text keys");
        Self { kind, head: text.into(), name, inputs }
    }

    /// A node whose [`head`](Self::head) was kept from an earlier plan of this program.
    pub fn with_head(kind: Kind, name: Arc<str>, head: Vec<u8>, inputs: Vec<Input>) -> Self {
        Self { kind, name, inputs, head: head.into() }
    }

    /// The part of the document that does not depend on inputs: JSON, as it is hashed.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// What the node does. An error means that a kept head is not one of this program's.
    pub fn action(&self) -> Result<Action, serde_json::Error> {
        self.kept().map(|Kept { action, .. }| action)
    }

    fn kept(&self) -> Result<Kept<'_>, serde_json::Error> {
        serde_json::from_slice(&self.head)
    }

    /// `kind/name`: unique in a plan.
    pub fn id(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// The nodes whose outputs it needs, in slot order, each once.
    pub fn needs(&self) -> impl Iterator<Item = NodeId> + '_ {
        let node = |input: &Input| match input {
            Input::Node(id) => Some(*id),
            Input::Tree(_) => None,
        };
        let nodes = self.inputs.iter().filter_map(node);
        nodes
            .enumerate()
            .filter(move |(at, id)| !self.inputs.iter().filter_map(node).take(*at).any(|seen| seen == *id))
            .map(|(_, id)| id)
    }

    /// The plan key, given those of the inputs.
    pub fn plan_key(&self, of: impl Fn(NodeId) -> PlanKey) -> PlanKey {
        let name = |input: &Input| match input {
            Input::Node(id) => *of(*id).as_bytes(),
            Input::Tree(tree) => *tree.as_bytes(),
        };
        plan_key(&self.head, self.inputs.iter().map(name))
    }

    /// The build key, given the inputs' contents in slot order.
    pub fn build_key(&self, trees: &[TreeHash]) -> BuildKey {
        build_key(&self.head, trees)
    }

    /// The whole document, with the inputs' contents in slot order, as `layer.json` keeps it.
    pub fn document<'a>(&'a self, trees: &'a [TreeHash]) -> Document<'a> {
        let (name, action) = match self.kept() {
            Ok(Kept { name, action }) => (name, Some(action)),
            Err(_) => (Cow::Borrowed(&*self.name), None),
        };
        Document { format: FORMAT, kind: self.kind, name, action, inputs: trees }
    }
}

/// A head as it is read again.
#[derive(Deserialize)]
struct Kept<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    action: Action,
}

/// A whole build document.
#[derive(Serialize)]
pub struct Document<'a> {
    format: u32,
    kind: Kind,
    name: Cow<'a, str>,
    action: Option<Action>,
    inputs: &'a [TreeHash],
}

/// The plan key of the node with this [`Derivation::head`], given the inputs' names in slot order:
/// plan keys of nodes, hashes of given trees.
pub fn plan_key(head: &[u8], names: impl Iterator<Item = [u8; 32]>) -> PlanKey {
    PlanKey::from_bytes(digest(PLAN_CONTEXT, head, names))
}

/// The build key of the node with this [`Derivation::head`], given the inputs' contents in slot
/// order.
pub fn build_key(head: &[u8], trees: &[TreeHash]) -> BuildKey {
    BuildKey::from_bytes(digest(BUILD_CONTEXT, head, trees.iter().map(|tree| *tree.as_bytes())))
}

fn digest(context: &str, head: &[u8], names: impl Iterator<Item = [u8; 32]>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(&(head.len() as u64).to_le_bytes());
    hasher.update(head);
    for name in names {
        hasher.update(&name);
    }
    *hasher.finalize().as_bytes()
}

/// The part of a document that does not depend on inputs.
#[derive(Serialize)]
struct Head<'a> {
    format: u32,
    kind: Kind,
    name: &'a str,
    action: &'a Action,
}

#[cfg(test)]
mod tests;
