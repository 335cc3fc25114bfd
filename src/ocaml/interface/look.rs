//! What is found out about types before they are printed.

use super::parts::Field;
use super::types::TypePrinter;
use crate::ocaml::OcamlError;
use crate::ocaml::graph::Variant;
use crate::ocaml::marshal::Value;

impl<'g> TypePrinter<'g> {
    /// Looks at a type before anything is printed: which names are taken, and what has to be written
    /// with `as 'a` because it is met again.
    pub fn prepare(&mut self, ty: Value) -> Result<(), OcamlError> {
        self.look(ty, &mut Vec::new())
    }

    fn look(&mut self, ty: Value, above: &mut Vec<Value>) -> Result<(), OcamlError> {
        let graph = self.graph;
        let (node, desc) = graph.resolve(ty)?;
        let proxy = graph.proxy(node, desc)?;
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
    ) -> Result<(), OcamlError> {
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
                let (_, ty) = graph.part(part)?;
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
                        let (methods, _) = graph.methods(*fields)?;
                        methods.into_iter().try_for_each(|(_, ty)| self.look(ty, above))
                    }
                }
            }
            Variant::Block(8, [row]) => {
                if self.rows.contains(&proxy) {
                    self.aliased.insert(proxy);
                    return Ok(());
                }
                let row = graph.row(*row)?;
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
                    let (node, desc) = graph.resolve(variable)?;
                    let proxy = graph.proxy(node, desc)?;
                    self.aliased.insert(proxy);
                    // Its name, if it has one.
                    self.look(variable, above)?;
                }
                self.look(*body, above)
            }
            Variant::Block(11, package) => {
                let (_, constraints) = graph.package(package)?;
                constraints.into_iter().try_for_each(|(_, ty)| self.look(ty, above))
            }
            Variant::Block(..) | Variant::Constant(_) => Ok(()),
        }
    }

    fn look_at_all(&mut self, types: Value, above: &mut Vec<Value>) -> Result<(), OcamlError> {
        self.graph.list(types)?.into_iter().try_for_each(|ty| self.look(ty, above))
    }
}
