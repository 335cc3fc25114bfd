//! What differs between two contents: files with their sizes, and the compiled interfaces among them.

use serde::Serialize;

use super::interfaces::{self, InterfaceTotals, ModuleDifference};
use super::trees::{self, Difference, Totals};
use crate::explain::Explanation;
use crate::store::StoreError;
use crate::store::tree::{File, Tree};

/// A path at which two contents differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileDifference {
    #[serde(flatten)]
    pub difference: Difference,
    /// Whether it goes into a site, rather than only into other builds. Known of outputs of nodes whose
    /// files are looked into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<bool>,
    /// What the bytes tell, of files that are looked into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
}

/// Two contents that differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContentDifference {
    /// What has the content: a node's id; nothing where only two contents are compared.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub of: String,
    pub totals: Totals,
    pub files: Vec<FileDifference>,
    /// How many more files with other bytes there are than are looked into.
    #[serde(skip_serializing_if = "is_zero")]
    pub unexplained: usize,
    pub interface_totals: InterfaceTotals,
    pub interfaces: Vec<ModuleDifference>,
}

impl From<Difference> for FileDifference {
    fn from(difference: Difference) -> Self {
        Self { difference, published: None, explanation: None }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Compares two contents; nothing if they are equal. Interfaces are compared unless they are not
/// wanted: those of a package are in what it installed and in its browser artifacts.
pub fn compare(
    of: &str,
    before: &Tree,
    after: &Tree,
    read: &dyn Fn(&File) -> Result<Vec<u8>, StoreError>,
    with_interfaces: bool,
) -> Result<Option<ContentDifference>, StoreError> {
    let files = trees::differences(before, after, read)?;
    if files.is_empty() {
        return Ok(None);
    }
    let interfaces =
        if with_interfaces { interfaces::of_files(&files, before, after, read)? } else { Vec::new() };
    Ok(Some(ContentDifference {
        of: of.to_owned(),
        totals: Totals::of(&files),
        interface_totals: InterfaceTotals::of(&interfaces),
        files: files.into_iter().map(FileDifference::from).collect(),
        unexplained: 0,
        interfaces,
    }))
}
