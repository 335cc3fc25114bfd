//! What is said of one node: why it differs, in which files, and what is in them.

use super::marks::{Part, marked};
use super::markup::{Markup, grouped};
use super::{Judged, ROOMY, mark};
use crate::audit::compare::Differing;
use crate::audit::strip::{Strip, Strips};
use crate::explain::{Explanation, Finding};
use crate::inspect::trees::{Change, Entry};

/// Of a node, so many differing paths are listed.
const PATHS: usize = 500;
/// Of a text, so many characters are shown.
const CHARACTERS: usize = 4_000;
/// So many explained files of a node are open from the begin.
const OPEN: usize = 2;
/// More variations are not listed with each node.
const FEW: usize = 4;
/// Smaller files have no picture of where they differ.
const PICTURED: usize = 64;

/// `3 builds, 12 s`.
pub(super) fn builds(node: &Judged<'_>) -> String {
    let builds = node.judgement.builds;
    format!("{builds} build{}, {}", if builds == 1 { "" } else { "s" }, node.took)
}

/// A node that was not judged.
pub(super) fn not_judged(page: &mut Markup, index: usize, node: &Judged<'_>) {
    begin(page, index, node);
    if let Some(because) = node.because {
        page.raw("<p>Its input ").leaf("code", &[], because).raw(" could not be had.</p>\n");
    }
    failure(page, node, "It could not be built:");
    page.raw("</section>\n");
}

/// A node whose builds differ.
pub(super) fn differing(page: &mut Markup, index: usize, node: &Judged<'_>) {
    begin(page, index, node);
    let judgement = node.judgement;
    if judgement.causes.is_empty() {
        page.raw("<p>The cause was not looked for.</p>\n");
    } else {
        page.raw("<ul class=\"causes\">");
        for cause in &judgement.causes {
            page.leaf("li", &[], cause.words());
        }
        page.raw("</ul>\n");
    }
    failure(page, node, "A build ended so:");
    if let Some(place) = &node.diffoscope {
        page.raw("<p>").leaf("a", &[("href", place)], "What diffoscope says of it").raw("</p>\n");
    }
    if !judgement.differences.is_empty() {
        let of = if judgement.stored { "what is in the store" } else { "the first build" };
        page.raw("<p>Compared: ").text(of).raw(" (");
        page.leaf("del", &[], "before").raw("), and a build ");
        if judgement.varied.is_empty() {
            page.raw("with nothing varied");
        } else {
            page.raw("with ");
            if judgement.varied.len() > FEW {
                page.raw("everything varied");
            } else {
                page.raw("other ").text(judgement.varied);
            }
        }
        page.raw(" (").leaf("ins", &[], "after").raw(").</p>\n");
    }
    let (published, intermediate): (Vec<_>, Vec<_>) =
        judgement.differences.iter().enumerate().partition(|(_, differing)| differing.published);
    table(page, index, "What goes into a site", &published);
    table(page, index, "Intermediates: only other builds use them", &intermediate);
    let explained = judgement.differences.iter().enumerate();
    let explained = explained.filter_map(|(at, one)| Some((at, one, one.explanation.as_ref()?)));
    for (count, (at, differing, told)) in explained.enumerate() {
        file(page, (index, at, count < OPEN), differing, told);
    }
    page.raw("</section>\n");
}

fn begin(page: &mut Markup, index: usize, node: &Judged<'_>) {
    let verdict = node.judgement.verdict;
    let id = format!("n{index}");
    page.open("section", &[("class", &format_args!("node {}", verdict.class())), ("id", &id)]);
    page.raw("\n<h3>");
    mark(page, verdict);
    page.leaf("code", &[], node.id).raw(" ").leaf("small", &[], builds(node)).raw("</h3>\n");
}

fn failure(page: &mut Markup, node: &Judged<'_>, words: &'static str) {
    if let Some(failure) = &node.judgement.failure {
        page.leaf("p", &[], words).leaf("pre", &[], clipped(&failure.to_string())).raw("\n");
    }
    if let Some(help) = node.help {
        page.leaf("p", &[], format_args!("Help: {help}")).raw("\n");
    }
}

fn table(page: &mut Markup, index: usize, title: &'static str, paths: &[(usize, &Differing)]) {
    if paths.is_empty() {
        return;
    }
    page.leaf("h4", &[], title).raw("\n<table class=\"paths\">\n<thead><tr>");
    for name in ["Path", "What", "Before", "After"] {
        page.leaf("th", &[("scope", &"col")], name);
    }
    page.raw("</tr></thead>\n<tbody>\n");
    for (at, differing) in paths.iter().take(PATHS) {
        page.raw("<tr><td>");
        if differing.explanation.is_some() {
            page.open("a", &[("href", &format_args!("#n{index}f{at}"))]);
            page.leaf("code", &[], &differing.difference.path).raw("</a>");
        } else {
            page.leaf("code", &[], &differing.difference.path);
        }
        let change = &differing.difference.change;
        page.raw("</td>").leaf("td", &[], what(change));
        for (label, entry) in [("before", change.before()), ("after", change.after())] {
            let entry = entry.map_or_else(|| "–".to_owned(), entry_words);
            page.leaf("td", &[("data-label", &label)], entry);
        }
        page.raw("</tr>\n");
    }
    page.raw("</tbody>\n</table>\n");
    if paths.len() > PATHS {
        let more = grouped((paths.len() - PATHS) as u64);
        page.leaf("p", &[], format_args!("And {more} more: `--json` has them.")).raw("\n");
    }
}

fn what(change: &Change) -> String {
    match change {
        Change::Added { .. } => "came".to_owned(),
        Change::Removed { .. } => "is gone".to_owned(),
        Change::Changed { before, after, lines } => match (before, after, lines) {
            (_, _, Some(lines)) => format!("{lines}"),
            (Entry::File { blob: one, .. }, Entry::File { blob: other, .. }, None) if one == other => {
                "mode".to_owned()
            }
            (Entry::File { .. }, Entry::File { .. }, None) => "bytes".to_owned(),
            (Entry::Link { .. }, Entry::Link { .. }, _) => "target".to_owned(),
            _ => "kind".to_owned(),
        },
    }
}

fn entry_words(entry: &Entry) -> String {
    match entry {
        Entry::File { size, executable, .. } => {
            format!("{} B{}", grouped(*size), if *executable { ", executable" } else { "" })
        }
        Entry::Link { target } => format!("link to {}", clipped(target)),
        Entry::Directory { files, bytes } => {
            format!("directory, {files} files, {} B", grouped(*bytes))
        }
    }
}

/// A file that was looked into.
fn file(
    page: &mut Markup,
    (index, at, is_open): (usize, usize, bool),
    differing: &Differing,
    told: &Explanation,
) {
    let id = format!("n{index}f{at}");
    page.raw("<details class=\"file\"").raw(if is_open { " open" } else { "" });
    page.raw(" id=\"").text(&id).raw("\">\n<summary>").leaf("code", &[], &differing.difference.path);
    let format = serde_json::to_value(told.format).ok();
    if let Some(format) = format.as_ref().and_then(serde_json::Value::as_str).filter(|word| *word != "bytes")
    {
        page.raw(" ").leaf("small", &[], format);
    }
    page.raw("</summary>\n");
    if page.len() > ROOMY {
        page.raw("<p>Left out, or this page would be too long: <code>--json</code> has it.</p></details>\n");
        return;
    }
    if let Some(strips) = differing.strips.as_ref().filter(|strips| strips.before.size >= PICTURED) {
        pictures(page, strips);
    }
    told.findings.iter().for_each(|one| finding(page, one));
    if told.more > 0 {
        let more = grouped(told.more as u64);
        page.leaf("p", &[], format_args!("And {more} more differences.")).raw("\n");
    }
    page.raw("<div class=\"finding\"><p class=\"place\">");
    page.text(format_args!("From byte {} (0x{:x}) on", grouped(told.offset), told.offset));
    page.raw("</p>\n");
    pair(page, Some(&told.before), Some(&told.after));
    page.raw("</div>\n</details>\n");
}

/// One thing in which two files differ.
fn finding(page: &mut Markup, finding: &Finding) {
    page.raw("<div class=\"finding\"><p class=\"place\">");
    for (depth, part) in finding.place.iter().enumerate() {
        page.raw(if depth > 0 { " <span aria-hidden=\"true\">›</span> " } else { "" });
        page.text(clipped(part));
    }
    if let Some(note) = &finding.note {
        page.raw(" ").leaf("em", &[], clipped(note));
    }
    page.raw("</p>\n");
    if finding.before.is_some() || finding.after.is_some() {
        pair(page, finding.before.as_deref(), finding.after.as_deref());
    }
    page.raw("</div>\n");
}

/// Both sides, with what differs marked.
fn pair(page: &mut Markup, before: Option<&str>, after: Option<&str>) {
    let (one, other) = (before.map(clipped), after.map(clipped));
    let (left, right) = marked(one.as_deref().unwrap_or(""), other.as_deref().unwrap_or(""));
    page.raw("<div class=\"pair\">\n");
    side(page, ("before", "del"), one.is_some(), &left);
    side(page, ("after", "ins"), other.is_some(), &right);
    page.raw("</div>\n");
}

fn side(page: &mut Markup, (class, tag): (&'static str, &'static str), is_there: bool, parts: &[Part<'_>]) {
    page.open("div", &[("class", &class)]).leaf("span", &[("class", &"side")], class);
    if is_there {
        // The first line end would not be shown.
        page.raw("<pre>\n");
        for part in parts {
            if part.differs {
                page.leaf(tag, &[], part.text);
            } else {
                page.text(part.text);
            }
        }
        page.raw("</pre>");
    } else {
        page.raw("<p class=\"nothing\">nothing</p>");
    }
    page.raw("</div>\n");
}

/// Where in the file bytes differ.
fn pictures(page: &mut Markup, strips: &Strips) {
    if strips.are_alike() {
        picture(page, "where its bytes differ", &strips.before);
    } else {
        picture(page, "before", &strips.before);
        picture(page, "after", &strips.after);
    }
}

fn picture(page: &mut Markup, name: &'static str, strip: &Strip) {
    let runs = strip.runs();
    let count = strip.parts.len().max(1);
    let differing: usize = runs.iter().map(|(start, end, _)| end - start).sum();
    let size = grouped(strip.size as u64);
    let label = format!("{name}: {size} bytes from begin to end; {differing} of {count} parts differ");
    page.raw("<figure class=\"strip\">");
    let view = format!("0 0 {count} 10");
    page.open(
        "svg",
        &[("viewBox", &view), ("preserveAspectRatio", &"none"), ("role", &"img"), ("aria-label", &label)],
    );
    for (start, end, share) in runs {
        // Little is to be seen, too.
        let opacity = 0.5 + 0.5 * f64::from(share) / 255.0;
        let (width, opacity) = (end - start, format!("{opacity:.2}"));
        page.open("rect", &[("x", &start), ("width", &width), ("height", &10), ("opacity", &opacity)]);
        page.raw("</rect>");
    }
    page.raw("</svg>").leaf("figcaption", &[], label).raw("</figure>\n");
}

/// The begin of a text, if it is long.
fn clipped(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}… and {} bytes more", &text[..end], grouped((text.len() - end) as u64)),
        None => text.to_owned(),
    }
}
