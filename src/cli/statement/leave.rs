//! Leaving a statement of what was built: a draft, or signed.

use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cli::arguments::Global;
use crate::cli::arguments::statements::Signing;
use crate::cli::render;
use crate::cli::trouble::{Exit, Trouble};
use crate::statement::key::SecretKey;
use crate::statement::{Claim, Statement, is_party_name};
use crate::store::disk;

/// Leaves the statement that was asked for, if one was. The build is good whatever happens here: where
/// a signature was asked for and there is none, the exit code says so, and the draft is there to be
/// signed.
pub(in crate::cli) fn leave(
    global: &Global,
    signing: &Signing,
    universe: &str,
    claims: impl FnOnce() -> Result<Vec<Claim>, Trouble>,
) -> Result<ExitCode, Trouble> {
    let Some(target) = &signing.statement else { return Ok(ExitCode::SUCCESS) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let statement = Statement::new(&signing.party, universe, now, claims()?);
    let Some(key) = &signing.sign_with else {
        write(target, &statement.text())?;
        if !global.quiet {
            let how = "`jtwbuild statement sign` signs it";
            render::note(&format!(
                "wrote {}: {} nodes, unsigned; {how}",
                target.display(),
                statement.nodes.len()
            ));
        }
        return Ok(ExitCode::SUCCESS);
    };
    let signed = SecretKey::read(key).and_then(|key| statement.signed(&key));
    match signed {
        Ok(text) => write(target, &text)?,
        Err(error) => {
            render::trouble(&Trouble::from(error));
            write(target, &statement.text())?;
            render::note(&format!(
                "what was built is good; {} is unsigned: `jtwbuild statement sign` signs it later",
                target.display()
            ));
            return Ok(ExitCode::from(Exit::Unattested as u8));
        }
    }
    if !global.quiet {
        render::note(&format!("wrote {}: {} nodes, signed", target.display(), statement.nodes.len()));
    }
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with the arguments is told before hours are spent on a build.
pub(in crate::cli) fn check(signing: &Signing) -> Result<(), Trouble> {
    if !is_party_name(&signing.party) {
        let message = "this cannot be the name of a party: it is empty, too long, or has control characters";
        return Err(Trouble::new(Exit::Input, "jtwbuild::statement::party", message, None));
    }
    Ok(())
}

/// Writes a statement whose file is as it was or whole.
pub(super) fn write(target: &Path, text: &str) -> Result<(), Trouble> {
    disk::replace(target, text.as_bytes()).map_err(|error| {
        let message = format!("the statement cannot be written: {error}");
        let help =
            "what was built is good; the same command writes the statement when there is a place for it";
        Trouble::new(Exit::Unattested, "jtwbuild::statement::unwritable", message, Some(help))
    })
}
