//! JSON: which values differ, by the path of keys that leads to them.

use serde_json::Value;

use super::align::{align, are_reordered};
use super::{Finding, Format, MOST, Reading, excerpt, nature};

/// Larger texts are told by their bytes.
const LARGEST: usize = 16 << 20;

/// Reads two documents; one finding for each value that differs, came or went.
pub(super) fn read(name: &str, before: &[u8], after: &[u8]) -> Option<Reading> {
    let is_document = [".json", ".map"].iter().any(|ending| name.ends_with(ending));
    if !is_document || before.len().max(after.len()) > LARGEST {
        return None;
    }
    // Documents that nest deeper than 128 are refused.
    let one: Value = serde_json::from_slice(before).ok()?;
    let other: Value = serde_json::from_slice(after).ok()?;
    let mut comparison = Comparison { path: Vec::new(), findings: Vec::new() };
    comparison.values(&one, &other);
    if comparison.findings.is_empty() {
        let note = Some(written(before, after).to_owned());
        comparison.findings.push(Finding { note, ..Finding::default() });
    }
    Some(Reading { format: Format::Json, findings: comparison.findings })
}

/// What differs in documents of the same values.
fn written(before: &[u8], after: &[u8]) -> &'static str {
    let bare = |bytes: &[u8]| -> Vec<u8> {
        let mut in_text = false;
        let mut is_escaped = false;
        let mut kept = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if !in_text && byte.is_ascii_whitespace() {
                continue;
            }
            in_text ^= *byte == b'"' && !is_escaped;
            is_escaped = *byte == b'\\' && !is_escaped;
            kept.push(*byte);
        }
        kept
    };
    let (one, other) = (bare(before), bare(after));
    if one == other {
        "only white space differs"
    } else if are_reordered(one, other) {
        "the same values; keys are in another order"
    } else {
        "the same values, written in another way"
    }
}

struct Comparison {
    path: Vec<String>,
    findings: Vec<Finding>,
}

impl Comparison {
    fn values(&mut self, before: &Value, after: &Value) {
        match (before, after) {
            (before, after) if before == after => {}
            (Value::Object(one), Value::Object(other)) => {
                for (key, value) in one {
                    match other.get(key) {
                        Some(changed) => self.within(key.clone(), |this| this.values(value, changed)),
                        None => self.within(key.clone(), |this| this.found(Some(value), None)),
                    }
                }
                for (key, value) in other.iter().filter(|(key, _)| !one.contains_key(*key)) {
                    self.within(key.clone(), |this| this.found(None, Some(value)));
                }
            }
            (Value::Array(one), Value::Array(other)) => self.arrays(one, other),
            _ => self.found(Some(before), Some(after)),
        }
    }

    fn arrays(&mut self, before: &[Value], after: &[Value]) {
        // Values have no order of their own, what is written for them has.
        let written = |items: &[Value]| items.iter().map(Value::to_string).collect::<Vec<_>>();
        let (one, other) = (written(before), written(after));
        if are_reordered(one.clone(), other.clone()) {
            let (shown, shown_after) = excerpt::pair(&one.join(", "), &other.join(", "), excerpt::STATEMENT);
            let note = Some("the same items in another order".to_owned());
            let place = self.path.clone();
            self.findings.push(Finding { place, note, before: Some(shown), after: Some(shown_after) });
            return;
        }
        let as_text = |items: &'_ [String]| -> Vec<u64> {
            use std::hash::{DefaultHasher, Hash, Hasher};
            let hash = |item: &String| {
                let mut hasher = DefaultHasher::new();
                item.hash(&mut hasher);
                hasher.finish()
            };
            items.iter().map(hash).collect()
        };
        for hunk in align(&as_text(&one), &as_text(&other)) {
            let both = hunk.before.len().min(hunk.after.len());
            for (at, at_other) in hunk.before.clone().zip(hunk.after.clone()) {
                self.within(at.to_string(), |this| this.values(&before[at], &after[at_other]));
            }
            for at in hunk.before.skip(both) {
                self.within(at.to_string(), |this| this.found(Some(&before[at]), None));
            }
            for at in hunk.after.skip(both) {
                self.within(format!("{at} of the other"), |this| this.found(None, Some(&after[at])));
            }
        }
    }

    fn within(&mut self, key: String, look: impl FnOnce(&mut Self)) {
        self.path.push(key);
        look(self);
        self.path.pop();
    }

    fn found(&mut self, before: Option<&Value>, after: Option<&Value>) {
        if self.findings.len() >= MOST {
            // The others are only counted.
            return self.findings.push(Finding::default());
        }
        let text = |value: Option<&Value>| value.map(Value::to_string).unwrap_or_default();
        let (one, other) = (text(before), text(after));
        let (shown, shown_after) = excerpt::pair(&one, &other, excerpt::STATEMENT);
        self.findings.push(Finding {
            place: self.path.iter().map(|key| excerpt::head(key, excerpt::STATEMENT)).collect(),
            note: before.and(after).and_then(|_| nature::note(&one, &other)),
            before: before.map(|_| shown),
            after: after.map(|_| shown_after),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::short;

    fn told(before: &str, after: &str) -> Vec<String> {
        short(read("x.json", before.as_bytes(), after.as_bytes()).unwrap().findings)
    }

    #[test]
    fn values_are_told_by_their_path() {
        assert_eq!(
            told(r#"{"a":{"b":[1,{"c":"x"},3]},"d":1}"#, r#"{"a":{"b":[1,{"c":"y"},3,4]},"e":null}"#),
            [
                r#"a, b, 1, c "x" → "y""#,
                "a, b, 3 of the other nothing → 4",
                "d 1 → nothing",
                "e nothing → null",
            ]
        );
        assert_eq!(told("1", "[1]"), [" 1 → [1]"]);
        assert_eq!(
            told(r#"{"at":"2026-11-30"}"#, r#"{"at":"2026-12-01"}"#),
            [r#"at [a date or time] "2026-11-30" → "2026-12-01""#]
        );
    }

    #[test]
    fn order_and_white_space_are_noted() {
        let note = |note: &str| [format!(" [{note}] nothing → nothing")];
        assert_eq!(
            told(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#),
            note("the same values; keys are in another order")
        );
        assert_eq!(told(r#"{"a b":1}"#, r#"{"a b": 1}"#), note("only white space differs"));
        assert_eq!(told(r#""\u0061""#, r#""a""#), note("the same values, written in another way"));
        assert_eq!(
            told(r#"{"x":[1,2]}"#, r#"{"x":[2,1]}"#),
            ["x [the same items in another order] 1, 2 → 2, 1"]
        );
    }

    #[test]
    fn what_is_no_document_is_left_to_others() {
        assert_eq!(read("x.json", b"{", b"{}"), None);
        assert_eq!(read("x.txt", b"1", b"2"), None);
        let deep = "[".repeat(100_000);
        assert_eq!(read("x.json", deep.as_bytes(), b"1"), None);
    }
}
