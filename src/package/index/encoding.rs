//! The bytes of an index, for keeping it between runs: numbers of as few bytes as they need (LEB128),
//! and each package in a block of its own, so that several threads can read them.
//!
//! It says nothing about where the bytes come from: who keeps them sees to it that they are whole.

use rayon::prelude::*;

use super::{Candidate, Index, Need, Ordinal, Package, PackageId, VersionSet};

/// Formulas nest less deep than that, or are not read.
const MAX_DEPTH: usize = 400;

impl Index {
    /// Everything as bytes; equal indexes give equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let blocks: Vec<Vec<u8>> = self.packages.par_iter().map(encode_package).collect();
        let mut bytes = Vec::with_capacity(blocks.iter().map(|block| block.len() + 24).sum());
        put(&mut bytes, blocks.len());
        for (package, block) in self.packages.iter().zip(&blocks) {
            put_text(&mut bytes, &package.name);
            put(&mut bytes, block.len());
        }
        bytes.extend(blocks.concat());
        bytes
    }

    /// Reads what [`Index::encode`] wrote. Other bytes give nothing, or some index: never a panic, and
    /// no number in it that leads nowhere.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = From(bytes);
        let count = from.count()?;
        let mut heads: Vec<(Box<str>, usize)> = Vec::with_capacity(count);
        for _ in 0..count {
            heads.push((from.text()?, from.number()?));
        }
        if !heads.is_sorted_by(|a, b| a.0 < b.0) {
            return None;
        }
        let mut blocks = Vec::with_capacity(count);
        for (name, length) in heads {
            blocks.push((name, from.take(length)?));
        }
        if !from.0.is_empty() {
            return None;
        }
        let ids = blocks.iter().zip(0..).map(|((name, _), id)| (name.clone(), id)).collect();
        let packages = blocks
            .into_par_iter()
            .map(|(name, block)| decode_package(name, block, count))
            .collect::<Option<_>>()?;
        Some(Self { packages, ids })
    }
}

fn encode_package(package: &Package) -> Vec<u8> {
    let mut to = Vec::new();
    put(&mut to, package.versions.len());
    package.versions.iter().for_each(|version| put_text(&mut to, version));
    put(&mut to, package.preference.len());
    package.preference.iter().for_each(|ordinal| put(&mut to, usize::from(*ordinal)));
    for candidate in &package.candidates {
        put(&mut to, usize::from(candidate.avoid));
        put(&mut to, candidate.depends.len());
        candidate.depends.iter().for_each(|need| put_need(&mut to, need));
        put(&mut to, candidate.conflicts.len());
        for (package, versions) in &candidate.conflicts {
            put(&mut to, *package as usize);
            put_versions(&mut to, versions);
        }
        put(&mut to, candidate.classes.len());
        candidate.classes.iter().for_each(|class| put(&mut to, *class as usize));
    }
    to
}

fn decode_package(name: Box<str>, block: &[u8], packages: usize) -> Option<Package> {
    let mut from = From(block);
    let count = from.count()?;
    let ordinals = Ordinal::try_from(count).ok()?;
    let versions = from.list(count, From::text)?;
    let preferred = from.count()?;
    let preference = from.list(preferred, |from| {
        Ordinal::try_from(from.number()?).ok().filter(|ordinal| *ordinal < ordinals)
    })?;
    let candidates = from.list(count, |from| {
        let avoid = match from.number()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let depends = from.count()?;
        let depends = from.list(depends, |from| need(from, packages, 0))?;
        let conflicts = from.count()?;
        let conflicts =
            from.list(conflicts, |from| Some((package_id(from.number()?, packages)?, versions_of(from)?)))?;
        let classes = from.count()?;
        let classes = from.list(classes, |from| u32::try_from(from.number()?).ok())?;
        Some(Candidate { avoid, depends, conflicts, classes })
    })?;
    from.0.is_empty().then_some(Package { name, versions, candidates, preference })
}

/// One of so many packages.
fn package_id(number: usize, packages: usize) -> Option<PackageId> {
    PackageId::try_from(number).ok().filter(|_| number < packages)
}

/// A need is a number, of which the lowest two bits tell its kind: of a package the rest is its id, of
/// a list the length.
fn put_need(to: &mut Vec<u8>, need: &Need) {
    match need {
        Need::Package(package, versions) => {
            put(to, (*package as usize) << 2);
            put_versions(to, versions);
        }
        Need::All(parts) => put_needs(to, parts, 1),
        Need::Any(parts) => put_needs(to, parts, 2),
    }
}

fn put_needs(to: &mut Vec<u8>, parts: &[Need], kind: usize) {
    put(to, (parts.len() << 2) | kind);
    parts.iter().for_each(|part| put_need(to, part));
}

fn need(from: &mut From<'_>, packages: usize, depth: usize) -> Option<Need> {
    let head = from.number()?;
    let rest = head >> 2;
    let kind = head & 3;
    if kind == 0 {
        return Some(Need::Package(package_id(rest, packages)?, versions_of(from)?));
    }
    if depth > MAX_DEPTH || rest > from.0.len() {
        return None;
    }
    let parts = from.list(rest, |from| need(from, packages, depth + 1))?;
    match kind {
        1 => Some(Need::All(parts)),
        2 => Some(Need::Any(parts)),
        _ => None,
    }
}

/// Ranges: how many, then each start and length.
fn put_versions(to: &mut Vec<u8>, versions: &VersionSet) {
    put(to, versions.ranges().count());
    for (start, end) in versions.ranges() {
        put(to, usize::from(start));
        put(to, usize::from(end - start));
    }
}

fn versions_of(from: &mut From<'_>) -> Option<VersionSet> {
    let range = |from: &mut From<'_>| {
        let (start, length) = (from.number()?, from.number()?);
        let end = Ordinal::try_from(start.checked_add(length)?).ok()?;
        Some((Ordinal::try_from(start).ok()?, end)).filter(|(start, end)| start < end)
    };
    match from.count()? {
        0 => Some(VersionSet::default()),
        1 => range(from).map(|(start, end)| VersionSet::range(start, end)),
        count => from.list(count, range).map(VersionSet::new),
    }
}

fn put(to: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        to.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    to.push(number.to_le_bytes()[0]);
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    put(to, text.len());
    to.extend(text.as_bytes());
}

/// What is left to be read.
struct From<'a>(&'a [u8]);

impl<'a> From<'a> {
    fn number(&mut self) -> Option<usize> {
        let (mut number, mut shift) = (0_usize, 0);
        loop {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
            shift += 7;
            if shift > 28 {
                return None;
            }
        }
    }

    /// The length of a list, each part of which takes a byte at least.
    fn count(&mut self) -> Option<usize> {
        self.number().filter(|count| *count <= self.0.len())
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<Box<str>> {
        let length = self.number()?;
        self.take(length).and_then(|bytes| std::str::from_utf8(bytes).ok()).map(Into::into)
    }

    fn list<T>(&mut self, count: usize, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(one(self)?);
        }
        Some(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::formula::{Atom, Formula, Versions};
    use crate::package::index::Entry;
    use crate::version::Relation;

    fn atom(name: &str, versions: Versions) -> Formula {
        Formula::Atom(Atom { name: name.to_owned(), versions })
    }

    fn sample() -> Index {
        let not = Versions::That(Relation::NotEqual, "5".to_owned());
        let either = Formula::Any(vec![
            Formula::All(vec![atom("b", Versions::Every), atom("c", not)]),
            atom("nowhere", Versions::Every),
        ]);
        let mut entries: Vec<Entry> = (0..200).map(|number| Entry::new("c", &number.to_string())).collect();
        entries.push(Entry { depends: Some(either), ..Entry::new("a", "1.0~é") });
        entries.push(Entry {
            avoid: true,
            classes: vec!["x".into(), "y".into()],
            conflicts: Some(atom("c", Versions::That(Relation::Less, "7".to_owned()))),
            ..Entry::new("b", "2")
        });
        entries.push(Entry { available: false, ..Entry::new("b", "1") });
        Index::new(&entries).unwrap()
    }

    fn same(a: &Index, b: &Index) -> bool {
        a.packages == b.packages && a.ids == b.ids
    }

    #[test]
    fn an_index_is_read_as_it_was_written() {
        let index = sample();
        let bytes = index.encode();
        assert!(same(&Index::decode(&bytes).unwrap(), &index));
        assert_eq!(Index::decode(&bytes).unwrap().encode(), bytes);
        assert!(same(&Index::decode(&Index::default().encode()).unwrap(), &Index::default()));
    }

    /// Numbers of other packages and versions are never followed out of an index, whatever it was
    /// read from.
    #[test]
    fn damaged_bytes_give_no_index_that_leads_nowhere() {
        let bytes = sample().encode();
        let mut read = 0;
        for cut in 0..bytes.len() {
            assert!(Index::decode(&bytes[..cut]).is_none(), "{cut}");
        }
        for at in 0..bytes.len() {
            for flip in [1, 2, 4, 0x10, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                let Some(index) = Index::decode(&damaged) else { continue };
                read += 1;
                for (id, package) in (0..).zip(index.packages()) {
                    for ordinal in &package.preference {
                        let candidate = index.version(id, *ordinal).1;
                        candidate.conflicts.iter().for_each(|(other, _)| drop(index.package(*other).clone()));
                        candidate.depends.iter().for_each(|need| follow(&index, need));
                    }
                }
            }
        }
        assert!(read > 0, "no damage went unnoticed: this test has nothing to look at");
    }

    fn follow(index: &Index, need: &Need) {
        match need {
            Need::Package(id, _) => drop(index.package(*id).clone()),
            Need::All(parts) | Need::Any(parts) => parts.iter().for_each(|part| follow(index, part)),
        }
    }
}
