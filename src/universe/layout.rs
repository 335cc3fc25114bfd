//! `[tools] layout`: what the worker's tree is, and, when it is a repository of opam packages, which
//! of them are installed.

use crate::name::PackageName;
use crate::package::Requirement;
use crate::toml_reader::{Table, Value, one_of};
use crate::universe::Universe;
use crate::universe::repository::{Repositories, Solving};

/// What the tree is that `[tools]` names.
#[derive(Clone, Debug, Default)]
pub enum Layout {
    /// The worker's source, with a script that builds it: as the one among the recipes.
    #[default]
    Worker,
    /// Opam packages, one of which has a program that makes the worker.
    Opam {
        /// The packages of the tree that are installed, with what they need; none named: all.
        packages: Vec<Requirement>,
    },
}

/// Reads what `[tools]` says of its tree.
pub(super) fn read(table: &mut Table<'_>) -> Option<Layout> {
    let words = [("worker", false), ("opam", true)];
    let is_opam = match table.get("layout") {
        Some(value) => value.text_with(|text| one_of(text, "layout of a worker's tree", &words))?,
        None => false,
    };
    match (is_opam, table.get("packages")) {
        (false, None) => Some(Layout::Worker),
        (false, Some(value)) => {
            let help = "say `layout = \"opam\"` if the tree is a repository of opam packages";
            let message = "a worker's source is not made of packages";
            value.problem("tools", message, "packages are named", Some(help.into()));
            None
        }
        (true, None) => Some(Layout::Opam { packages: Vec::new() }),
        (true, Some(value)) => Some(Layout::Opam { packages: value.non_empty_list(package)? }),
    }
}

/// A package of the tree: the tree says its version.
fn package(value: Value<'_>) -> Option<Requirement> {
    let name: PackageName = value.text()?;
    Some(Requirement { name, constraints: Vec::new(), span: value.span_in(0) })
}

impl Universe {
    /// The universe that the packages of the worker's tree are by themselves: they are chosen and
    /// built from the same repositories and under the same conditions, and apart from the rest.
    pub fn of_worker(&self, compiler: Requirement, packages: Vec<Requirement>) -> Self {
        let repositories = Repositories {
            solving: Solving::Joint,
            libraries: Vec::new(),
            latest: None,
            ..self.repositories.clone()
        };
        Self {
            name: self.name.clone(),
            compiler: Some(compiler),
            packages,
            repositories,
            effects: self.effects,
            base: self.base.clone(),
            tools: self.tools.clone(),
            has_site: true,
            output: self.output.clone(),
            compress: self.compress,
            nodes: Vec::new(),
            files: self.files.clone(),
            directory: self.directory.clone(),
        }
    }
}
