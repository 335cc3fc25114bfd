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

/// `jtwbuild why-build`
#[derive(Debug, Args)]
pub struct WhyBuild {
    #[command(flatten)]
    pub universe: UniverseArguments,
    /// Only this node: its id, `<kind>/<name>`; the kind, and a version, may be left out when it is clear.
    #[arg(value_name = "NODE")]
    pub node: Option<String>,
    /// Name every file, every change, and every node that follows.
    #[arg(long)]
    pub all: bool,
    /// Print the reasons as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `jtwbuild why-depends`
#[derive(Debug, Args)]
pub struct WhyDepends {
    #[command(flatten)]
    pub universe: UniverseArguments,
    /// A node, or a package (`fmt`).
    #[arg(value_name = "NODE")]
    pub user: String,
    /// A node or a package that it may need.
    #[arg(value_name = "NEEDED")]
    pub needed: String,
    /// Print all ways from the one to the other, up to 100, and not the shortest only.
    #[arg(long)]
    pub all: bool,
    /// Print the ways as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `jtwbuild enter`
#[derive(Debug, Args)]
pub struct Enter {
    #[command(flatten)]
    pub universe: UniverseArguments,
    /// The node's id, `<kind>/<name>`; the kind, and a version, may be left out when it is clear.
    #[arg(value_name = "NODE")]
    pub node: String,
    /// Run the node's commands first, up to the first that fails; so is done anyway for a node whose
    /// failure is remembered.
    #[arg(long)]
    pub build: bool,
    /// What is run in place of a shell.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `jtwbuild show`
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    pub universe: UniverseArguments,
    /// The node's id, `<kind>/<name>`; the kind, and a version, may be left out when it is clear.
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
    /// The node's id, `<kind>/<name>`; the kind, and a version, may be left out when it is clear.
    #[arg(value_name = "NODE")]
    pub node: String,
}
