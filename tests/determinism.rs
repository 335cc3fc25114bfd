//! Same in, same out: plans do not depend on order, place, user or process; keys depend on every field
//! of the build document and on nothing else; trees do not depend on jobs, order or interruptions.

#[path = "support/mod.rs"]
mod support;

mod scheduler;

mod determinism {
    pub mod documents;
    pub mod plans;
    pub mod trees;
}
