//! What the verbs take that remember, prove, state and compare what was built.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::UniverseArguments;
use crate::statement::challenge::Policy;

/// `jtwbuild history`
#[derive(Debug, Args)]
pub struct History {
    /// A universe file: only what its nodes are now. Default: everything that was built into the store.
    #[arg(value_name = "UNIVERSE")]
    pub universe: Option<PathBuf>,
    /// Only these nodes of the universe.
    #[arg(value_name = "NODE", requires = "universe")]
    pub nodes: Vec<String>,
    /// Also what was built only once.
    #[arg(long)]
    pub all: bool,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// `jtwbuild export-proof`
#[derive(Debug, Args)]
pub struct ExportProof {
    #[command(flatten)]
    pub universe: UniverseArguments,
    /// Where the proof goes.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// `jtwbuild reproduce`
#[derive(Debug, Args)]
pub struct Reproduce {
    /// The proof.
    #[arg(value_name = "FILE")]
    pub proof: PathBuf,
    /// How many nodes may be built at the same time. Default: the number of processors.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Build in a store of its own at DIR, which must not exist, and keep it. Default: one that is
    /// removed afterwards.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Download everything again. Otherwise archives that your store has are used: their checksums are
    /// in the proof.
    #[arg(long)]
    pub download: bool,
    /// Never use the network.
    #[arg(long, conflicts_with = "download")]
    pub offline: bool,
    #[command(flatten)]
    pub signing: Signing,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// How a run leaves a statement.
#[derive(Debug, Default, Args)]
pub struct Signing {
    /// Write a statement of what the nodes came to. Without `--sign-with` it is a draft to be signed.
    #[arg(long, value_name = "FILE")]
    pub statement: Option<PathBuf>,
    /// Sign the statement with the secret key in FILE; that it cannot be signed gives exit code 7.
    #[arg(long, value_name = "FILE", requires = "statement")]
    pub sign_with: Option<PathBuf>,
    /// Read the passphrase of that key, if it has one, from FILE, which only its owner may read.
    /// Default: it is asked for on the terminal, before anything is built.
    #[arg(long, value_name = "FILE", requires = "sign_with")]
    pub passphrase_file: Option<PathBuf>,
    /// What you call yourself in the statement.
    #[arg(
        long,
        value_name = "NAME",
        requires = "statement",
        default_value = "unnamed",
        hide_default_value = true
    )]
    pub party: String,
}

/// `jtwbuild key`
#[derive(Debug, Args)]
pub struct Key {
    #[command(subcommand)]
    pub verb: KeyVerb,
}

/// The verbs of `key`.
#[derive(Debug, Subcommand)]
pub enum KeyVerb {
    /// Make a key: FILE is the secret one, for you alone; FILE.pub is for others.
    #[command(after_help = "Example: jtwbuild key generate alice.key")]
    Generate {
        /// The file of the secret key, which must not exist.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Protect it by a passphrase, which is asked for on the terminal.
        #[arg(long)]
        protect: bool,
        /// Protect it by the passphrase in FILE, which only its owner may read.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Print the public key that belongs to a secret one, as trust files have it.
    #[command(after_help = "Example: jtwbuild key show alice.key")]
    Show {
        /// The file of the secret key.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Read its passphrase, if it has one, from FILE, which only its owner may read. Default: it is
        /// asked for on the terminal.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
}

/// `jtwbuild statement`
#[derive(Debug, Args)]
pub struct Statement {
    #[command(subcommand)]
    pub verb: StatementVerb,
}

/// The verbs of `statement`.
#[derive(Debug, Subcommand)]
pub enum StatementVerb {
    /// Sign a draft that `--statement` has written; nothing but the key is needed for it.
    #[command(after_help = "Example: jtwbuild statement sign demo.statement --sign-with alice.key")]
    Sign {
        /// The draft. It is replaced by the signed statement.
        #[arg(value_name = "FILE")]
        draft: PathBuf,
        /// The file of the secret key.
        #[arg(long, value_name = "FILE")]
        sign_with: PathBuf,
        /// Read its passphrase, if it has one, from FILE, which only its owner may read. Default: it is
        /// asked for on the terminal.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Check statements, and say who has made them and about what.
    #[command(after_help = "Example: jtwbuild statement check demo.statement --trust trust.toml")]
    Check(Check),
}

/// `jtwbuild statement check`
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub imported: Imported,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Statements of others.
#[derive(Debug, Args)]
pub struct Imported {
    /// Statements: files, or http(s) and file URLs.
    #[arg(value_name = "FILE|URL", required = true)]
    pub statements: Vec<String>,
    /// The file that says who is trusted.
    #[arg(long, value_name = "FILE", default_value = "trust.toml")]
    pub trust: PathBuf,
    /// Refuse statements that were made more than so many days ago.
    #[arg(long, value_name = "DAYS")]
    pub max_age: Option<u64>,
}

/// `jtwbuild challenge`
#[derive(Debug, Args)]
pub struct Challenge {
    #[command(flatten)]
    pub universe: UniverseArguments,
    #[command(flatten)]
    pub imported: Imported,
    /// How many of the parties of the trust file have to say the same: `2-of-3`. Default: at least one
    /// does, and no other says anything else.
    #[arg(long, value_name = "K-of-N")]
    pub policy: Option<Policy>,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}
