//! The `jtwbuild` program.

#![deny(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

fn main() {}
