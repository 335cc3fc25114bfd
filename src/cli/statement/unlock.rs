//! Secret keys with their passphrases: from a file, or asked for on the terminal.

use std::path::Path;

use crate::cli::passphrase::{NoAnswer, ask};
use crate::cli::trouble::{Exit, Trouble};
use crate::statement::key::{KeyError, KeyFile, SecretKey};
use crate::statement::passphrase::Passphrase;
use crate::statement::protection::ProtectedKey;

/// Reads a secret key; its passphrase is read from the file or asked for if it has one.
pub(super) fn read(key: &Path, passphrase_file: Option<&Path>) -> Result<SecretKey, Trouble> {
    match KeyFile::read(key)? {
        KeyFile::Open(secret) => Ok(secret),
        KeyFile::Protected(protected) => unlock(&protected, key, passphrase_file),
    }
}

/// The key in the file `key`, which has a passphrase.
pub(super) fn unlock(
    protected: &ProtectedKey,
    key: &Path,
    passphrase_file: Option<&Path>,
) -> Result<SecretKey, Trouble> {
    let passphrase = match passphrase_file {
        Some(file) => Passphrase::read(file)?,
        None => ask(&format!("passphrase of {}: ", key.display())).map_err(|why| no_answer(key, why))?,
    };
    Ok(protected.unlock(&passphrase)?)
}

/// The passphrase for a key that is to be made.
pub(super) fn choose(key: &Path, passphrase_file: Option<&Path>) -> Result<Passphrase, Trouble> {
    let unfit = |message: &str, help: &str| {
        Trouble::new(Exit::Input, "jtwbuild::key::passphrase", message, Some(help))
    };
    let passphrase = if let Some(file) = passphrase_file {
        Passphrase::read(file)?
    } else {
        let asked = |question: &str| ask(question).map_err(|why| no_answer(key, why));
        let passphrase = asked(&format!("passphrase for {}: ", key.display()))?;
        if !passphrase.is_same(&asked("the same again: ")?) {
            return Err(unfit("these are two different passphrases", "no key was made: try again"));
        }
        passphrase
    };
    if passphrase.is_empty() {
        return Err(unfit(
            "an empty passphrase protects nothing",
            "a key without one is made without `--protect`",
        ));
    }
    Ok(passphrase)
}

fn no_answer(key: &Path, why: NoAnswer) -> Trouble {
    let shown = key.display();
    match why {
        NoAnswer::NoTerminal(error) => {
            let message =
                format!("the passphrase of `{shown}` is needed, and there is no terminal to ask: {error}");
            Trouble::new(Exit::Input, "jtwbuild::key::protected", message, Some(HOW_TO_GIVE_IT))
        }
        NoAnswer::Unreadable(error) => {
            let message = format!("the passphrase of `{shown}` cannot be read from the terminal: {error}");
            Trouble::new(Exit::Environment, "jtwbuild::key::terminal", message, None)
        }
        NoAnswer::NotOne(why) => {
            let message = format!("this cannot be the passphrase of `{shown}`: {why}");
            Trouble::new(Exit::Input, "jtwbuild::key::passphrase", message, Some(ONE_LINE))
        }
    }
}

const HOW_TO_GIVE_IT: &str =
    "run it on a terminal, or name a file that holds the passphrase with `--passphrase-file`";

const ONE_LINE: &str = "a passphrase is one line of at most 1,022 bytes; a file holds nothing else";

impl From<KeyError> for Trouble {
    fn from(error: KeyError) -> Self {
        let (exit, code, help) = match &error {
            KeyError::Io { .. } => (Exit::Environment, "jtwbuild::key::io", None),
            KeyError::NotOne { .. } => (
                Exit::Input,
                "jtwbuild::key::malformed",
                Some("`jtwbuild key generate` makes a key; `minisign -G` too"),
            ),
            KeyError::Exposed { .. } => (
                Exit::Input,
                "jtwbuild::key::exposed",
                Some("`chmod 600` it; if somebody else may have read it, make another key"),
            ),
            KeyError::Protected { .. } => (Exit::Input, "jtwbuild::key::protected", Some(HOW_TO_GIVE_IT)),
            KeyError::WrongPassphrase { .. } => (
                Exit::Input,
                "jtwbuild::key::wrong-passphrase",
                Some("try again; whoever has lost it needs another key: `jtwbuild key generate`"),
            ),
            KeyError::NoPassphrase { .. } => (Exit::Input, "jtwbuild::key::passphrase", Some(ONE_LINE)),
            KeyError::Excessive { .. } => (
                Exit::Input,
                "jtwbuild::key::excessive",
                Some("minisign takes at most 1 GiB: neither it nor jtwbuild has made this key"),
            ),
            KeyError::Memory { .. } => (
                Exit::Environment,
                "jtwbuild::key::memory",
                Some("sign the draft where there is more memory: `jtwbuild statement sign`"),
            ),
            KeyError::Exists { .. } => {
                (Exit::Input, "jtwbuild::key::exists", Some("keys are never overwritten: name another file"))
            }
            KeyError::Crypto(_) => (Exit::Environment, "jtwbuild::key::crypto", None),
        };
        Self::new(exit, code, error, help)
    }
}
