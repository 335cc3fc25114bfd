//! Signatures → items, and module types on one line where they are no items.

use super::declarations::{class, class_type, extension, type_declaration, value};
use super::{Item, Kind};
use crate::ocaml::OcamlError;
use crate::ocaml::graph::{Graph, STRANGE, Variant};
use crate::ocaml::marshal::Value;

/// Stands for a signature whose members are items.
const SIGNATURE: &str = "sig … end";

/// The items of a signature that users can see, those of its modules behind each of them.
pub(super) fn items(graph: &Graph<'_>, signature: Value) -> Result<Vec<Item>, OcamlError> {
    let mut found = Vec::new();
    gather(graph, signature, "", &mut found)?;
    Ok(found)
}

fn gather(
    graph: &Graph<'_>,
    signature: Value,
    before: &str,
    found: &mut Vec<Item>,
) -> Result<(), OcamlError> {
    for member in members(graph, signature)? {
        let Member { kind, name, text, inside } = member;
        graph.spend(before.len() + name.len())?;
        let path = format!("{before}{name}");
        let inside_path = format!("{path}.");
        found.push(Item { kind, path, text });
        if let Some(signature) = inside {
            graph.deeper(|| gather(graph, signature, &inside_path, found))?;
        }
    }
    Ok(())
}

/// One item with the signature that it has, if it is a module.
struct Member {
    kind: Kind,
    name: String,
    text: String,
    inside: Option<Value>,
}

fn members(graph: &Graph<'_>, signature: Value) -> Result<Vec<Member>, OcamlError> {
    let mut members = Vec::new();
    // A class declares a class type and a type of its name too, which come behind it.
    let mut to_skip: &[u8] = &[];
    for item in graph.list(signature)? {
        let Variant::Block(tag, fields) = graph.variant(item)? else { return Err(STRANGE) };
        let ([ident, what, ..], Some(visibility)) = (fields, fields.last()) else { return Err(STRANGE) };
        let name = graph.ident(*ident)?;
        if let Some((first, rest)) = to_skip.split_first()
            && *first == tag
        {
            to_skip = rest;
            continue;
        }
        to_skip = match tag {
            5 => &[6, 1],
            6 => &[1],
            _ => &[],
        };
        // A private row type has a type of its own for the row.
        if graph.constant(*visibility)? != 0 || name.ends_with("#row") {
            continue;
        }
        let plain = |kind, text| (kind, text, None);
        let (kind, text, inside) = match (tag, fields) {
            (0, [_, _, _]) => plain(Kind::Value, value(graph, &name, *what)?),
            (1, [_, _, _, _]) => plain(Kind::Type, type_declaration(graph, &name, *what)?),
            (2, [_, _, status, _]) => {
                let is_exception = graph.constant(*status)? == 2;
                let kind = if is_exception { Kind::Exception } else { Kind::Extension };
                plain(kind, extension(graph, &name, *what, is_exception)?)
            }
            (3, [_, _, declaration, _, _]) => {
                let (text, inside) = module(graph, &name, graph.record::<4>(*declaration)?[0])?;
                (Kind::Module, text, inside)
            }
            (4, [_, _, _]) => match graph.option(graph.record::<4>(*what)?[0])? {
                Some(ty) => {
                    let mut text = format!("module type {name} = ");
                    let inside = print_head(graph, ty, &mut text)?;
                    (Kind::ModuleType, text, inside)
                }
                None => plain(Kind::ModuleType, format!("module type {name}")),
            },
            (5, [_, _, _, _]) => plain(Kind::Class, class(graph, &name, *what)?),
            (6, [_, _, _, _]) => plain(Kind::ClassType, class_type(graph, &name, *what)?),
            _ => return Err(STRANGE),
        };
        members.push(Member { kind, name, text, inside });
    }
    Ok(members)
}

/// The text of a module, and its signature or that of its result if it has one.
fn module(graph: &Graph<'_>, name: &str, ty: Value) -> Result<(String, Option<Value>), OcamlError> {
    if let Variant::Block(3, [path]) = graph.variant(ty)? {
        return Ok((format!("module {name} = {}", graph.path(*path)?), None));
    }
    let mut text = format!("module {name} : ");
    let inside = print_head(graph, ty, &mut text)?;
    Ok((text, inside))
}

/// Prints a module type without what is in its signature, which is given back.
fn print_head(graph: &Graph<'_>, ty: Value, out: &mut String) -> Result<Option<Value>, OcamlError> {
    graph.deeper(|| match graph.variant(ty)? {
        Variant::Block(0, [path]) => {
            graph.put(out, &graph.path(*path)?)?;
            Ok(None)
        }
        Variant::Block(1, [signature]) => {
            graph.put(out, SIGNATURE)?;
            Ok(Some(*signature))
        }
        Variant::Block(2, [parameter, result]) => {
            print_parameter(graph, *parameter, out)?;
            print_head(graph, *result, out)
        }
        Variant::Block(3, [path]) => {
            graph.put(out, &format!("(module {})", graph.path(*path)?))?;
            Ok(None)
        }
        _ => Err(STRANGE),
    })
}

fn print_parameter(graph: &Graph<'_>, parameter: Value, out: &mut String) -> Result<(), OcamlError> {
    match graph.variant(parameter)? {
        Variant::Constant(0) => graph.put(out, "() -> "),
        Variant::Block(0, [ident, ty]) => {
            let name = graph.option(*ident)?.map_or(Ok("_".to_owned()), |ident| graph.ident(ident))?;
            graph.put(out, &format!("({name} : "))?;
            print_module_type(graph, *ty, out)?;
            graph.put(out, ") -> ")
        }
        _ => Err(STRANGE),
    }
}

/// Prints a whole module type on one line.
fn print_module_type(graph: &Graph<'_>, ty: Value, out: &mut String) -> Result<(), OcamlError> {
    graph.deeper(|| match graph.variant(ty)? {
        Variant::Block(1, [signature]) => print_signature(graph, *signature, out),
        Variant::Block(2, [parameter, result]) => {
            print_parameter(graph, *parameter, out)?;
            print_module_type(graph, *result, out)
        }
        _ => print_head(graph, ty, out).map(|_| ()),
    })
}

fn print_signature(graph: &Graph<'_>, signature: Value, out: &mut String) -> Result<(), OcamlError> {
    graph.put(out, "sig ")?;
    for Member { text, inside, .. } in members(graph, signature)? {
        match inside {
            Some(inside) => {
                graph.put(out, text.strip_suffix(SIGNATURE).ok_or(STRANGE)?)?;
                graph.deeper(|| print_signature(graph, inside, out))?;
            }
            None => graph.put(out, &text)?,
        }
        graph.put(out, " ")?;
    }
    graph.put(out, "end")
}
