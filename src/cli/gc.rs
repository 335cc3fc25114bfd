//! `jtwbuild gc`: removes what no root keeps, and says what and why not more.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::arguments::Global;
use super::arguments::store::Gc;
use super::load::open_store;
use super::render;
use super::trouble::{Exit, Trouble};
use crate::store::gc::{Event, Kind, Options, Removed, Report, RootReport, Total, collect};

/// The object that `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    dry_run: bool,
    /// Bytes that were freed, or would be.
    freed: u64,
    kinds: &'a BTreeMap<Kind, Total>,
    removed: &'a [Removed],
    kept: Kept,
    roots: Vec<RootLine<'a>>,
}

/// Why things stay.
#[derive(Serialize)]
struct Kept {
    rooted: u64,
    in_use: u64,
    recent: u64,
    files: Total,
}

#[derive(Serialize)]
struct RootLine<'a> {
    name: String,
    label: Option<&'a str>,
    keeps: usize,
    alone: usize,
    problem: Option<String>,
}

pub(super) fn run(global: &Global, verb: &Gc) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    let options = Options {
        dry_run: verb.dry_run,
        keep: Duration::from_secs(verb.keep_days.unwrap_or(0).saturating_mul(24 * 60 * 60)),
        max_size: verb.max_size,
        prune_roots: verb.prune_roots,
    };
    let mut spoken = Instant::now();
    let report = collect(&store, &options, &mut |event| {
        if global.quiet {
            return;
        }
        match event {
            Event::Waiting => render::note("waiting: another gc or a repair is at work in this store"),
            Event::Removed { done, of } if spoken.elapsed() >= Duration::from_secs(2) => {
                spoken = Instant::now();
                render::note(&format!("{done} of {of} done"));
            }
            _ => {}
        }
    })?;
    let printed = if verb.json { json(verb, &report) } else { text(global, verb, &report) };
    if !report.is_unclear {
        return Ok(printed);
    }
    let unclear = report.roots.iter().find_map(|root| Some((root, root.about.as_ref().err()?)));
    let (name, why) = unclear.map_or_else(Default::default, |(root, why)| {
        (root.name.to_string_lossy().into_owned(), why.to_string())
    });
    let message = format!("everything is kept, because nobody knows what the root `{name}` keeps: {why}");
    let help = format!("`jtwbuild roots remove {name}` removes it; then realise what it was for again");
    Err(Trouble::new(Exit::Environment, "jtwbuild::gc::unclear-root", message, Some(&help)))
}

fn problem(root: &RootReport) -> Option<String> {
    match &root.about {
        Err(error) => Some(error.to_string()),
        Ok(_) if root.is_forlorn => Some("its universe file is gone".to_owned()),
        Ok(_) => None,
    }
}

fn root_line(root: &RootReport) -> RootLine<'_> {
    RootLine {
        name: root.name.to_string_lossy().into_owned(),
        label: root.about.as_ref().ok().map(|about| about.label.as_str()),
        keeps: root.keeps,
        alone: root.alone,
        problem: problem(root),
    }
}

fn json(verb: &Gc, report: &Report) -> ExitCode {
    let document = Document {
        dry_run: verb.dry_run,
        freed: report.freed(),
        kinds: &report.totals,
        removed: &report.removed,
        kept: Kept {
            rooted: report.rooted,
            in_use: report.in_use,
            recent: report.recent,
            files: report.kept_files,
        },
        roots: report.roots.iter().map(root_line).collect(),
    };
    let mut text = serde_json::to_string_pretty(&document).expect("a report has only text keys");
    text.push('\n');
    render::data(&text)
}

fn text(global: &Global, verb: &Gc, report: &Report) -> ExitCode {
    let mut text = String::new();
    // Writing to a string cannot fail.
    if global.verbose {
        for Removed { kind, name, bytes } in &report.removed {
            let _ = writeln!(text, "{:9} {name} ({})", one(*kind), render::bytes(*bytes));
        }
    }
    let verb = if verb.dry_run { "would remove" } else { "removed" };
    for (kind, Total { count, bytes }) in &report.totals {
        let size = if *kind == Kind::Tree { "counted as files".into() } else { render::bytes(*bytes) };
        let _ =
            writeln!(text, "{verb} {count} {} ({size})", if *count == 1 { one(*kind) } else { many(*kind) });
    }
    if report.totals.is_empty() {
        let _ = writeln!(text, "nothing to remove");
    }
    for root in &report.roots {
        let name = root.name.to_string_lossy();
        let problem = problem(root).map(|problem| format!("; {problem}")).unwrap_or_default();
        let _ =
            writeln!(text, "root {name} keeps {} things, {} of them alone{problem}", root.keeps, root.alone);
    }
    if report.in_use > 0 {
        let _ = writeln!(text, "{} things are in use by running processes", report.in_use);
    }
    if report.recent > 0 {
        let _ = writeln!(text, "{} things stay because of --keep-days or --max-size", report.recent);
    }
    let Total { count, bytes } = report.kept_files;
    let freed = render::bytes(report.freed());
    let _ = writeln!(text, "{freed} freed; {count} files ({}) stay", render::bytes(bytes));
    if verb == "would remove" {
        text = text.replace(" freed; ", " would be freed; ");
    }
    render::data(&text)
}

fn one(kind: Kind) -> &'static str {
    match kind {
        Kind::Root => "root",
        Kind::Layer => "layer",
        Kind::Tree => "tree",
        Kind::Archive => "archive",
        Kind::Manifest => "manifest",
        Kind::File => "file",
        Kind::Cache => "cache",
        Kind::Log => "log",
        Kind::Quarantine => "thing in quarantine",
        Kind::Leftover => "leftover",
    }
}

fn many(kind: Kind) -> &'static str {
    match kind {
        Kind::Root => "roots",
        Kind::Layer => "layers",
        Kind::Tree => "trees",
        Kind::Archive => "archives",
        Kind::Manifest => "manifests",
        Kind::File => "files",
        Kind::Cache => "caches",
        Kind::Log => "logs",
        Kind::Quarantine => "things in quarantine",
        Kind::Leftover => "leftovers",
    }
}

/// Reads a number of bytes: `500M`, `20GiB`, `1000000`. Units are powers of 1024.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "expected a number, such as 20G".to_owned())?;
    let shift = match unit.trim().to_ascii_uppercase().trim_end_matches("IB").trim_end_matches('B') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(format!("`{unit}` is no unit; there are K, M, G and T")),
    };
    number.checked_mul(1 << shift).ok_or_else(|| "that is too much".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        for (text, size) in
            [("0", 0), ("17", 17), ("2K", 2048), ("3 MiB", 3 << 20), ("20G", 20 << 30), ("1tb", 1 << 40)]
        {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for text in ["", "G", "-1", "5X", "99999999999T", "1.5G"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
