//! ELF objects, libraries and programs: which sections differ, which strings in them, and which symbols.
//! Sections that are compressed (`SHF_COMPRESSED`) are compared by what they hold.

mod packed;
mod strings;
mod symbols;

use std::borrow::Cow;
use std::collections::HashMap;

use object::{Object, ObjectSection};

use self::packed::Packed;
use self::strings::Written;
use self::symbols::Symbols;
use super::align::numbered;
use super::compressed::packed_otherwise;
use super::{Finding, Format, MOST, Reading, Room, common, excerpt};

/// So many bytes of a section are shown from the first difference on.
const SHOWN: usize = 24;

/// Files with more sections are told by their bytes.
const MOST_SECTIONS: usize = 100_000;

/// Sections with the strings of debug information.
const DEBUG_STRINGS: [&str; 2] = [".debug_str", ".debug_line_str"];

/// The digest that linkers write into what they link, which follows from the rest.
const BUILD_ID: &str = ".note.gnu.build-id";

/// Reads files with the magic word of ELF; one finding for each thing that differs in a section.
pub(super) fn read(before: &[u8], after: &[u8], room: &mut Room) -> Option<Reading> {
    let (mut before, mut after) = (File::read(before)?, File::read(after)?);
    packed::unpack(&mut before.sections, &mut after.sections, room);
    let mut findings: Vec<Finding> = before
        .header
        .iter()
        .zip(&after.header)
        .filter(|(one, other)| one != other)
        .map(|((name, one), (_, other))| Finding {
            place: vec!["header".to_owned(), (*name).to_owned()],
            note: None,
            before: Some(one.clone()),
            after: Some(other.clone()),
        })
        .collect();
    let told = symbols::compare(&before.symbols, &after.symbols);
    let names_differ = told.names_differ;
    findings.extend(told.findings);
    // A name may occur more than once.
    let ones = numbered(before.sections.iter().map(|section| section.name.as_str()));
    let others = numbered(after.sections.iter().map(|section| section.name.as_str()));
    let mut left: HashMap<_, _> = others.iter().zip(&after.sections).collect();
    let holds_same = |one: &Section, other: &Section| one.size == other.size && one.data == other.data;
    let is_same = |one: &Section, other: &Section| holds_same(one, other) && one.written == other.written;
    let strings_differ = ones.iter().zip(&before.sections).any(|(key, section)| {
        DEBUG_STRINGS.contains(&key.0) && left.get(key).is_some_and(|other| !holds_same(section, other))
    });
    // If such a string differs in length, all that refer to them do: they are named, and not looked into.
    let mut following = Vec::new();
    for (key, section) in ones.iter().zip(&before.sections) {
        match left.remove(key) {
            None => findings.push(gone(section, true)),
            Some(other) if is_same(section, other) => {}
            Some(other) if holds_same(section, other) => findings.push(packed_otherwise(vec![part(section)])),
            Some(_) if strings_differ && refers_to_strings(&section.name) => following.push(key.0),
            // The others are only counted.
            Some(_) if findings.len() >= MOST => findings.push(Finding::default()),
            Some(other) => findings.extend(differing(section, other, &before.symbols, names_differ)),
        }
    }
    if !following.is_empty() {
        let place = vec![format!("section {}", excerpt::head(&following.join(", "), excerpt::STATEMENT))];
        let note = Some("differ, too; they refer to strings of debug information".to_owned());
        findings.push(Finding { place, note, ..Finding::default() });
    }
    findings.sort_by_key(|finding| finding.place == [format!("section {BUILD_ID}")]);
    let is_new = others.iter().zip(&after.sections).filter(|(key, _)| left.contains_key(key));
    findings.extend(is_new.map(|(_, section)| gone(section, false)));
    Some(Reading { format: Format::Elf, findings })
}

/// Whether a section of debug information refers to strings of another one by their offsets.
fn refers_to_strings(name: &str) -> bool {
    (name.starts_with(".debug_") || name.starts_with(".rela.debug_")) && !DEBUG_STRINGS.contains(&name)
}

/// A file that has been read.
struct File<'a> {
    header: Vec<(&'static str, String)>,
    sections: Vec<Section<'a>>,
    symbols: Symbols<'a>,
}

struct Section<'a> {
    name: String,
    /// By which symbols know it.
    index: usize,
    address: u64,
    size: u64,
    /// What it holds. Nothing where only the size is in the file.
    data: Cow<'a, [u8]>,
    /// The same as it is in the file.
    written: &'a [u8],
    /// Nothing once it is unpacked.
    packed: Option<Packed<'a>>,
}

impl<'a> File<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        if !bytes.starts_with(b"\x7fELF") {
            return None;
        }
        let file = object::File::parse(bytes).ok()?;
        let header = vec![
            ("kind", format!("{:?}", file.kind()).to_lowercase()),
            ("machine", format!("{:?}", file.architecture()).to_lowercase()),
            ("entry", format!("{:#x}", file.entry())),
            ("flags", format!("{:?}", file.flags())),
        ];
        let section = |section: object::Section<'a, '_>| {
            let written = section.data().ok()?;
            Some(Section {
                name: String::from_utf8_lossy(section.name_bytes().ok()?).into_owned(),
                index: section.index().0,
                address: section.address(),
                size: section.size(),
                data: Cow::Borrowed(written),
                written,
                packed: Packed::of(&section),
            })
        };
        // A file of which a part cannot be read is damaged.
        let sections: Vec<_> = file.sections().take(MOST_SECTIONS + 1).map(section).collect::<Option<_>>()?;
        let symbols = Symbols::read(&file)?;
        (sections.len() <= MOST_SECTIONS).then_some(Self { header, sections, symbols })
    }
}

fn part(section: &Section) -> String {
    format!("section {}", excerpt::head(&section.name, excerpt::STATEMENT))
}

fn gone(section: &Section, is_before: bool) -> Finding {
    let size = Some(format!("{} bytes", section.size));
    let (before, after) = if is_before { (size, None) } else { (None, size) };
    Finding { place: vec![part(section)], note: None, before, after }
}

/// What differs in a section of both.
fn differing(before: &Section, after: &Section, symbols: &Symbols, names_differ: bool) -> Vec<Finding> {
    let place = vec![part(before)];
    match before.name.as_str() {
        BUILD_ID => {
            let note = Some("a digest of the whole file".to_owned());
            // Behind three sizes and the word `GNU`.
            let digits =
                |data: &[u8]| data.iter().skip(16).map(|byte| format!("{byte:02x}")).collect::<String>();
            let (before, after) = (Some(digits(&before.data)), Some(digits(&after.data)));
            return vec![Finding { place, note, before, after }];
        }
        // Told as symbols, and as sections.
        ".symtab" | ".dynsym" | ".shstrtab" => return Vec::new(),
        ".strtab" | ".dynstr" if names_differ => return Vec::new(),
        _ => {}
    }
    let is_packed = before.packed.is_some() || after.packed.is_some();
    let strings = Written::of(&before.name)
        .filter(|_| !is_packed)
        .map(|written| strings::compare(&place, written, &before.data, &after.data))
        .unwrap_or_default();
    if strings.is_empty() { vec![bytes(place, before, after, symbols)] } else { strings }
}

/// Sections that differ otherwise: by how much, and what is at the first difference.
fn bytes(mut place: Vec<String>, before: &Section, after: &Section, symbols: &Symbols) -> Finding {
    let pairs = || before.data.iter().zip(after.data.iter());
    let common = common(&before.data, &after.data);
    let note = if before.size == after.size {
        let count = pairs().filter(|(one, other)| one != other).count();
        format!("{count} of {} bytes differ", before.size)
    } else {
        format!("{} bytes, {} in the other", before.size, after.size)
    };
    place.extend(symbols.around(before.index, before.address.saturating_add(common as u64)));
    place.push(format!("byte {common}"));
    let shown = |data: &[u8]| {
        let rest = data.get(common..).unwrap_or_default();
        let digits: Vec<String> = rest.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
        (!digits.is_empty()).then(|| digits.join(" "))
    };
    Finding { place, note: Some(note), before: shown(&before.data), after: shown(&after.data) }
}

#[cfg(test)]
mod tests;
