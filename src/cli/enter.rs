//! `jtwbuild enter`: a person in the sandbox of a node.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::process::ExitCode;

use super::arguments::Global;
use super::arguments::inspect::Enter;
use super::inspect::by_name;
use super::load::{Loaded, Pinning, open_store};
use super::realise::{start_sandbox, stop_on_signals};
use super::request::{RunView, shell_line};
use super::trouble::{Exit, Trouble};
use super::{render, summary};
use crate::builder::LocalBuilder;
use crate::derivation::{Input, NodeId};
use crate::inspect::prospect::input_trees;
use crate::outcome::Failure;
use crate::plan::Plan;
use crate::realise::{Job, Quiet};
use crate::request::{Command, Mount, Request};
use crate::sandbox::visit::{Plan as VisitPlan, Streams};
use crate::store::Store;
use crate::store::facts::Facts;
use crate::store::tree::TreeHash;

pub(super) fn run(global: &Global, verb: &Enter) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    // It forks this process: best done while that is small.
    let sandbox = start_sandbox();
    let mut loaded = Loaded::read(&verb.universe, Pinning::Complete)?;
    let (plan, pins) = loaded.plan(&verb.universe, &store)?;
    let node = by_name(&plan, &verb.node)?;
    let facts = Facts::load(&store.plans().join("facts"));
    let trees = inputs(&plan, &store, &facts, node)?;
    let derivation = plan.derivation(node);
    let build = derivation.build_key(&trees);
    let layer_id = Store::layer_id(derivation.kind.word(), &build);
    let failed = store.layer(&layer_id)?.and_then(|layer| layer.failure);
    let stop = stop_on_signals()?;
    let builder = LocalBuilder::new(&store, &pins, &loaded.fetcher, &sandbox);
    let layer = store.draft_layer(&layer_id)?;
    let job = Job { node, derivation, trees: &trees, layer: &layer, stop: &stop, progress: &Quiet };
    let prepared = builder.request(&job).map_err(|failure| of_failure(&failure))?;
    let mut request = prepared.ok_or_else(|| without_commands(&plan, node))?;
    let view = RunView::of_request(&request);
    let is_built_first = verb.build || failed.is_some();
    let cwd = request.stages.iter().flatten().next().map_or("/", |command| command.cwd.as_str()).to_owned();
    if !is_built_first {
        request.stages.clear();
    }
    let (input, output, error) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let is_terminal = input.is_terminal() && output.is_terminal();
    if let (true, Ok(kind)) = (is_terminal, std::env::var("TERM")) {
        // Editors and pagers cannot do without.
        request.env.entry("TERM".to_owned()).or_insert(kind);
    }
    let shell = || vec![builder.shell(&root_of(&request)).to_owned()];
    let argv = if verb.command.is_empty() { shell() } else { verb.command.clone() };
    let id = derivation.id();
    let is_loud = !global.quiet;
    if is_loud && is_built_first {
        let why = match &failed {
            Some(failure) => {
                format!(" failed: {failure}\n  its commands run again, up to the one that fails")
            }
            None => ": its commands run first".to_owned(),
        };
        render::note(&format!("{id}{why}"));
    }
    let mut arrival = |failed: Option<(&Command, Failure)>| {
        if is_loud {
            render::error_text(&banner(&id, &view, is_built_first, failed));
        }
    };
    let visit = VisitPlan { request: &request, command: Command { argv, cwd } };
    let streams = Streams { input: input.as_fd(), output: output.as_fd(), error: error.as_fd(), is_terminal };
    let status = builder.visit(&visit, streams, stop.flag(), &mut arrival);
    match status {
        Ok(status) => Ok(ExitCode::from(status)),
        Err(Failure::Cancelled) => Ok(ExitCode::from(Exit::Interrupted as u8)),
        Err(failure) => Err(of_failure(&failure)),
    }
}

/// The contents of a node's inputs, which must be there.
fn inputs(plan: &Plan, store: &Store, facts: &Facts, node: NodeId) -> Result<Vec<TreeHash>, Trouble> {
    let trees = input_trees(plan, store, facts, node)?;
    let inputs = plan.derivation(node).inputs.iter().zip(trees);
    inputs
        .map(|(input, tree)| {
            let id = match input {
                Input::Node(id) => plan.derivation(*id).id(),
                Input::Tree(tree) => tree.to_string(),
            };
            let tree = match tree {
                // From now on it is not collected.
                Some(tree) => store.use_tree(&tree)?.then_some(tree),
                None => None,
            };
            tree.ok_or_else(|| {
                let message =
                    format!("{} cannot be entered: its input {id} is not built", plan.derivation(node).id());
                let help = "`jtwbuild realise` builds it, or says what is in its way";
                Trouble::new(Exit::Input, "jtwbuild::enter::input", message, Some(help))
            })
        })
        .collect()
}

fn without_commands(plan: &Plan, node: NodeId) -> Trouble {
    let message = format!("{} runs no commands that could be looked at", plan.derivation(node).id());
    let help = "what it is made of is fetched or put together by jtwbuild itself; enter a node that uses it";
    Trouble::new(Exit::Input, "jtwbuild::enter::no-commands", message, Some(help))
}

fn of_failure(failure: &Failure) -> Trouble {
    let exit = if failure.is_verdict() { Exit::Failed } else { Exit::Environment };
    Trouble::new(exit, "jtwbuild::enter::failed", failure, summary::hint(failure))
}

/// The trees of the root directory.
fn root_of(request: &Request) -> Vec<TreeHash> {
    match request.mounts.first() {
        Some(Mount::Overlay { layers, .. }) => layers.iter().map(|layer| layer.tree).collect(),
        _ => Vec::new(),
    }
}

/// Where the visitor is, and what there is to do.
fn banner(id: &str, view: &RunView, is_built_first: bool, failed: Option<(&Command, Failure)>) -> String {
    let done = match (failed, is_built_first) {
        (Some((command, _)), _) => {
            let shell = shell_line(&command.argv);
            let number = view.commands.iter().position(|known| known.shell == shell).unwrap_or(0) + 1;
            format!("command {number} has left it so, and failed")
        }
        (None, true) => "all of its commands have run".to_owned(),
        (None, false) => "none of its commands has run".to_owned(),
    };
    format!(
        "{id}: this is its sandbox; {done}; nothing that is done here is kept\n{}{}",
        view.commands_text("  "),
        view.mounts_text("  ")
    )
}
