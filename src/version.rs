//! Package versions, their order, and constraints on them.
//!
//! The order is opam's, which is that of Debian's upstream versions: `~` sorts before everything,
//! even the end; runs of digits compare as numbers; letters sort before other characters.

use std::cmp::Ordering;
use std::fmt;

use crate::toml_reader::{FromText, TextError};

/// A version: `1.0~beta2`, `v0.17.3`. Also a file name, so it holds no `/` and does not begin with
/// a dot. Equality is that of the order: `1.0` equals `1.00`.
#[derive(Clone)]
pub struct Version(Box<str>);

/// Longest version taken, in bytes.
const MAX_LENGTH: usize = 128;

impl Version {
    /// Checks the characters of a version.
    pub fn new(text: &str) -> Option<Self> {
        let good = !text.is_empty()
            && text.len() <= MAX_LENGTH
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+~-".contains(&byte))
            && !text.starts_with(['.', '-']);
        good.then(|| Self(text.into()))
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        order(self.0.as_bytes(), other.0.as_bytes())
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromText for Version {
    fn from_text(text: &str) -> Result<Self, TextError> {
        let message = || match text {
            "" => "a version is missing".to_owned(),
            _ => format!("`{}` is not a version", text.escape_debug()),
        };
        Self::new(text).ok_or_else(|| TextError {
            code: "version",
            message: message(),
            label: "not a version".into(),
            help: Some("a version is made of letters, digits, `.`, `_`, `+`, `~` and `-`".into()),
            within: None,
        })
    }
}

/// Rank of a character of a run of non-digits; the end of the run has rank 0.
fn rank(byte: Option<&u8>) -> u16 {
    match byte {
        Some(b'~') => 0,
        None | Some(b'0'..=b'9') => 1,
        Some(byte) if byte.is_ascii_alphabetic() => 2 + u16::from(*byte),
        Some(byte) => 2 + 256 + u16::from(*byte),
    }
}

/// Compares two versions, or parts of versions: runs of non-digits and of digits in turn.
pub fn order(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        loop {
            let (first, second) = (rank(a.first()), rank(b.first()));
            if first != second {
                return first.cmp(&second);
            }
            if first == 1 {
                break;
            }
            (a, b) = (&a[1..], &b[1..]);
        }
        let (number_a, number_b);
        (number_a, a) = split_number(a);
        (number_b, b) = split_number(b);
        let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// The leading number without its leading zeros, and the rest.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let zeros = text[..digits].iter().take_while(|byte| **byte == b'0').count();
    (&text[zeros..digits], &text[digits..])
}

/// How a version relates to the one of a constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    /// As written; longer ones first, so that a prefix search finds the right one.
    pub(crate) const ALL: [(&'static str, Self); 6] = [
        ("!=", Self::NotEqual),
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("=", Self::Equal),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    /// Whether two versions in this order are in this relation.
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }

    fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, relation)| *relation == self).map_or("", |(text, _)| text)
    }
}

/// One condition on a version: `>= 1.3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    pub relation: Relation,
    pub version: Version,
}

impl Constraint {
    /// Whether `version` satisfies it.
    pub fn allows(&self, version: &Version) -> bool {
        self.relation.holds(version.cmp(&self.version))
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.relation.as_str(), self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::new(text).unwrap()
    }

    #[test]
    fn versions_sort_as_in_opam() {
        let sorted = [
            "~~",
            "~",
            "~beta2",
            "~beta10",
            "0.1",
            "1.0~beta",
            "1.0",
            "1.0-test",
            "1.0.1",
            "1.0.10",
            "1.9",
            "1.10",
            "5.4.1",
            "5.4.1+options",
            "dev",
            "trunk",
            "v0.9.9",
            "v0.16.5",
            "v0.17.0",
        ];
        for pair in sorted.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn leading_zeros_do_not_count() {
        assert_eq!(version("1.0"), version("1.00"));
        assert_eq!(version("1.010"), version("1.10"));
        assert!(version("1.0") < version("1.0.0"));
    }

    #[test]
    fn numbers_of_any_length_compare() {
        assert!(version("20260101000000000000000000") > version("9999999999999999999999999"));
    }

    #[test]
    fn a_version_is_a_safe_file_name() {
        for bad in ["", ".", "..", "a/b", "-v", "1 2", "1\n", "é", &"1".repeat(129)] {
            assert!(Version::new(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn constraints_use_the_order() {
        let constraint = |relation, text| Constraint { relation, version: version(text) };
        assert!(constraint(Relation::GreaterOrEqual, "1.3").allows(&version("1.10")));
        assert!(!constraint(Relation::Less, "1.0").allows(&version("1.0")));
        assert!(constraint(Relation::Less, "1.0").allows(&version("1.0~rc1")));
        assert!(constraint(Relation::NotEqual, "1.0").allows(&version("1.1")));
        assert_eq!(constraint(Relation::LessOrEqual, "2").to_string(), "<= 2");
    }
}
