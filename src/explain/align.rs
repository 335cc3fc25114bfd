//! Two sequences → the stretches in which they differ, in bounded time.
//!
//! What both have exactly once, in the same order, is held together first, and again within what is
//! between; Myers' algorithm does the rest while it is cheap. What is not is one stretch.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::common;

/// A sequence costs the square of the items that the quick ways leave; together at most so much, which
/// takes less than a tenth of a second.
const EFFORT: usize = 64 << 20;

/// Items that are unique only between others are looked for so often.
const DEPTH: usize = 8;

/// A stretch that is another in each sequence; one of the two may be empty, not both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hunk {
    pub before: Range<usize>,
    pub after: Range<usize>,
}

/// The differing stretches, in order. What is between two of them is equal, and not empty.
pub(super) fn align<T: Copy + Hash + Ord>(before: &[T], after: &[T]) -> Vec<Hunk> {
    let mut alignment = Alignment { before, after, effort: EFFORT, hunks: Vec::new() };
    alignment.stretch(Hunk { before: 0..before.len(), after: 0..after.len() }, DEPTH);
    alignment.hunks
}

/// Whether both hold the same items, in whatever order.
pub(super) fn are_reordered<T: Ord>(mut before: Vec<T>, mut after: Vec<T>) -> bool {
    if before.len() != after.len() {
        return false;
    }
    before.sort_unstable();
    after.sort_unstable();
    before == after
}

/// Names, each with how many of it were there until then: none is there twice.
pub(super) fn numbered<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let numbered = |name| {
        let count = seen.entry(name).or_default();
        *count += 1;
        (name, *count)
    };
    names.map(numbered).collect()
}

struct Alignment<'a, T> {
    before: &'a [T],
    after: &'a [T],
    effort: usize,
    hunks: Vec<Hunk>,
}

impl<T: Copy + Hash + Ord> Alignment<'_, T> {
    fn stretch(&mut self, within: Hunk, depth: usize) {
        let Hunk { before, after } = self.without_equal_ends(within);
        if before.is_empty() || after.is_empty() {
            return self.keep(before, after);
        }
        let anchors = if depth == 0 { Vec::new() } else { self.anchors(&before, &after) };
        if anchors.is_empty() {
            return self.rest(before, after);
        }
        let (mut one, mut other) = (before.start, after.start);
        for (next_one, next_other) in anchors {
            self.stretch(Hunk { before: one..next_one, after: other..next_other }, depth - 1);
            (one, other) = (next_one + 1, next_other + 1);
        }
        self.stretch(Hunk { before: one..before.end, after: other..after.end }, depth - 1);
    }

    fn without_equal_ends(&self, within: Hunk) -> Hunk {
        let Hunk { mut before, mut after } = within;
        let (one, other) = (&self.before[before.clone()], &self.after[after.clone()]);
        let common = common(one, other);
        before.start += common;
        after.start += common;
        let (one, other) = (&one[common..], &other[common..]);
        let common = one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count();
        before.end -= common;
        after.end -= common;
        Hunk { before, after }
    }

    /// What occurs once in each, as many as are in the same order.
    fn anchors(&self, before: &Range<usize>, after: &Range<usize>) -> Vec<(usize, usize)> {
        let mut places: HashMap<T, [(usize, usize); 2]> = HashMap::new();
        for (side, (items, range)) in [(self.before, before), (self.after, after)].into_iter().enumerate() {
            for at in range.clone() {
                let place = &mut places.entry(items[at]).or_default()[side];
                *place = (place.0 + 1, at);
            }
        }
        let mut pairs: Vec<(usize, usize)> = places
            .into_values()
            .filter_map(|[(ones, one), (others, other)]| (ones == 1 && others == 1).then_some((one, other)))
            .collect();
        pairs.sort_unstable();
        longest_rising(&pairs)
    }

    fn rest(&mut self, before: Range<usize>, after: Range<usize>) {
        let items = before.len() + after.len();
        let cost = items.saturating_mul(items);
        if cost > self.effort {
            return self.keep(before, after);
        }
        self.effort -= cost;
        let (one, other) = (&self.before[before.clone()], &self.after[after.clone()]);
        for operation in capture_diff_slices(Algorithm::Myers, one, other) {
            if !matches!(operation, DiffOp::Equal { .. }) {
                let (old, new) = (operation.old_range(), operation.new_range());
                self.keep(
                    before.start + old.start..before.start + old.end,
                    after.start + new.start..after.start + new.end,
                );
            }
        }
    }

    fn keep(&mut self, before: Range<usize>, after: Range<usize>) {
        if before.is_empty() && after.is_empty() {
            return;
        }
        match self.hunks.last_mut() {
            Some(last) if last.before.end == before.start && last.after.end == after.start => {
                last.before.end = before.end;
                last.after.end = after.end;
            }
            _ => self.hunks.push(Hunk { before, after }),
        }
    }
}

/// Of pairs that rise on the left, the most that rise on the right too.
fn longest_rising(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // Of each length, the pair at which such a chain ends lowest; and of each pair, the one before.
    let mut ends: Vec<usize> = Vec::new();
    let mut earlier: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (index, (_, right)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].1 < *right);
        earlier.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let mut chain = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(index) = next {
        chain.push(pairs[index]);
        next = earlier[index];
    }
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> Vec<(String, String)> {
        let (one, other): (Vec<char>, Vec<char>) = (before.chars().collect(), after.chars().collect());
        let text = |hunk: &[char]| hunk.iter().collect::<String>();
        align(&one, &other)
            .into_iter()
            .map(|hunk| (text(&one[hunk.before]), text(&other[hunk.after])))
            .collect()
    }

    #[test]
    fn stretches_are_those_that_differ() {
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        assert_eq!(told("abc", "abc"), []);
        assert_eq!(told("", "x"), [pair("", "x")]);
        assert_eq!(told("abcdef", "abXdf"), [pair("c", "X"), pair("e", "")]);
        // Items that occur more often are held together too.
        assert_eq!(told("1aa2aa3", "1aaaa3"), [pair("2", "")]);
    }

    #[test]
    fn what_remains_equal_is_the_same_in_both() {
        // Without its stretches, one sequence is the other.
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) % 7
        };
        for length in 0..60 {
            let one: Vec<u32> = (0..length).map(|_| next()).collect();
            let other: Vec<u32> = (0..length + next()).map(|_| next()).collect();
            let hunks = align(&one, &other);
            let rest = |items: &[u32], side: &dyn Fn(&Hunk) -> Range<usize>| -> Vec<u32> {
                let is_kept = |at: &usize| !hunks.iter().any(|hunk| side(hunk).contains(at));
                (0..items.len()).filter(is_kept).map(|at| items[at]).collect()
            };
            assert_eq!(rest(&one, &|hunk| hunk.before.clone()), rest(&other, &|hunk| hunk.after.clone()));
        }
    }

    #[test]
    fn what_would_take_long_is_one_stretch() {
        let one: Vec<usize> = (0..200_000).map(|at| at % 3).collect();
        let other: Vec<usize> = (0..200_000).map(|at| 3 + at % 3).collect();
        assert_eq!(align(&one, &other), [Hunk { before: 0..200_000, after: 0..200_000 }]);
        // Unique items keep long sequences apart.
        let one: Vec<usize> = (0..200_000).collect();
        let mut other = one.clone();
        other.remove(100_000);
        other[10] = 0;
        let hunks = [
            Hunk { before: 10..11, after: 10..11 },
            Hunk { before: 100_000..100_001, after: 100_000..100_000 },
        ];
        assert_eq!(align(&one, &other), hunks);
    }
}
