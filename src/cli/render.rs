//! What is printed: errors with their places, the summary of a run, JSON.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::Path;
use std::process::ExitCode;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use thiserror::Error;

use super::trouble::{Shown, Trouble};
use crate::diagnostic::{Problem, SourceError};

/// One problem with the text that it is in, as miette draws it.
#[derive(Debug, Error)]
#[error("{}", problem.message)]
struct Drawn {
    problem: Problem,
    text: Option<NamedSource<String>>,
}

impl Diagnostic for Drawn {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(&self.problem.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.text.as_ref()?;
        let label = Some(self.problem.label.clone()).filter(|label| !label.is_empty());
        let span = LabeledSpan::new(label, self.problem.span.start, self.problem.span.len());
        Some(Box::new(std::iter::once(span)))
    }
}

/// Prints an error on standard error; its kind decides the exit code.
pub(super) fn trouble(trouble: &Trouble) -> ExitCode {
    match &trouble.shown {
        Shown::Sources(errors) => errors.iter().for_each(source_error),
        Shown::Message { code, message, help } => {
            let problem = Problem {
                code: (*code).to_owned(),
                message: message.clone(),
                span: 0..0,
                label: String::new(),
                help: help.clone(),
            };
            draw(&Drawn { problem, text: None });
        }
    }
    ExitCode::from(trouble.exit as u8)
}

fn source_error(error: &SourceError) {
    for problem in &error.problems {
        // An editor's byte order mark would shift nothing but the first column.
        let source = NamedSource::new(&error.file, error.text.to_string());
        draw(&Drawn { problem: problem.clone(), text: Some(source) });
    }
}

fn draw(drawn: &Drawn) {
    let theme = match (std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR").is_some()) {
        (true, false) => miette::GraphicalTheme::unicode(),
        (true, true) => miette::GraphicalTheme::unicode_nocolor(),
        (false, _) => miette::GraphicalTheme::none(),
    };
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_links(false);
    let mut text = String::new();
    // A report that cannot be drawn is still told.
    if handler.render_report(&mut text, drawn).is_err() {
        text = format!("error: {drawn}\n");
    }
    error_text(&text);
}

/// Prints to standard error; that it is closed is no reason to fail.
pub(super) fn error_text(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Prints a line to standard error.
pub(super) fn note(line: &str) {
    error_text(&format!("{line}\n"));
}

/// Prints data to standard output. A reader that has gone away is success.
pub(super) fn data(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: cannot write to standard output: {error}"));
            ExitCode::from(super::trouble::Exit::Environment as u8)
        }
    }
}

/// A time for people: `0.4 s`, `12 s`, `3 min 5 s`.
pub(super) fn seconds(seconds: f64) -> String {
    match seconds {
        small if small < 0.0095 => format!("{:.1} ms", small * 1e3),
        small if small < 1.0 => format!("{:.0} ms", small * 1e3),
        small if small < 10.0 => format!("{small:.1} s"),
        middle if middle < 60.0 => format!("{middle:.0} s"),
        long => format!("{} min {:.0} s", (long / 60.0).floor(), long % 60.0),
    }
}

/// Bytes for people: `512 B`, `1.5 KiB`, `2.0 GiB`.
pub(super) fn bytes(bytes: u64) -> String {
    let (mut size, mut unit) = (bytes as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") }
}

/// Says how a program failed, with the end of what it said.
pub(super) fn failed_program(label: &str, status: Option<i32>, said: &str) {
    let how = match status {
        Some(status) => format!("ended with status {status}"),
        None => "was ended by a signal".to_owned(),
    };
    error_text(&format!("{label}: the program {how}\n{}", tail(said, 40)));
}

/// The last lines of a log, indented.
pub(super) fn log_tail(path: &Path, lines: usize) -> String {
    let Ok(bytes) = std::fs::read(path) else { return String::new() };
    tail(&String::from_utf8_lossy(&bytes), lines)
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let mut tail = String::new();
    for line in &all[all.len().saturating_sub(lines)..] {
        let _ = writeln!(tail, "    | {}", without_colours(line));
    }
    tail
}

/// The text without control characters and sequences (ECMA-48: `ESC [ … letter`), except tabs.
fn without_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        if character == '\u{1b}' {
            let mut after = rest.clone();
            if after.next() == Some('[') {
                // Parameters and intermediates are 0x20 to 0x3f; what ends it is 0x40 to 0x7e.
                let _ = after.find(|character| !(' '..='?').contains(character));
                rest = after;
            }
        } else if !character.is_control() || character == '\t' {
            plain.push(character);
        }
    }
    plain
}
