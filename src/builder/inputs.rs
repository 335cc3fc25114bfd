//! The inputs of a node, looked at before what is made of them counts for anything.

use super::LocalBuilder;
use crate::outcome::Failure;
use crate::realise::machine_trouble;
use crate::store::tree::{Tree, TreeHash};
use crate::store::verify::Scrutiny;

/// Looking at more entries than this takes about as long as starting a thread for it.
const FEW: usize = 200;

impl LocalBuilder<'_> {
    /// Does `work` with inputs that are sound. Those of which no more than sizes and modes are looked
    /// at, and that are large, are looked at while the work goes on: if one of them is damaged, nothing
    /// comes of the work.
    pub(super) fn with_sound_inputs<T: Send>(
        &self,
        inputs: &[TreeHash],
        work: impl FnOnce() -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        let mut large = Vec::new();
        for input in inputs.iter().filter(|input| !self.store.is_checked(input)) {
            let (tree, mut few) = (self.tree(input)?, FEW);
            if self.scrutiny == Scrutiny::Quick && !has_few_entries(&tree, &mut few) {
                large.push(input);
            } else {
                self.check(input)?;
            }
        }
        if large.is_empty() {
            return work();
        }
        std::thread::scope(|scope| {
            let look = || large.into_iter().try_for_each(|input| self.check(input));
            // Without a thread to be had, one after the other.
            let Ok(looking) = std::thread::Builder::new().spawn_scoped(scope, look.clone()) else {
                return look().and_then(|()| work());
            };
            let worked = work();
            match looking.join() {
                Ok(looked) => looked.and(worked),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn check(&self, input: &TreeHash) -> Result<(), Failure> {
        self.store.check_input(input, self.scrutiny).map_err(|error| machine_trouble(&error))
    }
}

/// Whether the tree has no more than `left` entries; takes their number from it.
fn has_few_entries(tree: &Tree, left: &mut usize) -> bool {
    use crate::store::tree::Node;
    if tree.len() > *left {
        return false;
    }
    *left -= tree.len();
    tree.entries().all(|(_, node)| match node {
        Node::Directory(below) => has_few_entries(below, left),
        _ => true,
    })
}
