//! The command line as the user types it: types for clap, nothing else.

pub mod audit;
pub mod batch;
pub mod diff;
pub mod inspect;
pub mod statements;
pub mod store;
pub mod switch;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use self::audit::Audit;
use self::batch::{Batch, HealthCheck};
use self::diff::Diff;
use self::inspect::{Enter, Log, Show, WhyBuild, WhyDepends, WhyNot};
use self::statements::{Challenge, ExportProof, History, Key, Reproduce, Signing, Statement};
use self::store::{Gc, Roots, Verify};
use self::switch::{Opam, OpamAll};

/// Turns sets of OCaml packages into browser REPLs: a declarative, content-addressed build graph.
#[derive(Debug, Parser)]
#[command(name = "jtwbuild", version, max_term_width = 100)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

/// What every verb takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Where the store is.
    ///
    /// Default: `$JTWBUILD_STORE`, else the directory `store` of the working directory or of one
    /// above it, else `$XDG_DATA_HOME/jtwbuild`.
    #[arg(long, global = true, value_name = "DIR", env = "JTWBUILD_STORE")]
    pub store: Option<PathBuf>,
    /// Say nothing but errors and what was asked for.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more: also which nodes are reused, cut off or skipped.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make everything that a universe asks for, and publish its site.
    ///
    /// What is in the store already is not made again. Writes `universe.lock` if it is missing.
    #[command(after_help = "Example: jtwbuild realise universe.toml -o public")]
    Realise(Realise),
    /// Print what `realise` would do, and why; nothing is built.
    #[command(after_help = "Example: jtwbuild plan universe.toml --dot | dot -Tsvg > plan.svg")]
    Plan(Plan),
    /// Choose anew what the lock pins: the packages of the bases, and package versions.
    #[command(after_help = "Example: jtwbuild update universe.toml")]
    Update(Update),
    /// Build opam packages, each by itself, and say how each ended.
    ///
    /// Takes day10's options. What is asked for is written down as a universe file below the store.
    #[command(
        after_help = "Example: jtwbuild batch --opam-repository ../opam-repository --with-jtw --jtw-output site @packages.json"
    )]
    Batch(Batch),
    /// Build one opam package, and say how it ended.
    #[command(after_help = "Example: jtwbuild health-check --opam-repository ../opam-repository fmt.0.9.0")]
    HealthCheck(HealthCheck),
    /// Say why a package cannot be had in a universe.
    #[command(after_help = "Example: jtwbuild why-not universe.toml ocaml-lsp-server")]
    WhyNot(WhyNot),
    /// Say why nodes would be built, or, when nothing would, why the last run built some.
    ///
    /// Names the root causes: what differs from the nearest earlier build, and what follows from it.
    #[command(
        after_help = "Example: jtwbuild why-build universe.toml\n         jtwbuild why-build universe.toml build/fmt.0.9.0 --all"
    )]
    WhyBuild(WhyBuild),
    /// Say by which way a node or package needs another one.
    ///
    /// The exit code is 1 when it does not.
    #[command(after_help = "Example: jtwbuild why-depends universe.toml fmt ocamlfind")]
    WhyDepends(WhyDepends),
    /// Say what differs between two universes, locks, contents or sites.
    ///
    /// Versions, nodes, files with their sizes, and the types that interfaces offer. The exit code is 0
    /// if nothing differs, and 1 if anything does.
    #[command(after_help = "Example: jtwbuild diff old-site new-site --markdown")]
    Diff(Diff),
    /// Show a node: its key, inputs, how it ended, and its build document.
    #[command(after_help = "Example: jtwbuild show universe.toml build/fmt.0.9.0")]
    Show(Show),
    /// Open a shell in the sandbox of a node, where its commands run.
    ///
    /// Nothing of what is done there is kept.
    #[command(
        after_help = "Example: jtwbuild enter universe.toml build/fmt.0.9.0\n         jtwbuild enter universe.toml build/fmt.0.9.0 -- ls -la"
    )]
    Enter(Enter),
    /// Print the log of a node.
    #[command(after_help = "Example: jtwbuild log universe.toml build/fmt.0.9.0")]
    Log(Log),
    /// Say what was built more than once, and whether the same came out.
    #[command(
        after_help = "Example: jtwbuild history\n         jtwbuild history universe.toml build/fmt.0.9.0"
    )]
    History(History),
    /// Write one file from which others can build a universe again, and compare.
    ///
    /// It holds the universe, its lock, recipes and local sources, the build documents of all nodes, and
    /// what they came to. The universe must have been realised.
    #[command(
        name = "export-proof",
        after_help = "Example: jtwbuild export-proof universe.toml -o demo.proof"
    )]
    ExportProof(ExportProof),
    /// Build everything again that a proof tells of, in a store of its own, and compare.
    ///
    /// The exit code is 6 if a node came to something else.
    #[command(after_help = "Example: jtwbuild reproduce demo.proof")]
    Reproduce(Reproduce),
    /// Make and show the keys that statements are signed with.
    Key(Key),
    /// Sign and check statements of what was built.
    Statement(Statement),
    /// Compare what several parties state with each other and with this store, node by node.
    ///
    /// The exit code is 6 if they do not have the same, and 7 if a statement is refused or too few state
    /// something.
    #[command(
        after_help = "Example: jtwbuild challenge universe.toml alice.statement https://example.org/bob.statement --policy 2-of-2"
    )]
    Challenge(Challenge),
    /// Build nodes again, compare the bytes, and say why they differ.
    ///
    /// What is stored is not touched, but the history remembers what came out. Each build differs from the one before in everything that `--vary`
    /// names; when its output does too, the smallest cause is looked for. The exit code is 6 if something
    /// that goes into a site is not reproducible.
    #[command(
        after_help = "Example: jtwbuild audit universe.toml\n         jtwbuild audit universe.toml build/fmt.0.9.0 --vary hostname,time\n         jtwbuild audit universe.toml --report audit.html"
    )]
    Audit(Audit),
    /// Read everything in the store again and compare it with its name.
    ///
    /// Prints one line for each thing that is damaged; the exit code is then 5. Builds may go on
    /// meanwhile.
    #[command(after_help = "Example: jtwbuild verify --repair --universe universe.toml")]
    Verify(Verify),
    /// Serve a site over HTTP.
    #[command(after_help = "Example: jtwbuild serve site")]
    Serve(Serve),
    /// Make browser artifacts of libraries that are installed, by opam or otherwise.
    ///
    /// No store, no sandbox: js_of_ocaml runs as it is installed. Everything is in one directory, with
    /// one index.
    #[command(after_help = "Example: jtwbuild opam -o html fmt str")]
    Opam(Opam),
    /// The same, with a directory and an index for each library.
    #[command(name = "opam-all", after_help = "Example: jtwbuild opam-all -o html --all --no-worker")]
    OpamAll(OpamAll),
    /// Remove from the store what no root keeps.
    ///
    /// Every universe that `realise` makes has a root. What running processes use stays too.
    #[command(after_help = "Example: jtwbuild gc --dry-run")]
    Gc(Gc),
    /// Say what `gc` must keep.
    #[command(after_help = "Example: jtwbuild roots list")]
    Roots(Roots),
    /// Check whether this machine can build, and say what to do if it cannot.
    #[command(after_help = "Example: jtwbuild doctor")]
    Doctor(Doctor),
}

/// How a universe and its recipes are found.
#[derive(Debug, Args)]
pub struct UniverseArguments {
    /// The universe file.
    #[arg(value_name = "UNIVERSE")]
    pub universe: PathBuf,
    /// A directory of recipes that replace or add to the built-in ones, by path. May be given
    /// several times; the last one wins. A directory `recipes` beside the universe is always used.
    #[arg(long, value_name = "DIR")]
    pub recipes: Vec<PathBuf>,
    /// Use exactly what the lock pins; an incomplete lock is an error.
    #[arg(long)]
    pub locked: bool,
    /// Never use the network.
    #[arg(long)]
    pub offline: bool,
}

impl UniverseArguments {
    /// Those of a verb that is given a universe and no options for it.
    pub fn of(universe: PathBuf) -> Self {
        Self { universe, recipes: Vec::new(), locked: false, offline: false }
    }
}

/// `jtwbuild realise`
#[derive(Debug, Args)]
pub struct Realise {
    #[command(flatten)]
    pub universe: UniverseArguments,
    /// Where the site goes. Default: the universe's `[output] dir`.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// How many nodes may be built at the same time. Default: the number of processors.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Try nodes again whose failure is remembered.
    #[arg(long)]
    pub retry_failed: bool,
    /// Try a builder that fails up to N more times. One that then succeeds is marked as flaky.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub retry: u32,
    /// Wait at most so long for another process that builds a node; then the node counts as failed
    /// because of this machine. Default: as long as it takes.
    #[arg(long, value_name = "SECONDS")]
    pub wait_timeout: Option<u64>,
    /// Read every byte of what nodes are built from before it is used.
    #[arg(long)]
    pub paranoid: bool,
    #[command(flatten)]
    pub signing: Signing,
    /// Print one JSON object on standard output when done.
    #[arg(long)]
    pub json: bool,
}

/// `jtwbuild plan`
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub universe: UniverseArguments,
    /// Print the plan as JSON.
    #[arg(long, conflicts_with = "dot")]
    pub json: bool,
    /// Print the plan as a graph for Graphviz.
    #[arg(long)]
    pub dot: bool,
}

/// `jtwbuild update`
#[derive(Debug, Args)]
pub struct Update {
    #[command(flatten)]
    pub universe: UniverseArguments,
}

/// `jtwbuild serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// The site.
    #[arg(value_name = "DIR", default_value = "site")]
    pub site: PathBuf,
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
}

/// `jtwbuild doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print the checks as JSON.
    #[arg(long)]
    pub json: bool,
}
