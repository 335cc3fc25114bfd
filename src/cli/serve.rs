//! `jtwbuild serve`: a site over HTTP until a signal comes.

use std::process::ExitCode;

use super::arguments::{Global, Serve};
use super::render;
use super::trouble::{Exit, Trouble};
use crate::serve::{Limits, Server};

pub(super) fn run(global: &Global, verb: &Serve) -> Result<ExitCode, Trouble> {
    let server = Server::start(&verb.site, verb.listen, Limits::default()).map_err(|error| {
        let help = "`jtwbuild realise` makes a site; `--listen ADDRESS:PORT` takes another address";
        Trouble::new(Exit::Environment, "jtwbuild::serve::start", error, Some(help))
    })?;
    if !global.quiet {
        render::note(&format!(
            "serving {} at http://{}/ (stop with Ctrl-C)",
            verb.site.display(),
            server.address()
        ));
    }
    let mut signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ])
    .map_err(|error| {
        let message = format!("signals cannot be handled: {error}");
        Trouble::new(Exit::Environment, "jtwbuild::environment::signals", message, None)
    })?;
    signals.forever().next();
    server.stop();
    Ok(ExitCode::SUCCESS)
}
