//! What differs between compiled interfaces: values, types, modules … that came, went, or have another
//! type.

use std::collections::BTreeMap;

use serde::Serialize;

use super::trees::{Difference, Entry};
pub use crate::ocaml::changes::ItemChange;
use crate::ocaml::changes::compare;
use crate::ocaml::{Interface, Kind};
use crate::store::StoreError;
use crate::store::tree::{File, Node, Tree};

/// What happened to the interface of one module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum InterfaceChange {
    /// The module is new, with so many things in it.
    Added {
        items: usize,
    },
    Removed {
        items: usize,
    },
    /// In the order of the later interface; what went comes last.
    Changed {
        items: Vec<ItemChange>,
    },
    /// The file has other bytes and offers the same: comments, places in sources, or what it was
    /// compiled against.
    Same,
    /// One of the two cannot be read, for this reason.
    Unreadable {
        reason: String,
    },
}

/// A compiled interface that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModuleDifference {
    /// The file.
    pub path: String,
    /// The module's name, as people write it.
    pub module: String,
    #[serde(flatten)]
    pub change: InterfaceChange,
}

/// How many things there are of each sort, over all interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InterfaceTotals {
    /// By the word for their kind.
    pub added: BTreeMap<&'static str, usize>,
    pub removed: BTreeMap<&'static str, usize>,
    pub retyped: BTreeMap<&'static str, usize>,
    /// Interfaces that could not be read.
    pub unreadable: usize,
}

impl InterfaceTotals {
    /// Adds other counts.
    pub fn add(&mut self, other: &Self) {
        let sides = [
            (&mut self.added, &other.added),
            (&mut self.removed, &other.removed),
            (&mut self.retyped, &other.retyped),
        ];
        for (counts, more) in sides {
            more.iter().for_each(|(kind, count)| *counts.entry(kind).or_default() += count);
        }
        self.unreadable += other.unreadable;
    }

    /// Counts what `modules` tell; a module that came or went as a whole is one module.
    pub fn of(modules: &[ModuleDifference]) -> Self {
        let mut totals = Self::default();
        let count = |counts: &mut BTreeMap<&'static str, usize>, kind: Kind| {
            *counts.entry(kind.word()).or_default() += 1;
        };
        for module in modules {
            match &module.change {
                InterfaceChange::Added { .. } => count(&mut totals.added, Kind::Module),
                InterfaceChange::Removed { .. } => count(&mut totals.removed, Kind::Module),
                InterfaceChange::Unreadable { .. } => totals.unreadable += 1,
                InterfaceChange::Same => {}
                InterfaceChange::Changed { items } => items.iter().for_each(|item| {
                    count(
                        match (&item.before, &item.after) {
                            (None, _) => &mut totals.added,
                            (_, None) => &mut totals.removed,
                            (Some(_), Some(_)) => &mut totals.retyped,
                        },
                        item.kind,
                    );
                }),
            }
        }
        totals
    }
}

/// The interfaces among the files that differ between two trees. `read` gives the bytes of a file of
/// either tree; its errors are passed on.
pub fn of_files(
    differences: &[Difference],
    before: &Tree,
    after: &Tree,
    read: &dyn Fn(&File) -> Result<Vec<u8>, StoreError>,
) -> Result<Vec<ModuleDifference>, StoreError> {
    let mut found = Vec::new();
    for Difference { path, change } in differences {
        let stem = path.file_name().and_then(|name| name.as_str()).and_then(|name| name.strip_suffix(".cmi"));
        let Some(stem) = stem else { continue };
        let of = |entry: Option<&Entry>, tree: &Tree| match (entry, tree.get(path)) {
            (Some(Entry::File { .. }), Some(Node::File(file))) => read(file).map(Some),
            _ => Ok(None),
        };
        let (before, after) = (of(change.before(), before)?, of(change.after(), after)?);
        // Only whether it may be executed.
        if before == after {
            continue;
        }
        let change = compare_files(before.as_deref(), after.as_deref());
        found.push(ModuleDifference { path: path.to_string(), module: module_name(stem), change });
    }
    Ok(found)
}

/// `Fmt` for `fmt`, `Base.List` for `base__List`.
fn module_name(stem: &str) -> String {
    let capital = |word: &str| {
        let mut rest = word.chars();
        let first = rest.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
        first + rest.as_str()
    };
    match stem.split_once("__") {
        Some((library, module)) if !module.is_empty() => format!("{}.{}", capital(library), capital(module)),
        _ => capital(stem),
    }
}

fn compare_files(before: Option<&[u8]>, after: Option<&[u8]>) -> InterfaceChange {
    let read = |bytes: Option<&[u8]>| bytes.map(Interface::read).transpose();
    match (read(before), read(after)) {
        (Err(error), _) | (_, Err(error)) => InterfaceChange::Unreadable { reason: error.to_string() },
        (Ok(None), Ok(Some(after))) => InterfaceChange::Added { items: after.items.len() },
        (Ok(Some(before)), Ok(None)) => InterfaceChange::Removed { items: before.items.len() },
        (Ok(Some(before)), Ok(Some(after))) => {
            let items = compare(&before, &after);
            if items.is_empty() { InterfaceChange::Same } else { InterfaceChange::Changed { items } }
        }
        (Ok(None), Ok(None)) => InterfaceChange::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_called_as_people_write_them() {
        assert_eq!(module_name("fmt"), "Fmt");
        assert_eq!(module_name("base__List"), "Base.List");
        assert_eq!(module_name("fmt__"), "Fmt__");
    }
}
