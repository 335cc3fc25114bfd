//! `VersionSet`: some of the versions of one package.

use crate::package::formula::Versions;
use crate::version::{self, Relation};

/// A version by its place among its package's versions, oldest first.
pub type Ordinal = u16;

/// Versions of a package as ranges of ordinals: half open, sorted, not touching.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionSet {
    /// Empty when there are none: most sets are one range, and take no memory of their own.
    first: (Ordinal, Ordinal),
    more: Box<[(Ordinal, Ordinal)]>,
}

impl VersionSet {
    /// The union of ranges, in any order.
    pub fn new(mut ranges: Vec<(Ordinal, Ordinal)>) -> Self {
        ranges.retain(|(start, end)| start < end);
        ranges.sort_unstable();
        let mut merged: Vec<(Ordinal, Ordinal)> = Vec::with_capacity(ranges.len());
        for (start, end) in ranges {
            match merged.last_mut() {
                Some(last) if last.1 >= start => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        let first = if merged.is_empty() { (0, 0) } else { merged.remove(0) };
        Self { first, more: merged.into() }
    }

    /// The first `count` versions: all of them.
    pub fn all(count: Ordinal) -> Self {
        Self { first: (0, count), more: Box::default() }
    }

    /// One version.
    pub fn only(ordinal: Ordinal) -> Self {
        Self { first: (ordinal, ordinal + 1), more: Box::default() }
    }

    /// The versions from `start` until before `end`.
    pub fn range(start: Ordinal, end: Ordinal) -> Self {
        Self { first: (start, end), more: Box::default() }
    }

    /// The ranges, oldest first.
    pub fn ranges(&self) -> impl Iterator<Item = (Ordinal, Ordinal)> + '_ {
        let first = Some(self.first).filter(|(start, end)| start < end);
        first.into_iter().chain(self.more.iter().copied())
    }

    /// Whether the version is one of them.
    pub fn contains(&self, ordinal: Ordinal) -> bool {
        let within = |(start, end): &(Ordinal, Ordinal)| (*start..*end).contains(&ordinal);
        within(&self.first) || self.more.iter().any(within)
    }

    /// The versions of a package that satisfy a condition; `all` is sorted by version.
    pub fn of(condition: &Versions, all: &[Box<str>]) -> Self {
        let count = ordinal(all.len());
        match condition {
            Versions::Every => Self::all(count),
            Versions::That(relation, than) => {
                let order = |version: &str| version::order(version.as_bytes(), than.as_bytes());
                let below = ordinal(all.partition_point(|version| order(version).is_lt()));
                let above = ordinal(all.partition_point(|version| order(version).is_le()));
                Self::new(match relation {
                    Relation::Equal => vec![(below, above)],
                    Relation::NotEqual => vec![(0, below), (above, count)],
                    Relation::Less => vec![(0, below)],
                    Relation::LessOrEqual => vec![(0, above)],
                    Relation::Greater => vec![(above, count)],
                    Relation::GreaterOrEqual => vec![(below, count)],
                })
            }
            Versions::Not(inner) => Self::of(inner, all).complement(count),
            Versions::All(parts) => parts
                .iter()
                .map(|part| Self::of(part, all))
                .reduce(|a, b| a.intersection(&b))
                .unwrap_or_else(|| Self::all(count)),
            Versions::Any(parts) => {
                let parts: Vec<Self> = parts.iter().map(|part| Self::of(part, all)).collect();
                Self::new(parts.iter().flat_map(Self::ranges).collect())
            }
        }
    }

    fn complement(&self, count: Ordinal) -> Self {
        let mut gaps = Vec::with_capacity(self.more.len() + 2);
        let mut from = 0;
        for (start, end) in self.ranges() {
            gaps.push((from, start));
            from = end;
        }
        gaps.push((from, count));
        Self::new(gaps)
    }

    fn intersection(&self, other: &Self) -> Self {
        let pairs = self.ranges().flat_map(|a| other.ranges().map(move |b| (a.0.max(b.0), a.1.min(b.1))));
        Self::new(pairs.collect())
    }
}

/// A count or place among versions; an index never has more than fit.
pub(super) fn ordinal(at: usize) -> Ordinal {
    Ordinal::try_from(at).expect("an index refuses packages with so many versions")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(condition: &Versions) -> Vec<(Ordinal, Ordinal)> {
        let all: Vec<Box<str>> = ["1.0~beta", "1.0", "1.9", "1.10", "2.0"].map(Into::into).into();
        VersionSet::of(condition, &all).ranges().collect()
    }

    fn that(relation: Relation, version: &str) -> Versions {
        Versions::That(relation, version.to_owned())
    }

    #[test]
    fn conditions_are_ranges_of_the_versions_that_there_are() {
        assert_eq!(set(&Versions::Every), [(0, 5)]);
        assert_eq!(set(&that(Relation::GreaterOrEqual, "1.0")), [(1, 5)]);
        assert_eq!(set(&that(Relation::Less, "1.10")), [(0, 3)]);
        assert_eq!(set(&that(Relation::Equal, "1.00")), [(1, 2)]);
        assert_eq!(set(&that(Relation::Equal, "1.5")), []);
        assert_eq!(set(&that(Relation::NotEqual, "1.9")), [(0, 2), (3, 5)]);
        assert_eq!(set(&that(Relation::Greater, "3")), []);
    }

    #[test]
    fn conditions_combine() {
        let middle = Versions::All(vec![that(Relation::Greater, "1.0"), that(Relation::Less, "2")]);
        assert_eq!(set(&middle), [(2, 4)]);
        assert_eq!(set(&middle.clone().negated()), [(0, 2), (4, 5)]);
        assert_eq!(set(&middle.clone().negated().negated()), [(2, 4)]);
        let either = Versions::Any(vec![that(Relation::Less, "1.9"), middle]);
        assert_eq!(set(&either), [(0, 4)]);
        assert_eq!(set(&Versions::All(vec![])), [(0, 5)]);
        assert_eq!(set(&Versions::Any(vec![])), []);
    }
}
