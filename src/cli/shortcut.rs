//! The short way of `jtwbuild realise`: when nothing but sources of nodes has changed since a run
//! whose memo is there, nothing is parsed, and only what these sources reach is planned. Servers of
//! followed branches are asked first: when one has moved, the whole way is taken.

use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use super::realise::{Command, NodeLine, exit, realise_plan, start_sandbox, stop_on_signals, tell};
use super::trouble::Trouble;
use super::{render, roots, runs, summary};
use crate::builder::AnySandbox;
use crate::fetch::git::{self, Answers};
use crate::fetch::{self, Fetcher};
use crate::memo::snapshot::{Part, plan_part};
use crate::memo::table::Table;
use crate::memo::{Made, Memo, Recalled, Source};
use crate::pins::Pins;
use crate::publish;
use crate::realise::{NodeReport, Run};
use crate::store::facts::Facts;
use crate::store::roots::Keeps;
use crate::store::tree::TreeHash;

/// For so many nodes the facts of all are not read: what is known of them is in their layers too.
const FEW: usize = 16;

/// Goes the short way; `None` if it is not for this run, and nothing has been done. `sandbox` is
/// filled when one was started, `answers` with what servers were asked.
pub(super) fn run(
    command: &Command<'_>,
    Recalled { mut memo, suspects }: Recalled,
    sandbox: &mut Option<AnySandbox>,
    answers: &mut Answers,
) -> Result<Option<ExitCode>, Trouble> {
    if !branches_stay(command, &memo, answers) {
        return Ok(None);
    }
    let mut pins = Pins::default();
    let (mut changes, mut gone) = (Vec::new(), Keeps::default());
    let mut is_fresh = true;
    for at in suspects {
        let source = &mut memo.watched.sources[at];
        // The whole way says what is wrong with a source that cannot be read.
        let Ok(tree) = pins.pin_path(&source.path) else { return Ok(None) };
        let now = Source::new(&source.path, tree, source.users.clone(), command.since);
        is_fresh &= now == *source;
        if tree != source.tree {
            changes.push(at);
            gone.add_tree(&source.tree);
        }
        *source = now;
    }
    if changes.is_empty() {
        return nothing_to_do(command, &memo, is_fresh);
    }
    let sandbox: &AnySandbox = sandbox.get_or_insert_with(start_sandbox);
    let Some(mut table) = command.place.table(&memo) else { return Ok(None) };
    let changes = changes.iter().map(|at| &memo.watched.sources[*at]);
    let changes: Vec<(&Source, TreeHash)> = changes.map(|source| (source, source.tree)).collect();
    let Some(part) = plan_part(&mut table, &command.place.heads(), command.store, &changes) else {
        return Ok(None);
    };
    let targets = (0..table.len()).filter(|node| !part.is_needed[*node] && !part.is_in[*node]);
    if !targets
        .map(|node| table.result(node).1)
        .all(|tree| tree.is_some_and(|tree| command.store.has_tree(&tree)))
    {
        return Ok(None);
    }
    let stop = stop_on_signals()?;
    let settings = fetch::Settings { offline: command.verb.universe.offline, ..fetch::Settings::default() };
    let fetcher = Fetcher::new(settings);
    let facts = command.store.plans().join("facts");
    let facts = if part.plan.len() <= FEW { Facts::unread(&facts) } else { Facts::load(&facts) };
    let parts = (&part.plan, &pins, sandbox, &facts);
    let run = realise_plan(command.global, command.verb, command.store, &fetcher, parts, &stop);
    gone.add_all(&roots::of_nodes(&table, part.places.iter().copied()));
    for (report, node) in run.nodes.iter().zip(&part.places) {
        if let (Some(build), Some(tree)) = (report.build, report.tree) {
            table.set_result(*node, &build, &tree);
        }
    }
    runs::leave_part(command, &memo.made.universe, &table, &part, &run);
    let fresh = roots::of_nodes(&table, part.places.iter().copied());
    let updated = command.root.updated(&memo.made.universe, &table, gone, &fresh);
    let keeps = updated.unwrap_or_else(|| roots::of_nodes(&table, 0..table.len()));
    command.root.register(roots::Made {
        universe: &memo.made.universe,
        site: memo.made.site.as_ref().map(|(_, target)| target.as_path()),
        keeps,
        is_success: run.is_success(),
    });
    if let Some((tree, target)) = &memo.made.site {
        publish::publish(command.store, &*command.store.tree(tree)?, target)?;
    }
    let made = made(&memo, &table, &part, &run);
    let lines = if command.verb.json { lines(&table, Some((&part, &run))) } else { Vec::new() };
    let is_success = run.is_success();
    if is_success {
        // That it cannot be left costs time in the next run, nothing else.
        let _ = command.place.leave(command.store, memo.watched, made.clone(), table, None);
    } else {
        render::error_text(&summary::root_causes(command.store, &part.plan, &run));
    }
    let mut counts = summary::counts(&run);
    for (word, count) in &mut counts {
        if *word == "reused" {
            *count += made.nodes - part.plan.len();
        }
    }
    let is_loud = !command.global.quiet || !is_success;
    if is_loud {
        render::error_text(&summary::remarks(&part.plan, &run));
    }
    let printed = tell(command.verb, is_loud, command.store, &made, &counts, &lines, command.begun);
    let code = exit(&run, &stop).map_or(printed, |exit| ExitCode::from(exit as u8));
    // See the end of the whole way.
    std::mem::forget((part, run, lines));
    Ok(Some(code))
}

/// Whether followed branches are where they were. The lock says so when it is to be obeyed: it is as it
/// was then, too.
fn branches_stay(command: &Command<'_>, memo: &Memo, answers: &mut Answers) -> bool {
    let (branches, arguments) = (&memo.watched.branches, &command.verb.universe);
    if branches.is_empty() || arguments.locked || arguments.offline {
        return true;
    }
    let questions: Vec<_> = branches.iter().map(|(question, _)| question.clone()).collect();
    *answers = git::ask(command.store, &questions, &AtomicBool::new(false));
    let stays = |(question, commit)| matches!(answers.get(question), Some(Ok(now)) if now == commit);
    branches.iter().map(|(question, commit)| (question, commit)).all(stays)
}

/// Only the site is looked at. A memo that tells more than the one before replaces it.
fn nothing_to_do(command: &Command<'_>, memo: &Memo, is_fresh: bool) -> Result<Option<ExitCode>, Trouble> {
    if !memo.has_outputs(command.store) {
        return Ok(None);
    }
    let lines = if command.verb.json {
        let Some(table) = command.place.table(memo) else { return Ok(None) };
        lines(&table, None)
    } else {
        Vec::new()
    };
    if let Some((tree, target)) = &memo.made.site {
        publish::publish(command.store, &*command.store.tree(tree)?, target)?;
    }
    if !is_fresh {
        let _ = command.place.leave_again(command.store, memo);
    }
    let counts = [("reused", memo.made.nodes)];
    let is_loud = !command.global.quiet;
    Ok(Some(tell(command.verb, is_loud, command.store, &memo.made, &counts, &lines, command.begun)))
}

/// What there is after the run: the outputs of targets, those that failed left out.
fn made(memo: &Memo, table: &Table, part: &Part, run: &Run) -> Made {
    let mut failed = vec![false; table.len()];
    for (report, node) in run.nodes.iter().zip(&part.places) {
        failed[*node] = report.tree.is_none();
    }
    let targets = (0..table.len()).filter(|node| !part.is_needed[*node] && !failed[*node]);
    let output = |node| Some((format!("{}/{}", table.kind(node), table.name(node)), table.result(node).1?));
    Made { targets: targets.filter_map(output).collect(), ..memo.made.clone() }
}

/// One line for each node of the table; those that were not planned anew are as they were.
fn lines(table: &Table, anew: Option<(&Part, &Run)>) -> Vec<NodeLine> {
    let mut reports = vec![None; table.len()];
    if let Some((part, run)) = anew {
        for (report, node) in run.nodes.iter().zip(&part.places) {
            reports[*node] = Some(report);
        }
    }
    let line = |(node, report): (usize, Option<&NodeReport>)| match report {
        Some(report) => NodeLine::new(table.kind(node), table.name(node), report),
        None => {
            let (build, tree) = table.result(node);
            NodeLine::untouched(table.kind(node), table.name(node), build, tree)
        }
    };
    reports.into_iter().enumerate().map(line).collect()
}
