//! Archives: which members came, went or moved, what their headers say, and how their contents differ.

mod ar;
mod tar;
mod zip;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::align::numbered;
use super::compressed::{inside, packed_otherwise};
use super::{Finding, Format, MOST, Reading, Room, excerpt};
use crate::moment::utc;

/// Archives with more members are told by their bytes.
const MOST_MEMBERS: usize = 100_000;

/// A member of an archive.
struct Member<'a> {
    name: String,
    /// What its header says besides, for people.
    fields: Vec<(&'static str, String)>,
    bytes: &'a [u8],
    /// How `bytes` are packed, in archives that do that.
    packing: Option<zip::Packing>,
}

impl<'a> Member<'a> {
    fn size(&self) -> String {
        let size = self.packing.as_ref().map_or(self.bytes.len() as u64, |packing| packing.size);
        format!("{size} bytes")
    }

    /// What is in it; nothing if it cannot be unpacked, or is larger than there is room for.
    fn content(&self, room: &mut Room) -> Option<Cow<'a, [u8]>> {
        match &self.packing {
            None => Some(Cow::Borrowed(self.bytes)),
            Some(packing) => packing.unpack(self.bytes, room),
        }
    }
}

/// Reads archives of `ar`: static libraries.
pub(super) fn read_ar(_: &str, before: &[u8], after: &[u8], room: &mut Room) -> Option<Reading> {
    let (before, after) = (ar::read(before)?, ar::read(after)?);
    let mut findings = ar::symbols(&before, &after);
    findings.extend(compare(&before.members, &after.members, room));
    Some(Reading { format: Format::Archive, findings })
}

/// Reads archives of `tar`.
pub(super) fn read_tar(_: &str, before: &[u8], after: &[u8], room: &mut Room) -> Option<Reading> {
    let (before, after) = (tar::read(before)?, tar::read(after)?);
    Some(Reading { format: Format::Tar, findings: compare(&before, &after, room) })
}

/// Reads archives of `zip`, and what others call such an archive.
pub(super) fn read_zip(_: &str, before: &[u8], after: &[u8], room: &mut Room) -> Option<Reading> {
    let (before, after) = (zip::read(before)?, zip::read(after)?);
    let mut findings = compare(&before.members, &after.members, room);
    findings.extend(zip::comments(&before, &after));
    if findings.is_empty() {
        let note = Some("the same members, written in another way".to_owned());
        findings.push(Finding { note, ..Finding::default() });
    }
    Some(Reading { format: Format::Zip, findings })
}

fn compare(before: &[Member], after: &[Member], room: &mut Room) -> Vec<Finding> {
    // A name may occur more than once.
    let ones = numbered(before.iter().map(|member| member.name.as_str()));
    let others = numbered(after.iter().map(|member| member.name.as_str()));
    let at: HashMap<_, _> = others.iter().zip(after).collect();
    let known: HashSet<_> = ones.iter().collect();
    let mut findings = Vec::new();
    let shared = |keys: &[(&str, usize)], is: &dyn Fn(&(&str, usize)) -> bool| -> Vec<String> {
        keys.iter().filter(|key| is(key)).map(|(name, _)| (*name).to_owned()).collect()
    };
    let one = shared(&ones, &|key| at.contains_key(key));
    let other = shared(&others, &|key| known.contains(key));
    if one != other {
        let (shown, shown_after) = excerpt::pair(&one.join(" "), &other.join(" "), excerpt::STATEMENT);
        let note = Some("the members are in another order".to_owned());
        findings.push(Finding { place: Vec::new(), note, before: Some(shown), after: Some(shown_after) });
    }
    findings.extend(fields(&ones, before, &at));
    for (key, member) in ones.iter().zip(before) {
        let part = part(&member.name);
        match at.get(key) {
            None => {
                let size = Some(member.size());
                findings.push(Finding { place: vec![part], note: None, before: size, after: None });
            }
            Some(other) if other.bytes == member.bytes && other.packing == member.packing => {}
            // The others are only counted.
            Some(_) if findings.len() >= MOST => findings.push(Finding::default()),
            Some(other) => findings.extend(contents(member, other, part, room)),
        }
    }
    for (key, member) in others.iter().zip(after).filter(|(key, _)| !known.contains(key)) {
        let place = vec![part(key.0)];
        findings.push(Finding { place, note: None, before: None, after: Some(member.size()) });
    }
    findings
}

/// How the contents of a member differ, of which the bytes do.
fn contents(before: &Member, after: &Member, part: String, room: &mut Room) -> Vec<Finding> {
    let (Some(one), Some(other)) = (before.content(room), after.content(room)) else {
        let note = Some("its content cannot be unpacked".to_owned());
        return vec![Finding {
            place: vec![part],
            note,
            before: Some(before.size()),
            after: Some(after.size()),
        }];
    };
    if one == other {
        // Another method is told with the other fields.
        let is_told =
            before.packing.map(|packing| packing.method) != after.packing.map(|packing| packing.method);
        return if is_told { Vec::new() } else { vec![packed_otherwise(vec![part])] };
    }
    let name = before.name.rsplit('/').next().unwrap_or_default();
    inside(name, &part, &one, &other, room)
}

fn part(name: &str) -> String {
    format!("member {}", excerpt::head(name, excerpt::STATEMENT))
}

/// One finding for each field that differs, with the first member: usually it does in all of them.
fn fields(
    keys: &[(&str, usize)],
    before: &[Member],
    after: &HashMap<&(&str, usize), &Member>,
) -> Vec<Finding> {
    let mut differing: BTreeMap<&str, (usize, Finding)> = BTreeMap::new();
    for (key, member) in keys.iter().zip(before) {
        let Some(other) = after.get(key) else { continue };
        let (ones, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (member.fields.iter().cloned().collect(), other.fields.iter().cloned().collect());
        let names: std::collections::BTreeSet<&str> = ones.keys().chain(others.keys()).copied().collect();
        for name in names.into_iter().filter(|name| ones.get(name) != others.get(name)) {
            let entry = differing.entry(name).or_insert_with(|| {
                let text = |text: &String| excerpt::head(text, excerpt::STATEMENT);
                let (before, after) = (ones.get(name).map(text), others.get(name).map(text));
                let place = vec![part(&member.name), name.to_owned()];
                (0, Finding { place, note: None, before, after })
            });
            entry.0 += 1;
        }
    }
    let told = |(count, mut finding): (usize, Finding)| {
        finding.note = match count {
            1 => None,
            2 => Some("and of one more member".to_owned()),
            _ => Some(format!("and of {} more members", count - 1)),
        };
        finding
    };
    differing.into_values().map(told).collect()
}

/// A time of a header: `1764471963 (2025-11-30 03:06:03 UTC)`.
fn time(seconds: u64) -> String {
    match i64::try_from(seconds) {
        Ok(known) if known < 1 << 40 => format!("{seconds} ({})", utc(known)),
        _ => seconds.to_string(),
    }
}

#[cfg(test)]
mod tests;
