//! Opam files as values with their places in the text.
//!
//! Precedence, tightest first: comparison, `{option}`, prefix `!` and `?`, environment update, `&`,
//! `|` (opam 2 manual, "File syntax").

use std::borrow::Cow;
use std::ops::Range;

use super::lexer::{Bracket, LexError, Lexer, Token};
use crate::version::Relation;

/// Brackets and prefixes within brackets that are followed; nobody writes twenty.
const MAX_DEPTH: u32 = 100;

/// `{…}` behind one value; one is usual.
const MAX_OPTIONS: u32 = 10;

/// The fields and sections of a file, in written order.
#[derive(Clone, Debug, PartialEq)]
pub struct OpamFile<'t> {
    pub items: Vec<Item<'t>>,
}

/// `name: value` or `name "label" { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Item<'t> {
    pub name: &'t str,
    /// Where the name is.
    pub span: Span,
    pub content: Content<'t>,
}

/// What stands behind a name.
#[derive(Clone, Debug, PartialEq)]
pub enum Content<'t> {
    Field(Value<'t>),
    Section { label: Option<Cow<'t, str>>, items: Vec<Item<'t>> },
}

/// Bytes of the text; files are far smaller than 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        let short = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: short(start), end: short(end) }
    }

    /// As a range of bytes.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Value<'t> {
    pub kind: Kind<'t>,
    pub span: Span,
}

/// The kinds of values.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind<'t> {
    Bool(bool),
    Integer(i64),
    String(Cow<'t, str>),
    /// A variable: `os`, `ocaml:native`, `_:version`.
    Variable(&'t str),
    /// `[ … ]`
    List(Vec<Value<'t>>),
    /// `( … )`
    Group(Vec<Value<'t>>),
    /// `value { … }`
    Option(Box<Value<'t>>, Vec<Value<'t>>),
    And(Vec<Value<'t>>),
    Or(Vec<Value<'t>>),
    Not(Box<Value<'t>>),
    /// `?a`: whether a variable is defined.
    Defined(Box<Value<'t>>),
    /// `a >= b`
    Compare(Relation, Box<Value<'t>>, Box<Value<'t>>),
    /// `>= b`
    Constraint(Relation, Box<Value<'t>>),
    /// `NAME += value`
    Update(&'t str, Box<Value<'t>>, Box<Value<'t>>),
}

/// Why a text is not an opam file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub message: String,
    pub span: Range<usize>,
}

impl From<LexError> for SyntaxError {
    fn from(error: LexError) -> Self {
        Self { message: error.message.to_owned(), span: error.start..error.end }
    }
}

impl<'t> OpamFile<'t> {
    /// Reads a whole file.
    pub fn parse(text: &'t str) -> Result<Self, SyntaxError> {
        let mut lexer = Lexer::new(text);
        let (token, start, end) = lexer.next()?;
        let mut parser = Parser { lexer, token, span: Span::new(start, end), last: 0, depth: 0 };
        let items = parser.items()?;
        match parser.token {
            Token::End => Ok(Self { items }),
            _ => Err(parser.unexpected("a field or a section")),
        }
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&Value<'t>> {
        field(&self.items, name)
    }

    /// The sections of that name.
    pub fn sections<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = (Option<&'a str>, &'a [Item<'t>])> + 'a {
        self.items.iter().filter(move |item| item.name == name).filter_map(|item| match &item.content {
            Content::Section { label, items } => Some((label.as_deref(), items.as_slice())),
            Content::Field(_) => None,
        })
    }
}

/// The value of a field among `items`.
pub fn field<'a, 't>(items: &'a [Item<'t>], name: &str) -> Option<&'a Value<'t>> {
    items.iter().find_map(|item| match &item.content {
        Content::Field(value) if item.name == name => Some(value),
        _ => None,
    })
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    /// The token to be looked at next.
    token: Token<'t>,
    span: Span,
    /// Where the token before it ended.
    last: u32,
    depth: u32,
}

type Parsed<'t> = Result<Value<'t>, SyntaxError>;

impl<'t> Parser<'t> {
    fn advance(&mut self) -> Result<Token<'t>, SyntaxError> {
        let (next, start, end) = self.lexer.next()?;
        self.last = self.span.end;
        self.span = Span::new(start, end);
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn unexpected(&self, wanted: &str) -> SyntaxError {
        SyntaxError { message: format!("expected {wanted}, found {}", self.token), span: self.span.range() }
    }

    fn since(&self, start: u32) -> Span {
        Span { start, end: self.last }
    }

    /// Fields and sections up to something else.
    fn items(&mut self) -> Result<Vec<Item<'t>>, SyntaxError> {
        let mut items = Vec::new();
        while let Token::Identifier(name) = self.token {
            let span = self.span;
            self.advance()?;
            let content = if self.token == Token::Colon {
                self.advance()?;
                Content::Field(self.value()?)
            } else {
                self.section()?
            };
            items.push(Item { name, span, content });
        }
        Ok(items)
    }

    fn section(&mut self) -> Result<Content<'t>, SyntaxError> {
        let label = match &self.token {
            Token::String(label) => Some(label.clone()),
            Token::Open(Bracket::Curly) => None,
            _ => return Err(self.unexpected("`:` or `{`")),
        };
        if label.is_some() {
            self.advance()?;
        }
        self.open(Bracket::Curly)?;
        let items = self.items()?;
        self.close(Bracket::Curly)?;
        Ok(Content::Section { label, items })
    }

    fn open(&mut self, bracket: Bracket) -> Result<(), SyntaxError> {
        let opening = Token::Open(bracket);
        if self.token != opening {
            return Err(self.unexpected(&opening.to_string()));
        }
        self.deeper()?;
        self.advance().map(drop)
    }

    fn deeper(&mut self) -> Result<(), SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(self.too_deep()) } else { Ok(()) }
    }

    fn too_deep(&self) -> SyntaxError {
        let message = format!("values are nested more than {MAX_DEPTH} deep");
        SyntaxError { message, span: self.span.range() }
    }

    fn close(&mut self, bracket: Bracket) -> Result<(), SyntaxError> {
        let closing = Token::Close(bracket);
        if self.token != closing {
            return Err(self.unexpected(&format!("a value or {closing}")));
        }
        self.depth -= 1;
        self.advance().map(drop)
    }

    fn values(&mut self, bracket: Bracket) -> Result<Vec<Value<'t>>, SyntaxError> {
        self.open(bracket)?;
        let mut values = Vec::new();
        while !matches!(self.token, Token::Close(_) | Token::End) {
            values.push(self.value()?);
        }
        self.close(bracket)?;
        Ok(values)
    }

    fn value(&mut self) -> Parsed<'t> {
        self.sequence(&Token::Or, Kind::Or, |parser| parser.sequence(&Token::And, Kind::And, Self::update))
    }

    /// One or more of something, with `separator` between them.
    fn sequence(
        &mut self,
        separator: &Token<'t>,
        kind: impl FnOnce(Vec<Value<'t>>) -> Kind<'t>,
        mut part: impl FnMut(&mut Self) -> Parsed<'t>,
    ) -> Parsed<'t> {
        let start = self.span.start;
        let first = part(self)?;
        if self.token != *separator {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.token == *separator {
            self.advance()?;
            parts.push(part(self)?);
        }
        Ok(Value { kind: kind(parts), span: self.since(start) })
    }

    fn update(&mut self) -> Parsed<'t> {
        let start = self.span.start;
        let name = self.prefixed()?;
        let Token::Update(operator) = self.token else { return Ok(name) };
        self.advance()?;
        let value = self.prefixed()?;
        Ok(Value { kind: Kind::Update(operator, Box::new(name), Box::new(value)), span: self.since(start) })
    }

    /// Any number of `!` and `?`, then a value.
    fn prefixed(&mut self) -> Parsed<'t> {
        let mut prefixes = Vec::new();
        while matches!(self.token, Token::Not | Token::Defined) {
            let start = self.span.start;
            self.deeper()?;
            prefixes.push((self.advance()?, start));
        }
        let mut value = self.option()?;
        while let Some((prefix, start)) = prefixes.pop() {
            self.depth -= 1;
            let inner = Box::new(value);
            let kind = if prefix == Token::Not { Kind::Not(inner) } else { Kind::Defined(inner) };
            value = Value { kind, span: self.since(start) };
        }
        Ok(value)
    }

    fn option(&mut self) -> Parsed<'t> {
        let start = self.span.start;
        let mut value = self.compare()?;
        let mut options_left = MAX_OPTIONS;
        while self.token == Token::Open(Bracket::Curly) {
            options_left = options_left.checked_sub(1).ok_or_else(|| self.too_deep())?;
            let options = self.values(Bracket::Curly)?;
            value = Value { kind: Kind::Option(Box::new(value), options), span: self.since(start) };
        }
        Ok(value)
    }

    fn compare(&mut self) -> Parsed<'t> {
        let start = self.span.start;
        if let Token::Relation(relation) = self.token {
            self.advance()?;
            let right = self.atom()?;
            return Ok(Value { kind: Kind::Constraint(relation, Box::new(right)), span: self.since(start) });
        }
        let left = self.atom()?;
        let Token::Relation(relation) = self.token else { return Ok(left) };
        self.advance()?;
        let right = self.atom()?;
        let kind = Kind::Compare(relation, Box::new(left), Box::new(right));
        Ok(Value { kind, span: self.since(start) })
    }

    fn atom(&mut self) -> Parsed<'t> {
        let start = self.span.start;
        let kind = match &self.token {
            Token::Open(Bracket::Square) => Kind::List(self.values(Bracket::Square)?),
            Token::Open(Bracket::Round) => Kind::Group(self.values(Bracket::Round)?),
            Token::Identifier(_) | Token::String(_) | Token::Integer(_) => match self.advance()? {
                Token::Identifier("true") => Kind::Bool(true),
                Token::Identifier("false") => Kind::Bool(false),
                Token::Identifier(name) => Kind::Variable(name),
                Token::Integer(number) => Kind::Integer(number),
                Token::String(text) => Kind::String(text),
                _ => unreachable!("looked at above"),
            },
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Value { kind, span: self.since(start) })
    }
}
