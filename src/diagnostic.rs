//! Problems in text files, as data: what is wrong, where, and what may help.
//!
//! Every module that reads a file of the user reports through these types. They know nothing of
//! terminals; the command line renders them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;

/// A file that was read, with the name that messages use for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub name: String,
    pub text: Arc<str>,
}

impl SourceFile {
    /// A file named `name` that holds `text`. Line ends become `\n`, so that a script means the
    /// same whatever editor wrote it.
    pub fn new(name: impl Into<String>, text: &str) -> Self {
        let text = if text.contains('\r') { text.replace("\r\n", "\n").into() } else { text.into() };
        Self { name: name.into(), text }
    }
}

/// Bytes of one of the files that made up a value (`Universe::files`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Index of the file.
    pub file: u32,
    /// First byte. Files are limited to far less than 4 GiB.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes, without the file.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One thing that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Stable name of the kind of problem, such as `jtwbuild::universe::unknown-key`.
    pub code: String,
    /// One sentence without a final dot; code in backquotes.
    pub message: String,
    /// Bytes of the file's text that it is about.
    pub span: Range<usize>,
    /// A few words for what is marked.
    pub label: String,
    /// What the reader may do about it.
    pub help: Option<String>,
}

/// Everything that is wrong in one file. Never without problems.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct SourceError {
    pub file: String,
    pub text: Arc<str>,
    pub problems: Vec<Problem>,
    /// How many more there are: nobody reads thousands.
    pub omitted: usize,
}

/// Problems of one file that are kept.
const MAX_PROBLEMS: usize = 100;

/// Longer words are nobody's misspelling, and comparing takes time by their length.
const MAX_WORD: usize = 200;

/// Bytes of one sentence of a problem.
const MAX_SENTENCE: usize = 1000;

impl SourceError {
    /// The problems of a file, ordered by where they are; the first hundred of them.
    pub fn new(file: &SourceFile, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
        let omitted = problems.len().saturating_sub(MAX_PROBLEMS);
        problems.truncate(MAX_PROBLEMS);
        for problem in &mut problems {
            problem.message = shortened(std::mem::take(&mut problem.message));
            problem.label = shortened(std::mem::take(&mut problem.label));
            problem.help = problem.help.take().map(shortened);
        }
        Self { file: file.name.clone(), text: file.text.clone(), problems, omitted }
    }
}

/// A sentence quotes what the file says, which may be megabytes: its beginning and its end.
fn shortened(text: String) -> String {
    if text.len() <= MAX_SENTENCE {
        return text;
    }
    let boundary = |near: usize| (0..=near).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let (begin, end) = (boundary(MAX_SENTENCE / 2), boundary(text.len() - MAX_SENTENCE / 4));
    format!("{} … {}", &text[..begin], &text[end..])
}

/// One line per problem: `file:line:column: message [code]`, followed by its help.
impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let (line, column) = line_and_column(&self.text, problem.span.start);
            write!(f, "{}:{line}:{column}: {} [{}]", self.file, problem.message, problem.code)?;
            if let Some(help) = &problem.help {
                write!(f, "\n  help: {help}")?;
            }
        }
        match self.omitted {
            0 => Ok(()),
            omitted => write!(f, "\n{}: and {omitted} more problems", self.file),
        }
    }
}

/// Line and column (in characters) of a byte, both counted from 1.
pub fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    let before = &text[..byte];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The candidate that `word` is most likely a misspelling of, if any is close enough.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word && candidate.len() <= MAX_WORD)
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `a, b and c`, each in backquotes.
pub fn quoted_list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// A golden form for tests: place, message, what is marked, label and help.
#[cfg(test)]
pub(crate) fn golden(error: &SourceError) -> String {
    use fmt::Write;

    let mut text = String::new();
    for problem in &error.problems {
        let (line, column) = line_and_column(&error.text, problem.span.start);
        let marked = error.text.get(problem.span.clone()).expect("a span of the text");
        writeln!(text, "{}:{line}:{column} {}: {}", error.file, problem.code, problem.message).unwrap();
        writeln!(text, "    {marked:?} <- {}", problem.label).unwrap();
        for line in problem.help.iter().flat_map(|help| help.lines()) {
            writeln!(text, "    = {line}").unwrap();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_start_at_one() {
        assert_eq!(line_and_column("é = 1\nb", 3), (1, 3));
        assert_eq!(line_and_column("a\nbc", 3), (2, 2));
        assert_eq!(line_and_column("é", 1), (1, 1));
        assert_eq!(line_and_column("a", 99), (1, 2));
    }

    #[test]
    fn a_suggestion_is_close_and_never_the_word_itself() {
        assert_eq!(did_you_mean("pakages", ["packages", "name"]), Some("packages"));
        assert_eq!(did_you_mean("fmt", ["fmt"]), None);
        assert_eq!(did_you_mean("zzz", ["packages", "name"]), None);
    }

    #[test]
    fn problems_are_told_in_the_order_of_the_file() {
        let problem = |at: usize| Problem {
            code: "c".into(),
            message: format!("at {at}"),
            span: at..at + 1,
            label: String::new(),
            help: None,
        };
        let error = SourceError::new(&SourceFile::new("f", "a\nb"), vec![problem(2), problem(0)]);
        assert_eq!(error.to_string(), "f:1:1: at 0 [c]\nf:2:1: at 2 [c]");
    }
}
