//! What `audit` takes.

use clap::Args;

use super::UniverseArguments;

/// `jtwbuild audit`
#[derive(Debug, Args)]
pub struct Audit {
    #[command(flatten)]
    pub universe: UniverseArguments,
    /// Only these nodes: ids, `<kind>/<name>`; the kind may be left out when it is clear. Default: all
    /// that a builder makes.
    #[arg(value_name = "NODE")]
    pub nodes: Vec<String>,
    /// How often each node is built and compared.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub times: u32,
    /// What is made different: `all`, `none`, or names separated by commas, `-NAME` for all but one.
    ///
    /// time, jobs, cpus, hostname, user, locale, timezone, umask, home, build-path, readdir, aslr,
    /// kernel, load
    #[arg(long, value_name = "LIST", default_value = "all", allow_hyphen_values = true)]
    pub vary: String,
    /// Do not look for the cause of a difference.
    #[arg(long, overrides_with = "bisect")]
    pub no_bisect: bool,
    /// Look for the cause of a difference; so it is done anyway.
    #[arg(long, overrides_with = "no_bisect")]
    pub bisect: bool,
    /// How many nodes may be built at the same time. Default: the number of processors.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Print the judgements as JSON.
    #[arg(long)]
    pub json: bool,
}
