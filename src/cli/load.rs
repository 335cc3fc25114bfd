//! From the arguments to a plan: universe, recipes, lock, solution, pins.

mod git;
mod libraries;
mod opam;
mod tree;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

pub(super) use self::opam::Opened;
use self::opam::impossible_lines;
use self::worker::WorkerSolution;
use super::arguments::{Global, UniverseArguments};
use super::trouble::{Exit, Trouble};
use crate::derivation::{Input, Kind};
use crate::diagnostic::did_you_mean;
use crate::fetch::debian::catalogue::SUITES;
use crate::fetch::debian::{self, BaseSpec, Notice};
use crate::fetch::git::Answers;
use crate::fetch::glob::Glob;
use crate::fetch::{Expired, Fetcher, Settings};
use crate::lock::{Lock, LockedBase};
use crate::memo::{Source, Watched};
use crate::name::RecipeName;
use crate::opam::Platform;
use crate::package::Provision;
use crate::package::set::PackageSet;
use crate::path::RelativePath;
use crate::pins::Pins;
use crate::plan::Plan;
use crate::plan::evaluate::{Evaluation, evaluate};
use crate::recipe::opam::OpamRecipe;
use crate::recipe::overlay::Recipes;
use crate::recipe::values::PackageSource;
use crate::recipe::{AssemblyRecipe, BaseRecipe, JtwRecipe, JtwToolsRecipe, RecipeKind, ScriptRecipe};
use crate::solution::{Release, Solution};
use crate::solve::opam::Impossible;
use crate::solve::solve;
use crate::store::tree::TreeHash;
use crate::store::{Store, disk};
use crate::universe::layout::Layout;
use crate::universe::node::NodeSource;
use crate::universe::{ExpiredRelease, ToolsSource, Universe};

/// A universe with everything that was found for it.
pub(super) struct Loaded {
    pub universe: Universe,
    pub recipes: Recipes,
    pub lock: Lock,
    pub fetcher: Fetcher,
    pub notices: Vec<Notice>,
    /// What else is worth a line.
    pub told: Vec<String>,
    /// What branches and tags stand for other commits than the lock had, one line each.
    pub moved: Vec<String>,
    /// What git servers have said in this run before the universe was read.
    pub answers: Answers,
    /// What was asked for, each by itself, and cannot be had.
    pub impossible: Vec<Impossible>,
    /// Content of the site's root, once it is planned.
    pub page: Option<TreeHash>,
    /// The packages, once it is planned.
    pub solution: Solution,
    lock_path: PathBuf,
    /// Opam repositories that are directories.
    directories: Vec<PathBuf>,
    /// Directories whose recipes override the built-in ones, and the one that would if it existed.
    recipe_directories: Vec<PathBuf>,
    /// What the lock file held when it was read.
    pub lock_before: Option<Lock>,
    /// Whether everything is chosen anew.
    is_renewed: bool,
    /// Content of the local sources of nodes, once it is planned.
    sources: BTreeMap<RelativePath, TreeHash>,
}

/// What a lock is allowed to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pinning {
    /// Keep what is pinned, and pin what is missing.
    Complete,
    /// Choose everything anew.
    Renew,
}

/// The store that the arguments, the environment or the project name.
pub(super) fn open_store(global: &Global) -> Result<Arc<Store>, Trouble> {
    Ok(Arc::new(Store::open(&store_path(global)?)?))
}

/// Where that store is.
pub(super) fn store_path(global: &Global) -> Result<PathBuf, Trouble> {
    if let Some(path) = &global.store {
        return Ok(path.clone());
    }
    let here = std::env::current_dir().map_err(|error| {
        let message = format!("the working directory cannot be found: {error}");
        Trouble::new(Exit::Environment, "jtwbuild::environment::directory", message, None)
    })?;
    let projects = here.ancestors().map(|directory| directory.join("store"));
    if let Some(store) =
        projects.into_iter().find(|path| path.join("README.md").exists() || path.join("format").exists())
    {
        return Ok(store);
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share"));
    data.or_else(home).map(|data| data.join("jtwbuild")).ok_or_else(|| {
        let help = "name one with `--store DIR` or JTWBUILD_STORE";
        let message = "there is no place for a store: HOME is not set";
        Trouble::new(Exit::Environment, "jtwbuild::store::nowhere", message, Some(help))
    })
}

/// Where the lock of a universe is.
pub(super) fn lock_path(universe: &Path) -> PathBuf {
    universe.with_extension("lock")
}

/// The directories whose recipes override the built-in ones; the first need not exist.
fn recipe_directories(arguments: &UniverseArguments) -> Vec<PathBuf> {
    let beside = arguments.universe.parent().unwrap_or(Path::new("")).join("recipes");
    std::iter::once(beside).chain(arguments.recipes.iter().cloned()).collect()
}

impl Loaded {
    /// Reads the universe, its recipes and its lock.
    pub fn read(arguments: &UniverseArguments, pinning: Pinning) -> Result<Self, Trouble> {
        let universe = Universe::load(&arguments.universe)?;
        let recipe_directories = recipe_directories(arguments);
        let absent = usize::from(!recipe_directories[0].is_dir());
        let recipes = Recipes::with_overrides(&recipe_directories[absent..])?;
        let lock_path = lock_path(&arguments.universe);
        let lock_before = match disk::read_if_present(&lock_path)? {
            Some(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let file = crate::diagnostic::SourceFile::new(lock_path.display().to_string(), &text);
                match (Lock::read(&file), pinning) {
                    (Ok(lock), _) => Some(lock),
                    // It is about to be written anew.
                    (Err(_), Pinning::Renew) => None,
                    (Err(error), Pinning::Complete) => return Err(error.into()),
                }
            }
            None => None,
        };
        let expired = match universe.base.expired_release {
            ExpiredRelease::Warn => Expired::Warn,
            ExpiredRelease::Refuse => Expired::Refuse,
        };
        // Upstreams of opam packages come and go; recipes of ours name places that stay.
        let source_suites =
            if universe.repositories.has_opam() { SUITES.map(str::to_owned).to_vec() } else { Vec::new() };
        let fetcher = Fetcher::new(Settings {
            mirror: universe.base.mirror.clone(),
            archive_mirrors: universe.repositories.archive_mirrors.clone(),
            source_suites,
            offline: arguments.offline,
            expired,
            ..Settings::default()
        });
        let lock = match pinning {
            Pinning::Complete => lock_before.clone().unwrap_or_default(),
            Pinning::Renew => Lock::default(),
        };
        Ok(Self {
            universe,
            recipes,
            lock,
            fetcher,
            notices: Vec::new(),
            told: Vec::new(),
            moved: Vec::new(),
            answers: Answers::new(),
            impossible: Vec::new(),
            page: None,
            solution: Solution::default(),
            directories: Vec::new(),
            lock_path,
            recipe_directories,
            lock_before,
            is_renewed: pinning == Pinning::Renew,
            sources: BTreeMap::new(),
        })
    }

    /// Completes the lock and makes the plan. Nothing is written.
    pub fn plan(
        &mut self,
        arguments: &UniverseArguments,
        store: &Arc<Store>,
    ) -> Result<(Plan, Pins), Trouble> {
        let mut solution = self.solve(store)?;
        self.add_libraries(&mut solution)?;
        self.pin_commits(arguments, store, &solution)?;
        let of_worker = self.solve_worker(store)?;
        self.pin_bases(&solution, of_worker.as_ref())?;
        if arguments.locked && self.lock_before.as_ref() != Some(&self.lock) {
            let message =
                format!("`{}` does not pin everything that the universe needs", self.lock_path.display());
            let help = "run without `--locked` once, or `jtwbuild update`";
            return Err(Trouble::new(Exit::Input, "jtwbuild::lock::incomplete", message, Some(help)));
        }
        let mut pins = Pins::new(&self.lock);
        let packages_of_worker = of_worker.iter().flat_map(|worker| &worker.solution.packages);
        for package in solution.packages.iter().chain(packages_of_worker) {
            match &package.release {
                Release::Recipe(recipe) => {
                    if let Provision::Built { source: Some(PackageSource::Archive(source)), .. } =
                        &recipe.provision
                    {
                        pins.pin_archive(&source.archive);
                    }
                }
                // The lock pins its packages.
                Release::Debian(_) => {}
                Release::Opam(release) => {
                    let source = release.source.iter().filter_map(|source| match source.url()? {
                        PackageSource::Archive(archive) => Some(&archive.archive),
                        PackageSource::Git(_) => None,
                    });
                    source
                        .chain(release.extra.iter().map(|(_, archive)| archive))
                        .for_each(|archive| pins.pin_archive(archive));
                    for file in &release.files {
                        pins.pin_file(file.tree, &file.place, &file.bytes, file.executable);
                    }
                }
            }
        }
        for node in &self.universe.nodes {
            if let NodeSource::Archive { archive, .. } = &node.source {
                pins.pin_archive(&archive.archive);
            }
        }
        self.sources = self.pin_sources(&mut pins)?;
        let (worker, page) = match self.universe.compiler {
            Some(_) => (self.pin_worker(&mut pins)?, Some(self.pin_page(&mut pins)?)),
            None => (None, None),
        };
        let worker_packages =
            of_worker.map(|worker| worker.with_files(&self.recipes, &mut pins)).transpose()?;
        let platform =
            if self.universe.repositories.has_opam() { self.platform()? } else { Platform::debian("") };
        self.page = page;
        let plan = evaluate(&Evaluation {
            universe: &self.universe,
            solution: &solution,
            recipes: &self.recipes,
            pins: &pins,
            platform: &platform,
            sources: &self.sources,
            worker,
            worker_packages: worker_packages.as_ref(),
            page,
        })?;
        self.solution = solution;
        Ok((plan, pins))
    }

    /// Writes the lock if it is not the one that was read. Returns whether it was written.
    pub fn write_lock(&self) -> Result<bool, Trouble> {
        if self.lock_before.as_ref() == Some(&self.lock) {
            return Ok(false);
        }
        disk::replace(&self.lock_path, self.lock.render().as_bytes()).map_err(|error| {
            let message = format!("the lock cannot be written: {error}");
            let help = "it is kept beside the universe file, in a directory that you can write to";
            Trouble::new(Exit::Environment, "jtwbuild::lock::unwritable", message, Some(help))
        })?;
        Ok(true)
    }

    /// Whether something that was asked for by name cannot be had.
    pub fn is_refused(&self) -> bool {
        self.universe.repositories.latest.is_none() && !self.impossible.is_empty()
    }

    /// What is worth a line before anything is done.
    pub fn remarks(&self) -> Vec<String> {
        let notices = self.notices.iter().map(|notice| format!("notice: {notice}"));
        let told = self.told.iter().map(|text| format!("notice: {text}"));
        notices.chain(told).chain(impossible_lines(&self.universe, &self.impossible)).collect()
    }

    /// Where the site goes unless the user says otherwise.
    pub fn output(&self) -> PathBuf {
        self.universe.output.below(&self.universe.directory)
    }

    /// Looks at everything that was read, for a memo; `None` if some of it, other than sources of
    /// nodes, may have changed since the run began.
    pub fn watched(&self, plan: &Plan, since: SystemTime) -> Option<Watched> {
        let mut watched = Watched::default();
        watched.add_content(&self.lock_path, self.lock.render().as_bytes());
        let files = self.universe.files.iter().map(|file| PathBuf::from(&file.name));
        let branches = self.lock.git.iter().filter(|(question, _)| question.reference.is_followed());
        watched.branches = branches.map(|(question, commit)| (question.clone(), commit.clone())).collect();
        let tools = match &self.universe.tools.source {
            ToolsSource::BuiltIn | ToolsSource::Git(_) => None,
            ToolsSource::Path { path, .. } => Some(self.universe.directory.join(path)),
        };
        let directories = self.recipe_directories.iter().chain(&self.directories).cloned();
        for path in files.chain(directories).chain(tools) {
            // A path that cannot be looked at keeps the memo from being written.
            if !watched.add(&path, since).unwrap_or(false) {
                return None;
            }
        }
        let mut users: BTreeMap<&RelativePath, Vec<(u32, u32)>> = BTreeMap::new();
        for node in &self.universe.nodes {
            let NodeSource::Local { path, .. } = &node.source else { continue };
            let id = plan.find(&format!("{}/{}", Kind::Node, node.name))?;
            let source = Input::Tree(*self.sources.get(path)?);
            let slot = plan.derivation(id).inputs.iter().position(|input| *input == source)?;
            users.entry(path).or_default().push((id.0, u32::try_from(slot).ok()?));
        }
        for (path, users) in users {
            let tree = *self.sources.get(path)?;
            watched.sources.push(Source::new(&path.below(&self.universe.directory), tree, users, since));
        }
        Some(watched)
    }

    fn solve(&mut self, store: &Arc<Store>) -> Result<Solution, Trouble> {
        self.lock.repositories.retain(|_| self.universe.repositories.has_opam());
        if self.universe.compiler.is_none() {
            return Ok(Solution::default());
        }
        if self.universe.repositories.has_opam() {
            return self.solve_opam(store);
        }
        let packages = PackageSet::new(&self.recipes)?;
        let solution = solve(&self.universe, &packages, Some(&self.lock))?;
        self.lock.packages = solution.pins();
        Ok(solution)
    }

    /// Bases that are asked for by a name that no recipe has.
    fn check_bases(&self) -> Result<(), Trouble> {
        let of_packages = self.universe.compiler.as_ref().map(|_| &self.universe.base);
        let of_packages = of_packages.map(|base| (&base.recipe, base.span));
        let of_nodes = self.universe.nodes.iter().filter_map(|node| node.base.as_ref());
        let known = BaseRecipe::names(&self.recipes);
        for (name, span) in of_packages.into_iter().chain(of_nodes.map(|(name, span)| (name, *span))) {
            if !known.contains(name) {
                let near = did_you_mean(name.as_str(), known.iter().map(RecipeName::as_str));
                let help = near.map_or_else(
                    || format!("a base is a file `base/{name}.toml` among the recipes"),
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!("there is no base `{name}`");
                let code = "jtwbuild::universe::unknown-base";
                return Err(self.universe.error_at(span, code, message, "no such base", Some(help)).into());
            }
        }
        Ok(())
    }

    /// Pins the packages of every base that a node may need, and drops the others.
    fn pin_bases(&mut self, solution: &Solution, worker: Option<&WorkerSolution>) -> Result<(), Trouble> {
        self.check_bases()?;
        let mut needed = BTreeSet::new();
        if self.universe.compiler.is_some() {
            let tools = JtwToolsRecipe::load(&self.recipes)?.recipe;
            let of_packages = if self.universe.repositories.has_opam() {
                self.universe.opam_base(&OpamRecipe::load(&self.recipes)?.recipe).clone()
            } else {
                self.universe.base.recipe.clone()
            };
            needed.insert(of_packages);
            if let Some(worker) = worker {
                needed.extend(worker.bases());
            }
            if self.universe.has_site {
                needed.insert(tools.base);
                needed.extend(tools.extra);
                needed.extend(JtwRecipe::load(&self.recipes)?.recipe.extra);
            }
        }
        if !self.universe.nodes.is_empty() {
            let default = ScriptRecipe::load(&self.recipes)?.recipe.base;
            let named = self.universe.nodes.iter().map(|node| node.base.as_ref().map(|(base, _)| base));
            needed.extend(
                named.map(|base| base.unwrap_or(&default)).collect::<BTreeSet<_>>().into_iter().cloned(),
            );
        }
        let bases = self.lock.bases.clone();
        self.lock.bases.retain(|name, _| needed.contains(name));
        for name in needed {
            let recipe = BaseRecipe::load(&self.recipes, &name)?.recipe;
            let suite = self.universe.base.suite.clone().unwrap_or_else(|| recipe.suite.clone());
            let asked = recipe.asked(debian::architecture());
            if self.lock.bases.get(&name).is_some_and(|base| base.suite == suite && base.asked == asked) {
                continue;
            }
            let base = self.resolve_base(&recipe, suite, asked)?;
            self.lock.bases.insert(name, base);
        }
        if self.universe.repositories.has_opam() {
            let base = self.universe.opam_base(&OpamRecipe::load(&self.recipes)?.recipe).clone();
            self.pin_extensions(solution, &base, &bases)?;
        }
        if let Some(worker) = worker {
            self.pin_extensions(&worker.solution, &worker.base, &bases)?;
            self.check_worker_bases(worker)?;
        }
        self.check_libraries()
    }

    fn resolve_base(
        &mut self,
        recipe: &BaseRecipe,
        suite: String,
        asked: String,
    ) -> Result<LockedBase, Trouble> {
        let spec = BaseSpec {
            suite: suite.clone(),
            components: recipe.components.clone(),
            packages: recipe.packages.clone(),
            without: recipe.without.iter().map(|pattern| Glob::new(pattern)).collect(),
            arch: debian::architecture().to_owned(),
        };
        let stop = AtomicBool::new(false);
        let resolution = debian::resolve(&self.fetcher, &spec, SystemTime::now(), &stop)?;
        for notice in resolution.notices {
            if !self.notices.contains(&notice) {
                self.notices.push(notice);
            }
        }
        Ok(LockedBase { suite, asked, release_date: resolution.date, packages: resolution.debs })
    }

    fn pin_sources(&self, pins: &mut Pins) -> Result<BTreeMap<RelativePath, TreeHash>, Trouble> {
        let mut sources = BTreeMap::new();
        for node in &self.universe.nodes {
            let NodeSource::Local { path, span } = &node.source else { continue };
            if sources.contains_key(path) {
                continue;
            }
            let place = path.below(&self.universe.directory);
            let tree = pins.pin_path(&place).map_err(|error| {
                let message = format!("the source of `{}` cannot be read: {error}", node.name);
                let help = "paths are relative to the universe file".to_owned();
                self.universe.error_at(
                    *span,
                    "jtwbuild::universe::source",
                    message,
                    "this source",
                    Some(help),
                )
            })?;
            sources.insert(path.clone(), tree);
        }
        Ok(sources)
    }

    /// Content of the worker's source, unless a node fetches it.
    fn pin_worker(&self, pins: &mut Pins) -> Result<Option<TreeHash>, Trouble> {
        match &self.universe.tools.source {
            ToolsSource::Git(_) => Ok(None),
            ToolsSource::BuiltIn => {
                let recipe = JtwToolsRecipe::load(&self.recipes)?.recipe;
                Ok(Some(pins.pin_folder(&self.recipes, recipe.worker.as_str())?))
            }
            ToolsSource::Path { path, span } => {
                let path = self.universe.directory.join(path);
                let pinned = match self.universe.tools.layout {
                    Layout::Worker => pins.pin_path(&path),
                    Layout::Opam { .. } => pins.pin_repository(&path),
                };
                pinned.map(Some).map_err(|error| {
                    let message = format!("the worker's source cannot be read: {error}");
                    let help = "the path is relative to the universe file".to_owned();
                    self.universe
                        .error_at(*span, "jtwbuild::universe::tools", message, "this directory", Some(help))
                        .into()
                })
            }
        }
    }

    fn pin_page(&self, pins: &mut Pins) -> Result<TreeHash, Trouble> {
        let recipe = AssemblyRecipe::load(&self.recipes)?.recipe;
        Ok(pins.pin_folder(&self.recipes, recipe.page.as_str())?)
    }
}
