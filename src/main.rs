//! The `jtwbuild` program: the command line is in [`jtwbuild::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    jtwbuild::cli::main()
}
