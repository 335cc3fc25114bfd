//! The layers of Debian's libraries: unpacked, not built.

use super::evaluate::{PlanError, PlannedBase, Planner, bound};
use crate::derivation::{self, Action, Derivation, Kind, NodeId};
use crate::recipe::debian::DebianRecipe;
use crate::recipe::template::Bindings;
use crate::recipe::{BaseKindRecipe, RecipeKind};
use crate::solution::DebianRelease;

/// What all layers of Debian's libraries have in common.
pub(super) struct Debian {
    take: Vec<derivation::Take>,
    limits: crate::request::Limits,
}

impl Debian {
    /// `base` is the one that the libraries will be compiled for browsers in.
    pub(super) fn new(planner: &Planner<'_>, base: &PlannedBase) -> Result<Self, PlanError> {
        let recipes = planner.evaluation.recipes;
        let loaded = DebianRecipe::load(recipes)?;
        let mut bindings = Bindings::default();
        bindings.set_facts(&base.facts);
        let mut take = Vec::new();
        for directory in &loaded.recipe.directories {
            let directory = bound(directory.expand(&bindings), &loaded.file)?;
            take.push(derivation::Take {
                from: directory.trim_start_matches('/').to_owned(),
                to: loaded.recipe.to.to_string(),
                keep: loaded.recipe.keep.clone(),
            });
        }
        Ok(Self { take, limits: BaseKindRecipe::load(recipes)?.recipe.limits })
    }

    /// The layer of one package of libraries.
    pub(super) fn plan_layer(&self, planner: &mut Planner<'_>, release: &DebianRelease) -> NodeId {
        let action = Action::Base(derivation::Base {
            packages: release.debs.clone(),
            drop: Vec::new(),
            take: self.take.clone(),
            prefix: None,
            setup: Vec::new(),
            env: std::collections::BTreeMap::new(),
            limits: self.limits,
        });
        let name = format!("{}.{}", release.name, release.version);
        planner.plan.add(Derivation::new(Kind::Build, name.into(), &action, Vec::new()))
    }
}
