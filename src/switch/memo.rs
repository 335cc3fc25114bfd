//! Whether there is anything to do at all: a run writes down everything that it looked at and
//! everything that it wrote; the next one with the same arguments looks whether that is unchanged.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::cache::Cache;
use super::looked::{Looks, looks_like};
use super::{Environment, Report, Request};
use crate::bytes::{Reader, WORD, Writer, seal, unseal};
use crate::look::{Look, read_look, write_look};

const MAGIC: &[u8; WORD] = b"jtwbuild opam 01";

/// What a run is known by: its arguments and what of the environment has an influence.
pub(super) fn key(request: &Request, environment: &Environment) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{}\n{request:?}\n{environment:?}", env!("CARGO_PKG_VERSION")).as_bytes());
    hasher.finalize()
}

/// The report of the run of this key, if everything still is as it left it.
pub(super) fn recall(root: &Path, key: &blake3::Hash) -> Option<Report> {
    let bytes = std::fs::read(Cache::run_file(root, key)).ok()?;
    let mut from = Reader(unseal(&bytes, MAGIC)?);
    let report = read_report(&mut from)?;
    let looks = from.list(|from| {
        let path = std::str::from_utf8(from.text()?).ok()?;
        let look = match from.array()? {
            [0] => None,
            _ => Some(read_look(from)?),
        };
        Some((Path::new(path), look))
    })?;
    looks.par_iter().with_min_len(256).all(|(path, look)| looks_like(path, look.as_ref())).then_some(report)
}

/// Writes the memo of a run; where that fails, the next run finds none.
pub(super) fn keep(
    cache: &Cache,
    root: &Path,
    key: &blake3::Hash,
    report: &Report,
    looked: Looks,
    written: Vec<(PathBuf, Look)>,
) {
    let mut to = Writer(MAGIC.to_vec());
    write_report(&mut to, report);
    let all: Vec<(PathBuf, Option<Look>)> =
        looked.into_iter().chain(written.into_iter().map(|(path, look)| (path, Some(look)))).collect();
    to.number(all.len());
    for (path, look) in &all {
        let Some(path) = path.to_str() else { return };
        to.text(path.as_bytes());
        to.0.push(u8::from(look.is_some()));
        look.iter().for_each(|look| write_look(&mut to, look));
    }
    let draft = cache.fresh();
    let _ = super::cache::write(&draft, &seal(to.0))
        .and_then(|()| super::cache::move_into(&draft, &Cache::run_file(root, key)));
}

fn write_report(to: &mut Writer, report: &Report) {
    for number in [report.libraries, report.archives, report.interfaces] {
        to.number(number);
    }
    to.number(report.notes.len());
    report.notes.iter().for_each(|note| to.text(note.as_bytes()));
}

fn read_report(from: &mut Reader<'_>) -> Option<Report> {
    Some(Report {
        libraries: from.number()?,
        archives: from.number()?,
        interfaces: from.number()?,
        notes: from.list(|from| String::from_utf8(from.text()?.to_vec()).ok())?,
        is_unchanged: true,
        ..Report::default()
    })
}
