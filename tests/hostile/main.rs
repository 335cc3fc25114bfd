//! What strangers write, given to the code that reads it: archives, packages, documents, requests.
//!
//! Each module takes one kind of input. `fuzz` mutates the corpus below `tests/fuzz`; see
//! CONTRIBUTING.md for how a seed is replayed.

mod archives;
mod bombs;
mod differential;
mod fuzz;
mod packages;
mod random;
mod scene;
mod serve;
mod suites;
mod table;
mod tar;
mod toml;
mod trees;
