//! Proofs: everything that others need to build a universe again and compare, in one file.
//!
//! ```text
//! universe, lock, recipes     the texts that the nodes were made from, for people
//! given                       content that no node makes: local sources, files of recipes
//! nodes                       build documents as they were hashed, inputs, build keys, trees
//! ```
//! The file is JSON, and the same universe in the same state gives the same bytes. Reading one checks
//! everything that it says of itself: that documents have the keys that stand beside them, that given
//! content is what its name says, that inputs are there. Whether the trees are what comes out is what
//! building again is for.

mod content;
mod slots;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::content::{Bytes, Entry, Given};
use crate::derivation::{BuildKey, Derivation, Input, Kind, NodeId, build_key};
use crate::plan::Plan;
use crate::store::tree::TreeHash;

/// The format that this jtwbuild writes, and the only one that it reads.
pub const FORMAT: u32 = 1;

/// No proof is longer.
pub const MAX_BYTES: u64 = 256 << 20;

/// No proof has more nodes.
const MAX_NODES: usize = 200_000;

/// See the top of this module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    format: u32,
    /// The version of the jtwbuild that wrote it.
    pub jtwbuild: String,
    /// The universe's name, and its files: the path from the universe's directory, the text.
    pub universe: String,
    pub files: Vec<(String, String)>,
    /// The text of the lock.
    pub lock: String,
    /// The recipes that were read, by path.
    pub recipes: BTreeMap<String, Bytes>,
    /// Where archives may be had besides the places that the documents name.
    pub archive_mirrors: Vec<String>,
    pub source_suites: Vec<String>,
    pub given: Vec<Given>,
    /// Inputs before their users.
    pub nodes: Vec<Node>,
}

/// One node and what it came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    pub kind: Kind,
    /// Its name in the plan.
    pub name: String,
    pub key: BuildKey,
    pub tree: TreeHash,
    /// In the order of slots.
    pub inputs: Vec<Source>,
    /// The build document without its inputs, in exactly the bytes that are hashed.
    pub document: String,
}

/// Where an input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The output of the node at this position.
    Node(u32),
    /// One of the given trees.
    Given(TreeHash),
}

/// Why a file is no proof.
#[derive(Debug, Error)]
pub enum ProofError {
    #[error("it has more than {} MiB", MAX_BYTES >> 20)]
    TooLong,
    #[error("it is not a proof: {0}")]
    NotOne(String),
    #[error("it has format {0}, and this jtwbuild reads format {FORMAT}")]
    Format(u32),
    #[error("it has more than {MAX_NODES} nodes")]
    TooMany,
    #[error("{node}: {reason}")]
    Node { node: String, reason: &'static str },
    #[error("the given {tree} {reason}")]
    Given { tree: TreeHash, reason: String },
}

impl Node {
    /// `build/fmt.0.9.0`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}

/// The texts that a proof shows.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    pub universe: String,
    pub files: Vec<(String, String)>,
    pub lock: String,
    pub recipes: BTreeMap<String, Bytes>,
    pub archive_mirrors: Vec<String>,
    pub source_suites: Vec<String>,
}

/// The part of a document that says what it is the document of.
#[derive(Deserialize)]
struct Head {
    kind: Kind,
    name: String,
}

impl Proof {
    /// The proof of a plan whose nodes came to these keys and trees.
    pub fn new(texts: Texts, given: Vec<Given>, plan: &Plan, outputs: &[(BuildKey, TreeHash)]) -> Self {
        let source = |input: &Input| match input {
            Input::Node(id) => Source::Node(id.0),
            Input::Tree(tree) => Source::Given(*tree),
        };
        let node = |(id, (key, tree)): (NodeId, &(BuildKey, TreeHash))| {
            let derivation = plan.derivation(id);
            Node {
                kind: derivation.kind,
                name: derivation.name.to_string(),
                key: *key,
                tree: *tree,
                inputs: derivation.inputs.iter().map(source).collect(),
                document: String::from_utf8_lossy(derivation.head()).into_owned(),
            }
        };
        Self {
            format: FORMAT,
            jtwbuild: env!("CARGO_PKG_VERSION").to_owned(),
            universe: texts.universe,
            files: texts.files,
            lock: texts.lock,
            recipes: texts.recipes,
            archive_mirrors: texts.archive_mirrors,
            source_suites: texts.source_suites,
            given,
            nodes: plan.ids().zip(outputs).map(node).collect(),
        }
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a proof has only text keys");
        text.push('\n');
        text
    }

    /// Reads a file, which may come from anybody, and gives the plan that it describes.
    pub fn read(bytes: &[u8]) -> Result<(Self, Plan), ProofError> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ProofError::TooLong);
        }
        let proof: Self =
            serde_json::from_slice(bytes).map_err(|error| ProofError::NotOne(error.to_string()))?;
        if proof.format != FORMAT {
            return Err(ProofError::Format(proof.format));
        }
        let plan = proof.plan()?;
        Ok((proof, plan))
    }

    fn plan(&self) -> Result<Plan, ProofError> {
        if self.nodes.len() > MAX_NODES {
            return Err(ProofError::TooMany);
        }
        let mut given = BTreeSet::new();
        for content in &self.given {
            let tree = content.tree;
            let made = content.to_tree().map_err(|reason| ProofError::Given { tree, reason })?;
            if made.hash() != tree {
                let reason = "is not what its name says".to_owned();
                return Err(ProofError::Given { tree, reason });
            }
            given.insert(tree);
        }
        let mut plan = Plan::default();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let id = node.id();
            let bad = |reason| ProofError::Node { node: printable(&id), reason };
            if seen.insert(id.clone(), at).is_some() {
                return Err(bad("it is there twice"));
            }
            let (inputs, trees) = self.inputs(at, node, &given).map_err(bad)?;
            let derivation = derivation(node, inputs).map_err(bad)?;
            if build_key(derivation.head(), &trees) != node.key {
                return Err(bad("its build key is not that of its document and inputs"));
            }
            let key = derivation.plan_key(|input| plan.key(input));
            plan.add_keyed(derivation, key);
        }
        Ok(plan)
    }

    /// What a node's slots are bound to, and the trees that the proof says these are.
    fn inputs(
        &self,
        at: usize,
        node: &Node,
        given: &BTreeSet<TreeHash>,
    ) -> Result<(Vec<Input>, Vec<TreeHash>), &'static str> {
        let (mut inputs, mut trees) = (Vec::new(), Vec::new());
        for source in &node.inputs {
            match source {
                Source::Node(input) => {
                    let earlier = self.nodes[..at].get(*input as usize);
                    trees.push(earlier.ok_or("an input of it does not stand before it")?.tree);
                    inputs.push(Input::Node(NodeId(*input)));
                }
                Source::Given(tree) if given.contains(tree) => {
                    trees.push(*tree);
                    inputs.push(Input::Tree(*tree));
                }
                Source::Given(_) => return Err("content is missing that it is made from"),
            }
        }
        Ok((inputs, trees))
    }
}

/// The derivation of a node, if its document is one that this version writes.
fn derivation(node: &Node, inputs: Vec<Input>) -> Result<Derivation, &'static str> {
    const OTHER: &str = "this version of jtwbuild does not write such a document";
    let head: Head = serde_json::from_str(&node.document).map_err(|_| OTHER)?;
    let name = head.name.as_str();
    let is_its_name =
        node.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'));
    if head.kind != node.kind || !is_its_name || node.name.chars().any(char::is_control) {
        return Err("its document is that of another node");
    }
    let count = inputs.len();
    let kept = Derivation::with_head(
        node.kind,
        node.name.as_str().into(),
        node.document.clone().into_bytes(),
        inputs,
    );
    let action = kept.action().map_err(|_| OTHER)?;
    // What is not read would be hashed, and nobody would do it.
    let again = Derivation::new(node.kind, name.into(), &action, Vec::new());
    if again.head() != kept.head() {
        return Err(OTHER);
    }
    if slots::all(&action).into_iter().any(|slot| slot >= count) {
        return Err("its document names an input that it has not got");
    }
    Ok(kept)
}

/// A text of somebody else's in a message.
fn printable(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests;
