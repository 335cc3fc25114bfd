//! `worker.js` from the installed compiler: the built-in worker's source, compiled and linked as
//! `build.sh` beside it does in the sandbox, without a shell.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::closure::{Closure, Reach};
use super::installed::Packages;
use super::looked::Looked;
use super::place::Place;
use super::{Failed, SwitchError, cache};
use crate::effects::Effects;
use crate::jtw::is_standard;
use crate::recipe::overlay::Recipes;

/// Where the source is among the built-in recipes.
const SOURCE: &str = "jtw-tools/worker/";
/// Says in which order the files are compiled.
const SCRIPT: &str = "build.sh";
/// The files that are made, as the script makes them: how the worker does effects, and a name for each
/// unit of the standard library, so that all of it is linked.
const CONFIG: &str = "jtw_config.ml";
const STDLIB: &str = "jtw_stdlib.ml";
/// What it is linked with.
const LIBRARIES: [&str; 3] = ["js_of_ocaml", "js_of_ocaml-compiler.dynlink", "compiler-libs.toplevel"];
const OCAMLC: [&str; 2] = ["-w", "+a-4-9-40-41-42-44-45-49-70"];
const JS_OF_OCAML: [&str; 2] = ["--toplevel", "--no-cmis"];
const RUNTIME: [&str; 2] = ["+toplevel.js", "+dynlink.js"];
/// The one unit of the worker that user code may name, and where its interface is to be found.
const BUILT_IN: &str = "Mime_printer";
const BUILT_IN_FILE: [&str; 3] = ["-I", ".", "--file=mime_printer.cmi:/static/mime_printer.cmi"];

/// A worker to be built.
pub(super) struct Worker {
    /// A hash of everything that it is built from.
    pub key: blake3::Hash,
    /// In the order in which they are compiled.
    files: Vec<(String, Arc<[u8]>)>,
    directories: Vec<PathBuf>,
    archives: Vec<PathBuf>,
    /// Units that user code may name without a `#require`, one a line.
    export: String,
    effects: Effects,
}

impl Worker {
    /// Looks up what the worker is built from. `identity` is that of js_of_ocaml.
    ///
    /// # Errors
    /// When a library that it is linked with is not installed.
    pub(super) fn prepare(
        looked: &Looked,
        place: &Place,
        packages: &Packages<'_>,
        identity: &blake3::Hash,
        effects: Effects,
    ) -> Result<Self, SwitchError> {
        let names = LIBRARIES.map(str::to_owned);
        let closure =
            Closure::of(packages, &names, &[&["byte"]], Reach::All).map_err(|error| match error {
                SwitchError::Unknown { name, by, .. } => SwitchError::NoWorkerLibrary { name, by },
                other => other,
            })?;
        let names_there = looked.names(&place.stdlib)?;
        let mut worker = Self {
            key: *identity,
            files: files(&names_there, effects),
            directories: Vec::new(),
            archives: Vec::new(),
            export: export(&names_there),
            effects,
        };
        let mut hasher = blake3::Hasher::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        add(b"jtwbuild worker 2");
        add(identity.as_bytes());
        add(&looked.read(&place.ocamlc)?);
        add(worker.arguments().join(" ").as_bytes());
        add(worker.export.as_bytes());
        worker.files.iter().for_each(|(_, bytes)| add(bytes));
        add(&looked.read(&place.stdlib.join("stdlib.cma"))?);
        for name in closure.load_order(&names) {
            let Some(package) = closure.packages.get(super::closure::head(&name)) else { continue };
            let libraries = packages.libraries(package);
            let Some(library) = libraries.iter().find(|one| one.name == name) else { continue };
            if !worker.directories.contains(&library.directory) && library.directory != place.stdlib {
                worker.directories.push(library.directory.clone());
            }
            for archive in library.meta.words("archive", &["byte"]) {
                let path = library.directory.join(archive);
                add(&looked.read(&path)?);
                worker.archives.push(path);
            }
        }
        worker.key = hasher.finalize();
        Ok(worker)
    }

    /// What precedes the archives and files on both command lines.
    fn arguments(&self) -> Vec<String> {
        let effects = format!("--effects={}", self.effects.as_str());
        let words = OCAMLC.into_iter().chain(JS_OF_OCAML).chain(RUNTIME).chain([effects.as_str()]);
        words.map(str::to_owned).collect()
    }

    /// Builds `worker.js` in `directory`, which is made.
    pub(super) fn build(&self, place: &Place, directory: &Path) -> Result<(), SwitchError> {
        cache::make_directories(directory)?;
        for (name, bytes) in &self.files {
            cache::write(&directory.join(name), bytes)?;
        }
        cache::write(&directory.join("export.txt"), self.export.as_bytes())?;
        let mut arguments: Vec<PathBuf> = OCAMLC.map(PathBuf::from).into();
        for path in &self.directories {
            arguments.extend(["-I".into(), path.clone()]);
        }
        arguments.extend(self.archives.iter().cloned());
        arguments.extend(self.files.iter().map(|(name, _)| PathBuf::from(name)));
        arguments.extend(["-o", "worker.bc"].map(PathBuf::from));
        let run = |program: &Path, arguments: &[PathBuf]| {
            let ended = place.setting.run(program, arguments, Some(directory))?;
            if ended.is_success() {
                return Ok(());
            }
            Err(SwitchError::Compile(vec![Failed::new("worker.js", &ended)]))
        };
        run(&place.ocamlc, &arguments)?;
        let effects = format!("--effects={}", self.effects.as_str());
        let words = JS_OF_OCAML.into_iter().chain([&*effects, "--export", "export.txt"]);
        let words = words.chain(BUILT_IN_FILE).chain(RUNTIME);
        let words = words.chain(["worker.bc", "-o", "worker.js"]);
        run(&place.js_of_ocaml, &words.map(PathBuf::from).collect::<Vec<_>>())
    }
}

/// The files to compile, in their order. `names` are those of the standard library's directory.
fn files(names: &[String], effects: Effects) -> Vec<(String, Arc<[u8]>)> {
    let recipes = Recipes::built_in();
    let read =
        |name: &str| recipes.bytes(&format!("{SOURCE}{name}")).expect("the worker's source is built in");
    let script = read(SCRIPT);
    let script = std::str::from_utf8(&script).expect("the worker's script is text");
    let one = |name: &str| match name {
        CONFIG => (name.to_owned(), format!("let effects = \"{}\"\n", effects.as_str()).into_bytes().into()),
        _ => (name.to_owned(), read(name)),
    };
    let stdlib: String = export(names)
        .lines()
        .filter(|unit| unit.starts_with("Stdlib__") || unit.starts_with("Camlinternal"))
        .map(|unit| format!("module {unit} = {unit}\n"))
        .collect();
    [(STDLIB.to_owned(), stdlib.into_bytes().into())].into_iter().chain(sources(script).map(one)).collect()
}

/// The list of sources in the script.
fn sources(script: &str) -> impl Iterator<Item = &str> {
    let list = script.split_once("\nsources=\"").and_then(|(_, rest)| rest.split_once('"'));
    list.map_or("", |(list, _)| list).split_ascii_whitespace()
}

/// The standard library's units among the files of its directory and what is built in, capitalised, sorted.
fn export(names: &[String]) -> String {
    let mut units = BTreeSet::from([BUILT_IN.to_owned()]);
    for unit in names.iter().filter(|name| is_standard(name)).filter_map(|name| name.strip_suffix(".cmi")) {
        let mut unit = unit.to_owned();
        unit[..1].make_ascii_uppercase();
        units.insert(unit);
    }
    units.into_iter().map(|unit| format!("{unit}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sandbox builds the same worker by a script; what differs there would be missed here.
    #[test]
    fn the_worker_is_built_as_its_script_builds_it() {
        let script = include_str!("../../recipes/jtw-tools/worker/build.sh");
        let [first, last] = [sources(script).next(), sources(script).last()];
        assert_eq!([first, last], [Some(CONFIG), Some("worker.ml")]);
        let made = files(&["stdlib__List.cmi".to_owned(), "stdlib.cmi".to_owned()], Effects::Cps);
        let text = |at: usize| (made[at].0.as_str(), std::str::from_utf8(&made[at].1).unwrap());
        assert_eq!(text(0), (STDLIB, "module Stdlib__List = Stdlib__List\n"));
        assert_eq!(text(1), (CONFIG, "let effects = \"cps\"\n"));
        assert!(script.contains("echo \"let effects = \\\"$effects\\\"\" > jtw_config.ml\n"));
        assert!(script.contains("\"$stdlib\"/stdlib__*.cmi \"$stdlib\"/camlinternal*.cmi; do\n"));
        assert!(script.contains(&format!("{} \\\n  {STDLIB} $sources -o worker.bc", OCAMLC[1])));
        assert!(script.contains(&format!("{} \\\n", BUILT_IN_FILE.join(" "))));
        assert!(script.contains(&format!("libraries={}\n", LIBRARIES.join(","))));
        assert!(script.contains(&format!("-linkpkg {}", OCAMLC.join(" "))));
        assert!(script.contains(&format!("js_of_ocaml {} --effects=", JS_OF_OCAML.join(" "))));
        assert!(script.contains(&format!("{} worker.bc", RUNTIME.join(" "))));
    }

    #[test]
    fn user_code_may_name_the_units_of_the_standard_library() {
        let names =
            ["stdlib.cmi", "stdlib__List.cmi", "str.cmi", "camlinternalOO.cmi", "std_exit.cmi", "x.ml"];
        let names = names.map(str::to_owned);
        assert_eq!(export(&names), "CamlinternalOO\nMime_printer\nStd_exit\nStdlib\nStdlib__List\n");
    }
}
