//! Packages built as their opam files say.
//!
//! ```text
//! source, extra files ──► working directory ──► patches (a run of its own, if there are any)
//!                                                 │
//! layers of dependencies: .config, setenv         ▼ substs
//!                 └──► variables, environment ──► build, install (one run)
//!                                                 │
//!                          NAME.install, NAME.config ──► layer
//! ```
//!
//! What happens in which order is told in the book ("How opam packages are built").

mod prepare;
mod surroundings;

use std::io::Write;

use self::surroundings::Surroundings;
use super::packages::{bad_output, installed};
use super::workdir::WorkDir;
use super::{LocalBuilder, Product, bound, publish, taken};
use crate::derivation::{CONFIG_DIRECTORY, OUT, OpamBuild, WORK};
use crate::opam::commands::{self, Misfit};
use crate::opam::config::Config;
use crate::opam::syntax::OpamFile;
use crate::outcome::Failure;
use crate::realise::{Job, machine_trouble};
use crate::request::{Capture, Command, Layer, Mount, Request};
use crate::store::staging::Staging;
use crate::store::tree::{Name, Node, RelPath, Tree, TreeHash};

impl LocalBuilder<'_> {
    pub(super) fn opam(&self, job: &Job<'_>, build: &OpamBuild) -> Result<Product, Failure> {
        let fields = OpamFile::parse(&build.file).map_err(|error| of_file(build, &error.message))?;
        let surroundings = Surroundings::read(self, job, build, &fields)?;
        let building = Building { builder: self, job, build, fields: &fields, surroundings: &surroundings };
        let (work, staging) = building.prepare()?;
        let (layer, work, staging) = match building.main_request(&work, &staging)? {
            None => (Tree::default(), WorkDir::new(work, &build.workdir), staging),
            Some(request) => {
                let mut report = self.run(job, &request)?;
                let work = WorkDir::captured(taken(&mut report, WORK)?, &request, WORK);
                (taken(&mut report, OUT)?, work, report.staging)
            }
        };
        Ok((building.finish(layer, &work, &staging)?, staging))
    }

    /// The run of the package's commands, in its working directory as it is before the first of them;
    /// nothing if it has no commands.
    pub(super) fn opam_request(&self, job: &Job<'_>, build: &OpamBuild) -> Result<Option<Request>, Failure> {
        let fields = OpamFile::parse(&build.file).map_err(|error| of_file(build, &error.message))?;
        let surroundings = Surroundings::read(self, job, build, &fields)?;
        let building = Building { builder: self, job, build, fields: &fields, surroundings: &surroundings };
        let (work, staging) = building.prepare()?;
        building.main_request(&work, &staging)
    }
}

/// One package that is being built.
struct Building<'a> {
    builder: &'a LocalBuilder<'a>,
    job: &'a Job<'a>,
    build: &'a OpamBuild,
    fields: &'a OpamFile<'a>,
    surroundings: &'a Surroundings,
}

impl Building<'_> {
    /// What `build` and `install` say to run, in this order.
    fn commands(&self) -> Result<Vec<Vec<String>>, Failure> {
        let mut all = Vec::new();
        for name in ["build", "install"] {
            let Some(field) = self.fields.field(name) else { continue };
            let scope = self.surroundings.own_scope();
            let commands = commands::evaluate(field, &scope).map_err(|misfit| self.misfit(name, &misfit))?;
            all.extend(commands);
        }
        Ok(all)
    }

    /// The run of all commands; nothing if there are none.
    fn main_request(&self, work: &Tree, staging: &Staging) -> Result<Option<Request>, Failure> {
        let commands = self.commands()?;
        if commands.is_empty() {
            return Ok(None);
        }
        let hash = publish(staging, work)?;
        Ok(Some(self.request(hash, commands, &[OUT, WORK])))
    }

    /// A run of `commands`, one after the other, in the working directory, which holds `work` in the
    /// beginning. Of the prefix and the working directory those are captured that are named.
    fn request(&self, work: TreeHash, commands: Vec<Vec<String>>, captured: &[&str]) -> Request {
        let mut request = bound(&self.build.request, self.job.trees);
        request.env.clone_from(&self.surroundings.environment);
        request.mounts.retain(|mount| mount.at() != self.build.workdir);
        if !captured.contains(&OUT) {
            request.mounts.retain(|mount| mount.at() != self.build.prefix);
        }
        let name = format!("the working directory of {}", self.build.package);
        let layer = Layer { name, tree: work };
        request.mounts.push(Mount::Overlay {
            at: self.build.workdir.clone(),
            layers: vec![layer],
            capture: Some(Capture::whole(WORK)),
        });
        let cwd = &self.build.workdir;
        request.stages = commands.into_iter().map(|argv| vec![Command { argv, cwd: cwd.clone() }]).collect();
        let request = self.builder.varied(request);
        self.tell(&request);
        request
    }

    /// Says in the log what is going to run.
    fn tell(&self, request: &Request) {
        let words = |command: &Command| command.argv.join(" ").escape_debug().to_string();
        let lines = request.stages.iter().flatten().map(|command| format!("  {}\n", words(command)));
        let text = format!("jtwbuild: to be run in {}:\n{}", self.build.workdir, lines.collect::<String>());
        // The log is for people; a run tells by itself when it cannot be written.
        let _ = self.job.layer.log().map(|mut log| log.write_all(text.as_bytes()));
    }

    /// The package's layer: what its commands added at the prefix, what its `.install` file says, and
    /// its `.config` file.
    fn finish(&self, mut layer: Tree, work: &WorkDir, staging: &Staging) -> Result<Tree, Failure> {
        let config_directory = RelPath::parse(CONFIG_DIRECTORY).expect("a path below the prefix");
        let reserved = config_directory.names().first().expect("it has two components");
        if layer.child(reserved).is_some() {
            let reason = "only jtwbuild writes there: a package leaves its `.config` file where it is built";
            return Err(bad_output(&reserved.to_string(), &reason));
        }
        let install_file = format!("{}.install", self.build.package);
        if work.file_at(&install_file).is_some() {
            let installed = installed(&self.build.package, &install_file, work, staging)?;
            self.check_overlap(&installed)?;
            // What commands installed already is installed again, as opam does it: the file comes last.
            for (path, _) in installed.files() {
                if matches!(layer.get(&path), Some(Node::File(_))) {
                    layer.remove(&path);
                }
            }
            layer.merge(&installed).map_err(|error| bad_output(&install_file, &error))?;
        }
        let config_file = format!("{}.config", self.build.package);
        if let Some(file) = work.file_at(&config_file) {
            let text = staging.read(&file).map_err(|error| machine_trouble(&error))?;
            Config::parse(&text).map_err(|error| bad_output(&config_file, &error))?;
            let name = Name::new(config_file.as_bytes()).map_err(|error| bad_output(&config_file, &error))?;
            let file = crate::store::tree::File { executable: false, ..file };
            layer
                .insert(&config_directory.join(name), Node::File(file))
                .map_err(|error| bad_output(&config_file, &error))?;
        }
        Ok(layer)
    }

    /// What is installed by jtwbuild is held to what the sandbox holds commands to: nothing of a
    /// dependency is replaced, and no link of one is followed.
    fn check_overlap(&self, installed: &Tree) -> Result<(), Failure> {
        let files = installed.files();
        for present in &self.build.present {
            let layer = self.builder.tree(&self.job.trees[present.layer])?;
            for (path, file) in &files {
                if let Some(path) = obstacle(&layer, path, &Node::File(*file)) {
                    return Err(Failure::Overlap {
                        path: path.to_string(),
                        first: format!("{}.{}", present.package, present.version),
                        second: format!("{}.{}", self.build.package, self.build.version),
                    });
                }
            }
        }
        Ok(())
    }

    fn misfit(&self, field: &str, misfit: &Misfit) -> Failure {
        of_file(self.build, &format!("`{field}`: {} ({})", misfit.message, misfit.help))
    }
}

/// The path, or the part of it, at which a tree has something that `node` cannot lie beside.
fn obstacle(tree: &Tree, path: &RelPath, node: &Node) -> Option<RelPath> {
    let mut above = RelPath::default();
    for name in path.names() {
        above = above.join(name.clone());
        match tree.get(&above)? {
            Node::Directory(_) if above != *path => {}
            there if above == *path && there == node => return None,
            _ => return Some(above),
        }
    }
    None
}

/// The opam file says something that cannot be done.
fn of_file(build: &OpamBuild, reason: &str) -> Failure {
    Failure::BadInput {
        what: format!("the opam file of {}.{}", build.package, build.version),
        reason: reason.to_owned(),
    }
}
