//! Where the installed OCaml is: its programs, the standard library, and where findlib looks for
//! libraries.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::looked::Looked;
use super::program::Setting;
use super::{Environment, SwitchError};
use crate::findlib::Meta;

/// Settings files of findlib below the prefix of its program, in the order in which they are tried:
/// opam's place, then those of distributions.
const SETTINGS: [&str; 5] = [
    "lib/findlib.conf",
    "etc/findlib.conf",
    "etc/ocamlfind.conf",
    "lib/ocaml/findlib.conf",
    "lib64/findlib.conf",
];

/// An installed OCaml.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Directories in which libraries are looked for, in this order.
    pub search: Vec<PathBuf>,
    /// The standard library's directory, which `+` stands for.
    pub stdlib: PathBuf,
    /// Of OCaml.
    pub version: String,
    pub ocamlc: PathBuf,
    pub js_of_ocaml: PathBuf,
    pub setting: Setting,
}

/// Finds the OCaml of the opam switch `switch`, or the one that the environment leads to.
///
/// # Errors
/// When a program is missing, or the switch.
pub(super) fn find(
    looked: &Looked,
    environment: &Environment,
    switch: Option<&str>,
) -> Result<Place, SwitchError> {
    let mut programs = Programs { looked, path: environment.get("PATH").cloned().unwrap_or_default() };
    let prefix = match switch {
        Some(name) => Some(switch_prefix(&programs, environment, name)?),
        // A shell in which `eval $(opam env)` is out of date still says which switch is meant.
        None if programs.find("ocamlc").is_none() => {
            environment.get("OPAM_SWITCH_PREFIX").map(PathBuf::from).filter(|path| path.is_absolute())
        }
        None => None,
    };
    let mut setting = Setting::default();
    if let Some(prefix) = &prefix {
        let before = std::env::split_paths(&programs.path).collect::<Vec<_>>();
        let all = std::iter::once(prefix.join("bin")).chain(before);
        programs.path = std::env::join_paths(all).map_err(|_| SwitchError::Switch {
            name: switch.unwrap_or_default().to_owned(),
            said: format!("`{}` cannot be part of PATH", prefix.display()),
        })?;
        setting.path = Some(programs.path.clone());
    }
    let needed = |name: &'static str| programs.find(name).ok_or(SwitchError::NoProgram(name));
    let (ocamlc, js_of_ocaml) = (needed("ocamlc")?, needed("js_of_ocaml")?);
    let config = config(&setting, &ocamlc)?;
    let stdlib = lexical(Path::new(config.get("standard_library").map_or("", String::as_str)));
    let version = config.get("version").cloned().unwrap_or_default();
    let mut search: Vec<PathBuf> = split(environment.get("OCAMLPATH"));
    let known = Known { prefix: prefix.as_deref(), setting: &setting, ocamlc: &ocamlc, stdlib: &stdlib };
    search.extend(findlib_path(&programs, environment, switch.is_some(), known)?);
    search.retain(|path| path.is_absolute());
    Ok(Place { search, stdlib, version, ocamlc, js_of_ocaml, setting })
}

/// Programs on a search path.
struct Programs<'a> {
    looked: &'a Looked,
    path: OsString,
}

impl Programs<'_> {
    fn find(&self, name: &str) -> Option<PathBuf> {
        let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        let directories = std::env::split_paths(&self.path).filter(|path| path.is_absolute());
        directories.map(|directory| directory.join(&name)).find(|path| self.looked.is_file(path))
    }
}

fn split(path: Option<&OsString>) -> Vec<PathBuf> {
    path.map(|path| std::env::split_paths(path).map(|path| lexical(&path)).collect()).unwrap_or_default()
}

/// The prefix of an opam switch: `_opam` in the directory that the name is, a directory of opam's
/// root, or what opam says.
fn switch_prefix(
    programs: &Programs<'_>,
    environment: &Environment,
    name: &str,
) -> Result<PathBuf, SwitchError> {
    let is_switch = |path: &Path| programs.looked.is_directory(&path.join(".opam-switch"));
    let is_local = name.contains(['/', std::path::MAIN_SEPARATOR]) || name.starts_with('.');
    let root = environment.get("OPAMROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(PathBuf::from(environment.get("HOME")?).join(".opam")));
    let guess = if is_local {
        std::path::absolute(name).ok().map(|path| lexical(&path).join("_opam"))
    } else {
        root.map(|root| root.join(name))
    };
    if let Some(prefix) = guess.filter(|prefix| is_switch(prefix)) {
        return Ok(prefix);
    }
    let failed = |said: &str| SwitchError::Switch { name: name.to_owned(), said: said.trim().to_owned() };
    let opam = programs
        .find("opam")
        .ok_or_else(|| failed("there is no such switch below opam's root, and no `opam` to ask"))?;
    let ended = Setting::default().run(&opam, &["var", "prefix", "--switch", name], None)?;
    if !ended.is_success() {
        return Err(failed(&ended.said()));
    }
    let prefix = PathBuf::from(String::from_utf8_lossy(&ended.stdout).trim());
    if prefix.is_absolute() { Ok(prefix) } else { Err(failed("opam gives no prefix")) }
}

/// What `ocamlc -config` says.
fn config(setting: &Setting, ocamlc: &Path) -> Result<BTreeMap<String, String>, SwitchError> {
    let ended = setting.run(ocamlc, &["-config"], None)?;
    if !ended.is_success() {
        return Err(SwitchError::tool("ocamlc -config", &ended));
    }
    let text = String::from_utf8_lossy(&ended.stdout);
    let pairs = text.lines().filter_map(|line| line.split_once(": "));
    Ok(pairs.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect())
}

/// What is known of the OCaml before its libraries are.
#[derive(Clone, Copy)]
struct Known<'a> {
    /// Of the switch that was asked for.
    prefix: Option<&'a Path>,
    setting: &'a Setting,
    ocamlc: &'a Path,
    stdlib: &'a Path,
}

/// The search path that findlib's settings have.
fn findlib_path(
    programs: &Programs<'_>,
    environment: &Environment,
    is_named: bool,
    Known { prefix, setting, ocamlc, stdlib }: Known<'_>,
) -> Result<Vec<PathBuf>, SwitchError> {
    let looked = programs.looked;
    let ocamlfind = programs.find("ocamlfind");
    let told = environment.get("OCAMLFIND_CONF").map(PathBuf::from);
    // The variable is about the switch that the shell is in.
    let told = told.filter(|path| !is_named && looked.is_file(path));
    let prefixes = ocamlfind.iter().map(PathBuf::as_path).chain([ocamlc]);
    let prefixes = prefixes.filter_map(|program| program.parent()?.parent());
    // A switch may use programs of the system.
    let prefixes = prefix.into_iter().chain(prefixes).map(Path::to_owned);
    // Distributions keep settings of what is below /usr in /etc.
    let prefixes = prefixes.flat_map(|prefix| {
        let root = prefix.ends_with("usr").then(|| prefix.parent().map(Path::to_owned)).flatten();
        [Some(prefix), root].into_iter().flatten()
    });
    let known = prefixes.flat_map(|prefix| SETTINGS.map(|below| prefix.join(below)));
    if let Some(file) = told.into_iter().chain(known).find(|path| looked.is_file(path)) {
        let path = read_settings(looked, environment, &file)?;
        if !path.is_empty() {
            return Ok(path);
        }
    }
    if let Some(ocamlfind) = ocamlfind {
        let ended = setting.run(&ocamlfind, &["printconf", "path"], None)?;
        if !ended.is_success() {
            return Err(SwitchError::tool("ocamlfind printconf", &ended));
        }
        let text = String::from_utf8_lossy(&ended.stdout);
        return Ok(text.lines().map(|line| lexical(Path::new(line.trim()))).collect());
    }
    // OCaml without findlib: libraries of the compiler, and those beside its directory.
    Ok(stdlib.parent().map(Path::to_owned).into_iter().chain([stdlib.to_owned()]).collect())
}

/// The value of `path` in a settings file, with those of `<file>.d/*.conf`.
fn read_settings(
    looked: &Looked,
    environment: &Environment,
    file: &Path,
) -> Result<Vec<PathBuf>, SwitchError> {
    let mut directory = file.as_os_str().to_owned();
    directory.push(".d");
    let directory = PathBuf::from(directory);
    let more = looked.names(&directory)?.into_iter().filter(|name| name.ends_with(".conf"));
    let files = std::iter::once(file.to_owned()).chain(more.map(|name| directory.join(name)));
    let mut all = Meta::default();
    for file in files {
        let text = looked.read(&file)?;
        let settings = Meta::parse(&text).map_err(|source| SwitchError::Meta { path: file, source })?;
        all.definitions.extend(settings.definitions);
    }
    let toolchain = environment.get("OCAMLFIND_TOOLCHAIN").and_then(|name| name.to_str());
    let toolchain: Vec<&str> = toolchain.into_iter().collect();
    Ok(split(all.lookup("path", &toolchain).map(OsString::from).as_ref()))
}

/// The path without `.`, and without `..` where the text tells what it cancels.
pub(super) fn lexical(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(clean.components().next_back(), Some(Component::Normal(_))) => {
                clean.pop();
            }
            Component::ParentDir if clean.has_root() => {}
            other => clean.push(other),
        }
    }
    clean
}
