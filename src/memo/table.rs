//! `Table`: a plan and what came of it, flat: one record a node, read without taking it apart and
//! changed in place.
//!
//! ```text
//! magic; counts of nodes, inputs, given trees; nodes × record; inputs × u32; given × 32 bytes;
//! names, one after the other; checksum
//! ```
//! An input is the position of a node, or, with the highest bit set, that of a given tree.

use std::ops::Range;

use crate::bytes::{self, Check, Reader, WORD, Writer};
use crate::derivation::{BuildKey, Input, Kind, PlanKey};
use crate::plan::Plan;
use crate::store::tree::TreeHash;

const MAGIC: &[u8; WORD] = b"jtwbuild table 1";
const KINDS: [Kind; 8] = [
    Kind::Source,
    Kind::Base,
    Kind::Build,
    Kind::JtwTools,
    Kind::Jtw,
    Kind::Assembly,
    Kind::Node,
    Kind::Compressed,
];

/// Set in an input that is a given tree.
const GIVEN: u32 = 1 << 31;

// One record: kind; which hashes are known; ends of its name and inputs; place, length and checksum
// of its head; plan key, build key and output.
const NAME_END: usize = 4;
const INPUTS_END: usize = 8;
const HEAD_LENGTH: usize = 12;
const HEAD_AT: usize = 16;
const HEAD_CHECK: usize = 24;
const PLAN: usize = HEAD_CHECK + 8;
const BUILD: usize = PLAN + 32;
const TREE: usize = BUILD + 32;
const RECORD: usize = TREE + 32;

/// What came of a node: its build key and its output, as far as they are known.
pub type Result = (Option<BuildKey>, Option<TreeHash>);

/// A plan and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The file, without its checksum.
    bytes: Vec<u8>,
    nodes: usize,
    inputs_at: usize,
    given_at: usize,
    names_at: usize,
}

/// Where a node's head is in the file of heads, and what it is checked with.
pub(super) struct HeadPlace {
    pub at: u64,
    pub length: usize,
    pub check: u64,
}

impl Table {
    /// The table of `plan` with the results of its nodes in plan order, and the heads that go with
    /// it, one after the other.
    pub fn new(plan: &Plan, results: impl Iterator<Item = Result>) -> (Self, Vec<u8>) {
        let (mut records, mut inputs) = (Vec::with_capacity(plan.len() * RECORD), Writer(Vec::new()));
        let (mut given, mut names, mut heads) = (Vec::new(), Vec::new(), Vec::new());
        for (node, (build, tree)) in plan.ids().zip(results) {
            let derivation = plan.derivation(node);
            for input in &derivation.inputs {
                match input {
                    Input::Node(id) => inputs.number(id.index()),
                    Input::Tree(tree) => {
                        inputs.number((given.len() / 32) | GIVEN as usize);
                        given.extend(tree.as_bytes());
                    }
                }
            }
            names.extend(derivation.name.as_bytes());
            let kind = KINDS.iter().position(|kind| *kind == derivation.kind).unwrap_or_default();
            let known = u8::from(build.is_some()) | u8::from(tree.is_some()) << 1;
            let mut record = Writer(vec![u8::try_from(kind).unwrap_or(u8::MAX), known, 0, 0]);
            record.number(names.len());
            record.number(inputs.0.len() / 4);
            record.number(derivation.head().len());
            record.0.extend((heads.len() as u64).to_le_bytes());
            record.0.extend(bytes::quick_check(derivation.head()).to_le_bytes());
            record.0.extend(plan.key(node).as_bytes());
            record.0.extend(build.map_or([0; 32], |key| *key.as_bytes()));
            record.0.extend(tree.map_or([0; 32], |tree| *tree.as_bytes()));
            records.extend(record.0);
            heads.extend(derivation.head());
        }
        let mut whole = Writer(MAGIC.to_vec());
        [plan.len(), inputs.0.len() / 4, given.len() / 32].iter().for_each(|count| whole.number(*count));
        let inputs_at = whole.0.len() + records.len();
        let given_at = inputs_at + inputs.0.len();
        let names_at = given_at + given.len();
        [records, inputs.0, given, names].iter().for_each(|part| whole.0.extend(part));
        (Self { bytes: whole.0, nodes: plan.len(), inputs_at, given_at, names_at }, heads)
    }

    /// Reads a file; `None` if it is not one that [`seal`](Self::seal) gave.
    pub fn read(mut file: Vec<u8>) -> Option<Self> {
        let content = bytes::unseal(&file, MAGIC)?;
        let mut reader = Reader(content);
        let (nodes, inputs, given) = (reader.number()?, reader.number()?, reader.number()?);
        let inputs_at = nodes.checked_mul(RECORD)?.checked_add(file.len() - WORD - reader.0.len())?;
        let given_at = inputs.checked_mul(4)?.checked_add(inputs_at)?;
        let names_at = given.checked_mul(32)?.checked_add(given_at)?;
        file.truncate(file.len() - WORD);
        let table = Self { bytes: file, nodes, inputs_at, given_at, names_at };
        table.is_sound(inputs, given).then_some(table)
    }

    /// Whether everything in it leads to something that is there, and inputs stand before their
    /// users.
    fn is_sound(&self, inputs: usize, given: usize) -> bool {
        let Some(names) = self.bytes.len().checked_sub(self.names_at) else { return false };
        let (mut name, mut input) = (0, 0);
        (0..self.nodes).all(|node| {
            let record = self.record(node);
            let (name_end, input_end) = (number(record, NAME_END), number(record, INPUTS_END));
            let ordered = name <= name_end && name_end <= names && input <= input_end && input_end <= inputs;
            let sound = ordered
                && usize::from(record[0]) < KINDS.len()
                && std::str::from_utf8(&self.bytes[self.names_at + name..self.names_at + name_end]).is_ok()
                && self.raw_inputs(input..input_end).all(|raw| match raw & GIVEN {
                    0 => (raw as usize) < node,
                    _ => ((raw & !GIVEN) as usize) < given,
                });
            (name, input) = (name_end, input_end);
            sound
        })
    }

    /// The file, and the checksum in it.
    pub(super) fn seal(self) -> (Vec<u8>, Check) {
        let file = bytes::seal(self.bytes);
        let check = *file.last_chunk().expect("a sealed file ends in its checksum");
        (file, check)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes == 0
    }

    pub fn kind(&self, node: usize) -> Kind {
        KINDS[usize::from(self.record(node)[0])]
    }

    pub fn name(&self, node: usize) -> &str {
        let start = if node == 0 { 0 } else { number(self.record(node - 1), NAME_END) };
        let end = number(self.record(node), NAME_END);
        let bytes = &self.bytes[self.names_at + start..self.names_at + end];
        std::str::from_utf8(bytes).expect("names were looked at when the table was read")
    }

    pub fn plan_key(&self, node: usize) -> PlanKey {
        PlanKey::from_bytes(hash(self.record(node), PLAN))
    }

    /// What came of a node.
    pub fn result(&self, node: usize) -> Result {
        let record = self.record(node);
        let build = (record[1] & 1 != 0).then(|| BuildKey::from_bytes(hash(record, BUILD)));
        let tree = (record[1] & 2 != 0).then(|| TreeHash::from_bytes(hash(record, TREE)));
        (build, tree)
    }

    /// What a node's slots are bound to, by positions in the table.
    pub fn inputs(&self, node: usize) -> impl Iterator<Item = Input> + '_ {
        self.raw_inputs(self.slots(node)).map(|raw| match raw & GIVEN {
            0 => Input::Node(crate::derivation::NodeId(raw)),
            _ => Input::Tree(TreeHash::from_bytes(hash(
                &self.bytes,
                self.given_at + 32 * (raw & !GIVEN) as usize,
            ))),
        })
    }

    pub(super) fn head(&self, node: usize) -> HeadPlace {
        let record = self.record(node);
        let at = u64::from_le_bytes(array(record, HEAD_AT));
        HeadPlace {
            at,
            length: number(record, HEAD_LENGTH),
            check: u64::from_le_bytes(array(record, HEAD_CHECK)),
        }
    }

    /// Binds a slot that has a given tree to another one; `None` if it has no given tree.
    pub(super) fn give(&mut self, node: usize, slot: usize, tree: &TreeHash) -> Option<()> {
        if node >= self.nodes {
            return None;
        }
        let raw = self.raw_inputs(self.slots(node)).nth(slot).filter(|raw| raw & GIVEN != 0)?;
        let at = self.given_at + 32 * (raw & !GIVEN) as usize;
        self.bytes[at..at + 32].copy_from_slice(tree.as_bytes());
        Some(())
    }

    pub(super) fn set_plan_key(&mut self, node: usize, key: &PlanKey) {
        self.record_mut(node)[PLAN..BUILD].copy_from_slice(key.as_bytes());
    }

    /// Enters what came of a node.
    pub fn set_result(&mut self, node: usize, build: &BuildKey, tree: &TreeHash) {
        let record = self.record_mut(node);
        record[1] = 3;
        record[BUILD..TREE].copy_from_slice(build.as_bytes());
        record[TREE..].copy_from_slice(tree.as_bytes());
    }

    fn record(&self, node: usize) -> &[u8] {
        let start = MAGIC.len() + 12 + node * RECORD;
        &self.bytes[start..start + RECORD]
    }

    fn record_mut(&mut self, node: usize) -> &mut [u8] {
        let start = MAGIC.len() + 12 + node * RECORD;
        &mut self.bytes[start..start + RECORD]
    }

    fn slots(&self, node: usize) -> Range<usize> {
        let start = if node == 0 { 0 } else { number(self.record(node - 1), INPUTS_END) };
        start..number(self.record(node), INPUTS_END)
    }

    fn raw_inputs(&self, slots: Range<usize>) -> impl Iterator<Item = u32> + '_ {
        let bytes = &self.bytes[self.inputs_at + 4 * slots.start..self.inputs_at + 4 * slots.end];
        bytes.chunks_exact(4).map(|bytes| u32::from_le_bytes(array(bytes, 0)))
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..].first_chunk().copied().expect("the table was measured when it was read")
}

fn hash(bytes: &[u8], at: usize) -> [u8; 32] {
    array(bytes, at)
}

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(array(bytes, at)) as usize
}
