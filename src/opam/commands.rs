//! The commands of `build` and `install`: their shape, and what their filters leave of them.
//!
//! A command is a program and its arguments, never a line for a shell (opam 2 manual, "build"). A
//! filter that is false or undefined takes its argument, or its command, away. A bare name stands
//! for its value, and for an empty argument when it has none.

use super::filter::{self, Scope};
use super::syntax::{Kind, Span, Value};

/// Bytes that the arguments of one field may have in all, filled in: what one program takes on
/// Linux is hardly more.
pub const MOST_BYTES: usize = 4 << 20;

/// A value that is not of the shape that its field asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    pub span: Span,
    /// One sentence without a final dot.
    pub message: String,
    /// What to write instead.
    pub help: &'static str,
}

impl Misfit {
    pub(super) fn new(value: &Value<'_>, message: impl Into<String>, help: &'static str) -> Self {
        Self { span: value.span, message: message.into(), help }
    }
}

/// Something with conditions behind it.
#[derive(Clone, Copy, Debug)]
pub struct Filtered<'v, 't> {
    pub value: &'v Value<'t>,
    filters: &'v [Value<'t>],
}

impl<'v, 't> Filtered<'v, 't> {
    /// Takes the conditions off `value`.
    pub fn new(value: &'v Value<'t>) -> Self {
        match &value.kind {
            Kind::Option(inner, filters) => Self { value: inner, filters },
            _ => Self { value, filters: &[] },
        }
    }

    /// Whether all its conditions hold. What is undefined does not.
    pub fn holds(&self, scope: &dyn Scope) -> bool {
        filter::conjunction(self.filters.iter().map(|filter| filter::truth(filter, scope))) == Some(true)
    }
}

/// A command as written.
struct Command<'v, 't> {
    whole: Filtered<'v, 't>,
    arguments: Vec<Filtered<'v, 't>>,
}

const HELP: &str = "write `[\"program\" \"argument\"]`, or a list of such commands";

fn commands<'v, 't>(field: &'v Value<'t>) -> Result<Vec<Command<'v, 't>>, Misfit> {
    let outer = Filtered::new(field);
    if let Kind::List(parts) = &outer.value.kind {
        let is_command = |part: &Value<'_>| matches!(Filtered::new(part).value.kind, Kind::List(_));
        match (parts.iter().any(is_command), parts.iter().find(|part| !is_command(part))) {
            (true, None) if outer.filters.is_empty() => return parts.iter().map(command).collect(),
            (true, None) => return Err(Misfit::new(field, "a list of commands has no filter", HELP)),
            (true, Some(word)) => return Err(Misfit::new(word, "commands and words are mixed", HELP)),
            (false, _) if parts.is_empty() => return Ok(Vec::new()),
            (false, _) => {}
        }
    }
    Ok(vec![command(field)?])
}

fn command<'v, 't>(value: &'v Value<'t>) -> Result<Command<'v, 't>, Misfit> {
    let whole = Filtered::new(value);
    let arguments: Vec<_> = match &whole.value.kind {
        Kind::List(words) => words.iter().map(argument).collect::<Result<_, _>>()?,
        _ => vec![argument(whole.value)?],
    };
    if arguments.is_empty() {
        return Err(Misfit::new(value, "this command has no program", HELP));
    }
    Ok(Command { whole, arguments })
}

fn argument<'v, 't>(value: &'v Value<'t>) -> Result<Filtered<'v, 't>, Misfit> {
    let argument = Filtered::new(value);
    let help = "an argument is a string or the name of a variable, with a filter or without";
    match &argument.value.kind {
        Kind::String(text) if text.contains('\0') => {
            Err(Misfit::new(argument.value, "no argument of a program can hold a NUL byte", help))
        }
        Kind::String(_) | Kind::Variable(_) => Ok(argument),
        _ => Err(Misfit::new(argument.value, "this is no argument of a command", help)),
    }
}

/// Checks that a field holds commands.
pub fn check(field: &Value<'_>) -> Result<(), Misfit> {
    commands(field).map(drop)
}

/// The commands that are to be run, program first. Those of which nothing is left are left out.
pub fn evaluate(field: &Value<'_>, scope: &dyn Scope) -> Result<Vec<Vec<String>>, Misfit> {
    let (mut all, mut bytes) = (Vec::new(), 0);
    for Command { whole, arguments } in commands(field)? {
        if !whole.holds(scope) {
            continue;
        }
        let mut argv = Vec::with_capacity(arguments.len());
        for argument in arguments.iter().filter(|argument| argument.holds(scope)) {
            for text in words(argument.value, scope) {
                bytes += text.len();
                if bytes > MOST_BYTES {
                    let message = format!("the arguments have more than {} MiB", MOST_BYTES >> 20);
                    return Err(Misfit::new(argument.value, message, "use a file"));
                }
                if text.contains('\0') {
                    let message = "no argument of a program can hold a NUL byte";
                    return Err(Misfit::new(argument.value, message, "a variable's value holds it"));
                }
                argv.push(text);
            }
        }
        match argv.first() {
            None => {}
            Some(program) if program.is_empty() => {
                let message = format!("the program of the command {} is empty", whole.value);
                return Err(Misfit::new(whole.value, message, "the variable that names it has no value"));
            }
            Some(_) => all.push(argv),
        }
    }
    Ok(all)
}

/// What a string or a variable stands for: one argument, empty when it is not defined, or those of a
/// list.
fn words(value: &Value<'_>, scope: &dyn Scope) -> Vec<String> {
    if let Kind::Variable(name) = &value.kind
        && let Some(words) = scope.words(name)
    {
        return words.to_vec();
    }
    vec![filter::setting(value, scope).map(|setting| setting.as_text().to_owned()).unwrap_or_default()]
}
