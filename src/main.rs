//! The `jtwbuild` program: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    jtwbuild::cli::run(&jtwbuild::cli::Arguments::parse())
}
