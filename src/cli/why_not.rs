//! `jtwbuild why-not`: why a package cannot be had with a universe's compiler.

use std::process::ExitCode;

use super::arguments::Global;
use super::arguments::inspect::WhyNot;
use super::load::{Loaded, Opened, Pinning, open_store};
use super::render;
use super::trouble::{Exit, Trouble};
use crate::package::Requirement;
use crate::package::index::Need;
use crate::solve::opam::needs;
use crate::solve::sat::Solver;
use crate::solve::story::story;
use crate::toml_reader::FromText;

pub(super) fn run(global: &Global, verb: &WhyNot) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    let mut loaded = Loaded::read(&verb.universe, Pinning::Complete)?;
    let wanted = Requirement::from_text(&verb.package).map_err(|error| {
        let help = "write `fmt`, `fmt.0.9.0` or `fmt >= 0.9`";
        Trouble::new(Exit::Input, "jtwbuild::why-not::package", error.message, Some(help))
    })?;
    if !loaded.universe.repositories.has_opam() {
        let message = "the universe names no opam repository";
        let help = "recipes are few: `packages` of the universe says at once why one cannot be had";
        return Err(Trouble::new(Exit::Input, "jtwbuild::why-not::no-repository", message, Some(help)));
    }
    let Opened { indexed, .. } = loaded.open_repositories(&store)?;
    let index = &indexed.index;
    let roots: Vec<Requirement> = loaded.universe.compiler.iter().cloned().chain([wanted]).collect();
    let asked: Vec<String> = roots.iter().map(ToString::to_string).collect();
    if index.find(roots[roots.len() - 1].name.as_str()).is_none() {
        render::data(&format!("there is no package `{}`\n", roots[roots.len() - 1].name));
        return Ok(ExitCode::from(Exit::Failed as u8));
    }
    let needs: Vec<Need> = needs(index, &roots);
    match Solver::new(index).solve(&needs) {
        None => {
            let told: String = story(index, &needs, &asked).iter().map(|line| format!("{line}\n")).collect();
            render::data(&told);
            Ok(ExitCode::from(Exit::Failed as u8))
        }
        Some(selection) => {
            let mut names: Vec<String> = selection
                .iter()
                .map(|(id, ordinal)| {
                    format!("{}.{}", index.package(*id).name, index.version(*id, *ordinal).0)
                })
                .collect();
            names.sort_unstable();
            let asked = &asked[asked.len() - 1];
            render::data(&format!("`{asked}` can be had, with {}\n", names.join(", ")));
            Ok(ExitCode::SUCCESS)
        }
    }
}
