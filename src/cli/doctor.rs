//! `jtwbuild doctor`: can this machine build?

use std::fmt::Write as _;
use std::process::ExitCode;

use super::arguments::{Doctor, Global};
use super::load::store_path;
use super::render;
use super::trouble::{Exit, Trouble};
use crate::fetch::mirror::Mirror;
use crate::sandbox::support::{Check, State, probe};
use crate::store::Store;

/// Less free space than this, in bytes, is worth a word: the demo universe needs about 1.5 GB.
const ROOMY: u64 = 4 << 30;

pub(super) fn run(global: &Global, verb: &Doctor) -> Result<ExitCode, Trouble> {
    let mut checks = probe();
    checks.push(store(global));
    checks.extend(store_path(global).ok().and_then(|path| crate::sandbox::ground::check(&path)));
    checks.push(mirror());
    let is_ready = checks.iter().all(|check| check.state != State::Missing);
    let text = if verb.json { json(&checks, is_ready) } else { table(&checks, is_ready) };
    let printed = render::data(&text);
    Ok(if is_ready { printed } else { ExitCode::from(Exit::Environment as u8) })
}

fn store(global: &Global) -> Check {
    let checked = |state, detail: String, remedy: Option<&str>| Check {
        name: "store",
        state,
        detail,
        remedy: remedy.map(str::to_owned),
    };
    let opened = store_path(global).map(|path| (Store::open(&path), path));
    match opened {
        Ok((Ok(store), path)) => match crate::store::disk::free_space(store.root()) {
            Some(free) if free < ROOMY => {
                let detail = format!("{} has {} MiB of free space", path.display(), free >> 20);
                checked(
                    State::Degraded,
                    detail,
                    Some("free some space, or put the store elsewhere with `--store DIR`"),
                )
            }
            Some(free) => {
                checked(State::Ready, format!("{} ({} GiB free)", path.display(), free >> 30), None)
            }
            None => checked(State::Ready, path.display().to_string(), None),
        },
        Ok((Err(error), _)) => checked(
            State::Missing,
            error.to_string(),
            Some("name a directory that you can write to with `--store DIR`"),
        ),
        Err(_) => checked(State::Missing, "HOME is not set".into(), Some("name one with `--store DIR`")),
    }
}

fn mirror() -> Check {
    let checked = |state, detail: String, remedy: Option<&str>| Check {
        name: "Debian mirror",
        state,
        detail,
        remedy: remedy.map(str::to_owned),
    };
    match Mirror::find(None) {
        Ok(mirror) => checked(State::Ready, mirror.to_string(), None),
        Err(error) => {
            let remedy =
                "set JTWBUILD_DEBIAN_MIRROR, or `mirror` in a universe's `[base]`, to the URL of a mirror";
            checked(State::Missing, error.to_string(), Some(remedy))
        }
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Ready => "ready",
        State::Degraded => "degraded",
        State::Missing => "missing",
    }
}

fn table(checks: &[Check], is_ready: bool) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    // Writing to a string cannot fail.
    for check in checks {
        let _ = writeln!(text, "{:8}  {:width$}  {}", word(check.state), check.name, check.detail);
        if let Some(remedy) = &check.remedy {
            let _ = writeln!(text, "{:10}{:width$}  help: {remedy}", "", "");
        }
    }
    text.push_str(if is_ready { "this machine can build\n" } else { "this machine cannot build yet\n" });
    text
}

fn json(checks: &[Check], is_ready: bool) -> String {
    let checks = checks.iter().map(|check| {
        serde_json::json!({
            "name": check.name,
            "state": word(check.state),
            "detail": check.detail,
            "remedy": check.remedy,
        })
    });
    let value = serde_json::json!({ "ready": is_ready, "checks": checks.collect::<Vec<_>>() });
    format!("{value:#}\n")
}
