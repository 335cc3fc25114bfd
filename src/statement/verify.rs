//! The one check that every statement from elsewhere goes through, whichever way it came.

use std::collections::BTreeMap;

use thiserror::Error;

use super::key::{SignatureError, signed_by};
use super::trust::Trust;
use super::{MAX_BYTES, Malformed, Statement};
use crate::store::statements::{Scope, Seen};

/// Clocks of parties may be ahead by so many seconds.
const AHEAD: u64 = 600;

/// A statement that a trusted party has made. There is no other way to get one than [`verify`].
#[derive(Clone, Debug)]
pub struct Verified {
    statement: Statement,
    party: usize,
    scope: Scope,
    seen: Seen,
}

/// Why a statement is refused.
#[derive(Debug, Error)]
pub enum Refusal {
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLong,
    #[error("it is not UTF-8 text")]
    NotText,
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error("the key of `{party}` has expired")]
    Expired { party: String },
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("it was made in the future")]
    Future,
    #[error("it was made more than {days} days ago")]
    Old { days: u64 },
    /// An older one of the same party about the same universe: what it says may have been taken back.
    #[error("`{party}` has made a newer one about `{universe}`, which was seen already")]
    Replayed { party: String, universe: String },
    #[error("`{party}` has made another one about `{universe}` in the same second")]
    Twice { party: String, universe: String },
}

impl Refusal {
    /// The last part of its error code.
    pub fn word(&self) -> &'static str {
        match self {
            Self::TooLong | Self::NotText | Self::Malformed(_) => "malformed",
            Self::Signature(SignatureError::Unsigned) => "unsigned",
            Self::Signature(SignatureError::NotOne | SignatureError::Wrong) => "signature",
            Self::Signature(SignatureError::OtherKey) => "untrusted",
            Self::Expired { .. } => "expired",
            Self::Future => "future",
            Self::Old { .. } => "old",
            Self::Replayed { .. } | Self::Twice { .. } => "replayed",
        }
    }
}

/// What a statement is held against.
#[derive(Clone, Copy, Debug)]
pub struct Against<'a> {
    pub trust: &'a Trust,
    /// The newest statement that was accepted of each party about each universe.
    pub seen: &'a BTreeMap<Scope, Seen>,
    /// Seconds since 1970.
    pub now: u64,
    /// Nothing older is accepted.
    pub max_age_days: Option<u64>,
}

/// Checks a statement as it came: its signature by a trusted key that has not expired, then its form,
/// then its time.
pub fn verify(bytes: &[u8], against: &Against<'_>) -> Result<Verified, Refusal> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Refusal::TooLong);
    }
    let file = std::str::from_utf8(bytes).map_err(|_| Refusal::NotText)?;
    let keys: Vec<_> = against.trust.parties.iter().map(|party| &party.key).collect();
    let (party, text) = signed_by(file, &keys)?;
    let known = &against.trust.parties[party];
    // By the clock of who verifies: a stolen key can write any time into a statement.
    if known.expires.is_some_and(|expires| against.now >= expires) {
        return Err(Refusal::Expired { party: known.name.clone() });
    }
    let statement = Statement::parse(text)?;
    if statement.made > against.now + AHEAD {
        return Err(Refusal::Future);
    }
    if let Some(days) = against.max_age_days
        && statement.made.saturating_add(days.saturating_mul(86_400)) < against.now
    {
        return Err(Refusal::Old { days });
    }
    let scope = Scope::new(&known.key.bytes(), &statement.universe);
    let seen = Seen { made: statement.made, digest: *blake3::hash(text.as_bytes()).as_bytes() };
    let verified = Verified { statement, party, scope, seen };
    verified.is_newest(against.seen, &known.name)?;
    Ok(verified)
}

impl Verified {
    /// What it says.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The position of its party in the trust file.
    pub fn party(&self) -> usize {
        self.party
    }

    /// What has to be remembered of it, or an older one could take its place.
    pub fn to_remember(&self) -> (Scope, Seen) {
        (self.scope, self.seen)
    }

    fn is_newest(&self, seen: &BTreeMap<Scope, Seen>, party: &str) -> Result<(), Refusal> {
        let Some(known) = seen.get(&self.scope) else { return Ok(()) };
        let (party, universe) = (party.to_owned(), self.statement.universe.clone());
        if self.seen.made < known.made {
            Err(Refusal::Replayed { party, universe })
        } else if self.seen.made == known.made && self.seen.digest != known.digest {
            Err(Refusal::Twice { party, universe })
        } else {
            Ok(())
        }
    }
}

/// [`verify`] for several statements at once, whatever their order: each is also held against the
/// others. Gives, for each, the statement or why it is refused.
pub fn verify_all(files: &[Vec<u8>], against: &Against<'_>) -> Vec<Result<Verified, Refusal>> {
    let alone: Vec<_> = files.iter().map(|file| verify(file, against)).collect();
    let mut newest = against.seen.clone();
    for verified in alone.iter().flatten() {
        let (scope, seen) = verified.to_remember();
        let known = newest.entry(scope).or_insert(seen);
        if seen.made > known.made {
            *known = seen;
        }
    }
    let with_others = |verified: Verified| {
        verified.is_newest(&newest, &against.trust.parties[verified.party].name)?;
        Ok(verified)
    };
    alone.into_iter().map(|verified| verified.and_then(with_others)).collect()
}
