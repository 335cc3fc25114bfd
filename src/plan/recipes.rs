//! Builds of packages that have recipes.

use std::collections::HashMap;

use super::evaluate::{PlanError, PlannedBase, Planner, bound, in_sequence};
use super::slots::Slots;
use crate::derivation::{self, Action, Derivation, Input, Kind, NodeId, OUT, WORK};
use crate::package::{PackageBuild, PackageRecipe};
use crate::recipe::Loaded;
use crate::recipe::build::BuildRecipe;
use crate::recipe::template::Bindings;
use crate::request::{Capture, Mount, Request};
use crate::solution::PackageId;

/// The build of a package whose recipe is ours or the user's.
pub(super) fn plan_build(
    planner: &mut Planner<'_>,
    Loaded { recipe, file }: &Loaded<BuildRecipe>,
    base: &PlannedBase,
    (id, own, build): (PackageId, &PackageRecipe, &PackageBuild),
    source: Option<NodeId>,
    layers: &HashMap<PackageId, NodeId>,
) -> Result<NodeId, PlanError> {
    let solution = planner.evaluation.solution;
    let package = &solution.packages[id];
    let name = package.full_name();
    let mut bindings = Bindings::default();
    bindings.set("name", package.name().as_str());
    bindings.set("version", package.version().as_str());
    bindings.set("prefix", recipe.prefix.as_str());
    bindings.set("workdir", recipe.workdir.as_str());
    bindings.set("jobs", recipe.jobs.to_string());
    bindings.set_facts(&base.facts);

    let own_file = &own.file;
    let steps = recipe.steps(build, own_file)?;
    let mut commands = Vec::new();
    for argv in steps.build.iter().chain(&steps.install) {
        // A command comes from the package's recipe or from the preset; both know the same names.
        commands.push(bound(argv.expand(&bindings), own_file)?);
    }
    let install_file = steps.install_file.map(|template| template.expand(&bindings)).transpose();
    let mut env = bound(recipe.env.expand(&bindings), file)?;
    env.extend(bound(build.env.expand(&bindings), own_file)?);

    let mut slots = Slots::default();
    let root = vec![slots.layer("base", Input::Node(base.node))];
    let dependencies = solution.build_closure(id).into_iter().filter_map(|dependency| {
        let layer = layers.get(&dependency)?;
        Some(slots.layer(&solution.packages[dependency].full_name(), Input::Node(*layer)))
    });
    let prefix = dependencies.collect();
    let source = source.map(|node| slots.layer(&format!("source of {name}"), Input::Node(node)));
    let install_file = bound(install_file, own_file)?;
    let request = Request {
        mounts: vec![
            Mount::Overlay { at: "/".into(), layers: root, capture: None },
            Mount::Overlay { at: recipe.prefix.to_string(), layers: prefix, capture: Some(OUT.into()) },
            Mount::Overlay {
                at: recipe.workdir.to_string(),
                layers: source.iter().cloned().collect(),
                capture: install_file.as_ref().map(|_| Capture::whole(WORK)),
            },
        ],
        stages: in_sequence(commands, recipe.workdir.as_str()),
        env,
        limits: recipe.limits,
    };
    let action = Action::Build(derivation::Build {
        package: package.name().to_string(),
        version: package.version().to_string(),
        request,
        install_file,
        source: source.map(|layer| layer.tree),
        findlib: own.findlib.iter().map(ToString::to_string).collect(),
    });
    Ok(planner.plan.add(Derivation::new(Kind::Build, name.into(), &action, slots.0)))
}
