//! The packages of an index, and what a set of them depends on.
//!
//! This is not a solver: a suite's packages are meant to be installed together, so the first
//! alternative that the suite can satisfy is taken, as apt does for a new system.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::DebianError;
use crate::fetch::glob::Glob;
use crate::fetch::version::{self, Constraint};
use crate::source::{PinnedDeb, Sha256};

/// One stanza of an index; fields are kept as text until they are needed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Package<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    /// The source package, if it is called otherwise.
    source: &'a str,
    pub(super) description: &'a str,
    depends: &'a str,
    pre_depends: &'a str,
    path: &'a str,
    size: &'a str,
    sha256: &'a str,
}

/// All packages of one or more indexes.
#[derive(Debug)]
pub struct Index<'a> {
    pub(super) packages: HashMap<&'a str, Package<'a>>,
    /// Virtual packages: provider and, where stated, version.
    pub(super) provides: HashMap<&'a str, BTreeMap<&'a str, Option<&'a str>>>,
}

/// One alternative of a dependency: `name (>= 1) | …`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    constraint: Option<Constraint<'a>>,
}

impl Wanted<'_> {
    /// Whether something of that name, with this version if it has one, is what is wanted.
    pub(super) fn allows(&self, version: Option<&str>) -> bool {
        match (self.constraint, version) {
            (None, _) => true,
            (Some(constraint), Some(version)) => constraint.allows(version),
            (Some(_), None) => false,
        }
    }
}

impl<'a> Index<'a> {
    /// Reads indexes; of several versions of one package the highest counts. Packages of other
    /// architectures are passed over.
    pub fn new(texts: &'a [String], arch: &str) -> Self {
        let mut index = Self { packages: HashMap::new(), provides: HashMap::new() };
        for stanza in texts.iter().flat_map(|text| text.split("\n\n")) {
            index.stanza(stanza, arch);
        }
        index
    }

    fn stanza(&mut self, stanza: &'a str, arch: &str) {
        let mut package = Package::default();
        let (mut provides, mut right_arch) = ("", false);
        for line in stanza.lines() {
            // The fields needed never go on in a second line.
            let Some((key, value)) = line.split_once(": ") else { continue };
            let value = value.trim();
            match key {
                "Package" => package.name = value,
                "Version" => package.version = value,
                "Architecture" => right_arch = value == arch || value == "all",
                "Source" => package.source = value.split(' ').next().unwrap_or(value),
                "Description" => package.description = value,
                "Depends" => package.depends = value,
                "Pre-Depends" => package.pre_depends = value,
                "Provides" => provides = value,
                "Filename" => package.path = value,
                "Size" => package.size = value,
                "SHA256" => package.sha256 = value,
                _ => {}
            }
        }
        let older = |known: &Package| version::compare(known.version, package.version) == Ordering::Less;
        if package.name.is_empty()
            || !right_arch
            || self.packages.get(package.name).is_some_and(|old| !older(old))
        {
            return;
        }
        self.packages.insert(package.name, package);
        for wanted in alternatives(provides.split(',')) {
            let version = wanted.constraint.map(|constraint| constraint.version());
            self.provides.entry(wanted.name).or_default().insert(package.name, version);
        }
    }

    /// `named` and everything they depend on, sorted by name. Dependencies on packages that match
    /// `without` are left out, unless they are named.
    pub fn closure(&self, named: &[String], without: &[Glob]) -> Result<Vec<PinnedDeb>, DebianError> {
        let mut chosen = BTreeSet::new();
        for name in named {
            let (name, _) = self.packages.get_key_value(name.as_str()).ok_or_else(|| self.unknown(name))?;
            chosen.insert(*name);
        }
        let named = chosen.clone();
        let excluded = |name: &str| !named.contains(name) && without.iter().any(|glob| glob.matches(name));
        let mut queue: VecDeque<&str> = chosen.iter().copied().collect();
        while let Some(name) = queue.pop_front() {
            let package = self.packages[name];
            for group in package.groups() {
                if let Some(next) = self.satisfy(package.name, group, &chosen, &excluded)? {
                    chosen.insert(next);
                    queue.push_back(next);
                }
            }
        }
        chosen.iter().map(|name| self.packages[name].pin()).collect()
    }

    /// What must be added for one dependency, `a | b`; nothing if it is satisfied or left out.
    fn satisfy(
        &self,
        package: &str,
        group: &'a str,
        chosen: &BTreeSet<&'a str>,
        excluded: &dyn Fn(&str) -> bool,
    ) -> Result<Option<&'a str>, DebianError> {
        let wanted: Vec<_> = alternatives(group.split('|')).collect();
        let candidates: Vec<_> = wanted.iter().map(|wanted| self.candidates(*wanted)).collect();
        if candidates.iter().flatten().any(|candidate| chosen.contains(candidate)) {
            return Ok(None);
        }
        // The first alternative that the suite has decides: if it is not wanted here, neither is
        // what could stand in for it.
        let Some(first) = candidates.into_iter().find(|candidates| !candidates.is_empty()) else {
            let ruled_out = !wanted.is_empty() && wanted.iter().all(|wanted| excluded(wanted.name));
            let error = || DebianError::Unsatisfiable { package: package.into(), dependency: group.into() };
            return if ruled_out { Ok(None) } else { Err(error()) };
        };
        Ok(first.into_iter().find(|candidate| !excluded(candidate)))
    }

    /// Packages that satisfy one alternative: the one of that name, then those that provide it, in
    /// order of name.
    pub(super) fn candidates(&self, wanted: Wanted<'_>) -> Vec<&'a str> {
        let real = self.packages.get(wanted.name).filter(|package| wanted.allows(Some(package.version)));
        let stand_ins = self.provides.get(wanted.name).into_iter().flatten();
        // A newer version of a package in another index may no longer provide it; harmless.
        let stand_ins = stand_ins.filter(|(_, version)| wanted.allows(**version)).map(|(name, _)| *name);
        real.map(|package| package.name).into_iter().chain(stand_ins).collect()
    }

    pub(super) fn unknown(&self, name: &str) -> DebianError {
        let mut near: Vec<_> = self
            .packages
            .keys()
            .map(|known| (strsim::damerau_levenshtein(known, name), *known))
            .filter(|(distance, _)| *distance <= 2.max(name.len() / 4))
            .collect();
        near.sort_unstable();
        let near = near.into_iter().take(3).map(|(_, known)| known.to_owned()).collect();
        DebianError::Unknown { name: name.to_owned(), near }
    }
}

impl<'a> Package<'a> {
    /// The name of its source package.
    pub(super) fn source(&self) -> &'a str {
        if self.source.is_empty() { self.name } else { self.source }
    }

    /// The dependencies, each a list of alternatives: `a | b`.
    pub(super) fn groups(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let groups = self.pre_depends.split(',').chain(self.depends.split(','));
        groups.map(str::trim).filter(|group| !group.is_empty())
    }

    pub(super) fn pin(&self) -> Result<PinnedDeb, DebianError> {
        let bad = |reason| DebianError::Entry { package: self.name.to_owned(), reason };
        let made_of = |text: &str, others: &[u8]| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
        };
        // By Debian's policy, 5.6.7 and 5.6.12.
        if self.name.starts_with('-') || !made_of(self.name, b"+-.") {
            return Err(bad("its name has characters that no package's name has"));
        }
        if self.version.is_empty() || !made_of(self.version, b".+-:~") {
            return Err(bad("its Version is not one"));
        }
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        };
        if !self.path.split('/').all(plain) {
            return Err(bad("its Filename is not a path below the mirror"));
        }
        Ok(PinnedDeb {
            name: self.name.to_owned(),
            version: self.version.to_owned(),
            path: self.path.to_owned(),
            size: self.size.parse().map_err(|_| bad("it has no Size"))?,
            sha256: Sha256::from_hex(self.sha256).ok_or_else(|| bad("it has no SHA256"))?,
        })
    }
}

/// Reads `name:any (>= 1) [arch]` items.
pub(super) fn alternatives<'a>(items: impl Iterator<Item = &'a str>) -> impl Iterator<Item = Wanted<'a>> {
    items.filter_map(|item| {
        let item = item.trim();
        let end = item.find([' ', '(', '[']).unwrap_or(item.len());
        let (name, rest) = item.split_at(end);
        let name = name.split(':').next().unwrap_or(name);
        let inner = rest.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inner, _)| inner);
        (!name.is_empty()).then(|| Wanted { name, constraint: inner.and_then(Constraint::parse) })
    })
}
