//! The nodes that make compressed variants, one for each layer that is published.
//!
//! They are nodes of their own so that a file is compressed once for each content: a layer that came
//! out as before has its variants already, whatever else changed, and layers are compressed side by
//! side, while others are still being built.

use super::evaluate::{PlanError, Planner};
use crate::derivation::{Action, Compressed, Compression, Derivation, Input, Kind};
use crate::recipe::{CompressedRecipe, Levels, RecipeKind};
use crate::universe::Compress;

/// Raised when jtwbuild makes other variants of the same files.
const REVISION: u32 = 3;

/// What the node is called that compresses the worker, and the one that compresses the page.
pub(super) const TOOLS: &str = "jtw-tools";
pub const PAGE: &str = "page";

/// How a universe's files are compressed; nothing where they are not.
#[derive(Clone, Copy)]
pub(super) struct Compressing(pub Option<Compression>);

impl Compressing {
    pub fn new(planner: &Planner<'_>) -> Result<Self, PlanError> {
        let compress = planner.evaluation.universe.compress;
        let recipe = CompressedRecipe::load(planner.evaluation.recipes)?.recipe;
        let Levels { brotli, gzip } = match compress {
            Compress::None => return Ok(Self(None)),
            Compress::Fast => recipe.fast,
            Compress::Best => recipe.best,
        };
        let CompressedRecipe { smallest, saves, .. } = recipe;
        Ok(Self(Some(Compression { brotli, gzip, smallest, saves, revision: REVISION })))
    }

    /// The variants of `files`, by a node of this name; the same one if it is planned already.
    pub fn plan(self, planner: &mut Planner<'_>, name: &str, files: Input) -> Option<Input> {
        let action = Action::Compressed(Compressed { files: 0, compression: self.0? });
        let derivation = Derivation::new(Kind::Compressed, name.into(), &action, vec![files]);
        Some(Input::Node(planner.plan.add(derivation)))
    }
}
