//! Audits: whether building a node again, and otherwise, gives the same bytes; and if not, why.
//!
//! ```text
//! node, its inputs' trees ──► [Rebuilder] ──► output in scratch ──► compare with the stored one
//!                                ▲                                     │ differs
//!               variations ──────┘◄──── a smaller set of them ◄────────┘
//! ```
//!
//! Nothing that is stored is touched: outputs are compared where they were built, and thrown away. Only
//! the history remembers what came out.

pub mod compare;
pub mod judge;
mod minimise;
pub mod report;
mod spread;
pub mod strip;
pub mod variation;

use std::sync::Arc;

use crate::derivation::Kind;
use crate::outcome::Failure;
use crate::realise::Job;
use crate::store::staging::Staging;
use crate::store::tree::{File, Tree, TreeHash};
use crate::store::{Store, StoreError};

pub use self::variation::{Variation, Variations};

/// What a node gave, with its bytes.
#[derive(Debug)]
pub struct Output {
    pub tree: Arc<Tree>,
    bytes: Bytes,
}

/// Where the bytes of an output are.
#[derive(Debug)]
enum Bytes {
    /// In scratch space, until this value is dropped, and where equal files of the store are.
    Scratch(Staging),
    Stored(Arc<Store>),
}

impl Output {
    /// What was built just now and is not published.
    pub fn new(tree: Tree, staging: Staging) -> Self {
        Self { tree: Arc::new(tree), bytes: Bytes::Scratch(staging) }
    }

    /// What is in the store.
    pub fn stored(store: &Arc<Store>, hash: &TreeHash) -> Result<Self, StoreError> {
        Ok(Self { tree: store.tree(hash)?, bytes: Bytes::Stored(Arc::clone(store)) })
    }

    fn read(&self, file: &File) -> Result<Vec<u8>, StoreError> {
        match &self.bytes {
            Bytes::Scratch(staging) => staging.read(file),
            Bytes::Stored(store) => store.read(file),
        }
    }
}

/// How a build is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// What is otherwise than in an ordinary build.
    pub varied: Variations,
    /// What is held still: the same in each build of an audit, where ordinary builds take what comes.
    pub held: Variations,
}

/// Builds without leaving anything in the store.
pub trait Rebuilder: Sync {
    /// Makes the output of a node.
    fn rebuild(&self, job: &Job<'_>, manner: Manner) -> Result<Output, Failure>;

    /// What of `variations` this machine cannot vary, each with the reason.
    fn impossible(&self, variations: Variations) -> Vec<(Variation, String)>;
}

/// Whether nodes of this kind are the work of a builder: what is fetched is compared with its checksum
/// each time anyway.
pub fn is_built(kind: Kind) -> bool {
    match kind {
        Kind::Source => false,
        Kind::Base
        | Kind::Build
        | Kind::JtwTools
        | Kind::Jtw
        | Kind::Compressed
        | Kind::Assembly
        | Kind::Node => true,
    }
}
