//! `jtwbuild doctor`: can this machine build?

use std::process::ExitCode;

use super::trouble::{Exit, Trouble};
use super::{Doctor, Global, render};

pub(super) fn run(_global: &Global, _verb: &Doctor) -> Result<ExitCode, Trouble> {
    let sandbox = crate::sandbox::Sandbox::start(crate::sandbox::Settings::default());
    sandbox.map_err(|error| Trouble::new(Exit::Environment, "jtwbuild::sandbox::missing", error, None))?;
    render::note("ready");
    Ok(ExitCode::SUCCESS)
}
