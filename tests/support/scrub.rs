//! Takes out of a text what changes from run to run.

/// Hashes, times and process ids become words in brackets.
pub fn scrub(text: &str) -> String {
    // Whether a builder takes long enough to end for this to be said depends on the machine.
    let text: String = text.split_inclusive('\n').filter(|line| !line.starts_with("stopping: ")).collect();
    let text = replace(&text, &["in ", "after ", "\"seconds\": "], time);
    let text = replace(&text, &["process "], number);
    let text = replace(&text, &["begun ", "\"started\": "], moment);
    // Names of files on their way into the store, and of drafts.
    let text = replace(&text, &["store/tmp/", ".lock."], private);
    hashes(&text)
}

/// Where `what` finds something behind one of `before`, its word takes the place of that.
fn replace(text: &str, before: &[&str], what: fn(&str) -> Option<(usize, &'static str)>) -> String {
    let mut scrubbed = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let found = before.iter().find_map(|before| {
            let (length, word) = what(rest.strip_prefix(before)?)?;
            Some((*before, length, word))
        });
        if let Some((before, length, word)) = found {
            scrubbed += before;
            scrubbed += word;
            rest = &rest[before.len() + length..];
        } else {
            scrubbed.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    scrubbed
}

/// `40 ms`, `1.5 s`, `2 min 3 s`, and JSON's bare numbers.
fn time(text: &str) -> Option<(usize, &'static str)> {
    let number = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != 'e' && c != '-')?;
    if number == 0 || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let rest = &text[number..];
    if rest.starts_with([',', '\n']) {
        return Some((number, "[seconds]"));
    }
    if let Some(after) = rest.strip_prefix(" min ") {
        let (seconds, word) = time(after)?;
        return Some((number + " min ".len() + seconds, word));
    }
    let unit = [" ms", " s"].into_iter().find(|unit| rest.starts_with(unit))?;
    Some((number + unit.len(), "[time]"))
}

/// `2026-11-29 15:10:03 UTC`, and seconds since 1970.
fn moment(text: &str) -> Option<(usize, &'static str)> {
    let length = "2026-11-29 15:10:03 UTC".len();
    let is_moment =
        text.get(..length).is_some_and(|moment| moment.starts_with("20") && moment.ends_with(" UTC"));
    if is_moment { Some((length, "[moment]")) } else { time(text) }
}

fn number(text: &str) -> Option<(usize, &'static str)> {
    let length = text.find(|c: char| !c.is_ascii_digit())?;
    (length > 0).then_some((length, "[id]"))
}

fn private(text: &str) -> Option<(usize, &'static str)> {
    let length = text.find(['`', '\n', ' '])?;
    text.starts_with(|c: char| c.is_ascii_digit()).then_some((length, "[private]"))
}

/// 64 hexadecimal digits, unless they are all the same (those were written by a test).
fn hashes(text: &str) -> String {
    let mut scrubbed = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
        let run = &rest[..length];
        if length == 64 && run.chars().any(|c| c != character) {
            scrubbed += "[hash]";
            rest = &rest[length..];
        } else {
            let length = length.max(character.len_utf8());
            scrubbed += &rest[..length];
            rest = &rest[length..];
        }
    }
    scrubbed
}
