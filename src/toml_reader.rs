//! Reading TOML into checked types: every problem is collected, with its place and a hint.
//!
//! A file is parsed into `toml`'s tree with spans and walked directly: this is faster than going
//! through serde, and it can report all problems of a file at once. A reader function takes a
//! [`Value`] and gives `None` when it has reported a problem; whether a file is good is decided
//! once, at the end, by [`read_file`].

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};

use toml::de::{DeArray, DeTable, DeValue};

use crate::diagnostic::{Problem, SourceError, SourceFile, Span, did_you_mean, line_and_column, quoted_list};

/// Largest file that is read, in bytes.
pub const MAX_FILE: usize = 16 << 20;

/// Deepest nesting of tables and arrays that is taken.
const MAX_DEPTH: usize = 32;

/// Syntax errors of one file that are looked at.
const MAX_SYNTAX_ERRORS: usize = 20;

/// A type that is written as a string in TOML and checks it.
pub trait FromText: Sized {
    fn from_text(text: &str) -> Result<Self, TextError>;
}

/// Why a string is not a value of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// Last part of the problem's code.
    pub code: &'static str,
    pub message: String,
    pub label: String,
    pub help: Option<String>,
    /// Bytes of the string that it is about, when not all of it.
    pub within: Option<Range<usize>>,
}

/// What one of a few words may be.
pub fn one_of<T: Copy>(text: &str, what: &str, words: &[(&'static str, T)]) -> Result<T, TextError> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| TextError {
        code: "unknown-word",
        message: format!("unknown {what} `{}`", text.escape_debug()),
        label: format!("not a known {what}"),
        help: Some(suggestion(text, words.iter().map(|(word, _)| *word))),
        within: None,
    })
}

/// "did you mean", or else the list of what there is.
pub fn suggestion<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match did_you_mean(word, known.clone()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("known here: {}", quoted_list(known)),
    }
}

/// Parses `file` and reads its top-level table. `area` is the middle part of the codes of all
/// problems (`jtwbuild::<area>::…`).
pub fn read_file<T>(
    file: &SourceFile,
    area: &'static str,
    read: impl FnOnce(&mut Table<'_>) -> Option<T>,
) -> Result<T, SourceError> {
    let (value, mut problems) = read_partly(file, area, read);
    match value {
        Some(value) if problems.is_empty() => Ok(value),
        _ => {
            if problems.is_empty() {
                problems.push(Problem {
                    code: format!("jtwbuild::{area}::invalid"),
                    message: "the file could not be read".into(),
                    span: 0..0,
                    label: String::new(),
                    help: None,
                });
            }
            Err(SourceError::new(file, problems))
        }
    }
}

/// As [`read_file`], for callers that go on although there are problems: what could be read, and
/// all problems. There is a problem whenever there is no value.
pub fn read_partly<T>(
    file: &SourceFile,
    area: &'static str,
    read: impl FnOnce(&mut Table<'_>) -> Option<T>,
) -> (Option<T>, Vec<Problem>) {
    let reader = Reader { text: &file.text, area, problems: RefCell::default() };
    let value = reader.parse_and_read(read);
    (value, reader.problems.into_inner())
}

struct Reader<'a> {
    text: &'a str,
    area: &'static str,
    problems: RefCell<Vec<Problem>>,
}

impl Reader<'_> {
    fn parse_and_read<T>(&self, read: impl FnOnce(&mut Table<'_>) -> Option<T>) -> Option<T> {
        if self.text.len() > MAX_FILE {
            let message = format!("the file has {} bytes, more than {} MiB", self.text.len(), MAX_FILE >> 20);
            self.report("too-big", 0..0, message, "", None);
            return None;
        }
        let (document, errors) = DeTable::parse_recoverable(self.text);
        let mut lines = BTreeSet::new();
        for error in errors.iter().take(MAX_SYNTAX_ERRORS) {
            let span = error.span().unwrap_or(0..0);
            // What follows on the same line mostly follows from it.
            if lines.insert(line_and_column(self.text, span.start).0) {
                self.report("syntax", span, error.message().to_owned(), "here", None);
            }
        }
        let document = document.into_inner();
        // A syntax error makes the rest guesswork: further problems would be misleading.
        let value = if !errors.is_empty() || self.is_too_deep(&document) {
            None
        } else {
            let mut table = Table { reader: self, entries: &document, span: 0..0, asked: Vec::new() };
            let value = read(&mut table);
            table.finish();
            value
        };
        take_apart(document);
        value
    }

    fn is_too_deep(&self, document: &DeTable<'_>) -> bool {
        let mut left: Vec<(usize, Range<usize>, &DeValue<'_>)> =
            document.iter().map(|(key, value)| (1, key.span(), value.get_ref())).collect();
        while let Some((depth, span, value)) = left.pop() {
            if depth > MAX_DEPTH {
                let message = format!("tables are nested more than {MAX_DEPTH} deep");
                self.report("too-deep", span, message, "here", None);
                return true;
            }
            match value {
                DeValue::Table(table) => {
                    left.extend(table.iter().map(|(key, value)| (depth + 1, key.span(), value.get_ref())));
                }
                DeValue::Array(array) => {
                    left.extend(array.iter().map(|value| (depth + 1, value.span(), value.get_ref())));
                }
                _ => {}
            }
        }
        false
    }

    fn report(
        &self,
        code: &str,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.problems.borrow_mut().push(Problem {
            code: format!("jtwbuild::{}::{code}", self.area),
            message: message.into(),
            span,
            label: label.into(),
            help,
        });
    }
}

/// Bytes of the file with this index.
pub fn span_in(range: Range<usize>, file: u32) -> Span {
    // Files are refused long before this saturates.
    let byte = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span { file, start: byte(range.start), end: byte(range.end) }
}

/// Drops a document without recursion: `a.a.a.…` may nest as deep as a file is long.
fn take_apart(document: DeTable<'_>) {
    let mut left: Vec<DeValue<'_>> = document.into_iter().map(|(_, value)| value.into_inner()).collect();
    while let Some(value) = left.pop() {
        match value {
            DeValue::Table(table) => left.extend(table.into_iter().map(|(_, value)| value.into_inner())),
            DeValue::Array(array) => left.extend(array.into_iter().map(toml::Spanned::into_inner)),
            _ => {}
        }
    }
}

/// A table that is being read. Every key asked for is a known one; [`finish`](Self::finish), which
/// the framework calls, reports the others.
pub struct Table<'a> {
    reader: &'a Reader<'a>,
    entries: &'a DeTable<'a>,
    span: Range<usize>,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// The value of a key, if it is there.
    pub fn get(&mut self, key: &'static str) -> Option<Value<'a>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let value = self.entries.get(key)?;
        Some(self.value(value))
    }

    /// Whether a key is there. This does not make it a known one.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    fn value(&self, value: &'a toml::Spanned<DeValue<'a>>) -> Value<'a> {
        Value { reader: self.reader, node: value.get_ref(), start: value.span().start, end: value.span().end }
    }

    /// Reads a key that may be absent: `None` when it is, or when its value is wrong and reported.
    pub fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(Value<'a>) -> Option<T>) -> Option<T> {
        self.get(key).and_then(read)
    }

    /// Reads a key that must be there.
    pub fn required<T>(&mut self, key: &'static str, read: impl FnOnce(Value<'a>) -> Option<T>) -> Option<T> {
        let value = self.get(key);
        if value.is_none() {
            self.problem("missing-key", format!("`{key}` is missing"), "it belongs here", None);
        }
        value.and_then(read)
    }

    /// All keys with their values, for tables whose keys are free. Each is known.
    pub fn entries(&self) -> impl Iterator<Item = (Value<'a>, &'a str, Value<'a>)> + use<'a, '_> {
        self.entries.iter().map(|(key, value)| {
            let value = self.value(value);
            // A key as a value, so that it can be reported on.
            let span = key.span();
            let place = Value { start: span.start, end: span.end, ..value };
            (place, key.get_ref().as_ref(), value)
        })
    }

    /// Bytes of the table's header or braces; empty for the file itself.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Reports a problem of the table as a whole.
    pub fn problem(
        &self,
        code: &str,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.reader.report(code, self.span(), message, label, help);
    }

    fn finish(self) {
        for key in self.entries.keys() {
            let name: &str = key.get_ref();
            if !self.asked.contains(&name) {
                let help = suggestion(name, self.asked.iter().copied());
                let span = key.span();
                let message = format!("unknown key `{}`", name.escape_debug());
                self.reader.report("unknown-key", span, message, "unknown key", Some(help));
            }
        }
    }
}

/// A value that is being read.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    reader: &'a Reader<'a>,
    node: &'a DeValue<'a>,
    start: usize,
    end: usize,
}

impl<'a> Value<'a> {
    /// Its bytes in the file.
    pub fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Its bytes, in the file with this index.
    pub fn span_in(&self, file: u32) -> Span {
        span_in(self.start..self.end, file)
    }

    /// Reports a problem of this value.
    pub fn problem(
        &self,
        code: &str,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.reader.report(code, self.span(), message, label, help);
    }

    fn wrong_type<T>(&self, wanted: &str) -> Option<T> {
        let found = match self.node {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.problem("wrong-type", format!("expected {wanted}, found {found}"), format!("is {found}"), None);
        None
    }

    /// A string without NUL, which nothing that the sandbox is given can hold.
    pub fn string(self) -> Option<&'a str> {
        let DeValue::String(text) = self.node else { return self.wrong_type("a string") };
        if text.contains('\0') {
            self.problem("nul", "the string holds a NUL character", "has a NUL", None);
            return None;
        }
        Some(text)
    }

    /// An owned string.
    pub fn owned_string(self) -> Option<String> {
        self.string().map(str::to_owned)
    }

    /// A string that is one line and not empty.
    pub fn line(self) -> Option<String> {
        let text = self.string()?;
        if text.trim().is_empty() || text.contains(['\n', '\r']) {
            self.problem("not-a-line", "expected one line of text", "must be one line", None);
            return None;
        }
        Some(text.to_owned())
    }

    /// A string without blanks or control characters, not empty and unlike an option.
    pub fn word(self) -> Option<String> {
        let text = self.string()?;
        let blank = |character: char| character.is_whitespace() || character.is_control();
        if text.is_empty() || text.starts_with('-') || text.contains(blank) {
            self.problem("not-a-word", "expected one word", "must be one word", None);
            return None;
        }
        Some(text.to_owned())
    }

    /// A string that its type checks.
    pub fn text<T: FromText>(self) -> Option<T> {
        self.text_with(T::from_text)
    }

    /// A string that `read` checks.
    pub fn text_with<T>(self, read: impl FnOnce(&'a str) -> Result<T, TextError>) -> Option<T> {
        let text = self.string()?;
        match read(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.text_problem(text, error);
                None
            }
        }
    }

    /// Reports what a string's own check found, marking only the part that it is about where the
    /// string is written without escapes.
    fn text_problem(self, text: &str, error: TextError) {
        let span = match error.within {
            None => self.span(),
            Some(within) => match self.reader.text[self.span()].find(text) {
                Some(offset) => self.start + offset + within.start..self.start + offset + within.end,
                None => self.span(),
            },
        };
        self.reader.report(error.code, span, error.message, error.label, error.help);
    }

    /// A boolean.
    pub fn boolean(self) -> Option<bool> {
        let DeValue::Boolean(value) = self.node else { return self.wrong_type("a boolean") };
        Some(*value)
    }

    /// Whether it is a string.
    pub fn is_text(self) -> bool {
        matches!(self.node, DeValue::String(_))
    }

    /// Whether it is a table.
    pub fn is_table(self) -> bool {
        matches!(self.node, DeValue::Table(_))
    }

    /// Whether it is written as an integer.
    pub fn is_integer(self) -> bool {
        matches!(self.node, DeValue::Integer(_))
    }

    /// A whole number in `range`.
    pub fn integer(self, range: RangeInclusive<u64>) -> Option<u64> {
        let DeValue::Integer(integer) = self.node else { return self.wrong_type("an integer") };
        let value = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            let message = format!("expected a number from {} to {}", range.start(), range.end());
            self.problem("out-of-range", message, "out of range", None);
        }
        value
    }

    fn array(self, wanted: &str) -> Option<&'a DeArray<'a>> {
        let DeValue::Array(array) = self.node else { return self.wrong_type(wanted) };
        Some(array)
    }

    /// The elements of an array, each read by `read`; wrong ones are reported and left out.
    pub fn list<T>(self, read: impl FnMut(Value<'a>) -> Option<T>) -> Option<Vec<T>> {
        let array = self.array("an array")?;
        let values = array.iter().map(|value| Value {
            node: value.get_ref(),
            start: value.span().start,
            end: value.span().end,
            ..self
        });
        Some(values.filter_map(read).collect())
    }

    /// An array with at least one element.
    pub fn non_empty_list<T>(self, read: impl FnMut(Value<'a>) -> Option<T>) -> Option<Vec<T>> {
        if self.array("an array")?.is_empty() {
            self.problem("empty-list", "expected at least one element", "is empty", None);
            return None;
        }
        self.list(read)
    }

    /// A table whose keys `read` asks for.
    pub fn table<T>(self, read: impl FnOnce(&mut Table<'a>) -> Option<T>) -> Option<T> {
        let mut table = self.as_table()?;
        let value = read(&mut table);
        table.finish();
        value
    }

    /// A table with free keys, each entry read by `read` from the key's place, the key and its value.
    pub fn map<T>(self, mut read: impl FnMut(Value<'a>, &'a str, Value<'a>) -> Option<T>) -> Option<Vec<T>> {
        let table = self.as_table()?;
        Some(table.entries().filter_map(|(place, key, value)| read(place, key, value)).collect())
    }

    fn as_table(self) -> Option<Table<'a>> {
        let DeValue::Table(table) = self.node else { return self.wrong_type("a table") };
        let asked = Vec::with_capacity(16);
        Some(Table { reader: self.reader, entries: table, span: self.span(), asked })
    }
}
