//! `LocalBuilder`: does what derivations say, on this machine: fetches, runs sandboxes, composes
//! trees.

pub mod machine;

mod git;
mod inputs;
mod opam;
mod packages;
mod rebuild;
mod site;
pub mod visit;
mod workdir;

use std::sync::Arc;

use crate::audit::{Manner, Variation};
use crate::derivation::{Action, Base, Fetch, Holds, OUT, Script, Slot};
use crate::fetch::archive::Limits as UnpackLimits;
use crate::fetch::selection::Selection;
use crate::fetch::{Fetcher, archive, deb};
use crate::outcome::Failure;
use crate::pins::Pins;
use crate::realise::{Builder, Job, machine_trouble};
use crate::request::{Capture, Command, Layer, Mount, Request};
use crate::sandbox::{Report, Sandbox, SandboxError};
use crate::store::Store;
use crate::store::staging::Staging;
use crate::store::tree::{Node, RelPath, Tree, TreeHash};
use crate::store::verify::Scrutiny;

/// Builds on this machine.
pub struct LocalBuilder<'a> {
    pub store: &'a Arc<Store>,
    pub pins: &'a Pins,
    pub fetcher: &'a Fetcher,
    pub sandbox: &'a AnySandbox,
    /// How closely inputs are looked at before they are used.
    pub scrutiny: Scrutiny,
    /// How requests are run: as always, but in an audit.
    pub manner: Manner,
}

/// An output before it is published, and where its files are.
type Product = (Tree, Staging);

/// A sandbox, or why there is none: only a node that needs one fails for it.
pub struct AnySandbox(Result<Sandbox, SandboxError>);

impl AnySandbox {
    /// Starts the sandbox. It forks this process: best done while that is small.
    /// `scratch` is how many bytes one builder may keep in memory as files, if not as many as usual.
    pub fn start(scratch: Option<u64>) -> Self {
        let usual = crate::sandbox::Settings::default();
        let scratch = scratch.unwrap_or(usual.scratch);
        Self(Sandbox::start(crate::sandbox::Settings { scratch, ..usual }))
    }

    fn get(&self) -> Result<&Sandbox, Failure> {
        self.0.as_ref().map_err(SandboxError::failure)
    }
}

impl Builder for LocalBuilder<'_> {
    fn build(&self, job: &Job<'_>) -> Result<TreeHash, Failure> {
        let (tree, staging) = self.make(job)?;
        publish(&staging, &tree)
    }
}

impl<'a> LocalBuilder<'a> {
    /// One that takes the usual look at inputs, and runs requests as always.
    pub fn new(store: &'a Arc<Store>, pins: &'a Pins, fetcher: &'a Fetcher, sandbox: &'a AnySandbox) -> Self {
        Self { store, pins, fetcher, sandbox, scrutiny: Scrutiny::Quick, manner: Manner::default() }
    }
}

impl LocalBuilder<'_> {
    /// Does what the derivation says.
    fn make(&self, job: &Job<'_>) -> Result<Product, Failure> {
        let action = self.begin(job)?;
        self.with_sound_inputs(job.trees, || match &action {
            Action::Fetch(fetch) => self.fetch(job, fetch),
            Action::Git(git) => self.git(job, git),
            Action::Base(base) => self.base(job, base),
            Action::Script(script) => self.script(job, script),
            Action::Build(build) => self.package(job, build),
            Action::Opam(build) => self.opam(job, build),
            Action::Tools(tools) => self.tools(job, tools),
            Action::Jtw(jtw) => self.jtw(job, jtw),
            Action::Compressed(compressed) => self.compressed(job, compressed),
            Action::Assembly(assembly) => self.assembly(job, assembly),
        })
    }

    /// What is to be done, with the content at hand that no node makes.
    fn begin(&self, job: &Job<'_>) -> Result<Action, Failure> {
        for tree in job.trees {
            self.pins.provide(tree, self.store)?;
        }
        job.derivation.action().map_err(|error| Failure::Machine {
            what: "a plan that was kept".into(),
            reason: error.to_string(),
        })
    }

    fn fetch(&self, job: &Job<'_>, fetch: &Fetch) -> Result<Product, Failure> {
        let progress = |done, total| job.progress.advanced(job.node, "fetching", done, total);
        let stop = job.stop.flag();
        let path = self.fetcher.fetch(self.store, &self.pins.located(&fetch.archive), &progress, stop)?;
        let staging = self.stage()?;
        let limits =
            UnpackLimits { members: fetch.members, bytes: fetch.unpacked_bytes, ..UnpackLimits::default() };
        let strip = fetch.strip.unwrap_or(0) as usize;
        let name = format!("the source of {}", job.derivation.name);
        let single = match &fetch.holds {
            Holds::Archive => None,
            Holds::File(file) => Some(file),
            Holds::ArchiveOrFile(file) => (!archive::is_archive(&name, &path)?).then_some(file),
        };
        if let Some(file) = single {
            return Ok((archive::single(&name, &path, file, &staging, &limits)?, staging));
        }
        let mut tree = archive::unpack(&name, &path, &staging, strip, &limits)?;
        if fetch.strip.is_none() {
            tree = without_top(tree);
        }
        Ok((tree, staging))
    }

    fn base(&self, job: &Job<'_>, base: &Base) -> Result<Product, Failure> {
        let unpacked = self.unpacked(job, base)?;
        let Some(request) = set_up(base, unpacked) else { return self.of_store(&unpacked) };
        let mut report = self.run(job, &self.varied(request))?;
        Ok((taken(&mut report, OUT)?, report.staging))
    }

    /// The packages of a base, before its set-up.
    fn unpacked(&self, job: &Job<'_>, base: &Base) -> Result<TreeHash, Failure> {
        let progress = |done, total| job.progress.advanced(job.node, "fetching", done, total);
        let staging = self.stage()?;
        let selection = selection(base)?;
        let stop = job.stop.flag();
        let tree =
            deb::base(self.fetcher, self.store, &staging, &base.packages, &selection, &progress, stop)?;
        let tree = match &base.prefix {
            Some(prefix) => placed_at(prefix, tree)?,
            None => tree,
        };
        publish(&staging, &tree)
    }

    fn script(&self, job: &Job<'_>, script: &Script) -> Result<Product, Failure> {
        let mut report = self.run(job, &self.varied(bound(&script.request, job.trees)))?;
        let tree = taken(&mut report, OUT)?;
        for output in &script.outputs {
            let path = RelPath::parse(output)
                .map_err(|error| Failure::BadInput { what: output.clone(), reason: error.to_string() })?;
            if tree.get(&path).is_none() {
                return Err(Failure::MissingOutput { path: output.clone() });
            }
        }
        Ok((tree, report.staging))
    }

    /// Runs a request, which is [varied](Self::varied) already.
    fn run(&self, job: &Job<'_>, request: &Request) -> Result<Report, Failure> {
        let log = job.layer.log().map_err(|error| machine_trouble(&error))?;
        let (sandbox, conditions) = (self.sandbox.get()?, self.conditions());
        let run = || sandbox.run_under(&conditions, request, self.store, &log, job.stop.flag());
        let is_loaded = self.manner.varied.has(Variation::Load);
        let result = if is_loaded { Self::under_load(self.sandbox, self.store, request, run) } else { run() };
        result.map_err(|failure| machine::judged(failure, &request.limits))
    }

    fn stage(&self) -> Result<Staging, Failure> {
        self.store.stage().map_err(|error| machine_trouble(&error))
    }

    fn tree(&self, hash: &TreeHash) -> Result<Arc<Tree>, Failure> {
        self.store.tree(hash).map_err(|error| machine_trouble(&error))
    }
}

/// The run that sets up an unpacked base, if there is anything to run.
fn set_up(base: &Base, unpacked: TreeHash) -> Option<Request> {
    let command = |argv: &Vec<String>| vec![Command { argv: argv.clone(), cwd: "/".into() }];
    let layer = Layer { name: "the unpacked packages".into(), tree: unpacked };
    let request = || Request {
        mounts: vec![Mount::Overlay {
            at: "/".into(),
            layers: vec![layer],
            capture: Some(Capture::whole(OUT)),
        }],
        stages: base.setup.iter().map(command).collect(),
        env: base.env.clone(),
        limits: base.limits,
    };
    (!base.setup.is_empty()).then(request)
}

/// The request with trees in place of slots.
fn bound(request: &Request<Slot>, trees: &[TreeHash]) -> Request {
    request.map(&mut |slot| trees[*slot])
}

fn publish(staging: &Staging, tree: &Tree) -> Result<TreeHash, Failure> {
    staging.publish(tree).map_err(|error| machine_trouble(&error))
}

/// Takes a captured tree out of a report.
fn taken(report: &mut Report, name: &str) -> Result<Tree, Failure> {
    report.captured.remove(name).ok_or_else(|| Failure::Machine {
        what: "the sandbox".into(),
        reason: format!("its report has no `{name}`"),
    })
}

/// The content of the one top directory, if there is one and nothing else.
fn without_top(tree: Tree) -> Tree {
    let mut entries = tree.entries();
    if let (Some((_, Node::Directory(top))), None) = (entries.next(), entries.next()) {
        return Tree::clone(top);
    }
    drop(entries);
    tree
}

/// What of its packages a base has.
fn selection(base: &Base) -> Result<Selection, Failure> {
    let mut selection = Selection::without(&base.drop);
    for part in &base.take {
        selection.and_take(&part.from, &part.to, &part.keep).map_err(|error| Failure::BadInput {
            what: format!("the directory `{}` of packages", part.from),
            reason: error.to_string(),
        })?;
    }
    Ok(selection)
}

fn placed_at(prefix: &str, tree: Tree) -> Result<Tree, Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::BadInput {
        what: format!("the prefix `{prefix}`"),
        reason: error.to_string(),
    };
    let path = RelPath::parse(prefix.trim_start_matches('/')).map_err(|error| bad(&error))?;
    let mut placed = Tree::default();
    placed.insert(&path, Node::Directory(Arc::new(tree))).map_err(|error| bad(&error))?;
    Ok(placed)
}
