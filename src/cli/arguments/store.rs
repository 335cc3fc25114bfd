//! What the verbs take that look after the store.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::gc;

/// `jtwbuild verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// Make good what is damaged: from other copies, from where it was downloaded, or by building
    /// it again; what cannot be made good is moved to `quarantine/` in the store.
    #[arg(long)]
    pub repair: bool,
    /// With `--repair`: a universe whose nodes may be built again for it, now.
    #[arg(long, value_name = "FILE", requires = "repair")]
    pub universe: Option<PathBuf>,
    /// With `--repair`: never use the network.
    #[arg(long, requires = "repair")]
    pub offline: bool,
    /// Print one JSON object on standard output when done.
    #[arg(long)]
    pub json: bool,
}

/// `jtwbuild gc`
#[derive(Debug, Args)]
pub struct Gc {
    /// Say what would be removed; nothing is.
    #[arg(long)]
    pub dry_run: bool,
    /// Keep what was made, or kept by a root, within so many days.
    #[arg(long, value_name = "N")]
    pub keep_days: Option<u64>,
    /// Remove only so much that the store has at most this size, what was used longest ago first. K,
    /// M, G and T are powers of 1024.
    #[arg(long, value_name = "SIZE", value_parser = gc::parse_size)]
    pub max_size: Option<u64>,
    /// Remove roots too whose universe file is gone.
    #[arg(long)]
    pub prune_roots: bool,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// `jtwbuild roots`
#[derive(Debug, Args)]
pub struct Roots {
    #[command(subcommand)]
    pub verb: RootsVerb,
}

/// The verbs of `roots`.
#[derive(Debug, Subcommand)]
pub enum RootsVerb {
    /// Make a root: what it keeps stays, whatever happens to the universe.
    #[command(after_help = "Example: jtwbuild roots add universe.toml --name release-1")]
    Add(RootsAdd),
    /// Print all roots.
    List(RootsList),
    /// Remove roots; what they kept goes with the next `gc`.
    Remove(RootsRemove),
}

/// `jtwbuild roots add`
#[derive(Debug, Args)]
pub struct RootsAdd {
    /// A universe file, a published site, or a tree or layer of the store by path or name; with
    /// `--of` nodes.
    #[arg(value_name = "THING", required = true)]
    pub things: Vec<String>,
    /// The universe that the nodes are of. With a node everything is kept that it needs.
    #[arg(long, value_name = "UNIVERSE")]
    pub of: Option<PathBuf>,
    /// The root's name. Default: one made of the things.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// `jtwbuild roots list`
#[derive(Debug, Args)]
pub struct RootsList {
    /// Print the roots as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `jtwbuild roots remove`
#[derive(Debug, Args)]
pub struct RootsRemove {
    /// Names, as `roots list` prints them.
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
}
