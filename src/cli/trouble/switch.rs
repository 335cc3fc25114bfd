//! What to do when an installed OCaml gives no artifacts.

use super::{Exit, Trouble};
use crate::switch::SwitchError;

impl From<SwitchError> for Trouble {
    fn from(error: SwitchError) -> Self {
        let did_you_mean;
        let (exit, code, help) = match &error {
            SwitchError::NoProgram("js_of_ocaml") => (
                Exit::Environment,
                "jtwbuild::switch::no-program",
                Some(
                    "install `js_of_ocaml-compiler` (opam) or `js-of-ocaml` (Debian); in a shell without the switch's programs, `--switch NAME` names it",
                ),
            ),
            SwitchError::NoProgram(_) | SwitchError::Start { .. } => (
                Exit::Environment,
                "jtwbuild::switch::no-program",
                Some(
                    "`eval $(opam env)` puts the switch's programs on PATH; or name the switch with `--switch NAME`",
                ),
            ),
            SwitchError::Switch { .. } => (
                Exit::Environment,
                "jtwbuild::switch::unusable",
                Some("`opam switch list` names the switches; a local one is named by its directory"),
            ),
            SwitchError::Tool { .. } | SwitchError::NotText(_) => {
                (Exit::Environment, "jtwbuild::switch::unusable", None)
            }
            SwitchError::Unknown { like: Some(like), .. } => {
                did_you_mean = format!("did you mean `{like}`?");
                (Exit::Input, "jtwbuild::switch::unknown-library", Some(did_you_mean.as_str()))
            }
            SwitchError::Unknown { .. } => (
                Exit::Input,
                "jtwbuild::switch::unknown-library",
                Some("`ocamlfind list` names what is installed"),
            ),
            SwitchError::NoWorkerLibrary { .. } => (
                Exit::Input,
                "jtwbuild::switch::no-worker-library",
                Some(
                    "install `js_of_ocaml-toplevel` (opam) or `libjs-of-ocaml-dev` (Debian); without a worker: `--no-worker`",
                ),
            ),
            SwitchError::Meta { .. } => (Exit::Input, "jtwbuild::switch::meta", None),
            SwitchError::Circle(_) => (Exit::Input, "jtwbuild::switch::circle", None),
            SwitchError::Compile(_) => (
                Exit::Failed,
                "jtwbuild::switch::compile",
                Some(
                    "what each program said is above; what could be compiled is kept, and the output directory is as it was",
                ),
            ),
            SwitchError::Path(_) => (
                Exit::Input,
                "jtwbuild::switch::path",
                Some(
                    "paths are below the output directory, of letters, digits and `._+~-@,=!:`, for instance `p/fmt`",
                ),
            ),
            SwitchError::NotOurs(_) | SwitchError::NotADirectory(_) => (
                Exit::Environment,
                "jtwbuild::switch::occupied",
                Some("give another directory with `-o DIR`, or empty this one"),
            ),
            SwitchError::Changed(_) => (
                Exit::Environment,
                "jtwbuild::switch::changed",
                Some("something was being installed; run the same command again"),
            ),
            SwitchError::Io { .. } | SwitchError::Held(_) | SwitchError::Tree(_) | SwitchError::Jtw(_) => {
                (Exit::Environment, "jtwbuild::switch::io", None)
            }
        };
        Self::new(exit, code, &error, help)
    }
}
