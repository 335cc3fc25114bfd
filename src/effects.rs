//! The effects mode: one setting of a universe, which the worker and all libraries share.

use serde::{Deserialize, Serialize};

/// How compiled code does effects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effects {
    /// `Effect.perform` fails at run time; the smallest and fastest code.
    #[default]
    Disabled,
    /// Continuation-passing style.
    Cps,
    /// Both, chosen at run time.
    DoubleTranslation,
}

impl Effects {
    /// All modes with their words.
    pub const ALL: [(&'static str, Self); 3] =
        [("disabled", Self::Disabled), ("cps", Self::Cps), ("double-translation", Self::DoubleTranslation)];

    /// The word for it, which is also the value of `js_of_ocaml --effects=…`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Cps => "cps",
            Self::DoubleTranslation => "double-translation",
        }
    }
}
