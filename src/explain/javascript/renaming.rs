//! Which differing statements are the same but for the names of local variables.
//!
//! Names are given to the innermost function that declares them. A statement is only renamed if every name
//! in which it differs is declared in a function, and stands for the same other name wherever it occurs.
//! Names of the whole file, of properties and of what is declared elsewhere are no local names.

use std::collections::{HashMap, HashSet};

use super::lexer::Kind;
use super::pieces::Pieces;
use crate::explain::align::{Hunk, align};

/// No function: the file, or elsewhere.
const OUTSIDE: usize = usize::MAX;

/// What differing statements come to.
pub(super) struct Renaming {
    /// Pieces that differ in names of local variables only.
    pub renamed: Vec<(usize, usize)>,
    /// Those that differ in more.
    pub changed: Vec<Hunk>,
    /// Whether the names of all pieces that are equal fit too.
    pub is_consistent: bool,
}

impl Renaming {
    /// Looks into the stretches `exact`, in which the pieces of two scripts differ.
    pub fn new(before: &Pieces, after: &Pieces, exact: &[Hunk]) -> Self {
        let mut pairs = Vec::new();
        let mut changed = Vec::new();
        for hunk in exact {
            let (one, other) = (&before.renamed[hunk.before.clone()], &after.renamed[hunk.after.clone()]);
            let differing = align(one, other);
            let (mut at, mut at_other) = (0, 0);
            for Hunk { before: gone, after: came } in differing
                .iter()
                .cloned()
                .chain([Hunk { before: one.len()..one.len(), after: other.len()..other.len() }])
            {
                let equal = (at..gone.start).zip(at_other..came.start);
                pairs.extend(equal.map(|(one, other)| (hunk.before.start + one, hunk.after.start + other)));
                (at, at_other) = (gone.end, came.end);
            }
            let shifted = |one: Hunk| Hunk {
                before: hunk.before.start + one.before.start..hunk.before.start + one.before.end,
                after: hunk.after.start + one.after.start..hunk.after.start + one.after.end,
            };
            changed.extend(differing.into_iter().map(shifted));
        }
        let mut renaming = Self { renamed: Vec::new(), changed, is_consistent: true };
        if !pairs.is_empty() {
            renaming.judge(before, after, exact, pairs);
        }
        renaming
    }

    fn judge(&mut self, before: &Pieces, after: &Pieces, exact: &[Hunk], pairs: Vec<(usize, usize)>) {
        let mut names = Names {
            before,
            after,
            owners: [owners(before), owners(after)],
            known: [(); 2].map(|()| HashMap::new()),
        };
        // What is unchanged holds its names first.
        let (mut at, mut at_other) = (0, 0);
        let end = Hunk {
            before: before.ranges.len()..before.ranges.len(),
            after: after.ranges.len()..after.ranges.len(),
        };
        for hunk in exact.iter().chain([&end]) {
            for (one, other) in (at..hunk.before.start).zip(at_other..hunk.after.start) {
                self.is_consistent &= names.accept(one, other);
            }
            (at, at_other) = (hunk.before.end, hunk.after.end);
        }
        for (one, other) in pairs {
            let fits = names.accept(one, other);
            // Equal pieces can be in a stretch that was too costly to look into.
            if before.exact[one] == after.exact[other] {
                self.is_consistent &= fits;
            } else if fits {
                self.renamed.push((one, other));
            } else {
                self.changed.push(Hunk { before: one..one + 1, after: other..other + 1 });
            }
        }
        self.changed.sort_by_key(|hunk| (hunk.before.start, hunk.after.start));
    }
}

/// A name and the function that declares it.
type Local<'a> = (usize, &'a str);

struct Names<'a> {
    before: &'a Pieces<'a>,
    after: &'a Pieces<'a>,
    /// Of each token that is a name, the function that declares it.
    owners: [Vec<usize>; 2],
    /// What the local names of each stand for in the other.
    known: [HashMap<Local<'a>, Local<'a>>; 2],
}

impl Names<'_> {
    /// Whether the names of two pieces that are otherwise equal stand for each other. Only then they are
    /// kept.
    fn accept(&mut self, one: usize, other: usize) -> bool {
        let tokens = || self.before.ranges[one].clone().zip(self.after.ranges[other].clone());
        let is_name = |at: &usize| self.before.script.tokens[*at].kind == Kind::Name;
        let local = |(one, other): (usize, usize)| {
            let before = (self.owners[0][one], self.before.word(one));
            let after = (self.owners[1][other], self.after.word(other));
            (before, after)
        };
        let pairs: Vec<_> = tokens().filter(|(at, _)| is_name(at)).map(local).collect();
        let fits = pairs.iter().all(|(before, after)| match (before.0, after.0) {
            (OUTSIDE, OUTSIDE) => before.1 == after.1,
            (OUTSIDE, _) | (_, OUTSIDE) => false,
            _ => {
                self.known[0].get(before).is_none_or(|known| known == after)
                    && self.known[1].get(after).is_none_or(|known| known == before)
            }
        });
        if fits {
            for (before, after) in pairs.into_iter().filter(|(before, _)| before.0 != OUTSIDE) {
                self.known[0].insert(before, after);
                self.known[1].insert(after, before);
            }
        }
        fits
    }
}

/// Of each token that is a name, the function that declares it.
fn owners(pieces: &Pieces) -> Vec<usize> {
    let script = &pieces.script;
    // The function that each token is in; those around come last, so they do not overwrite.
    let mut inside = vec![OUTSIDE; script.tokens.len()];
    let mut parents = vec![OUTSIDE; script.functions.len()];
    let mut order: Vec<usize> = (0..script.functions.len()).collect();
    order.sort_by_key(|one| script.functions[*one].extent.start);
    let mut open: Vec<usize> = Vec::new();
    let mut next = order.into_iter().peekable();
    for (at, place) in inside.iter_mut().enumerate() {
        while open.last().is_some_and(|one| script.functions[*one].extent.end <= at) {
            open.pop();
        }
        while let Some(one) = next.next_if(|one| script.functions[*one].extent.start <= at) {
            parents[one] = open.last().copied().unwrap_or(OUTSIDE);
            open.push(one);
        }
        *place = open.last().copied().unwrap_or(OUTSIDE);
    }
    // Whatever names are in the parameters are declared there: too many rather than too few, since a
    // name that two functions have can stand for less.
    let is_declared = |at: usize| {
        let token = &script.tokens[at];
        let is_parameter = inside[at] != OUTSIDE && at < script.functions[inside[at]].body;
        token.kind == Kind::Name && (token.declares || is_parameter || is_caught(pieces, at))
    };
    let mut declared: HashSet<Local> = HashSet::new();
    for (at, owner) in inside.iter().enumerate().filter(|(at, _)| is_declared(*at)) {
        declared.insert((*owner, pieces.word(at)));
    }
    let owner = |at: usize| {
        let mut function = inside[at];
        while function != OUTSIDE && !declared.contains(&(function, pieces.word(at))) {
            function = parents[function];
        }
        function
    };
    (0..script.tokens.len())
        .map(|at| if script.tokens[at].kind == Kind::Name { owner(at) } else { OUTSIDE })
        .collect()
}

/// Whether a token is `e` in `catch(e)`.
fn is_caught(pieces: &Pieces, at: usize) -> bool {
    at > 1 && pieces.word(at - 1) == "(" && pieces.word(at - 2) == "catch"
}
