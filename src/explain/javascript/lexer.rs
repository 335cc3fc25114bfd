//! JavaScript → tokens, with what is needed to cut it into statements and to know whose names are whose.
//!
//! The lexical grammar is that of ECMAScript 2024 (chapter 12). Whether `/` divides or begins a regular
//! expression depends on what is before it, so brackets are followed, and a brace is known for a block or
//! an object. Any text gives tokens: what ends too early ends there.

mod literals;

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// What may be the name of a variable.
    Name,
    /// What is no variable: `a` in `x.a` and in `{a: 1}`.
    Property,
    Keyword,
    Number,
    Text,
    /// From `` ` `` or `}` to `${` or `` ` ``.
    Template,
    Regex,
    Mark,
    BlockOpen,
    BlockClose,
}

/// A token: where it is in the text, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub start: u32,
    pub end: u32,
    pub kind: Kind,
    /// A statement, or one of the variables of a declaration, ends behind it.
    pub is_last: bool,
    /// The name is declared here.
    pub declares: bool,
}

/// A function with a body in braces, by the indexes of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// The token that names it.
    pub name: Option<usize>,
    /// From the parameters' parenthesis to the closing brace.
    pub extent: Range<usize>,
    /// The opening brace.
    pub body: usize,
}

/// A text that has been read.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub tokens: Vec<Token>,
    /// In the order of their ends: those inside come first.
    pub functions: Vec<Function>,
    /// Where comments are.
    pub comments: Vec<Range<usize>>,
}

/// An opened bracket, and what was declared around it.
struct Open {
    what: What,
    /// The token that opens it.
    token: usize,
    declaring: Option<usize>,
    /// `?` whose `:` is still to come.
    questions: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// Of `if`, `while`, `for`, `with`, `catch`.
    Control,
    Parameters {
        is_expression: bool,
    },
    Parenthesis,
    Bracket,
    Object,
    Template,
    /// With the token at which the parameters of a function begin.
    Block {
        is_expression: bool,
        function: Option<usize>,
    },
}

/// What is before a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Previous {
    /// A statement may begin.
    Statement,
    /// An operand has ended: what follows is an operator.
    Operand,
    /// A parenthesis has ended that opened at this token.
    Closed(What, usize),
    /// With the token at which its parameters begin.
    Arrow(usize),
    Dot,
    Keyword,
    Operator,
}

/// Reads a text of less than 4 GiB.
pub(super) fn tokens(text: &str) -> Script {
    let mut lexer = Lexer {
        text: text.as_bytes(),
        at: 0,
        script: Script::default(),
        open: Vec::new(),
        previous: Previous::Statement,
        function: None,
        declaring: None,
        expects_name: false,
    };
    while lexer.next() {}
    lexer.script
}

struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    script: Script,
    open: Vec<Open>,
    previous: Previous,
    /// A `function` whose parameters are still to come, and whether it is an expression.
    function: Option<bool>,
    /// How many brackets were open where `var` was read.
    declaring: Option<usize>,
    /// The next name is declared.
    expects_name: bool,
}

const KEYWORDS: [&[u8]; 41] = [
    b"async",
    b"await",
    b"break",
    b"case",
    b"catch",
    b"class",
    b"const",
    b"continue",
    b"debugger",
    b"default",
    b"delete",
    b"do",
    b"else",
    b"export",
    b"extends",
    b"false",
    b"finally",
    b"for",
    b"function",
    b"if",
    b"import",
    b"in",
    b"instanceof",
    b"let",
    b"new",
    b"null",
    b"of",
    b"return",
    b"super",
    b"switch",
    b"this",
    b"throw",
    b"true",
    b"try",
    b"typeof",
    b"undefined",
    b"var",
    b"void",
    b"while",
    b"with",
    b"yield",
];

/// Keywords that are operands: what follows divides.
const OPERANDS: [&[u8]; 6] = [b"false", b"null", b"super", b"this", b"true", b"undefined"];

/// Operators of several characters, longest first.
const OPERATORS: [&[u8]; 27] = [
    b">>>=", b"...", b"===", b"!==", b"**=", b"<<=", b">>=", b">>>", b"&&=", b"||=", b"??=", b"=>", b"==",
    b"!=", b"<=", b">=", b"&&", b"||", b"??", b"?.", b"++", b"--", b"**", b"<<", b">>", b"+=", b"-=",
];

impl Lexer<'_> {
    fn rest(&self) -> &[u8] {
        &self.text[self.at..]
    }

    /// The first byte from here on for which `is` holds, or the end.
    fn find(&self, from: usize, is: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        from.min(self.text.len()) + rest.iter().position(|byte| is(*byte)).unwrap_or(rest.len())
    }

    /// Reads one token or comment; `false` at the end.
    fn next(&mut self) -> bool {
        self.at = self.find(self.at, |byte| !byte.is_ascii_whitespace() && byte != 0x0b);
        let [first, second] = [0, 1].map(|ahead| self.text.get(self.at + ahead).copied().unwrap_or(0));
        if self.at >= self.text.len() {
            return false;
        }
        match (first, second) {
            (b'/', b'/') | (b'#', b'!') => self.comment(self.find(self.at, |byte| byte == b'\n')),
            (b'/', b'*') => {
                let end = memchr::memmem::find(&self.text[self.at + 2..], b"*/");
                self.comment(end.map_or(self.text.len(), |end| self.at + 2 + end + 2));
            }
            (b'"' | b'\'', _) => {
                let end = self.quoted(first);
                self.operand(Kind::Text, end);
            }
            (b'`', _) => self.template(),
            (b'}', _) if matches!(self.open.last(), Some(Open { what: What::Template, .. })) => {
                self.leave();
                self.template();
            }
            (b'/', _) if self.may_be_regex() => {
                let end = self.regex();
                self.operand(Kind::Regex, end);
            }
            (b'0'..=b'9', _) | (b'.', b'0'..=b'9') => {
                let end = self.number();
                self.operand(Kind::Number, end);
            }
            (b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | b'#' | b'\\' | 0x80.., _) => self.word(),
            (b'(' | b'[' | b'{', _) => self.bracket(first),
            (b')' | b']' | b'}', _) => self.closing(first),
            _ => self.operator(),
        }
        true
    }

    fn comment(&mut self, end: usize) {
        self.script.comments.push(self.at..end);
        self.at = end;
    }

    fn push(&mut self, kind: Kind, end: usize) {
        // A limit of the caller: texts are far smaller than 4 GiB.
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let (start, end_at) = (place(self.at), place(end));
        self.script.tokens.push(Token { start, end: end_at, kind, is_last: false, declares: false });
        self.at = end;
    }

    fn operand(&mut self, kind: Kind, end: usize) {
        self.push(kind, end);
        self.previous = Previous::Operand;
    }

    /// Reads on in a template, from its beginning or behind a `}`.
    fn template(&mut self) {
        let mut at = self.at + 1;
        loop {
            at = self.find(at, |byte| matches!(byte, b'`' | b'\\' | b'$'));
            match (self.text.get(at), self.text.get(at + 1)) {
                (Some(b'\\'), _) => at = (at + 2).min(self.text.len()),
                (Some(b'$'), Some(b'{')) => {
                    self.push(Kind::Template, at + 2);
                    self.enter(What::Template);
                    self.previous = Previous::Operator;
                    return;
                }
                (Some(b'$'), _) => at += 1,
                (Some(_), _) => return self.operand(Kind::Template, at + 1),
                (None, _) => return self.operand(Kind::Template, at),
            }
        }
    }

    fn may_be_regex(&self) -> bool {
        match self.previous {
            Previous::Operand | Previous::Dot => false,
            Previous::Closed(what, _) => what == What::Control,
            Previous::Statement | Previous::Arrow(_) | Previous::Keyword | Previous::Operator => true,
        }
    }

    fn word(&mut self) {
        let is_in = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'\\' | 0x80..);
        let end = self.find(self.at + 1, |byte| !is_in(byte));
        let word = &self.text[self.at..end];
        let is_key = matches!(self.open.last(), Some(Open { what: What::Object, .. }))
            && self
                .script
                .tokens
                .last()
                .is_some_and(|last| matches!(self.text[last.start as usize], b'{' | b','));
        let kind = if self.previous == Previous::Dot || is_key {
            Kind::Property
        } else if KEYWORDS.binary_search(&word).is_ok() {
            Kind::Keyword
        } else {
            Kind::Name
        };
        if kind != Kind::Keyword {
            self.push(kind, end);
            if let Some(last) = self.script.tokens.last_mut() {
                last.declares = kind == Kind::Name && std::mem::take(&mut self.expects_name);
            }
            self.previous = Previous::Operand;
            return;
        }
        match word {
            b"function" => {
                let begins =
                    matches!(self.previous, Previous::Statement | Previous::Operand | Previous::Closed(..));
                self.function = Some(!begins);
                self.expects_name = true;
            }
            b"class" => self.expects_name = true,
            b"var" | b"let" | b"const" => {
                self.declaring = Some(self.open.len());
                self.expects_name = true;
            }
            _ => {}
        }
        let is_operand = OPERANDS.contains(&word);
        self.previous = match word {
            _ if is_operand => Previous::Operand,
            b"else" | b"do" | b"try" | b"finally" | b"async" => Previous::Statement,
            _ => Previous::Keyword,
        };
        self.push(Kind::Keyword, end);
    }

    fn enter(&mut self, what: What) {
        let token = self.script.tokens.len() - 1;
        let declaring = self.declaring.take();
        self.expects_name = false;
        self.open.push(Open { what, token, declaring, questions: 0 });
    }

    fn leave(&mut self) -> Option<Open> {
        let open = self.open.pop()?;
        self.declaring = open.declaring;
        self.expects_name = false;
        Some(open)
    }

    fn is_in_block(&self) -> bool {
        matches!(self.open.last(), None | Some(Open { what: What::Block { .. }, .. }))
    }

    fn bracket(&mut self, bracket: u8) {
        let what = match bracket {
            b'(' => match (self.function.take(), self.script.tokens.last()) {
                (Some(is_expression), _) => What::Parameters { is_expression },
                (None, Some(Token { kind: Kind::Keyword, start, end, .. })) => {
                    match &self.text[*start as usize..*end as usize] {
                        b"if" | b"while" | b"for" | b"with" | b"catch" | b"switch" => What::Control,
                        _ => What::Parenthesis,
                    }
                }
                _ => What::Parenthesis,
            },
            b'[' => What::Bracket,
            _ => self.brace(),
        };
        let is_block = matches!(what, What::Block { .. });
        self.push(if is_block { Kind::BlockOpen } else { Kind::Mark }, self.at + 1);
        self.enter(what);
        self.previous = if is_block { Previous::Statement } else { Previous::Operator };
        if is_block && let Some(last) = self.script.tokens.last_mut() {
            last.is_last = true;
        }
    }

    /// What a brace opens here.
    fn brace(&self) -> What {
        let block = |is_expression, function| What::Block { is_expression, function };
        match self.previous {
            Previous::Statement => block(false, None),
            // `class A {`
            Previous::Operand => block(!self.is_in_block(), None),
            Previous::Closed(What::Parameters { is_expression }, start) => block(is_expression, Some(start)),
            Previous::Closed(What::Control, _) => block(false, None),
            // A method.
            Previous::Closed(_, start) => block(!self.is_in_block(), Some(start)),
            Previous::Arrow(start) => block(true, Some(start)),
            Previous::Dot | Previous::Keyword | Previous::Operator => What::Object,
        }
    }

    fn closing(&mut self, bracket: u8) {
        let before = self.script.tokens.len();
        let Some(open) = self.leave() else {
            return self.operand(Kind::Mark, self.at + 1);
        };
        let What::Block { is_expression, function } = open.what else {
            self.push(Kind::Mark, self.at + 1);
            self.previous = match bracket {
                b')' => Previous::Closed(open.what, open.token),
                _ => Previous::Operand,
            };
            return;
        };
        if let Some(last) = self.script.tokens.last_mut() {
            last.is_last = true;
        }
        if let Some(start) = function {
            self.function_ends(start, open.token, before);
        }
        self.push(Kind::BlockClose, self.at + 1);
        if let Some(last) = self.script.tokens.last_mut() {
            last.is_last = !is_expression;
        }
        self.previous = if is_expression { Previous::Operand } else { Previous::Statement };
    }

    /// Keeps the function whose parameters begin at the token `start`, and whose body is from `body` to `end`.
    fn function_ends(&mut self, start: usize, body: usize, end: usize) {
        let tokens = &self.script.tokens;
        let is = |at: usize, words: &[&[u8]]| {
            tokens
                .get(at)
                .is_some_and(|one| words.contains(&&self.text[one.start as usize..one.end as usize]))
        };
        let named =
            |at: Option<usize>| at.filter(|at| matches!(tokens[*at].kind, Kind::Name | Kind::Property));
        let mut before = start.checked_sub(1);
        let mut name = named(before);
        if name.is_none() {
            // `x = function (…)`, `x: (…) =>`
            for _ in 0..3 {
                if before.is_some_and(|at| is(at, &[b"function", b"async", b"*"])) {
                    before = before.and_then(|at| at.checked_sub(1));
                }
            }
            before = before.filter(|at| is(*at, &[b"=", b":"])).and_then(|at| at.checked_sub(1));
            name = named(before);
        }
        self.script.functions.push(Function { name, extent: start..end + 1, body });
    }

    fn operator(&mut self) {
        let operator = OPERATORS.iter().find(|operator| self.rest().starts_with(operator));
        // Characters are not cut: those beyond ASCII are words.
        let length = operator.map_or(1, |operator| operator.len());
        let operator = &self.text[self.at..self.at + length];
        let is_in_block = self.is_in_block();
        let mut is_last = false;
        let mut previous = Previous::Operator;
        match operator {
            b";" => {
                self.declaring = None;
                self.expects_name = false;
                is_last = is_in_block;
                previous = Previous::Statement;
            }
            b"," => {
                is_last = is_in_block;
                self.expects_name = self.declaring == Some(self.open.len());
            }
            b"." | b"?." => previous = Previous::Dot,
            b"=>" => {
                previous = Previous::Arrow(match self.previous {
                    Previous::Closed(_, start) => start,
                    _ => self.script.tokens.len().saturating_sub(1),
                });
            }
            // Behind an operand they belong to it.
            b"++" | b"--" if matches!(self.previous, Previous::Operand | Previous::Closed(..)) => {
                previous = Previous::Operand;
            }
            b"?" => {
                if let Some(open) = self.open.last_mut() {
                    open.questions += 1;
                }
            }
            b":" if is_in_block => match self.open.last_mut() {
                Some(open) if open.questions > 0 => open.questions -= 1,
                // `case 1:` and labels.
                _ => previous = Previous::Statement,
            },
            _ => {}
        }
        self.push(Kind::Mark, self.at + length);
        if let Some(last) = self.script.tokens.last_mut() {
            last.is_last = is_last;
        }
        self.previous = previous;
    }
}

#[cfg(test)]
mod tests;
