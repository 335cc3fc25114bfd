//! What the verbs take that work on an installed OCaml.

use std::path::PathBuf;

use clap::Args;

/// What both verbs take.
#[derive(Debug, Args)]
pub struct Installed {
    /// findlib names of libraries; what they require comes with them.
    #[arg(value_name = "LIB")]
    pub libraries: Vec<String>,
    /// The output directory. One that is there must be empty, or made by this verb before.
    #[arg(short, long, value_name = "DIR", default_value = "html")]
    pub output: PathBuf,
    /// An opam switch: a name, or the directory of a local one. Default: the programs on `PATH`.
    #[arg(long, value_name = "SWITCH")]
    pub switch: Option<String>,
    /// Build no `worker.js`.
    #[arg(long)]
    pub no_worker: bool,
    /// How many programs may run at the same time. Default: the number of processors.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Where to keep what was compiled. Default: `$XDG_CACHE_HOME/jtwbuild`, else
    /// `$HOME/.cache/jtwbuild`.
    #[arg(long, value_name = "DIR", env = "JTWBUILD_CACHE", conflicts_with = "no_cache")]
    pub cache: Option<PathBuf>,
    /// Keep nothing, and use nothing that was kept.
    #[arg(long)]
    pub no_cache: bool,
    /// Print one JSON object on standard output when done.
    #[arg(long)]
    pub json: bool,
}

/// `jtwbuild opam`
#[derive(Debug, Args)]
pub struct Opam {
    #[command(flatten)]
    pub installed: Installed,
    /// Write below this path of the output directory, for the named libraries only: neither what they
    /// require nor the standard library.
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// A file with one path a line: those of other runs with `--path` into the same output directory.
    /// The index refers to theirs.
    #[arg(long, value_name = "FILE")]
    pub deps_file: Option<PathBuf>,
}

/// `jtwbuild opam-all`
#[derive(Debug, Args)]
pub struct OpamAll {
    #[command(flatten)]
    pub installed: Installed,
    /// Take every library that is installed.
    #[arg(long)]
    pub all: bool,
}
