//! Libraries of a Debian suite: pinned, and added to what is offered.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use super::Loaded;
use crate::cli::trouble::{Exit, Trouble};
use crate::fetch::debian::libraries::{Library, Wanted};
use crate::fetch::debian::{self, Suite};
use crate::lock::debian::{LockedLibraries, LockedLibrary};
use crate::name::PackageName;
use crate::recipe::debian::DebianRecipe;
use crate::recipe::{JtwToolsRecipe, RecipeKind};
use crate::solution::Solution;
use crate::solve::debian::add;
use crate::universe::repository::RepositoryChoice;

/// The package with the standard library, of bases and of libraries: both have to be the same.
const STDLIB: &str = "libstdlib-ocaml-dev";

impl Loaded {
    /// Pins the libraries that the universe asks a Debian suite for, and adds them to the solution.
    pub(super) fn add_libraries(&mut self, solution: &mut Solution) -> Result<(), Trouble> {
        let repositories = &self.universe.repositories;
        let suite = repositories.choices.iter().find_map(|choice| match choice {
            RepositoryChoice::Debian { suite, .. } => Some(suite.clone()),
            RepositoryChoice::Opam { .. } => None,
        });
        let named: Vec<PackageName> = repositories.libraries.iter().map(|one| one.name.clone()).collect();
        let (Some(suite), false) = (suite, named.is_empty() && repositories.latest.is_none()) else {
            self.lock.debian = None;
            return Ok(());
        };
        let recipe = DebianRecipe::load(&self.recipes)?.recipe;
        self.pin_libraries(&recipe, suite, &named)?;
        let Some(locked) = &self.lock.debian else { return Ok(()) };
        for asked in &self.universe.repositories.libraries {
            let library = locked.libraries.get(&asked.name);
            if let Some(library) = library.filter(|library| !asked.allows(&library.version)) {
                let message = format!("the suite {} has {} {}", locked.suite, asked.name, library.version);
                let help = "a suite has one version of each package: name it without a version".to_owned();
                let code = "jtwbuild::solve::no-version";
                let error = self.universe.error_at(asked.span, code, message, "no such version", Some(help));
                return Err(error.into());
            }
        }
        add(solution, locked, &named, &recipe.javascript);
        Ok(())
    }

    fn pin_libraries(
        &mut self,
        recipe: &DebianRecipe,
        suite: String,
        named: &[PackageName],
    ) -> Result<(), Trouble> {
        let is_all = self.universe.repositories.latest.is_some();
        let arch = debian::architecture();
        let mut names: Vec<&str> = named.iter().map(PackageName::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let asked = if is_all { format!("{arch} all") } else { format!("{arch} {}", names.join(" ")) };
        let asked = blake3::hash(asked.as_bytes()).to_hex()[..16].to_owned();
        if self.lock.debian.as_ref().is_some_and(|known| known.suite == suite && known.asked == asked) {
            return Ok(());
        }
        let stop = AtomicBool::new(false);
        let opened = Suite::open(&self.fetcher, &suite, &recipe.components, arch, SystemTime::now(), &stop)?;
        for notice in &opened.notices {
            if !self.notices.contains(notice) {
                self.notices.push(notice.clone());
            }
        }
        let index = opened.index();
        let mut wanted: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let found = loop {
            let question = if is_all { Wanted::All } else { Wanted::Named(wanted.clone()) };
            let found = index.libraries(&question)?;
            // What has the primitives of a library comes along.
            let more =
                found.libraries.iter().filter_map(|library| recipe.javascript.get(library.name.as_str()));
            let more: Vec<String> = more.flatten().map(ToString::to_string).collect();
            let is_there = |name: &String| found.libraries.iter().any(|library| library.name == *name);
            if is_all || more.iter().all(is_there) {
                break found;
            }
            wanted.extend(more);
        };
        self.told.extend(found.left_out.iter().map(|(name, why)| format!("left out: {name}: {why}")));
        let mut libraries = BTreeMap::new();
        for library in found.libraries {
            match locked(&library) {
                Some((name, library)) => drop(libraries.insert(name, library)),
                None => self.told.push(format!("left out: {}: no package can be called so", library.name)),
            }
        }
        self.lock.debian =
            Some(LockedLibraries { suite, asked, release_date: opened.date.clone(), libraries });
        Ok(())
    }

    /// Libraries and the base that they are compiled for browsers in have to have the same standard
    /// library.
    pub(super) fn check_libraries(&self) -> Result<(), Trouble> {
        let tools = JtwToolsRecipe::load(&self.recipes)?.recipe;
        let base =
            if self.universe.repositories.has_opam() { &tools.base } else { &self.universe.base.recipe };
        let libraries = self.lock.debian.as_ref().and_then(|debian| debian.libraries.get(STDLIB));
        let base = self.lock.bases.get(base).map(|base| base.packages.as_slice()).unwrap_or_default();
        let of_base = base.iter().find(|deb| deb.name == STDLIB);
        let of_libraries = libraries.and_then(|library| library.debs.first());
        match of_base.zip(of_libraries) {
            Some((base, library)) if base.version != library.version => {
                let message = format!(
                    "the base has the standard library of OCaml {}, the Debian libraries are for {}",
                    base.version, library.version
                );
                let help = "`jtwbuild update` takes both from the suite as it is now";
                Err(Trouble::new(Exit::Input, "jtwbuild::base::other-compiler", message, Some(help)))
            }
            _ => Ok(()),
        }
    }
}

fn locked(library: &Library) -> Option<(PackageName, LockedLibrary)> {
    let needs = library.needs.iter().filter_map(|name| PackageName::new(name)).collect();
    let locked = LockedLibrary::new(library.debs.clone(), library.description.clone(), needs)?;
    Some((PackageName::new(&library.name)?, locked))
}
