//! The symbols of an object, and which came, went, moved or changed their size.

use std::collections::BTreeMap;
use std::fmt::Write;

use object::{Object, ObjectSymbol};

use crate::explain::{Finding, excerpt};

/// Files with more symbols are told by their bytes.
const MOST_SYMBOLS: usize = 1 << 20;

/// A symbol: where it is, and its size in bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    /// Nothing if it is defined elsewhere.
    section: Option<usize>,
    address: u64,
    size: u64,
}

/// All symbols of a file, of both tables, by name and how many of that name were before.
pub(super) struct Symbols<'a>(BTreeMap<(&'a [u8], usize), Place>);

/// What differs.
pub(super) struct Told {
    pub findings: Vec<Finding>,
    /// Whether symbols came or went.
    pub names_differ: bool,
}

impl<'a> Symbols<'a> {
    /// Reads the symbols of a file; nothing if they are damaged or too many.
    pub fn read(file: &object::File<'a>) -> Option<Self> {
        let mut seen: BTreeMap<&[u8], usize> = BTreeMap::new();
        let mut symbols = BTreeMap::new();
        let mut add = |name: &'a [u8], place| {
            let count = seen.entry(name).or_default();
            *count += 1;
            symbols.insert((name, *count), place);
        };
        let table = file.symbols().chain(file.dynamic_symbols());
        for symbol in table.take(MOST_SYMBOLS + 1) {
            let name = symbol.name_bytes().ok()?;
            let section = symbol.section_index().map(|index| index.0);
            if !name.is_empty() {
                add(name, Place { section, address: symbol.address(), size: symbol.size() });
            }
        }
        (symbols.len() <= MOST_SYMBOLS).then_some(Self(symbols))
    }

    /// The symbol that an address of a section is in: `symbol f`.
    pub fn around(&self, section: usize, address: u64) -> Option<String> {
        let is_around = |place: &Place| {
            place.section == Some(section)
                && place.address <= address
                && place.address.checked_add(place.size).is_none_or(|end| address < end)
        };
        let ((name, _), _) = self.0.iter().find(|(_, place)| is_around(place))?;
        Some(format!("symbol {}", excerpt::head(&String::from_utf8_lossy(name), excerpt::STATEMENT)))
    }
}

/// One finding for each thing that can happen to symbols, with the first of them.
pub(super) fn compare(before: &Symbols, after: &Symbols) -> Told {
    let (before, after) = (&before.0, &after.0);
    let gone: Vec<_> = before.keys().filter(|key| !after.contains_key(*key)).collect();
    let came: Vec<_> = after.keys().filter(|key| !before.contains_key(*key)).collect();
    let both: Vec<_> = before.iter().filter_map(|(key, one)| Some((key, one, after.get(key)?))).collect();
    let resized: Vec<_> = both.iter().filter(|(_, one, other)| one.size != other.size).collect();
    let moved: Vec<_> = both
        .iter()
        .filter(|(_, one, other)| (one.section, one.address) != (other.section, other.address))
        .collect();
    let mut findings = Vec::new();
    let mut told = |count: usize, what: &str, before: Option<String>, after: Option<String>| {
        if count > 0 {
            let plural = if count == 1 { "" } else { "s" };
            let shown = |text: Option<String>| text.map(|text| excerpt::head(&text, excerpt::STATEMENT));
            let note = Some(format!("{count} symbol{plural} {what}"));
            let (before, after) = (shown(before), shown(after));
            findings.push(Finding { place: vec!["symbols".to_owned()], note, before, after });
        }
    };
    let names = |keys: &[&(&[u8], usize)]| {
        let mut text = String::new();
        for (name, _) in keys {
            // What is not shown need not be written.
            if text.len() > excerpt::STATEMENT * 4 {
                break;
            }
            let _ =
                write!(text, "{}{}", if text.is_empty() { "" } else { " " }, String::from_utf8_lossy(name));
        }
        Some(text)
    };
    told(gone.len(), "only in the first", names(&gone), None);
    told(came.len(), "only in the second", None, names(&came));
    let first = |of: Option<&&(&(&[u8], usize), &Place, &Place)>, what: fn(&Place) -> String| {
        let side =
            |place: &Place, name: &[u8]| Some(format!("{} {}", String::from_utf8_lossy(name), what(place)));
        of.map_or((None, None), |((name, _), one, other)| (side(one, name), side(other, name)))
    };
    let (one, other) = first(resized.first(), |place| format!("{} bytes", place.size));
    told(resized.len(), "of another size, of which the first is", one, other);
    let (one, other) = first(moved.first(), |place| format!("at {:#x}", place.address));
    told(moved.len(), "at another place, of which the first is", one, other);
    Told { findings, names_differ: !(gone.is_empty() && came.is_empty()) }
}
