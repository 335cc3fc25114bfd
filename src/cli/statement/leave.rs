//! Leaving a statement of what was built: a draft, or signed.

use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use super::unlock::unlock;
use crate::cli::arguments::Global;
use crate::cli::arguments::statements::Signing;
use crate::cli::render;
use crate::cli::trouble::{Exit, Trouble};
use crate::statement::key::{KeyFile, SecretKey};
use crate::statement::{Claim, Statement, is_party_name};
use crate::store::disk;

/// Leaves the statement that was asked for, if one was. The build is good whatever happens here: where
/// a signature was asked for and there is none, the exit code says so, and the draft is there to be
/// signed. `unlocked` is the key as [`check`] gave it.
pub(in crate::cli) fn leave(
    global: &Global,
    signing: &Signing,
    unlocked: Option<SecretKey>,
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
    let key = unlocked.map_or_else(|| SecretKey::read(key), Ok);
    let signed = key.and_then(|key| statement.signed(&key));
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

/// What is wrong with the arguments is told before hours are spent on a build, and the passphrase of the
/// key is asked for: gives the key if it has one. What else is wrong with its file may be mended until
/// the build is done, and is told then.
///
/// The process from which sandboxes are forked has to be there already, or it would hold the key too.
pub(in crate::cli) fn check(signing: &Signing) -> Result<Option<SecretKey>, Trouble> {
    if !is_party_name(&signing.party) {
        let message = "this cannot be the name of a party: it is empty, too long, or has control characters";
        return Err(Trouble::new(Exit::Input, "jtwbuild::statement::party", message, None));
    }
    let Some(path) = &signing.sign_with else { return Ok(None) };
    let Ok(KeyFile::Protected(key)) = KeyFile::read(path) else { return Ok(None) };
    unlock(&key, path, signing.passphrase_file.as_deref()).map(Some)
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
