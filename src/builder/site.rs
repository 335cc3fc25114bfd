//! Browser layers of packages, and the site made of them.

use std::sync::Arc;

use super::packages::jtw_failure;
use super::{LocalBuilder, Product, taken};
use crate::assemble::{AssembleError, Member, Parts, assemble};
use crate::compress::{self, CompressError};
use crate::derivation::{Assembly, Compressed, Compression, Jtw, OUT, Slot};
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

fn compression(spec: &Compression) -> compress::Settings {
    // The revision is for the key alone.
    let Compression { brotli, gzip, smallest, saves, revision: _ } = *spec;
    compress::Settings { brotli, gzip, smallest, saves }
}

fn compress_failure(error: &CompressError) -> Failure {
    match error {
        CompressError::Store(error) => machine_trouble(error),
        CompressError::Cancelled => Failure::Cancelled,
        error => Failure::BadInput { what: "a file to compress".into(), reason: error.to_string() },
    }
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

    pub(super) fn compressed(&self, job: &Job<'_>, spec: &Compressed) -> Result<Product, Failure> {
        let files = self.tree(&job.trees[spec.files])?;
        let staging = self.stage()?;
        // The assembly writes these anew, or not at all.
        let except = [jtw::RECORD, jtw::DYNAMIC_CMIS];
        let settings = compression(&spec.compression);
        let variants = compress::variants(&files, &except, &settings, &staging, job.stop.flag());
        Ok((variants.map_err(|error| compress_failure(&error))?, staging))
    }

    fn variants(&self, job: &Job<'_>, slot: Option<Slot>) -> Result<Arc<Tree>, Failure> {
        slot.map_or_else(|| Ok(Arc::default()), |slot| self.tree(&job.trees[slot]))
    }

    pub(super) fn assembly(&self, job: &Job<'_>, spec: &Assembly) -> Result<Product, Failure> {
        let tools = self.tree(&job.trees[spec.tools])?;
        let page = match spec.page {
            Some(page) => self.tree(&job.trees[page])?,
            None => Arc::default(),
        };
        let layers = spec.packages.iter().map(|package| self.tree(&job.trees[package.jtw]));
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        let variants = spec.packages.iter().map(|package| self.variants(job, package.compressed));
        let variants = variants.collect::<Result<Vec<_>, _>>()?;
        let tools_variants = self.variants(job, spec.compressed_tools)?;
        let page_variants = self.variants(job, spec.compressed_page)?;
        let members: Vec<Member<'_>> = spec
            .packages
            .iter()
            .zip(layers.iter().zip(&variants))
            .map(|(package, (layer, variants))| Member {
                name: &package.name,
                version: &package.version,
                description: &package.description,
                homepage: package.homepage.as_deref(),
                license: package.license.as_deref(),
                layer,
                variants,
                is_target: package.asked_for,
            })
            .collect();
        let parts = Parts {
            name: &spec.universe,
            compiler_version: &spec.compiler,
            effects: spec.effects,
            tools: &tools,
            tools_variants: &tools_variants,
            members: &members,
            page: &page,
            page_variants: &page_variants,
            compression: spec.compression.as_ref().map(compression),
            is_part: spec.is_part,
        };
        let staging = self.stage()?;
        let site = assemble(&parts, &staging).map_err(|error| match error {
            AssembleError::Store(error) => machine_trouble(&error),
            AssembleError::Compress(error) => compress_failure(&error),
            error => Failure::BadInput { what: "the site".into(), reason: error.to_string() },
        })?;
        Ok((site.tree, staging))
    }
}
