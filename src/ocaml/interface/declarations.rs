//! Declarations of values, types, exceptions and classes → their text.

use super::types::{Around, TypePrinter};
use crate::ocaml::OcamlError;
use crate::ocaml::graph::{Graph, STRANGE, Variant, is_operator};
use crate::ocaml::marshal::Value;

/// `val name : type`, or `external …`.
pub(super) fn value(graph: &Graph<'_>, name: &str, description: Value) -> Result<String, OcamlError> {
    let [ty, kind, ..] = *graph.record::<5>(description)? else { return Err(STRANGE) };
    let ty = TypePrinter::whole(graph, ty)?;
    let name = if is_operator(name) { format!("( {name} )") } else { name.to_owned() };
    match graph.variant(kind)? {
        Variant::Block(0, [primitive]) => {
            let [primitive, _, _, native, ..] = *graph.record::<6>(*primitive)? else { return Err(STRANGE) };
            let (primitive, native) = (graph.text(primitive)?, graph.text(native)?);
            let native = if native.is_empty() { native } else { format!(" \"{native}\"") };
            Ok(format!("external {name} : {ty} = \"{primitive}\"{native}"))
        }
        _ => Ok(format!("val {name} : {ty}")),
    }
}

/// `type ('a, 'b) name = …`.
pub(super) fn type_declaration(
    graph: &Graph<'_>,
    name: &str,
    declaration: Value,
) -> Result<String, OcamlError> {
    let fields = graph.record::<14>(declaration)?;
    let [parameters, _arity, kind, private, manifest, variance, ..] = *fields else { return Err(STRANGE) };
    let immediate = graph.constant(fields[11])?;
    let is_private = graph.constant(private)? == 0;
    let manifest = graph.option(manifest)?;
    let kind = graph.variant(kind)?;
    let is_abstract = matches!(kind, Variant::Block(0, _));
    let shows_variance = match kind {
        Variant::Block(0, _) => manifest.is_none() || is_private,
        Variant::Block(2, [constructors, _]) => is_private || has_results(graph, *constructors)?,
        Variant::Constant(_) => manifest.is_none(),
        Variant::Block(..) => is_private,
    };
    let mut types = TypePrinter::new(graph);
    let parameters = graph.list(parameters)?;
    for parameter in &parameters {
        types.prepare(*parameter)?;
    }
    if let Some(manifest) = manifest {
        types.name_all();
        types.prepare(manifest)?;
    }
    prepare_kind(graph, &mut types, kind)?;
    let mut named = Vec::new();
    for (parameter, variance) in parameters.iter().zip(graph.list(variance)?) {
        let shows = shows_variance || !graph.is_variable(*parameter)?;
        let variance = if shows { graph.constant(variance)? } else { UNKNOWN };
        let injective = is_abstract && manifest.is_none() && variance & INJECTIVE != 0;
        let mark = variance_mark(variance);
        let injective = if injective && shows { "!" } else { "" };
        named.push(format!("{mark}{injective}{}", types.bind(*parameter)?));
    }
    let mut text = String::from("type ");
    graph.put(&mut text, &before_a_name(&named))?;
    graph.put(&mut text, name)?;
    if let Some(manifest) = manifest {
        let private = if is_private && is_abstract { "private " } else { "" };
        graph.put(&mut text, &format!(" = {private}"))?;
        types.print_manifest(name, manifest, &mut text)?;
    }
    let private = if is_private { "private " } else { "" };
    match kind {
        Variant::Constant(_) => graph.put(&mut text, &format!(" = {private}.."))?,
        Variant::Block(1, [labels, representation]) => {
            graph.put(&mut text, &format!(" = {private}"))?;
            print_record(graph, &mut types, *labels, &mut text)?;
            if matches!(graph.variant(*representation)?, Variant::Block(0, _)) {
                graph.put(&mut text, " [@@unboxed]")?;
            }
        }
        Variant::Block(2, [constructors, representation]) => {
            graph.put(&mut text, &format!(" = {private}"))?;
            let constructors = graph.list(*constructors)?;
            if constructors.is_empty() {
                graph.put(&mut text, "|")?;
            }
            for (index, constructor) in constructors.into_iter().enumerate() {
                graph.put(&mut text, if index > 0 { " | " } else { "" })?;
                let [name, arguments, result, ..] = *graph.record::<6>(constructor)? else {
                    return Err(STRANGE);
                };
                print_constructor(graph, &mut types, &graph.ident(name)?, arguments, result, &mut text)?;
            }
            if graph.constant(*representation)? == 1 {
                graph.put(&mut text, " [@@unboxed]")?;
            }
        }
        Variant::Block(..) => {}
    }
    for parameter in parameters {
        if let Some(stands_for) = types.constraint(parameter)? {
            let name = types.bind(parameter)?;
            graph.put(&mut text, &format!(" constraint {name} = {stands_for}"))?;
        }
    }
    // What the compiler finds out of a manifest is not told; that a type is immediate on 64 bits only
    // cannot be found out.
    if is_abstract && immediate == 2 {
        graph.put(&mut text, " [@@immediate64]")?;
    } else if is_abstract && manifest.is_none() && immediate == 1 {
        graph.put(&mut text, " [@@immediate]")?;
    }
    Ok(text)
}

/// Bits of a variance: whether the parameter may occur positively, negatively, and whether it is injective.
const POSITIVE: i64 = 1;
const NEGATIVE: i64 = 2;
const INJECTIVE: i64 = 8;
const UNKNOWN: i64 = POSITIVE | NEGATIVE;

fn variance_mark(variance: i64) -> &'static str {
    match (variance & POSITIVE != 0, variance & NEGATIVE != 0) {
        (true, true) => "",
        (true, false) => "+",
        (false, true) => "-",
        (false, false) => "+-",
    }
}

/// Parameters as they stand before the name of a type.
fn before_a_name(parameters: &[String]) -> String {
    match parameters {
        [] => String::new(),
        [one] => format!("{one} "),
        several => format!("({}) ", several.join(", ")),
    }
}

fn has_results(graph: &Graph<'_>, constructors: Value) -> Result<bool, OcamlError> {
    for constructor in graph.list(constructors)? {
        if graph.option(graph.record::<6>(constructor)?[2])?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn prepare_kind(graph: &Graph<'_>, types: &mut TypePrinter<'_>, kind: Variant<'_>) -> Result<(), OcamlError> {
    match kind {
        Variant::Block(1, [labels, _]) => prepare_record(graph, types, *labels),
        Variant::Block(2, [constructors, _]) => {
            graph.list(*constructors)?.into_iter().try_for_each(|constructor| {
                let constructor = graph.record::<6>(constructor)?;
                prepare_arguments(graph, types, constructor[1], constructor[2])
            })
        }
        _ => Ok(()),
    }
}

fn prepare_record(graph: &Graph<'_>, types: &mut TypePrinter<'_>, labels: Value) -> Result<(), OcamlError> {
    graph.list(labels)?.into_iter().try_for_each(|label| types.prepare(Label::read(graph, label)?.ty))
}

fn prepare_arguments(
    graph: &Graph<'_>,
    types: &mut TypePrinter<'_>,
    arguments: Value,
    result: Value,
) -> Result<(), OcamlError> {
    match graph.variant(arguments)? {
        Variant::Block(0, [list]) => graph.list(*list)?.into_iter().try_for_each(|ty| types.prepare(ty))?,
        Variant::Block(1, [labels]) => prepare_record(graph, types, *labels)?,
        _ => return Err(STRANGE),
    }
    graph.option(result)?.map_or(Ok(()), |ty| types.prepare(ty))
}

/// A field of a record.
struct Label {
    name: String,
    is_mutable: bool,
    is_atomic: bool,
    ty: Value,
}

impl Label {
    fn read(graph: &Graph<'_>, label: Value) -> Result<Self, OcamlError> {
        match *graph.record::<6>(label)? {
            [name, mutable, ty, _, _, _] => Ok(Self {
                name: graph.ident(name)?,
                is_mutable: graph.constant(mutable)? == 1,
                is_atomic: false,
                ty,
            }),
            // Since OCaml 5.4.
            [name, mutable, atomic, ty, _, _, _] => Ok(Self {
                name: graph.ident(name)?,
                is_mutable: graph.constant(mutable)? == 1,
                is_atomic: graph.constant(atomic)? == 1,
                ty,
            }),
            _ => Err(STRANGE),
        }
    }
}

fn print_record(
    graph: &Graph<'_>,
    types: &mut TypePrinter<'_>,
    labels: Value,
    out: &mut String,
) -> Result<(), OcamlError> {
    graph.put(out, "{")?;
    for label in graph.list(labels)? {
        let label = Label::read(graph, label)?;
        let mutable = if label.is_mutable { "mutable " } else { "" };
        graph.put(out, &format!(" {mutable}{} : ", label.name))?;
        types.print(label.ty, Around::Nothing, out)?;
        graph.put(out, if label.is_atomic { " [@atomic];" } else { ";" })?;
    }
    graph.put(out, " }")
}

fn print_constructor(
    graph: &Graph<'_>,
    types: &mut TypePrinter<'_>,
    name: &str,
    arguments: Value,
    result: Value,
    out: &mut String,
) -> Result<(), OcamlError> {
    let name = if name == "::" { "(::)" } else { name };
    graph.put(out, name)?;
    let result = graph.option(result)?;
    // The variables of a constructor with a type of its own are its own.
    let outside = result.map(|_| types.take_names());
    let arguments = graph.variant(arguments)?;
    let has_arguments = match arguments {
        Variant::Block(0, [list]) => !matches!(graph.variant(*list)?, Variant::Constant(0)),
        _ => true,
    };
    graph.put(
        out,
        match (has_arguments, result) {
            (true, None) => " of ",
            (_, Some(_)) => " : ",
            (false, None) => "",
        },
    )?;
    match arguments {
        Variant::Block(0, [list]) => {
            for (index, ty) in graph.list(*list)?.into_iter().enumerate() {
                graph.put(out, if index > 0 { " * " } else { "" })?;
                types.print(ty, Around::Simple, out)?;
            }
        }
        Variant::Block(1, [labels]) => print_record(graph, types, *labels, out)?,
        _ => return Err(STRANGE),
    }
    if let Some(result) = result {
        graph.put(out, if has_arguments { " -> " } else { "" })?;
        types.print(result, Around::Simple, out)?;
    }
    if let Some(outside) = outside {
        types.restore(outside);
    }
    Ok(())
}

/// `exception Name of …`, or `type t += Name of …`.
pub(super) fn extension(
    graph: &Graph<'_>,
    name: &str,
    constructor: Value,
    is_exception: bool,
) -> Result<String, OcamlError> {
    let [path, parameters, arguments, result, private, ..] = *graph.record::<8>(constructor)? else {
        return Err(STRANGE);
    };
    let mut types = TypePrinter::new(graph);
    let parameters = graph.list(parameters)?;
    for parameter in &parameters {
        types.prepare(*parameter)?;
    }
    prepare_arguments(graph, &mut types, arguments, result)?;
    let mut text = String::new();
    if is_exception {
        graph.put(&mut text, "exception ")?;
    } else {
        let named: Result<Vec<String>, OcamlError> =
            parameters.iter().map(|parameter| types.bind(*parameter)).collect();
        let private = if graph.constant(private)? == 0 { "private " } else { "" };
        let of = format!("type {}{} += {private}", before_a_name(&named?), graph.path(path)?);
        graph.put(&mut text, &of)?;
    }
    print_constructor(graph, &mut types, name, arguments, result, &mut text)?;
    Ok(text)
}

/// `class ['a] name : …`.
pub(super) fn class(graph: &Graph<'_>, name: &str, declaration: Value) -> Result<String, OcamlError> {
    let [parameters, ty, _, new, ..] = *graph.record::<8>(declaration)? else { return Err(STRANGE) };
    let is_virtual = graph.option(new)?.is_none();
    let word = if is_virtual { "class virtual" } else { "class" };
    class_text(graph, word, name, ":", parameters, ty)
}

/// `class type ['a] name = …`.
pub(super) fn class_type(graph: &Graph<'_>, name: &str, declaration: Value) -> Result<String, OcamlError> {
    let [parameters, ty, ..] = *graph.record::<8>(declaration)? else { return Err(STRANGE) };
    class_text(graph, "class type", name, "=", parameters, ty)
}

fn class_text(
    graph: &Graph<'_>,
    word: &str,
    name: &str,
    between: &str,
    parameters: Value,
    ty: Value,
) -> Result<String, OcamlError> {
    let mut types = TypePrinter::new(graph);
    let parameters = graph.list(parameters)?;
    for parameter in &parameters {
        types.prepare(*parameter)?;
    }
    prepare_class(graph, &mut types, ty)?;
    let named: Result<Vec<String>, OcamlError> =
        parameters.iter().map(|parameter| types.bind(*parameter)).collect();
    let named = named?;
    let named = if named.is_empty() { String::new() } else { format!("[{}] ", named.join(", ")) };
    let mut text = format!("{word} {named}{name} {between} ");
    print_class(graph, &mut types, ty, &mut text)?;
    Ok(text)
}

/// Methods and instance variables of a class, as text goes: what stands before the type, and the type.
fn members(graph: &Graph<'_>, variables: Value, methods: Value) -> Result<Vec<(String, Value)>, OcamlError> {
    let mut members = Vec::new();
    for (name, variable) in graph.map(variables)? {
        let [mutable, concrete, ty] = *graph.record::<3>(variable)? else { return Err(STRANGE) };
        let mutable = if graph.constant(mutable)? == 1 { "mutable " } else { "" };
        let word = if graph.constant(concrete)? == 0 { "virtual " } else { "" };
        members.push((format!("val {mutable}{word}{} : ", graph.text(name)?), ty));
    }
    for (name, method) in graph.map(methods)? {
        let [privacy, concrete, ty] = *graph.record::<3>(method)? else { return Err(STRANGE) };
        let privacy = if matches!(graph.variant(privacy)?, Variant::Block(..)) { "private " } else { "" };
        let word = if graph.constant(concrete)? == 0 { "virtual " } else { "" };
        let name = graph.text(name)?;
        // The compiler's own mark of a class whose methods are not all known.
        if !name.starts_with('*') {
            members.push((format!("method {privacy}{word}{name} : "), ty));
        }
    }
    Ok(members)
}

fn prepare_class(graph: &Graph<'_>, types: &mut TypePrinter<'_>, ty: Value) -> Result<(), OcamlError> {
    graph.deeper(|| match graph.variant(ty)? {
        Variant::Block(0, [_, arguments, _]) => {
            graph.list(*arguments)?.into_iter().try_for_each(|ty| types.prepare(ty))
        }
        Variant::Block(1, [signature]) => {
            let [itself, _, variables, methods] = *graph.record::<4>(*signature)? else {
                return Err(STRANGE);
            };
            types.meet(itself)?;
            members(graph, variables, methods)?.into_iter().try_for_each(|(_, ty)| types.prepare(ty))
        }
        Variant::Block(2, [_, argument, result]) => {
            types.prepare(*argument)?;
            prepare_class(graph, types, *result)
        }
        _ => Err(STRANGE),
    })
}

fn print_class(
    graph: &Graph<'_>,
    types: &mut TypePrinter<'_>,
    ty: Value,
    out: &mut String,
) -> Result<(), OcamlError> {
    graph.deeper(|| match graph.variant(ty)? {
        Variant::Block(0, [path, arguments, _]) => {
            let mut inside = Vec::new();
            for argument in graph.list(*arguments)? {
                let mut text = String::new();
                types.print(argument, Around::Nothing, &mut text)?;
                inside.push(text);
            }
            if !inside.is_empty() {
                graph.put(out, &format!("[{}] ", inside.join(", ")))?;
            }
            graph.put(out, &graph.path(*path)?)
        }
        Variant::Block(1, [signature]) => {
            let [itself, _, variables, methods] = *graph.record::<4>(*signature)? else {
                return Err(STRANGE);
            };
            graph.put(out, "object ")?;
            if types.is_met_again(itself)? {
                let name = types.bind(itself)?;
                graph.put(out, &format!("({name}) "))?;
            }
            for (head, ty) in members(graph, variables, methods)? {
                graph.put(out, &head)?;
                types.print(ty, Around::Nothing, out)?;
                graph.put(out, " ")?;
            }
            graph.put(out, "end")
        }
        Variant::Block(2, [label, argument, result]) => {
            types.print_argument(*label, *argument, out)?;
            graph.put(out, " -> ")?;
            print_class(graph, types, *result, out)
        }
        _ => Err(STRANGE),
    })
}
