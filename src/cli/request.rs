//! How a node's run is shown: commands as they would be typed, the environment, what is mounted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::derivation::Action;
use crate::legible;
use crate::opam::syntax::OpamFile;
use crate::request::{Command, Mount, Request};

/// What is known of a node's run before it is prepared.
#[derive(Debug, Default, Serialize)]
pub(super) struct RunView {
    pub commands: Vec<CommandView>,
    pub environment: BTreeMap<String, String>,
    pub mounts: Vec<MountView>,
    /// Fields of an opam file that say which commands there will be.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub opam: BTreeMap<String, String>,
}

/// A command and where it runs.
#[derive(Debug, Serialize)]
pub(super) struct CommandView {
    /// The words, and the same for a shell.
    pub argv: Vec<String>,
    pub shell: String,
    pub cwd: String,
}

/// What is mounted where, by the names of inputs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct MountView {
    pub at: String,
    /// The lowest first.
    pub inputs: Vec<String>,
    pub read_only: bool,
    /// Whether what the run leaves there is kept.
    pub captured: bool,
}

impl CommandView {
    pub fn new(command: &Command) -> Self {
        let shell = shell_line(&command.argv);
        Self { argv: command.argv.clone(), shell, cwd: command.cwd.clone() }
    }
}

impl RunView {
    /// The run of an action. Nodes that are fetched or composed have none.
    pub fn of_action(action: &Action) -> Option<Self> {
        match action {
            Action::Fetch(_) | Action::Git(_) | Action::Compressed(_) | Action::Assembly(_) => None,
            Action::Script(script) => Some(Self::of_request(&script.request)),
            Action::Build(build) => Some(Self::of_request(&build.request)),
            Action::Tools(tools) => Some(Self::of_request(&tools.request)),
            Action::Opam(build) => {
                let fields = OpamFile::parse(&build.file).ok();
                let field = |name: &str| {
                    let value = fields.as_ref()?.field(name)?;
                    Some((name.to_owned(), value.to_string()))
                };
                let opam = ["build", "install"].into_iter().filter_map(field).collect();
                Some(Self { opam, ..Self::of_request(&build.request) })
            }
            Action::Base(base) => {
                let command =
                    |argv: &Vec<String>| CommandView::new(&Command { argv: argv.clone(), cwd: "/".into() });
                let commands = base.setup.iter().map(command).collect();
                let view = Self { commands, environment: base.env.clone(), ..Self::default() };
                (!base.setup.is_empty()).then_some(view)
            }
            Action::Jtw(jtw) => {
                let command = Command { argv: jtw.command.clone(), cwd: "/out".into() };
                let mount = |at: &str, inputs: Vec<String>, captured| MountView {
                    at: at.to_owned(),
                    inputs,
                    read_only: false,
                    captured,
                };
                let libraries = jtw.primitives.iter().map(|layer| layer.name.clone());
                let libraries = libraries.chain([format!("{}.{}", jtw.package, jtw.version)]).collect();
                let root = std::iter::once(&jtw.base).chain(&jtw.extra);
                let root = root.map(|layer| layer.name.clone()).collect();
                let mounts = vec![
                    mount("/", root, false),
                    mount(&jtw.prefix, libraries, false),
                    mount("/out", Vec::new(), true),
                ];
                let commands = vec![CommandView::new(&command)];
                Some(Self { commands, environment: jtw.env.clone(), mounts, ..Self::default() })
            }
        }
    }

    /// A run that is prepared, or planned.
    pub fn of_request<T>(request: &Request<T>) -> Self {
        let mount = |mount: &Mount<T>| {
            let (inputs, captured) = match mount {
                Mount::Overlay { layers, capture, .. } => {
                    (layers.iter().map(|layer| layer.name.clone()).collect(), capture.is_some())
                }
                Mount::ReadOnly { tree, .. } => (vec![tree.name.clone()], false),
            };
            let read_only = matches!(mount, Mount::ReadOnly { .. });
            MountView { at: mount.at().to_owned(), inputs, read_only, captured }
        };
        Self {
            commands: request.stages.iter().flatten().map(CommandView::new).collect(),
            environment: request.env.clone(),
            mounts: request.mounts.iter().map(mount).collect(),
            opam: BTreeMap::new(),
        }
    }

    /// The commands, one a line; further lines of one are indented.
    pub fn commands_text(&self, indent: &str) -> String {
        let mut text = String::new();
        for (at, command) in self.commands.iter().enumerate() {
            let shell = legible::lines(&command.shell).replace('\n', &format!("\n{indent}  "));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{indent}command {}  in {}: {shell}", at + 1, command.cwd);
        }
        for (name, value) in &self.opam {
            let _ = writeln!(text, "{indent}{name} of its opam file: {}", legible::lines(value));
        }
        text
    }

    /// What is mounted, one mount a line.
    pub fn mounts_text(&self, indent: &str) -> String {
        let mut text = String::new();
        for MountView { at, inputs, read_only, captured } in &self.mounts {
            let what = if inputs.is_empty() { "empty at first".to_owned() } else { inputs.join(", ") };
            let how = match (read_only, captured) {
                (true, _) => " (read-only)",
                (_, true) => " (what is left there counts)",
                _ => "",
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{indent}mount      {at}: {what}{how}");
        }
        text
    }

    /// The environment, one variable a line.
    pub fn environment_text(&self, indent: &str) -> String {
        let line = |(name, value): (&String, &String)| {
            format!("{indent}variable   {name}={}\n", legible::lines(&quoted(value)))
        };
        self.environment.iter().map(line).collect()
    }
}

/// A command line that a shell reads as these words.
pub(super) fn shell_line(argv: &[String]) -> String {
    argv.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A word for a shell: as it is where no character of it means something, else in single quotes.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%^".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell_where_they_have_to_be() {
        let words = ["sh", "-c", "echo $x 'y'", "", "a=b", "~", "ü"].map(str::to_owned);
        assert_eq!(shell_line(&words), r"sh -c 'echo $x '\''y'\''' '' a=b '~' 'ü'");
    }
}
