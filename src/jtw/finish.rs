//! From the compiled archives to the tree of a package's artifacts.

use std::collections::{BTreeMap, BTreeSet};

use crate::findlib::LibDir;
use crate::store::staging::Staging;
use crate::store::tree::{File, Node, RelPath, Tree};

use super::compile::{missing_primitives, stem};
use super::dynamic_cmis::{self, DynamicCmis};
use super::payload::{PACKAGE_PAYLOAD, payload_hash};
use super::record::{LayerRecord, LibraryRecord, RECORD};
use super::{Analysis, FoundLibrary, JtwError, file_at, lib_path, named};

/// An archive's answers: the JavaScript, and the primitives it lacks.
struct Compiled {
    js: File,
    missing: Vec<String>,
}

/// The artifacts' tree: `lib/<d>/{META, *.cmi, *.cma.js, dynamic_cmis.json}` and the record
/// [`RECORD`]. Empty when the package has no libraries.
///
/// `compiled` is what [`Analysis::commands`] left in the output directory. Every `dcs_url` is
/// `lib/<d>/`; assembly puts the final one in its place.
///
/// # Errors
/// When an output is missing or the store fails.
pub fn finish(analysis: &Analysis, compiled: &Tree, staging: &Staging) -> Result<Tree, JtwError> {
    let mut layer = Tree::default();
    if analysis.is_empty() {
        return Ok(layer);
    }
    let archives = collect(analysis, compiled, staging)?;
    for ((directory, archive), one) in &archives {
        let name = named(&format!("{}.cma.js", stem(archive)))?;
        layer.insert(&lib_path(directory)?.join(name), Node::File(one.js))?;
    }
    for (directory, text) in &analysis.metas {
        let file = staging.add_bytes(text.as_bytes(), false)?;
        layer.insert(&lib_path(directory)?.join(named("META")?), Node::File(file))?;
    }
    let mut missing: BTreeMap<&LibDir, BTreeSet<&str>> = BTreeMap::new();
    for library in &analysis.libraries {
        let names = library.archives.iter().flat_map(|key| &archives[key].missing);
        missing.entry(&library.directory).or_default().extend(names.map(String::as_str));
        for members in &library.several {
            joined(members, &archives, &library.directory, staging, &mut layer)?;
        }
    }
    for (directory, cmis) in &analysis.directories {
        let path = lib_path(directory)?;
        for (name, file) in cmis {
            layer.insert(&path.join(name.clone()), Node::File(*file))?;
        }
        let missing = missing.get(directory).into_iter().flatten().map(|name| (*name).to_owned());
        let names = cmis.iter().map(|(name, _)| name);
        let json = DynamicCmis::describe(format!("{path}/"), names, missing.collect()).to_json();
        layer.insert(
            &path.join(named(dynamic_cmis::FILE_NAME)?),
            Node::File(staging.add_bytes(&json, false)?),
        )?;
    }
    let record = record(analysis, &archives, &layer, staging)?;
    let json = serde_json::to_vec_pretty(&record).expect("a record is always JSON");
    layer.insert(&RelPath::default().join(named(RECORD)?), Node::File(staging.add_bytes(&json, false)?))?;
    Ok(layer)
}

fn collect(
    analysis: &Analysis,
    compiled: &Tree,
    staging: &Staging,
) -> Result<BTreeMap<(LibDir, String), Compiled>, JtwError> {
    let output = |name: String| -> Result<File, JtwError> {
        let path = RelPath::default().join(named(&name)?);
        let file = file_at(compiled, &path).ok_or(JtwError::MissingOutput(name))?;
        Ok(File { executable: false, ..file })
    };
    let mut archives = BTreeMap::new();
    for (key, job) in &analysis.jobs {
        let js = output(format!("{}.cma.js", job.output))?;
        let answer = staging.read(&output(format!("{}.primitives", job.output))?)?;
        let missing = missing_primitives(&String::from_utf8_lossy(&answer));
        archives.insert(key.clone(), Compiled { js, missing });
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
    staging: &Staging,
    layer: &mut Tree,
) -> Result<(), JtwError> {
    if members.iter().any(|(place, _)| place != directory) {
        return Ok(());
    }
    let mut js = Vec::new();
    for key in members {
        js.extend(staging.read(&archives[key].js)?);
        js.push(b'\n');
    }
    let value = members.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(" ");
    // A value too long for a file name could not be asked for either.
    if let Ok(name) = named(&format!("{}.cma.js", stem(&value))) {
        layer.insert(&lib_path(directory)?.join(name), Node::File(staging.add_bytes(&js, false)?))?;
    }
    Ok(())
}

fn record(
    analysis: &Analysis,
    archives: &BTreeMap<(LibDir, String), Compiled>,
    layer: &Tree,
    staging: &Staging,
) -> Result<LayerRecord, JtwError> {
    let lib = RelPath::default().join(named("lib")?);
    let empty = Tree::default();
    let payload =
        payload_hash(layer.directory(&lib).unwrap_or(&empty), PACKAGE_PAYLOAD, &|file| staging.read(file))?;
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
            .map(|(at, name)| below(at, &format!("{}.cma.js", stem(name))))
            .collect(),
        bytes: one.archives.iter().map(|key| archives[key].js.size).sum(),
        provides: one.provides.clone(),
        missing: one
            .archives
            .iter()
            .flat_map(|key| archives[key].missing.iter().cloned())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
    };
    Ok(LayerRecord {
        package: analysis.package.clone(),
        version: analysis.version.clone(),
        effects: analysis.effects,
        payload,
        metas: analysis.metas.keys().map(|directory| below(directory, "META")).collect(),
        libraries: analysis.libraries.iter().map(library).collect(),
        problems: analysis.problems.clone(),
    })
}
