//! What differs between compiled interfaces: values, types, modules … that came, went, or have another
//! type.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::trees::{Difference, Entry};
use crate::cmi::{Interface, Item, Kind};
use crate::store::StoreError;
use crate::store::tree::{File, Node, Tree};

/// What happened to one thing that a module offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ItemChange {
    pub kind: Kind,
    /// From the interface's own module: `Map.find`.
    pub path: String,
    /// Its declaration; nothing where there was, or is, no such thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many things came or went with it, because they are in it.
    #[serde(skip_serializing_if = "is_zero")]
    pub with: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

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

/// What differs between what two interfaces offer. That a type variable has another name is no
/// difference.
pub fn compare(before: &Interface, after: &Interface) -> Vec<ItemChange> {
    let (known, now) = (by_name(&before.items), by_name(&after.items));
    let mut changes = Vec::new();
    for (key, item) in after.items.iter().enumerate().filter_map(|(at, item)| Some((now.key(at)?, item))) {
        match known.items.get(key) {
            None => changes.push(change(item, None, Some(item))),
            Some(old) if old.text != item.text && plain(&old.text) != plain(&item.text) => {
                changes.push(change(item, Some(old), Some(item)));
            }
            Some(_) => {}
        }
    }
    for (key, item) in before.items.iter().enumerate().filter_map(|(at, item)| Some((known.key(at)?, item))) {
        if !now.items.contains_key(key) {
            changes.push(change(item, Some(item), None));
        }
    }
    fold(changes)
}

fn change(item: &Item, before: Option<&Item>, after: Option<&Item>) -> ItemChange {
    let text = |item: Option<&Item>| item.map(|item| item.text.clone());
    ItemChange { kind: item.kind, path: item.path.clone(), before: text(before), after: text(after), with: 0 }
}

/// What is in a module that came or went as a whole is told with the module.
fn fold(changes: Vec<ItemChange>) -> Vec<ItemChange> {
    let is_module = |change: &ItemChange| matches!(change.kind, Kind::Module | Kind::ModuleType);
    // Which side a change is on, where it is on one.
    let side = |change: &ItemChange| u8::from(change.before.is_some()) + 2 * u8::from(change.after.is_some());
    let whole: BTreeSet<(u8, String)> = changes
        .iter()
        .filter(|change| is_module(change) && side(change) != 3)
        .map(|change| (side(change), change.path.clone()))
        .collect();
    let owner = |change: &ItemChange| {
        let above = change.path.match_indices('.').map(|(at, _)| &change.path[..at]);
        above.map(|path| (side(change), path.to_owned())).find(|owner| whole.contains(owner))
    };
    let mut inside: BTreeMap<(u8, String), usize> = BTreeMap::new();
    let mut kept = Vec::new();
    for change in changes {
        match owner(&change) {
            Some(owner) => *inside.entry(owner).or_default() += 1,
            None => kept.push(change),
        }
    }
    for change in kept.iter_mut().filter(|change| is_module(change)) {
        change.with = inside.remove(&(side(change), change.path.clone())).unwrap_or(0);
    }
    kept
}

/// The items of an interface by kind and path; a module that is declared twice tells them apart by a
/// number.
struct ByName<'a> {
    items: BTreeMap<(Kind, &'a str, usize), &'a Item>,
    keys: Vec<(Kind, &'a str, usize)>,
}

impl<'a> ByName<'a> {
    fn key(&self, at: usize) -> Option<&(Kind, &'a str, usize)> {
        self.keys.get(at)
    }
}

fn by_name(items: &[Item]) -> ByName<'_> {
    let mut seen: BTreeMap<(Kind, &str), usize> = BTreeMap::new();
    let mut found = ByName { items: BTreeMap::new(), keys: Vec::new() };
    for item in items {
        let count = seen.entry((item.kind, &item.path)).or_default();
        let key = (item.kind, item.path.as_str(), *count);
        *count += 1;
        found.items.insert(key, item);
        found.keys.push(key);
    }
    found
}

/// A declaration whose type variables are called after the order in which they come.
fn plain(text: &str) -> String {
    let is_of_names = |one: char| one.is_alphanumeric() || one == '_' || one == '\'';
    let mut names: Vec<&str> = Vec::new();
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let name = &rest[first.len_utf8()..];
        let length = name.find(|one: char| !is_of_names(one)).unwrap_or(name.len());
        // Quotes end names too: `x'`.
        if first == '\'' && !is_of_names(before) && length > 0 {
            let name = &name[..length];
            let number = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            plain.push_str(&format!("'{number}"));
            rest = &rest[1 + length..];
            before = '0';
        } else {
            plain.push(first);
            rest = name;
            before = first;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(version: &str) -> Interface {
        let root = env!("CARGO_MANIFEST_DIR");
        let bytes = std::fs::read(format!("{root}/tests/fixtures/cmi/{version}/shapes.cmi")).unwrap();
        Interface::read(&bytes).unwrap()
    }

    fn told(changes: &[ItemChange]) -> Vec<String> {
        let one = |change: &ItemChange| {
            let with = if change.with > 0 { format!(" (with {})", change.with) } else { String::new() };
            match (&change.before, &change.after) {
                (Some(before), Some(after)) => format!("~ {}: {before} → {after}", change.path),
                (None, Some(after)) => format!("+ {}: {after}{with}", change.path),
                (Some(before), None) => format!("- {}: {before}{with}", change.path),
                (None, None) => unreachable!(),
            }
        };
        changes.iter().map(one).collect()
    }

    #[test]
    fn what_changed_between_two_versions_of_an_interface() {
        let expected = [
            "~ point: type point = { mutable x : int; y : int; } → type point = { mutable x : int; y : int; z : int; }",
            "~ small: type small [@@immediate] → type small = Small",
            "~ colour: type colour = [ `Green of int | `Red ] → type colour = [ `Green of int | `Red | `Yellow ]",
            "~ more: type more = [ `Blue | `Green of int | `Red ] → type more = [ `Blue | `Green of int | `Red | `Yellow ]",
            "~ Stopped: exception Stopped → exception Stopped of int",
            "~ fold: val fold : ?start:int -> with_:(int -> 'a -> int) -> 'a list -> int → val fold : ?start:int -> f:(int -> 'key -> int) -> 'key list -> int",
            "~ Inner.Deeper.level: val level : int → val level : int64",
            "+ ORDERED.equal: val equal : t -> t -> bool",
            "~ Make.find: val find : key -> int → val find : key -> int option",
            "+ Make.mem: val mem : key -> bool",
            "~ Strings: module Strings = String → module Strings = StringLabels",
            "~ counter: class counter : int -> object val mutable count : int method increment : unit method private secret : string end → class counter : int -> object val mutable count : int method increment : int -> unit method private secret : string end",
            "- gone: val gone : float -> float",
        ];
        assert_eq!(told(&compare(&fixture("before"), &fixture("after"))), expected);
        assert_eq!(compare(&fixture("after"), &fixture("after")), []);
    }

    #[test]
    fn what_is_in_a_module_that_came_or_went_is_told_with_it() {
        let item = |kind, path: &str| Item { kind, path: path.into(), text: format!("… {path}") };
        let interface =
            |items: Vec<Item>| Interface { name: "M".into(), items, imports: vec![], flags: vec![] };
        let before =
            interface(vec![item(Kind::Value, "a"), item(Kind::Module, "Old"), item(Kind::Value, "Old.x")]);
        let after = interface(vec![
            item(Kind::Value, "a"),
            item(Kind::Module, "New"),
            item(Kind::Type, "New.t"),
            item(Kind::Module, "New.Inner"),
            item(Kind::Value, "New.Inner.y"),
        ]);
        let expected = ["+ New: … New (with 3)", "- Old: … Old (with 1)"];
        assert_eq!(told(&compare(&before, &after)), expected);
    }

    #[test]
    fn names_of_type_variables_are_no_difference() {
        assert_eq!(plain("('a, 'b) t -> 'a"), plain("('key, 'value) t -> 'key"));
        assert_ne!(plain("('a, 'b) t -> 'a"), plain("('a, 'b) t -> 'b"));
        assert_eq!(plain("x' : t' -> 'a"), "x' : t' -> '0");
    }

    #[test]
    fn modules_are_called_as_people_write_them() {
        assert_eq!(module_name("fmt"), "Fmt");
        assert_eq!(module_name("base__List"), "Base.List");
        assert_eq!(module_name("fmt__"), "Fmt__");
    }
}
