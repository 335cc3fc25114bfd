//! The site that a run's assemblies make: one by itself, or the parts of several universes joined.

use std::sync::Arc;

use crate::assemble::{AssembleError, join::join};
use crate::cli::trouble::{Exit, Trouble};
use crate::compress::Settings;
use crate::derivation::{Action, Compressed, Compression, Kind, NodeId};
use crate::pins::Pins;
use crate::plan::{Plan, compressed};
use crate::realise::Run;
use crate::store::Store;
use crate::store::tree::{Tree, TreeHash};

/// What a plan's assemblies are for.
pub(in crate::cli) enum Site {
    /// There is none.
    None,
    /// One assembly makes all of it.
    Whole(NodeId),
    /// Each makes one universe of it.
    Parts {
        name: String,
        assemblies: Vec<NodeId>,
        page: Option<TreeHash>,
        /// Where the site has compressed variants: how, and the node that has those of the page.
        compressed: Option<(Settings, NodeId)>,
    },
}

impl Site {
    /// What the assemblies of `plan` are for. `page` is the content of the site's root if they make
    /// only parts.
    pub(in crate::cli) fn of(plan: &Plan, name: &str, is_each: bool, page: Option<TreeHash>) -> Self {
        let is_assembly = |node: &NodeId| plan.derivation(*node).kind == Kind::Assembly;
        let assemblies: Vec<NodeId> = plan.ids().filter(is_assembly).collect();
        match assemblies.last() {
            None => Self::None,
            Some(_) if is_each => {
                let compressed = compressed_page(plan);
                Self::Parts { name: name.to_owned(), assemblies, page, compressed }
            }
            Some(last) => Self::Whole(*last),
        }
    }

    /// Whether there is one.
    pub(in crate::cli) fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// The site's tree, after the run: what came of the one assembly, or of those that came to be.
    pub(in crate::cli) fn tree(
        &self,
        run: &Run,
        store: &Arc<Store>,
        pins: &Pins,
    ) -> Result<Option<TreeHash>, Trouble> {
        let (name, assemblies, page, compressed) = match self {
            Self::None => return Ok(None),
            Self::Whole(node) => return Ok(run.report(*node).tree),
            Self::Parts { name, assemblies, page, compressed } => (name, assemblies, page, compressed),
        };
        let parts = assemblies.iter().filter_map(|node| run.report(*node).tree);
        let parts = parts.map(|tree| store.tree(&tree)).collect::<Result<Vec<_>, _>>()?;
        if parts.is_empty() {
            return Ok(None);
        }
        let page = match page {
            None => Arc::default(),
            Some(page) => {
                pins.provide(page, store).map_err(|failure| {
                    Trouble::new(Exit::Environment, "jtwbuild::site::page", failure, None)
                })?;
                store.tree(page)?
            }
        };
        let variants = compressed.as_ref().and_then(|(_, node)| run.report(*node).tree);
        let variants = variants.map(|tree| store.tree(&tree)).transpose()?.unwrap_or_default();
        let compression = compressed.as_ref().map(|(settings, _)| settings);
        let parts: Vec<&Tree> = parts.iter().map(|tree| &**tree).collect();
        let staging = store.stage()?;
        let site = join(name, &parts, (&page, &variants), compression, &staging);
        let site = site.map_err(|error| match error {
            AssembleError::Store(error) => Trouble::from(error),
            error => Trouble::new(Exit::Failed, "jtwbuild::site::join", error, None),
        })?;
        Ok(Some(staging.publish(&site)?))
    }
}

/// How a plan compresses a page that lies at the root of several universes, and by which node.
fn compressed_page(plan: &Plan) -> Option<(Settings, NodeId)> {
    let node = plan.find(&format!("{}/{}", Kind::Compressed, compressed::PAGE))?;
    let Ok(Action::Compressed(Compressed { compression, .. })) = plan.derivation(node).action() else {
        return None;
    };
    let Compression { brotli, gzip, smallest, saves, revision: _ } = compression;
    Some((Settings { brotli, gzip, smallest, saves }, node))
}
