//! Where in a file bytes differ, coarsely: enough for a picture.

/// A file is cut into so many parts, or into single bytes if it has fewer.
pub const PARTS: usize = 200;

/// One file, from its begin to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strip {
    /// In bytes.
    pub size: usize,
    /// How much of each part differs: 0 is nothing, 255 all of it.
    pub parts: Vec<u8>,
}

/// Both files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strips {
    pub before: Strip,
    pub after: Strip,
}

impl Strips {
    /// Files of the same size are compared byte by byte. Otherwise something was put in or taken out,
    /// and what differs is between what they have in common at the begin and at the end.
    pub fn new(before: &[u8], after: &[u8]) -> Self {
        if before.len() == after.len() {
            let both = Strip::new(before.len(), |at| before[at] != after[at]);
            return Self { before: both.clone(), after: both };
        }
        let first = before.iter().zip(after).take_while(|(one, other)| one == other).count();
        let rest = before.len().min(after.len()) - first;
        let ends = before.iter().rev().zip(after.iter().rev());
        let last = ends.take(rest).take_while(|(one, other)| one == other).count();
        let strip = |size: usize| Strip::new(size, |at| at >= first && at < size - last);
        Self { before: strip(before.len()), after: strip(after.len()) }
    }

    /// Whether the same places of both differ.
    pub fn are_alike(&self) -> bool {
        self.before == self.after
    }
}

impl Strip {
    fn new(size: usize, differs: impl Fn(usize) -> bool) -> Self {
        let count = size.min(PARTS);
        let parts = (0..count).map(|part| {
            let (start, end) = (part * size / count, (part + 1) * size / count);
            let differing = (start..end).filter(|at| differs(*at)).count();
            // One byte of a million is to be seen.
            u8::try_from((differing * 255).div_ceil(end - start)).unwrap_or(u8::MAX)
        });
        Self { size, parts: parts.collect() }
    }

    /// Neighbouring parts that differ as much: where they begin and end, and how much.
    pub fn runs(&self) -> Vec<(usize, usize, u8)> {
        let mut runs: Vec<(usize, usize, u8)> = Vec::new();
        for (at, part) in self.parts.iter().enumerate().filter(|(_, part)| **part > 0) {
            match runs.last_mut() {
                Some((_, end, like)) if *end == at && like == part => *end += 1,
                _ => runs.push((at, at + 1, *part)),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_bytes_of_large_files_are_seen_at_their_place() {
        let before = vec![0; 1_000_000];
        let mut after = before.clone();
        after[0] = 1;
        after[999_999] = 1;
        let strips = Strips::new(&before, &after);
        assert!(strips.are_alike());
        assert_eq!(strips.before.parts.len(), PARTS);
        assert_eq!(strips.before.runs(), [(0, 1, 1), (199, 200, 1)]);
    }

    #[test]
    fn what_was_put_in_is_between_what_is_common() {
        let strips = Strips::new(b"begin end", b"begin and more end");
        assert_eq!(strips.before.runs(), []);
        assert_eq!(strips.after.runs(), [(6, 15, 255)]);
        assert_eq!((strips.before.size, strips.after.size), (9, 18));
        assert_eq!(Strips::new(b"", b"a").after.runs(), [(0, 1, 255)]);
        assert_eq!(Strips::new(b"aaa", b"aa").before.runs(), [(2, 3, 255)]);
    }
}
