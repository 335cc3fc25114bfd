//! Strings with `${…}` in them, checked when they are read and expanded when a plan is made.

use std::collections::BTreeMap;
use std::ops::Range;

use thiserror::Error;

use crate::toml_reader::{TextError, Value, suggestion};

/// What may stand between `${` and `}` in one kind of recipe.
#[derive(Debug)]
pub struct Scope {
    /// Names of plain variables.
    pub variables: &'static [&'static str],
    /// Whether `base.<name>` is known: a fact of the base that the node gets.
    pub facts: bool,
}

/// A string with variables. `$${` stands for a literal `${`; any other `$` is itself.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
    span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
}

/// A variable has no value where the template is used: a fact that the chosen base does not state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`${{{variable}}}` has no value here")]
pub struct Unbound {
    pub variable: String,
    /// Bytes of the string in its recipe.
    pub span: Range<usize>,
    /// What has a value.
    pub known: Vec<String>,
}

/// Values of variables.
#[derive(Clone, Debug, Default)]
pub struct Bindings(BTreeMap<String, String>);

impl Bindings {
    /// Sets a variable.
    pub fn set(&mut self, variable: &str, value: impl Into<String>) {
        self.0.insert(variable.to_owned(), value.into());
    }

    /// Sets `base.<name>` for every fact of a base.
    pub fn set_facts(&mut self, facts: &BTreeMap<String, String>) {
        self.0.extend(facts.iter().map(|(name, value)| (format!("base.{name}"), value.clone())));
    }
}

impl Template {
    /// Reads a template, knowing which variables there can be.
    pub fn read(value: Value<'_>, scope: &Scope) -> Option<Self> {
        let parts = value.text_with(|text| parse(text, scope))?;
        Some(Self { parts, span: value.span() })
    }

    /// The text, with every variable replaced by its value.
    pub fn expand(&self, bindings: &Bindings) -> Result<String, Unbound> {
        let mut text = String::new();
        for part in &self.parts {
            text.push_str(match part {
                Part::Text(literal) => literal,
                Part::Variable(variable) => bindings.0.get(variable).ok_or_else(|| Unbound {
                    variable: variable.clone(),
                    span: self.span.clone(),
                    known: bindings.0.keys().cloned().collect(),
                })?,
            });
        }
        Ok(text)
    }

    /// Names of the variables, in order, with repetitions.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(variable) => Some(variable.as_str()),
            Part::Text(_) => None,
        })
    }
}

/// Templates are equal when they say the same, wherever they stand.
impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for Template {}

fn parse(text: &str, scope: &Scope) -> Result<Vec<Part>, TextError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let open = at + found;
        if text[at..open].ends_with('$') {
            literal.push_str(&text[at..open - 1]);
            literal.push_str("${");
            at = open + 2;
            continue;
        }
        literal.push_str(&text[at..open]);
        let Some(length) = text[open..].find('}') else {
            return Err(TextError {
                code: "template",
                message: "`${` without `}`".into(),
                label: "not closed".into(),
                help: Some("write `$${` for a literal `${`".into()),
                within: Some(open..text.len()),
            });
        };
        let close = open + length;
        let variable = &text[open + 2..close];
        let is_fact = scope.facts && variable.strip_prefix("base.").is_some_and(|fact| !fact.is_empty());
        if !is_fact && !scope.variables.contains(&variable) {
            let known = scope.variables.iter().copied().chain(scope.facts.then_some("base.<fact>"));
            let help = match known.clone().count() {
                0 => "no variables are known here; write `$${` for a literal `${`".into(),
                _ => format!("{}; write `$${{` for a literal `${{`", suggestion(variable, known)),
            };
            return Err(TextError {
                code: "unknown-variable",
                message: format!("unknown variable `{}`", variable.escape_debug()),
                label: "unknown variable".into(),
                help: Some(help),
                within: Some(open..close + 1),
            });
        }
        if !literal.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut literal)));
        }
        parts.push(Part::Variable(variable.to_owned()));
        at = close + 1;
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: Scope = Scope { variables: &["prefix", "name"], facts: true };

    fn expand(text: &str) -> Result<String, String> {
        let parts = parse(text, &SCOPE).map_err(|error| error.message)?;
        let mut bindings = Bindings::default();
        bindings.set("prefix", "/opt/jtw");
        bindings.set("name", "fmt");
        bindings.set_facts(&BTreeMap::from([("stdlib".into(), "/usr/lib/ocaml".into())]));
        Template { parts, span: 0..0 }.expand(&bindings).map_err(|error| error.variable)
    }

    #[test]
    fn variables_are_replaced_and_the_shell_keeps_its_dollars() {
        assert_eq!(expand("${prefix}/lib/${name}").unwrap(), "/opt/jtw/lib/fmt");
        assert_eq!(expand("cp \"$(ocamlc -where)\" $out $$").unwrap(), "cp \"$(ocamlc -where)\" $out $$");
        assert_eq!(expand("$${HOME} ${base.stdlib}").unwrap(), "${HOME} /usr/lib/ocaml");
        assert_eq!(expand("é$${${name}}").unwrap(), "é${fmt}");
        assert_eq!(expand("").unwrap(), "");
    }

    #[test]
    fn values_are_not_expanded_again() {
        let parts = parse("${name}", &SCOPE).unwrap();
        let mut bindings = Bindings::default();
        bindings.set("name", "${prefix}");
        assert_eq!(Template { parts, span: 0..0 }.expand(&bindings).unwrap(), "${prefix}");
    }

    #[test]
    fn what_is_not_known_is_told_when_read() {
        assert_eq!(expand("${nmae}").unwrap_err(), "unknown variable `nmae`");
        assert_eq!(expand("a${").unwrap_err(), "`${` without `}`");
        assert_eq!(expand("${base.}").unwrap_err(), "unknown variable `base.`");
        let error = parse("x ${nmae}", &SCOPE).unwrap_err();
        assert_eq!(error.within, Some(2..9));
        assert_eq!(error.help.unwrap(), "did you mean `name`?; write `$${` for a literal `${`");
    }

    #[test]
    fn a_fact_that_the_base_lacks_is_told_when_expanded() {
        assert_eq!(expand("${base.nothing}").unwrap_err(), "base.nothing");
    }
}
