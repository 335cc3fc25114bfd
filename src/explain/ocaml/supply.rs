//! What comparing two files may take: a file can hold many values, each of which unpacks to something large
//! or leads to more pairs than there are objects.

use std::cell::Cell;

use crate::ocaml::OcamlError;
use crate::ocaml::marshal::Heap;

/// So many bytes of values, unpacked, are read of both files. The compiler's own libraries, the largest that
/// I know, have fewer than half of that.
const BYTES: usize = 256 << 20;

/// So many pairs of fields are compared.
const STEPS: usize = 16 << 20;

#[derive(Debug)]
pub(super) struct Supply {
    bytes: Cell<usize>,
    steps: Cell<usize>,
}

impl Supply {
    pub fn new() -> Self {
        Self { bytes: Cell::new(BYTES), steps: Cell::new(STEPS) }
    }

    /// Reads the values at the beginning of two strings of bytes; gives what comes after them too.
    pub fn heaps<'b>(
        &self,
        before: &'b [u8],
        after: &'b [u8],
    ) -> Result<((Heap, &'b [u8]), (Heap, &'b [u8])), OcamlError> {
        Ok((self.heap(before)?, self.heap(after)?))
    }

    fn heap<'b>(&self, bytes: &'b [u8]) -> Result<(Heap, &'b [u8]), OcamlError> {
        let (heap, rest) = Heap::read(bytes)?;
        self.bytes.set(self.bytes.get().checked_sub(heap.size()).ok_or(OcamlError::TooLarge)?);
        Ok((heap, rest))
    }

    /// Takes so many steps; whether there were as many.
    pub fn step(&self, count: usize) -> bool {
        let left = self.steps.get().checked_sub(count);
        self.steps.set(left.unwrap_or(0));
        left.is_some()
    }
}
