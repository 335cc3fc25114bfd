//! What the user names → what can be compared.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::arguments::UniverseArguments;
use crate::cli::arguments::diff::Diff;
use crate::cli::inspect::by_name;
use crate::cli::load::{Loaded, Pinning};
use crate::cli::trouble::{Exit, Trouble};
use crate::diagnostic::SourceFile;
use crate::inspect::folder::Folder;
use crate::inspect::report::Content;
use crate::inspect::sites::is_site;
use crate::lock::Lock;
use crate::store::facts::Facts;
use crate::store::layer::LayerRecord;
use crate::store::tree::TreeHash;
use crate::store::{Store, disk};

/// So many digits of a key or hash are enough, if no other begins so.
const FEWEST_DIGITS: usize = 6;

/// One side of the comparison.
pub(super) enum Side {
    Universe(UniverseArguments),
    Lock(Box<Lock>),
    Content(Box<Content>),
    Site(PathBuf),
}

impl Side {
    /// What messages call it.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Universe(_) => "a universe",
            Self::Lock(_) => "a lock",
            Self::Content(_) => "a content",
            Self::Site(_) => "a site",
        }
    }
}

/// Finds what `name` stands for: a path first, then something of the store, then a node.
pub(super) fn find(store: &Arc<Store>, verb: &Diff, name: &str) -> Result<Side, Trouble> {
    let path = Path::new(name);
    if disk::exists(path) {
        return of_path(store, verb, path);
    }
    if let Some(tree) = name.strip_prefix(TreeHash::PREFIX).or(Some(name)).and_then(|name| tree(store, name))
    {
        return Ok(Side::Content(Box::new(stored(store, &tree?, None)?)));
    }
    if let Some(layer) = layer(store, name) {
        return of_layer(store, name, &layer?);
    }
    match &verb.of {
        Some(universe) => of_node(store, &verb.universe(universe.clone()), name),
        None => {
            let help = "a universe file, a lock, a site, a directory, a layer of the store as `<kind>-<key>`, a tree as `tree:<hash>`; with `--of UNIVERSE`, a node";
            Err(unknown(&format!("there is no `{name}` to compare"), Some(help)))
        }
    }
}

fn unknown(message: &str, help: Option<&str>) -> Trouble {
    Trouble::new(Exit::Input, "jtwbuild::diff::unknown", message, help)
}

fn of_path(store: &Arc<Store>, verb: &Diff, path: &Path) -> Result<Side, Trouble> {
    if !path.is_dir() {
        if path.extension().is_none_or(|extension| extension != "lock") {
            return Ok(Side::Universe(verb.universe(path.to_owned())));
        }
        let bytes = disk::read_if_present(path)?.unwrap_or_default();
        let file = SourceFile::new(path.display().to_string(), &String::from_utf8_lossy(&bytes));
        return Ok(Side::Lock(Box::new(Lock::read(&file)?)));
    }
    let layer = path.join("layer.json");
    if let Some(bytes) = disk::read_if_present(&layer)? {
        let record: LayerRecord = serde_json::from_slice(&bytes).map_err(|error| {
            unknown(&format!("`{}` is no record of a layer: {error}", layer.display()), None)
        })?;
        let tree = record.tree;
        return match tree {
            Some(tree) => Ok(Side::Content(Box::new(stored(store, &tree, Some(record))?))),
            None => Err(no_output(&path.display().to_string())),
        };
    }
    if is_site(path) {
        return Ok(Side::Site(path.to_owned()));
    }
    let folder = Folder::read(path)?;
    let content = Content { folder: Some(folder), stored: Arc::default(), record: None };
    Ok(Side::Content(Box::new(content)))
}

fn stored(store: &Store, tree: &TreeHash, record: Option<LayerRecord>) -> Result<Content, Trouble> {
    Ok(Content { folder: None, stored: store.tree(tree)?, record })
}

/// The only one of `names` that begins with `start`. Nothing if none does, or `start` is too short.
fn only(names: impl Iterator<Item = String>, start: &str) -> Option<Result<String, Trouble>> {
    let digits = start.rsplit('-').next().unwrap_or(start);
    let is_hex = digits.len() >= FEWEST_DIGITS && digits.chars().all(|digit| digit.is_ascii_hexdigit());
    let mut found = names.filter(|name| is_hex && name.starts_with(start));
    let first = found.next()?;
    Some(match found.next() {
        None => Ok(first),
        Some(_) => Err(unknown(&format!("several things of the store begin with `{start}`"), None)),
    })
}

fn tree(store: &Store, start: &str) -> Option<Result<TreeHash, Trouble>> {
    let entries = disk::list(&store.root().join("trees")).unwrap_or_default();
    let names = entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok());
    match only(names, start)? {
        Ok(name) => TreeHash::from_hex(&name).map(Ok),
        Err(error) => Some(Err(error)),
    }
}

fn layer(store: &Store, start: &str) -> Option<Result<String, Trouble>> {
    only(store.layers().unwrap_or_default().into_iter(), start.strip_prefix("layers/").unwrap_or(start))
}

fn of_layer(store: &Store, name: &str, id: &str) -> Result<Side, Trouble> {
    let record = store.layer(id)?;
    match record.as_ref().and_then(|record| record.tree) {
        Some(tree) => Ok(Side::Content(Box::new(stored(store, &tree, record)?))),
        None => Err(no_output(name)),
    }
}

fn no_output(name: &str) -> Trouble {
    let message = format!("`{name}` has no output that could be compared");
    let help = "it failed, or was not built in this store; `jtwbuild realise` builds what is missing";
    Trouble::new(Exit::Input, "jtwbuild::diff::no-output", message, Some(help))
}

fn of_node(store: &Arc<Store>, universe: &UniverseArguments, name: &str) -> Result<Side, Trouble> {
    let mut loaded = Loaded::read(universe, Pinning::Complete)?;
    let (plan, _) = loaded.plan(universe, store)?;
    let node = by_name(&plan, name)?;
    let facts = Facts::load(&store.plans().join("facts"));
    let Some(fact) = facts.planned(&plan.key(node)).filter(|fact| store.has_tree(&fact.tree)) else {
        return Err(no_output(name));
    };
    let kind = plan.derivation(node).kind.word();
    let record = store.layer(&Store::layer_id(kind, &fact.build))?;
    Ok(Side::Content(Box::new(stored(store, &fact.tree, record)?)))
}
