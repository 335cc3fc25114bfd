//! `jtw.json`: what an artifacts' layer says about itself, for assembly and reports. It is not
//! published.

use serde::{Deserialize, Serialize};

use super::{Effects, JtwError, Problem};

/// The record's name at the layer's root.
pub const RECORD: &str = "jtw.json";

/// The record of one package's artifacts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    pub package: String,
    pub version: String,
    pub effects: Effects,
    /// [`payload_hash`](super::payload_hash) of the layer's `lib` directory.
    pub payload: String,
    /// META files, relative to `lib`.
    pub metas: Vec<String>,
    pub libraries: Vec<LibraryRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// One findlib library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryRecord {
    /// Dotted name.
    pub name: String,
    /// Relative to `lib`.
    pub directory: String,
    /// Libraries that are loaded before it.
    pub requires: Vec<String>,
    /// `.cma.js` files relative to `lib`, and their size in bytes together.
    pub archives: Vec<String>,
    pub bytes: u64,
    /// C primitives that its runtime files provide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provides: Vec<String>,
    /// C primitives that its archives need and that neither js_of_ocaml nor its own runtime files
    /// provide; a library that it requires may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// The record of a tools layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolsRecord {
    /// [`payload_hash`](super::payload_hash) of the layer.
    pub payload: String,
}

impl LayerRecord {
    /// Reads the record of the layer that messages call `layer`.
    pub fn parse(bytes: &[u8], layer: &str) -> Result<Self, JtwError> {
        serde_json::from_slice(bytes).map_err(|source| JtwError::Record { layer: layer.to_owned(), source })
    }
}

impl ToolsRecord {
    /// Reads the record of a tools layer.
    pub fn parse(bytes: &[u8]) -> Result<Self, JtwError> {
        let named = |source| JtwError::Record { layer: "the tools".to_owned(), source };
        serde_json::from_slice(bytes).map_err(named)
    }
}
