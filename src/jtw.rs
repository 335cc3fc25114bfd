//! One package layer → browser artifacts: `.cma.js`, `.cmi`, META and `dynamic_cmis.json`.
//!
//! [`analyse`] reads the layer's META files and says which commands are to run in the sandbox;
//! [`finish`] makes the artifacts' tree from what they wrote. Both are functions of their
//! arguments. A package without findlib libraries is a success with an empty tree; what is wrong
//! with single libraries is recorded as a [`Problem`] and the rest goes on.

mod bundle;
mod compile;
mod dynamic_cmis;
mod finish;
#[cfg(test)]
pub(crate) mod fixture;
mod libraries;
mod payload;
mod record;
mod stdlib;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::findlib::LibDir;
use crate::store::StoreError;
use crate::store::staging::Staging;
use crate::store::tree::{File, Name, Node, RelPath, Tree, TreeError};

pub use crate::effects::Effects;

pub use self::bundle::{BundleRef, bundle};
pub use self::compile::{BUG, Kind, Step, missing_primitives, provided_primitives};
pub use self::dynamic_cmis::{DynamicCmis, FILE_NAME as DYNAMIC_CMIS};
pub use self::finish::{Artifacts, artifacts, finish};
pub use self::libraries::analyse;
pub use self::payload::{COMPILER_PAYLOAD, PACKAGE_PAYLOAD, PayloadRule, payload_hash};
pub use self::record::{LayerRecord, LibraryRecord, RECORD, ToolsRecord};
pub use self::stdlib::{is_standard, tools_layer};

/// What the commands depend on beside the layer. All paths are those inside the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How code does effects.
    pub effects: Effects,
    /// The compiler and arguments that precede its subcommand, for example `["js_of_ocaml"]`.
    pub js_of_ocaml: Vec<String>,
    /// Where the package layer, and those its primitives come from, are mounted.
    pub prefix: String,
    /// The writable directory whose content is captured.
    pub out: String,
    /// Files that are not below the prefix but elsewhere, by their paths in the layer.
    pub elsewhere: BTreeMap<String, String>,
    /// Runtime files, by their paths in the layer, that a library has from elsewhere than its META.
    pub borrowed: BTreeMap<String, Vec<String>>,
    /// Whether the layer publishes the standard library too. In a universe it belongs to the tools.
    pub with_stdlib: bool,
}

/// Where the bytes of files are while artifacts are made of them.
pub trait Blobs {
    /// The bytes of a file that was added, or was there.
    fn read(&self, file: &File) -> Result<Vec<u8>, StoreError>;
    /// Takes `bytes` in as a file.
    fn add_bytes(&self, bytes: &[u8]) -> Result<File, StoreError>;
}

impl Blobs for Staging {
    fn read(&self, file: &File) -> Result<Vec<u8>, StoreError> {
        Self::read(self, file)
    }

    fn add_bytes(&self, bytes: &[u8]) -> Result<File, StoreError> {
        Self::add_bytes(self, bytes, false)
    }
}

/// Why a layer's artifacts cannot be made at all.
#[derive(Debug, Error)]
pub enum JtwError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A path cannot be part of a tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A command succeeded without making its output.
    #[error("js_of_ocaml did not make `{0}`")]
    MissingOutput(String),
    /// The tools layer lacks something that it must have.
    #[error("the standard library's directory has no `{0}`")]
    IncompleteStdlib(&'static str),
    /// A record of an artifacts' layer that this version cannot read.
    #[error("`{RECORD}` of {layer}: {source}")]
    Record { layer: String, source: serde_json::Error },
}

/// Something wrong with one library: it is left out or published with less, and the report says so.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Problem {
    /// A META file that cannot be read; its libraries are left out.
    #[error("`{path}`: {reason}")]
    Meta { path: String, reason: String },
    /// A directory outside the library root; the library's parent directory stands in.
    #[error("library {library}: the directory `{directory}` is not a plain path below the library root")]
    Directory { library: String, directory: String },
    /// An archive that the META names and the package did not install, or not at a usable place.
    #[error("library {library}: the archive `{archive}` is not there")]
    MissingArchive { library: String, archive: String },
    /// An archive that js_of_ocaml cannot compile for a bug of its own.
    #[error("library {library}: js_of_ocaml has a bug that `{archive}` brings out: {reason}")]
    Compiler { library: String, archive: String, reason: String },
    /// A runtime file that the META names and the package did not install.
    #[error("library {library}: the runtime file `{file}` is not there")]
    MissingRuntime { library: String, file: String },
    /// Two interfaces that a reader could not tell apart.
    #[error("`{path}` exists with a capital and with a small first letter")]
    InterfaceClash { path: String },
    /// Two paths that are one where letters have no case, as on other people's disks.
    #[error("`{path}` and `{other}` differ in case only")]
    CaseClash { path: String, other: String },
    /// A library that is required and that no package of the universe has.
    #[error("library {library} requires {required}, which no package here has")]
    UnknownLibrary { library: String, required: String },
    /// Libraries that require one another in a circle.
    #[error("libraries require one another: {}", libraries.join(" → "))]
    Cycle { libraries: Vec<String> },
}

/// What is known of a layer before anything is compiled.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The opam package's name and version.
    pub package: String,
    pub version: String,
    /// How code does effects.
    pub effects: Effects,
    /// What is to be run: all side by side if need be, the longest running first.
    pub steps: Vec<Step>,
    /// The same as argument vectors of one stage in the sandbox. Their output is in
    /// [`Settings::out`].
    pub commands: Vec<Vec<String>>,
    /// What was found wrong.
    pub problems: Vec<Problem>,
    libraries: Vec<FoundLibrary>,
    jobs: BTreeMap<(LibDir, String), Job>,
    /// Directories that some META entry can lead to.
    directories: BTreeMap<LibDir, Vec<(Name, File)>>,
    /// META texts by the directory they are published in.
    metas: BTreeMap<LibDir, String>,
}

#[derive(Clone, Debug)]
struct FoundLibrary {
    name: String,
    directory: LibDir,
    requires: Vec<String>,
    /// Keys into [`Analysis::jobs`].
    archives: Vec<(LibDir, String)>,
    /// Values of `archive` that name several, as the META has them.
    several: Vec<Vec<(LibDir, String)>>,
    provides: Vec<String>,
}

/// One archive to compile.
#[derive(Clone, Debug)]
struct Job {
    size: u64,
    runtime: Vec<String>,
    /// File name below [`Settings::out`], without extension.
    output: String,
    /// The archive in the sandbox.
    path: String,
    /// File name, below [`Settings::out`], of the answer about its primitives.
    answer: String,
}

impl Job {
    /// A job whose names are not chosen yet.
    fn new(size: u64, runtime: Vec<String>) -> Self {
        let (output, path, answer) = (String::new(), String::new(), String::new());
        Self { size, runtime, output, path, answer }
    }
}

impl Analysis {
    /// Whether there is anything to publish.
    pub fn is_empty(&self) -> bool {
        self.metas.is_empty()
    }
}

/// `lib/<directory>` as a path of a tree. A directory whose name is too long for one is refused.
fn lib_path(directory: &LibDir) -> Result<RelPath, TreeError> {
    RelPath::parse(
        std::iter::once("lib")
            .chain(directory.names().iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join("/"),
    )
}

fn named(name: &str) -> Result<Name, TreeError> {
    Name::new(name.as_bytes())
}

fn file_at(tree: &Tree, path: &RelPath) -> Option<File> {
    match tree.get(path) {
        Some(Node::File(file)) => Some(*file),
        _ => None,
    }
}
