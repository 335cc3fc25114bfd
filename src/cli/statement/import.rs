//! The way in for statements of others: whichever verb asks, and wherever they are, they come through
//! [`import`], and so through the one check.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cli::arguments::statements::Imported;
use crate::cli::render;
use crate::cli::trouble::{Exit, Trouble};
use crate::diagnostic::SourceFile;
use crate::fetch::{Fetcher, Settings};
use crate::statement::MAX_BYTES;
use crate::statement::trust::Trust;
use crate::statement::verify::{Against, Refusal, Verified, verify_all};
use crate::store::Store;
use crate::universe::read_text;

/// Reads the trust file.
pub(in crate::cli) fn trust(imported: &Imported) -> Result<Trust, Trouble> {
    let file: SourceFile = read_text(&imported.trust).map_err(|error| {
        let help = "`jtwbuild key show` prints a public key; the book's guide on statements has an example";
        Trouble::new(Exit::Input, "jtwbuild::trust::unreadable", error, Some(help))
    })?;
    Ok(Trust::read(&file)?)
}

/// Reads and checks statements. If one is refused, all are: what is missing might have been the one
/// that disagrees. Those that are accepted are remembered, so that no older one is taken later.
pub(in crate::cli) fn import(
    store: &Arc<Store>,
    imported: &Imported,
    trust: &Trust,
    offline: bool,
) -> Result<Vec<Verified>, Trouble> {
    let seen = store.seen_statements()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let against = Against { trust, seen: &seen, now, max_age_days: imported.max_age };
    let fetcher = Fetcher::new(Settings { offline, ..Settings::default() });
    let files: Result<Vec<Vec<u8>>, Trouble> =
        imported.statements.iter().map(|place| read(&fetcher, store, place)).collect();
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    for (place, result) in imported.statements.iter().zip(verify_all(&files?, &against)) {
        match result {
            Ok(verified) => accepted.push(verified),
            Err(refusal) => refused.push(refuse(place, &refusal)),
        }
    }
    if let Some(last) = refused.pop() {
        for trouble in &refused {
            render::trouble(trouble);
        }
        return Err(last);
    }
    let to_remember: Vec<_> = accepted.iter().map(Verified::to_remember).collect();
    store.remember_statements(&to_remember)?;
    Ok(accepted)
}

/// The bytes of a statement, from a file or a URL.
fn read(fetcher: &Fetcher, store: &Store, place: &str) -> Result<Vec<u8>, Trouble> {
    let unreadable = |reason: String| {
        let message = format!("the statement `{place}` cannot be read: {reason}");
        Trouble::new(Exit::Environment, "jtwbuild::statement::unreadable", message, None)
    };
    let bounded = |path: &std::path::Path| {
        use std::io::Read;
        let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
        let mut bytes = Vec::new();
        let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
        read.map(|_| bytes).map_err(|error| unreadable(error.to_string()))
    };
    let is_url = ["http://", "https://", "file://"].iter().any(|scheme| place.starts_with(scheme));
    if !is_url {
        return bounded(std::path::Path::new(place));
    }
    let (progress, stop) = (|_, _| {}, AtomicBool::new(false));
    let downloaded = fetcher.download(store, place, MAX_BYTES, &progress, &stop, bounded);
    downloaded.map_err(|failure| unreadable(failure.to_string()))?
}

fn refuse(place: &str, refusal: &Refusal) -> Trouble {
    let (code, help) = match refusal.word() {
        "unsigned" => (
            "jtwbuild::statement::unsigned",
            Some("`jtwbuild statement sign` signs a draft; only its party can do that"),
        ),
        "signature" => (
            "jtwbuild::statement::signature",
            Some("it was damaged or changed on its way: get it again from its party"),
        ),
        "untrusted" => (
            "jtwbuild::statement::untrusted",
            Some("if you know whose key that is, add it to the trust file"),
        ),
        "expired" => (
            "jtwbuild::statement::expired",
            Some("ask the party for its new key, and for statements that are signed with it"),
        ),
        "replayed" => (
            "jtwbuild::statement::replayed",
            Some("get the newest one from its party: what an older one says may have been taken back"),
        ),
        "old" => ("jtwbuild::statement::old", Some("`--max-age` says how old a statement may be")),
        "future" => {
            ("jtwbuild::statement::future", Some("one of the clocks is wrong, this machine's or the party's"))
        }
        _ => ("jtwbuild::statement::malformed", Some("another version of jtwbuild may have written it")),
    };
    let message = format!("the statement `{place}` is refused: {refusal}");
    Trouble::new(Exit::Unattested, code, message, help)
}
