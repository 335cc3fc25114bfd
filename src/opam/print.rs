//! Values as text again, in one normal form: the same tokens with the same blanks, whatever layout
//! and comments the file had. Reading the text gives an equal value.

use std::fmt::{self, Write};

use super::syntax::{Kind, Value};
use crate::version::Relation;

/// `name: value` and a line end.
pub fn field(name: &str, value: &Value<'_>) -> String {
    format!("{name}: {value}\n")
}

/// One line, except for line ends within strings, which are written as escapes.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Bool(truth) => write!(f, "{truth}"),
            Kind::Integer(number) => write!(f, "{number}"),
            Kind::String(text) => string(text, f),
            Kind::Variable(name) => f.write_str(name),
            Kind::List(parts) => bracketed('[', parts, ']', f),
            Kind::Group(parts) => bracketed('(', parts, ')', f),
            Kind::Option(inner, conditions) => {
                write!(f, "{inner} ")?;
                bracketed('{', conditions, '}', f)
            }
            Kind::And(parts) => joined(parts, " & ", f),
            Kind::Or(parts) => joined(parts, " | ", f),
            Kind::Not(inner) => write!(f, "!{inner}"),
            Kind::Defined(inner) => write!(f, "?{inner}"),
            Kind::Compare(relation, left, right) => write!(f, "{left} {} {right}", symbol(*relation)),
            Kind::Constraint(relation, right) => write!(f, "{} {right}", symbol(*relation)),
            Kind::Update(operator, name, value) => write!(f, "{name} {operator} {value}"),
        }
    }
}

fn symbol(relation: Relation) -> &'static str {
    match relation {
        Relation::Equal => "=",
        Relation::NotEqual => "!=",
        Relation::Less => "<",
        Relation::LessOrEqual => "<=",
        Relation::Greater => ">",
        Relation::GreaterOrEqual => ">=",
    }
}

fn bracketed(open: char, parts: &[Value<'_>], close: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char(open)?;
    joined(parts, " ", f)?;
    f.write_char(close)
}

fn joined(parts: &[Value<'_>], between: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        write!(f, "{part}")?;
    }
    Ok(())
}

/// Control characters are escaped by number, so that no editor or line end changes them.
fn string(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' | '\\' => write!(f, "\\{character}")?,
            '\n' => f.write_str("\\n")?,
            '\0'..='\x1f' | '\x7f' => write!(f, "\\x{:02x}", u32::from(character))?,
            _ => f.write_char(character)?,
        }
    }
    f.write_char('"')
}
