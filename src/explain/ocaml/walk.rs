//! Two marshalled values, walked in step: the strings, places and numbers in which they differ.
//!
//! Values form graphs, with circles. A pair of objects that was met is not entered again, what is to be
//! entered waits on the heap and not on the stack, and all walks over two files take from one supply.

use std::collections::{HashMap, HashSet};

use super::known;
use super::supply::Supply;
use super::words;
use crate::explain::Finding;
use crate::ocaml::marshal::{Heap, Value, View};

/// So many pairs of objects are remembered.
const PAIRS: usize = 1 << 20;

/// So many kinds of differences are told apart; further ones are only counted.
const KINDS: usize = 64;

/// Of each sort so many are told for one value.
const STRINGS: usize = 6;
const OTHERS: usize = 2;

/// Strings are compared this fast.
const BYTES_OF_A_STEP: usize = 64;

/// A block of the heap that is walked: how it was come to.
struct Step {
    /// The step before; the first one has itself.
    above: u32,
    field: u32,
}

/// Two heaps, and what is known to have been compared.
pub(super) struct Walk<'a> {
    before: &'a Heap,
    after: &'a Heap,
    met: HashSet<(u32, u32)>,
    supply: &'a Supply,
    /// Whether the values are of the compiler's own types, which are known.
    is_of_compiler: bool,
}

/// The sorts of differences.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sort {
    String,
    Place,
    /// A number that the compiler gave an identifier, declaration or type when it met it.
    Stamp,
    Number,
    /// Not even the same kind of value.
    Form,
}

impl Sort {
    /// In the order in which they are told: what is likely to be a cause first.
    const ALL: [Self; 5] = [Self::String, Self::Place, Self::Form, Self::Number, Self::Stamp];

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::String => ("string", "strings"),
            Self::Place => ("place in a source", "places in sources"),
            Self::Stamp => ("number that the compiler gave", "numbers that the compiler gave"),
            Self::Number => ("number", "numbers"),
            Self::Form => ("value of another form", "values of another form"),
        }
    }

    fn word(self) -> &'static str {
        self.words().0
    }

    fn count(self, count: usize) -> String {
        let (one, many) = self.words();
        format!("{count} {}", if count == 1 { one } else { many })
    }
}

/// A difference that was met once or more.
struct Met {
    sort: Sort,
    path: String,
    before: String,
    after: String,
    times: usize,
}

/// What one walk found.
#[derive(Default)]
struct Found {
    met: Vec<Met>,
    numbers: HashMap<(Sort, String, String), usize>,
    counts: HashMap<Sort, usize>,
    steps: Vec<Step>,
    is_cut: bool,
}

impl<'a> Walk<'a> {
    /// For values of these two heaps.
    pub fn new(before: &'a Heap, after: &'a Heap, supply: &'a Supply) -> Self {
        Self { before, after, met: HashSet::new(), supply, is_of_compiler: true }
    }

    /// In what two values differ; nothing where they do not, or where it was told before. `place` is where
    /// they are.
    pub fn compare(&mut self, before: Value, after: Value, place: &[String]) -> Vec<Finding> {
        let mut found = Found::default();
        found.steps.push(Step { above: 0, field: 0 });
        self.follow(vec![(before, after, 0)], &mut found);
        found.tell(place)
    }

    /// The same for several values, which are numbered from 0, and are data of the program that was
    /// compiled: nothing is known of their types.
    pub fn compare_all(&mut self, before: &[Value], after: &[Value], place: &[String]) -> Vec<Finding> {
        let mut found = Found::default();
        found.steps.push(Step { above: 0, field: 0 });
        let mut waiting = Vec::new();
        self.enter_all(0, before, after, &mut waiting, &mut found);
        self.is_of_compiler = false;
        self.follow(waiting, &mut found);
        self.is_of_compiler = true;
        found.tell(place)
    }

    fn follow(&mut self, mut waiting: Vec<(Value, Value, u32)>, found: &mut Found) {
        while let Some((before, after, step)) = waiting.pop() {
            self.compare_one(before, after, step, &mut waiting, found);
        }
    }

    fn compare_one(
        &mut self,
        before: Value,
        after: Value,
        step: u32,
        waiting: &mut Vec<(Value, Value, u32)>,
        found: &mut Found,
    ) {
        let (Some(one), Some(other)) = (self.before.view(before), self.after.view(after)) else { return };
        match (one, other) {
            (View::Block(tag, fields), View::Block(other_tag, others))
                if tag == other_tag && fields.len() == others.len() =>
            {
                if !self.supply.step(fields.len()) {
                    found.is_cut = true;
                    return;
                }
                let (before, after) = ((self.before, tag, fields), (self.after, tag, others));
                if let Some(known) = known::tell(before, after).filter(|_| self.is_of_compiler) {
                    if let Some((one, other)) = known.texts {
                        found.add(known.sort, step, one, other);
                    }
                    let rest = known.rest;
                    self.enter(step, rest, fields[rest], others[rest], waiting, found);
                    return;
                }
                self.enter_all(step, fields, others, waiting, found);
            }
            (View::Text(one), View::Text(other)) => {
                if !self.supply.step(one.len().min(other.len()) / BYTES_OF_A_STEP) {
                    found.is_cut = true;
                } else if one != other {
                    let (one, other) = words::strings(one, other);
                    found.add(Sort::String, step, one, other);
                }
            }
            (View::Int(_), View::Int(_)) | (View::Raw(_), View::Raw(_)) => {
                if one != other {
                    found.add(Sort::Number, step, told(one), told(other));
                }
            }
            _ => {
                let (one, other) = emptiness(self, one, other).unwrap_or_else(|| (told(one), told(other)));
                found.add(Sort::Form, step, one, other);
            }
        }
    }

    fn enter_all(
        &mut self,
        above: u32,
        fields: &[Value],
        others: &[Value],
        waiting: &mut Vec<(Value, Value, u32)>,
        found: &mut Found,
    ) {
        let start = waiting.len();
        for (index, (field, other)) in fields.iter().zip(others).enumerate() {
            self.enter(above, index, *field, *other, waiting, found);
        }
        // The last one that waits is the first one that is compared.
        waiting[start..].reverse();
    }

    /// Lets a field wait, if it can differ and was not met.
    fn enter(
        &mut self,
        above: u32,
        index: usize,
        one: Value,
        other: Value,
        waiting: &mut Vec<(Value, Value, u32)>,
        found: &mut Found,
    ) {
        match (one, other) {
            (Value::Int(one), Value::Int(other)) if one == other => return,
            (Value::Atom(one), Value::Atom(other)) if one == other => return,
            (Value::Object(one), Value::Object(other)) => {
                if self.met.contains(&(one, other)) {
                    return;
                }
                if self.met.len() < PAIRS {
                    self.met.insert((one, other));
                } else {
                    found.is_cut = true;
                    return;
                }
            }
            _ => {}
        }
        let (Ok(step), Ok(field)) = (u32::try_from(found.steps.len()), u32::try_from(index)) else {
            found.is_cut = true;
            return;
        };
        found.steps.push(Step { above, field });
        waiting.push((one, other, step));
    }
}

impl Found {
    fn add(&mut self, sort: Sort, step: u32, before: String, after: String) {
        *self.counts.entry(sort).or_default() += 1;
        let key = (sort, before, after);
        if let Some(number) = self.numbers.get(&key) {
            self.met[*number].times += 1;
            return;
        }
        if self.met.iter().filter(|met| met.sort == sort).count() < KINDS {
            let path = self.path(step);
            self.numbers.insert(key.clone(), self.met.len());
            let (_, before, after) = key;
            self.met.push(Met { sort, path, before, after, times: 1 });
        }
    }

    /// Fields from the outermost in: `2.0.1`. In lists, which are cells in the second field of cells, one
    /// number says how many: `2.1×40.0`.
    fn path(&self, mut step: u32) -> String {
        const MOST: usize = 24;
        let mut fields = Vec::new();
        while let Some(Step { above, field }) = self.steps.get(step as usize).filter(|_| step != 0) {
            fields.push(*field);
            step = *above;
        }
        let mut parts: Vec<String> = Vec::new();
        for run in fields.chunk_by(|one, other| one == other) {
            match run {
                [one] => parts.push(one.to_string()),
                [one, ..] => parts.push(format!("{one}×{}", run.len())),
                [] => {}
            }
        }
        parts.reverse();
        if parts.len() > MOST {
            let end = parts.split_off(parts.len() - MOST / 2);
            parts.truncate(MOST / 2);
            parts.push("…".into());
            parts.extend(end);
        }
        parts.join(".")
    }

    fn tell(self, place: &[String]) -> Vec<Finding> {
        let mut told = Vec::new();
        let mut is_all = !self.is_cut;
        for sort in Sort::ALL {
            let most = if sort == Sort::String { STRINGS } else { OTHERS };
            let of_sort: Vec<&Met> = self.met.iter().filter(|met| met.sort == sort).collect();
            is_all &= of_sort.len() <= most;
            for met in of_sort.into_iter().take(most) {
                let mut place = place.to_vec();
                if !met.path.is_empty() {
                    place.push(format!("field {}", met.path));
                }
                let note = match (sort, met.times) {
                    (Sort::Place | Sort::Stamp, 1) => Some(sort.word().to_owned()),
                    (Sort::Place | Sort::Stamp, times) => Some(format!("{}, {times} times", sort.word())),
                    (_, 1) => None,
                    (_, times) => Some(format!("{times} times")),
                };
                let (before, after) = (Some(met.before.clone()), Some(met.after.clone()));
                told.push(Finding { place, note, before, after });
            }
        }
        if !is_all {
            let counts = Sort::ALL.iter().filter_map(|sort| Some(sort.count(*self.counts.get(sort)?)));
            let counts = counts.collect::<Vec<_>>().join(", ");
            let note = match (self.is_cut, counts.is_empty()) {
                (true, true) => "larger than what is compared; so far nothing differs".to_owned(),
                (true, false) => format!("larger than what is compared; so far, {counts} differ"),
                (false, _) => format!("in all, {counts} differ"),
            };
            told.push(Finding { place: place.to_vec(), note: Some(note), ..Finding::default() });
        }
        told
    }
}

/// A list or an option that is empty, and one that is not.
fn emptiness(walk: &Walk<'_>, one: View<'_>, other: View<'_>) -> Option<(String, String)> {
    let nothing = || "nothing".to_owned();
    match (one, other) {
        (View::Int(0), View::Block(0, fields)) => Some((nothing(), contents(walk.after, fields)?)),
        (View::Block(0, fields), View::Int(0)) => Some((contents(walk.before, fields)?, nothing())),
        _ => None,
    }
}

/// What a cell of a list or an option holds.
fn contents(heap: &Heap, fields: &[Value]) -> Option<String> {
    const MOST: usize = 1000;
    match *fields {
        [some] => Some(told(heap.view(some)?)),
        [_, mut rest] => {
            let mut count = 1;
            while let Some(View::Block(0, [_, next])) = heap.view(rest)
                && count < MOST
            {
                rest = *next;
                count += 1;
            }
            let end = heap.view(rest)?;
            match (end, count) {
                (View::Int(0), 1) => Some("one element more".into()),
                (View::Int(0), _) => Some(format!("{count} elements more")),
                _ => None,
            }
        }
        _ => None,
    }
}

fn told(view: View<'_>) -> String {
    match view {
        View::Int(number) => number.to_string(),
        View::Block(tag, []) => format!("a block without fields (tag {tag})"),
        View::Block(tag, [_]) => format!("a block of one field (tag {tag})"),
        View::Block(tag, fields) => format!("a block of {} fields (tag {tag})", fields.len()),
        View::Text(bytes) => format!("\"{}\"", words::string(bytes)),
        View::Raw(bytes) => words::hexadecimal(bytes),
    }
}
