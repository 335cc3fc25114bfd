//! `jtwbuild diff`: what differs between two universes, locks, contents or sites.

mod print;
mod sections;
mod sides;

use std::process::ExitCode;
use std::sync::Arc;

use self::sides::Side;
use super::arguments::diff::Diff;
use super::arguments::{Global, UniverseArguments};
use super::load::{Loaded, Pinning, open_store};
use super::render;
use super::trouble::{Exit, Trouble};
use crate::inspect::report::{Report, Sort};
use crate::inspect::sites::Site;
use crate::inspect::{pins, plans};
use crate::lock::Lock;
use crate::plan::Plan;
use crate::store::Store;
use crate::store::facts::Facts;

pub(super) fn run(global: &Global, verb: &Diff) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    let before = sides::find(&store, verb, &verb.before)?;
    let after = sides::find(&store, verb, &verb.after)?;
    let mut report = compare(&store, verb, &before, &after)?;
    report.finish();
    report.verdict = sections::verdict(&report);
    let text = if verb.json {
        let mut text = serde_json::to_string_pretty(&report).expect("a report has only text keys");
        text.push('\n');
        text
    } else {
        let Diff { files, interfaces, explain, .. } = *verb;
        let sections = sections::of(&report, sections::Detail { files, interfaces, explain });
        if verb.markdown { print::markdown(&report, &sections) } else { print::text(&report, &sections) }
    };
    let printed = render::data(&text);
    Ok(if report.is_equal || printed != ExitCode::SUCCESS {
        printed
    } else {
        ExitCode::from(Exit::Failed as u8)
    })
}

fn compare(store: &Arc<Store>, verb: &Diff, before: &Side, after: &Side) -> Result<Report, Trouble> {
    let report = |sort| Report::new(sort, &verb.before, &verb.after);
    match (before, after) {
        (Side::Universe(before), Side::Universe(after)) => {
            let (old_plan, old_lock) = planned(store, before)?;
            let (new_plan, new_lock) = planned(store, after)?;
            let facts = Facts::load(&store.plans().join("facts"));
            let (nodes, contents) = plans::compare(&old_plan, &new_plan, store, &facts, verb.explain)?;
            let mut report = report(Sort::Universes);
            report.add_pins(pins::compare(&old_lock, &new_lock));
            report.add_plans(nodes, contents, [plans::toolchain(&old_plan), plans::toolchain(&new_plan)]);
            Ok(report)
        }
        (Side::Universe(_) | Side::Lock(_), Side::Universe(_) | Side::Lock(_)) => {
            let lock = |side: &Side| match side {
                Side::Lock(lock) => Ok(Lock::clone(lock)),
                Side::Universe(arguments) => planned(store, arguments).map(|(_, lock)| lock),
                Side::Content(_) | Side::Site(_) => Ok(Lock::default()),
            };
            let mut report = report(Sort::Locks);
            report.add_pins(pins::compare(&lock(before)?, &lock(after)?));
            Ok(report)
        }
        (Side::Content(before), Side::Content(after)) => {
            let mut report = report(Sort::Contents);
            report.add_contents(before, after, store, verb.explain)?;
            Ok(report)
        }
        (Side::Site(before), Side::Site(after)) => {
            let mut report = report(Sort::Sites);
            report.add_sites(&Site::read(before)?, &Site::read(after)?, verb.explain)?;
            Ok(report)
        }
        _ => {
            let message =
                format!("`{}` is {}, and `{}` is {}", verb.before, before.words(), verb.after, after.words());
            let help = "two things of one sort can be compared, or a universe with a lock";
            Err(Trouble::new(Exit::Input, "jtwbuild::diff::unlike", message, Some(help)))
        }
    }
}

/// The plan of a universe, and its lock as that plan has it.
fn planned(store: &Arc<Store>, arguments: &UniverseArguments) -> Result<(Plan, Lock), Trouble> {
    let mut loaded = Loaded::read(arguments, Pinning::Complete)?;
    let (plan, _) = loaded.plan(arguments, store)?;
    for remark in loaded.remarks() {
        render::note(&remark);
    }
    Ok((plan, loaded.lock))
}
