//! The command line: what the user typed, and which function does it. Only this module and those
//! below it print.

mod batch;
mod doctor;
mod gc;
mod inspect;
mod load;
mod plan;
mod progress;
mod realise;
mod render;
mod roots;
mod serve;
mod shortcut;
mod sources;
mod summary;
mod trouble;
mod update;
mod verify;
mod why_not;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::trouble::Trouble;

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
    /// Show a node: its key, inputs, how it ended, and its build document.
    #[command(after_help = "Example: jtwbuild show universe.toml build/fmt.0.9.0")]
    Show(Show),
    /// Print the log of a node.
    #[command(after_help = "Example: jtwbuild log universe.toml build/fmt.0.9.0")]
    Log(Log),
    /// Read everything in the store again and compare it with its name.
    ///
    /// Prints one line for each thing that is damaged; the exit code is then 5. Builds may go on
    /// meanwhile.
    #[command(after_help = "Example: jtwbuild verify --repair --universe universe.toml")]
    Verify(Verify),
    /// Serve a site over HTTP.
    #[command(after_help = "Example: jtwbuild serve site")]
    Serve(Serve),
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

/// What `batch` and `health-check` have in common.
#[derive(Debug, Args)]
pub struct BatchOptions {
    /// An opam repository: a directory, an archive or the URL of a git repository. May be given
    /// several times, or as a comma list; the first one that has a version counts.
    #[arg(long, value_name = "PLACE", env = "JTWBUILD_OPAM_REPOSITORY", hide_env_values = true)]
    pub opam_repository: Vec<String>,
    /// The compiler. `ocaml.VERSION` is the base's own compiler if it has that version.
    #[arg(long, value_name = "NAME.VERSION", default_value = "ocaml.5.4.1")]
    pub ocaml_version: String,
    /// Where the store is; as `--store`.
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// A cache of archives in opam's layout: a directory or a URL. May be given several times.
    #[arg(long, value_name = "PLACE")]
    pub archive_mirror: Vec<String>,
    /// How many nodes may be built at the same time. Default: the number of processors.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub fork: Option<u16>,
    /// Print what would be done; nothing is built.
    #[arg(long)]
    pub dry_run: bool,
    /// Try nodes again whose failure is remembered.
    #[arg(long)]
    pub retry_failed: bool,
    /// Never use the network.
    #[arg(long)]
    pub offline: bool,
    /// A directory of recipes that replace or add to the built-in ones, by path. May be given
    /// several times; the last one wins.
    #[arg(long, value_name = "DIR")]
    pub recipes: Vec<PathBuf>,
    /// Write a report as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a report as Markdown.
    #[arg(long, value_name = "FILE")]
    pub md: Option<PathBuf>,
}

/// `jtwbuild batch`
#[derive(Debug, Args)]
pub struct Batch {
    #[command(flatten)]
    pub options: BatchOptions,
    /// Make browser artifacts too, and a site with a universe for each package.
    #[arg(long)]
    pub with_jtw: bool,
    /// Where the site goes. Default: beside the universe file, in the store.
    #[arg(long, value_name = "DIR", requires = "with_jtw")]
    pub jtw_output: Option<PathBuf>,
    /// `@FILE`, with `{"packages": ["fmt.0.9.0", …]}` or one package a line; or one package.
    #[arg(value_name = "@PACKAGES")]
    pub packages: String,
}

/// `jtwbuild health-check`
#[derive(Debug, Args)]
pub struct HealthCheck {
    #[command(flatten)]
    pub options: BatchOptions,
    /// Make browser artifacts too.
    #[arg(long)]
    pub with_jtw: bool,
    /// A package, `fmt` or `fmt.0.9.0`; or `@FILE`, as for `batch`.
    #[arg(value_name = "PACKAGE")]
    pub package: String,
}

/// `jtwbuild why-not`
#[derive(Debug, Args)]
pub struct WhyNot {
    #[command(flatten)]
    pub universe: UniverseArguments,
    /// A package, `fmt`, `fmt.0.9.0` or `fmt >= 0.9`.
    #[arg(value_name = "PACKAGE")]
    pub package: String,
}

/// `jtwbuild show`
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    pub universe: UniverseArguments,
    /// The node's id, `<kind>/<name>`; the kind may be left out when it is clear.
    #[arg(value_name = "NODE")]
    pub node: String,
    /// Print the whole record as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `jtwbuild log`
#[derive(Debug, Args)]
pub struct Log {
    #[command(flatten)]
    pub universe: UniverseArguments,
    /// The node's id, `<kind>/<name>`; the kind may be left out when it is clear.
    #[arg(value_name = "NODE")]
    pub node: String,
}

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

/// `jtwbuild doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print the checks as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Parses the command line, does what the user asked for, and prints. The exit code is documented
/// in the book.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    std::panic::catch_unwind(|| run(&arguments)).unwrap_or_else(|_| {
        let message = "an error in jtwbuild itself ended it; nothing in the store is damaged by that";
        let help = "please report this, with the lines above that begin with `thread`; the same command goes on from where it was";
        render::trouble(&Trouble::new(trouble::Exit::Internal, "jtwbuild::internal", message, Some(help)))
    })
}

fn run(arguments: &Arguments) -> ExitCode {
    let global = &arguments.global;
    let result = match &arguments.verb {
        Verb::Realise(verb) => realise::run(global, verb),
        Verb::Plan(verb) => plan::run(global, verb),
        Verb::Update(verb) => update::run(global, verb),
        Verb::Batch(verb) => batch::batch(global, verb),
        Verb::HealthCheck(verb) => batch::health_check(global, verb),
        Verb::WhyNot(verb) => why_not::run(global, verb),
        Verb::Show(verb) => inspect::show(global, verb),
        Verb::Log(verb) => inspect::log(global, verb),
        Verb::Verify(verb) => verify::run(global, verb),
        Verb::Serve(verb) => serve::run(global, verb),
        Verb::Gc(verb) => gc::run(global, verb),
        Verb::Roots(verb) => roots::run(global, verb),
        Verb::Doctor(verb) => doctor::run(global, verb),
    };
    result.unwrap_or_else(|trouble: Trouble| render::trouble(&trouble))
}
