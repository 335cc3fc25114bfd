//! What `audit` takes.

use std::path::PathBuf;

use clap::Args;

use super::UniverseArguments;
use super::statements::History;

/// `jtwbuild audit`
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option that the user may give")]
pub struct Audit {
    /// The universe file.
    #[arg(value_name = "UNIVERSE", required_unless_present = "history")]
    universe: Option<PathBuf>,
    /// Only these nodes: ids, `<kind>/<name>`; the kind may be left out when it is clear. Default: all
    /// that a builder makes.
    #[arg(value_name = "NODE")]
    pub nodes: Vec<String>,
    /// A directory of recipes that replace or add to the built-in ones, by path. May be given
    /// several times; the last one wins. A directory `recipes` beside the universe is always used.
    #[arg(long, value_name = "DIR")]
    recipes: Vec<PathBuf>,
    /// Use exactly what the lock pins; an incomplete lock is an error.
    #[arg(long)]
    locked: bool,
    /// Never use the network.
    #[arg(long)]
    offline: bool,
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
    /// Also write the judgements to FILE as a page: one file of HTML that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Let the host's `diffoscope` explain, too, what differs: `DIR/<kind>/<name>.html`.
    ///
    /// It runs as you do, outside the sandbox.
    #[arg(long, value_name = "DIR")]
    pub diffoscope: Option<PathBuf>,
    /// How long `diffoscope` may take for each node. Then it is ended, and the audit goes on.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "diffoscope", value_parser = clap::value_parser!(u64).range(1..))]
    pub diffoscope_timeout: u64,
    /// Build nothing: say what was built more than once, and whether the same came out, as
    /// `jtwbuild history` does.
    #[arg(
        long,
        conflicts_with_all = [
            "recipes", "locked", "offline", "times", "vary", "no_bisect", "bisect", "jobs", "report", "diffoscope",
            "diffoscope_timeout",
        ]
    )]
    pub history: bool,
    /// Print the judgements, or the history, as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What is asked for.
pub enum Question {
    /// Nodes of a universe are judged.
    Judge(UniverseArguments),
    /// Nothing is built.
    Remember(History),
}

impl Audit {
    /// What is asked for. Without a universe, it is about what was.
    pub fn question(&self) -> Question {
        match &self.universe {
            Some(universe) if !self.history => Question::Judge(UniverseArguments {
                universe: universe.clone(),
                recipes: self.recipes.clone(),
                locked: self.locked,
                offline: self.offline,
            }),
            universe => Question::Remember(History {
                universe: universe.clone(),
                nodes: self.nodes.clone(),
                all: false,
                json: self.json,
            }),
        }
    }
}
