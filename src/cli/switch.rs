//! `jtwbuild opam` and `jtwbuild opam-all`: artifacts of an installed OCaml.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use self::display::Display;
use super::arguments::Global;
use super::arguments::switch::{Installed, Opam, OpamAll};
use super::progress::Loudness;
use super::render;
use super::trouble::{Exit, Trouble};
use crate::effects::Effects;
use crate::switch::{self, Environment, Report, Request, Run, Shape, VARIABLES};

mod display;

pub(super) fn opam(global: &Global, verb: &Opam) -> Result<ExitCode, Trouble> {
    let universes = match &verb.deps_file {
        Some(file) => lines(file)?,
        None => Vec::new(),
    };
    let request = Request {
        path: verb.path.as_deref().map(plain),
        universes,
        ..request(&verb.installed, Shape::Flat)?
    };
    run(global, &verb.installed, &request)
}

pub(super) fn opam_all(global: &Global, verb: &OpamAll) -> Result<ExitCode, Trouble> {
    let request = request(&verb.installed, Shape::Each { all: verb.all })?;
    run(global, &verb.installed, &request)
}

fn request(verb: &Installed, shape: Shape) -> Result<Request, Trouble> {
    let output = std::path::absolute(&verb.output).map_err(|error| {
        let message = format!("`{}` cannot be found: {error}", verb.output.display());
        Trouble::new(Exit::Environment, "jtwbuild::environment::directory", message, None)
    })?;
    Ok(Request {
        libraries: verb.libraries.clone(),
        output,
        switch: verb.switch.clone(),
        worker: !verb.no_worker,
        path: None,
        universes: Vec::new(),
        shape,
        effects: Effects::Disabled,
    })
}

/// A path as users write it: `./p/fmt/` is `p/fmt`.
fn plain(path: &str) -> String {
    path.trim_start_matches("./").trim_end_matches('/').to_owned()
}

/// The paths in a file, one a line.
fn lines(file: &Path) -> Result<Vec<String>, Trouble> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("cannot read `{}`: {error}", file.display());
        Trouble::new(Exit::Input, "jtwbuild::file::unreadable", message, None)
    })?;
    Ok(text.lines().map(|line| plain(line.trim())).filter(|line| !line.is_empty()).collect())
}

fn run(global: &Global, verb: &Installed, request: &Request) -> Result<ExitCode, Trouble> {
    let environment: Environment =
        VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect();
    let cache = if verb.no_cache { None } else { cache(verb) };
    let loudness = match (global.quiet, global.verbose) {
        (true, _) => Loudness::Quiet,
        (_, true) => Loudness::Verbose,
        _ => Loudness::Normal,
    };
    let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let display = Display::new(loudness);
    let run = Run {
        environment: &environment,
        cache: cache.as_deref(),
        jobs: verb.jobs.map_or_else(processors, usize::from),
        progress: &display,
    };
    let result = switch::make(request, run);
    display.finish();
    let report = result.map_err(|error| {
        if let switch::SwitchError::Compile(failed) = &error {
            failed.iter().for_each(|one| render::failed_program(&one.label, one.status, &one.said));
        }
        Trouble::from(error)
    })?;
    tell(global, request, &report);
    if verb.json {
        Ok(render::data(&format!("{:#}\n", json(request, &report))))
    } else {
        Ok(ExitCode::SUCCESS)
    }
}

/// Where compiled archives are kept, if there is a place.
fn cache(verb: &Installed) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let given = verb.cache.as_ref().and_then(|path| std::path::absolute(path).ok());
    let usual = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    given.or_else(|| Some(usual()?.join("jtwbuild")))
}

fn tell(global: &Global, request: &Request, report: &Report) {
    if global.quiet {
        return;
    }
    for note in &report.notes {
        render::note(&format!("note: {note}"));
    }
    let place = match &request.path {
        Some(path) => request.output.join(path),
        None => request.output.clone(),
    };
    let made = format!(
        "{}: {} libraries, {} archives, {} interfaces",
        place.display(),
        report.libraries,
        report.archives,
        report.interfaces
    );
    render::note(&if report.is_unchanged {
        format!("{made}; nothing has changed")
    } else {
        let Report { ran, cached, written, kept, removed, .. } = report;
        format!(
            "{made}; {ran} steps ran, {cached} were known; {written} files written, {kept} kept, {removed} removed"
        )
    });
}

fn json(request: &Request, report: &Report) -> serde_json::Value {
    serde_json::json!({
        "output": request.output,
        "path": request.path,
        "libraries": report.libraries,
        "archives": report.archives,
        "interfaces": report.interfaces,
        "ran": report.ran,
        "cached": report.cached,
        "written": report.written,
        "kept": report.kept,
        "removed": report.removed,
        "unchanged": report.is_unchanged,
        "notes": report.notes,
    })
}
