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
/// The order in which the files are compiled.
const FILES: [&str; 20] = [
    CONFIG,
    "mime_printer.mli",
    "mime_printer.ml",
    "jtw_json.ml",
    "jtw_net.ml",
    "jtw_meta.ml",
    "jtw_cmis.ml",
    "jtw_index.ml",
    "jtw_libs.ml",
    "jtw_positions.ml",
    "jtw_output.ml",
    "jtw_report.ml",
    "jtw_envs.ml",
    "jtw_eval.ml",
    "jtw_directives.ml",
    "jtw_source.ml",
    "jtw_analyse.ml",
    "jtw_complete.ml",
    "jtw_protocol.ml",
    "worker.ml",
];
/// The file among them that says how the universe does effects.
const CONFIG: &str = "jtw_config.ml";
/// Units of the worker itself that user code may name without a `#require`.
const BUILT_IN: [&str; 1] = ["mime_printer"];
/// What it is linked with.
const LIBRARIES: [&str; 3] = ["js_of_ocaml", "js_of_ocaml-compiler.dynlink", "compiler-libs.toplevel"];
const OCAMLC: [&str; 3] = ["-linkall", "-w", "+a-4-9-40-41-42-44-45-70"];
const JS_OF_OCAML: [&str; 2] = ["--toplevel", "--no-cmis"];
const INTERFACES: [&str; 3] = ["-I", ".", "--file=mime_printer.cmi:/static/mime_printer.cmi"];
const RUNTIME: [&str; 2] = ["+toplevel.js", "+dynlink.js"];

/// A worker to be built.
pub(super) struct Worker {
    /// A hash of everything that it is built from.
    pub key: blake3::Hash,
    files: Vec<(&'static str, Arc<[u8]>)>,
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
        let recipes = Recipes::built_in();
        let config: Arc<[u8]> = format!("let effects = \"{}\"\n", effects.as_str()).into_bytes().into();
        let files = FILES.map(|name| {
            if name == CONFIG {
                return (name, Arc::clone(&config));
            }
            let bytes = recipes.bytes(&format!("{SOURCE}{name}")).expect("the worker's source is built in");
            (name, bytes)
        });
        let mut worker = Self {
            key: *identity,
            files: files.into(),
            directories: Vec::new(),
            archives: Vec::new(),
            export: export(&looked.names(&place.stdlib)?),
            effects,
        };
        let mut hasher = blake3::Hasher::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        add(b"jtwbuild worker 1");
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
        let words =
            OCAMLC.into_iter().chain(JS_OF_OCAML).chain(INTERFACES).chain(RUNTIME).chain([effects.as_str()]);
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
        arguments.extend(FILES.map(PathBuf::from));
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
        let words = JS_OF_OCAML
            .into_iter()
            .chain([&*effects, "--export", "export.txt"])
            .chain(INTERFACES)
            .chain(RUNTIME);
        let words = words.chain(["worker.bc", "-o", "worker.js"]);
        run(&place.js_of_ocaml, &words.map(PathBuf::from).collect::<Vec<_>>())
    }
}

/// The standard library's units among the files of its directory and the worker's own, capitalised, sorted.
fn export(names: &[String]) -> String {
    let mut units = BTreeSet::new();
    let standard = names.iter().filter(|name| is_standard(name)).filter_map(|name| name.strip_suffix(".cmi"));
    for unit in standard.chain(BUILT_IN) {
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
        let (_, sources) = script.split_once("\nsources=\"").unwrap();
        let (sources, _) = sources.split_once('"').unwrap();
        assert_eq!(sources.split_whitespace().collect::<Vec<_>>(), FILES);
        let lines = [
            format!("libraries={}\n", LIBRARIES.join(",")),
            format!("echo \"let effects = \\\"$effects\\\"\" > {CONFIG}\n"),
            format!("-linkpkg {}", OCAMLC.join(" ")),
            format!("echo {} > built-in.txt\n", BUILT_IN.join(" ")),
            format!(
                "js_of_ocaml {} --effects=\"$effects\" --export export.txt \\\n  {} \\\n  {} worker.bc -o worker.js\n",
                JS_OF_OCAML.join(" "),
                INTERFACES.join(" "),
                RUNTIME.join(" ")
            ),
        ];
        for line in lines {
            assert!(script.contains(&line), "the script has no `{line}`");
        }
    }

    #[test]
    fn user_code_may_name_the_units_of_the_standard_library() {
        let names =
            ["stdlib.cmi", "stdlib__List.cmi", "str.cmi", "camlinternalOO.cmi", "std_exit.cmi", "x.ml"];
        let names = names.map(str::to_owned);
        assert_eq!(export(&names), "CamlinternalOO\nMime_printer\nStd_exit\nStdlib\nStdlib__List\n");
    }
}
