//! `jtwbuild export-proof`: one file from which others build the same, and see whether it is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use super::arguments::Global;
use super::arguments::statements::ExportProof;
use super::load::{Loaded, Pinning, open_store};
use super::realise::tell_moves;
use super::render;
use super::trouble::{Exit, Trouble};
use crate::derivation::BuildKey;
use crate::fetch::debian::catalogue::SUITES;
use crate::inspect::outputs::outputs;
use crate::proof::{Bytes, Entry, Given, MAX_BYTES, Proof, Texts};
use crate::store::disk;
use crate::store::facts::Facts;
use crate::store::tree::TreeHash;

/// How many nodes a message names.
const NAMED: usize = 5;

pub(super) fn export(global: &Global, verb: &ExportProof) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    let mut loaded = Loaded::read(&verb.universe, Pinning::Complete)?;
    let (plan, pins) = loaded.plan(&verb.universe, &store)?;
    tell_moves(global, &loaded);
    let facts = Facts::load(&store.plans().join("facts"));
    let known = outputs(&plan, &store, &facts)?;
    let complete: Vec<Option<(BuildKey, TreeHash)>> =
        known.into_iter().map(|output| output.build.zip(output.tree)).collect();
    let unknown = plan.ids().filter(|id| complete[id.index()].is_none());
    let unknown: Vec<String> = unknown.map(|id| plan.derivation(id).id()).collect();
    if !unknown.is_empty() {
        let more = unknown.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let named = unknown[..unknown.len().min(NAMED)].join(", ");
        let message = format!("this store does not know what these nodes came to: {named}{more}");
        let help = "`jtwbuild realise` builds what is missing; there is no proof of what was not built";
        return Err(Trouble::new(Exit::Input, "jtwbuild::proof::incomplete", message, Some(help)));
    }
    let complete: Vec<(BuildKey, TreeHash)> = complete.into_iter().flatten().collect();
    let mut given = Vec::new();
    for tree in plan.given_trees() {
        pins.provide(&tree, &store).map_err(|failure| {
            let message = format!("content that the universe is made from cannot be read: {failure}");
            Trouble::new(Exit::Environment, "jtwbuild::source::unusable", message, None)
        })?;
        given.push(Given::read(&store, &tree)?);
    }
    let proof = Proof::new(texts(&loaded, &given)?, given, &plan, &complete);
    let text = proof.text();
    if text.len() as u64 > MAX_BYTES {
        let message =
            format!("the proof would have {} bytes, and none may have more than {MAX_BYTES}", text.len());
        let help = "large local sources are in it: archives or commits are named by their hashes instead";
        return Err(Trouble::new(Exit::Input, "jtwbuild::proof::too-long", message, Some(help)));
    }
    disk::replace(&verb.output, text.as_bytes())?;
    if !global.quiet {
        let size = render::bytes(text.len() as u64);
        render::note(&format!("wrote {}: {} nodes, {size}", verb.output.display(), plan.len()));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the proof shows besides the nodes. Nothing of it depends on where on this machine the universe
/// is.
fn texts(loaded: &Loaded, given: &[Given]) -> Result<Texts, Trouble> {
    let directory = &loaded.universe.directory;
    let below = |name: &str| {
        let path = Path::new(name);
        let below = path.strip_prefix(directory).ok().or_else(|| path.file_name().map(Path::new));
        below.unwrap_or(path).display().to_string()
    };
    let files = loaded.universe.files.iter().map(|file| (below(&file.name), file.text.to_string()));
    let contents = given.iter().flat_map(|given| &given.entries).filter_map(|entry| match entry {
        Entry::File { content, .. } => Some(content),
        _ => None,
    });
    // The worker and the page are among the recipes, too.
    let contents: BTreeSet<&Bytes> = contents.collect();
    let mut recipes = BTreeMap::new();
    for path in loaded.recipes.used() {
        // One that was looked for and is not there was not used.
        let Ok(bytes) = loaded.recipes.bytes(&path) else { continue };
        let bytes = Bytes::new(&bytes);
        if !contents.contains(&bytes) {
            recipes.insert(path, bytes);
        }
    }
    let repositories = &loaded.universe.repositories;
    let is_public = |mirror: &&String| mirror.starts_with("http");
    Ok(Texts {
        universe: loaded.universe.name.to_string(),
        files: files.collect(),
        lock: loaded.lock.render(),
        recipes,
        archive_mirrors: repositories.archive_mirrors.iter().filter(is_public).cloned().collect(),
        source_suites: if repositories.has_opam() { SUITES.map(str::to_owned).to_vec() } else { Vec::new() },
    })
}
