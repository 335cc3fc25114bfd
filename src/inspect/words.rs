//! Reasons in words: one sentence for each thing that a person would call one change.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document::FieldChange;
use super::trees::{Change, Difference, changed_lines};
use super::why::Why;
use crate::legible;
use crate::store::tree::TreeHash;

/// A value is shown with at most so many characters.
const SHOWN: usize = 72;
/// So many files, or changes of one kind, are named.
const NAMED: usize = 3;
/// So many reasons of one node are told.
const TOLD: usize = 6;
/// Digits of a hash that are shown.
const DIGITS: usize = 12;

/// The reasons of one node in words. With `all`, nothing is left out.
pub fn sentences(whys: &[Why], all: bool) -> Vec<String> {
    let fields: Vec<&FieldChange> = whys
        .iter()
        .filter_map(|why| match why {
            Why::Field(field) => Some(field),
            _ => None,
        })
        .collect();
    let inputs_changed =
        whys.iter().any(|why| matches!(why, Why::InputAdded { .. } | Why::InputRemoved { .. }));
    let most = if all { usize::MAX } else { NAMED };
    let mut told = packages(&fields, most);
    told.extend(
        fields.iter().filter(|field| !is_told_elsewhere(field, &fields, inputs_changed)).map(|f| field(f)),
    );
    told.extend(whys.iter().filter_map(|why| other(why, most)));
    if told.is_empty() {
        told.extend(fields.first().map(|change| field(change)));
    }
    let more = told.len().saturating_sub(TOLD);
    if !all && more > 1 {
        told.truncate(TOLD);
        told.push(format!("and {more} more changes"));
    }
    told
}

fn other(why: &Why, most: usize) -> Option<String> {
    Some(match why {
        Why::Field(_) => return None,
        Why::First => "first build: nothing earlier is known".to_owned(),
        Why::Content { input, node, before, after, files } => {
            let what = match node {
                Some(node) => format!("its input {node}"),
                None if input == "source" => "its source".to_owned(),
                None => input.clone(),
            };
            match files {
                Some(files) => format!("{what} changed: {}", told_files(files, most)),
                None => format!("{what} changed: {} → {}", short(before), short(after)),
            }
        }
        Why::InputAdded { input } => format!("the input {input} is new"),
        Why::InputRemoved { input } => format!("the input {input} is gone"),
        Why::Gone => "its output is not in the store any more".to_owned(),
        Why::Retried { failure } => format!("it had failed, and was tried again: {failure}"),
        Why::Trouble { failure } => format!("the machine was in trouble the last time: {failure}"),
        Why::Stopped => "the last run was stopped before it was done".to_owned(),
        Why::Unrecorded => {
            "it was built from something else, of which the store holds no record any more".to_owned()
        }
    })
}

/// `worker.ml (3 lines), new.ml (new) and 2 more`.
fn told_files(files: &[Difference], most: usize) -> String {
    let one = |difference: &Difference| {
        let path = legible::line(&difference.path.to_string());
        match &difference.change {
            Change::Added { .. } => format!("{path} (new)"),
            Change::Removed { .. } => format!("{path} (gone)"),
            Change::Changed { lines: Some(lines), .. } => format!("{path} ({lines})"),
            Change::Changed { lines: None, .. } => path,
        }
    };
    listed(files.iter().map(one).collect(), most)
}

fn listed(mut told: Vec<String>, most: usize) -> String {
    let more = told.len().saturating_sub(most);
    told.truncate(most);
    let told = told.join(", ");
    if more > 0 { format!("{told} and {more} more") } else { told }
}

fn short(tree: &TreeHash) -> String {
    format!("tree {}", &tree.to_hex()[..DIGITS])
}

/// Distribution packages: `package ocaml 5.4.1-1 → 5.4.1-2`.
fn packages(fields: &[&FieldChange], most: usize) -> Vec<String> {
    let mut told = Vec::new();
    let mut seen = BTreeSet::new();
    for field in fields {
        let Some((name, rest)) = package(&field.path) else { continue };
        if !is_pinned(fields, name) || !seen.insert(name) {
            continue;
        }
        let version = |value: &Option<Value>| Some(value.as_ref()?["version"].as_str()?.to_owned());
        told.push(match (rest, version(&field.before), version(&field.after)) {
            ("", None, Some(version)) => format!("package {name} {version} (new)"),
            ("", Some(version), None) => format!("package {name} {version} (gone)"),
            _ => match fields.iter().find(|field| package(&field.path) == Some((name, ".version"))) {
                Some(change) => format!("package {name} {}", pair(change)),
                None => format!("package {name}: other bytes of the same version"),
            },
        });
    }
    if told.len() > most { vec![listed(told, most)] } else { told }
}

/// The name between the brackets of `packages[name].rest`, and the rest.
fn package(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("packages[")?.split_once(']').filter(|(name, _)| !name.is_empty())
}

/// Whether a package is one of a distribution: sites have packages too.
fn is_pinned(fields: &[&FieldChange], name: &str) -> bool {
    fields.iter().filter_map(|field| Some((package(&field.path)?, *field))).any(|((of, rest), field)| {
        let has_sum =
            |value: &Option<Value>| value.as_ref().is_some_and(|value| value.get("sha256").is_some());
        let is_of_deb = [".version", ".path", ".size", ".sha256"].contains(&rest);
        of == name && (is_of_deb || has_sum(&field.before) || has_sum(&field.after))
    })
}

/// Whether another sentence says what this field would.
fn is_told_elsewhere(field: &FieldChange, all: &[&FieldChange], inputs_changed: bool) -> bool {
    let path = field.path.as_str();
    let has = |wanted: &dyn Fn(&str) -> bool| all.iter().any(|field| wanted(&field.path));
    if package(path).is_some_and(|(name, _)| is_pinned(all, name)) || path == "packages[]" {
        return has(&|path| path != "packages[]");
    }
    let is_checksum = |path: &str| {
        path.strip_prefix("archive.").is_some_and(|field| ["sha256", "sha512", "md5"].contains(&field))
    };
    // Where the bytes of another archive come from, and what the lists of inputs look like.
    (path.starts_with("archive.places") && has(&is_checksum))
        || (inputs_changed && path.starts_with("packages[") && path.ends_with(']'))
        || (inputs_changed
            && ["request.mounts", "present[", "primitives", "extra"].iter().any(|of| path.starts_with(of)))
        || (path == "package" && has(&|path| path == "version"))
}

/// One field in words.
fn field(change: &FieldChange) -> String {
    let path = change.path.as_str();
    let last = path.rsplit('.').next().unwrap_or(path);
    if let Some(name) = ["request.env.", "env."].iter().find_map(|prefix| path.strip_prefix(prefix)) {
        return format!("variable {name}: {}", pair(change));
    }
    if let Some(name) = ["request.limits.", "limits."].iter().find_map(|prefix| path.strip_prefix(prefix)) {
        return format!("limit `{name}`: {}", pair(change));
    }
    if let Some(number) = command_number(path) {
        return format!("{number}: {}", commands(change));
    }
    match last {
        "version" | "commit" | "revision" | "name" => format!("{last} {}", pair(change)),
        "file" if is_long(change) => format!("its opam file: {}", texts(change)),
        _ if path == "command" => format!("the command: {}", commands(change)),
        _ => format!("`{path}`: {}", pair(change)),
    }
}

/// `command 2` of `request.stages[1][0].argv`; further ones of a stage have a second number.
fn command_number(path: &str) -> Option<String> {
    let number = |text: &str| text.parse::<usize>().ok().map(|number| number + 1);
    if let Some(rest) = path.strip_prefix("setup[") {
        return Some(format!("command {} of the set-up", number(rest.strip_suffix(']')?)?));
    }
    let (stage, rest) = path.strip_prefix("request.stages[")?.split_once(']')?;
    let stage = number(stage)?;
    Some(match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some(("0", _)) => format!("command {stage}"),
        Some((index, _)) => format!("command {stage}.{}", number(index)?),
        None => format!("command {stage}"),
    })
}

/// The words of a command that differ.
fn commands(change: &FieldChange) -> String {
    let words = |value: &Option<Value>| -> Option<Vec<String>> {
        let list = value.as_ref()?;
        // A stage, a command with its directory, or its words.
        let list = list.get(0).filter(|one| one.is_object()).unwrap_or(list);
        let list = list.get("argv").unwrap_or(list).as_array()?;
        list.iter().map(|word| word.as_str().map(str::to_owned)).collect()
    };
    match (words(&change.before), words(&change.after)) {
        (Some(before), Some(after)) => {
            let differ: Vec<usize> =
                (0..before.len().min(after.len())).filter(|at| before[*at] != after[*at]).collect();
            match differ.as_slice() {
                [one] if before.len() == after.len() => told_texts(&before[*one], &after[*one]),
                _ => told_texts(&before.join(" "), &after.join(" ")),
            }
        }
        (None, Some(after)) => format!("{} (new)", quoted(&after.join(" "))),
        (Some(before), None) => format!("{} (gone)", quoted(&before.join(" "))),
        (None, None) => pair(change),
    }
}

fn is_long(change: &FieldChange) -> bool {
    let is_long = |value: &Option<Value>| {
        value.as_ref().and_then(Value::as_str).is_some_and(|text| text.contains('\n'))
    };
    is_long(&change.before) || is_long(&change.after)
}

fn texts(change: &FieldChange) -> String {
    let text = |value: &Option<Value>| value.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
    told_texts(&text(&change.before), &text(&change.after))
}

/// Two short texts, or the first line in which two long ones differ and how many lines do.
fn told_texts(before: &str, after: &str) -> String {
    let lines = changed_lines(before.as_bytes(), after.as_bytes())
        .filter(|_| before.contains('\n') || after.contains('\n'));
    let Some(lines) = lines else { return format!("{} → {}", quoted(before), quoted(after)) };
    let (mut old, mut new) = (before.lines(), after.lines());
    loop {
        match (old.next(), new.next()) {
            (Some(one), Some(other)) if one == other => {}
            (Some(one), Some(other)) => {
                return format!("{lines}, first {} → {}", quoted(one.trim()), quoted(other.trim()));
            }
            (None, Some(line)) => return format!("{lines}, first {} (new)", quoted(line.trim())),
            (Some(line), None) => return format!("{lines}, first {} (gone)", quoted(line.trim())),
            (None, None) => return format!("{lines}"),
        }
    }
}

fn pair(change: &FieldChange) -> String {
    match (&change.before, &change.after) {
        (Some(Value::Array(before)), Some(Value::Array(after))) if are_words(before) && are_words(after) => {
            let only = |one: &[Value], other: &[Value], word: &str| -> Vec<String> {
                let only = one.iter().filter(|value| !other.contains(value));
                only.map(|value| format!("{} ({word})", shown(value))).collect()
            };
            let told = [only(after, before, "new"), only(before, after, "gone")].concat();
            if told.is_empty() { "in another order".to_owned() } else { listed(told, TOLD) }
        }
        (Some(before), Some(after)) => format!("{} → {}", shown(before), shown(after)),
        (None, Some(after)) => format!("{} (new)", shown(after)),
        (Some(before), None) => format!("{} (gone)", shown(before)),
        (None, None) => String::new(),
    }
}

fn are_words(list: &[Value]) -> bool {
    list.iter().all(Value::is_string)
}

/// A value for people: plain words as they are, hashes by their beginning, all else quoted.
fn shown(value: &Value) -> String {
    let is_plain = |text: &str| {
        !text.is_empty()
            && text.chars().count() <= SHOWN
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+~:@/=".contains(c))
    };
    match value {
        Value::String(text) if text.len() >= 40 && text.chars().all(|c| c.is_ascii_hexdigit()) => {
            text[..DIGITS].to_owned()
        }
        Value::String(text) if is_plain(text) => text.clone(),
        Value::String(text) => quoted(text),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        other => quoted(&other.to_string()),
    }
}

/// In backquotes, on one line, and cut off.
fn quoted(text: &str) -> String {
    let line = legible::line(&text.chars().take(SHOWN).collect::<String>());
    if text.chars().nth(SHOWN).is_some() { format!("`{line} …`") } else { format!("`{line}`") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inspect::document::compare;

    fn told(before: Value, after: Value) -> Vec<String> {
        let fields = compare(&before, &after).fields;
        sentences(&fields.into_iter().map(Why::Field).collect::<Vec<_>>(), false)
    }

    #[test]
    fn packages_of_a_distribution_are_told_once_each() {
        let deb = |name: &str, version: &str| json!({"name": name, "version": version, "size": version.len(), "path": format!("{name}_{version}.deb"), "sha256": version});
        let before = json!({"packages": [deb("dash", "0.5"), deb("ocaml", "5.4.1-1"), deb("old", "1")]});
        let after = json!({"packages": [deb("dash", "0.5"), deb("new", "2"), deb("ocaml", "5.4.1-2")]});
        let expected = ["package ocaml 5.4.1-1 → 5.4.1-2", "package new 2 (new)", "package old 1 (gone)"];
        let mut all = told(before.clone(), after);
        all.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(all, expected);
        let many: Vec<Value> = (0..9).map(|number| deb(&format!("p{number}"), "1")).collect();
        let all = told(before, json!({"packages": many}));
        assert!(all[0].ends_with(" and 9 more"), "{all:?}");
    }

    #[test]
    fn commands_are_told_by_the_word_that_differs() {
        let request =
            |script: &str| json!({"request": {"stages": [[{"argv": ["sh", "-euc", script], "cwd": "/"}]]}});
        assert_eq!(told(request("a"), request("b")), ["command 1: `a` → `b`"]);
        let long = "x".repeat(100);
        let expected = format!("command 1: `a` → `{} …`", "x".repeat(SHOWN));
        assert_eq!(told(request("a"), request(&long)), [expected]);
        let two = told(request("same\nb\nc"), request("same\nB\nc\nd"));
        assert_eq!(two, ["command 1: 3 lines, first `b` → `B`"]);
        let setup = |word: &str| json!({"setup": [["chmod", word]]});
        assert_eq!(told(setup("1"), setup("2")), ["command 1 of the set-up: `1` → `2`"]);
    }

    #[test]
    fn other_fields_are_told_by_their_paths() {
        let before = json!({"effects": "cps", "request": {"env": {"A": "1"}, "limits": {"seconds": 1}}, "archive": {"sha256": "ab".repeat(32), "places": ["x"]}});
        let after = json!({"effects": "double-translation", "request": {"env": {"A": "2 3"}, "limits": {"seconds": 2}}, "archive": {"sha256": "cd".repeat(32), "places": ["y"]}});
        let expected = [
            "`archive.sha256`: abababababab → cdcdcdcdcdcd",
            "`effects`: cps → double-translation",
            "variable A: 1 → `2 3`",
            "limit `seconds`: 1 → 2",
        ];
        assert_eq!(told(before, after), expected);
    }
}
