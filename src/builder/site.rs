//! Browser layers of packages, and the site made of them.

use std::sync::Arc;

use super::packages::jtw_failure;
use super::{LocalBuilder, Product, taken};
use crate::assemble::{AssembleError, Member, Parts, assemble};
use crate::derivation::{Assembly, Jtw, OUT};
use crate::jtw;
use crate::outcome::Failure;
use crate::realise::{Job, machine_trouble};
use crate::request::{Command, Layer, Mount, Request};
use crate::store::staging::Staging;
use crate::store::tree::Tree;

/// Where compiled archives are written in the sandbox.
const OUT_DIRECTORY: &str = "/out";

/// The run of the compiler; nothing if there is nothing to compile.
pub(super) fn jtw_request(job: &Job<'_>, spec: &Jtw, analysis: &jtw::Analysis) -> Option<Request> {
    if analysis.commands.is_empty() {
        return None;
    }
    let name = |layer: &Layer<usize>| Layer { name: layer.name.clone(), tree: job.trees[layer.tree] };
    let own = Layer { name: job.derivation.name.to_string(), tree: job.trees[spec.layer] };
    let libraries = spec.primitives.iter().map(name).chain([own]).collect();
    let root = std::iter::once(&spec.base).chain(&spec.extra).map(name).collect();
    let commands = analysis.commands.iter();
    Some(Request {
        mounts: vec![
            Mount::Overlay { at: "/".into(), layers: root, capture: None },
            Mount::Overlay { at: spec.prefix.clone(), layers: libraries, capture: None },
            Mount::Overlay { at: OUT_DIRECTORY.into(), layers: Vec::new(), capture: Some(OUT.into()) },
        ],
        stages: vec![
            commands.map(|argv| Command { argv: argv.clone(), cwd: OUT_DIRECTORY.into() }).collect(),
        ],
        env: spec.env.clone(),
        limits: spec.limits,
    })
}

impl LocalBuilder<'_> {
    pub(super) fn jtw(&self, job: &Job<'_>, spec: &Jtw) -> Result<Product, Failure> {
        let analysis = self.analysis(job, spec)?;
        let finish = |compiled: &Tree, staging: Staging| {
            let tree = jtw::finish(&analysis, compiled, &staging);
            Ok((tree.map_err(|error| jtw_failure(&spec.package, &error))?, staging))
        };
        let Some(request) = jtw_request(job, spec, &analysis) else {
            return finish(&Tree::default(), self.stage()?);
        };
        let mut report = self.run(job, &self.varied(request))?;
        let compiled = taken(&mut report, OUT)?;
        finish(&compiled, report.staging)
    }

    /// What is to be compiled for the browser.
    pub(super) fn analysis(&self, job: &Job<'_>, spec: &Jtw) -> Result<jtw::Analysis, Failure> {
        let layer = self.tree(&job.trees[spec.layer])?;
        let primitives = spec.primitives.iter();
        let primitives =
            primitives.map(|layer| Ok((layer.name.as_str(), self.tree(&job.trees[layer.tree])?)));
        let primitives = primitives.collect::<Result<Vec<(&str, Arc<Tree>)>, Failure>>()?;
        let borrowed: Vec<(&str, &Tree)> = primitives.iter().map(|(name, tree)| (*name, &**tree)).collect();
        let settings = jtw::Settings {
            effects: spec.effects,
            js_of_ocaml: spec.command.clone(),
            prefix: spec.prefix.clone(),
            out: OUT_DIRECTORY.into(),
            ..jtw::Settings::default()
        };
        let read = |file: &_| self.store.read(file);
        let analysis = jtw::analyse(&spec.package, &spec.version, &layer, &borrowed, &read, &settings);
        analysis.map_err(|error| jtw_failure(&spec.package, &error))
    }

    pub(super) fn assembly(&self, job: &Job<'_>, spec: &Assembly) -> Result<Product, Failure> {
        let tools = self.tree(&job.trees[spec.tools])?;
        let page = match spec.page {
            Some(page) => self.tree(&job.trees[page])?,
            None => Arc::default(),
        };
        let layers = spec.packages.iter().map(|package| self.tree(&job.trees[package.jtw]));
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        let members: Vec<Member<'_>> = spec
            .packages
            .iter()
            .zip(&layers)
            .map(|(package, layer)| Member {
                name: &package.name,
                version: &package.version,
                description: &package.description,
                homepage: package.homepage.as_deref(),
                license: package.license.as_deref(),
                layer,
                is_target: package.asked_for,
            })
            .collect();
        let parts = Parts {
            name: &spec.universe,
            compiler_version: &spec.compiler,
            effects: spec.effects,
            tools: &tools,
            members: &members,
            page: &page,
            is_part: spec.is_part,
        };
        let staging = self.stage()?;
        let site = assemble(&parts, &staging).map_err(|error| match error {
            AssembleError::Store(error) => machine_trouble(&error),
            error => Failure::BadInput { what: "the site".into(), reason: error.to_string() },
        })?;
        Ok((site.tree, staging))
    }
}
