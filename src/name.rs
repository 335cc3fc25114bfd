//! Names that are valid by construction: of packages, nodes, base recipes, environment variables.
//!
//! All are safe as one component of a path and never look like an option.

use std::borrow::Borrow;
use std::fmt;

use crate::toml_reader::{FromText, TextError};

/// Longest name taken, in bytes: room for a suffix in a directory entry of 255.
const MAX_LENGTH: usize = 200;

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:literal, $good:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Box<str>);

        impl $type {
            /// Checks the characters of a name.
            pub fn new(text: &str) -> Option<Self> {
                let good: fn(&str) -> bool = $good;
                (!text.is_empty() && text.len() <= MAX_LENGTH && good(text)).then(|| Self(text.into()))
            }

            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromText for $type {
            fn from_text(text: &str) -> Result<Self, TextError> {
                Self::new(text).ok_or_else(|| TextError {
                    code: "name",
                    message: format!("`{}` is not {}", text.escape_debug(), $what),
                    label: "bad name".into(),
                    help: Some($rule.into()),
                    within: None,
                })
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(
    /// The name of an OCaml package, by opam's rule.
    PackageName,
    "a package name",
    "a package name is made of letters, digits, `_`, `+` and `-`, with at least one letter",
    |text| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
            && text.bytes().any(|byte| byte.is_ascii_alphabetic())
            && !text.starts_with('-')
    }
);

name_type!(
    /// The name of a node of the user's own, and of a universe.
    NodeName,
    "a name",
    "a name is made of letters, digits, `.`, `_`, `+` and `-`, and begins with a letter, digit or `_`",
    is_word
);

name_type!(
    /// The name of a recipe that there may be several of a kind of: a base, a build system.
    RecipeName,
    "a recipe's name",
    "a name is made of letters, digits, `.`, `_`, `+` and `-`, and begins with a letter, digit or `_`",
    is_word
);

name_type!(
    /// The name of an environment variable.
    VariableName,
    "the name of an environment variable",
    "such a name is made of letters, digits and `_`, and does not begin with a digit",
    |text| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !text.starts_with(|first: char| first.is_ascii_digit())
    }
);

name_type!(
    /// A dotted findlib library name: `fmt.cli`.
    LibraryName,
    "the name of a findlib library",
    "a library's name is made of letters, digits, `_`, `-`, `+` and single dots",
    |text| {
        text.split('.').all(|part| {
            !part.is_empty()
                && !part.starts_with('-')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
        })
    }
);

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
        && text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_its_directory_or_looks_like_an_option() {
        for bad in ["", ".", "..", "../x", "a/b", "-rf", "a b", "a\nb", "a\0", "é", &"a".repeat(201)] {
            assert!(PackageName::new(bad).is_none(), "{bad:?}");
            assert!(NodeName::new(bad).is_none(), "{bad:?}");
            assert!(RecipeName::new(bad).is_none(), "{bad:?}");
            assert!(VariableName::new(bad).is_none(), "{bad:?}");
            assert!(LibraryName::new(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn names_in_use_are_taken() {
        for good in ["fmt", "ocplib-endian", "zarith_stubs_js", "0install", "conf-g++"] {
            assert!(PackageName::new(good).is_some(), "{good:?}");
        }
        assert!(PackageName::new("123").is_none());
        assert!(NodeName::new("node.1_a+b-c").is_some());
        assert!(LibraryName::new("base.base_internalhash_types").is_some());
        assert!(VariableName::new("OCAMLPATH").is_some());
    }
}
