//! Packages built as their opam files say.

use super::LocalBuilder;
use crate::derivation::OpamBuild;
use crate::outcome::Failure;
use crate::realise::Job;
use crate::store::tree::TreeHash;

impl LocalBuilder<'_> {
    pub(super) fn opam(&self, _job: &Job<'_>, build: &OpamBuild) -> Result<TreeHash, Failure> {
        Err(Failure::Internal { what: format!("{} cannot be built yet", build.package) })
    }
}
