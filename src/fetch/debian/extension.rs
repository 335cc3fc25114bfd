//! What is missing from a base: packages that are to be had beside those it has, from the same suite.
//!
//! The base stays as it is pinned: what it has counts with its pinned version, and nothing in it is
//! replaced. Where the suite has moved on so far that a new package wants a newer one of the base's,
//! both have to be chosen anew.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::DebianError;
use super::closure::{Index, Wanted, alternatives};
use crate::source::PinnedDeb;

/// The packages that are there already, and those that are to come.
struct Have<'a> {
    /// Names and pinned versions.
    present: BTreeMap<&'a str, &'a str>,
    chosen: BTreeSet<&'a str>,
}

impl<'a> Index<'a> {
    /// What has to be unpacked over a base that has `present` so that the packages `named` are there
    /// with everything they depend on; sorted by name. A name may be a virtual one: the first package
    /// that provides it is meant, unless the base has one that does.
    ///
    /// # Errors
    /// [`DebianError::Unknown`] for a name that is nobody's, [`DebianError::Unsatisfiable`] for a
    /// dependency, and [`DebianError::OlderBase`].
    pub fn extension(&self, present: &[PinnedDeb], named: &[String]) -> Result<Vec<PinnedDeb>, DebianError> {
        let pinned = present.iter().map(|deb| (deb.name.as_str(), deb.version.as_str()));
        let mut have = Have { present: pinned.collect(), chosen: BTreeSet::new() };
        for name in named {
            let wanted: Vec<_> = alternatives(std::iter::once(name.as_str())).collect();
            let missing = self.missing(name, name, &wanted, &have).map_err(|error| match error {
                DebianError::Unsatisfiable { .. } => self.unknown(name),
                error => error,
            });
            have.chosen.extend(missing?);
        }
        let mut queue: VecDeque<&str> = have.chosen.iter().copied().collect();
        while let Some(name) = queue.pop_front() {
            for group in self.packages[name].groups() {
                let wanted: Vec<_> = alternatives(group.split('|')).collect();
                if let Some(next) = self.missing(name, group, &wanted, &have)? {
                    have.chosen.insert(next);
                    queue.push_back(next);
                }
            }
        }
        have.chosen.iter().map(|name| self.packages[name].pin()).collect()
    }

    /// What must be added for one dependency; nothing if it is satisfied.
    fn missing(
        &self,
        package: &str,
        group: &str,
        wanted: &[Wanted<'_>],
        have: &Have<'_>,
    ) -> Result<Option<&'a str>, DebianError> {
        if wanted.iter().any(|wanted| self.is_there(*wanted, have)) {
            return Ok(None);
        }
        let candidates = wanted.iter().flat_map(|wanted| self.candidates(*wanted));
        let mut older = None;
        for candidate in candidates {
            match have.present.get(candidate) {
                None => return Ok(Some(candidate)),
                Some(version) => older = older.or(Some((candidate, *version))),
            }
        }
        let (package, dependency) = (package.to_owned(), group.to_owned());
        Err(match older {
            Some((base, version)) => {
                let (base, version) = (base.to_owned(), version.to_owned());
                DebianError::OlderBase { package, dependency, base, version }
            }
            None => DebianError::Unsatisfiable { package, dependency },
        })
    }

    /// Whether the base or what is chosen has it, by that name or by one that it provides.
    fn is_there(&self, wanted: Wanted<'_>, have: &Have<'_>) -> bool {
        let version = |name: &str| {
            let chosen = || have.chosen.get(name).map(|name| self.packages[name].version);
            have.present.get(name).copied().or_else(chosen)
        };
        let stand_ins = self.provides.get(wanted.name).into_iter().flatten();
        version(wanted.name).is_some_and(|version| wanted.allows(Some(version))) || { stand_ins }
            .any(|(name, provided)| version(name).is_some() && wanted.allows(*provided))
    }
}
