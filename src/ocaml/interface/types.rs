//! Type expressions → the text that one writes in a `.mli`.
//!
//! What is written is what the compiler's own `Printtyp` writes, with few exceptions: paths are not
//! shortened by what happens to be open.

use std::collections::{HashMap, HashSet};

use super::parts::{Field, Row};
use crate::ocaml::OcamlError;
use crate::ocaml::graph::{Graph, STRANGE, Variant};
use crate::ocaml::marshal::Value;

/// How tightly what is around a type binds, and so what needs parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Around {
    /// Nothing: even `… as 'a` may stand there.
    Nothing,
    /// The right side of an arrow.
    Arrow,
    /// The left side of an arrow.
    Argument,
    /// A part of a tuple, an argument of a constructor.
    Simple,
}

/// Prints the types of one declaration, in which a variable has one name.
pub(super) struct TypePrinter<'g> {
    pub(super) graph: &'g Graph<'g>,
    names: HashMap<Value, String>,
    used: HashSet<String>,
    /// Names that the declaration itself gives to variables.
    pub(super) reserved: HashSet<String>,
    /// How many names were made up.
    made_up: usize,
    /// Types that are written once, with `as 'a`, and referred to by that name.
    pub(super) aliased: HashSet<Value>,
    /// Those that have been written, or whose name is bound before (`'a. …`).
    written: HashSet<Value>,
    /// Objects and variants with a row variable that were met.
    pub(super) rows: HashSet<Value>,
    /// Whether variables called `_` get names: they are met more than once then.
    names_all: bool,
}

/// Which names are in use.
pub(super) struct Names {
    names: HashMap<Value, String>,
    used: HashSet<String>,
}

impl<'g> TypePrinter<'g> {
    pub fn new(graph: &'g Graph<'g>) -> Self {
        Self {
            graph,
            names: HashMap::new(),
            used: HashSet::new(),
            reserved: HashSet::new(),
            made_up: 0,
            aliased: HashSet::new(),
            written: HashSet::new(),
            rows: HashSet::new(),
            names_all: false,
        }
    }

    /// Gives names to variables that are called `_` too.
    pub fn name_all(&mut self) {
        self.names_all = true;
    }

    /// A type by itself: what is in a value's declaration.
    pub fn whole(graph: &'g Graph<'g>, ty: Value) -> Result<String, OcamlError> {
        let mut printer = Self::new(graph);
        printer.prepare(ty)?;
        let mut text = String::new();
        printer.print(ty, Around::Nothing, &mut text)?;
        Ok(text)
    }

    /// Gives a parameter of a declaration its name, before what is declared is looked at. It is not
    /// written as what it stands for: see [`TypePrinter::constraint`].
    pub fn bind(&mut self, ty: Value) -> Result<String, OcamlError> {
        let (node, desc) = self.graph.resolve(ty)?;
        let proxy = self.graph.proxy(node, desc)?;
        self.aliased.insert(proxy);
        self.written.insert(proxy);
        self.name(proxy)
    }

    /// What a bound parameter stands for, if it is no variable.
    pub fn constraint(&mut self, ty: Value) -> Result<Option<String>, OcamlError> {
        let (_, desc) = self.graph.resolve(ty)?;
        if matches!(desc, Variant::Block(0 | 9, _)) {
            return Ok(None);
        }
        let mut text = String::new();
        self.print_desc(desc, Around::Nothing, &mut text)?;
        Ok(Some(text))
    }

    /// Meets the type of an object itself, which is not written where it is met.
    pub fn meet(&mut self, ty: Value) -> Result<(), OcamlError> {
        let (node, desc) = self.graph.resolve(ty)?;
        let proxy = self.graph.proxy(node, desc)?;
        self.rows.insert(proxy);
        Ok(())
    }

    /// The names that variables have so far, for [`TypePrinter::restore`]; they are free again meanwhile.
    pub fn take_names(&mut self) -> Names {
        Names { names: std::mem::take(&mut self.names), used: std::mem::take(&mut self.used) }
    }

    /// Forgets the names that were given since.
    pub fn restore(&mut self, names: Names) {
        (self.names, self.used) = (names.names, names.used);
    }

    /// Whether something that was prepared refers to this type again.
    pub fn is_met_again(&self, ty: Value) -> Result<bool, OcamlError> {
        let (node, desc) = self.graph.resolve(ty)?;
        Ok(self.aliased.contains(&self.graph.proxy(node, desc)?))
    }

    /// Prints what the type called `own` is declared to be: a variant that has that very name is
    /// written out.
    pub fn print_manifest(&mut self, own: &str, ty: Value, out: &mut String) -> Result<(), OcamlError> {
        if let Variant::Block(8, [row]) = self.graph.resolve(ty)?.1 {
            let mut row = self.graph.row(*row)?;
            if let Some((path, _)) = row.name
                && self.graph.path(path)? == own
            {
                row.name = None;
                return self.print_row(&row, out);
            }
        }
        self.print(ty, Around::Nothing, out)
    }

    /// Prints a type that was prepared.
    pub fn print(&mut self, ty: Value, around: Around, out: &mut String) -> Result<(), OcamlError> {
        let graph = self.graph;
        let (node, desc) = graph.resolve(ty)?;
        let proxy = graph.proxy(node, desc)?;
        let is_variable = matches!(desc, Variant::Block(0 | 9, _));
        if is_variable || (self.aliased.contains(&proxy) && self.written.contains(&proxy)) {
            let name = self.name(proxy)?;
            return graph.put(out, &name);
        }
        if self.aliased.contains(&proxy) && !matches!(desc, Variant::Block(10, _)) {
            self.written.insert(proxy);
            let name = self.name(proxy)?;
            let (opening, closing) = if around > Around::Nothing { ("(", ")") } else { ("", "") };
            graph.put(out, opening)?;
            graph.deeper(|| self.print_desc(desc, Around::Nothing, out))?;
            return graph.put(out, &format!(" as {name}{closing}"));
        }
        graph.deeper(|| self.print_desc(desc, around, out))
    }

    fn print_desc(&mut self, desc: Variant<'g>, around: Around, out: &mut String) -> Result<(), OcamlError> {
        let graph = self.graph;
        let limit = match desc {
            Variant::Block(1, _) => Around::Arrow,
            Variant::Block(2, _) => Around::Argument,
            Variant::Block(10, [_, bound]) if !graph.list(*bound)?.is_empty() => Around::Nothing,
            _ => Around::Simple,
        };
        if around > limit {
            graph.put(out, "(")?;
            self.print_desc(desc, Around::Nothing, out)?;
            return graph.put(out, ")");
        }
        match desc {
            Variant::Constant(0) => graph.put(out, "< >"),
            Variant::Block(1, [label, argument, result, _]) => {
                self.print_argument(*label, *argument, out)?;
                graph.put(out, " -> ")?;
                self.print(*result, Around::Arrow, out)
            }
            Variant::Block(2, [parts]) => {
                for (index, part) in graph.list(*parts)?.into_iter().enumerate() {
                    let (label, ty) = graph.part(part)?;
                    graph.put(out, if index > 0 { " * " } else { "" })?;
                    if let Some(label) = label {
                        graph.put(out, &format!("{label}:"))?;
                    }
                    self.print(ty, Around::Simple, out)?;
                }
                Ok(())
            }
            Variant::Block(3, [path, arguments, _]) => {
                self.print_arguments(*arguments, 0, out)?;
                graph.put(out, &graph.path(*path)?)
            }
            Variant::Block(4, [fields, name]) => self.print_object(*fields, *name, out),
            Variant::Block(8, [row]) => {
                let row = graph.row(*row)?;
                self.print_row(&row, out)
            }
            Variant::Block(10, [body, bound]) => {
                let bound = graph.list(*bound)?;
                let mut variables = Vec::new();
                if !bound.is_empty() {
                    let mut names = Vec::new();
                    for variable in bound {
                        let (node, desc) = graph.resolve(variable)?;
                        let proxy = graph.proxy(node, desc)?;
                        self.written.insert(proxy);
                        names.push(self.name(proxy)?);
                        variables.push(proxy);
                    }
                    graph.put(out, &format!("{}. ", names.join(" ")))?;
                }
                self.print(*body, around, out)?;
                // Outside, the names are free again.
                for variable in variables {
                    if let Some(name) = self.names.remove(&variable) {
                        self.used.remove(&name);
                    }
                }
                Ok(())
            }
            Variant::Block(11, package) => {
                let (path, constraints) = graph.package(package)?;
                graph.put(out, &format!("(module {}", graph.path(path)?))?;
                for (index, (name, ty)) in constraints.into_iter().enumerate() {
                    let word = if index == 0 { "with" } else { "and" };
                    graph.put(out, &format!(" {word} type {name} = "))?;
                    self.print(ty, Around::Nothing, out)?;
                }
                graph.put(out, ")")
            }
            _ => Err(STRANGE),
        }
    }

    /// An argument with its label; that of an optional one is not its `option`.
    pub fn print_argument(&mut self, label: Value, ty: Value, out: &mut String) -> Result<(), OcamlError> {
        let graph = self.graph;
        match graph.variant(label)? {
            Variant::Constant(0) => self.print(ty, Around::Argument, out),
            Variant::Block(0, [label]) => {
                graph.put(out, &format!("{}:", graph.text(*label)?))?;
                self.print(ty, Around::Argument, out)
            }
            Variant::Block(1, [label]) => {
                graph.put(out, &format!("?{}:", graph.text(*label)?))?;
                match graph.resolve(ty)?.1 {
                    Variant::Block(3, [path, arguments, _]) if graph.path(*path)? == "option" => {
                        match graph.list(*arguments)?.as_slice() {
                            [ty] => self.print(*ty, Around::Argument, out),
                            _ => Err(STRANGE),
                        }
                    }
                    _ => self.print(ty, Around::Argument, out),
                }
            }
            _ => Err(STRANGE),
        }
    }

    /// The arguments of a type constructor, all but the first `skip`, with the space behind them.
    pub fn print_arguments(&mut self, types: Value, skip: usize, out: &mut String) -> Result<(), OcamlError> {
        let graph = self.graph;
        let types: Vec<Value> = graph.list(types)?.into_iter().skip(skip).collect();
        match types.as_slice() {
            [] => Ok(()),
            [one] => {
                self.print(*one, Around::Simple, out)?;
                graph.put(out, " ")
            }
            [first, rest @ ..] => {
                graph.put(out, "(")?;
                self.print(*first, Around::Nothing, out)?;
                for ty in rest {
                    graph.put(out, ", ")?;
                    self.print(*ty, Around::Nothing, out)?;
                }
                graph.put(out, ") ")
            }
        }
    }

    fn print_object(&mut self, fields: Value, name: Value, out: &mut String) -> Result<(), OcamlError> {
        let graph = self.graph;
        if let Some(named) = graph.option(graph.contents(name)?)? {
            let (path, arguments) = graph.pair(named)?;
            self.print_arguments(arguments, 1, out)?;
            let path = graph.path(path)?;
            return graph.put(out, &format!("#{}", path.replace('#', "")));
        }
        let (methods, is_open) = graph.methods(fields)?;
        graph.put(out, "<")?;
        for (index, (name, ty)) in methods.iter().enumerate() {
            graph.put(out, &format!("{} {name} : ", if index > 0 { ";" } else { "" }))?;
            self.print(*ty, Around::Nothing, out)?;
        }
        if is_open {
            graph.put(out, if methods.is_empty() { " .." } else { "; .." })?;
        }
        graph.put(out, " >")
    }

    fn print_row(&mut self, row: &Row, out: &mut String) -> Result<(), OcamlError> {
        let graph = self.graph;
        let shown = |field: &Field| !row.closed || !matches!(field, Field::Absent);
        let fields: Vec<&(String, Field)> = row.fields.iter().filter(|(_, field)| shown(field)).collect();
        let present: Vec<&str> = fields
            .iter()
            .filter(|(_, field)| matches!(field, Field::Present(_)))
            .map(|(label, _)| label.as_str())
            .collect();
        let all_present = present.len() == fields.len();
        let name = row.name.filter(|_| row.is_nameable());
        if let (Some((path, arguments)), true) = (name, row.closed && all_present) {
            self.print_arguments(arguments, 0, out)?;
            return graph.put(out, &graph.path(path)?);
        }
        let opening = match (row.closed, all_present) {
            (true, true) => "[ ",
            (true, false) => "[< ",
            (false, true) => "[> ",
            (false, false) => "[? ",
        };
        graph.put(out, opening)?;
        match name {
            Some((path, arguments)) => {
                self.print_arguments(arguments, 0, out)?;
                graph.put(out, &graph.path(path)?)?;
            }
            None => {
                for (index, (label, field)) in fields.into_iter().enumerate() {
                    graph.put(out, &format!("{}`{label}", if index > 0 { " | " } else { "" }))?;
                    self.print_field(field, out)?;
                }
            }
        }
        if !all_present && !present.is_empty() {
            let labels: String = present.iter().map(|label| format!(" `{label}")).collect();
            graph.put(out, &format!(" >{labels}"))?;
        }
        graph.put(out, " ]")
    }

    fn print_field(&mut self, field: &Field, out: &mut String) -> Result<(), OcamlError> {
        let graph = self.graph;
        let (word, types): (&str, &[Value]) = match field {
            Field::Present(None) | Field::Absent => return Ok(()),
            Field::Present(Some(ty)) => (" of ", std::slice::from_ref(ty)),
            Field::Either { constant: true, types } if types.is_empty() => return Ok(()),
            Field::Either { constant: true, types } => (" of & ", types),
            Field::Either { constant: false, types } => (" of ", types),
        };
        graph.put(out, word)?;
        for (index, ty) in types.iter().enumerate() {
            graph.put(out, if index > 0 { " & " } else { "" })?;
            self.print(*ty, Around::Arrow, out)?;
        }
        Ok(())
    }

    /// The name of a variable or alias (`'a`, `_`), chosen when it is first asked for.
    fn name(&mut self, proxy: Value) -> Result<String, OcamlError> {
        if let Some(name) = self.names.get(&proxy) {
            return Ok(name.clone());
        }
        let given = match self.graph.resolve(proxy)?.1 {
            Variant::Block(0 | 9, [name]) => self.graph.option(*name)?,
            _ => None,
        };
        let given = given.map(|given| self.graph.text(given)).transpose()?;
        if given.as_deref() == Some("_") && !self.names_all {
            return Ok("_".to_owned());
        }
        let name = match given.filter(|given| given != "_") {
            Some(given) => {
                let given = format!("'{given}");
                let numbered = (0..=self.used.len()).map(|number| format!("{given}{number}"));
                let mut free = std::iter::once(given.clone()).chain(numbered);
                free.find(|name| !self.used.contains(name)).unwrap_or(given)
            }
            None => loop {
                let (letter, number) = (self.made_up % 26, self.made_up / 26);
                self.made_up += 1;
                self.graph.spend(1)?;
                let letter = char::from(b"abcdefghijklmnopqrstuvwxyz"[letter]);
                let name = if number == 0 { format!("'{letter}") } else { format!("'{letter}{number}") };
                if !self.used.contains(&name) && !self.reserved.contains(&name) {
                    break name;
                }
            },
        };
        self.used.insert(name.clone());
        self.names.insert(proxy, name.clone());
        Ok(name)
    }
}
