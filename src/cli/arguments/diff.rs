//! What `diff` takes.

use std::path::PathBuf;

use clap::Args;

use super::UniverseArguments;

/// `jtwbuild diff`
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option that the user may give")]
pub struct Diff {
    /// A universe file, a lock, a site, any directory, a layer (`build-<key>`), a tree (`tree:<hash>`) or,
    /// with `--of`, a node.
    #[arg(value_name = "A")]
    pub before: String,
    /// What A is compared with: of the same sort. A universe and a lock are compared as locks.
    #[arg(value_name = "B")]
    pub after: String,
    /// The universe that A and B are nodes of.
    #[arg(long, value_name = "UNIVERSE")]
    pub of: Option<PathBuf>,
    /// A directory of recipes that replace or add to the built-in ones, by path. May be given several
    /// times; the last one wins.
    #[arg(long, value_name = "DIR")]
    pub recipes: Vec<PathBuf>,
    /// Use exactly what the locks pin; an incomplete lock is an error.
    #[arg(long)]
    pub locked: bool,
    /// Never use the network.
    #[arg(long)]
    pub offline: bool,
    /// Name every file that differs.
    #[arg(long)]
    pub files: bool,
    /// Print every change of an interface.
    #[arg(long)]
    pub interfaces: bool,
    /// Say what differs inside files: lines, statements, values, members, sections, what OCaml compiled.
    #[arg(long)]
    pub explain: bool,
    /// Print Markdown, for a pull request.
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
    /// Print everything as JSON.
    #[arg(long)]
    pub json: bool,
}

impl Diff {
    /// How the universe of this file is found.
    pub fn universe(&self, universe: PathBuf) -> UniverseArguments {
        UniverseArguments {
            universe,
            recipes: self.recipes.clone(),
            locked: self.locked,
            offline: self.offline,
        }
    }
}
