//! The inputs that an action refers to: a document of somebody else's may name any number.

use crate::derivation::{Action, Slot};
use crate::request::{Layer, Request};

/// Every slot of the action.
pub(super) fn all(action: &Action) -> Vec<Slot> {
    let mut slots = Vec::new();
    match action {
        Action::Fetch(_) | Action::Git(_) | Action::Base(_) => {}
        Action::Script(script) => of_request(&script.request, &mut slots),
        Action::Build(build) => {
            of_request(&build.request, &mut slots);
            slots.extend(build.source);
        }
        Action::Opam(build) => {
            of_request(&build.request, &mut slots);
            slots.extend(build.source);
            slots.extend(build.present.iter().map(|present| present.layer));
            slots.extend(build.extra.iter().map(|(_, slot)| *slot));
        }
        Action::Tools(tools) => {
            of_request(&tools.request, &mut slots);
            slots.push(tools.base);
        }
        Action::Jtw(jtw) => {
            let layers = jtw.extra.iter().chain(&jtw.primitives).chain([&jtw.base]);
            slots.extend(layers.map(|layer: &Layer<Slot>| layer.tree));
            slots.push(jtw.layer);
        }
        Action::Compressed(compressed) => slots.push(compressed.files),
        Action::Assembly(assembly) => {
            slots.push(assembly.tools);
            slots.extend(assembly.page);
            slots.extend(assembly.compressed_tools);
            slots.extend(assembly.compressed_page);
            slots.extend(assembly.packages.iter().map(|package| package.jtw));
            slots.extend(assembly.packages.iter().filter_map(|package| package.compressed));
        }
    }
    slots
}

fn of_request(request: &Request<Slot>, slots: &mut Vec<Slot>) {
    request.map(&mut |slot| slots.push(*slot));
}
