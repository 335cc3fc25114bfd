//! Finds the findlib libraries of a package layer and what each needs to be compiled.

use std::collections::{BTreeMap, BTreeSet};

use crate::findlib::published::rewrite_directory;
use crate::findlib::{LibDir, Library, Meta, STDLIB, cycle, is_plain};
use crate::store::StoreError;
use crate::store::tree::{File, Name, Node, RelPath, Tree};

use super::compile::{self, provided_primitives};
use super::{Analysis, FoundLibrary, Job, JtwError, Problem, Settings, file_at, lib_path, named};

type Read<'a> = &'a dyn Fn(&File) -> Result<Vec<u8>, StoreError>;

/// Things missing from one package that are listed: nobody reads more.
const MAX_PROBLEMS: usize = 200;

/// A META file and where it is published.
struct Found {
    /// Name of the findlib package.
    name: String,
    path: RelPath,
    file: File,
    /// What its relative directories are relative to.
    origin: LibDir,
    /// The directory it is published in, always called like the package.
    published: LibDir,
}

/// Reads the META files of `layer` (a tree at the prefix) and plans the compilation.
///
/// `primitives_from` are layers, with names for messages, whose runtime files serve every archive
/// of this package too. The standard library's own META is passed over, unless the settings say
/// that it is the layer's.
///
/// # Errors
/// Only when the store fails. What is wrong with the package is in [`Analysis::problems`].
pub fn analyse(
    package: &str,
    version: &str,
    layer: &Tree,
    primitives_from: &[(&str, &Tree)],
    read: Read<'_>,
    settings: &Settings,
) -> Result<Analysis, JtwError> {
    let mut analysis = Analysis {
        package: package.to_owned(),
        version: version.to_owned(),
        effects: settings.effects,
        steps: Vec::new(),
        commands: Vec::new(),
        problems: Vec::new(),
        libraries: Vec::new(),
        jobs: BTreeMap::new(),
        directories: BTreeMap::new(),
        metas: BTreeMap::new(),
    };
    let shared = shared_runtime(primitives_from, read, &mut analysis.problems)?;
    analysis.problems.extend(unplain(layer));
    for found in metas(layer, settings.with_stdlib) {
        let text = (read)(&found.file)?;
        let Some(meta) = parsed(&found, &text, &mut analysis.problems) else { continue };
        let text = std::str::from_utf8(&text).expect("a META that was parsed is UTF-8");
        let rewritten = rewrite_directory(text, &meta, start(&found, &meta), &found.published);
        analysis.metas.insert(found.published.clone(), rewritten.into_owned());
        interfaces(layer, &found.published, &mut analysis)?;
        for library in meta.libraries(&found.name, start(&found, &meta)) {
            let mut own = own_runtime(layer, &library, read, &mut analysis.problems)?;
            for path in settings.borrowed.get(&library.name).into_iter().flatten() {
                let path = RelPath::parse(path)?;
                if let Some(file) = file_at(layer, &path) {
                    own.add(&path, &(read)(&file)?);
                }
            }
            add_library(layer, &library, &own, &shared, &mut analysis)?;
            if settings.with_stdlib && library.name == "stdlib" {
                add_stdlib(layer, &library, &mut analysis);
            }
        }
    }
    let requires = analysis.libraries.iter();
    let requires =
        requires.map(|one| (one.name.as_str(), one.requires.iter().map(String::as_str).collect())).collect();
    if let Some(libraries) = cycle(&requires) {
        analysis.problems.push(Problem::Cycle { libraries });
    }
    compile::plan(&mut analysis, settings);
    Ok(analysis)
}

/// Relative directories start from `origin`; a `META.name` without any lies where it is published.
fn start<'a>(found: &'a Found, meta: &Meta) -> &'a LibDir {
    let has_directory = meta.definitions.iter().any(|one| one.variable == "directory");
    if has_directory { &found.origin } else { &found.published }
}

/// The META files of a layer: `lib/<name>/META`, `lib/META.<name>`, `lib/ocaml/<name>/META`.
fn metas(layer: &Tree, with_stdlib: bool) -> Vec<Found> {
    let mut found = Vec::new();
    let mut known = BTreeSet::new();
    for root in [vec![], vec![STDLIB]] {
        let at = LibDir::parse(&root.join("/")).expect("a word is a directory");
        let Ok(path) = lib_path(&at) else { continue };
        let Some(directory) = layer.directory(&path) else { continue };
        let mut add = |name: &str, file: File, path: RelPath, is_beside: bool| {
            let is_stdlib = name == "stdlib" && !root.is_empty() && !with_stdlib;
            let Ok(published) = at.resolve(name) else { return };
            if !is_stdlib && known.insert(name.to_owned()) {
                let origin = if is_beside { at.clone() } else { published.clone() };
                found.push(Found { name: name.to_owned(), path, file, origin, published });
            }
        };
        let meta = Name::new(b"META").expect("a word is a name");
        let is_package = |text: &str| is_plain(text) && !text.is_empty() && !text.contains(['.', '+']);
        // A package's own directory counts before a file beside it.
        for (name, node) in directory.entries() {
            let (Some(package), Node::Directory(below)) = (name.as_str(), node) else { continue };
            let file = below.get(&RelPath::default().join(meta.clone()));
            if let (true, Some(Node::File(file))) = (is_package(package), file) {
                add(package, *file, path.join(name.clone()).join(meta.clone()), false);
            }
        }
        for (name, node) in directory.entries() {
            let package = name.as_str().and_then(|text| text.strip_prefix("META."));
            if let (Some(package), Node::File(file)) = (package.filter(|text| is_package(text)), node) {
                add(package, *file, path.join(name.clone()), true);
            }
        }
    }
    found
}

/// META files in directories whose names no URL can hold as they are; their libraries are left out.
fn unplain(layer: &Tree) -> Vec<Problem> {
    let Some(lib) = RelPath::parse("lib").ok().and_then(|path| layer.directory(&path)) else {
        return Vec::new();
    };
    let odd = lib.entries().filter(|(name, node)| {
        let has_meta = match node {
            Node::Directory(below) => below.entries().any(|(name, _)| name.as_bytes() == b"META"),
            Node::File(_) => name.as_bytes().starts_with(b"META."),
            Node::Link(_) => false,
        };
        has_meta && !name.as_str().is_some_and(is_plain)
    });
    odd.map(|(name, _)| Problem::Meta {
        path: format!("lib/{}", name.as_bytes().escape_ascii()),
        reason: "a library cannot have such a name".into(),
    })
    .collect()
}

fn parsed(found: &Found, text: &[u8], problems: &mut Vec<Problem>) -> Option<Meta> {
    match Meta::parse(text) {
        Ok(meta) => Some(meta),
        Err(error) => {
            problems.push(Problem::Meta { path: found.path.to_string(), reason: error.to_string() });
            None
        }
    }
}

fn add_library(
    layer: &Tree,
    library: &Library<'_>,
    own: &Runtime,
    shared: &Runtime,
    analysis: &mut Analysis,
) -> Result<(), JtwError> {
    for directory in library.directories.iter().chain([&library.directory]) {
        interfaces(layer, directory, analysis)?;
    }
    for escape in &library.escapes {
        let directory = escape.0.clone();
        analysis.problems.push(Problem::Directory { library: library.name.clone(), directory });
    }
    if !exists(layer, library) {
        return Ok(());
    }
    let mut archives: Vec<(LibDir, String)> = Vec::new();
    let mut several = Vec::new();
    for predicates in [&["byte"][..], &["ppx_driver", "byte"]] {
        let mut members = Vec::new();
        for archive in library.meta.words("archive", predicates) {
            let found = archive_place(library, &archive)
                .and_then(|key| Some((file_at(layer, &key_path(&key)?)?, key)));
            let Some((file, key)) = found else {
                let problem = Problem::MissingArchive { library: library.name.clone(), archive };
                if analysis.problems.len() < MAX_PROBLEMS && !analysis.problems.contains(&problem) {
                    analysis.problems.push(problem);
                }
                continue;
            };
            let runtime = own.files.iter().chain(&shared.files).cloned().collect();
            analysis.jobs.entry(key.clone()).or_insert_with(|| Job::new(file.size, runtime));
            members.push(key);
        }
        for key in &members {
            if !archives.contains(key) {
                archives.push(key.clone());
            }
        }
        if members.len() > 1 && !several.contains(&members) {
            several.push(members);
        }
    }
    let provides: BTreeSet<String> = own.provides.iter().chain(&shared.provides).cloned().collect();
    analysis.libraries.push(FoundLibrary {
        name: library.name.clone(),
        directory: library.directory.clone(),
        requires: library.meta.requires(&[&[]]),
        provides: if archives.is_empty() { Vec::new() } else { provides.into_iter().collect() },
        archives,
        several,
    });
    Ok(())
}

/// The standard library's archive, which its META does not name: workers have it in them.
fn add_stdlib(layer: &Tree, library: &Library<'_>, analysis: &mut Analysis) {
    let key = (library.directory.clone(), "stdlib.cma".to_owned());
    if let Some(file) = key_path(&key).and_then(|path| file_at(layer, &path)) {
        analysis.jobs.entry(key).or_insert_with(|| Job::new(file.size, Vec::new()));
    }
}

/// Whether one of the files that the library says it exists by is there.
fn exists(layer: &Tree, library: &Library<'_>) -> bool {
    let signs = library.meta.words("exists_if", &["byte"]);
    signs.is_empty()
        || signs.iter().any(|sign| {
            let path = named(sign).ok().and_then(|name| Some(lib_path(&library.directory).ok()?.join(name)));
            path.is_some_and(|path| layer.get(&path).is_some())
        })
}

/// Directory and file name of an archive that the META names; `None` for what is no archive.
fn archive_place(library: &Library<'_>, archive: &str) -> Option<(LibDir, String)> {
    let (directory, name) = match archive.rsplit_once('/') {
        Some((directory, name)) => (library.directory.resolve(directory).ok()?, name),
        None => (library.directory.clone(), archive),
    };
    let stem = name.strip_suffix(".cma").or_else(|| name.strip_suffix(".cmo"))?;
    (!stem.is_empty() && named(name).is_ok()).then(|| (directory, name.to_owned()))
}

fn key_path((directory, name): &(LibDir, String)) -> Option<RelPath> {
    Some(lib_path(directory).ok()?.join(named(name).ok()?))
}

/// Takes the interfaces of `directory` in, under names with a small first letter.
fn interfaces(layer: &Tree, directory: &LibDir, analysis: &mut Analysis) -> Result<(), JtwError> {
    if analysis.directories.contains_key(directory) {
        return Ok(());
    }
    let mut cmis: BTreeMap<Name, File> = BTreeMap::new();
    let path = lib_path(directory)?;
    for (name, node) in layer.directory(&path).into_iter().flat_map(Tree::entries) {
        let Node::File(file) = node else { continue };
        if !name.as_bytes().ends_with(b".cmi") || name.as_bytes().len() == 4 {
            continue;
        }
        let mut small = name.as_bytes().to_vec();
        small[0].make_ascii_lowercase();
        let small = Name::new(&small)?;
        let is_small = small == *name;
        match cmis.get(&small) {
            Some(other) if other.blob != file.blob => {
                let path = path.join(small.clone()).to_string();
                analysis.problems.push(Problem::InterfaceClash { path });
                if is_small {
                    cmis.insert(small, *file);
                }
            }
            _ => {
                cmis.insert(small, *file);
            }
        }
    }
    let cmis = cmis.into_iter().map(|(name, file)| (name, File { executable: false, ..file }));
    analysis.directories.insert(directory.clone(), cmis.collect());
    Ok(())
}

/// JavaScript files with the C primitives that they provide.
#[derive(Default)]
struct Runtime {
    /// Paths below the prefix.
    files: Vec<String>,
    provides: BTreeSet<String>,
}

impl Runtime {
    fn add(&mut self, path: &RelPath, text: &[u8]) {
        let path = path.to_string();
        if !self.files.contains(&path) {
            self.provides.extend(provided_primitives(&String::from_utf8_lossy(text)));
            self.files.push(path);
        }
    }
}

/// The runtime files that `library` names: `jsoo_runtime`, else the older `linkopts(javascript)`.
fn own_runtime(
    layer: &Tree,
    library: &Library<'_>,
    read: Read<'_>,
    problems: &mut Vec<Problem>,
) -> Result<Runtime, JtwError> {
    let mut names: Vec<String> = library.meta.words("jsoo_runtime", &[]);
    let mut base = library.directory.clone();
    if names.is_empty() {
        let words = library.meta.words("linkopts", &["javascript"]);
        names = words.iter().filter(|word| word.ends_with(".js")).cloned().collect();
        if names.iter().all(|name| name.starts_with('+')) {
            // Here `+` stands for the library root.
            base = LibDir::default();
            names = names.iter().map(|name| name.trim_start_matches('+').to_owned()).collect();
        }
    }
    let mut runtime = Runtime::default();
    for name in names {
        let path = base.resolve(&name).ok().and_then(|place| lib_path(&place).ok());
        match path.and_then(|path| Some((file_at(layer, &path)?, path))) {
            Some((file, path)) => runtime.add(&path, &(read)(&file)?),
            None if problems.len() >= MAX_PROBLEMS => {}
            None => {
                problems.push(Problem::MissingRuntime { library: library.name.clone(), file: name });
            }
        }
    }
    Ok(runtime)
}

/// All runtime files of the layers that this package's primitives come from.
fn shared_runtime(
    layers: &[(&str, &Tree)],
    read: Read<'_>,
    problems: &mut Vec<Problem>,
) -> Result<Runtime, JtwError> {
    let mut shared = Runtime::default();
    for (package, layer) in layers {
        for found in metas(layer, false) {
            let text = (read)(&found.file)?;
            let mut wrong = Vec::new();
            if let Some(meta) = parsed(&found, &text, &mut wrong) {
                for library in meta.libraries(&found.name, start(&found, &meta)) {
                    let own = own_runtime(layer, &library, read, &mut wrong)?;
                    shared.provides.extend(own.provides);
                    for file in own.files {
                        if !shared.files.contains(&file) {
                            shared.files.push(file);
                        }
                    }
                }
            }
            problems.extend(wrong.into_iter().map(|problem| match problem {
                Problem::Meta { path, reason } => {
                    Problem::Meta { path: format!("{package}: {path}"), reason }
                }
                other => other,
            }));
        }
    }
    Ok(shared)
}
