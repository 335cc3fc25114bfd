//! What the nodes of a plan are, as far as the store knows: build keys and outputs.

use crate::derivation::{BuildKey, Input};
use crate::plan::Plan;
use crate::store::facts::Facts;
use crate::store::layer::{LayerRecord, Status};
use crate::store::tree::TreeHash;
use crate::store::{Store, StoreError};

/// One node, by position in its plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Known where the contents of all inputs are.
    pub build: Option<BuildKey>,
    /// Known where the build key is, and was built. Whether the tree is still there is another matter.
    pub tree: Option<TreeHash>,
}

/// What the nodes of a plan are.
pub fn outputs(plan: &Plan, store: &Store, facts: &Facts) -> Result<Vec<Output>, StoreError> {
    outputs_or(plan, store, facts, |_| None)
}

/// The same; where the store does not know the content of a key, `otherwise` may.
pub fn outputs_or(
    plan: &Plan,
    store: &Store,
    facts: &Facts,
    otherwise: impl Fn(&BuildKey) -> Option<TreeHash>,
) -> Result<Vec<Output>, StoreError> {
    // Content that is only taken from others goes on to the keys of users, not into the answer.
    let mut contents: Vec<Option<TreeHash>> = Vec::with_capacity(plan.len());
    let mut outputs = Vec::with_capacity(plan.len());
    for node in plan.ids() {
        let derivation = plan.derivation(node);
        let content = |input: &Input| match input {
            Input::Tree(tree) => Some(*tree),
            Input::Node(id) => contents[id.index()],
        };
        let inputs: Option<Vec<TreeHash>> = derivation.inputs.iter().map(content).collect();
        let build = inputs.map(|inputs| derivation.build_key(&inputs));
        let tree = match &build {
            Some(build) => match facts.built(build) {
                Some(tree) => Some(tree),
                None => recorded(store, &Store::layer_id(derivation.kind.word(), build))?,
            },
            None => None,
        };
        // A node that is reused needs no inputs: they may not be here.
        let planned = if build.is_none() { facts.planned(&plan.key(node)) } else { None };
        let (build, tree) = planned.map_or((build, tree), |fact| (Some(fact.build), Some(fact.tree)));
        contents.push(tree.or_else(|| otherwise(&build?)));
        outputs.push(Output { build, tree });
    }
    Ok(outputs)
}

fn recorded(store: &Store, layer: &str) -> Result<Option<TreeHash>, StoreError> {
    Ok(match store.layer(layer)? {
        Some(LayerRecord { status: Status::Success, tree, .. }) => tree,
        _ => None,
    })
}
