//! `trust.toml`: which parties are trusted, and by which keys.

use std::collections::BTreeSet;

use super::is_party_name;
use super::key::PublicKey;
use crate::diagnostic::{SourceError, SourceFile};
use crate::toml_reader::{Table, TextError, Value, read_file};

/// The format that this jtwbuild reads.
pub const FORMAT: u64 = 1;

/// Who is trusted.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// In the order of the file. Names and keys are unique.
    pub parties: Vec<Party>,
}

/// A party and its key.
#[derive(Clone, Debug)]
pub struct Party {
    pub name: String,
    pub key: PublicKey,
    /// In seconds since 1970: from then on the key is not trusted any more.
    pub expires: Option<u64>,
}

impl Trust {
    /// Reads a trust file.
    pub fn read(file: &SourceFile) -> Result<Self, SourceError> {
        read_file(file, "trust", |table| {
            table.required("format", |value| {
                let format = value.integer(0..=u64::from(u32::MAX))?;
                if format != FORMAT {
                    let message =
                        format!("the file has format {format}, and this jtwbuild reads format {FORMAT}");
                    value.problem("format", message, "another format", None);
                }
                Some(())
            });
            let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
            let parties = table.required("party", |value| {
                value.non_empty_list(|value| {
                    let party = value.table(read_party)?;
                    // A key under two names would count as two parties.
                    if !names.insert(party.name.clone()) || !keys.insert(party.key.bytes()) {
                        let message = format!("the name or the key of `{}` was given before", party.name);
                        let help = "every party has one name and one key".to_owned();
                        value.problem("twice", message, "this party", Some(help));
                        return None;
                    }
                    Some(party)
                })
            });
            Some(Self { parties: parties? })
        })
    }
}

fn read_party(table: &mut Table<'_>) -> Option<Party> {
    let name = table.required("name", |value| {
        value.text_with(|text| {
            let name = is_party_name(text).then(|| text.to_owned());
            name.ok_or_else(|| bad("name", "this cannot be the name of a party", None))
        })
    });
    let key = table.required("key", |value: Value<'_>| {
        value.text_with(|text| {
            let help = "the second line of the party's `.pub` file: 56 characters that begin with `RW`";
            PublicKey::from_text(text)
                .ok_or_else(|| bad("key", "this is not a minisign public key", Some(help)))
        })
    });
    let expires = table.optional("expires", |value| {
        value.text_with(|text| {
            let help = "a day, in UTC: `expires = \"2027-12-31\"`";
            day(text).ok_or_else(|| bad("expires", "this is not a day of the calendar", Some(help)))
        })
    });
    Some(Party { name: name?, key: key?, expires })
}

fn bad(code: &'static str, message: &str, help: Option<&str>) -> TextError {
    let (message, label) = (message.to_owned(), "cannot be used".into());
    TextError { code, message, label, help: help.map(str::to_owned), within: None }
}

/// The beginning of a day (`2027-12-31`), in seconds since 1970.
fn day(text: &str) -> Option<u64> {
    let form: Vec<&str> = text.split('-').collect();
    let [year, month, day] = form.as_slice() else { return None };
    let number = |text: &str, digits: usize| {
        let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<u64>().ok()).flatten()
    };
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *lengths.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    if year < 1970 || day < 1 || day > length {
        return None;
    }
    let before: u64 = lengths[..usize::try_from(month).ok()? - 1].iter().sum();
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let days = (year - 1970) * 365 + leaps(year - 1) - leaps(1969) + before + day - 1;
    Some(days * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    fn read(text: &str) -> Result<Trust, SourceError> {
        Trust::read(&SourceFile::new("trust.toml", text))
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(day("1970-01-01"), Some(0));
        assert_eq!(day("2000-02-29"), Some(951_782_400));
        assert_eq!(day("2026-11-29"), Some(1_795_910_400));
        assert_eq!(day("2100-03-01"), Some(4_107_542_400));
        for bad in ["2026-02-29", "2026-13-01", "2026-00-01", "2026-1-1", "1969-12-31", "+026-01-01", "", "x"]
        {
            assert_eq!(day(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_trust_file_is_read_and_every_mistake_is_told() {
        let trust = read(&format!(
            "format = 1\n[[party]]\nname = \"alice\"\nkey = \"{KEY}\"\nexpires = \"2027-01-01\"\n"
        ));
        let trust = trust.unwrap();
        assert_eq!(trust.parties[0].name, "alice");
        assert_eq!(trust.parties[0].key.text(), KEY);
        assert_eq!(trust.parties[0].expires, Some(1_798_761_600));

        let party = |name: &str| format!("[[party]]\nname = \"{name}\"\nkey = \"{KEY}\"\n");
        let codes = |text: &str| -> Vec<String> {
            read(text).unwrap_err().problems.iter().map(|problem| problem.code.clone()).collect()
        };
        assert_eq!(codes(&format!("format = 1\n{}{}", party("a"), party("b"))), ["jtwbuild::trust::twice"]);
        assert_eq!(
            codes("format = 2\nparty = []\n"),
            ["jtwbuild::trust::format", "jtwbuild::trust::empty-list"]
        );
        let text = "format = 1\n[[party]]\nname = \"\"\nkey = \"RWQ\"\nexpires = \"soon\"\nsecret = \"x\"\n";
        let expected =
            ["name", "key", "expires", "unknown-key"].map(|code| format!("jtwbuild::trust::{code}"));
        assert_eq!(codes(text), expected);
    }
}
