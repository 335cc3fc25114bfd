//! Starting the programs of an installed OCaml: js_of_ocaml, ocamlc, and what says where they are.
//!
//! They run as the user would run them, with his environment and without a sandbox: what they are is
//! what is on this machine, and nothing of what they read was written by strangers that the user has
//! not installed. They are started without a shell, with nothing on their standard input.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::SwitchError;

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// `None` when a signal ended it.
    pub status: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Ended {
    pub(super) fn is_success(&self) -> bool {
        self.status == Some(0)
    }

    /// What it complained of.
    pub(super) fn said(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Programs share this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Setting {
    /// The search path; `None` leaves it as it is.
    pub path: Option<OsString>,
}

impl Setting {
    /// Runs `program` to its end, in `directory` or here.
    #[expect(
        clippy::disallowed_methods,
        reason = "an installed OCaml is used as it is: see the file's header"
    )]
    pub(super) fn run<A: AsRef<OsStr>>(
        &self,
        program: &Path,
        arguments: &[A],
        directory: Option<&Path>,
    ) -> Result<Ended, SwitchError> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        let output = command
            .output()
            .map_err(|source| SwitchError::Start { program: PathBuf::from(program), source })?;
        Ok(Ended { status: output.status.code(), stdout: output.stdout, stderr: output.stderr })
    }
}
