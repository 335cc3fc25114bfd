//! What the verbs take that explain a universe or a node.

use clap::Args;

use super::UniverseArguments;

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
