//! `jtwbuild key` and `jtwbuild statement`: keys, signatures, and who says what.

mod import;
mod leave;
mod unlock;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::arguments::Global;
use super::arguments::statements::{Check, Key, KeyVerb, Statement as Verb, StatementVerb};
use super::load::open_store;
use super::render;
use super::trouble::{Exit, Trouble};
use crate::moment::utc;
use crate::statement::key::{KeyError, SecretKey};
use crate::statement::{DraftError, MAX_BYTES, sign_draft};
use crate::store::disk;

pub(super) use self::import::{import, trust};
pub(super) use self::leave::{check as check_signing, leave};

pub(super) fn key(global: &Global, verb: &Key) -> Result<ExitCode, Trouble> {
    match &verb.verb {
        KeyVerb::Generate { file, protect, passphrase_file } => {
            let mut public_file = file.as_os_str().to_owned();
            public_file.push(".pub");
            let public_file = Path::new(&public_file);
            // Before a passphrase is asked for.
            if let Some(path) = [file, public_file].into_iter().find(|path| disk::exists(path)) {
                return Err(KeyError::Exists { path: path.to_owned() }.into());
            }
            let is_protected = *protect || passphrase_file.is_some();
            let passphrase = is_protected.then(|| unlock::choose(file, passphrase_file.as_deref()));
            let key = SecretKey::generate(file, passphrase.transpose()?.as_ref())?;
            let public = key.public()?.text();
            let text = format!("untrusted comment: jtwbuild public key\n{public}\n");
            disk::replace(public_file, text.as_bytes())?;
            if !global.quiet {
                let with =
                    if is_protected { "its passphrase is needed to use it" } else { "it has no passphrase" };
                let what = format!("keep it to yourself, {with}");
                render::note(&format!("wrote {}: {what}", file.display()));
                render::note(&format!("wrote {}: give it to those who trust you", public_file.display()));
            }
            Ok(ExitCode::SUCCESS)
        }
        KeyVerb::Show { file, passphrase_file } => {
            let public = unlock::read(file, passphrase_file.as_deref())?.public()?.text();
            Ok(render::data(&format!("{public}\n")))
        }
    }
}

pub(super) fn run(global: &Global, verb: &Verb) -> Result<ExitCode, Trouble> {
    match &verb.verb {
        StatementVerb::Sign { draft, sign_with, passphrase_file } => {
            sign(global, draft, sign_with, passphrase_file.as_deref())
        }
        StatementVerb::Check(verb) => check(global, verb),
    }
}

fn sign(
    global: &Global,
    draft: &Path,
    key: &Path,
    passphrase_file: Option<&Path>,
) -> Result<ExitCode, Trouble> {
    let unreadable = |reason: String| {
        let message = format!("the draft `{}` cannot be read: {reason}", draft.display());
        Trouble::new(Exit::Input, "jtwbuild::statement::unreadable", message, None)
    };
    let length = disk::metadata(draft).map_err(|error| unreadable(error.to_string()))?.len();
    if length > MAX_BYTES {
        return Err(unreadable(format!("it has more than {MAX_BYTES} bytes")));
    }
    let bytes = std::fs::read(draft).map_err(|error| unreadable(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text".into()))?;
    let key = unlock::read(key, passphrase_file)?;
    let signed = sign_draft(&text, &key).map_err(|error| match error {
        DraftError::Key(error) => Trouble::from(error),
        DraftError::Malformed(error) => {
            let message = format!("`{}` cannot be signed: {error}", draft.display());
            let help = "a draft is what `--statement` writes without `--sign-with`, unchanged";
            Trouble::new(Exit::Input, "jtwbuild::statement::malformed", message, Some(help))
        }
    })?;
    leave::write(draft, &signed)?;
    if !global.quiet {
        render::note(&format!("signed {}", draft.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// One statement of the object that `--json` prints.
#[derive(Serialize)]
struct Line<'a> {
    place: &'a str,
    /// Who it is, by the trust file.
    party: &'a str,
    /// What it calls itself.
    calls_itself: &'a str,
    universe: &'a str,
    made: u64,
    jtwbuild: &'a str,
    nodes: usize,
}

fn check(global: &Global, verb: &Check) -> Result<ExitCode, Trouble> {
    let store = open_store(global)?;
    let trust = trust(&verb.imported)?;
    let verified = import(&store, &verb.imported, &trust, false)?;
    let lines = verified.iter().zip(&verb.imported.statements).map(|(verified, place)| {
        let statement = verified.statement();
        Line {
            place,
            party: &trust.parties[verified.party()].name,
            calls_itself: &statement.party,
            universe: &statement.universe,
            made: statement.made,
            jtwbuild: &statement.jtwbuild,
            nodes: statement.nodes.len(),
        }
    });
    let lines: Vec<Line<'_>> = lines.collect();
    let mut text = String::new();
    if verb.json {
        text = serde_json::to_string_pretty(&serde_json::json!({ "statements": lines }))
            .expect("a report has only text keys");
        text.push('\n');
    } else {
        for line in &lines {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{}: {} about {}, {} nodes, made {} with jtwbuild {}",
                line.place,
                line.party,
                line.universe,
                line.nodes,
                utc(line.made),
                line.jtwbuild
            );
        }
    }
    Ok(render::data(&text))
}
