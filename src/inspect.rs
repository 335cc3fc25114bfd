//! What is asked about plans, trees and build documents once they are there: differences and
//! reasons. Reads only.

pub mod trees;
