//! `Slots`: what a node's slots are bound to, filled while its request is written.

use crate::derivation::{Input, Slot};
use crate::request::Layer;

/// The bindings of a node's slots, filled while its request is written.
#[derive(Default)]
pub(super) struct Slots(pub Vec<Input>);

impl Slots {
    /// The slot of an input.
    pub fn bind(&mut self, input: Input) -> Slot {
        let known = self.0.iter().position(|bound| *bound == input);
        known.unwrap_or_else(|| {
            self.0.push(input);
            self.0.len() - 1
        })
    }

    /// An input as a layer that messages call `name`.
    pub fn layer(&mut self, name: &str, input: Input) -> Layer<Slot> {
        Layer { name: name.to_owned(), tree: self.bind(input) }
    }
}
