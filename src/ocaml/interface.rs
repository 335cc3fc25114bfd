//! Compiled interfaces of OCaml (`.cmi`): bytes → what a module offers, one line an item.
//!
//! The format is that of the compiler's `file_formats/cmi_format.ml`: a magic word, then three
//! marshalled values: name and signature, the imported interfaces with their digests, and flags. What a
//! signature is made of is said by `typing/types.ml` of OCaml 5.3 and 5.4, whose layouts differ little.
//! Interfaces of other versions are told by their magic word, and can be compared by their bytes only.

mod declarations;
mod look;
mod parts;
mod signature;
mod types;

use serde::Serialize;

use super::graph::{self, Graph};
use super::marshal::Heap;
use super::{Content, OcamlError, begin};

/// What kind of thing a module offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Value,
    Type,
    /// A constructor of an extensible type that is not an exception.
    Extension,
    Exception,
    Module,
    ModuleType,
    Class,
    ClassType,
}

impl Kind {
    /// The word that messages use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Type => "type",
            Self::Extension => "constructor",
            Self::Exception => "exception",
            Self::Module => "module",
            Self::ModuleType => "module type",
            Self::Class => "class",
            Self::ClassType => "class type",
        }
    }
}

/// One thing that a module offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub kind: Kind,
    /// With the modules that it is in, from the interface's own: `Map.Make.find`. What is in a module
    /// type has the name of the module type in its path, what is in a functor's result that of the functor.
    pub path: String,
    /// As one would declare it in a `.mli`, on one line. Of a module with a signature only `sig … end`:
    /// what is in it are items of their own.
    pub text: String,
}

/// A compiled interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The module's name.
    pub name: String,
    /// In the order of the interface; nothing that users cannot see.
    pub items: Vec<Item>,
    /// The interfaces that it was compiled against, itself included: names, and digests in hexadecimal
    /// digits where they are recorded.
    pub imports: Vec<(String, Option<String>)>,
    /// `rectypes`, `opaque`, and the alerts that the whole module raises.
    pub flags: Vec<String>,
}

impl Interface {
    /// Reads the bytes of a `.cmi` file. Any bytes give an interface or an error.
    ///
    /// # Errors
    /// See [`OcamlError`].
    pub fn read(bytes: &[u8]) -> Result<Self, OcamlError> {
        let rest = match begin(bytes) {
            Ok((Content::Interface, rest)) => rest,
            Err(error @ OcamlError::OtherVersion { .. }) if bytes.starts_with(b"Caml1999I") => {
                return Err(error);
            }
            Ok(_) | Err(_) => return Err(OcamlError::NotAnInterface),
        };
        let (header, rest) = Heap::read(rest)?;
        let (crcs, rest) = Heap::read(rest)?;
        let (flags, _) = Heap::read(rest)?;
        let graph = Graph::new(&header);
        let (name, items) = graph.pair(header.root())?;
        let (name, items) = (graph.text(name)?, signature::items(&graph, items)?);
        Ok(Self { name, items, imports: imports(&crcs)?, flags: told_flags(&flags)? })
    }
}

fn imports(heap: &Heap) -> Result<Vec<(String, Option<String>)>, OcamlError> {
    let graph = Graph::new(heap);
    let import = |import| {
        let (name, digest) = graph.pair(import)?;
        let digest = graph.option(digest)?.map(|digest| graph.bytes(digest)).transpose()?;
        let digest = digest.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        Ok((graph.text(name)?, digest))
    };
    graph.list(heap.root())?.into_iter().map(import).collect()
}

fn told_flags(heap: &Heap) -> Result<Vec<String>, OcamlError> {
    let graph = Graph::new(heap);
    let mut told = Vec::new();
    for flag in graph.list(heap.root())? {
        match graph.variant(flag)? {
            graph::Variant::Constant(0) => told.push("rectypes".to_owned()),
            graph::Variant::Constant(1) => told.push("opaque".to_owned()),
            graph::Variant::Block(0, [alerts]) => {
                for (alert, message) in graph.map(*alerts)? {
                    told.push(format!("alert {}: {}", graph.text(alert)?, graph.text(message)?));
                }
            }
            _ => return Err(graph::STRANGE),
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests;
