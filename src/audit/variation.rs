//! What an audit makes different from one build to the next, by stable names.
//!
//! A variation changes how a sandbox is run, and never what is built: no key depends on it.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// One thing that is made different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variation {
    /// The wall clock, and with it the times of files that the build makes.
    Time,
    /// How many things the build's own tools do at once.
    Jobs,
    /// How many processors there are.
    Cpus,
    Hostname,
    /// Number and name of the user and of the group.
    User,
    Locale,
    Timezone,
    Umask,
    /// `HOME` and `TMPDIR`.
    Home,
    /// The directory in which commands run.
    BuildPath,
    /// The order of directory listings.
    Readdir,
    /// Where in memory programs are put.
    Aslr,
    /// What the kernel says of its version.
    Kernel,
    /// Busy processes beside the build.
    Load,
}

impl Variation {
    /// All of them, in the order in which they are listed everywhere.
    pub const ALL: [Self; 14] = [
        Self::Time,
        Self::Jobs,
        Self::Cpus,
        Self::Hostname,
        Self::User,
        Self::Locale,
        Self::Timezone,
        Self::Umask,
        Self::Home,
        Self::BuildPath,
        Self::Readdir,
        Self::Aslr,
        Self::Kernel,
        Self::Load,
    ];

    /// The name by which it is asked for and told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Jobs => "jobs",
            Self::Cpus => "cpus",
            Self::Hostname => "hostname",
            Self::User => "user",
            Self::Locale => "locale",
            Self::Timezone => "timezone",
            Self::Umask => "umask",
            Self::Home => "home",
            Self::BuildPath => "build-path",
            Self::Readdir => "readdir",
            Self::Aslr => "aslr",
            Self::Kernel => "kernel",
            Self::Load => "load",
        }
    }

    /// Whether what it does to a build is up to chance, so that no difference in one build says little.
    pub fn is_racy(self) -> bool {
        matches!(self, Self::Jobs | Self::Cpus | Self::Aslr | Self::Load)
    }
}

impl fmt::Display for Variation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of variations.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Variations(u16);

/// A word that names no variation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{word}` is no variation")]
pub struct UnknownVariation {
    pub word: String,
}

impl Variations {
    /// Nothing is varied.
    pub const NONE: Self = Self(0);

    /// Everything is varied.
    pub fn all() -> Self {
        Variation::ALL.into_iter().collect()
    }

    /// Whether `variation` is one of them.
    pub fn has(self, variation: Variation) -> bool {
        self.0 & bit(variation) != 0
    }

    /// Those of this set that the other one has not.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether nothing is varied.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, in the order of [`Variation::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Variation> {
        Variation::ALL.into_iter().filter(move |variation| self.has(*variation))
    }
}

fn bit(variation: Variation) -> u16 {
    1 << variation as u16
}

impl FromIterator<Variation> for Variations {
    fn from_iter<T: IntoIterator<Item = Variation>>(variations: T) -> Self {
        Self(variations.into_iter().fold(0, |bits, variation| bits | bit(variation)))
    }
}

/// `all`, `none`, or names separated by commas; `all,-load` is all but one.
impl FromStr for Variations {
    type Err = UnknownVariation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut set = Self::NONE;
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (name, is_taken) = match word.strip_prefix('-') {
                Some(name) => (name, false),
                None => (word, true),
            };
            let named = match name {
                "all" => Self::all(),
                "none" => Self::NONE,
                name => {
                    let known = Variation::ALL.into_iter().find(|variation| variation.name() == name);
                    let unknown = || UnknownVariation { word: name.to_owned() };
                    Self(bit(known.ok_or_else(unknown)?))
                }
            };
            set = if is_taken { Self(set.0 | named.0) } else { set.without(named) };
        }
        Ok(set)
    }
}

/// `hostname, user`; nothing for none.
impl fmt::Display for Variations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Variation::name).collect();
        f.write_str(&names.join(", "))
    }
}

impl fmt::Debug for Variations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

impl Serialize for Variations {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(Variation::name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Variations {
        text.parse().unwrap()
    }

    #[test]
    fn sets_are_written_as_names_all_and_all_but() {
        assert_eq!(set("none"), Variations::NONE);
        assert_eq!(set("all").len(), Variation::ALL.len());
        assert_eq!(set("user,hostname").to_string(), "hostname, user");
        assert_eq!(set("all,-load,-time"), set("all").without(set("load,time")));
        assert!(!set("all,-load").has(Variation::Load));
        let unknown = UnknownVariation { word: "clock".into() };
        assert_eq!("time,clock".parse::<Variations>(), Err(unknown));
    }

    #[test]
    fn every_variation_has_a_name_of_its_own() {
        for variation in Variation::ALL {
            assert_eq!(set(variation.name()).iter().collect::<Vec<_>>(), [variation]);
        }
    }
}
