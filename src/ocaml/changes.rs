//! What two interfaces of one module offer: which values, types, modules … came, went, or have another type.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::ocaml::{Interface, Item, Kind};

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
}
