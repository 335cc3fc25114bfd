//! From the compiled archives to the tree of a package's artifacts.

use std::collections::{BTreeMap, BTreeSet};

use crate::findlib::LibDir;
use crate::store::StoreError;
use crate::store::staging::Staging;
use crate::store::tree::{File, Name, Node, RelPath, Tree};

use super::bundle::{BundleRef, CMIS_BUNDLE, bundle};
use super::compile::{bug, bug_file, missing_primitives, stem};
use super::dynamic_cmis::{self, DynamicCmis};
use super::payload::{PACKAGE_PAYLOAD, payload_hash};
use super::record::{LayerRecord, LibraryRecord, RECORD};
use super::{Analysis, Blobs, FoundLibrary, JtwError, Problem, file_at, lib_path, named};

/// An archive's answers: the JavaScript, and the primitives it lacks.
struct Compiled {
    js: File,
    missing: Vec<String>,
}

/// The archives that could be compiled, and why the others could not.
#[derive(Default)]
struct Archives {
    compiled: BTreeMap<(LibDir, String), Compiled>,
    bugs: BTreeMap<(LibDir, String), String>,
}

impl Archives {
    fn of<'a>(&'a self, library: &'a FoundLibrary) -> impl Iterator<Item = &'a Compiled> {
        library.archives.iter().filter_map(|key| self.compiled.get(key))
    }
}

/// What browsers need of some libraries.
#[derive(Clone, Debug, Default)]
pub struct Artifacts {
    /// `lib/<d>/{META, *.cmi, cmis.bundle, *.cma.js, dynamic_cmis.json}`. Every `dcs_url` is `lib/<d>/`.
    pub tree: Tree,
    /// META files, relative to `lib`.
    pub metas: Vec<String>,
    pub libraries: Vec<LibraryRecord>,
    /// What was found wrong, compilation included.
    pub problems: Vec<Problem>,
}

/// The layer's tree: its [`Artifacts`] and the record [`RECORD`]. Empty when the package has no
/// libraries. Assembly puts the final `dcs_url` in its place.
///
/// # Errors
/// See [`artifacts`].
pub fn finish(analysis: &Analysis, compiled: &Tree, staging: &Staging) -> Result<Tree, JtwError> {
    if analysis.is_empty() {
        return Ok(Tree::default());
    }
    let made = artifacts(analysis, compiled, staging)?;
    let mut layer = made.tree.clone();
    let record = record(analysis, made, staging)?;
    let json = serde_json::to_vec_pretty(&record).expect("a record is always JSON");
    layer.insert(&RelPath::default().join(named(RECORD)?), Node::File(staging.add_bytes(&json, false)?))?;
    Ok(layer)
}

/// Makes the artifacts of what [`Analysis::steps`] left in the output directory, `compiled`.
///
/// # Errors
/// When an output is missing or the store fails.
pub fn artifacts(analysis: &Analysis, compiled: &Tree, blobs: &dyn Blobs) -> Result<Artifacts, JtwError> {
    let mut layer = Tree::default();
    let archives = collect(analysis, compiled, blobs)?;
    for ((directory, archive), one) in &archives.compiled {
        let name = named(&format!("{}.cma.js", stem(archive)))?;
        layer.insert(&lib_path(directory)?.join(name), Node::File(one.js))?;
    }
    for (directory, text) in &analysis.metas {
        let file = blobs.add_bytes(text.as_bytes())?;
        layer.insert(&lib_path(directory)?.join(named("META")?), Node::File(file))?;
    }
    let mut missing: BTreeMap<&LibDir, BTreeSet<&str>> = BTreeMap::new();
    for library in &analysis.libraries {
        let names = archives.of(library).flat_map(|one| &one.missing);
        missing.entry(&library.directory).or_default().extend(names.map(String::as_str));
        for members in &library.several {
            joined(members, &archives.compiled, &library.directory, blobs, &mut layer)?;
        }
    }
    for (directory, cmis) in &analysis.directories {
        let path = lib_path(directory)?;
        for (name, file) in cmis {
            layer.insert(&path.join(name.clone()), Node::File(*file))?;
        }
        let missing = missing.get(directory).into_iter().flatten().map(|name| (*name).to_owned());
        let names = cmis.iter().map(|(name, _)| name);
        let mut described = DynamicCmis::describe(format!("{path}/"), names, missing.collect());
        described.jtw_bundle = bundled(cmis, &path, blobs, &mut layer)?;
        let json = blobs.add_bytes(&described.to_json())?;
        layer.insert(&path.join(named(dynamic_cmis::FILE_NAME)?), Node::File(json))?;
    }
    Ok(described(analysis, &archives, layer))
}

/// Puts the bundle of a directory's interfaces beside them, if there is to be one.
pub(super) fn bundled(
    cmis: &[(Name, File)],
    directory: &RelPath,
    blobs: &dyn Blobs,
    layer: &mut Tree,
) -> Result<Option<BundleRef>, JtwError> {
    let read = |(name, file): &(Name, File)| Ok((name.to_string(), blobs.read(file)?));
    let files = cmis.iter().map(read).collect::<Result<Vec<_>, StoreError>>()?;
    let Some(content) = bundle(&files) else { return Ok(None) };
    let file = blobs.add_bytes(&content)?;
    layer.insert(&directory.join(named(CMIS_BUNDLE)?), Node::File(file))?;
    Ok(Some(BundleRef { file: CMIS_BUNDLE.to_owned(), bytes: file.size }))
}

fn collect(analysis: &Analysis, compiled: &Tree, blobs: &dyn Blobs) -> Result<Archives, JtwError> {
    let found = |name: &str| -> Result<Option<File>, JtwError> {
        Ok(file_at(compiled, &RelPath::default().join(named(name)?)))
    };
    let output = |name: String| -> Result<File, JtwError> {
        let file = found(&name)?.ok_or(JtwError::MissingOutput(name))?;
        Ok(File { executable: false, ..file })
    };
    let mut archives = Archives::default();
    for (key, job) in &analysis.jobs {
        if let Some(said) = found(&bug_file(&job.output))? {
            let said = blobs.read(&said)?;
            let reason = bug(&String::from_utf8_lossy(&said));
            let reason = reason.ok_or_else(|| JtwError::MissingOutput(format!("{}.cma.js", job.output)))?;
            archives.bugs.insert(key.clone(), reason);
            continue;
        }
        let js = output(format!("{}.cma.js", job.output))?;
        let answer = blobs.read(&output(job.answer.clone())?)?;
        let missing = missing_primitives(&String::from_utf8_lossy(&answer), &job.path);
        archives.compiled.insert(key.clone(), Compiled { js, missing });
    }
    Ok(archives)
}

/// A library with several archives in one value. Our worker loads each; upstream's takes the whole
/// value for one name, so what it will ask for (`a.cma b.cma.js`) is published too: the members one
/// after the other, which is what loading them means.
fn joined(
    members: &[(LibDir, String)],
    archives: &BTreeMap<(LibDir, String), Compiled>,
    directory: &LibDir,
    blobs: &dyn Blobs,
    layer: &mut Tree,
) -> Result<(), JtwError> {
    if members.iter().any(|(place, _)| place != directory) {
        return Ok(());
    }
    let mut js = Vec::new();
    for key in members {
        let Some(one) = archives.get(key) else { return Ok(()) };
        js.extend(blobs.read(&one.js)?);
        js.push(b'\n');
    }
    let value = members.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(" ");
    // A value too long for a file name could not be asked for either.
    if let Ok(name) = named(&format!("{}.cma.js", stem(&value))) {
        layer.insert(&lib_path(directory)?.join(name), Node::File(blobs.add_bytes(&js)?))?;
    }
    Ok(())
}

fn record(analysis: &Analysis, made: Artifacts, staging: &Staging) -> Result<LayerRecord, JtwError> {
    let lib = RelPath::default().join(named("lib")?);
    let empty = Tree::default();
    let lib = made.tree.directory(&lib).unwrap_or(&empty);
    Ok(LayerRecord {
        package: analysis.package.clone(),
        version: analysis.version.clone(),
        effects: analysis.effects,
        payload: payload_hash(lib, PACKAGE_PAYLOAD, &|file| staging.read(file))?,
        metas: made.metas,
        libraries: made.libraries,
        problems: made.problems,
    })
}

/// The artifacts with what is to be said about them.
fn described(analysis: &Analysis, archives: &Archives, tree: Tree) -> Artifacts {
    let below = |directory: &LibDir, name: &str| match directory.names() {
        [] => name.to_owned(),
        _ => format!("{directory}/{name}"),
    };
    let library = |one: &FoundLibrary| LibraryRecord {
        name: one.name.clone(),
        directory: one.directory.to_string(),
        requires: one.requires.clone(),
        archives: one
            .archives
            .iter()
            .filter(|key| archives.compiled.contains_key(key))
            .map(|(at, name)| below(at, &format!("{}.cma.js", stem(name))))
            .collect(),
        bytes: archives.of(one).map(|one| one.js.size).sum(),
        provides: one.provides.clone(),
        missing: archives
            .of(one)
            .flat_map(|one| one.missing.iter().cloned())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
    };
    let bugs = analysis.libraries.iter().flat_map(|library| {
        let with_bug = library.archives.iter().filter_map(|key| Some((key, archives.bugs.get(key)?)));
        with_bug.map(|((_, archive), reason)| Problem::Compiler {
            library: library.name.clone(),
            archive: archive.clone(),
            reason: reason.clone(),
        })
    });
    Artifacts {
        tree,
        metas: analysis.metas.keys().map(|directory| below(directory, "META")).collect(),
        libraries: analysis.libraries.iter().map(library).collect(),
        problems: analysis.problems.iter().cloned().chain(bugs).collect(),
    }
}
