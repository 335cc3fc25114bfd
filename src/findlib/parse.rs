//! Reads the text of a META file, with line and column in every complaint.

use std::ops::Range;

use thiserror::Error;

use super::{Definition, Meta, Predicate, SubPackage};

/// Larger files are refused. The largest META known is below 100 kB.
pub const MAX_SIZE: usize = 1 << 20;
/// Longer lines are refused: no human wrote them and no reader shows them.
pub const MAX_LINE: usize = 1 << 16;
/// Packages may nest this deep.
pub const MAX_DEPTH: usize = 32;

/// Why a text is not a META file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MetaError {
    /// More than [`MAX_SIZE`].
    #[error("the file has {0} bytes, more than {MAX_SIZE}")]
    TooLarge(usize),
    /// A line longer than [`MAX_LINE`]; lines count from 1.
    #[error("line {0} is longer than {MAX_LINE} bytes")]
    LongLine(usize),
    /// The text departs from the grammar.
    #[error("line {line}, column {column}: expected {expected}, found {found}")]
    Syntax { line: usize, column: usize, expected: &'static str, found: String },
    /// Packages nest deeper than [`MAX_DEPTH`].
    #[error("line {line}: packages nest deeper than {MAX_DEPTH} levels")]
    TooDeep { line: usize },
    /// A string that is not closed.
    #[error("line {line}, column {column}: this string has no end")]
    OpenString { line: usize, column: usize },
    /// Bytes that are not UTF-8, in a place where text is needed.
    #[error("line {0} is not UTF-8")]
    NotText(usize),
}

impl Meta {
    /// Reads a META file. Spans of the definitions are byte offsets into `text`.
    pub fn parse(text: &[u8]) -> Result<Self, MetaError> {
        if text.len() > MAX_SIZE {
            return Err(MetaError::TooLarge(text.len()));
        }
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if line.len() > MAX_LINE {
                return Err(MetaError::LongLine(index + 1));
            }
        }
        let text = std::str::from_utf8(text).map_err(|error| {
            MetaError::NotText(text[..error.valid_up_to()].split(|byte| *byte == b'\n').count())
        })?;
        Parser { text, at: 0 }.body(0)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Sign(&'static str),
    End,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    /// Entries up to the end of the text (at depth 0) or the closing parenthesis.
    fn body(&mut self, depth: usize) -> Result<Meta, MetaError> {
        let mut meta = Meta::default();
        loop {
            match self.next()? {
                (Token::End, _) if depth == 0 => return Ok(meta),
                (Token::Sign(")"), _) if depth > 0 => return Ok(meta),
                (Token::Word(word), span) => {
                    // `package` opens a package only before a string; else it is a variable.
                    let back = self.at;
                    match self.next()? {
                        (Token::Quoted(name), at) if word == "package" => {
                            meta.packages.push(self.package(name, &at, depth)?);
                        }
                        _ => {
                            self.at = back;
                            meta.definitions.push(self.definition(word, span.start)?);
                        }
                    }
                }
                (_, span) => {
                    let expected = if depth == 0 { "a definition" } else { "a definition or `)`" };
                    return Err(self.unexpected(expected, &span));
                }
            }
        }
    }

    fn package(&mut self, name: String, at: &Range<usize>, depth: usize) -> Result<SubPackage, MetaError> {
        if name.is_empty() || name.contains(|c: char| c == '.' || c == '/' || c.is_control()) {
            return Err(self.unexpected("a package name without dots", at));
        }
        self.expect("(", "`(`")?;
        if depth >= MAX_DEPTH {
            return Err(MetaError::TooDeep { line: self.position(at.start).0 });
        }
        Ok(SubPackage { name, meta: self.body(depth + 1)? })
    }

    fn definition(&mut self, variable: String, start: usize) -> Result<Definition, MetaError> {
        let mut predicates = Vec::new();
        let (mut token, mut span) = self.next()?;
        if token == Token::Sign("(") {
            predicates = self.predicates()?;
            (token, span) = self.next()?;
        }
        let is_addition = match token {
            Token::Sign("=") => false,
            Token::Sign("+=") => true,
            _ => return Err(self.unexpected("`=` or `+=`", &span)),
        };
        match self.next()? {
            (Token::Quoted(value), value_span) => Ok(Definition {
                variable,
                predicates,
                is_addition,
                value,
                span: start..value_span.end,
                value_span,
            }),
            (_, span) => Err(self.unexpected("a string", &span)),
        }
    }

    /// What follows an opening parenthesis, with the closing one.
    fn predicates(&mut self) -> Result<Vec<Predicate>, MetaError> {
        let mut predicates = Vec::new();
        loop {
            match self.next()? {
                (Token::Word(word), _) => predicates.push(match word.strip_prefix('-') {
                    Some(name) => Predicate { name: name.to_owned(), is_negated: true },
                    None => Predicate { name: word, is_negated: false },
                }),
                (Token::Sign(")"), _) if predicates.is_empty() => return Ok(predicates),
                (_, span) => return Err(self.unexpected("a predicate", &span)),
            }
            match self.next()? {
                (Token::Sign(","), _) => {}
                (Token::Sign(")"), _) => return Ok(predicates),
                (_, span) => return Err(self.unexpected("`,` or `)`", &span)),
            }
        }
    }

    fn expect(&mut self, sign: &str, expected: &'static str) -> Result<(), MetaError> {
        match self.next()? {
            (Token::Sign(found), _) if found == sign => Ok(()),
            (_, span) => Err(self.unexpected(expected, &span)),
        }
    }

    fn next(&mut self) -> Result<(Token, Range<usize>), MetaError> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n' | 0x0c) => self.at += 1,
                Some(b'#') => {
                    let rest = &bytes[self.at..];
                    self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                }
                _ => break,
            }
        }
        let start = self.at;
        let rest = &bytes[start..];
        let (token, length) = match rest.first() {
            None => (Token::End, 0),
            Some(b'"') => return self.quoted(start),
            Some(b'(') => (Token::Sign("("), 1),
            Some(b')') => (Token::Sign(")"), 1),
            Some(b',') => (Token::Sign(","), 1),
            Some(b'=') => (Token::Sign("="), 1),
            Some(b'+') if rest.get(1) == Some(&b'=') => (Token::Sign("+="), 2),
            Some(_) => {
                let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
                let length = rest.iter().position(|byte| !is_word(byte)).unwrap_or(rest.len());
                if length == 0 {
                    return Err(self.unexpected("a definition", &(start..start)));
                }
                (Token::Word(self.text[start..start + length].to_owned()), length)
            }
        };
        self.at = start + length;
        Ok((token, start..self.at))
    }

    /// A string from its opening quote on. A backslash makes the next character an ordinary one.
    fn quoted(&mut self, start: usize) -> Result<(Token, Range<usize>), MetaError> {
        let mut value = String::new();
        let mut rest = self.text[start + 1..].char_indices();
        while let Some((offset, c)) = rest.next() {
            match c {
                '"' => {
                    self.at = start + 1 + offset + 1;
                    return Ok((Token::Quoted(value), start..self.at));
                }
                '\\' => value.extend(rest.next().map(|(_, c)| c)),
                _ => value.push(c),
            }
        }
        let (line, column) = self.position(start);
        Err(MetaError::OpenString { line, column })
    }

    fn unexpected(&self, expected: &'static str, span: &Range<usize>) -> MetaError {
        let (line, column) = self.position(span.start);
        let found = match self.text[span.start..].chars().next() {
            None => "the end of the file".to_owned(),
            Some(first) if span.is_empty() => format!("`{}`", first.escape_default()),
            Some(_) => format!("`{}`", self.text[span.clone()].chars().take(40).collect::<String>()),
        };
        MetaError::Syntax { line, column, expected, found }
    }

    /// Line and column of a byte offset, both from 1; columns count characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        Meta::parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn comments_strings_and_packages_are_read() {
        let text = "# head \"\n name = \"a \\\"b\\\\\" package \"p\" (version=\"1\" # in\n)package = \"v\"";
        let meta = Meta::parse(text.as_bytes()).unwrap();
        assert_eq!(meta.definitions[0].value, "a \"b\\");
        assert_eq!(&text[meta.definitions[0].span.clone()], r#"name = "a \"b\\""#);
        assert_eq!(&text[meta.definitions[0].value_span.clone()], r#""a \"b\\""#);
        assert_eq!(meta.packages[0].name, "p");
        assert_eq!(meta.packages[0].meta.definitions[0].value, "1");
        assert_eq!(meta.definitions[1].variable, "package");
    }

    #[test]
    fn complaints_say_where() {
        assert_eq!(complaint("a = \"1\"\n  b ? \"2\""), "line 2, column 5: expected a definition, found `?`");
        assert_eq!(complaint("a = b"), "line 1, column 5: expected a string, found `b`");
        assert_eq!(complaint("a(x"), "line 1, column 4: expected `,` or `)`, found the end of the file");
        assert_eq!(complaint("\n a = \"1"), "line 2, column 6: this string has no end");
        assert_eq!(
            complaint("package \"p\" ("),
            "line 1, column 14: expected a definition or `)`, found the end of the file"
        );
        assert_eq!(complaint(")"), "line 1, column 1: expected a definition, found `)`");
        assert_eq!(
            complaint("package \"a.b\" ()"),
            "line 1, column 9: expected a package name without dots, found `\"a.b\"`"
        );
        assert_eq!(Meta::parse(b"a = \"1\"\n\xff"), Err(MetaError::NotText(2)));
    }

    #[test]
    fn hostile_sizes_are_refused() {
        let deep = |levels: usize| "package \"p\" (\n".repeat(levels) + &")".repeat(levels);
        assert!(Meta::parse(deep(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(complaint(&deep(MAX_DEPTH + 1)), "line 33: packages nest deeper than 32 levels");
        assert_eq!(complaint(&deep(60_000)), "line 33: packages nest deeper than 32 levels");
        let long = format!("\na = \"{}\"", "x".repeat(MAX_LINE));
        assert_eq!(Meta::parse(long.as_bytes()), Err(MetaError::LongLine(2)));
        assert_eq!(Meta::parse(&vec![b'\n'; MAX_SIZE + 1]), Err(MetaError::TooLarge(MAX_SIZE + 1)));
    }

    #[test]
    fn no_cut_of_a_file_panics() {
        let text = "requires(-mt,byte) += \"a b\\\"\" package \"é\" (directory=\"+\") # end";
        for end in 0..text.len() {
            let _ = Meta::parse(&text.as_bytes()[..end]);
        }
    }
}
