//! Holding what several parties say, and what one's own store has, against each other: key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

use super::verify::Verified;
use crate::store::key::BuildKey;
use crate::store::tree::TreeHash;

/// How many parties have to say the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// At least one, and no other says anything else.
    #[default]
    Unanimous,
    /// So many of so many; others may say something else, unless they are as many.
    Of { enough: usize, all: usize },
}

/// Why a text is no policy.
#[derive(Debug, Error)]
#[error("a policy is written `2-of-3`: how many of the parties of the trust file have to say the same")]
pub struct NoPolicy;

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanimous => f.write_str("unanimous"),
            Self::Of { enough, all } => write!(f, "{enough}-of-{all}"),
        }
    }
}

impl FromStr for Policy {
    type Err = NoPolicy;

    fn from_str(text: &str) -> Result<Self, NoPolicy> {
        let (enough, all) = text.split_once("-of-").ok_or(NoPolicy)?;
        let number = |text: &str| text.parse::<u16>().map(usize::from).map_err(|_| NoPolicy);
        let (enough, all) = (number(enough)?, number(all)?);
        if (1..=all).contains(&enough) { Ok(Self::Of { enough, all }) } else { Err(NoPolicy) }
    }
}

/// What a build key is said to have come to: for each tree the parties, by position in the trust file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said(BTreeMap<TreeHash, BTreeSet<usize>>);

/// Everything that is said, by build key.
#[derive(Clone, Debug, Default)]
pub struct Sayings(BTreeMap<BuildKey, Said>);

/// What came out for one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Enough parties say the same, and the store has nothing else.
    Agrees,
    /// The parties, or the store and they, say different things, and the policy does not decide.
    Differs,
    /// Some say something, but not enough of them.
    TooFew,
    /// Nobody says anything of this key.
    Unknown,
}

impl Verdict {
    /// The word that tables use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Differs => "differs",
            Self::TooFew => "too-few",
            Self::Unknown => "unknown",
        }
    }
}

impl Sayings {
    /// Collects what is said. A party that says the same twice says it once.
    pub fn of(statements: &[Verified]) -> Self {
        let mut sayings = Self::default();
        for verified in statements {
            for claim in &verified.statement().nodes {
                let said = sayings.0.entry(claim.key).or_default();
                said.0.entry(claim.tree).or_default().insert(verified.party());
            }
        }
        sayings
    }

    /// What is said of a key.
    pub fn said(&self, key: &BuildKey) -> Option<&Said> {
        self.0.get(key)
    }
}

impl Said {
    /// The trees with those who say them.
    pub fn trees(&self) -> impl Iterator<Item = (&TreeHash, &BTreeSet<usize>)> {
        self.0.iter()
    }

    /// The tree that the policy takes for the right one. Two that may be: none.
    pub fn accepted(&self, policy: Policy) -> Option<TreeHash> {
        let enough = |parties: &BTreeSet<usize>| match policy {
            Policy::Unanimous => self.0.len() == 1,
            Policy::Of { enough, .. } => parties.len() >= enough,
        };
        let mut good = self.0.iter().filter(|(_, parties)| enough(parties)).map(|(tree, _)| *tree);
        let first = good.next();
        if good.next().is_some() { None } else { first }
    }

    /// Whether there is a conflict, whatever the policy makes of it: among the parties, or with the
    /// outputs that the store has seen.
    pub fn is_disputed(&self, own: &[TreeHash]) -> bool {
        let all: BTreeSet<&TreeHash> = self.0.keys().chain(own).collect();
        all.len() > 1
    }

    /// What comes out under the policy, given the outputs that the store has seen for the key.
    pub fn verdict(&self, policy: Policy, own: &[TreeHash]) -> Verdict {
        match self.accepted(policy) {
            Some(accepted) if own.iter().all(|own| *own == accepted) => Verdict::Agrees,
            Some(_) => Verdict::Differs,
            None if self.is_disputed(own) => Verdict::Differs,
            None => Verdict::TooFew,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(by: &[(u8, &[usize])]) -> Said {
        let tree = |byte| TreeHash::from_bytes([byte; 32]);
        Said(by.iter().map(|(byte, parties)| (tree(*byte), parties.iter().copied().collect())).collect())
    }

    #[test]
    fn policies_are_read() {
        assert_eq!("2-of-3".parse::<Policy>().unwrap(), Policy::Of { enough: 2, all: 3 });
        for bad in ["", "2", "0-of-3", "4-of-3", "-1-of-3", "2 of 3", "2-of-", "2-of-99999999"] {
            assert!(bad.parse::<Policy>().is_err(), "{bad}");
        }
    }

    #[test]
    fn two_who_disagree_are_never_used_silently() {
        let of = |enough| Policy::Of { enough, all: 3 };
        let own = |byte: u8| vec![TreeHash::from_bytes([byte; 32])];
        let table: &[(&[(u8, &[usize])], Policy, Vec<TreeHash>, Verdict)] = &[
            (&[(1, &[0])], Policy::Unanimous, vec![], Verdict::Agrees),
            (&[(1, &[0])], Policy::Unanimous, own(1), Verdict::Agrees),
            (&[(1, &[0])], Policy::Unanimous, own(2), Verdict::Differs),
            (&[(1, &[0]), (2, &[1])], Policy::Unanimous, vec![], Verdict::Differs),
            (&[(1, &[0]), (2, &[1])], Policy::Unanimous, own(1), Verdict::Differs),
            (&[(1, &[0, 2]), (2, &[1])], Policy::Unanimous, own(1), Verdict::Differs),
            (&[(1, &[0, 2]), (2, &[1])], of(2), own(1), Verdict::Agrees),
            (&[(1, &[0, 2]), (2, &[1])], of(2), own(2), Verdict::Differs),
            (&[(1, &[0, 2]), (2, &[1])], of(2), vec![], Verdict::Agrees),
            // Both are enough: that decides nothing.
            (&[(1, &[0]), (2, &[1])], of(1), own(1), Verdict::Differs),
            (&[(1, &[0])], of(2), own(1), Verdict::TooFew),
            (&[(1, &[0])], of(2), own(2), Verdict::Differs),
            (&[(1, &[0]), (2, &[1]), (3, &[2])], of(2), vec![], Verdict::Differs),
            // The store itself has seen two outputs.
            (&[(1, &[0])], Policy::Unanimous, [own(1), own(2)].concat(), Verdict::Differs),
        ];
        for (number, (by, policy, own, expected)) in table.iter().enumerate() {
            let said = said(by);
            assert_eq!(said.verdict(*policy, own), *expected, "{number}");
            let disputed = by.len() > 1 || own.iter().any(|own| *own != TreeHash::from_bytes([by[0].0; 32]));
            assert_eq!(said.is_disputed(own), disputed, "{number}");
        }
    }
}
