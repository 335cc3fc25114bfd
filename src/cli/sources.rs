//! Where the archives of a run came from, as far as that is worth telling: another archive than the
//! package's own, a weak checksum, a mirror.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::derivation::{Action, Kind};
use crate::fetch::{Fetcher, Giver};
use crate::memo::SourceNote;
use crate::plan::Plan;
use crate::store::Store;
use crate::universe::Universe;

/// Sources that are named in one line.
const NAMED: usize = 5;

/// The notes on the sources of a plan; none where all are what recipes of ours name.
pub(super) fn notes(plan: &Plan, universe: &Universe, fetcher: &Fetcher, store: &Store) -> Vec<SourceNote> {
    if !universe.repositories.has_opam() {
        return Vec::new();
    }
    let mut substituted = BTreeSet::new();
    for ((name, version), what) in &universe.repositories.substitutions {
        let own = what.source.iter().map(|_| format!("{name}.{version}"));
        let extra = what.extra.keys().map(|path| {
            let file = path.as_str().replace('/', "+");
            format!("{name}.{version}+{file}")
        });
        substituted.extend(own.chain(extra));
    }
    let mut notes = Vec::new();
    for node in plan.ids().filter(|node| plan.derivation(*node).kind == Kind::Source) {
        let derivation = plan.derivation(node);
        let substituted = substituted.contains(&*derivation.name);
        let fetch = match derivation.action() {
            Ok(Action::Fetch(fetch)) => fetch,
            Ok(Action::Git(git)) if substituted => {
                let checksums = format!("git={}", git.commit);
                let (name, from) = (derivation.name.to_string(), Some(git.url));
                notes.push(SourceNote { name, checksums, from, substituted, weak: false });
                continue;
            }
            _ => continue,
        };
        let provenance = fetcher.provenance(store, &fetch.archive, None);
        let note = SourceNote {
            name: derivation.name.to_string(),
            checksums: provenance.checksums,
            from: provenance.giver.as_ref().map(ToString::to_string),
            substituted,
            weak: provenance.is_weak,
        };
        let is_plain = matches!(provenance.giver, None | Some(Giver::Place(_)));
        if note.substituted || note.weak || !is_plain {
            notes.push(note);
        }
    }
    notes
}

/// What people read of it.
pub(super) fn told(notes: &[SourceNote]) -> String {
    let mut text = String::new();
    let mut line = |what: &str, is: fn(&SourceNote) -> bool| {
        let names: Vec<&str> = notes.iter().filter(|note| is(note)).map(|note| note.name.as_str()).collect();
        if names.is_empty() {
            return;
        }
        let more = names.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more (`--json` names them)") };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{what}: {}{more}", names[..names.len().min(NAMED)].join(", "));
    };
    line("substituted by the universe", |note| note.substituted);
    line("known by an MD5 only, which was allowed", |note| note.weak);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_the_first_few_of_each_sort() {
        let note = |number: usize| SourceNote {
            name: format!("a.{number}"),
            checksums: String::new(),
            from: None,
            substituted: number < 7,
            weak: number == 8,
        };
        let notes: Vec<SourceNote> = (0..9).map(note).collect();
        assert_eq!(
            told(&notes),
            "substituted by the universe: a.0, a.1, a.2, a.3, a.4 and 2 more (`--json` names them)\n\
             known by an MD5 only, which was allowed: a.8\n"
        );
        assert_eq!(told(&notes[7..8]), "");
    }
}
