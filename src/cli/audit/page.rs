//! The page that `--report` writes.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Judging, Line};
use crate::audit::report::{Judged, Report};
use crate::cli::trouble::{Exit, Trouble};
use crate::cli::{render, summary};
use crate::derivation::NodeId;
use crate::moment::utc;
use crate::plan::Plan;
use crate::store::disk;

/// Whether the page can be written is seen before hours are spent on builds.
pub(super) fn check(file: &Path) -> Result<(), Trouble> {
    let directory = match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    if directory.is_dir() && !file.is_dir() {
        return Ok(());
    }
    let message = format!("`{}` is no place for a page", file.display());
    let help = "name a file in a directory that exists: `--report audit.html`";
    Err(Trouble::new(Exit::Environment, "jtwbuild::audit::report", message, Some(help)))
}

/// Writes the page of an audit: the file is as it was, or whole.
pub(super) fn write(
    file: &Path,
    (plan, nodes, lines): (&Plan, &[NodeId], &[Line]),
    universe: &str,
    settings: Judging,
    (seconds, is_interrupted): (f64, bool),
) -> Result<(), Trouble> {
    let helps: Vec<Option<&str>> =
        lines.iter().map(|line| line.judgement.failure.as_ref().and_then(summary::hint)).collect();
    let judged: Vec<Judged<'_>> = lines
        .iter()
        .zip(needs(plan, nodes))
        .zip(helps)
        .map(|((line, needs), help)| Judged {
            id: &line.id,
            judgement: &line.judgement,
            because: line.because.as_deref(),
            help,
            took: render::seconds(line.judgement.seconds),
            needs,
            diffoscope: line.diffoscope.as_deref().and_then(|of| link(file, of)),
        })
        .collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let report = Report {
        universe,
        jtwbuild: env!("CARGO_PKG_VERSION"),
        made: &utc(now),
        took: &render::seconds(seconds),
        vary: settings.vary,
        times: settings.times,
        is_interrupted,
        nodes: &judged,
    };
    disk::replace(file, report.html().as_bytes()).map_err(|error| {
        let message = format!("the page cannot be written: {error}");
        Trouble::new(Exit::Environment, "jtwbuild::audit::report", message, None)
    })
}

/// Of each node, which of `nodes` it is made of: directly, or by way of nodes that are not among them.
fn needs(plan: &Plan, nodes: &[NodeId]) -> Vec<Vec<usize>> {
    let places: HashMap<NodeId, usize> = nodes.iter().enumerate().map(|(at, node)| (*node, at)).collect();
    let mut nearest: Vec<BTreeSet<usize>> = Vec::with_capacity(plan.len());
    for node in plan.ids() {
        let mut found = BTreeSet::new();
        for need in plan.derivation(node).needs() {
            match places.get(&need) {
                Some(place) => drop(found.insert(*place)),
                // Inputs come before their users.
                None => found.extend(nearest.get(need.index()).into_iter().flatten()),
            }
        }
        nearest.push(found);
    }
    nodes.iter().map(|node| nearest[node.index()].iter().copied().collect()).collect()
}

/// The way from a page to another file, as a URL.
fn link(page: &Path, to: &Path) -> Option<String> {
    let (page, to) = (std::path::absolute(page).ok()?, std::path::absolute(to).ok()?);
    let from: Vec<Component<'_>> = page.parent()?.components().collect();
    let to: Vec<Component<'_>> = to.components().collect();
    // Where a directory is a link, the way up from it is another one than its name says.
    if from.contains(&Component::ParentDir) || to.contains(&Component::ParentDir) {
        return None;
    }
    let common = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let mut parts = vec!["..".to_owned(); from.len() - common];
    parts.extend(to[common..].iter().map(|part| encoded(part.as_os_str().as_bytes())));
    Some(parts.join("/"))
}

/// A name in a URL.
fn encoded(name: &[u8]) -> String {
    let mut text = String::new();
    for byte in name {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_the_page_to_the_file() {
        let told = |page: &str, to: &str| link(Path::new(page), Path::new(to));
        assert_eq!(told("/a/page.html", "/a/d/node/x.html").as_deref(), Some("d/node/x.html"));
        assert_eq!(told("/a/b/page.html", "/a/d/x.html").as_deref(), Some("../d/x.html"));
        assert_eq!(told("/page.html", "/javascript:x \"/y").as_deref(), Some("javascript%3Ax%20%22/y"));
        assert_eq!(told("page.html", "d/x.html").as_deref(), Some("d/x.html"));
        assert_eq!(told("../page.html", "/a/x.html"), None);
    }
}
