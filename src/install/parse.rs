//! The part of opam's file syntax that `.install` files use: fields that hold strings, each with
//! an optional `{"destination"}`.

use thiserror::Error;

/// Larger files are refused.
pub const MAX_SIZE: usize = 4 << 20;

/// Why a text is not a `.install` file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SyntaxError {
    /// More than [`MAX_SIZE`].
    #[error("the .install file has {0} bytes, more than {MAX_SIZE}")]
    TooLarge(usize),
    /// Bytes that are not UTF-8.
    #[error("the .install file is not UTF-8")]
    NotText,
    /// The text departs from the grammar; lines count from 1.
    #[error("line {line}: expected {expected}")]
    Expected { line: usize, expected: &'static str },
    /// A string or comment without an end, or an escape that means nothing.
    #[error("line {line}: {what}")]
    Lexical { line: usize, what: &'static str },
}

/// `field: value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub line: usize,
    pub field: String,
    pub items: Vec<Item>,
}

/// `"source" {"destination"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub line: usize,
    pub source: String,
    pub destination: Option<String>,
}

/// The fields of `text` in their order.
pub fn parse(text: &[u8]) -> Result<Vec<Entry>, SyntaxError> {
    if text.len() > MAX_SIZE {
        return Err(SyntaxError::TooLarge(text.len()));
    }
    let text = std::str::from_utf8(text).map_err(|_| SyntaxError::NotText)?;
    let mut lexer = Lexer { rest: text, line: 1 };
    let mut entries = Vec::new();
    loop {
        let field = match lexer.next()? {
            Token::End => return Ok(entries),
            Token::Word(field) => field.to_owned(),
            _ => return Err(lexer.expected("a field name")),
        };
        let line = lexer.line;
        lexer.sign(':', "`:`")?;
        entries.push(Entry { line, field, items: items(&mut lexer)? });
    }
}

/// One string or a bracketed list of them.
fn items(lexer: &mut Lexer<'_>) -> Result<Vec<Item>, SyntaxError> {
    match lexer.next()? {
        Token::String(source) => Ok(vec![item(lexer, source)?]),
        Token::Sign('[') => {
            let mut items = Vec::new();
            loop {
                match lexer.next()? {
                    Token::String(source) => items.push(item(lexer, source)?),
                    Token::Sign(']') => return Ok(items),
                    _ => return Err(lexer.expected("a string or `]`")),
                }
            }
        }
        _ => Err(lexer.expected("a string or a list of strings")),
    }
}

fn item(lexer: &mut Lexer<'_>, source: String) -> Result<Item, SyntaxError> {
    let line = lexer.line;
    let before = lexer.clone();
    if lexer.next()? != Token::Sign('{') {
        *lexer = before;
        return Ok(Item { line, source, destination: None });
    }
    match lexer.next()? {
        Token::String(destination) => {
            lexer.sign('}', "`}`")?;
            Ok(Item { line, source, destination: Some(destination) })
        }
        _ => Err(lexer.expected("a string")),
    }
}

#[derive(Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    String(String),
    Sign(char),
    End,
}

#[derive(Clone)]
struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn expected(&self, expected: &'static str) -> SyntaxError {
        SyntaxError::Expected { line: self.line, expected }
    }

    fn sign(&mut self, sign: char, expected: &'static str) -> Result<(), SyntaxError> {
        if self.next()? == Token::Sign(sign) { Ok(()) } else { Err(self.expected(expected)) }
    }

    fn skip(&mut self, bytes: usize) -> &'a str {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
        skipped
    }

    fn next(&mut self) -> Result<Token<'a>, SyntaxError> {
        self.skip_blanks()?;
        let Some(first) = self.rest.chars().next() else { return Ok(Token::End) };
        if self.rest.starts_with("\"\"\"") {
            self.skip(3);
            return self.string("\"\"\"");
        }
        if first == '"' {
            self.skip(1);
            return self.string("\"");
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+');
        if is_word(first) {
            let length = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
            return Ok(Token::Word(self.skip(length)));
        }
        self.skip(first.len_utf8());
        Ok(Token::Sign(first))
    }

    fn skip_blanks(&mut self) -> Result<(), SyntaxError> {
        loop {
            let blanks = self.rest.len() - self.rest.trim_start().len();
            self.skip(blanks);
            if self.rest.starts_with('#') {
                self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("(*") {
                self.comment()?;
            } else {
                return Ok(());
            }
        }
    }

    /// A comment, which may hold comments.
    fn comment(&mut self) -> Result<(), SyntaxError> {
        let line = self.line;
        let mut depth = 0_usize;
        loop {
            if self.rest.starts_with("(*") {
                depth += 1;
                self.skip(2);
            } else if self.rest.starts_with("*)") {
                depth -= 1;
                self.skip(2);
                if depth == 0 {
                    return Ok(());
                }
            } else if let Some(c) = self.rest.chars().next() {
                self.skip(c.len_utf8());
            } else {
                return Err(SyntaxError::Lexical { line, what: "this comment has no end" });
            }
        }
    }

    /// What follows the opening quotes, up to the same quotes.
    fn string(&mut self, quotes: &str) -> Result<Token<'a>, SyntaxError> {
        let line = self.line;
        let mut value = String::new();
        loop {
            if self.rest.starts_with(quotes) {
                self.skip(quotes.len());
                return Ok(Token::String(value));
            }
            match self.rest.chars().next() {
                None => return Err(SyntaxError::Lexical { line, what: "this string has no end" }),
                Some('\\') => {
                    self.skip(1);
                    self.escape(&mut value)?;
                }
                Some(c) => {
                    self.skip(c.len_utf8());
                    value.push(c);
                }
            }
        }
    }

    fn escape(&mut self, value: &mut String) -> Result<(), SyntaxError> {
        let unknown = SyntaxError::Lexical { line: self.line, what: "this escape means nothing" };
        let first = self.rest.chars().next().ok_or_else(|| unknown.clone())?;
        let number = |digits: Option<&str>, radix| {
            let code = digits.and_then(|digits| u8::from_str_radix(digits, radix).ok());
            // Beyond ASCII an escape would be a byte, which is not text by itself.
            code.filter(u8::is_ascii).map(char::from).ok_or_else(|| unknown.clone())
        };
        let (c, length) = match first {
            'n' => ('\n', 1),
            't' => ('\t', 1),
            'r' => ('\r', 1),
            'b' => ('\u{8}', 1),
            '"' | '\\' | '\'' | ' ' => (first, 1),
            '\n' => {
                // A string goes on after the next line's indentation.
                let rest = &self.rest[1..];
                self.skip(1 + rest.len() - rest.trim_start_matches([' ', '\t']).len());
                return Ok(());
            }
            'x' => (number(self.rest.get(1..3), 16)?, 3),
            '0'..='9' => (number(self.rest.get(0..3), 10)?, 3),
            _ => return Err(unknown),
        };
        value.push(c);
        self.skip(length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match parse(text.as_bytes()) {
            Ok(entries) => entries
                .iter()
                .flat_map(|entry| entry.items.iter().map(move |item| (entry, item)))
                .map(|(entry, item)| format!("{} {:?} {:?};", entry.field, item.source, item.destination))
                .collect::<Vec<_>>()
                .concat(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn strings_comments_and_destinations_are_read() {
        assert_eq!(
            shown(
                "# c\nlib: [\"a\\\"\\065\" {\"b\"} (* \" (* in *) *) \"\"\"x\"y\"\"\" ]\nbin: \"c\\\n   d\""
            ),
            r#"lib "a\"A" Some("b");lib "x\"y" None;bin "cd" None;"#
        );
    }

    #[test]
    fn complaints_say_which_line() {
        for (text, complaint) in [
            ("lib: [\n\"a\"", "line 2: expected a string or `]`"),
            ("lib [", "line 1: expected `:`"),
            ("lib: [\"a\" {b}]", "line 1: expected a string"),
            ("lib: [\"a\" {\"b\" & x}]", "line 1: expected `}`"),
            ("lib:\n \"a", "line 2: this string has no end"),
            ("(* (* *)", "line 1: this comment has no end"),
            ("lib: \"\\q\"", "line 1: this escape means nothing"),
            ("lib: \"\\x\u{e9}\"", "line 1: this escape means nothing"),
            ("lib: \"\\999\"", "line 1: this escape means nothing"),
        ] {
            assert_eq!(shown(text), complaint);
        }
        assert_eq!(parse(b"\xff"), Err(SyntaxError::NotText));
        assert_eq!(parse(&vec![b' '; MAX_SIZE + 1]), Err(SyntaxError::TooLarge(MAX_SIZE + 1)));
    }

    #[test]
    fn no_cut_of_a_file_panics() {
        let text = "lib: [\"é\\\"\" {\"\\x41\\065\"} (* x *) \"\"\"y\"\"\"] # end";
        for end in 0..=text.len() {
            let _ = parse(&text.as_bytes()[..end]);
        }
    }
}
