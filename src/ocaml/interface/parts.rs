//! Parts of type expressions: links, objects, polymorphic variants, first-class modules, tuples.

use crate::ocaml::OcamlError;
use crate::ocaml::graph::{Graph, STRANGE, Variant};
use crate::ocaml::marshal::Value;

/// A field of a polymorphic variant.
pub(super) enum Field {
    Present(Option<Value>),
    Either { constant: bool, types: Vec<Value> },
    Absent,
}

/// A polymorphic variant, with the rows that were unified into it.
pub(super) struct Row {
    pub fields: Vec<(String, Field)>,
    pub more: Value,
    pub closed: bool,
    pub name: Option<(Value, Value)>,
}

impl Row {
    pub fn is_static(&self) -> bool {
        self.closed && self.fields.iter().all(|(_, field)| !matches!(field, Field::Either { .. }))
    }

    /// Whether it may be written as the abbreviation that it was made from.
    pub fn is_nameable(&self) -> bool {
        self.name.is_some()
            && self.fields.iter().all(|(_, field)| match field {
                Field::Either { constant: true, types } => self.closed && types.is_empty(),
                Field::Either { constant: false, types } => self.closed && types.len() == 1,
                Field::Present(_) | Field::Absent => true,
            })
    }
}

impl<'g> Graph<'g> {
    /// The node without links, and its description.
    pub fn resolve(&self, mut ty: Value) -> Result<(Value, Variant<'g>), OcamlError> {
        loop {
            let desc = self.variant(self.record::<4>(ty)?[0])?;
            match desc {
                Variant::Block(6, [link]) => ty = *link,
                desc => return Ok((ty, desc)),
            }
        }
    }

    /// Whether the type is a variable.
    pub fn is_variable(&self, ty: Value) -> Result<bool, OcamlError> {
        Ok(matches!(self.resolve(ty)?.1, Variant::Block(0, _)))
    }

    /// What identifies a type: an object or variant with a row variable is the same as long as that is.
    pub fn proxy(&self, node: Value, desc: Variant<'g>) -> Result<Value, OcamlError> {
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

    /// A part of a tuple: since OCaml 5.4 it may have a label.
    pub fn part(&self, part: Value) -> Result<(Option<String>, Value), OcamlError> {
        match self.variant(part)? {
            Variant::Block(0, [label, ty]) => {
                let label = self.option(*label)?.map(|label| self.text(label)).transpose()?;
                Ok((label, *ty))
            }
            Variant::Block(0, [_, _, _, _]) => Ok((None, part)),
            _ => Err(STRANGE),
        }
    }

    /// The path and the constraints of a first-class module: one record since OCaml 5.4.
    pub fn package(&self, fields: &[Value]) -> Result<(Value, Vec<(String, Value)>), OcamlError> {
        let (path, constraints) = match fields {
            [package] => self.pair(*package)?,
            [path, constraints] => (*path, *constraints),
            _ => return Err(STRANGE),
        };
        let constraint = |constraint| {
            let (name, ty) = self.pair(constraint)?;
            Ok((self.long_name(name)?, ty))
        };
        Ok((path, self.list(constraints)?.into_iter().map(constraint).collect::<Result<_, _>>()?))
    }

    /// A list of names; before OCaml 5.4 a `Longident.t`.
    fn long_name(&self, name: Value) -> Result<String, OcamlError> {
        match self.variant(name)? {
            Variant::Block(0, [name]) => self.text(*name),
            Variant::Block(0, [_, _]) => {
                let names = self.list(name)?.into_iter().map(|name| self.text(name));
                Ok(names.collect::<Result<Vec<_>, _>>()?.join("."))
            }
            Variant::Block(1, [before, name]) => {
                self.deeper(|| Ok(format!("{}.{}", self.long_name(*before)?, self.text(*name)?)))
            }
            _ => Err(STRANGE),
        }
    }

    /// The public methods of an object type, by name, and whether it may have more.
    pub fn methods(&self, mut fields: Value) -> Result<(Vec<(String, Value)>, bool), OcamlError> {
        let mut methods = Vec::new();
        loop {
            match self.resolve(fields)?.1 {
                Variant::Block(5, [name, kind, ty, rest]) => {
                    if self.is_public(*kind)? {
                        methods.push((self.text(*name)?, *ty));
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
    fn is_public(&self, mut kind: Value) -> Result<bool, OcamlError> {
        loop {
            match self.variant(kind)? {
                Variant::Constant(kind) => return Ok(kind == 1),
                Variant::Block(0, [inner]) => kind = *inner,
                Variant::Block(..) => return Err(STRANGE),
            }
        }
    }

    pub(super) fn row(&self, mut row: Value) -> Result<Row, OcamlError> {
        let mut fields = Vec::new();
        loop {
            let [own, more, closed, _fixed, name] = *self.record::<5>(row)? else { return Err(STRANGE) };
            for field in self.list(own)? {
                let (label, field) = self.pair(field)?;
                fields.push((self.text(label)?, self.field(field)?));
            }
            match self.resolve(more)?.1 {
                Variant::Block(8, [inner]) => row = *inner,
                _ => {
                    fields.sort_by(|(first, _), (second, _)| first.cmp(second));
                    let name = self.option(name)?.map(|name| self.pair(name)).transpose()?;
                    return Ok(Row { fields, more, closed: self.constant(closed)? != 0, name });
                }
            }
        }
    }

    fn field(&self, mut field: Value) -> Result<Field, OcamlError> {
        let mut gathered = Vec::new();
        loop {
            match self.variant(field)? {
                Variant::Constant(_) => return Ok(Field::Absent),
                Variant::Block(0, [ty]) => return Ok(Field::Present(self.option(*ty)?)),
                Variant::Block(1, [constant, types, _, extension]) => {
                    gathered.extend(self.list(*types)?);
                    let inner = self.contents(*extension)?;
                    if matches!(self.variant(inner)?, Variant::Constant(1)) {
                        let constant = self.constant(*constant)? != 0;
                        return Ok(Field::Either { constant, types: gathered });
                    }
                    field = inner;
                }
                Variant::Block(..) => return Err(STRANGE),
            }
        }
    }
}
