//! What differs between two contents: files with their sizes, and the compiled interfaces among them.

use serde::Serialize;

use super::interfaces::{self, InterfaceTotals, ModuleDifference};
use super::trees::{self, Difference, Totals};
use crate::store::StoreError;
use crate::store::tree::{File, Tree};

/// Two contents that differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContentDifference {
    /// What has the content: a node's id; nothing where only two contents are compared.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub of: String,
    pub totals: Totals,
    pub files: Vec<Difference>,
    pub interface_totals: InterfaceTotals,
    pub interfaces: Vec<ModuleDifference>,
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
        files,
        interfaces,
    }))
}
