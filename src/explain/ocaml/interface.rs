//! `.cmi`, and the typed trees that follow one in a `.cmt`: what it offers, what it was compiled against,
//! and whether there is more to it than that.

use super::annotations;
use super::records::{self, Pair, Shape, compare_imports};
use super::supply::Supply;
use super::words;
use crate::explain::Finding;
use crate::ocaml::changes::{self, ItemChange};
use crate::ocaml::marshal::Heap;
use crate::ocaml::{Content, Interface, OcamlError, begin};

/// So many bytes of a declaration are shown.
const DECLARATION: usize = 800;

/// The three values of an interface, and the typed tree behind them if there is one.
struct Parts<'a> {
    /// Name and signature.
    signature: Heap,
    imports: Heap,
    flags: Heap,
    annotations: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// Reads what is behind the magic word.
    fn read(bytes: &'a [u8]) -> Result<Self, OcamlError> {
        let (signature, rest) = Heap::read(bytes)?;
        let (imports, rest) = Heap::read(rest)?;
        let (flags, rest) = Heap::read(rest)?;
        let annotations = match begin(rest) {
            Ok((Content::Annotations, rest)) => Some(rest),
            _ => None,
        };
        Ok(Self { signature, imports, flags, annotations })
    }
}

/// Compares two interfaces: the whole files, and what is behind their magic words.
pub(super) fn compare(
    whole: (&[u8], &[u8]),
    (before, after): (&[u8], &[u8]),
    supply: &Supply,
) -> Result<Vec<Finding>, OcamlError> {
    let (one, other) = (Parts::read(before)?, Parts::read(after)?);
    let mut found = interfaces(whole, &one, &other, supply);
    match (one.annotations, other.annotations) {
        (Some(one), Some(other)) => found.extend(annotations(one, other, supply)?),
        (None, None) => {}
        (one, _) => {
            let told = |is: bool| Some(if is { "there" } else { "missing" }.to_owned());
            let (before, after) = (told(one.is_some()), told(one.is_none()));
            found.push(Finding { place: vec!["typed tree".into()], note: None, before, after });
        }
    }
    Ok(found)
}

fn interfaces(
    (before, after): (&[u8], &[u8]),
    one: &Parts<'_>,
    other: &Parts<'_>,
    supply: &Supply,
) -> Vec<Finding> {
    let place = ["interface".to_owned()];
    let mut signatures = Pair::new(&one.signature, &other.signature, supply);
    let roots = (one.signature.root(), other.signature.root());
    let (Ok(before), Ok(after)) = (Interface::read(before), Interface::read(after)) else {
        return signatures.values(roots, &place);
    };
    let mut found: Vec<Finding> = changes::compare(&before, &after).into_iter().map(item).collect();
    let has_items = !found.is_empty();
    let imports = |of: &Interface, is_own: bool| {
        of.imports.iter().filter(|(name, _)| (*name == of.name) == is_own).cloned().collect()
    };
    let imported = ["imported interfaces".to_owned()];
    let others = (imports(&before, false), imports(&after, false));
    found.extend(compare_imports(&others.0, &others.1, "imported interface", &imported));
    found.extend(records::compare_lists(&before.flags, &after.flags, &["flags".to_owned()]));
    let is_only_this = found.is_empty();
    let own = (imports(&before, true), imports(&after, true));
    let digest = "digest of the interface";
    found.extend(compare_imports(&own.0, &own.1, digest, &[digest.to_owned()]));
    if has_items {
        return found;
    }
    let walked = signatures.values(roots, &place);
    if is_only_this && !walked.is_empty() {
        let note =
            Some("offers the same: comments, places in sources, or what nobody sees differ".to_owned());
        found.insert(0, Finding { place: place.to_vec(), note, ..Finding::default() });
    }
    found.extend(walked);
    // Read as far as it is compared above, and yet not alike.
    if found.is_empty() {
        let mut pair = Pair::new(&one.flags, &other.flags, supply);
        found.extend(pair.values((one.flags.root(), other.flags.root()), &["flags".to_owned()]));
        let mut pair = Pair::new(&one.imports, &other.imports, supply);
        let roots = (one.imports.root(), other.imports.root());
        found.extend(pair.told(&Shape::Imports("imported interface"), roots, &imported).unwrap_or_default());
        found.extend(pair.values(roots, &imported));
    }
    found
}

fn item(change: ItemChange) -> Finding {
    let ItemChange { kind, path, before, after, with } = change;
    let (before, after) = match (before, after) {
        (Some(before), Some(after)) => {
            let (before, after) = words::parts(before.as_bytes(), after.as_bytes(), DECLARATION);
            (Some(before), Some(after))
        }
        (before, after) => {
            let shortened = |text: String| words::part(text.as_bytes(), 0, DECLARATION);
            (before.map(shortened), after.map(shortened))
        }
    };
    let note = (with > 0).then(|| format!("with {with} things in it"));
    Finding { place: vec![format!("{} {path}", kind.word())], note, before, after }
}
