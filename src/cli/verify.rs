//! `jtwbuild verify`: reads the store again, says what is damaged, and makes it good if asked to.

mod repair;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use self::repair::Mended;
use super::arguments::Global;
use super::arguments::store::Verify;
use super::load::open_store;
use super::realise::{start_sandbox, stop_on_signals};
use super::render;
use super::trouble::{Exit, Trouble};
use crate::derivation::build_key;
use crate::store::Store;
use crate::store::verify::{Counters, Finding, Verified, Watch, verify};

/// Without a terminal, a verification that says nothing for this long says how far it is.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Notices of one kind that are told one by one.
const NOTICES: usize = 5;

/// The object that `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    store: String,
    seconds: f64,
    files: u64,
    bytes: u64,
    trees: u64,
    entries: u64,
    layers: u64,
    archives: u64,
    damage: Vec<Line<'a>>,
    notices: Vec<Line<'a>>,
    repairs: &'a [Mended],
}

/// One finding.
#[derive(Serialize)]
struct Line<'a> {
    object: &'static str,
    place: String,
    damage: &'static str,
    detail: String,
    nodes: &'a [String],
}

pub(super) fn run(global: &Global, verb: &Verify) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    let stop = stop_on_signals()?;
    // It forks, which is best done before there are other threads.
    let sandbox = verb.universe.as_ref().map(|_| start_sandbox());
    let counters = Counters::default();
    let verified = watched(global, &counters, || look(&store, &counters, stop.flag()))?;
    if verified.stopped {
        return Ok(ExitCode::from(Exit::Interrupted as u8));
    }
    if !global.quiet {
        render::error_text(&notices(&verified));
    }
    if !verb.json {
        render::data(&lines(&verified));
    }
    let mended = match verb.repair {
        true if stop.is_requested() => return Ok(ExitCode::from(Exit::Interrupted as u8)),
        true => repair::run(global, verb, &store, &verified, sandbox.as_ref(), &stop)?,
        false => Vec::new(),
    };
    let text = if verb.json { json(&store, &counters, &verified, &mended) } else { repair::lines(&mended) };
    let printed = render::data(&text);
    if !global.quiet {
        render::note(&ending(&counters, &verified));
        render::error_text(&repair::ending(verb, &verified, &mended));
    }
    let is_sound = if verb.repair { mended.iter().all(Mended::is_good) } else { verified.damage.is_empty() };
    Ok(if is_sound { printed } else { ExitCode::from(Exit::Corrupt as u8) })
}

fn look(store: &Store, counters: &Counters, stop: &AtomicBool) -> Result<Verified, Trouble> {
    Ok(verify(store, &Watch { counters, stop, key_of: &build_key })?)
}

fn line(finding: &Finding) -> Line<'_> {
    Line {
        object: finding.object.word(),
        place: finding.place(),
        damage: finding.damage.word(),
        detail: finding.damage.to_string(),
        nodes: &finding.nodes,
    }
}

/// One line for each damage.
fn lines(verified: &Verified) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for finding in &verified.damage {
        let _ = write!(text, "{}: {}", finding.place(), finding.damage);
        if !finding.nodes.is_empty() {
            let _ = write!(text, " (output of {})", finding.nodes.join(", "));
        }
        text.push('\n');
    }
    text
}

/// What is odd, with long lists of the same kind cut short.
fn notices(verified: &Verified) -> String {
    let mut kinds: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in &verified.notices {
        kinds.entry(finding.damage.word()).or_default().push(finding);
    }
    let mut text = String::new();
    for (word, findings) in kinds {
        for finding in findings.iter().take(NOTICES) {
            let _ = writeln!(text, "notice: {}: {}", finding.place(), finding.damage);
        }
        let more = findings.len().saturating_sub(NOTICES);
        if more > 0 {
            let _ = writeln!(text, "notice: and {more} more of this kind ({word}): `--json` names them all");
        }
    }
    text
}

fn json(store: &Store, counters: &Counters, verified: &Verified, repairs: &[Mended]) -> String {
    let report = Report {
        store: store.root().display().to_string(),
        seconds: verified.seconds,
        files: count(&counters.files),
        bytes: count(&counters.bytes),
        trees: count(&counters.trees),
        entries: count(&counters.entries),
        layers: count(&counters.layers),
        archives: count(&counters.archives),
        damage: verified.damage.iter().map(line).collect(),
        notices: verified.notices.iter().map(line).collect(),
        repairs,
    };
    let mut text = serde_json::to_string_pretty(&report).expect("a report has only text keys");
    text.push('\n');
    text
}

fn ending(counters: &Counters, verified: &Verified) -> String {
    let mut text = format!(
        "verified {} files and {} archives ({:.1} MiB), {} trees and {} layers in {}: ",
        count(&counters.files),
        count(&counters.archives),
        mib(count(&counters.bytes)),
        count(&counters.trees),
        count(&counters.layers),
        render::seconds(verified.seconds),
    );
    match verified.damage.len() {
        0 => text.push_str("nothing is damaged"),
        // Writing to a string cannot fail.
        damaged => drop(write!(text, "{damaged} damaged")),
    }
    text
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Runs `work` while another thread shows how far it is: a bar on a terminal, a line now and then
/// elsewhere.
fn watched<T: Send>(global: &Global, counters: &Counters, work: impl FnOnce() -> T + Send) -> T {
    const GLANCE: Duration = Duration::from_millis(200);
    if global.quiet {
        return work();
    }
    let bar = std::io::stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template("{bar:30.green} {pos}/{len} files, {elapsed}{msg}");
        ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Without a thread to be had, nothing is shown.
        let eye = std::thread::Builder::new().spawn_scoped(scope, || {
            let mut spoken = Instant::now();
            while !done.load(Ordering::Relaxed) {
                std::thread::park_timeout(GLANCE);
                let (files, found) = (count(&counters.files), count(&counters.files_found));
                let mib = mib(count(&counters.bytes));
                if let Some(bar) = &bar {
                    bar.set_length(found);
                    bar.set_position(files);
                    bar.set_message(format!(", {mib:.0} MiB, {} trees", count(&counters.trees)));
                } else if spoken.elapsed() >= HEARTBEAT {
                    spoken = Instant::now();
                    let trees = count(&counters.trees);
                    render::note(&format!("verified {files} of {found} files, {mib:.0} MiB, {trees} trees"));
                }
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        if let Ok(eye) = &eye {
            eye.thread().unpark();
        }
        if let Some(bar) = &bar {
            bar.finish_and_clear();
        }
        result
    })
}
