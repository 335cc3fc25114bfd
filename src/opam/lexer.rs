//! Tokens of opam files.
//!
//! The lexical rules are those of the opam 2 manual ("File syntax"); see also the book's page on
//! opam repositories. Strings without escapes are slices of the text.

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr, memchr2};

use crate::version::Relation;

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'t> {
    Identifier(&'t str),
    String(Cow<'t, str>),
    Integer(i64),
    Relation(Relation),
    /// `+=`, `=+`, `:=`, `=:`, `=+=`: in `setenv` and `build-env`.
    Update(&'t str),
    And,
    Or,
    Not,
    Defined,
    Colon,
    Open(Bracket),
    Close(Bracket),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bracket {
    Square,
    Round,
    Curly,
}

impl Bracket {
    fn pair(self) -> (&'static str, &'static str) {
        match self {
            Self::Square => ("[", "]"),
            Self::Round => ("(", ")"),
            Self::Curly => ("{", "}"),
        }
    }
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identifier(name) => write!(f, "`{name}`"),
            Self::String(_) => f.write_str("a string"),
            Self::Integer(number) => write!(f, "`{number}`"),
            Self::Relation(_) => f.write_str("a comparison"),
            Self::Update(operator) => write!(f, "`{operator}`"),
            Self::And => f.write_str("`&`"),
            Self::Or => f.write_str("`|`"),
            Self::Not => f.write_str("`!`"),
            Self::Defined => f.write_str("`?`"),
            Self::Colon => f.write_str("`:`"),
            Self::Open(bracket) => write!(f, "`{}`", bracket.pair().0),
            Self::Close(bracket) => write!(f, "`{}`", bracket.pair().1),
            Self::End => f.write_str("the end of the file"),
        }
    }
}

/// What is no token, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LexError {
    pub message: &'static str,
    pub start: usize,
    pub end: usize,
}

/// Reads tokens one after the other.
#[derive(Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str) -> Self {
        // A byte order mark is no part of the first name.
        Self { text, at: if text.starts_with('\u{feff}') { 3 } else { 0 } }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// The next token and the bytes that it takes.
    pub fn next(&mut self) -> Result<(Token<'t>, usize, usize), LexError> {
        self.skip_blanks()?;
        let start = self.at;
        let token = match self.peek(0) {
            None => Token::End,
            Some(b'"') => self.string()?,
            Some(b'0'..=b'9' | b'-' | b'+' | b'_' | b'a'..=b'z' | b'A'..=b'Z') => self.word()?,
            Some(_) => self.symbol()?,
        };
        Ok((token, start, self.at))
    }

    fn skip_blanks(&mut self) -> Result<(), LexError> {
        loop {
            match self.peek(0) {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(b'#') => {
                    let rest = &self.text.as_bytes()[self.at..];
                    self.at += memchr(b'\n', rest).unwrap_or(rest.len());
                }
                Some(b'(') if self.peek(1) == Some(b'*') => self.skip_comment()?,
                _ => return Ok(()),
            }
        }
    }

    /// `(* … *)`, which may hold others.
    fn skip_comment(&mut self) -> Result<(), LexError> {
        let start = self.at;
        let mut depth = 0usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'('), Some(b'*')) => (depth, self.at) = (depth + 1, self.at + 2),
                (Some(b'*'), Some(b')')) => {
                    (depth, self.at) = (depth - 1, self.at + 2);
                    if depth == 0 {
                        return Ok(());
                    }
                }
                (Some(_), _) => self.at += 1,
                (None, _) => {
                    return Err(LexError { message: "this comment is not closed", start, end: start + 2 });
                }
            }
        }
    }

    fn symbol(&mut self) -> Result<Token<'t>, LexError> {
        const SYMBOLS: &[(&str, Token<'static>)] = &[
            ("=+=", Token::Update("=+=")),
            ("=+", Token::Update("=+")),
            ("=:", Token::Update("=:")),
            (":=", Token::Update(":=")),
            ("!=", Token::Relation(Relation::NotEqual)),
            ("<=", Token::Relation(Relation::LessOrEqual)),
            (">=", Token::Relation(Relation::GreaterOrEqual)),
            ("=", Token::Relation(Relation::Equal)),
            ("<", Token::Relation(Relation::Less)),
            (">", Token::Relation(Relation::Greater)),
            ("&", Token::And),
            ("|", Token::Or),
            ("!", Token::Not),
            ("?", Token::Defined),
            (":", Token::Colon),
            ("[", Token::Open(Bracket::Square)),
            ("]", Token::Close(Bracket::Square)),
            ("(", Token::Open(Bracket::Round)),
            (")", Token::Close(Bracket::Round)),
            ("{", Token::Open(Bracket::Curly)),
            ("}", Token::Close(Bracket::Curly)),
        ];
        let rest = &self.text.as_bytes()[self.at..];
        match SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol.as_bytes())) {
            Some((symbol, token)) => {
                self.at += symbol.len();
                Ok(token.clone())
            }
            None => {
                let length = self.text[self.at..].chars().next().map_or(1, char::len_utf8);
                Err(LexError {
                    message: "this character means nothing here",
                    start: self.at,
                    end: self.at + length,
                })
            }
        }
    }

    /// An identifier, an integer, or `+=`.
    fn word(&mut self) -> Result<Token<'t>, LexError> {
        let start = self.at;
        if self.text.as_bytes()[start..].starts_with(b"+=") {
            self.at += 2;
            return Ok(Token::Update("+="));
        }
        self.skip_name();
        // `a+b` joins names of packages, and `:x` names one variable of them. A colon before
        // anything else belongs to a field.
        while self.peek(0) == Some(b'+') && self.peek(1).is_some_and(is_name_byte) {
            self.at += 1;
            self.skip_name();
        }
        if self.peek(0) == Some(b':') && self.peek(1).is_some_and(is_name_byte) {
            self.at += 1;
            self.skip_name();
        }
        let word = &self.text[start..self.at];
        let is_identifier = word == "_" || word.bytes().any(|byte| byte.is_ascii_alphabetic());
        if is_identifier {
            return Ok(Token::Identifier(word));
        }
        let bad = |end: usize| LexError { message: "this is neither a name nor a number", start, end };
        match word.parse() {
            Ok(number) => Ok(Token::Integer(number)),
            Err(_) => Err(bad(self.at.max(start + 1))),
        }
    }

    fn skip_name(&mut self) {
        while self.peek(0).is_some_and(is_name_byte) {
            self.at += 1;
        }
    }

    fn string(&mut self) -> Result<Token<'t>, LexError> {
        let start = self.at;
        let unclosed = LexError { message: "this string is not closed", start, end: start + 1 };
        let bytes = self.text.as_bytes();
        let delimiter: &[u8] = if bytes[start..].starts_with(b"\"\"\"") { b"\"\"\"" } else { b"\"" };
        let body = start + delimiter.len();
        let mut end = body;
        let mut has_escapes = false;
        loop {
            let Some(found) = memchr2(b'"', b'\\', &bytes[end..]) else { return Err(unclosed) };
            end += found;
            if bytes[end] == b'\\' {
                has_escapes = true;
                // The escaped character may take several bytes; none of the others is `"` or `\`.
                end += 2;
                if end > bytes.len() {
                    return Err(unclosed);
                }
            } else if bytes[end..].starts_with(delimiter) {
                break;
            } else {
                end += 1;
            }
        }
        self.at = end + delimiter.len();
        let raw = &self.text[body..end];
        Ok(Token::String(if has_escapes { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) }))
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// The text of a string. Escapes that are not known stay as they are.
fn unescape(raw: &str) -> String {
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some(at) = memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let taken = match rest {
            [b'\n', after @ ..] => 1 + after.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count(),
            [b'\r', b'\n', after @ ..] => {
                2 + after.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
            }
            [byte @ (b'\\' | b'"' | b'\''), ..] => {
                text.push(*byte);
                1
            }
            [b'n', ..] => {
                text.push(b'\n');
                1
            }
            [b't', ..] => {
                text.push(b'\t');
                1
            }
            [b'r', ..] => {
                text.push(b'\r');
                1
            }
            [b'b', ..] => {
                text.push(8);
                1
            }
            [b'x', digits @ ..] => number(&mut text, digits, 2, 16, 1),
            digits => number(&mut text, digits, 3, 10, 0),
        };
        if taken == 0 {
            text.push(b'\\');
        }
        rest = &rest[taken..];
    }
    text.extend_from_slice(rest);
    // `\233` may make bytes that are no UTF-8.
    String::from_utf8_lossy(&text).into_owned()
}

/// `\xHH` and `\ddd`: how many bytes after the backslash were taken, `before` of them in front of
/// the digits.
fn number(text: &mut Vec<u8>, digits: &[u8], count: usize, radix: u32, before: usize) -> usize {
    let value = digits
        .get(..count)
        .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| u8::from_str_radix(digits, radix).ok());
    match value {
        Some(value) => {
            text.push(value);
            before + count
        }
        None => 0,
    }
}
