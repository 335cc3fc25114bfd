//! Type expressions → the text that one writes in a `.mli`.
//!
//! What is written is what the compiler's own `Printtyp` writes, with few exceptions: paths are not
//! shortened by what happens to be open.

use std::collections::{HashMap, HashSet};

use super::CmiError;
use super::graph::{Graph, STRANGE, Variant};
use super::marshal::Value;

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
    graph: &'g Graph<'g>,
    names: HashMap<Value, String>,
    used: HashSet<String>,
    /// Names that the declaration itself gives to variables.
    reserved: HashSet<String>,
    /// How many names were made up.
    made_up: usize,
    /// Types that are written once, with `as 'a`, and referred to by that name.
    aliased: HashSet<Value>,
    /// Those that have been written, or whose name is bound before (`'a. …`).
    written: HashSet<Value>,
    /// Objects and variants with a row variable that were met.
    rows: HashSet<Value>,
    /// Whether variables called `_` get names: they are met more than once then.
    names_all: bool,
}

/// Which names are in use.
pub(super) struct Names {
    names: HashMap<Value, String>,
    used: HashSet<String>,
}

/// A field of a polymorphic variant.
enum Field {
    Present(Option<Value>),
    Either { constant: bool, types: Vec<Value> },
    Absent,
}

/// A polymorphic variant, with the rows that were unified into it.
struct Row {
    fields: Vec<(String, Field)>,
    more: Value,
    closed: bool,
    name: Option<(Value, Value)>,
}

impl Row {
    fn is_static(&self) -> bool {
        self.closed && self.fields.iter().all(|(_, field)| !matches!(field, Field::Either { .. }))
    }

    /// Whether it may be written as the abbreviation that it was made from.
    fn is_nameable(&self) -> bool {
        self.name.is_some()
            && self.fields.iter().all(|(_, field)| match field {
                Field::Either { constant: true, types } => self.closed && types.is_empty(),
                Field::Either { constant: false, types } => self.closed && types.len() == 1,
                Field::Present(_) | Field::Absent => true,
            })
    }
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
    pub fn whole(graph: &'g Graph<'g>, ty: Value) -> Result<String, CmiError> {
        let mut printer = Self::new(graph);
        printer.prepare(ty)?;
        let mut text = String::new();
        printer.print(ty, Around::Nothing, &mut text)?;
        Ok(text)
    }

    /// The node without links, and its description.
    pub fn resolve(&self, mut ty: Value) -> Result<(Value, Variant<'g>), CmiError> {
        loop {
            let desc = self.graph.variant(self.graph.record::<4>(ty)?[0])?;
            match desc {
                Variant::Block(6, [link]) => ty = *link,
                desc => return Ok((ty, desc)),
            }
        }
    }

    /// Whether the type is a variable.
    pub fn is_variable(&self, ty: Value) -> Result<bool, CmiError> {
        Ok(matches!(self.resolve(ty)?.1, Variant::Block(0, _)))
    }

    /// Looks at a type before anything is printed: which names are taken, and what has to be written
    /// with `as 'a` because it is met again.
    pub fn prepare(&mut self, ty: Value) -> Result<(), CmiError> {
        self.look(ty, &mut Vec::new())
    }

    fn look(&mut self, ty: Value, above: &mut Vec<Value>) -> Result<(), CmiError> {
        let graph = self.graph;
        let (node, desc) = self.resolve(ty)?;
        let proxy = self.proxy(node, desc)?;
        graph.spend(above.len() / 8)?;
        if above.contains(&proxy) && !matches!(desc, Variant::Block(0 | 9 | 10, _)) {
            self.aliased.insert(proxy);
            return Ok(());
        }
        above.push(proxy);
        let done = graph.deeper(|| self.look_inside(node, proxy, desc, above));
        above.pop();
        done
    }

    fn look_inside(
        &mut self,
        node: Value,
        proxy: Value,
        desc: Variant<'g>,
        above: &mut Vec<Value>,
    ) -> Result<(), CmiError> {
        let graph = self.graph;
        match desc {
            Variant::Block(0 | 9, [name]) => {
                if let Some(name) = graph.option(*name)? {
                    self.reserved.insert(format!("'{}", graph.text(name)?));
                }
                Ok(())
            }
            Variant::Block(1, [_, argument, result, _]) => {
                self.look(*argument, above)?;
                self.look(*result, above)
            }
            Variant::Block(2, [parts]) => graph.list(*parts)?.into_iter().try_for_each(|part| {
                let (_, ty) = self.part(part)?;
                self.look(ty, above)
            }),
            Variant::Block(3, [_, arguments, _]) => self.look_at_all(*arguments, above),
            Variant::Block(4, [fields, name]) => {
                if self.rows.contains(&proxy) {
                    self.aliased.insert(proxy);
                    return Ok(());
                }
                if proxy != node {
                    self.rows.insert(proxy);
                }
                match graph.option(graph.contents(*name)?)? {
                    Some(named) => {
                        let arguments = graph.list(graph.pair(named)?.1)?;
                        arguments.into_iter().skip(1).try_for_each(|ty| self.look(ty, above))
                    }
                    None => {
                        let (methods, _) = self.methods(*fields)?;
                        methods.into_iter().try_for_each(|(_, ty)| self.look(ty, above))
                    }
                }
            }
            Variant::Block(8, [row]) => {
                if self.rows.contains(&proxy) {
                    self.aliased.insert(proxy);
                    return Ok(());
                }
                let row = self.row(*row)?;
                if !row.is_static() {
                    self.rows.insert(proxy);
                }
                match row.name {
                    Some((_, arguments)) if row.is_nameable() => self.look_at_all(arguments, above),
                    _ => row.fields.iter().try_for_each(|(_, field)| match field {
                        Field::Present(Some(ty)) => self.look(*ty, above),
                        Field::Either { types, .. } => types.iter().try_for_each(|ty| self.look(*ty, above)),
                        Field::Present(None) | Field::Absent => Ok(()),
                    }),
                }
            }
            Variant::Block(10, [body, bound]) => {
                for variable in graph.list(*bound)? {
                    let (node, desc) = self.resolve(variable)?;
                    let proxy = self.proxy(node, desc)?;
                    self.aliased.insert(proxy);
                    // Its name, if it has one.
                    self.look(variable, above)?;
                }
                self.look(*body, above)
            }
            Variant::Block(11, package) => {
                let (_, constraints) = self.package(package)?;
                constraints.into_iter().try_for_each(|(_, ty)| self.look(ty, above))
            }
            Variant::Block(..) | Variant::Constant(_) => Ok(()),
        }
    }

    fn look_at_all(&mut self, types: Value, above: &mut Vec<Value>) -> Result<(), CmiError> {
        self.graph.list(types)?.into_iter().try_for_each(|ty| self.look(ty, above))
    }

    /// What identifies a type: an object or variant with a row variable is the same as long as that is.
    fn proxy(&self, node: Value, desc: Variant<'g>) -> Result<Value, CmiError> {
        match desc {
            Variant::Block(4, [fields, _]) => {
                let mut at = *fields;
                loop {
                    let (below, desc) = self.resolve(at)?;
                    match desc {
                        Variant::Block(5, [_, _, _, rest]) => at = *rest,
                        Variant::Block(..) => return Ok(below),
                        Variant::Constant(_) => return Ok(node),
                    }
                }
            }
            Variant::Block(8, [row]) => {
                let row = self.row(*row)?;
                Ok(if row.is_static() { node } else { self.resolve(row.more)?.0 })
            }
            _ => Ok(node),
        }
    }

    /// Gives a parameter of a declaration its name, before what is declared is looked at. It is not
    /// written as what it stands for: see [`TypePrinter::constraint`].
    pub fn bind(&mut self, ty: Value) -> Result<String, CmiError> {
        let (node, desc) = self.resolve(ty)?;
        let proxy = self.proxy(node, desc)?;
        self.aliased.insert(proxy);
        self.written.insert(proxy);
        self.name(proxy)
    }

    /// What a bound parameter stands for, if it is no variable.
    pub fn constraint(&mut self, ty: Value) -> Result<Option<String>, CmiError> {
        let (_, desc) = self.resolve(ty)?;
        if matches!(desc, Variant::Block(0 | 9, _)) {
            return Ok(None);
        }
        let mut text = String::new();
        self.print_desc(desc, Around::Nothing, &mut text)?;
        Ok(Some(text))
    }

    /// Meets the type of an object itself, which is not written where it is met.
    pub fn meet(&mut self, ty: Value) -> Result<(), CmiError> {
        let (node, desc) = self.resolve(ty)?;
        let proxy = self.proxy(node, desc)?;
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
    pub fn is_met_again(&self, ty: Value) -> Result<bool, CmiError> {
        let (node, desc) = self.resolve(ty)?;
        Ok(self.aliased.contains(&self.proxy(node, desc)?))
    }

    /// Prints what the type called `own` is declared to be: a variant that has that very name is
    /// written out.
    pub fn print_manifest(&mut self, own: &str, ty: Value, out: &mut String) -> Result<(), CmiError> {
        if let Variant::Block(8, [row]) = self.resolve(ty)?.1 {
            let mut row = self.row(*row)?;
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
    pub fn print(&mut self, ty: Value, around: Around, out: &mut String) -> Result<(), CmiError> {
        let graph = self.graph;
        let (node, desc) = self.resolve(ty)?;
        let proxy = self.proxy(node, desc)?;
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

    fn print_desc(&mut self, desc: Variant<'g>, around: Around, out: &mut String) -> Result<(), CmiError> {
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
                    let (label, ty) = self.part(part)?;
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
                let row = self.row(*row)?;
                self.print_row(&row, out)
            }
            Variant::Block(10, [body, bound]) => {
                let bound = graph.list(*bound)?;
                let mut variables = Vec::new();
                if !bound.is_empty() {
                    let mut names = Vec::new();
                    for variable in bound {
                        let (node, desc) = self.resolve(variable)?;
                        let proxy = self.proxy(node, desc)?;
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
                let (path, constraints) = self.package(package)?;
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
    pub fn print_argument(&mut self, label: Value, ty: Value, out: &mut String) -> Result<(), CmiError> {
        let graph = self.graph;
        match graph.variant(label)? {
            Variant::Constant(0) => self.print(ty, Around::Argument, out),
            Variant::Block(0, [label]) => {
                graph.put(out, &format!("{}:", graph.text(*label)?))?;
                self.print(ty, Around::Argument, out)
            }
            Variant::Block(1, [label]) => {
                graph.put(out, &format!("?{}:", graph.text(*label)?))?;
                match self.resolve(ty)?.1 {
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
    pub fn print_arguments(&mut self, types: Value, skip: usize, out: &mut String) -> Result<(), CmiError> {
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

    fn print_object(&mut self, fields: Value, name: Value, out: &mut String) -> Result<(), CmiError> {
        let graph = self.graph;
        if let Some(named) = graph.option(graph.contents(name)?)? {
            let (path, arguments) = graph.pair(named)?;
            self.print_arguments(arguments, 1, out)?;
            let path = graph.path(path)?;
            return graph.put(out, &format!("#{}", path.replace('#', "")));
        }
        let (methods, is_open) = self.methods(fields)?;
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

    fn print_row(&mut self, row: &Row, out: &mut String) -> Result<(), CmiError> {
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

    fn print_field(&mut self, field: &Field, out: &mut String) -> Result<(), CmiError> {
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
    fn name(&mut self, proxy: Value) -> Result<String, CmiError> {
        if let Some(name) = self.names.get(&proxy) {
            return Ok(name.clone());
        }
        let given = match self.resolve(proxy)?.1 {
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

    /// A part of a tuple: since OCaml 5.4 it may have a label.
    fn part(&self, part: Value) -> Result<(Option<String>, Value), CmiError> {
        match self.graph.variant(part)? {
            Variant::Block(0, [label, ty]) => {
                let label = self.graph.option(*label)?.map(|label| self.graph.text(label)).transpose()?;
                Ok((label, *ty))
            }
            Variant::Block(0, [_, _, _, _]) => Ok((None, part)),
            _ => Err(STRANGE),
        }
    }

    /// The path and the constraints of a first-class module: one record since OCaml 5.4.
    fn package(&self, fields: &[Value]) -> Result<(Value, Vec<(String, Value)>), CmiError> {
        let (path, constraints) = match fields {
            [package] => self.graph.pair(*package)?,
            [path, constraints] => (*path, *constraints),
            _ => return Err(STRANGE),
        };
        let constraint = |constraint| {
            let (name, ty) = self.graph.pair(constraint)?;
            Ok((self.long_name(name)?, ty))
        };
        Ok((path, self.graph.list(constraints)?.into_iter().map(constraint).collect::<Result<_, _>>()?))
    }

    /// A list of names; before OCaml 5.4 a `Longident.t`.
    fn long_name(&self, name: Value) -> Result<String, CmiError> {
        match self.graph.variant(name)? {
            Variant::Block(0, [name]) => self.graph.text(*name),
            Variant::Block(0, [_, _]) => {
                let names = self.graph.list(name)?.into_iter().map(|name| self.graph.text(name));
                Ok(names.collect::<Result<Vec<_>, _>>()?.join("."))
            }
            Variant::Block(1, [before, name]) => {
                self.graph.deeper(|| Ok(format!("{}.{}", self.long_name(*before)?, self.graph.text(*name)?)))
            }
            _ => Err(STRANGE),
        }
    }

    /// The public methods of an object type, by name, and whether it may have more.
    pub fn methods(&self, mut fields: Value) -> Result<(Vec<(String, Value)>, bool), CmiError> {
        let mut methods = Vec::new();
        loop {
            match self.resolve(fields)?.1 {
                Variant::Block(5, [name, kind, ty, rest]) => {
                    if self.is_public(*kind)? {
                        methods.push((self.graph.text(*name)?, *ty));
                    }
                    fields = *rest;
                }
                end => {
                    methods.sort_by(|(first, _), (second, _)| first.cmp(second));
                    return Ok((methods, matches!(end, Variant::Block(..))));
                }
            }
        }
    }

    /// Of a `field_kind`: variables are followed to `FKprivate` (0), `FKpublic` (1) or `FKabsent` (2).
    fn is_public(&self, mut kind: Value) -> Result<bool, CmiError> {
        loop {
            match self.graph.variant(kind)? {
                Variant::Constant(kind) => return Ok(kind == 1),
                Variant::Block(0, [inner]) => kind = *inner,
                Variant::Block(..) => return Err(STRANGE),
            }
        }
    }

    fn row(&self, mut row: Value) -> Result<Row, CmiError> {
        let graph = self.graph;
        let mut fields = Vec::new();
        loop {
            let [own, more, closed, _fixed, name] = *graph.record::<5>(row)? else { return Err(STRANGE) };
            for field in graph.list(own)? {
                let (label, field) = graph.pair(field)?;
                fields.push((graph.text(label)?, self.field(field)?));
            }
            match self.resolve(more)?.1 {
                Variant::Block(8, [inner]) => row = *inner,
                _ => {
                    fields.sort_by(|(first, _), (second, _)| first.cmp(second));
                    let name = graph.option(name)?.map(|name| graph.pair(name)).transpose()?;
                    return Ok(Row { fields, more, closed: graph.constant(closed)? != 0, name });
                }
            }
        }
    }

    fn field(&self, mut field: Value) -> Result<Field, CmiError> {
        let graph = self.graph;
        let mut gathered = Vec::new();
        loop {
            match graph.variant(field)? {
                Variant::Constant(_) => return Ok(Field::Absent),
                Variant::Block(0, [ty]) => return Ok(Field::Present(graph.option(*ty)?)),
                Variant::Block(1, [constant, types, _, extension]) => {
                    gathered.extend(graph.list(*types)?);
                    let inner = graph.contents(*extension)?;
                    if matches!(graph.variant(inner)?, Variant::Constant(1)) {
                        let constant = graph.constant(*constant)? != 0;
                        return Ok(Field::Either { constant, types: gathered });
                    }
                    field = inner;
                }
                _ => return Err(STRANGE),
            }
        }
    }
}
