//! Panics of the store's own code while nodes are decided: one node pays, and the run ends.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Builder, Job, Place, Quiet, Run, Settings, Stop, realise};
use crate::derivation::{Action, Derivation, Input, Kind, NodeId, OUT, Script};
use crate::outcome::{Failure, Outcome};
use crate::plan::Plan;
use crate::request::{Command, Limits, Request};
use crate::store::Store;
use crate::store::disk::faults::{self, Fault};
use crate::store::facts::Facts;
use crate::store::tree::{Tree, TreeHash};

/// Gives the empty tree, which is in the store already: it takes no step on the disk by itself.
struct Gives(TreeHash);

impl Builder for Gives {
    fn build(&self, _: &Job<'_>) -> Result<TreeHash, Failure> {
        Ok(self.0)
    }
}

fn node(name: &str, inputs: &[NodeId]) -> Derivation {
    let request = Request {
        mounts: Vec::new(),
        stages: vec![vec![Command { argv: vec![name.to_owned()], cwd: "/".into() }]],
        env: BTreeMap::new(),
        limits: Limits { seconds: 1, memory: 1, log: 1, processes: 1 },
    };
    let action = Action::Script(Script { request, outputs: vec![OUT.into()] });
    Derivation::new(Kind::Node, name.into(), &action, inputs.iter().map(|id| Input::Node(*id)).collect())
}

fn run(store: &Arc<Store>, plan: &Plan, tree: TreeHash) -> Run {
    let facts = Facts::load(&store.plans().join("facts"));
    let place = Place { plan, store, facts: &facts };
    realise(&place, &Gives(tree), &Quiet, &Stop::default(), Settings::default())
}

#[test]
fn panic_of_the_store_at_any_step_of_deciding_costs_that_node_and_is_no_verdict() {
    let mut plan = Plan::default();
    let below = plan.add(node("below", &[]));
    plan.add(node("above", &[below]));
    let (mut contained, mut others) = (0, 0);
    for number in 1.. {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        let tree = store.stage().unwrap().publish(&Tree::default()).unwrap();
        let watch = faults::inject(store.root(), number, Fault::Panic);
        let done = catch_unwind(AssertUnwindSafe(|| run(&store, &plan, tree)));
        let has_struck = watch.has_struck();
        drop(watch);
        if !has_struck {
            assert!(done.unwrap().is_success());
            break;
        }
        match done {
            Ok(done) => {
                let words: Vec<_> = done.nodes.iter().map(|report| report.outcome.word()).collect();
                assert!(
                    matches!(words[..], ["failed", "not-decided"] | ["built", "failed"]),
                    "step {number}: {words:?}"
                );
                let causes =
                    done.nodes.iter().filter_map(|report| report.outcome.failure()).collect::<Vec<_>>();
                assert!(matches!(causes[..], [Failure::Internal { .. }]), "step {number}: {causes:?}");
                contained += 1;
            }
            // After the last node is decided, nobody is left who would pay.
            Err(_) => others += 1,
        }
        // What the process that panicked had in its hands is free again.
        let store = Arc::new(Store::open(store.root()).unwrap());
        let again = run(&store, &plan, tree);
        assert!(
            again.nodes.iter().all(|report| !matches!(report.outcome, Outcome::Failed(_))),
            "step {number}"
        );
        assert!(again.is_success(), "step {number}");
    }
    println!("{contained} panics contained, {others} at the end of the run");
    assert!(contained > 10 && others < 10, "{contained} {others}");
}
