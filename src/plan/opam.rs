//! Builds of packages of opam repositories.

use std::collections::HashMap;

use super::evaluate::{PlanError, PlannedBase, Planner, bound};
use super::slots::Slots;
use super::tools::worker_source;
use crate::derivation::{Action, Derivation, Holds, Input, Kind, NodeId, OUT, OpamBuild, Present, WORK};
use crate::name::RecipeName;
use crate::opam::Platform;
use crate::opam::variables::globals;
use crate::recipe::Loaded;
use crate::recipe::opam::OpamRecipe;
use crate::recipe::template::Bindings;
use crate::recipe::values::SourceArchive;
use crate::request::{Capture, Mount, Request};
use crate::solution::{OpamRelease, OpamSource, PackageId, Release, Solution};

/// Raised when jtwbuild makes something else of the same inputs of such a node.
const REVISION: u32 = 1;

/// What all builds of the packages of one solution have in common.
pub(super) struct Opam<'s> {
    solution: &'s Solution,
    /// Variables of opam files that describe the platform.
    platform: &'s Platform,
    recipe: Loaded<OpamRecipe>,
    /// The base's name.
    name: RecipeName,
    base: PlannedBase,
}

impl<'s> Opam<'s> {
    /// `name` says the base.
    pub(super) fn new(
        planner: &mut Planner<'_>,
        recipe: Loaded<OpamRecipe>,
        name: RecipeName,
        (solution, platform): (&'s Solution, &'s Platform),
    ) -> Result<Self, PlanError> {
        let base = planner.base(&name)?;
        Ok(Self { solution, platform, recipe, name, base })
    }

    /// The builds of all packages that come from opam repositories, by their packages.
    pub(super) fn plan_all(
        &self,
        planner: &mut Planner<'_>,
    ) -> Result<HashMap<PackageId, NodeId>, PlanError> {
        let mut layers = HashMap::new();
        for (id, package) in self.solution.packages.iter().enumerate() {
            if let Release::Opam(release) = &package.release {
                layers.insert(id, self.plan_build(planner, (id, release), &layers)?);
            }
        }
        Ok(layers)
    }

    /// The build of one package; `layers` has those of everything that it sees.
    pub(super) fn plan_build(
        &self,
        planner: &mut Planner<'_>,
        (id, release): (PackageId, &OpamRelease),
        layers: &HashMap<PackageId, NodeId>,
    ) -> Result<NodeId, PlanError> {
        let solution = self.solution;
        let package = &solution.packages[id];
        let name = package.full_name();
        let Loaded { recipe, file } = &self.recipe;
        let mut bindings = Bindings::default();
        bindings.set("name", release.name.as_str());
        bindings.set("version", release.version.as_str());
        bindings.set("prefix", recipe.prefix.as_str());
        bindings.set("workdir", recipe.workdir.as_str());
        bindings.set("jobs", recipe.jobs.to_string());
        bindings.set_facts(&self.base.facts);

        let mut slots = Slots::default();
        let mut root = vec![slots.layer("base", Input::Node(self.base.node))];
        if let Some(extension) = planner.extension(&self.name, &solution.depexts(id))? {
            root.push(slots.layer("distribution packages", Input::Node(extension)));
        }
        let mut present = Vec::new();
        let mut prefix = Vec::new();
        for seen in solution.build_closure(id) {
            let (Some(node), Release::Opam(seen_release)) =
                (layers.get(&seen), &solution.packages[seen].release)
            else {
                continue;
            };
            let layer = slots.layer(&solution.packages[seen].full_name(), Input::Node(*node));
            present.push(Present {
                package: seen_release.name.to_string(),
                version: seen_release.version.to_string(),
                direct: package.depends.contains(&seen) || package.build_depends.contains(&seen),
                layer: layer.tree,
                setenv: seen_release.setenv.clone(),
            });
            prefix.push(layer);
        }
        let source = match &release.source {
            None => None,
            Some(OpamSource::Url { source, file_name }) => {
                let holds = Holds::ArchiveOrFile(file_name.clone());
                Some(Input::Node(planner.source(&name, source, holds)?))
            }
            Some(OpamSource::WorkerTree) => worker_source(planner)?,
        };
        let source = source.map(|input| slots.layer(&format!("source of {name}"), input));
        let mut extra = Vec::new();
        for (place, archive) in &release.extra {
            let of = format!("{name}+{}", place.as_str().replace('/', "+"));
            let archive = SourceArchive { archive: archive.clone(), strip: None };
            let file = place.as_str().rsplit('/').next().unwrap_or_default().to_owned();
            let node = planner.fixed_output(&of, &archive, Holds::File(file))?;
            extra.push((place.to_string(), slots.bind(Input::Node(node))));
        }
        extra.extend(
            release.files.iter().map(|file| (file.place.to_string(), slots.bind(Input::Tree(file.tree)))),
        );
        let variables = globals(self.platform, recipe.jobs, recipe.prefix.as_str());
        let request = Request {
            mounts: vec![
                Mount::Overlay { at: "/".into(), layers: root, capture: None },
                Mount::Overlay { at: recipe.prefix.to_string(), layers: prefix, capture: Some(OUT.into()) },
                Mount::Overlay {
                    at: recipe.workdir.to_string(),
                    layers: source.iter().cloned().collect(),
                    capture: Some(Capture::whole(WORK)),
                },
            ],
            stages: Vec::new(),
            env: bound(recipe.env.expand(&bindings), file)?,
            limits: recipe.limits,
        };
        let action = Action::Opam(OpamBuild {
            package: release.name.to_string(),
            version: release.version.to_string(),
            file: release.file.clone(),
            variables,
            present,
            request,
            prefix: recipe.prefix.to_string(),
            workdir: recipe.workdir.to_string(),
            source: source.map(|layer| layer.tree),
            extra,
            revision: REVISION,
        });
        Ok(planner.plan.add(Derivation::new(Kind::Build, name.into(), &action, slots.0)))
    }
}
