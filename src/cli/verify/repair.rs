//! `jtwbuild verify --repair`: what the store cannot make good by itself is downloaded or built
//! again.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use crate::builder::{AnySandbox, LocalBuilder};
use crate::cli::arguments::store::Verify;
use crate::cli::arguments::{Global, UniverseArguments};
use crate::cli::load::{Loaded, Pinning};
use crate::cli::progress::Display;
use crate::cli::realise::{loudness, processors, watched};
use crate::cli::summary;
use crate::cli::trouble::Trouble;
use crate::derivation::{Action, NodeId};
use crate::fetch::{Fetcher, Settings as FetchSettings};
use crate::pins::Pins;
use crate::plan::Plan;
use crate::realise::{Place as World, Settings, Stop, realise_only};
use crate::source::{Archive, Checksum, Place};
use crate::store::Store;
use crate::store::facts::Facts;
use crate::store::verify::repair::{LostTree, Remedy, Repaired, repair};
use crate::store::verify::{Object, Verified};

/// What became of one object.
#[derive(Debug, Serialize)]
pub(super) struct Mended {
    object: &'static str,
    place: String,
    remedy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The nodes whose output it is, and those that were made from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dependants: Vec<String>,
}

impl Mended {
    fn new(object: &Object, remedy: &'static str, detail: Option<String>) -> Self {
        let (nodes, dependants) = Default::default();
        Self { object: object.word(), place: object.place(), remedy, detail, nodes, dependants }
    }

    /// Whether nothing is lost.
    pub(super) fn is_good(&self) -> bool {
        !matches!(self.remedy, "lost" | "unreproducible")
    }
}

/// A universe whose nodes may be built again.
struct Universe {
    loaded: Loaded,
    plan: Plan,
    pins: Pins,
}

impl Universe {
    fn read(verb: &Verify, store: &Arc<Store>) -> Result<Option<Self>, Trouble> {
        let Some(universe) = verb.universe.clone() else { return Ok(None) };
        let arguments =
            UniverseArguments { universe, recipes: Vec::new(), locked: false, offline: verb.offline };
        let mut loaded = Loaded::read(&arguments, Pinning::Complete)?;
        let (plan, pins) = loaded.plan(&arguments, store)?;
        Ok(Some(Self { loaded, plan, pins }))
    }
}

pub(super) fn run(
    global: &Global,
    verb: &Verify,
    store: &Arc<Store>,
    verified: &Verified,
    sandbox: Option<&AnySandbox>,
    stop: &Stop,
) -> Result<Vec<Mended>, Trouble> {
    if verified.damage.is_empty() && verified.notices.is_empty() {
        return Ok(Vec::new());
    }
    let universe = Universe::read(verb, store)?;
    let own = Fetcher::new(FetchSettings { offline: verb.offline, ..FetchSettings::default() });
    let fetcher = universe.as_ref().map_or(&own, |universe| &universe.loaded.fetcher);
    let mut refetch = |sum: &Checksum| {
        let archive = source(store, verified, sum).ok_or("no layer says where it came from")?;
        let archive = match &universe {
            Some(universe) => universe.pins.located(&archive),
            None => without_paths(archive),
        };
        if archive.places.is_empty() {
            return Err("it came from a file of this machine".to_owned());
        }
        let fetched = fetcher.fetch(store, &archive, &|_, _| {}, stop.flag());
        fetched.map(drop).map_err(|failure| failure.to_string())
    };
    let Repaired { remedies, lost, has_lost_records } = repair(store, verified, &mut refetch)?;
    let mut mended: Vec<Mended> = Vec::new();
    for (object, remedy) in &remedies {
        mended.push(match remedy {
            Remedy::Restored => Mended::new(object, "restored", None),
            Remedy::Refetched => Mended::new(object, "refetched", None),
            Remedy::Removed => Mended::new(object, "removed", None),
            Remedy::Lost { reason } => Mended::new(object, "lost", reason.clone()),
        });
    }
    if let (Some(universe), Some(sandbox)) = (&universe, sandbox) {
        rebuild(global, universe, store, (&lost, has_lost_records), sandbox, stop)?;
    }
    settle(store, &lost, &mut mended);
    Ok(mended)
}

/// Builds again what was lost, until all of it is there or cannot be had.
fn rebuild(
    global: &Global,
    universe: &Universe,
    store: &Arc<Store>,
    (lost, has_lost_records): (&[LostTree], bool),
    sandbox: &AnySandbox,
    stop: &Stop,
) -> Result<(), Trouble> {
    let Universe { loaded, plan, pins } = universe;
    let builder = LocalBuilder::new(store, pins, &loaded.fetcher, sandbox);
    let facts = Facts::load(&store.plans().join("facts"));
    let settings = Settings { jobs: processors(), ..Settings::default() };
    let build = |targets: Vec<NodeId>| {
        let display = Display::new(plan, loudness(global));
        let world = World { plan, store, facts: &facts };
        let run =
            watched(&display, stop, || realise_only(&world, targets, &builder, &display, stop, settings));
        display.finish();
        crate::cli::render::error_text(&summary::root_causes(store, plan, &run));
    };
    if has_lost_records {
        build(plan.ids().collect());
    }
    for tree in lost {
        // A file that many trees share comes back with the first of them.
        if stop.is_requested() || store.has_tree(&tree.tree) || tree.publish_again(store)? {
            continue;
        }
        let makers = tree.makers.iter().filter_map(|name| plan.find(name));
        let makers: Vec<NodeId> = makers.collect();
        if !makers.is_empty() {
            build(makers);
        }
    }
    for tree in lost.iter().filter(|tree| !store.has_tree(&tree.tree)) {
        tree.publish_again(store)?;
    }
    Ok(())
}

/// Looks at what has become of everything that was lost.
fn settle(store: &Store, lost: &[LostTree], mended: &mut Vec<Mended>) {
    for tree in lost {
        let object = Object::Tree(tree.tree);
        if !mended.iter().any(|mended| mended.place == object.place()) {
            mended.push(Mended::new(&object, "lost", None));
        }
    }
    for tree in lost {
        let place = Object::Tree(tree.tree).place();
        let Some(mended) = mended.iter_mut().find(|mended| mended.place == place) else { continue };
        mended.nodes.clone_from(&tree.makers);
        mended.dependants.clone_from(&tree.dependants);
        if store.has_tree(&tree.tree) {
            mended.remedy = "rebuilt";
        } else if let Some(successor) = tree.successor(store) {
            mended.remedy = "unreproducible";
            mended.detail = Some(format!("built again, it came out as trees/{}", successor.to_hex()));
        }
    }
    for mended in mended.iter_mut().filter(|mended| mended.remedy == "lost") {
        // What was lost of these may have come back with the trees.
        if matches!(mended.object, "file" | "layer")
            && crate::store::disk::exists(&store.root().join(&mended.place))
        {
            mended.remedy = "rebuilt";
        }
    }
    // Bytes that no tree needs any more are no loss.
    if mended.iter().all(|mended| mended.is_good() || mended.object == "file") {
        mended.iter_mut().filter(|mended| !mended.is_good()).for_each(|mended| mended.remedy = "removed");
    }
}

/// Where the archive came from, as the document of some layer has it.
fn source(store: &Store, verified: &Verified, sum: &Checksum) -> Option<Archive> {
    verified.layers.iter().filter(|layer| matches!(layer.kind.as_str(), "source" | "base" | "node")).find_map(
        |layer| {
            let record = store.layer(&layer.id).ok()??;
            match serde_json::from_value(record.document.get("action")?.clone()).ok()? {
                Action::Fetch(fetch) => {
                    Some(fetch.archive).filter(|archive| archive.checksums.name() == *sum)
                }
                Action::Base(base) => {
                    let deb = base.packages.into_iter().find(|deb| Checksum::from(deb.sha256) == *sum)?;
                    Some(Archive::new(*sum, vec![Place::Mirror(deb.path)]))
                }
                _ => None,
            }
        },
    )
}

/// Documents say how paths are written, not from where.
fn without_paths(mut archive: Archive) -> Archive {
    archive.places.retain(|place| match place {
        Place::Path(path) => std::path::Path::new(&path.written).is_absolute(),
        _ => true,
    });
    archive
}

/// One line for each object.
pub(super) fn lines(mended: &[Mended]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for mended in mended {
        let said = match mended.remedy {
            "lost" => "lost, moved to quarantine",
            "refetched" => "downloaded again",
            "rebuilt" => "built again",
            "removed" => "removed; it is not needed, or made again when it is",
            other => other,
        };
        let _ = write!(text, "repair: {}: {said}", mended.place);
        if let Some(detail) = &mended.detail {
            let _ = write!(text, ": {detail}");
        }
        if !mended.nodes.is_empty() && !mended.is_good() {
            let _ = write!(text, " (output of {})", mended.nodes.join(", "));
        }
        text.push('\n');
        if !mended.dependants.is_empty() && !mended.is_good() {
            let _ = writeln!(text, "  made from it: {}", mended.dependants.join(", "));
        }
    }
    text
}

/// How the repair ended, and what may be done next.
pub(super) fn ending(verb: &Verify, verified: &Verified, mended: &[Mended]) -> String {
    if !verb.repair {
        return if verified.damage.is_empty() {
            String::new()
        } else {
            "help: `jtwbuild verify --repair` makes good what it can\n".into()
        };
    }
    let lost = mended.iter().filter(|mended| !mended.is_good()).count();
    let good = mended.len() - lost;
    let mut text = match (good, lost) {
        (0, 0) => return text_of_nothing(),
        (good, 0) => format!("repaired {good}\n"),
        (good, lost) => format!("repaired {good}, lost {lost}: what is left of them is in quarantine/\n"),
    };
    if mended.iter().any(|mended| mended.remedy == "unreproducible") {
        text.push_str("help: its builder gives other bytes each time; `jtwbuild realise UNIVERSE` makes again what was made from it\n");
    } else if lost > 0 && verb.universe.is_none() {
        text.push_str("help: `jtwbuild realise UNIVERSE` builds it again; a repair with `--universe FILE` does so at once\n");
    }
    text
}

fn text_of_nothing() -> String {
    "nothing to repair\n".into()
}
