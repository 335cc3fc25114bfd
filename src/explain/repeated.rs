//! One build directory in each of fifty members is one finding, not fifty.

use std::collections::HashMap;

use super::Finding;

/// So many of the other parts are named.
const NAMED: usize = 3;

/// Of findings that say the same of different parts of a file, keeps the first, and says where else.
pub(super) fn fold(findings: &mut Vec<Finding>) {
    let mut firsts: HashMap<Finding, usize> = HashMap::new();
    let mut others: HashMap<usize, Vec<String>> = HashMap::new();
    let mut kept: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings.drain(..) {
        // What is told of a part itself, or of the whole file, is of that part only.
        let Some((part, rest)) = finding.place.split_first().filter(|(_, rest)| !rest.is_empty()) else {
            kept.push(finding);
            continue;
        };
        let said = Finding { place: rest.to_vec(), ..finding.clone() };
        match firsts.get(&said) {
            Some(first) => others.entry(*first).or_default().push(part.clone()),
            None => {
                firsts.insert(said, kept.len());
                kept.push(finding);
            }
        }
    }
    for (at, parts) in others {
        let named = parts[..parts.len().min(NAMED)].join(", ");
        let also = match parts.len().saturating_sub(NAMED) {
            0 => format!("also in {named}"),
            more => format!("also in {named} and {more} more"),
        };
        let note = &mut kept[at].note;
        *note = Some(note.take().map_or(also.clone(), |note| format!("{note}; {also}")));
    }
    *findings = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(place: &[&str], before: &str) -> Finding {
        let place = place.iter().map(|&word| word.to_owned()).collect();
        Finding { place, before: Some(before.to_owned()), ..Finding::default() }
    }

    #[test]
    fn what_is_the_same_in_many_parts_is_told_once() {
        let mut findings = vec![
            finding(&["member a.o", "strings"], "/build"),
            finding(&["member a.o", "text"], "1"),
            finding(&["member b.o", "strings"], "/build"),
            finding(&["member b.o", "text"], "2"),
            finding(&["member b.o"], "mode 644"),
            finding(&["member c.o"], "mode 644"),
        ];
        findings.extend(["c", "d", "e"].map(|name| finding(&[name, "strings"], "/build")));
        fold(&mut findings);
        let told: Vec<_> = findings.iter().map(|one| (one.place.join(" > "), one.note.as_deref())).collect();
        let expected = [
            ("member a.o > strings", Some("also in member b.o, c, d and 1 more")),
            ("member a.o > text", None),
            ("member b.o > text", None),
            ("member b.o", None),
            ("member c.o", None),
        ];
        assert_eq!(told, expected.map(|(place, note)| (place.to_owned(), note)));
    }

    #[test]
    fn a_note_that_is_there_is_kept() {
        let noted = |part| Finding { note: Some("a path".into()), ..finding(&[part, "x"], "1") };
        let mut findings = vec![noted("a"), noted("b")];
        fold(&mut findings);
        assert_eq!(findings[0].note.as_deref(), Some("a path; also in b"));
    }
}
