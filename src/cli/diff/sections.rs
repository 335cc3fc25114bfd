//! A report → sections with rows, whatever they are printed as, and the verdict in one line.

use crate::cli::explanation::{self, Told};
use crate::cli::render::bytes;
use crate::inspect::contents::{ContentDifference, FileDifference};
use crate::inspect::explained;
use crate::inspect::interfaces::{InterfaceChange, InterfaceTotals, ItemChange, ModuleDifference};
use crate::inspect::pins::{PackageSide, Pair, Sides};
use crate::inspect::report::Report;
use crate::inspect::sites::Worker;
use crate::inspect::trees::{Change, Difference, Entry, Totals};
use crate::legible;

use crate::store::tree::BlobHash;

/// So many rows of a section are shown, where not all are asked for.
const SHOWN: usize = 20;
/// So many packages are named in the verdict.
const NAMED: usize = 3;
/// Words of so many hexadecimal digits are hashes.
const FEWEST_DIGITS: usize = 32;
/// Digits of a hash that are shown.
const DIGITS: usize = 12;

/// What is shown in full.
#[derive(Clone, Copy)]
pub(super) struct Detail {
    pub files: bool,
    pub interfaces: bool,
    /// Whether it is told what is inside files.
    pub explain: bool,
}

/// What a row says happened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Added,
    Removed,
    Changed,
    /// Worth a line, and no change.
    Plain,
}

impl Mark {
    /// As in a diff.
    pub fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed => '-',
            Self::Changed => '~',
            Self::Plain => ' ',
        }
    }

    fn of(before: bool, after: bool) -> Self {
        match (before, after) {
            (false, _) => Self::Added,
            (true, false) => Self::Removed,
            (true, true) => Self::Changed,
        }
    }
}

/// One line: what it is about, and what became of it.
pub(super) struct Row {
    pub mark: Mark,
    pub name: String,
    pub what: String,
    /// Declarations of OCaml, or what a file holds.
    pub code: Vec<Told>,
}

impl Row {
    fn new(mark: Mark, name: impl Into<String>, what: impl Into<String>) -> Self {
        // Much of it is what strangers called their files, packages and versions.
        Self { mark, name: legible::line(&name.into()), what: legible::line(&what.into()), code: Vec::new() }
    }
}

/// A part of the report.
pub(super) struct Section {
    pub title: String,
    pub rows: Vec<Row>,
    /// How many rows are left out.
    pub more: Option<String>,
    /// Which option tells more, for who can ask again.
    pub hint: Option<&'static str>,
    /// Whether it is folded even if it is short, where that can be.
    pub is_folded: bool,
}

impl Section {
    fn new(title: impl Into<String>, rows: Vec<Row>) -> Self {
        Self { title: title.into(), rows, more: None, hint: None, is_folded: false }
    }

    fn cut(mut self, shows_all: bool, option: &'static str) -> Self {
        if !shows_all && self.rows.len() > SHOWN {
            self.more = Some(format!("and {} more: `{option}` shows them", self.rows.len() - SHOWN));
            self.rows.truncate(SHOWN);
        }
        self
    }
}

/// The sections of a report that say anything, root facts first.
pub(super) fn of(report: &Report, detail: Detail) -> Vec<Section> {
    let mut sections = vec![
        Section::new("toolchain", report.toolchain.iter().map(pair).collect()),
        Section::new("worker", report.workers.iter().map(worker).collect()),
        Section::new("packages", report.packages.iter().map(package).collect()),
    ];
    for base in &report.bases {
        let rows = base.suite.iter().chain(&base.packages).map(pair).collect();
        sections.push(Section::new(format!("base {}", base.base), rows));
    }
    sections.push(Section::new("repositories", report.repositories.iter().map(pair).collect()));
    sections.push(nodes(report));
    let outcomes = outcomes(report);
    sections.push(Section::new("outputs", outcomes));
    let asked_for =
        if detail.explain { None } else { report.contents.iter().rposition(explained::is_worth_it) };
    for (index, content) in report.contents.iter().enumerate() {
        let mut files = files(content).cut(detail.files, "--files");
        files.hint = (asked_for == Some(index)).then_some("`--explain` says what differs inside");
        sections.push(files);
        sections.push(inside(content));
    }
    for content in &report.contents {
        sections.push(interfaces(content).cut(detail.interfaces, "--interfaces"));
    }
    sections.retain(|section| !section.rows.is_empty());
    sections
}

fn sides<T>(sides: &Sides<T>, told: impl Fn(&T) -> String) -> Row {
    let (before, after) = (sides.before.as_ref().map(&told), sides.after.as_ref().map(&told));
    let mark = Mark::of(before.is_some(), after.is_some());
    let what = match (before, after) {
        (Some(before), Some(after)) if before == after => format!("{before}, other bytes"),
        (Some(before), Some(after)) => format!("{before} → {after}"),
        (before, after) => before.or(after).unwrap_or_default(),
    };
    Row::new(mark, &sides.name, what)
}

fn pair(pair: &Pair) -> Row {
    sides(pair, |word| short(word).to_owned())
}

/// Commits and hashes by their beginning.
fn short(word: &str) -> &str {
    let digits = word.strip_prefix(BlobHash::PREFIX).unwrap_or(word);
    let is_hash = digits.len() >= FEWEST_DIGITS && digits.chars().all(|digit| digit.is_ascii_hexdigit());
    if is_hash { &digits[..DIGITS] } else { word }
}

fn worker(worker: &Sides<Worker>) -> Row {
    sides(worker, |side| format!("{} ({})", short(&side.content_hash), bytes(side.bytes)))
}

fn package(package: &Sides<PackageSide>) -> Row {
    let size = |side: &Option<PackageSide>| side.as_ref().and_then(|side| side.bytes);
    let mut row = sides(package, |side| side.version.clone());
    match (size(&package.before), size(&package.after)) {
        (Some(before), Some(after)) => row.what.push_str(&format!(" ({} → {})", bytes(before), bytes(after))),
        (Some(one), None) | (None, Some(one)) => row.what.push_str(&format!(" ({})", bytes(one))),
        (None, None) => {}
    }
    row
}

fn nodes(report: &Report) -> Section {
    let nodes = &report.nodes;
    let mut rows: Vec<Row> = Vec::new();
    for node in &nodes.changed {
        let name = if node.before == node.after {
            node.after.clone()
        } else {
            format!("{} → {}", node.before, node.after)
        };
        for (index, text) in node.text.iter().enumerate() {
            rows.push(Row::new(Mark::Changed, if index == 0 { name.as_str() } else { "" }, text));
        }
        if node.text.is_empty() {
            rows.push(Row::new(Mark::Changed, name, "other inputs"));
        }
    }
    rows.extend(nodes.added.iter().map(|id| Row::new(Mark::Added, id, "")));
    rows.extend(nodes.removed.iter().map(|id| Row::new(Mark::Removed, id, "")));
    if !nodes.follow.is_empty() {
        let told = match nodes.follow.len() {
            1 => "1 more node because of its inputs".to_owned(),
            count => format!("{count} more nodes because of their inputs"),
        };
        rows.push(Row::new(Mark::Plain, told, ""));
    }
    Section::new("nodes", rows)
}

/// What became of the outputs of nodes that differ.
fn outcomes(report: &Report) -> Vec<Row> {
    let nodes = &report.nodes;
    let line = |list: &[String], what: &str| {
        let named = list.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = list.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!list.is_empty()).then(|| Row::new(Mark::Plain, format!("{what}: {named}{more}"), ""))
    };
    let told = [
        line(&nodes.same_bytes, "bytes equal despite another build key"),
        line(&nodes.cut_off, "build key equal, because the inputs came out the same"),
        line(&nodes.unknown, "not both in the store"),
    ];
    told.into_iter().flatten().collect()
}

/// ` of build/fmt.0.9.0`, for titles; nothing where there is one content only.
fn whose(content: &ContentDifference) -> String {
    if content.of.is_empty() { String::new() } else { format!(" of {}", content.of) }
}

fn files(content: &ContentDifference) -> Section {
    let of = whose(content);
    let title = format!("files{of}: {}", told_totals(&content.totals));
    Section::new(title, content.files.iter().map(|file| self::file(&file.difference)).collect())
}

/// What differs inside files: what goes into a site first.
fn inside(content: &ContentDifference) -> Section {
    let of = whose(content);
    let mut told: Vec<&FileDifference> =
        content.files.iter().filter(|file| file.explanation.is_some()).collect();
    told.sort_by_key(|file| file.published == Some(false));
    let row = |file: &FileDifference| {
        let explanation = file.explanation.as_ref()?;
        let apart = if file.published == Some(false) { " (intermediate)" } else { "" };
        let what = format!("from byte {} on{apart}", explanation.offset);
        let mut row = Row::new(Mark::Changed, file.difference.path.to_string(), what);
        row.code = explanation::told(explanation);
        Some(row)
    };
    let mut section = Section::new(format!("inside files{of}"), told.into_iter().filter_map(row).collect());
    if content.unexplained > 0 {
        let more = counted(content.unexplained, "more changed file is", "more changed files are");
        section.more = Some(format!("{more} not looked into"));
    }
    section.is_folded = true;
    section
}

fn told_totals(totals: &Totals) -> String {
    let counts = [(totals.added, "added"), (totals.removed, "removed"), (totals.changed, "changed")];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    format!("{} ({} → {})", counts.join(", "), bytes(totals.bytes_before), bytes(totals.bytes_after))
}

fn file(difference: &Difference) -> Row {
    let path = difference.path.to_string();
    match &difference.change {
        Change::Added { after } => Row::new(Mark::Added, path, entry(after)),
        Change::Removed { before } => Row::new(Mark::Removed, path, entry(before)),
        Change::Changed { before, after, lines } => {
            let what = match (before, after) {
                (
                    Entry::File { size: one, executable: x, blob: a },
                    Entry::File { size: other, executable: y, blob: b },
                ) => {
                    let mut told = Vec::new();
                    if a != b {
                        told.push(if one == other {
                            format!("{}, other bytes", bytes(*one))
                        } else {
                            between(*one, *other)
                        });
                    }
                    if x != y {
                        told.push(if *y { "executable now" } else { "not executable any more" }.to_owned());
                    }
                    told.extend(lines.map(|lines| lines.to_string()));
                    told.join(", ")
                }
                _ => format!("{} → {}", entry(before), entry(after)),
            };
            Row::new(Mark::Changed, path, what)
        }
    }
}

/// Two sizes, in bytes where people would see no difference.
fn between(before: u64, after: u64) -> String {
    let (one, other) = (bytes(before), bytes(after));
    if one == other { format!("{before} → {after} B") } else { format!("{one} → {other}") }
}

fn entry(entry: &Entry) -> String {
    match entry {
        Entry::File { size, .. } => bytes(*size),
        Entry::Link { target } => format!("link to {target}"),
        Entry::Directory { files: 0, .. } => "empty directory".to_owned(),
        Entry::Directory { files, bytes: size } => {
            format!("directory of {} ({})", counted(*files, "file", "files"), bytes(*size))
        }
    }
}

fn interfaces(content: &ContentDifference) -> Section {
    let of = whose(content);
    let mut rows = Vec::new();
    let mut same = 0;
    for module in &content.interfaces {
        match &module.change {
            InterfaceChange::Added { items } => rows.push(whole(module, Mark::Added, *items)),
            InterfaceChange::Removed { items } => rows.push(whole(module, Mark::Removed, *items)),
            InterfaceChange::Same => same += 1,
            InterfaceChange::Unreadable { reason } => {
                rows.push(Row::new(Mark::Changed, &module.module, format!("cannot be compared: {reason}")));
            }
            InterfaceChange::Changed { items } => {
                rows.extend(items.iter().map(|item| changed(&module.module, item)));
            }
        }
    }
    if same > 0 {
        rows.push(Row::new(
            Mark::Plain,
            format!("{} with other bytes and the same types", counted(same, "interface", "interfaces")),
            "",
        ));
    }
    let totals = told_interfaces(&content.interface_totals);
    let title =
        if totals.is_empty() { format!("interfaces{of}") } else { format!("interfaces{of}: {totals}") };
    Section::new(title, rows)
}

fn whole(module: &ModuleDifference, mark: Mark, items: usize) -> Row {
    Row::new(mark, format!("module {}", module.module), format!("({})", counted(items, "item", "items")))
}

fn changed(module: &str, item: &ItemChange) -> Row {
    let mark = Mark::of(item.before.is_some(), item.after.is_some());
    let with =
        if item.with > 0 { format!("(with {})", counted(item.with, "item", "items")) } else { String::new() };
    let mut row = Row::new(mark, format!("{module}.{}", item.path), with);
    row.code.extend(item.before.iter().map(|text| Told::Side('-', legible::line(text))));
    row.code.extend(item.after.iter().map(|text| Told::Side('+', legible::line(text))));
    row
}

/// `1 value removed, 2 types retyped`.
fn told_interfaces(totals: &InterfaceTotals) -> String {
    let mut told = Vec::new();
    for (counts, word) in
        [(&totals.removed, "removed"), (&totals.retyped, "retyped"), (&totals.added, "added")]
    {
        for (kind, count) in counts {
            told.push(format!("{} {word}", counted(*count, kind, &plural(kind))));
        }
    }
    if totals.unreadable > 0 {
        told.push(format!("{} unreadable", counted(totals.unreadable, "interface", "interfaces")));
    }
    told.join(", ")
}

/// The same without the kinds, where there are several.
fn short_interfaces(totals: &InterfaceTotals) -> String {
    let mut short = InterfaceTotals { unreadable: totals.unreadable, ..InterfaceTotals::default() };
    for (counts, short) in [
        (&totals.removed, &mut short.removed),
        (&totals.retyped, &mut short.retyped),
        (&totals.added, &mut short.added),
    ] {
        match counts.len() {
            0 | 1 => short.clone_from(counts),
            _ => drop(short.insert("item", counts.values().sum())),
        }
    }
    told_interfaces(&short)
}

fn plural(kind: &str) -> String {
    if kind.ends_with('s') { format!("{kind}es") } else { format!("{kind}s") }
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// Everything in one line, the most important first.
pub(super) fn verdict(report: &Report) -> String {
    if report.is_equal {
        return "nothing differs".to_owned();
    }
    let mut told: Vec<String> = Vec::new();
    for worker in &report.workers {
        told.push(match (&worker.before, &worker.after) {
            (Some(before), Some(after)) if before.bytes == after.bytes => {
                "worker.js has other bytes".to_owned()
            }
            (Some(before), Some(after)) => format!("worker.js {}", between(before.bytes, after.bytes)),
            _ => format!("another compiler for the worker: {}", worker.name),
        });
    }
    let rows: Vec<Row> =
        report.toolchain.iter().map(pair).chain(report.packages.iter().map(package_short)).collect();
    told.extend(rows.iter().take(NAMED).map(named));
    if rows.len() > NAMED {
        let count = rows.len() - NAMED;
        told.push(counted(count, "more version", "more versions"));
    }
    let debs: usize = report.bases.iter().map(|base| base.packages.len()).sum();
    if debs > 0 {
        told.push(format!("{} of the bases", counted(debs, "package", "packages")));
    }
    told.extend(report.repositories.iter().map(|one| named(&pair(one))));
    let nodes = &report.nodes;
    let changed = nodes.changed.len();
    if changed + nodes.added.len() + nodes.removed.len() + nodes.follow.len() > 0 {
        let counts = [
            (changed, "changed"),
            (nodes.added.len(), "added"),
            (nodes.removed.len(), "removed"),
            (nodes.follow.len(), "because of them"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        told.push(format!(
            "nodes: {}",
            counts.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
        ));
    }
    let files = report.contents.iter().map(|content| content.files.len()).sum();
    if files > 0 {
        told.push(counted(files, "file differs", "files differ"));
    }
    let mut totals = InterfaceTotals::default();
    for content in &report.contents {
        totals.add(&content.interface_totals);
    }
    told.extend(Some(short_interfaces(&totals)).filter(|text| !text.is_empty()));
    legible::line(&told.join("; "))
}

fn package_short(package: &Sides<PackageSide>) -> Row {
    sides(package, |side| side.version.clone())
}

fn named(row: &Row) -> String {
    match row.mark {
        Mark::Added => format!("{} {} added", row.name, row.what),
        Mark::Removed => format!("{} {} removed", row.name, row.what),
        Mark::Changed | Mark::Plain => format!("{} {}", row.name, row.what),
    }
}
