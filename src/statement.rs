//! Statements: what a party says that build keys came to, with its signature.
//!
//! ```text
//! untrusted comment: jtwbuild statement        the four lines of a minisign signature
//! <signature of the rest of the file>
//! trusted comment: jtwbuild statement 1
//! <signature of signature and comment>
//! { "format": 1, "party": …, "nodes": [ … ] }  JSON in one exact form
//! ```
//! A statement that comes from elsewhere is read by [`verify::verify`] and in no other way: reading the
//! JSON is private to this module, so that whoever has a [`verify::Verified`] knows that the checks
//! have happened. A statement without signature is a draft, which is good for signing only.

pub mod challenge;
pub mod key;
pub mod passphrase;
mod private;
pub mod protection;
pub mod trust;
pub mod verify;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::key::{KeyError, SecretKey};
use crate::store::key::BuildKey;
use crate::store::tree::TreeHash;

/// The format that this jtwbuild writes, and the only one that it reads.
pub const FORMAT: u32 = 1;

/// No statement is longer: it would be about a quarter of a million nodes.
pub const MAX_BYTES: u64 = 64 << 20;

/// The longest name of a party or universe, in bytes.
const MAX_NAME: usize = 200;

/// What a party says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    format: u32,
    /// What it calls itself. Who it is decides the trust file, by the key.
    pub party: String,
    pub universe: String,
    /// Seconds since 1970.
    pub made: u64,
    /// The version of the jtwbuild that built.
    pub jtwbuild: String,
    /// In the order of build keys, each once.
    pub nodes: Vec<Claim>,
}

/// That a build key had this content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    pub key: BuildKey,
    pub tree: TreeHash,
    /// What the node is called in the party's plan, for people.
    pub node: String,
}

/// Why a text is no statement.
#[derive(Debug, Error)]
pub enum Malformed {
    #[error("it is not a statement: {0}")]
    NotOne(String),
    #[error("it has format {0}, and this jtwbuild reads format {FORMAT}")]
    Format(u32),
    /// The same statement can be written in one way only.
    #[error("it is not written as jtwbuild writes statements")]
    NotExact,
}

impl Statement {
    /// A statement about these nodes.
    pub fn new(party: &str, universe: &str, made: u64, mut nodes: Vec<Claim>) -> Self {
        nodes.sort();
        // Nodes of two names may have one document.
        nodes.dedup_by_key(|claim| claim.key);
        Self {
            format: FORMAT,
            party: party.to_owned(),
            universe: universe.to_owned(),
            made,
            jtwbuild: env!("CARGO_PKG_VERSION").to_owned(),
            nodes,
        }
    }

    /// The text that is signed.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a statement has only text keys");
        text.push('\n');
        text
    }

    /// Reads the text that was, or is to be, signed. Private: see the top of this module.
    fn parse(text: &str) -> Result<Self, Malformed> {
        let statement: Self =
            serde_json::from_str(text).map_err(|error| Malformed::NotOne(error.to_string()))?;
        if statement.format != FORMAT {
            return Err(Malformed::Format(statement.format));
        }
        let is_name =
            |name: &str| !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control);
        let mut names = statement.nodes.iter().map(|claim| &claim.node);
        if !is_name(&statement.party) || !is_name(&statement.universe) || !names.all(|name| is_name(name)) {
            return Err(Malformed::NotOne("a name is empty, too long, or has control characters".into()));
        }
        let is_sorted = statement.nodes.is_sorted_by(|one, other| one.key < other.key);
        if is_sorted && statement.text() == text { Ok(statement) } else { Err(Malformed::NotExact) }
    }

    /// The file that others can verify.
    pub fn signed(&self, key: &SecretKey) -> Result<String, KeyError> {
        let text = self.text();
        Ok(format!("{}{text}", key.sign(text.as_bytes())?))
    }
}

/// Whether a party may be called so.
pub fn is_party_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control)
}

/// Signs a draft, as [`Statement::text`] gave it.
pub fn sign_draft(draft: &str, key: &SecretKey) -> Result<String, DraftError> {
    let statement = Statement::parse(draft)?;
    Ok(statement.signed(key)?)
}

/// Why a draft cannot be signed.
#[derive(Debug, Error)]
pub enum DraftError {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Key(#[from] KeyError),
}

#[cfg(test)]
mod tests;
