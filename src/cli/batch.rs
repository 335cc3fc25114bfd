//! `jtwbuild batch` and `health-check`: a list of packages, each by itself, with day10's options.
//!
//! What is asked for becomes a universe file, which is realised like any other and stays beside the
//! results, so that the next question can be put to it.

mod report;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use self::report::Report;
use super::arguments::batch::{Batch, BatchOptions, HealthCheck, WorkerOptions};
use super::arguments::statements::Signing;
use super::arguments::{Global, Realise, UniverseArguments};
use super::load::open_store;
use super::realise::{Command, memo_place, start_sandbox, whole_way};
use super::roots::CommandRoot;
use super::trouble::{Exit, Trouble};
use super::{render, summary};
use crate::fetch::git::Answers;
use crate::package::Requirement;
use crate::store::disk;
use crate::toml_reader::FromText;

/// The compiler that the base has, if that version is asked for: it need not be built.
const SYSTEM: (&str, &str) = ("5.4.1", "ocaml-system.5.4.1");

/// `jtwbuild batch`
pub(super) fn batch(global: &Global, verb: &Batch) -> Result<ExitCode, Trouble> {
    let question = Question {
        options: &verb.options,
        worker: &verb.worker,
        packages: read_packages(&verb.packages)?,
        has_site: verb.with_jtw,
        output: verb.jtw_output.as_deref(),
    };
    run(global, &question)
}

/// `jtwbuild health-check`
pub(super) fn health_check(global: &Global, verb: &HealthCheck) -> Result<ExitCode, Trouble> {
    let question = Question {
        options: &verb.options,
        worker: &verb.worker,
        packages: read_packages(&verb.package)?,
        has_site: verb.with_jtw,
        output: None,
    };
    run(global, &question)
}

struct Question<'a> {
    options: &'a BatchOptions,
    worker: &'a WorkerOptions,
    packages: Vec<String>,
    /// Whether browser artifacts are made.
    has_site: bool,
    /// Where they go.
    output: Option<&'a Path>,
}

fn run(global: &Global, question: &Question<'_>) -> Result<ExitCode, Trouble> {
    let (begun, since) = (Instant::now(), SystemTime::now());
    let options = question.options;
    let global = &Global { store: options.cache_dir.clone().or_else(|| global.store.clone()), ..*global };
    let store = open_store(global)?;
    let text = question.universe()?;
    let directory = store.root().join("batch").join(&blake3::hash(text.as_bytes()).to_hex()[..16]);
    disk::make_directories(&directory)?;
    let universe = directory.join("universe.toml");
    disk::replace(&universe, text.as_bytes())?;
    let verb = Realise {
        universe: UniverseArguments {
            universe: universe.clone(),
            recipes: options.recipes.clone(),
            locked: false,
            offline: options.offline,
        },
        output: Some(question.output.map_or_else(|| directory.join("site"), Path::to_owned)),
        jobs: options.fork,
        retry_failed: options.retry_failed,
        retry: 0,
        wait_timeout: None,
        paranoid: false,
        signing: Signing::default(),
        json: false,
    };
    if options.dry_run {
        let plan = super::arguments::Plan { universe: verb.universe, json: false, dot: false };
        return super::plan::run(global, &plan);
    }
    let place = memo_place(&store, &verb);
    let root = CommandRoot::new(&store, &verb, &place);
    let command = Command { global, verb: &verb, store: &store, place: &place, root: &root, begun, since };
    let whole = whole_way(&command, start_sandbox(), Answers::new())?;
    whole.tell_troubles(global, &store);
    let report = Report::new(&whole, &store, &universe, options.ocaml_version.as_str());
    for (path, text) in [(&options.json, report.json()), (&options.md, report.markdown())] {
        if let Some(path) = path {
            disk::replace(path, text.as_bytes())?;
        }
    }
    render::data(&report.lines());
    if !global.quiet {
        let counts = summary::counts(&whole.run);
        render::error_text(&summary::ending(&store, &whole.made, &counts, begun.elapsed().as_secs_f64()));
        render::note(&format!("universe: {}", universe.display()));
    }
    Ok(whole.exit().map_or(ExitCode::SUCCESS, |exit| ExitCode::from(exit as u8)))
}

impl Question<'_> {
    /// The universe file.
    fn universe(&self) -> Result<String, Trouble> {
        let options = self.options;
        let compiler = match options.ocaml_version.strip_prefix("ocaml.") {
            Some(version) if version == SYSTEM.0 => SYSTEM.1,
            _ => &options.ocaml_version,
        };
        let mut text = String::from("# Written by `jtwbuild batch`.\nname = \"batch\"\nsolve = \"each\"\n");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "compiler = {}\nsite = {}", quoted(compiler), self.has_site);
        let _ = writeln!(text, "packages = [");
        for package in &self.packages {
            let _ = writeln!(text, "  {},", quoted(package));
        }
        let _ = writeln!(text, "]");
        let mirrors = options.archive_mirror.iter().map(|mirror| quoted(&absolute(mirror)));
        let mirrors: Vec<String> = mirrors.collect();
        if !mirrors.is_empty() {
            let _ = writeln!(text, "archive-mirrors = [{}]", mirrors.join(", "));
        }
        let worker = self.worker;
        if let Some(url) = &worker.repo {
            let _ = writeln!(text, "\n[tools]\ngit = {}", quoted(url));
            let _ = writeln!(text, "branch = {}", quoted(&worker.branch));
            let _ = writeln!(text, "layout = {}", quoted(&worker.layout));
        }
        let places = options.opam_repository.iter().flat_map(|places| places.split(','));
        let mut count = 0;
        for place in places.map(str::trim).filter(|place| !place.is_empty()) {
            let _ = writeln!(text, "\n[[repository]]\nopam = {}", quoted(&absolute(place)));
            count += 1;
        }
        if count == 0 {
            let message = "no opam repository is named";
            let help = "`--opam-repository DIR`: a directory, an archive, or the URL of a git repository";
            return Err(Trouble::new(Exit::Input, "jtwbuild::batch::no-repository", message, Some(help)));
        }
        Ok(text)
    }
}

/// Any text as a string of a TOML file.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A path as seen from anywhere; a URL as it is.
fn absolute(place: &str) -> String {
    if place.contains("://") {
        return place.to_owned();
    }
    std::path::absolute(place).map_or_else(|_| place.to_owned(), |path| path.display().to_string())
}

/// What to ask for: one package, or with `@FILE` those of a file, which is day10's
/// `{"packages": ["fmt.0.9.0", …]}` or a list with one name a line.
fn read_packages(argument: &str) -> Result<Vec<String>, Trouble> {
    let Some(file) = argument.strip_prefix('@') else { return checked(argument, vec![argument.to_owned()]) };
    let path = PathBuf::from(file);
    let unreadable = |error: &dyn std::fmt::Display| {
        let message = format!("`{file}` cannot be read: {error}");
        let help = r#"it holds `{"packages": ["fmt.0.9.0"]}`, or one package a line"#;
        Trouble::new(Exit::Input, "jtwbuild::batch::packages", message, Some(help))
    };
    let text = match disk::read_if_present(&path)? {
        Some(bytes) => String::from_utf8(bytes).map_err(|error| unreadable(&error))?,
        None => return Err(unreadable(&"there is no such file")),
    };
    if text.trim_start().starts_with('{') {
        #[derive(serde::Deserialize)]
        struct File {
            packages: Vec<String>,
        }
        let File { packages } = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
        return checked(file, packages);
    }
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    checked(file, lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn checked(from: &str, packages: Vec<String>) -> Result<Vec<String>, Trouble> {
    if packages.is_empty() {
        let message = format!("`{from}` names no package");
        return Err(Trouble::new(Exit::Input, "jtwbuild::batch::packages", message, None));
    }
    for package in &packages {
        Requirement::from_text(package).map_err(|error| {
            let message = format!("`{from}`: {}", error.message);
            Trouble::new(
                Exit::Input,
                "jtwbuild::batch::packages",
                message,
                Some("write `fmt` or `fmt.0.9.0`"),
            )
        })?;
    }
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn any_text_is_one_string_of_the_written_file() {
        let every: String = (0..0x300).filter_map(char::from_u32).collect();
        let texts =
            ["", "'", "\"", "'''", "\"\"\"", "\\", "a\\", "\n", "\r\n", "a\n[tools]\n", "#", "\u{202e}"];
        for text in texts.into_iter().chain([every.as_str()]) {
            let written = format!("[tools]\ngit = {}\nbranch = \"main\"\n", quoted(text));
            let read: toml::Table = written.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"));
            let tools = read["tools"].as_table().expect("a table");
            assert_eq!((tools["git"].as_str(), tools.len(), read.len()), (Some(text), 2, 1), "{written}");
        }
    }
}
