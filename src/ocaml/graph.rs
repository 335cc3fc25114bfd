//! Marshalled values as the constructors, records and lists of OCaml that they stand for.
//!
//! A graph from a stranger may have circles, and shared parts that print exponentially long. So every
//! step takes from a supply that is as large as honest interfaces need many times over, and steps into
//! something are counted.

use std::cell::Cell;

use crate::ocaml::OcamlError;
use crate::ocaml::marshal::{Heap, Value};

/// Steps, and bytes of text, that reading one interface may take. The most that was seen,
/// for the module types of Base's maps, is 300,000.
const SUPPLY: usize = 8 << 20;

/// Types and modules may nest this deep.
const DEEPEST: usize = 120;

/// What is not as OCaml has it.
pub(crate) const STRANGE: OcamlError =
    OcamlError::Damaged("its signature has another shape than the compiler's");

/// A value of a variant type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Variant<'a> {
    Constant(i64),
    /// Tag and arguments. Records and tuples are such a value of tag 0.
    Block(u8, &'a [Value]),
}

/// The values of one heap, and what is left of the supply.
#[derive(Debug)]
pub(crate) struct Graph<'a> {
    heap: &'a Heap,
    supply: Cell<usize>,
    depth: Cell<usize>,
}

impl<'a> Graph<'a> {
    pub fn new(heap: &'a Heap) -> Self {
        Self { heap, supply: Cell::new(SUPPLY), depth: Cell::new(0) }
    }

    /// Takes so much from the supply.
    pub fn spend(&self, amount: usize) -> Result<(), OcamlError> {
        self.supply.set(self.supply.get().checked_sub(amount).ok_or(OcamlError::TooLarge)?);
        Ok(())
    }

    /// Does something one level deeper.
    pub fn deeper<T>(&self, act: impl FnOnce() -> Result<T, OcamlError>) -> Result<T, OcamlError> {
        let depth = self.depth.get();
        if depth >= DEEPEST {
            return Err(OcamlError::TooDeep);
        }
        self.depth.set(depth + 1);
        let done = act();
        self.depth.set(depth);
        done
    }

    /// Adds text to `out`.
    pub fn put(&self, out: &mut String, text: &str) -> Result<(), OcamlError> {
        self.spend(text.len())?;
        out.push_str(text);
        Ok(())
    }

    pub fn variant(&self, value: Value) -> Result<Variant<'a>, OcamlError> {
        self.spend(1)?;
        match value {
            Value::Int(number) => Ok(Variant::Constant(number)),
            value => self.heap.block(value).map(|(tag, fields)| Variant::Block(tag, fields)).ok_or(STRANGE),
        }
    }

    /// The fields of a record or tuple that has at least `COUNT`.
    pub fn record<const COUNT: usize>(&self, value: Value) -> Result<&'a [Value], OcamlError> {
        match self.variant(value)? {
            Variant::Block(0, fields) if fields.len() >= COUNT => Ok(fields),
            _ => Err(STRANGE),
        }
    }

    pub fn pair(&self, value: Value) -> Result<(Value, Value), OcamlError> {
        let fields = self.record::<2>(value)?;
        Ok((fields[0], fields[1]))
    }

    pub fn list(&self, mut value: Value) -> Result<Vec<Value>, OcamlError> {
        let mut items = Vec::new();
        loop {
            match self.variant(value)? {
                Variant::Constant(0) => return Ok(items),
                Variant::Block(0, [first, rest]) => {
                    // Longer, it would be a circle.
                    if items.len() > self.heap.object_count() {
                        return Err(STRANGE);
                    }
                    items.push(*first);
                    value = *rest;
                }
                _ => return Err(STRANGE),
            }
        }
    }

    pub fn option(&self, value: Value) -> Result<Option<Value>, OcamlError> {
        match self.variant(value)? {
            Variant::Constant(0) => Ok(None),
            Variant::Block(0, [some]) => Ok(Some(*some)),
            _ => Err(STRANGE),
        }
    }

    /// A constant constructor, a boolean or a number.
    pub fn constant(&self, value: Value) -> Result<i64, OcamlError> {
        match self.variant(value)? {
            Variant::Constant(number) => Ok(number),
            Variant::Block(..) => Err(STRANGE),
        }
    }

    /// What a `ref` holds.
    pub fn contents(&self, value: Value) -> Result<Value, OcamlError> {
        Ok(self.record::<1>(value)?[0])
    }

    pub fn bytes(&self, value: Value) -> Result<&'a [u8], OcamlError> {
        let bytes = self.heap.string(value).ok_or(STRANGE)?;
        self.spend(bytes.len() + 1)?;
        Ok(bytes)
    }

    pub fn text(&self, value: Value) -> Result<String, OcamlError> {
        Ok(String::from_utf8_lossy(self.bytes(value)?).into_owned())
    }

    /// The bindings of a `Map.t`, in the order of the keys.
    pub fn map(&self, value: Value) -> Result<Vec<(Value, Value)>, OcamlError> {
        let mut bindings = Vec::new();
        self.map_into(value, &mut bindings)?;
        Ok(bindings)
    }

    fn map_into(&self, value: Value, bindings: &mut Vec<(Value, Value)>) -> Result<(), OcamlError> {
        match self.variant(value)? {
            Variant::Constant(0) => Ok(()),
            Variant::Block(0, [left, key, bound, right, _height]) => self.deeper(|| {
                self.map_into(*left, bindings)?;
                bindings.push((*key, *bound));
                self.map_into(*right, bindings)
            }),
            _ => Err(STRANGE),
        }
    }

    /// The name of an `Ident.t`: every constructor has it first.
    pub fn ident(&self, value: Value) -> Result<String, OcamlError> {
        match self.variant(value)? {
            Variant::Block(_, [name, ..]) => self.text(*name),
            _ => Err(STRANGE),
        }
    }

    /// A `Path.t` as one writes it: `Stdlib` is left out, and a module that the build gave a name like
    /// `Stdlib__Format` has the name that people use.
    pub fn path(&self, value: Value) -> Result<String, OcamlError> {
        let path = self.path_as_is(value)?;
        Ok(path.strip_prefix("Stdlib.").map(str::to_owned).unwrap_or(path))
    }

    fn path_as_is(&self, value: Value) -> Result<String, OcamlError> {
        let Variant::Block(tag, fields) = self.variant(value)? else { return Err(STRANGE) };
        self.deeper(|| match (tag, fields) {
            (0, [ident]) => Ok(readable(&self.ident(*ident)?)),
            (1, [before, name]) => {
                let (before, name) = (self.path_as_is(*before)?, self.text(*name)?);
                self.spend(before.len())?;
                let opening = if is_operator(&name) { "( " } else { "" };
                let closing = if is_operator(&name) { " )" } else { "" };
                Ok(format!("{before}.{opening}{name}{closing}"))
            }
            (2, [functor, argument]) => {
                let (functor, argument) = (self.path_as_is(*functor)?, self.path(*argument)?);
                self.spend(functor.len() + argument.len())?;
                Ok(format!("{functor}({argument})"))
            }
            // The type of an inline record: of a constructor, or of an exception.
            (3, [of, what]) => match self.variant(*what)? {
                Variant::Block(0, [constructor]) => {
                    Ok(format!("{}.{}", self.path_as_is(*of)?, self.text(*constructor)?))
                }
                _ => self.path_as_is(*of),
            },
            _ => Err(STRANGE),
        })
    }
}

/// The name of a module that the build gave it, as people say it: `Stdlib__Format` as `Stdlib.Format`, `Base__list0` as `Base.List0`.
pub(crate) fn readable(name: &str) -> String {
    match name.split_once("__") {
        Some((library, module)) if library.starts_with(char::is_uppercase) && !module.is_empty() => {
            let mut rest = module.chars();
            let first = rest.next().into_iter().flat_map(char::to_uppercase);
            format!("{library}.{}{}", first.collect::<String>(), rest.as_str())
        }
        _ => name.to_owned(),
    }
}

/// Whether a value of this name is written in parentheses: `+`, `let*`, `mod`.
pub(crate) fn is_operator(name: &str) -> bool {
    const WORDS: [&str; 8] = ["or", "mod", "land", "lor", "lxor", "lsl", "lsr", "asr"];
    let is_of_names = |one: char| one.is_ascii_alphanumeric() || one == '_' || one == '\'' || !one.is_ascii();
    WORDS.contains(&name) || !name.chars().all(is_of_names)
}
