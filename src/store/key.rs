//! The two names that a node has besides its content: before its inputs are known, and after.

use super::tree::hash_type;

hash_type! {
    /// A node as planned: its recipe and, recursively, the plan keys of its inputs. Known before
    /// anything runs; used to show, to schedule, and to find the build key again quickly.
    PlanKey, "plan:"
}
hash_type! {
    /// A node's own build document with every input replaced by the hash of its content. The only
    /// cache key.
    BuildKey, "build:"
}
