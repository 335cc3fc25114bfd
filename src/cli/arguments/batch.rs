//! What `batch` and `health-check` take.

use std::path::PathBuf;

use clap::Args;

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

/// Which worker the browser artifacts are for.
#[derive(Debug, Args)]
pub struct WorkerOptions {
    /// The URL of the git repository that has the worker. Default: the built-in one.
    #[arg(long = "jtw-tools-repo", value_name = "URL", requires = "with_jtw")]
    pub repo: Option<String>,
    /// The branch of that repository, which is followed.
    #[arg(long = "jtw-tools-branch", value_name = "NAME", default_value = "main", requires = "repo")]
    pub branch: String,
    /// What that repository is: opam packages, or the source of a worker with a script `build.sh`.
    #[arg(
        long = "jtw-tools-layout",
        value_name = "LAYOUT",
        default_value = "opam",
        value_parser = ["opam", "worker"],
        requires = "repo"
    )]
    pub layout: String,
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
    #[command(flatten)]
    pub worker: WorkerOptions,
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
    #[command(flatten)]
    pub worker: WorkerOptions,
    /// A package, `fmt` or `fmt.0.9.0`; or `@FILE`, as for `batch`.
    #[arg(value_name = "PACKAGE")]
    pub package: String,
}
