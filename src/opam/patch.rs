//! Which files a patch names: looked at before it is applied, so that none of them is elsewhere.
//!
//! The formats are those of the manual of GNU diffutils ("Unified Format", "Context Format") and the
//! further headers that git writes. Names are taken generously: whatever `patch` might take for a
//! name is one.

use super::paths;
use crate::path::RelativePath;

/// Larger patches are refused, in bytes.
pub const MAX_SIZE: usize = 32 << 20;

/// The two formats that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Unified,
    Context,
}

/// What a patch is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    pub format: Format,
    /// Paths below the working directory, each as often as it is named.
    pub paths: Vec<RelativePath>,
}

/// Why a patch is not applied: a sentence with the line, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct PatchError {
    pub line: usize,
    pub message: String,
}

impl Patch {
    /// Finds the names in a patch that is applied with one leading component taken off (`-p1`).
    pub fn parse(bytes: &[u8]) -> Result<Self, PatchError> {
        let error = |line, message: String| PatchError { line, message };
        if bytes.len() > MAX_SIZE {
            return Err(error(1, format!("it has {} bytes, more than {MAX_SIZE}", bytes.len())));
        }
        let text = String::from_utf8_lossy(bytes);
        let (mut paths, mut format) = (Vec::new(), None);
        // Lines of a unified hunk that are still to come: old ones and new ones.
        let mut left = (0_u64, 0_u64);
        for (index, line) in text.split('\n').enumerate() {
            if left != (0, 0) {
                left = match line.as_bytes().first() {
                    Some(b'-') => (left.0.saturating_sub(1), left.1),
                    Some(b'+') => (left.0, left.1.saturating_sub(1)),
                    Some(b'\\') => left,
                    // An empty line is one of context whose blank was lost on the way.
                    _ => (left.0.saturating_sub(1), left.1.saturating_sub(1)),
                };
                continue;
            }
            let mut found = None;
            if let Some(counts) = line.strip_prefix("@@ -") {
                left =
                    hunk(counts).ok_or_else(|| error(index + 1, "this hunk has no line numbers".into()))?;
                found = Some(Format::Unified);
            } else if line.starts_with("***************") {
                found = Some(Format::Context);
            } else if line.starts_with("diff --git ") {
                found = Some(Format::Unified);
            }
            match (format, found) {
                (None, found) => format = found,
                (Some(known), Some(found)) if known != found => {
                    return Err(error(index + 1, "a patch is either unified or of context, not both".into()));
                }
                _ => {}
            }
            for (name, strip) in names(line) {
                match below(name, strip) {
                    Ok(path) => paths.extend(path),
                    Err(message) => return Err(error(index + 1, message)),
                }
            }
        }
        match format {
            Some(format) => Ok(Self { format, paths }),
            None => Err(error(1, "this is neither a unified nor a context diff".into())),
        }
    }
}

/// How many old and new lines a hunk has, from `1,2 +3,4 @@`.
fn hunk(counts: &str) -> Option<(u64, u64)> {
    let (old, rest) = counts.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let count = |range: &str| match range.split_once(',') {
        None => range.parse::<u64>().ok().map(|_| 1),
        Some((start, count)) => start.parse::<u64>().ok().and_then(|_| count.parse().ok()),
    };
    Some((count(old)?, count(new)?))
}

/// What a line may name, and whether a component comes off.
fn names(line: &str) -> Vec<(&str, bool)> {
    const HEADERS: [&str; 4] = ["--- ", "+++ ", "*** ", "Index: "];
    const MOVES: [&str; 4] = ["rename from ", "rename to ", "copy from ", "copy to "];
    let line = line.trim_end_matches('\r');
    if line.ends_with(" ****") || line.ends_with(" ----") {
        // `*** 1,5 ****`: the lines of a context hunk.
        return Vec::new();
    }
    if let Some(rest) = HEADERS.iter().find_map(|header| line.strip_prefix(header)) {
        // A time may follow, behind a tab or behind a blank.
        let name = rest.split('\t').next().unwrap_or_default();
        return vec![(name, true), (name.split(' ').next().unwrap_or_default(), true)];
    }
    if let Some(rest) = MOVES.iter().find_map(|header| line.strip_prefix(header)) {
        return vec![(rest, false)];
    }
    line.strip_prefix("diff --git ")
        .map_or_else(Vec::new, |rest| rest.split(' ').map(|name| (name, true)).collect())
}

/// The path that a name stands for; nothing for the one that says that there is no file.
fn below(name: &str, strip: bool) -> Result<Option<RelativePath>, String> {
    let plain = name.trim();
    let plain = plain.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(plain);
    if plain == "/dev/null" || plain.is_empty() {
        return Ok(None);
    }
    let shown = || plain.chars().take(200).collect::<String>().escape_debug().to_string();
    if plain.contains(['"', '\\']) {
        return Err(format!("the name `{}` has escapes, which are not followed", shown()));
    }
    let stripped = match plain.split_once('/') {
        _ if plain.starts_with('/') => return Err(format!("`{}` is an absolute path", shown())),
        Some((_, rest)) if strip => rest.trim_start_matches('/'),
        _ => plain,
    };
    let whole: Vec<&str> = stripped.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    paths::checked(&whole.join("/"))
        .map(Some)
        .ok_or_else(|| format!("`{}` leads out of the working directory", shown()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match Patch::parse(text.as_bytes()) {
            Ok(Patch { format, paths }) => {
                let paths: Vec<_> = paths.iter().map(RelativePath::as_str).collect();
                format!("{format:?} [{}]", paths.join(", "))
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn names_are_found_in_headers_and_not_in_hunks() {
        let unified = "From: x\n--- a/src/x.ml\t2020-01-01 00:00\n+++ b/src/x.ml 2020\n@@ -1,2 +1,3 @@ let\n a\n\
                       --- ../../etc/passwd\n+++ ../../etc/passwd\n+--- /x\n\\ No newline at end of file\n";
        assert_eq!(
            shown(unified),
            "Unified [src/x.ml, src/x.ml, src/x.ml 2020, src/x.ml]",
            "lines of a hunk that look like headers are none"
        );
        let created = "--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+x\n";
        assert_eq!(shown(created), "Unified [new, new]");
        let context =
            "*** a/x\t1\n--- b/x\t2\n***************\n*** 1,2 ****\n  a\n- -- b\n--- 1,1 ----\n  a\n";
        assert_eq!(shown(context), "Context [x, x, x, x]");
        let renamed = "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to d/y\n";
        assert_eq!(shown(renamed), "Unified [x, y, x, d/y]");
    }

    #[test]
    fn names_that_lead_out_are_refused_wherever_they_stand() {
        let body = "@@ -1 +1 @@\n-a\n+b\n";
        let patches = [
            (
                format!("--- a/x\n+++ b/../../x\n{body}"),
                "line 2: `b/../../x` leads out of the working directory",
            ),
            (format!("--- /etc/passwd\n+++ b/x\n{body}"), "line 1: `/etc/passwd` is an absolute path"),
            (
                format!("--- a/x\n+++ b/x\n{body}--- a/../y\n"),
                "line 6: `a/../y` leads out of the working directory",
            ),
            (format!("Index: a/../x\n{body}"), "line 1: `a/../x` leads out of the working directory"),
            ("rename to ../x\n".into(), "line 1: `../x` leads out of the working directory"),
            ("diff --git a/x b/../../x\n".into(), "line 1: `b/../../x` leads out of the working directory"),
            (
                format!("--- a/x\n+++ \"b/\\056\\056/x\"\n{body}"),
                "line 2: the name `b/\\\\056\\\\056/x` has escapes, which are not followed",
            ),
            (format!("--- a/x\n+++ b/.. /x\t1\n{body}"), "line 2: `b/..` leads out of the working directory"),
            ("1c1\n< a\n---\n> b\n".into(), "line 1: this is neither a unified nor a context diff"),
            ("@@ -x +y @@\n".into(), "line 1: this hunk has no line numbers"),
            (
                format!("--- a/x\n+++ b/x\n{body}***************\n"),
                "line 6: a patch is either unified or of context, not both",
            ),
        ];
        for (text, message) in patches {
            assert_eq!(shown(&text), message, "{text}");
        }
        let large = vec![b' '; MAX_SIZE + 1];
        assert!(Patch::parse(&large).is_err());
    }

    #[test]
    fn a_hunk_that_lies_about_its_length_hides_nothing_that_patch_would_take() {
        // What follows a hunk that is cut short is not looked at, and `patch` refuses such a hunk.
        let text = "--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n a\n";
        assert_eq!(shown(text), "Unified [x, x, x, x]");
    }
}
