//! Glob patterns over relative paths and package names.

use std::fmt;

/// A pattern: `*` stands for any bytes but `/`, `**` for any bytes at all, `?` for one byte that is
/// not `/`; everything else for itself. It matches the whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Byte(u8),
    One,
    Some,
    All,
}

impl Glob {
    /// Reads a pattern; every text is one.
    pub fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        for byte in text.bytes() {
            let part = match byte {
                b'*' => Part::Some,
                b'?' => Part::One,
                byte => Part::Byte(byte),
            };
            match (parts.last_mut(), part) {
                (Some(last @ (Part::Some | Part::All)), Part::Some) => *last = Part::All,
                _ => parts.push(part),
            }
        }
        Self { text: text.to_owned(), parts }
    }

    /// Whether the pattern matches the whole of `text`.
    pub fn matches(&self, text: impl AsRef<[u8]>) -> bool {
        let text = text.as_ref();
        // One bit per pattern position: linear in the text for every pattern, however hostile.
        let mut here = vec![false; self.parts.len() + 1];
        here[0] = true;
        self.skip_empty(&mut here);
        for &byte in text {
            let mut next = vec![false; here.len()];
            for (at, part) in self.parts.iter().enumerate().filter(|(at, _)| here[*at]) {
                match part {
                    Part::Byte(wanted) => next[at + 1] |= *wanted == byte,
                    Part::One => next[at + 1] |= byte != b'/',
                    Part::Some => next[at] |= byte != b'/',
                    Part::All => next[at] = true,
                }
            }
            self.skip_empty(&mut next);
            here = next;
        }
        here[self.parts.len()]
    }

    /// Stars may stand for nothing.
    fn skip_empty(&self, here: &mut [bool]) {
        for (at, part) in self.parts.iter().enumerate() {
            if here[at] && matches!(part, Part::Some | Part::All) {
                here[at + 1] = true;
            }
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_star_stays_within_a_component_and_two_cross() {
        for (pattern, text, expected) in [
            ("usr/share/doc/**", "usr/share/doc/a/b", true),
            ("usr/share/doc/**", "usr/share/doc", false),
            ("usr/share/*/x", "usr/share/a/x", true),
            ("usr/share/*/x", "usr/share/a/b/x", false),
            ("**/*.cmxs", "usr/lib/ocaml/a.cmxs", true),
            ("**/*.cmxs", "a.cmxs", false),
            ("**.cmxs", "a.cmxs", true),
            ("lib*-ocaml", "libfoo-ocaml", true),
            ("lib*-ocaml", "libfoo-ocaml-dev", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_do_not_take_exponential_time() {
        let pattern = "*a".repeat(40);
        let started = std::time::Instant::now();
        assert!(!Glob::new(&pattern).matches("a".repeat(39) + &"b".repeat(2000)));
        assert!(started.elapsed().as_secs() < 2);
    }
}
