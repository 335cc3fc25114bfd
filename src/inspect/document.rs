//! What differs between two build documents: the path of each field with both values, and which
//! inputs belong together.
//!
//! Documents are compared as JSON, because those in the store may be of any version. An action refers
//! to its inputs by number, and numbers say nothing: an input is known by the name that stands beside
//! its number, or by the field that holds it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// Fields whose value, when it is a number, is that of an input.
const SLOTS: [&str; 7] = ["tree", "source", "base", "layer", "tools", "page", "jtw"];
/// Elements of lists are known by one of these, where they have one.
const NAMES: [&str; 2] = ["name", "package"];
/// Where single files are put, with their inputs: `[["patch.diff", 3], …]`.
const EXTRA: &str = "extra";

/// A field that has another value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// From the action on: `request.stages[0][1].argv`, `packages[ocaml].version`.
    pub path: String,
    /// Nothing where there was, or is, no such field.
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// An input of the one or the other document, or of both, by its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPair {
    /// The name that it has in the action: `base`, `fmt.0.9.0`, `source`.
    pub name: String,
    pub before: Option<usize>,
    pub after: Option<usize>,
}

/// Two documents side by side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    pub fields: Vec<FieldChange>,
    pub inputs: Vec<InputPair>,
}

/// Compares two actions. Inputs come in the order of `after`, those that it has not got last.
pub fn compare(before: &Value, after: &Value) -> Comparison {
    let (mut before, mut after) = (before.clone(), after.clone());
    let (slots_before, slots_after) = (take_slots(&mut before), take_slots(&mut after));
    let mut comparison = Comparison::default();
    fields("", &before, &after, &mut comparison.fields);
    let mut left = slots_before;
    let mut take = |is_it: &dyn Fn(&str) -> bool| {
        let at = left.iter().position(|(name, _)| is_it(name))?;
        Some(left.remove(at).1)
    };
    // Another version of a package takes its place; but first come those of the same name.
    let same: Vec<_> = slots_after.iter().map(|(name, _)| take(&|known| known == name)).collect();
    for ((name, slot), same) in slots_after.into_iter().zip(same) {
        let before = same.or_else(|| take(&|known| without_version(known) == without_version(&name)));
        comparison.inputs.push(InputPair { name, before, after: Some(slot) });
    }
    let gone = left.into_iter();
    comparison.inputs.extend(gone.map(|(name, slot)| InputPair { name, before: Some(slot), after: None }));
    comparison
}

/// `fmt` of `fmt.0.9.0`: versions begin with a digit, or with a `v` and one.
pub fn without_version(name: &str) -> &str {
    let is_version = |text: &str| text.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    let dot = name.match_indices('.').find(|(at, _)| is_version(&name[at + 1..]));
    dot.map_or(name, |(at, _)| &name[..at])
}

/// The names of an action's inputs, with their slots.
pub fn input_names(action: &Value) -> Vec<(String, usize)> {
    take_slots(&mut action.clone())
}

/// Takes the numbers of inputs out of an action, and their versions with them: those are told by what
/// became of the inputs. A name that is there several times is made its own by
/// a number; one that has the same slot again is not told again.
fn take_slots(action: &mut Value) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    walk(action, &mut found);
    let mut named: Vec<(String, usize)> = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (name, slot) in found {
        if named.iter().any(|(known, at)| *at == slot && known.split('#').next() == Some(&name)) {
            continue;
        }
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        named.push((if *count == 1 { name } else { format!("{name}#{count}") }, slot));
    }
    named
}

fn walk(value: &mut Value, found: &mut Vec<(String, usize)>) {
    match value {
        Value::Object(fields) => {
            let text = |key: &str| fields.get(key).and_then(Value::as_str);
            let owner = match (text("name"), text("package"), text("version")) {
                (Some(name), ..) => Some(name.to_owned()),
                // What is present while another package is built.
                (None, Some(package), Some(version)) if fields.contains_key("direct") => {
                    Some(format!("{package}.{version}"))
                }
                _ => None,
            };
            let before = found.len();
            for key in SLOTS {
                let slot =
                    fields.get(key).and_then(Value::as_u64).and_then(|slot| usize::try_from(slot).ok());
                if let Some(slot) = slot {
                    fields.remove(key);
                    found.push((owner.clone().unwrap_or_else(|| key.to_owned()), slot));
                }
            }
            if found.len() > before && owner.is_some() {
                fields.remove("version");
                if let (1, Some(Value::String(name))) = (fields.len(), fields.get("name")) {
                    // Nothing but a named input.
                    *value = Value::from(without_version(name));
                    return;
                }
            }
            for (key, value) in fields.iter_mut() {
                if key == EXTRA {
                    take_extra(value, found);
                }
                walk(value, found);
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| walk(element, found)),
        _ => {}
    }
}

fn take_extra(value: &mut Value, found: &mut Vec<(String, usize)>) {
    for pair in value.as_array_mut().into_iter().flatten() {
        let Some([Value::String(path), slot]) = pair.as_array_mut().map(Vec::as_mut_slice) else { continue };
        if let Some(number) = slot.as_u64().and_then(|slot| usize::try_from(slot).ok()) {
            found.push((path.clone(), number));
            *slot = Value::Null;
        }
    }
}

fn fields(path: &str, before: &Value, after: &Value, found: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => {
            let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            for (key, value) in other {
                part(&below(key), one.get(key), Some(value), found);
            }
            for (key, value) in one.iter().filter(|(key, _)| !other.contains_key(*key)) {
                part(&below(key), Some(value), None, found);
            }
        }
        (Value::Array(one), Value::Array(other)) if are_parts(one) && are_parts(other) => {
            let below = |key: &str| format!("{path}[{key}]");
            let (one, other) = match (by_name(one), by_name(other)) {
                (Some(one), Some(other)) => (one, other),
                _ => (by_position(one), by_position(other)),
            };
            let find = |all: &[(String, &Value)], key: &str| all.iter().position(|(known, _)| known == key);
            for (key, value) in &other {
                part(&below(key), find(&one, key).map(|at| one[at].1), Some(value), found);
            }
            for (key, value) in one.iter().filter(|(key, _)| find(&other, key).is_none()) {
                part(&below(key), Some(value), None, found);
            }
            let order = |all: &[(String, &Value)], in_other: &[(String, &Value)]| -> Vec<String> {
                let common = all.iter().filter(|(key, _)| find(in_other, key).is_some());
                common.map(|(key, _)| key.clone()).collect()
            };
            if order(&one, &other) != order(&other, &one) {
                let names = |all: &[(String, &Value)]| {
                    Some(all.iter().map(|(key, _)| Value::from(key.as_str())).collect())
                };
                found.push(FieldChange {
                    path: format!("{path}[]"),
                    before: names(&one),
                    after: names(&other),
                });
            }
        }
        _ => found.push(FieldChange {
            path: path.to_owned(),
            before: Some(before.clone()),
            after: Some(after.clone()),
        }),
    }
}

fn part(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<FieldChange>) {
    match (before, after) {
        (Some(before), Some(after)) => fields(path, before, after, found),
        (before, after) => {
            found.push(FieldChange { path: path.to_owned(), before: before.cloned(), after: after.cloned() });
        }
    }
}

/// Lists of plain values are compared as a whole: a command is one thing.
fn are_parts(list: &[Value]) -> bool {
    list.iter().all(|element| element.is_object() || element.is_array())
}

/// The elements by their names, if all of them have different ones.
fn by_name(list: &[Value]) -> Option<Vec<(String, &Value)>> {
    let name = |element: &Value| NAMES.iter().find_map(|key| element.get(key)?.as_str().map(str::to_owned));
    let named: Vec<(String, &Value)> =
        list.iter().map(|element| Some((name(element)?, element))).collect::<Option<_>>()?;
    let mut names: Vec<&String> = named.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    (names.len() == named.len()).then_some(named)
}

fn by_position(list: &[Value]) -> Vec<(String, &Value)> {
    list.iter().enumerate().map(|(at, element)| (at.to_string(), element)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: &Value, after: &Value) -> Vec<String> {
        let show = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
        let all = compare(before, after).fields;
        all.iter().map(|one| format!("{}: {} → {}", one.path, show(&one.before), show(&one.after))).collect()
    }

    #[test]
    fn fields_are_told_by_their_paths() {
        let before = json!({
            "do": "script", "outputs": ["a"],
            "request": {"env": {"A": "1", "B": "2"}, "stages": [[{"argv": ["sh", "-c", "x"], "cwd": "/"}]]},
        });
        let after = json!({
            "do": "script", "outputs": ["a", "b"],
            "request": {"env": {"B": "3", "C": "4"}, "stages": [[{"argv": ["sh", "-c", "y"], "cwd": "/"}], []]},
        });
        let expected = [
            r#"outputs: ["a"] → ["a","b"]"#,
            r#"request.env.B: "2" → "3""#,
            r#"request.env.C: nothing → "4""#,
            r#"request.env.A: "1" → nothing"#,
            r#"request.stages[0][0].argv: ["sh","-c","x"] → ["sh","-c","y"]"#,
            "request.stages[1]: nothing → []",
        ];
        assert_eq!(told(&before, &after), expected);
        assert_eq!(told(&after, &after), [""; 0]);
    }

    #[test]
    fn elements_are_told_by_their_names_and_their_order_by_itself() {
        let package = |name: &str, version: &str| json!({"name": name, "version": version});
        let before = json!({"packages": [package("a", "1"), package("b", "1"), package("c", "1")]});
        let after = json!({"packages": [package("b", "1"), package("a", "2"), package("d", "1")]});
        let expected = [
            r#"packages[a].version: "1" → "2""#,
            r#"packages[d]: nothing → {"name":"d","version":"1"}"#,
            r#"packages[c]: {"name":"c","version":"1"} → nothing"#,
            r#"packages[]: ["a","b","c"] → ["b","a","d"]"#,
        ];
        assert_eq!(told(&before, &after), expected);
    }

    #[test]
    fn inputs_are_known_by_names_and_not_by_numbers() {
        let layer = |name: &str, tree: usize| json!({"name": name, "tree": tree});
        let before =
            json!({"mounts": [{"layers": [layer("base", 0)]}, {"tree": layer("old", 1)}], "source": 2});
        let after = json!({
            "mounts": [{"layers": [layer("base", 0)]}, {"tree": layer("new", 2)}],
            "source": 1, "extra": [["fix.patch", 3]],
        });
        let Comparison { fields, inputs } = compare(&before, &after);
        let pair = |name: &str, before, after| InputPair { name: name.into(), before, after };
        let expected = [
            pair("source", Some(2), Some(1)),
            pair("fix.patch", None, Some(3)),
            pair("base", Some(0), Some(0)),
            pair("new", None, Some(2)),
            pair("old", Some(1), None),
        ];
        assert_eq!(inputs, expected);
        // That an input is another one is not told as a field too, but for its name.
        let paths: Vec<&str> = fields.iter().map(|field| field.path.as_str()).collect();
        assert_eq!(paths, ["extra", "mounts[1].tree"]);
        let present = |version: &str, slot: usize| {
            let present = json!({"package": "fmt", "version": version, "direct": true, "layer": slot});
            json!({"present": [present], "layers": [layer(&format!("fmt.{version}"), slot)]})
        };
        let Comparison { fields, inputs } = compare(&present("0.9.0", 4), &present("v0.10", 3));
        assert_eq!((fields, inputs), (vec![], vec![pair("fmt.v0.10", Some(4), Some(3))]));
        let twice = json!({"a": layer("x", 0), "b": layer("x", 1), "c": layer("x", 0)});
        assert_eq!(input_names(&twice), [("x".to_owned(), 0), ("x#2".to_owned(), 1)]);
    }
}
