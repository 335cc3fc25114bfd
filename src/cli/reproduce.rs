//! `jtwbuild reproduce`: builds what a proof tells of in a store of its own, and compares.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::arguments::Global;
use super::arguments::statements::Reproduce as Verb;
use super::load::open_store;
use super::progress::Display;
use super::realise::{exit, loudness, processors, start_sandbox, stop_on_signals, watched};
use super::statement::{check_signing, leave};
use super::trouble::{Exit, Trouble};
use super::{history, render, summary};
use crate::builder::machine::most_builders;
use crate::builder::{AnySandbox, LocalBuilder};
use crate::derivation::{Action, BuildKey};
use crate::fetch::{Fetcher, Settings as FetchSettings};
use crate::pins::Pins;
use crate::plan::Plan;
use crate::proof::{MAX_BYTES, Node, Proof, ProofError};
use crate::realise::{NodeReport, Place, Run, Settings, Stop, realise};
use crate::statement::Claim;
use crate::store::facts::Facts;
use crate::store::history::Origin;
use crate::store::tree::TreeHash;
use crate::store::{Store, disk};

/// What came of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// The same tree.
    Same,
    /// Another tree from the same inputs: not reproduced.
    Differs,
    /// Another tree, from inputs that came to something else.
    Follows,
    /// No tree: it failed, or something before it did.
    Missing,
}

impl Verdict {
    const ALL: [Self; 4] = [Self::Same, Self::Differs, Self::Follows, Self::Missing];

    fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs => "differs",
            Self::Follows => "follows",
            Self::Missing => "missing",
        }
    }

    fn of(stated: &Node, report: &NodeReport) -> Self {
        match report.tree {
            None => Self::Missing,
            Some(tree) if tree == stated.tree => Self::Same,
            Some(_) if report.build == Some(stated.key) => Self::Differs,
            Some(_) => Self::Follows,
        }
    }
}

/// The object that `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    universe: &'a str,
    /// The version that wrote the proof.
    jtwbuild: &'a str,
    seconds: f64,
    counts: Vec<(&'static str, usize)>,
    nodes: Vec<Line>,
}

/// One node.
#[derive(Serialize)]
struct Line {
    node: String,
    verdict: Verdict,
    key: BuildKey,
    /// What the proof says, and what came out.
    stated: TreeHash,
    tree: Option<TreeHash>,
    outcome: &'static str,
}

pub(super) fn run(global: &Global, verb: &Verb) -> Result<ExitCode, Trouble> {
    let begun = Instant::now();
    // It forks, which is best done before there are other threads, or a key in memory.
    let sandbox = start_sandbox();
    let key = check_signing(&verb.signing)?;
    let own = open_store(global)?;
    let (proof, plan) = read(&verb.proof)?;
    let store = fresh_store(&own, verb.keep.as_deref())?;
    for given in &proof.given {
        given.publish(&store)?;
    }
    if !verb.download {
        lend_archives(&own, &store, &plan);
    }
    let stop = stop_on_signals()?;
    let run = build(global, verb, &proof, (&plan, &store, &sandbox), &stop);
    let built = run.nodes.iter().filter(|report| report.ran);
    history::record(&own, Origin::Reproduced, built.filter_map(|report| report.build.zip(report.tree)))?;
    if !run.is_success() {
        render::error_text(&summary::root_causes(&store, &plan, &run));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let lines: Vec<Line> = proof.nodes.iter().zip(&run.nodes).map(line).collect();
    let counts = Verdict::ALL
        .map(|wanted| (wanted.word(), lines.iter().filter(|line| line.verdict == wanted).count()));
    let differs = lines.iter().any(|line| line.verdict == Verdict::Differs);
    let text = if verb.json {
        let (universe, jtwbuild) = (&proof.universe, &proof.jtwbuild);
        let report = Report { universe, jtwbuild, seconds, counts: counts.to_vec(), nodes: lines };
        serde_json::to_string_pretty(&report).expect("a report has only text keys") + "\n"
    } else {
        table(&proof, &lines, &counts, seconds)
    };
    let printed = render::data(&text);
    if differs {
        return Ok(ExitCode::from(Exit::NotReproducible as u8));
    }
    if let Some(exit) = exit(&run, &stop) {
        return Ok(ExitCode::from(exit as u8));
    }
    let claims = || {
        let claim = |node: &Node| Claim { key: node.key, tree: node.tree, node: node.id() };
        Ok(proof.nodes.iter().map(claim).collect())
    };
    let stated = leave(global, &verb.signing, key, &proof.universe, claims)?;
    Ok(if stated == ExitCode::SUCCESS { printed } else { stated })
}

fn line((stated, report): (&Node, &NodeReport)) -> Line {
    Line {
        node: stated.id(),
        verdict: Verdict::of(stated, report),
        key: stated.key,
        stated: stated.tree,
        tree: report.tree,
        outcome: report.outcome.word(),
    }
}

/// Reads the proof, which may be anybody's.
fn read(path: &Path) -> Result<(Proof, Plan), Trouble> {
    use std::io::Read;
    let bytes = std::fs::File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map(|_| bytes)
    });
    let bytes = bytes.map_err(|error| {
        let message = format!("the proof `{}` cannot be read: {error}", path.display());
        Trouble::new(Exit::Input, "jtwbuild::proof::unreadable", message, None)
    })?;
    Proof::read(&bytes).map_err(|error| {
        let (code, help) = match &error {
            ProofError::Format(_) => {
                ("jtwbuild::proof::format", Some("use the version of jtwbuild that wrote it"))
            }
            ProofError::Node { .. } | ProofError::Given { .. } => (
                "jtwbuild::proof::contradiction",
                Some("it was changed after it was written, or another version of jtwbuild wrote it"),
            ),
            _ => ("jtwbuild::proof::malformed", Some("`jtwbuild export-proof` writes proofs")),
        };
        let message = format!("the proof `{}` cannot be used: {error}", path.display());
        Trouble::new(Exit::Input, code, message, help)
    })
}

/// A store in which nothing is: what is built again must not be found.
fn fresh_store(own: &Store, keep: Option<&Path>) -> Result<Arc<Store>, Trouble> {
    let path: PathBuf = match keep {
        Some(path) if disk::exists(path) => {
            let message = format!("`{}` is there already", path.display());
            let help = "name a directory that does not exist: everything is to be built in it";
            return Err(Trouble::new(Exit::Input, "jtwbuild::proof::occupied", message, Some(help)));
        }
        Some(path) => path.to_owned(),
        // Removed with everything else that this process leaves there.
        None => own.scratch_path("reproduced")?,
    };
    Ok(Arc::new(Store::open(&path)?))
}

/// Archives that the user's store has need not be downloaded again: their checksums are in the
/// documents, and are compared when they are read. One that cannot be lent is downloaded.
fn lend_archives(own: &Store, store: &Store, plan: &Plan) {
    for node in plan.ids() {
        let sums = match plan.derivation(node).action() {
            Ok(Action::Fetch(fetch)) => vec![fetch.archive.checksums.name()],
            Ok(Action::Base(base)) => base.packages.iter().map(|package| package.sha256.into()).collect(),
            _ => Vec::new(),
        };
        for sum in sums {
            let (from, to) = (own.archive_path(&sum), store.archive_path(&sum));
            if let (true, Some(directory)) = (disk::exists(&from), to.parent()) {
                let lent = disk::make_directories(directory).and_then(|()| disk::link(&from, &to));
                if lent.is_err() {
                    // Another file system.
                    let _ = disk::copy(&from, &to, false);
                }
            }
        }
    }
}

fn build(
    global: &Global,
    verb: &Verb,
    proof: &Proof,
    (plan, store, sandbox): (&Plan, &Arc<Store>, &AnySandbox),
    stop: &Stop,
) -> Run {
    // A place of this machine that somebody else's file names is none of ours.
    let mirrors = proof.archive_mirrors.iter().filter(|mirror| mirror.starts_with("http"));
    let fetcher = Fetcher::new(FetchSettings {
        offline: verb.offline,
        archive_mirrors: mirrors.cloned().collect(),
        source_suites: proof.source_suites.clone(),
        ..FetchSettings::default()
    });
    let pins = Pins::default();
    let builder = LocalBuilder::new(store, &pins, &fetcher, sandbox);
    let display = Display::new(plan, loudness(global));
    let wanted = verb.jobs.map_or_else(processors, usize::from);
    let jobs = most_builders().map_or(wanted, |most| wanted.min(most));
    let settings = Settings { jobs, origin: Origin::Reproduced, ..Settings::default() };
    let facts = Facts::load(&store.plans().join("facts"));
    let place = Place { plan, store, facts: &facts };
    let run = watched(&display, stop, || realise(&place, &builder, &display, stop, settings));
    display.finish();
    for notice in fetcher.notices() {
        render::note(&format!("notice: {notice}"));
    }
    run
}

fn table(proof: &Proof, lines: &[Line], counts: &[(&str, usize)], seconds: f64) -> String {
    let mut text = String::new();
    for line in lines {
        // Writing to a string cannot fail.
        let _ = match line.verdict {
            Verdict::Same => writeln!(text, "same     {}", line.node),
            Verdict::Missing => writeln!(text, "missing  {}: {}", line.node, line.outcome),
            Verdict::Follows => writeln!(text, "follows  {}: an input came to something else", line.node),
            Verdict::Differs => {
                let tree = line.tree.map(|tree| tree.to_string()).unwrap_or_default();
                writeln!(
                    text,
                    "differs  {}\n           proof {}\n           here  {tree}",
                    line.node, line.stated
                )
            }
        };
    }
    let counts: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let (universe, time) = (&proof.universe, render::seconds(seconds));
    let _ = writeln!(text, "{} nodes of {universe} in {time}: {}", lines.len(), counts.join(", "));
    text
}
