//! The records of compiled files, field by field, in the order in which OCaml 5.3 and 5.4 write them
//! (`file_formats/*.mli` of the compiler). They are called as `ocamlobjinfo` calls them.

use super::records::Field;
use super::records::Shape::{
    Comments, Flag, Imports, Numbers, OptionalText, Record, Text, TextArray, Texts, Unsaid, Values,
};

const IMPORTED_INTERFACE: &str = "imported interface";

/// `Cmo_format.compilation_unit`.
pub(super) const UNIT: &[Field] = &[
    Field("name", Text),
    Field("position", Unsaid),
    // Code, what it refers to, and debug information are compared apart.
    Field("size of the code", Unsaid),
    Field("relocations", Unsaid),
    Field("imported interfaces", Imports(IMPORTED_INTERFACE)),
    Field("required units", Texts),
    Field("primitives", Texts),
    Field("force link", Flag),
    Field("position of the debug information", Unsaid),
    Field("size of the debug information", Unsaid),
];

/// Where the numbers are in [`UNIT`]: position and size of the code, and of the debug information.
pub(super) const UNIT_RANGES: [(usize, usize); 2] = [(1, 2), (8, 9)];

/// Where the relocations are in it.
pub(super) const RELOCATIONS: usize = 3;

/// `Cmo_format.library`. Its lists are in the opposite order of the command line.
pub(super) const LIBRARY: &[Field] = &[
    Field("units", Unsaid),
    Field("custom mode", Flag),
    Field("extra C objects", Texts),
    Field("extra C options", Texts),
    Field("shared libraries", Texts),
];

/// `Cmx_format.unit_infos`.
pub(super) const NATIVE_UNIT: &[Field] = &[
    Field("name", Text),
    Field("symbol", Text),
    Field("defined units", Texts),
    Field("imported interfaces", Imports(IMPORTED_INTERFACE)),
    Field("imported implementations", Imports("imported implementation")),
    Field("currying functions", Numbers),
    Field("apply functions", Numbers),
    Field("send functions", Numbers),
    Field("approximations", Values),
    Field("force link", Flag),
    Field("for pack", OptionalText),
];

/// `Cmx_format.library_infos`.
pub(super) const NATIVE_LIBRARY: &[Field] =
    &[Field("units", Unsaid), Field("extra C objects", Texts), Field("extra C options", Texts)];

/// `Load_path.paths`.
const LOAD_PATH: &[Field] = &[Field("visible", Texts), Field("hidden", Texts)];

/// `Cmt_format.cmt_infos`.
pub(super) const ANNOTATIONS: &[Field] = &[
    Field("module name", Text),
    Field("typed tree", Values),
    Field("dependencies of declarations", Values),
    Field("comments", Comments),
    Field("compiler arguments", TextArray),
    Field("source file", OptionalText),
    Field("build directory", Text),
    Field("load path", Record(LOAD_PATH)),
    Field("digest of the source", OptionalText),
    Field("initial environment", Values),
    Field("imported interfaces", Imports(IMPORTED_INTERFACE)),
    Field("digest of the interface", OptionalText),
    Field("environments are summaries", Flag),
    Field("declarations by identifier", Values),
    Field("shape", Values),
    Field("occurrences of identifiers", Values),
];
