//! `dynamic_cmis.json`: which interfaces a library directory offers, and where.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::bundle::BundleRef;
use crate::store::tree::Name;

/// The file's name.
pub const FILE_NAME: &str = "dynamic_cmis.json";

/// The content of a `dynamic_cmis.json`, its lists sorted by bytes and without repetitions.
/// Readers match these keys and pass over others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DynamicCmis {
    /// Where the interfaces are, relative to the directory of `worker.js`.
    pub dcs_url: String,
    /// Units that are fetched as soon as the library is required, capitalised.
    pub dcs_toplevel_modules: Vec<String>,
    /// Beginnings of file names; units with such a name are fetched when they are first needed.
    pub dcs_file_prefixes: Vec<String>,
    /// C primitives that the archives of this directory need and nobody provides. An addition of
    /// ours, absent when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jtw_missing_primitives: Vec<String>,
    /// The file that holds all interfaces of this directory. An addition of ours, absent when there
    /// is at most one interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jtw_bundle: Option<BundleRef>,
}

impl DynamicCmis {
    /// Describes a directory that holds the `.cmi` files of these names. A unit with two
    /// underscores in its name is hidden: fetched lazily, by what precedes them.
    pub fn describe<'a>(dcs_url: String, cmis: impl Iterator<Item = &'a Name>, missing: Vec<String>) -> Self {
        let mut modules = BTreeSet::new();
        let mut prefixes = BTreeSet::new();
        for name in cmis {
            let Some(unit) = name.as_str().and_then(|name| name.strip_suffix(".cmi")) else { continue };
            match unit.find("__") {
                Some(at) => prefixes.insert(unit[..at + 2].to_owned()),
                None => modules.insert(capitalised(unit)),
            };
        }
        Self {
            dcs_url,
            dcs_toplevel_modules: modules.into_iter().collect(),
            dcs_file_prefixes: prefixes.into_iter().collect(),
            jtw_missing_primitives: missing,
            jtw_bundle: None,
        }
    }

    /// The file's bytes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and lists of strings are always JSON")
    }
}

fn capitalised(unit: &str) -> String {
    let mut unit = unit.to_owned();
    if let Some(first) = unit.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_split_into_eager_and_lazy() {
        let names = ["stdlib.cmi", "std_exit.cmi", "stdlib__List.cmi", "a__.cmi", "a__B__c.cmi", "__x.cmi"];
        let names: Vec<Name> = names.iter().map(|name| Name::new(name.as_bytes()).unwrap()).collect();
        let json = DynamicCmis::describe("lib/ocaml/".into(), names.iter(), vec![]).to_json();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"dcs_url":"lib/ocaml/","dcs_toplevel_modules":["Std_exit","Stdlib"],"dcs_file_prefixes":["__","a__","stdlib__"]}"#
        );
    }

    #[test]
    fn missing_primitives_are_an_additional_key() {
        let json = DynamicCmis::describe("x".into(), [].into_iter(), vec!["p".into()]).to_json();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"dcs_url":"x","dcs_toplevel_modules":[],"dcs_file_prefixes":[],"jtw_missing_primitives":["p"]}"#
        );
    }
}
