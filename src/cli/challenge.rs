//! `jtwbuild challenge`: what others say of the nodes of a universe, beside what this store has.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::arguments::Global;
use super::arguments::statements::Challenge as Verb;
use super::load::{Loaded, Pinning, open_store};
use super::render;
use super::statement::{import, trust};
use super::trouble::{Exit, Trouble};
use crate::derivation::BuildKey;
use crate::inspect::outputs::outputs_or;
use crate::statement::challenge::{Policy, Sayings, Verdict};
use crate::statement::trust::Trust;
use crate::store::facts::Facts;
use crate::store::history::Origin;
use crate::store::tree::TreeHash;

/// Digits of a tree's hash in the table.
const DIGITS: usize = 12;

/// The object that `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    universe: &'a str,
    /// Those whose statements were accepted.
    parties: Vec<&'a str>,
    policy: String,
    counts: Vec<(&'static str, usize)>,
    nodes: Vec<Line<'a>>,
}

/// One node.
#[derive(Serialize)]
struct Line<'a> {
    node: String,
    key: Option<BuildKey>,
    verdict: Verdict,
    /// Whether anybody disagrees, whatever the policy makes of it.
    disputed: bool,
    /// What this store has, or has seen when it was built again.
    own: Vec<TreeHash>,
    stated: Vec<Stated<'a>>,
}

/// A tree, and who states it.
#[derive(Serialize)]
struct Stated<'a> {
    tree: TreeHash,
    parties: Vec<&'a str>,
}

pub(super) fn run(global: &Global, verb: &Verb) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    let trust = trust(&verb.imported)?;
    let policy = verb.policy.unwrap_or_default();
    check_policy(policy, &trust)?;
    let statements = import(&store, &verb.imported, &trust, verb.universe.offline)?;
    let sayings = Sayings::of(&statements);
    let mut loaded = Loaded::read(&verb.universe, Pinning::Complete)?;
    let (plan, _) = loaded.plan(&verb.universe, &store)?;
    let facts = Facts::load(&store.plans().join("facts"));
    // Where nothing was built here, what the parties agree on tells the keys of the nodes after it.
    let accepted = |key: &BuildKey| sayings.said(key).and_then(|said| said.accepted(policy));
    let outputs = outputs_or(&plan, &store, &facts, accepted)?;
    let mut seen: HashMap<BuildKey, Vec<TreeHash>> = HashMap::new();
    // What an audit builds is made to differ if it can be.
    let own = store.history()?.realisations.into_iter().filter(|one| one.origin != Origin::Audited);
    for one in own {
        seen.entry(one.build).or_default().push(one.tree);
    }
    let name = |party: &usize| trust.parties[*party].name.as_str();
    let mut lines = Vec::new();
    for node in plan.ids() {
        let output = outputs[node.index()];
        let mut own: Vec<TreeHash> = output.tree.into_iter().collect();
        own.extend(output.build.and_then(|key| seen.get(&key).cloned()).unwrap_or_default());
        own.sort_unstable();
        own.dedup();
        let said = output.build.and_then(|key| sayings.said(&key));
        let stated = said.iter().flat_map(|said| said.trees());
        lines.push(Line {
            node: plan.derivation(node).id(),
            key: output.build,
            verdict: said.map_or(Verdict::Unknown, |said| said.verdict(policy, &own)),
            disputed: said.map_or(own.len() > 1, |said| said.is_disputed(&own)),
            stated: stated
                .map(|(tree, parties)| Stated { tree: *tree, parties: parties.iter().map(name).collect() })
                .collect(),
            own,
        });
    }
    let mut parties: Vec<&str> = statements.iter().map(|verified| name(&verified.party())).collect();
    parties.sort_unstable();
    parties.dedup();
    let words = [Verdict::Agrees, Verdict::Differs, Verdict::TooFew, Verdict::Unknown];
    let count = |verdict| lines.iter().filter(|line| line.verdict == verdict).count();
    let counts: Vec<(&str, usize)> = words.map(|verdict| (verdict.word(), count(verdict))).to_vec();
    let code = match (count(Verdict::Differs), count(Verdict::TooFew) + count(Verdict::Unknown)) {
        (0, 0) => None,
        (0, _) => Some(Exit::Unattested),
        _ => Some(Exit::NotReproducible),
    };
    let text = if verb.json {
        let report = Report {
            universe: loaded.universe.name.as_str(),
            parties,
            policy: policy.to_string(),
            counts,
            nodes: lines,
        };
        serde_json::to_string_pretty(&report).expect("a report has only text keys") + "\n"
    } else {
        table(&lines, &counts, &parties, policy)
    };
    let printed = render::data(&text);
    Ok(code.map_or(printed, |code| ExitCode::from(code as u8)))
}

/// Whoever writes `2-of-3` wants to hear of it when there are not three any more.
fn check_policy(policy: Policy, trust: &Trust) -> Result<(), Trouble> {
    match policy {
        Policy::Of { all, .. } if all != trust.parties.len() => {
            let message =
                format!("the policy is about {all} parties, and the trust file has {}", trust.parties.len());
            let help = "in `k-of-n`, n is the number of parties of the trust file";
            Err(Trouble::new(Exit::Input, "jtwbuild::statement::policy", message, Some(help)))
        }
        _ => Ok(()),
    }
}

fn table(lines: &[Line<'_>], counts: &[(&str, usize)], parties: &[&str], policy: Policy) -> String {
    let mut text = String::new();
    let short = |tree: &TreeHash| tree.to_hex()[..DIGITS].to_owned();
    for line in lines {
        let who: Vec<&str> = line.stated.iter().flat_map(|stated| stated.parties.iter().copied()).collect();
        // Writing to a string cannot fail.
        let _ = match (line.verdict, line.disputed) {
            (Verdict::Agrees, false) => {
                let own = if line.own.is_empty() { "" } else { ", this store" };
                writeln!(text, "agrees   {}: {}{own}", line.node, who.join(", "))
            }
            (Verdict::Unknown, false) => writeln!(text, "unknown  {}", line.node),
            (Verdict::TooFew, false) => writeln!(text, "too-few  {}: {}", line.node, who.join(", ")),
            (verdict, _) => writeln!(text, "{:8} {}: not everybody has the same", verdict.word(), line.node),
        };
        if line.disputed {
            for stated in &line.stated {
                let _ = writeln!(text, "           {} {}", short(&stated.tree), stated.parties.join(", "));
            }
            for tree in &line.own {
                let _ = writeln!(text, "           {} this store", short(tree));
            }
        }
    }
    let counts: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let parties = if parties.is_empty() { "nobody".to_owned() } else { parties.join(", ") };
    let _ = writeln!(text, "{} nodes by {parties}, policy {policy}: {}", lines.len(), counts.join(", "));
    text
}
