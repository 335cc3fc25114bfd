//! Blocks that say more to people than their fields do: places in sources, and what compilers number.

use super::walk::Sort;
use super::words;
use crate::ocaml::marshal::{Heap, Value, View};

/// Two blocks that were told as a whole.
pub(super) struct Told {
    pub sort: Sort,
    /// Nothing if what is told of them does not differ.
    pub texts: Option<(String, String)>,
    /// The field that is not told with them.
    pub rest: usize,
}

/// A block of a heap: its tag and its fields.
pub(super) type Block<'a> = (&'a Heap, u8, &'a [Value]);

/// Tells two blocks of data that a compiler made of its own types.
pub(super) fn tell(before: Block<'_>, after: Block<'_>) -> Option<Told> {
    positions(before, after).or_else(|| names(before, after)).or_else(|| types(before, after))
}

/// `Lexing.position`: file, line, byte at which the line begins, byte.
struct Position<'a> {
    file: &'a [u8],
    line: i64,
    line_start: i64,
    offset: i64,
}

impl<'a> Position<'a> {
    fn of((heap, tag, fields): Block<'a>) -> Option<Self> {
        match *fields {
            [file, Value::Int(line), Value::Int(line_start), Value::Int(offset)] if tag == 0 => {
                Some(Self { file: heap.string(file)?, line, line_start, offset })
            }
            _ => None,
        }
    }

    fn numbers(&self) -> (i64, i64, i64) {
        (self.line, self.line_start, self.offset)
    }

    fn column(&self) -> i64 {
        self.offset.wrapping_sub(self.line_start)
    }

    /// As compilers write it; with the byte if `other` would look the same.
    fn told(&self, other: &Self) -> String {
        let mut text = format!("{}:{}:{}", words::string(self.file), self.line, self.column());
        if (self.line, self.column()) == (other.line, other.column()) {
            text.push_str(&format!(" (byte {})", self.offset));
        }
        text
    }
}

fn positions(before: Block<'_>, after: Block<'_>) -> Option<Told> {
    let (one, mut other) = (Position::of(before)?, Position::of(after)?);
    // Another name of the file is a difference of its own, which many places share.
    other.file = one.file;
    let texts = (one.numbers() != other.numbers()).then(|| (one.told(&other), other.told(&one)));
    Some(Told { sort: Sort::Place, texts, rest: 0 })
}

/// `Ident.t`, and the `Uid.t` of a declaration: a name with a number, and perhaps one more.
fn names((heap, tag, fields): Block<'_>, (other_heap, _, others): Block<'_>) -> Option<Told> {
    let ([name, Value::Int(number), rest @ ..], [other, Value::Int(other_number), other_rest @ ..]) =
        (fields, others)
    else {
        return None;
    };
    let is_one = matches!((tag, rest), (0 | 3, []) | (1, [Value::Int(_)]));
    let (name, other) = (heap.string(*name)?, other_heap.string(*other)?);
    if !is_one || rest != other_rest || number == other_number || name.len() > 80 || name != other {
        return None;
    }
    let told = |number: &i64| format!("{}/{number}", words::string(name));
    Some(Told { sort: Sort::Stamp, texts: Some((told(number), told(other_number))), rest: 0 })
}

/// `Types.type_expr`: what it is, level, scope and number.
fn types((heap, tag, fields): Block<'_>, (_, _, others): Block<'_>) -> Option<Told> {
    let ([desc, level, scope, Value::Int(number)], [_, other_level, other_scope, Value::Int(other)]) =
        (fields, others)
    else {
        return None;
    };
    let is_block = matches!(heap.view(*desc), Some(View::Block(..)));
    let is_number = |value: &Value| matches!(value, Value::Int(_));
    let is_one = tag == 0 && is_block && is_number(level) && is_number(scope);
    if !is_one || (level, scope) != (other_level, other_scope) || number == other {
        return None;
    }
    let texts = Some((format!("type {number}"), format!("type {other}")));
    Some(Told { sort: Sort::Stamp, texts, rest: 0 })
}
