//! `Solution`: exact versions of packages, what each of them sees, and what they were chosen for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::name::PackageName;
use crate::package::{PackageRecipe, Requirement};
use crate::path::RelativePath;
use crate::recipe::values::PackageSource;
use crate::source::{Archive, PinnedDeb};
use crate::store::tree::TreeHash;
use crate::version::Version;

/// A package of a solution: its index in [`Solution::packages`].
pub type PackageId = usize;

/// Exact versions that satisfy every demand. A package may be there more than once when it is built
/// from other things for other targets.
#[derive(Clone, Debug, Default)]
pub struct Solution {
    /// Every package behind what it depends on.
    pub packages: Vec<Chosen>,
    /// What becomes of them.
    pub targets: Vec<Target>,
}

/// What one universe is made of: packages that can be used together.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it is for, when it is not for all that was asked: `fmt.0.9.0`.
    pub name: Option<Box<str>>,
    /// What was asked for, in written order, the compiler first; each once.
    pub roots: Vec<PackageId>,
    /// The package that stands for the compiler; what only it and the compiler need is not offered.
    pub compiler: Option<PackageId>,
    /// What is offered besides what was asked for.
    pub extra: Vec<PackageId>,
}

/// One package of a solution.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub release: Release,
    /// Direct dependencies that users of the package see too, sorted by id.
    pub depends: Vec<PackageId>,
    /// Direct dependencies that only its build sees, sorted by id.
    pub build_depends: Vec<PackageId>,
    /// Packages whose JavaScript implements its primitives, sorted by id.
    pub primitives_from: Vec<PackageId>,
    /// Why it is here, as far as that was kept.
    pub reasons: Vec<Reason>,
}

/// One version of a package, by the kind of repository that it comes from.
#[derive(Clone, Debug)]
pub enum Release {
    /// A recipe of ours or of the user's.
    Recipe(Arc<PackageRecipe>),
    /// A package of an opam repository.
    Opam(Arc<OpamRelease>),
    /// A package of libraries of a Debian suite.
    Debian(Arc<DebianRelease>),
}

/// A package of libraries of a Debian suite.
#[derive(Clone, Debug)]
pub struct DebianRelease {
    pub name: PackageName,
    /// Without an epoch.
    pub version: Version,
    pub description: String,
    /// The package, and those with its runtime files.
    pub debs: Vec<PinnedDeb>,
}

/// A package of an opam repository, as far as building it needs to know.
#[derive(Clone, Debug)]
pub struct OpamRelease {
    pub name: PackageName,
    pub version: Version,
    pub description: String,
    pub homepage: Option<String>,
    pub license: Option<String>,
    /// What building reads of its opam file, in normal form.
    pub file: String,
    /// What those see in their environment that are built with it, in normal form.
    pub setenv: Option<String>,
    pub source: Option<OpamSource>,
    /// Files that are fetched by themselves, by their places in the working directory.
    pub extra: Vec<(RelativePath, Archive)>,
    /// Files that lie beside the opam file.
    pub files: Vec<Beside>,
    /// Distribution packages that it needs.
    pub depexts: Vec<String>,
}

/// Where the source of a package of an opam repository is.
#[derive(Clone, Debug)]
pub enum OpamSource {
    /// What its file's `url` leads to.
    Url {
        source: PackageSource,
        /// What it is called if it is one file and no archive.
        file_name: String,
    },
    /// The worker's tree, in which its file lies.
    WorkerTree,
}

impl OpamSource {
    /// What is fetched for it alone.
    pub fn url(&self) -> Option<&PackageSource> {
        match self {
            Self::Url { source, .. } => Some(source),
            Self::WorkerTree => None,
        }
    }
}

/// A file that lies beside an opam file.
#[derive(Clone, Debug)]
pub struct Beside {
    /// Its place in the working directory.
    pub place: RelativePath,
    /// The tree that holds this file alone.
    pub tree: TreeHash,
    pub bytes: Arc<[u8]>,
    pub executable: bool,
}

impl Chosen {
    /// Its name.
    pub fn name(&self) -> &PackageName {
        match &self.release {
            Release::Recipe(recipe) => &recipe.name,
            Release::Opam(release) => &release.name,
            Release::Debian(release) => &release.name,
        }
    }

    /// Its version.
    pub fn version(&self) -> &Version {
        match &self.release {
            Release::Recipe(recipe) => &recipe.version,
            Release::Opam(release) => &release.version,
            Release::Debian(release) => &release.version,
        }
    }

    /// One line about it.
    pub fn description(&self) -> &str {
        match &self.release {
            Release::Recipe(recipe) => &recipe.description,
            Release::Opam(release) => &release.description,
            Release::Debian(release) => &release.description,
        }
    }

    /// Where people read more about it, as whoever packaged it says.
    pub fn homepage(&self) -> Option<&str> {
        match &self.release {
            Release::Recipe(recipe) => recipe.homepage.as_deref(),
            Release::Opam(release) => release.homepage.as_deref(),
            Release::Debian(_) => None,
        }
    }

    /// Its licence, as whoever packaged it says.
    pub fn license(&self) -> Option<&str> {
        match &self.release {
            Release::Recipe(recipe) => recipe.license.as_deref(),
            Release::Opam(release) => release.license.as_deref(),
            Release::Debian(_) => None,
        }
    }

    /// `name.version`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.name(), self.version())
    }
}

/// Why a package is in a solution.
#[derive(Clone, Debug)]
pub enum Reason {
    /// The universe asks for it.
    Asked { requirement: Requirement },
    /// Another package of the solution does.
    NeededBy { package: PackageId, requirement: Requirement, kind: DependencyKind },
}

/// How one package needs another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DependencyKind {
    /// Its users need it too.
    Runtime,
    /// Only its build needs it.
    Build,
    /// Its C primitives are implemented there.
    Primitives,
}

impl DependencyKind {
    /// What a message says behind "needs".
    pub fn purpose(self) -> &'static str {
        match self {
            Self::Runtime => "",
            Self::Build => " to be built",
            Self::Primitives => " for its primitives",
        }
    }
}

impl Solution {
    /// The ids of `from` and of everything that they depend on at run time, sorted: every package
    /// behind its dependencies.
    pub fn runtime_closure(&self, from: impl IntoIterator<Item = PackageId>) -> Vec<PackageId> {
        self.closure(from, |package| [&package.depends[..], &[]])
    }

    fn closure<'s>(
        &'s self,
        from: impl IntoIterator<Item = PackageId>,
        next: impl Fn(&'s Chosen) -> [&'s [PackageId]; 2],
    ) -> Vec<PackageId> {
        let mut seen = BTreeSet::new();
        let mut left: Vec<PackageId> = from.into_iter().collect();
        while let Some(id) = left.pop() {
            if seen.insert(id) {
                left.extend(next(&self.packages[id]).into_iter().flatten());
            }
        }
        seen.into_iter().collect()
    }

    /// What the build of a package sees, sorted, without the package itself. Recipes: its dependencies
    /// of both kinds, and what those depend on at run time. Opam packages: everything that they and
    /// their dependencies are built from, as in a switch of opam.
    pub fn build_closure(&self, id: PackageId) -> Vec<PackageId> {
        let package = &self.packages[id];
        let direct = package.depends.iter().chain(&package.build_depends).copied();
        match &package.release {
            Release::Recipe(_) | Release::Debian(_) => self.runtime_closure(direct),
            Release::Opam(_) => self.closure(direct, |package| [&package.depends, &package.build_depends]),
        }
    }

    /// What the site of a target offers: the roots and what they depend on at run time. The compiler
    /// and what it is made of are left out: the worker has it.
    pub fn offered(&self, target: &Target) -> Vec<PackageId> {
        let compiler = target.compiler.into_iter().chain(target.roots.first().copied());
        let compiler = match target.compiler {
            Some(_) => self.runtime_closure(compiler),
            None => Vec::new(),
        };
        let mut offered = self.runtime_closure(target.roots.iter().chain(&target.extra).copied());
        offered.retain(|id| compiler.binary_search(id).is_err());
        offered
    }

    /// Lets packages of opam repositories have the JavaScript of others as `javascript` says: opam
    /// files do not. Whose JavaScript nobody asked for stays without it.
    pub fn lend_javascript(&mut self, javascript: &BTreeMap<PackageName, Vec<PackageName>>) {
        for (name, from) in javascript {
            let mut from: Vec<PackageId> = from.iter().filter_map(|name| self.find(name)).collect();
            from.sort_unstable();
            let named = self.packages.iter_mut().filter(|package| package.name() == name);
            for package in named.filter(|package| matches!(package.release, Release::Opam(_))) {
                package.primitives_from.clone_from(&from);
            }
        }
    }

    /// The first package with this name.
    pub fn find(&self, name: &PackageName) -> Option<PackageId> {
        self.packages.iter().position(|package| package.name() == name)
    }

    /// Distribution packages that the build of a package needs: its own and those of everything that
    /// its build sees. Sorted.
    pub fn depexts(&self, id: PackageId) -> BTreeSet<&str> {
        let closure = self.build_closure(id).into_iter().chain([id]);
        let packages = closure.filter_map(|id| match &self.packages[id].release {
            Release::Opam(release) => Some(&release.depexts),
            Release::Recipe(_) | Release::Debian(_) => None,
        });
        packages.flatten().map(String::as_str).collect()
    }

    /// Name and version of every package, for the lock.
    pub fn pins(&self) -> BTreeMap<PackageName, Version> {
        let pins = self.packages.iter().map(|package| (package.name().clone(), package.version().clone()));
        pins.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opam(name: &str) -> Chosen {
        let release = OpamRelease {
            name: PackageName::new(name).unwrap(),
            version: Version::new("1").unwrap(),
            description: String::new(),
            homepage: None,
            license: None,
            file: String::new(),
            setenv: None,
            source: None,
            extra: Vec::new(),
            files: Vec::new(),
            depexts: Vec::new(),
        };
        Chosen {
            release: Release::Opam(Arc::new(release)),
            depends: Vec::new(),
            build_depends: Vec::new(),
            primitives_from: Vec::new(),
            reasons: Vec::new(),
        }
    }

    #[test]
    fn opam_packages_have_the_javascript_that_was_chosen_with_them() {
        let name = |text: &str| PackageName::new(text).unwrap();
        let javascript = BTreeMap::from([
            (name("zarith"), vec![name("zarith_stubs_js")]),
            (name("other"), vec![name("absent")]),
        ]);
        let packages = ["zarith", "fmt", "zarith_stubs_js", "other"].map(opam).to_vec();
        let mut solution = Solution { packages, targets: Vec::new() };
        solution.lend_javascript(&javascript);
        let lent: Vec<_> = solution.packages.iter().map(|package| package.primitives_from.clone()).collect();
        assert_eq!(lent, [vec![2], vec![], vec![], vec![]]);
    }
}
