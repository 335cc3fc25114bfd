//! Tokens → statements, with the functions that they are in, and hashes to compare them by.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use super::lexer::{Kind, Script, tokens};
use crate::explain::excerpt;

/// Functions around a statement that are named in its place, innermost ones.
const FUNCTIONS: usize = 3;

/// So many characters of a name are shown.
const NAME: usize = 100;

/// A script in pieces: statements, single variables of declarations, heads and ends of blocks.
pub(super) struct Pieces<'a> {
    pub source: &'a str,
    pub script: Script,
    /// The tokens of each.
    pub ranges: Vec<Range<usize>>,
    /// A hash of each, white space and comments apart.
    pub exact: Vec<u64>,
    /// A hash of each in which names are numbered in the order in which they occur.
    pub renamed: Vec<u64>,
}

impl<'a> Pieces<'a> {
    pub fn new(source: &'a str) -> Self {
        let script = tokens(source);
        let mut ranges = Vec::new();
        let mut start = 0;
        for (index, token) in script.tokens.iter().enumerate() {
            if token.is_last || index + 1 == script.tokens.len() {
                ranges.push(start..index + 1);
                start = index + 1;
            }
        }
        let mut pieces = Self { source, script, ranges, exact: Vec::new(), renamed: Vec::new() };
        let mut names = HashMap::new();
        for range in pieces.ranges.clone() {
            names.clear();
            let (exact, renamed) = pieces.hashes(range, &mut names);
            pieces.exact.push(exact);
            pieces.renamed.push(renamed);
        }
        pieces
    }

    /// What is written for a token.
    pub fn word(&self, token: usize) -> &'a str {
        let token = &self.script.tokens[token];
        &self.source[token.start as usize..token.end as usize]
    }

    fn hashes(&self, range: Range<usize>, names: &mut HashMap<&'a str, usize>) -> (u64, u64) {
        // Without a key: what is told depends on nothing but the texts.
        let (mut exact, mut renamed) = (DefaultHasher::new(), DefaultHasher::new());
        for at in range {
            let (word, kind) = (self.word(at), self.script.tokens[at].kind);
            (kind, word).hash(&mut exact);
            if kind == Kind::Name {
                let next = names.len();
                (kind, *names.entry(word).or_insert(next)).hash(&mut renamed);
            } else {
                (kind, word).hash(&mut renamed);
            }
        }
        (exact.finish(), renamed.finish())
    }

    /// The text of consecutive pieces.
    pub fn text(&self, pieces: &Range<usize>) -> &'a str {
        let Some(ranges) = self.ranges.get(pieces.clone()).filter(|ranges| !ranges.is_empty()) else {
            return "";
        };
        let first = &self.script.tokens[ranges[0].start];
        let last = &self.script.tokens[ranges[ranges.len() - 1].end - 1];
        &self.source[first.start as usize..last.end as usize]
    }

    /// Where a piece is: `function f`, `variable x`, `statement 12 at line 1, column 345`.
    pub fn place(&self, piece: usize, of: &str) -> Vec<String> {
        let Some(range) = self.ranges.get(piece) else { return vec![format!("the end{of}")] };
        let token = range.start;
        let around =
            self.script.functions.iter().filter(|one| one.body < token && token + 1 < one.extent.end);
        // Those inside come first.
        let named = around.filter_map(|one| one.name).take(FUNCTIONS);
        let mut place: Vec<String> = named.map(|name| format!("function {}", self.name(name))).collect();
        place.reverse();
        let declared = range.clone().take(2).find(|at| self.script.tokens[*at].declares);
        if let Some(at) = declared {
            let is_function = at > 0 && self.word(at - 1) == "function";
            place.push(format!("{} {}", if is_function { "function" } else { "variable" }, self.name(at)));
        }
        let at = self.position(self.script.tokens[token].start as usize);
        place.push(format!("statement {} at {at}{of}", piece + 1));
        place
    }

    fn name(&self, token: usize) -> String {
        excerpt::head(self.word(token), NAME)
    }

    /// `line 1, column 345`, both from 1 on; columns are characters.
    fn position(&self, byte: usize) -> String {
        let before = &self.source[..byte];
        let line = memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("line {line}, column {column}")
    }

    pub fn comments(&self) -> Vec<&'a str> {
        self.script.comments.iter().map(|range| &self.source[range.clone()]).collect()
    }

    pub fn comment_place(&self, comment: usize) -> String {
        let start = self.script.comments.get(comment).map_or(0, |range| range.start);
        format!("comment at {}", self.position(start))
    }
}
