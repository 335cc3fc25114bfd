//! Debian version numbers and how they compare (`deb-version(7)`).

use std::cmp::Ordering;

use crate::version::order;

/// Compares two versions, `[epoch:]upstream[-revision]` each, as dpkg does.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (epoch_a, upstream_a, revision_a) = split(a);
    let (epoch_b, upstream_b, revision_b) = split(b);

    order(epoch_a.as_bytes(), epoch_b.as_bytes())
        .then_with(|| order(upstream_a.as_bytes(), upstream_b.as_bytes()))
        .then_with(|| order(revision_a.as_bytes(), revision_b.as_bytes()))
}

/// A version constraint of a dependency: `>= 1.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constraint<'a> {
    operator: &'a str,
    version: &'a str,
}

impl<'a> Constraint<'a> {
    /// Reads what stands between a dependency's parentheses.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let end = text.find(|c| !matches!(c, '<' | '>' | '='))?;
        let (operator, version) = text.split_at(end);
        let known = matches!(operator, "<<" | "<=" | "=" | ">=" | ">>" | "<" | ">");
        known.then(|| Self { operator, version: version.trim() })
    }

    /// The version that it names.
    pub fn version(&self) -> &'a str {
        self.version
    }

    /// Whether `version` is one that the constraint allows.
    pub fn allows(&self, version: &str) -> bool {
        let order = compare(version, self.version);
        match self.operator {
            "<<" => order == Ordering::Less,
            // The one-sign forms are obsolete and mean "or equal".
            "<=" | "<" => order != Ordering::Greater,
            "=" => order == Ordering::Equal,
            ">>" => order == Ordering::Greater,
            _ => order != Ordering::Less,
        }
    }
}

impl std::fmt::Display for Constraint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.operator, self.version)
    }
}

fn split(version: &str) -> (&str, &str, &str) {
    let (epoch, rest) = version.trim().split_once(':').unwrap_or(("", version.trim()));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_dpkg_does() {
        // Each greater than the one before it; from dpkg's own tests and deb-version(7).
        let ordered = [
            "0~~",
            "0~~a",
            "0~",
            "0",
            "0a",
            "0.0",
            "1.0~rc1-1",
            "1.0-0",
            "1.0-1~bpo12+1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1.1",
            "1.0+dfsg-1",
            "1.0.1-1",
            "1.2-1",
            "1.10-1",
            "1.10.99999999999999999999-1",
            "0:2",
            "1:0.1",
        ];
        for (index, low) in ordered.iter().enumerate() {
            assert_eq!(compare(low, low), Ordering::Equal, "{low}");
            for high in &ordered[index + 1..] {
                assert_eq!(compare(low, high), Ordering::Less, "{low} {high}");
                assert_eq!(compare(high, low), Ordering::Greater, "{high} {low}");
            }
        }
        assert_eq!(compare("1.0", "0:1.0-0"), Ordering::Equal);
        assert_eq!(compare("1.001", "1.1"), Ordering::Equal);
    }

    #[test]
    fn constraints_hold_as_written() {
        let allows = |constraint, version| Constraint::parse(constraint).unwrap().allows(version);
        assert!(allows(">= 2.43", "2.43-1") && !allows(">> 2.43-1", "2.43-1"));
        assert!(allows("<< 3", "3~rc") && !allows("<= 3", "3.0"));
        assert!(allows("= 1:2", "1:2") && !allows("=1:2", "2"));
        for bad in ["", "1.0", "~ 1", "=> 1"] {
            assert!(Constraint::parse(bad).is_none(), "{bad}");
        }
    }
}
