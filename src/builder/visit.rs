//! Entering a node: its run, prepared as it is when the node is built, with a person in it.

use std::sync::atomic::AtomicBool;

use super::site::jtw_request;
use super::{LocalBuilder, bound, set_up};
use crate::derivation::Action;
use crate::outcome::Failure;
use crate::realise::Job;
use crate::request::Request;
use crate::sandbox::visit::{Arrival, Plan, Streams};
use crate::store::tree::{RelPath, TreeHash};

/// Shells that people like better than `sh`, by their places in a root.
const SHELLS: [&str; 2] = ["usr/bin/bash", "bin/bash"];

impl LocalBuilder<'_> {
    /// The run of a node's commands, with everything in place that it needs; nothing if it runs none.
    pub fn request(&self, job: &Job<'_>) -> Result<Option<Request>, Failure> {
        let action = self.begin(job)?;
        self.with_sound_inputs(job.trees, || {
            Ok(match &action {
                Action::Fetch(_) | Action::Git(_) | Action::Compressed(_) | Action::Assembly(_) => None,
                Action::Base(base) if base.setup.is_empty() => None,
                Action::Base(base) => set_up(base, self.unpacked(job, base)?),
                Action::Script(script) => Some(bound(&script.request, job.trees)),
                Action::Build(build) => Some(bound(&build.request, job.trees)),
                Action::Opam(build) => self.opam_request(job, build)?,
                Action::Tools(tools) => Some(bound(&tools.request, job.trees)),
                Action::Jtw(jtw) => jtw_request(job, jtw, &self.analysis(job, jtw)?),
            })
        })
    }

    /// The shell that a root has for people.
    pub fn shell(&self, root: &[TreeHash]) -> &'static str {
        let has = |path: &str| {
            let path = RelPath::parse(path).expect("a path below the root");
            root.iter().any(|tree| self.store.tree(tree).is_ok_and(|tree| tree.get(&path).is_some()))
        };
        if SHELLS.iter().any(|path| has(path)) { "bash" } else { "sh" }
    }

    /// Runs the stages of the plan, then its command, for whoever is at `streams`. Gives the exit status
    /// of the command.
    pub fn visit(
        &self,
        plan: &Plan<'_>,
        streams: Streams<'_>,
        stop: &AtomicBool,
        arrival: Arrival<'_>,
    ) -> Result<u8, Failure> {
        self.sandbox.get()?.visit(plan, self.store, streams, stop, arrival)
    }
}
