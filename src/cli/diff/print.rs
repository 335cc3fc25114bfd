//! Sections as text for a terminal, and as Markdown for a pull request.

use std::fmt::Write as _;

use super::sections::{Mark, Row, Section};
use crate::cli::explanation::Told;
use crate::inspect::report::Report;

/// Names are padded to this width at most, so that one long path does not move all others.
const WIDEST: usize = 44;

/// Sections with more rows are folded in Markdown.
const UNFOLDED: usize = 12;

/// For a terminal.
pub(super) fn text(report: &Report, sections: &[Section]) -> String {
    let mut text = format!("{}\n", report.verdict);
    // Writing to a string cannot fail.
    for section in sections {
        let _ = writeln!(text, "\n{}", section.title);
        let rows = section.rows.iter().filter(|row| row.mark != Mark::Plain);
        let width = rows.map(|row| row.name.chars().count()).filter(|width| *width <= WIDEST);
        let width = width.max().unwrap_or(0);
        for row in &section.rows {
            let line = format!("  {} {:width$}  {}", row.mark.sign(), row.name, row.what);
            let _ = writeln!(text, "{}", line.trim_end());
            for line in &row.code {
                let _ = match line {
                    Told::Place(place) => writeln!(text, "    {place}"),
                    Told::Side(sign, code) => writeln!(text, "      {sign} {code}"),
                };
            }
        }
        for line in section.more.iter().map(String::as_str).chain(section.hint) {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

/// For a pull request: the verdict, short sections as tables, long ones folded. Hints are for who runs the
/// program, not for who reads its result.
pub(super) fn markdown(report: &Report, sections: &[Section]) -> String {
    let mut text = format!("**{}**\n", escaped(&report.verdict));
    let _ = writeln!(text, "\n{} → {}", code(&report.before), code(&report.after));
    for section in sections {
        let is_folded = section.is_folded || section.rows.len() > UNFOLDED;
        let title = escaped(&section.title);
        if is_folded {
            let _ = writeln!(text, "\n<details><summary>{title}</summary>");
        } else {
            let _ = writeln!(text, "\n### {title}");
        }
        text.push('\n');
        if section.rows.iter().any(|row| !row.code.is_empty()) {
            fenced(section, &mut text);
        } else {
            table(section, &mut text);
        }
        if let Some(more) = &section.more {
            let _ = writeln!(text, "\n{more}");
        }
        if is_folded {
            text.push_str("\n</details>\n");
        }
    }
    text
}

/// A block in which the signs have colours.
fn fenced(section: &Section, text: &mut String) {
    text.push_str("```diff\n");
    for row in &section.rows {
        if row.code.is_empty() {
            let _ = writeln!(text, "{}", format!("{} {} {}", sign(row), row.name, row.what).trim_end());
            continue;
        }
        let _ = writeln!(text, "{}", format!("@@ {} @@ {}", row.name, row.what).trim_end());
        for line in &row.code {
            let _ = match line {
                Told::Place(place) => writeln!(text, "  {place}"),
                Told::Side(sign, code) => writeln!(text, "{sign} {code}"),
            };
        }
    }
    text.push_str("```\n");
}

/// Of a diff, which has no sign for what changed.
fn sign(row: &Row) -> char {
    if row.mark == Mark::Changed { '!' } else { row.mark.sign() }
}

fn table(section: &Section, text: &mut String) {
    let (plain, rows): (Vec<&Row>, Vec<&Row>) = section.rows.iter().partition(|row| row.mark == Mark::Plain);
    if !rows.is_empty() {
        text.push_str("| | | |\n|---|---|---|\n");
        for row in rows {
            let name = if row.name.is_empty() { String::new() } else { code(&row.name) };
            let _ = writeln!(text, "| {} | {name} | {} |", word(row.mark), escaped(&row.what));
        }
        text.push_str(if plain.is_empty() { "" } else { "\n" });
    }
    for row in plain {
        let _ = writeln!(text, "- {}", escaped(&row.name));
    }
}

fn word(mark: Mark) -> &'static str {
    match mark {
        Mark::Added => "added",
        Mark::Removed => "removed",
        Mark::Changed => "changed",
        Mark::Plain => "",
    }
}

/// Text that Markdown leaves alone, but for code in backquotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut is_code = false;
    for character in text.chars() {
        is_code ^= character == '`';
        // Tables take a bar for the end of a cell in code too.
        if character == '|' || (!is_code && "\\*_[]<>#".contains(character)) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Code on one line, in a table too.
fn code(text: &str) -> String {
    let text = text.replace('|', "\\|");
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}
