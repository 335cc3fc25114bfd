//! What is asked about plans, trees and build documents once they are there: differences and
//! reasons. Reads only.

pub mod contents;
pub mod depends;
pub mod document;
pub mod explained;
pub mod folder;
pub mod history;
pub mod interfaces;
pub mod outputs;
pub mod pins;
pub mod plans;
pub mod prospect;
pub mod report;
pub mod scenes;
pub mod sites;
pub mod trees;
pub mod why;
pub mod words;
