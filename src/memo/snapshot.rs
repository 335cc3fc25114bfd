//! From the table of an earlier plan to a small plan: only the nodes that changed sources reach, with
//! the keys that the whole plan would give them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::table::{HeadPlace, Table};
use super::watched::Source;
use crate::bytes::{self, WORD};
use crate::derivation::{Derivation, Input, Kind, NodeId, plan_key};
use crate::plan::Plan;
use crate::store::Store;
use crate::store::tree::TreeHash;

pub(super) const HEADS_MAGIC: &[u8; WORD] = b"jtwbuild heads 1";

/// Bytes before the first head: magic and checksum of what follows.
pub(super) const HEADS_AT: usize = 2 * WORD;

/// The part of a plan that changed sources reach.
#[derive(Debug)]
pub struct Part {
    pub plan: Plan,
    /// The position in the table of each node of the plan.
    pub places: Vec<usize>,
    /// By position in the table: whether the node is in the plan.
    pub is_in: Vec<bool>,
    /// By position in the table: whether some node needs it.
    pub is_needed: Vec<bool>,
}

/// Enters the new trees of sources into the table and plans what they reach. `None` if the table or
/// the heads do not tell enough, or an output that would be needed is not in the store any more.
pub fn plan_part(
    table: &mut Table,
    heads: &Path,
    store: &Store,
    changes: &[(&Source, TreeHash)],
) -> Option<Part> {
    let mut is_in = vec![false; table.len()];
    let mut is_needed = vec![false; table.len()];
    for (source, tree) in changes {
        for (node, slot) in &source.users {
            table.give(*node as usize, *slot as usize, tree)?;
            is_in[*node as usize] = true;
        }
    }
    let mut places = Vec::new();
    for node in 0..table.len() {
        for input in table.inputs(node) {
            if let Input::Node(input) = input {
                is_in[node] |= is_in[input.index()];
                is_needed[input.index()] = true;
            }
        }
        if is_in[node] {
            places.push(node);
        }
    }
    let heads = File::open(heads).ok()?;
    let mut plan = Plan::default();
    let mut ids = vec![None; table.len()];
    let mut is_there = vec![false; table.len()];
    for &node in &places {
        if table.kind(node) != Kind::Node {
            return None;
        }
        let head = read_head(&heads, &table.head(node))?;
        let mut inputs = Vec::new();
        let mut names = Vec::new();
        for input in table.inputs(node) {
            let (bound, name) = match input {
                Input::Tree(tree) => (input, *tree.as_bytes()),
                Input::Node(id) => {
                    let bound = match ids[id.index()] {
                        Some(planned) => Input::Node(planned),
                        None => Input::Tree(output(table, store, id, &mut is_there)?),
                    };
                    (bound, *table.plan_key(id.index()).as_bytes())
                }
            };
            inputs.push(bound);
            names.push(name);
        }
        let key = plan_key(&head, names.into_iter());
        let derivation = Derivation::with_head(Kind::Node, table.name(node).into(), head, inputs);
        ids[node] = Some(plan.add_keyed(derivation, key));
        table.set_plan_key(node, &key);
    }
    (plan.len() == places.len()).then_some(Part { plan, places, is_in, is_needed })
}

/// The output of a node that is not planned anew, if it is in the store.
fn output(table: &Table, store: &Store, node: NodeId, is_there: &mut [bool]) -> Option<TreeHash> {
    let tree = table.result(node.index()).1?;
    let known = &mut is_there[node.index()];
    *known = *known || store.use_tree(&tree).ok()?;
    known.then_some(tree)
}

fn read_head(heads: &File, place: &HeadPlace) -> Option<Vec<u8>> {
    let mut head = vec![0; place.length];
    heads.read_exact_at(&mut head, place.at.checked_add(HEADS_AT as u64)?).ok()?;
    (bytes::quick_check(&head) == place.check).then_some(head)
}
