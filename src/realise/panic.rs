//! Panics inside a run: contained where they happen, so that they cost one node and never a hang.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{NodeReport, Progress};
use crate::derivation::NodeId;
use crate::outcome::Failure;
use crate::store::lock::Holder;

/// Does `work`; a panic in it is a failure of jtwbuild itself.
///
/// What the work shares with others is behind mutexes, whose users take them also when they are
/// poisoned, or is the work's own and gone with it: nothing half done is looked at afterwards.
pub(super) fn contained<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Failure::Internal { what: message(&*payload) })
}

/// What a panic says of itself.
fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it does not say what").to_owned()
}

/// A progress whose panics concern nobody: that a run cannot be shown is no reason to end it.
pub(super) struct Shielded<'a>(pub &'a dyn Progress);

impl Progress for Shielded<'_> {
    fn wanted(&self, nodes: &[NodeId]) {
        drop(contained(|| self.0.wanted(nodes)));
    }

    fn started(&self, node: NodeId) {
        drop(contained(|| self.0.started(node)));
    }

    fn advanced(&self, node: NodeId, what: &str, done: u64, total: Option<u64>) {
        drop(contained(|| self.0.advanced(node, what, done, total)));
    }

    fn waiting(&self, node: NodeId, holder: Holder) {
        drop(contained(|| self.0.waiting(node, holder)));
    }

    fn decided(&self, node: NodeId, report: &NodeReport) {
        drop(contained(|| self.0.decided(node, report)));
    }
}
