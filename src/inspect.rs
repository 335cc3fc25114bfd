//! What is asked about plans, trees and build documents once they are there: differences and
//! reasons. Reads only.

pub mod depends;
pub mod document;
pub mod history;
pub mod prospect;
pub mod scenes;
pub mod trees;
pub mod why;
pub mod words;
