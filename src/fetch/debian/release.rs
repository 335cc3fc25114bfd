//! Release files: which indexes a suite has, with their checksums.
//!
//! Format: the Debian wiki's "DebianRepository/Format".

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::source::Sha256;

/// What we need of a release file.
#[derive(Debug)]
pub struct Release {
    suite: String,
    codename: String,
    pub date: String,
    pub valid_until: Option<(SystemTime, String)>,
    pub by_hash: bool,
    pub components: Vec<String>,
    /// Paths below the suite's directory, with checksum and size.
    pub files: BTreeMap<String, (Sha256, u64)>,
}

impl Release {
    /// Reads a release file whose signature has been verified.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        let mut files = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines() {
            if line.trim().is_empty() {
                continue;
            }
            if line.starts_with([' ', '\t']) {
                if current == "sha256" {
                    let mut words = line.split_whitespace();
                    let (sum, size, name) = (words.next(), words.next(), words.next());
                    let entry = sum.and_then(Sha256::from_hex).zip(size.and_then(|size| size.parse().ok()));
                    let (entry, name) = entry.zip(name).ok_or("a line of its SHA256 list is malformed")?;
                    if files.insert(name.to_owned(), entry).is_some_and(|other| other != entry) {
                        return Err("a file has two checksums");
                    }
                }
                continue;
            }
            let (key, value) = line.split_once(':').ok_or("a line has no colon")?;
            current = key.to_ascii_lowercase();
            if fields.insert(current.clone(), value.trim().to_owned()).is_some() {
                return Err("a field occurs twice");
            }
        }
        let mut field = |key: &str| fields.remove(key);
        let valid_until = match field("valid-until") {
            Some(text) => Some((date(&text).ok_or("its Valid-Until is not a date")?, text)),
            None => None,
        };
        Ok(Self {
            suite: field("suite").unwrap_or_default(),
            codename: field("codename").unwrap_or_default(),
            date: field("date").filter(|text| date(text).is_some()).ok_or("it has no Date")?,
            valid_until,
            by_hash: field("acquire-by-hash").as_deref() == Some("yes"),
            components: field("components")
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            files,
        })
    }

    /// Whether this is the suite that was asked for, and not another one served in its place.
    pub fn is_of(&self, suite: &str) -> bool {
        suite == self.suite || suite == self.codename
    }

    /// The names that it goes by.
    pub fn names(&self) -> String {
        format!("{} ({})", self.suite, self.codename)
    }
}

/// Reads `Fri, 30 Oct 2026 08:08:01 UTC`, the only form that release files use.
pub fn date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, time, "UTC" | "GMT" | "+0000" | "Z"] = words[..] else { return None };
    let clock: Vec<u64> = time.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [hour, minute, second] = clock[..] else { return None };
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    if !(1970..10_000).contains(&year) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60
    {
        return None;
    }
    // Days since 1970-01-01, with years that begin in March so that leap days come last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    let seconds = days.checked_sub(719_468)? * 86_400 + hour * 3600 + minute * 60 + second;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_their_one_form() {
        let seconds =
            |text| date(text).map(|date| date.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(seconds("Fri, 30 Oct 2026 08:08:01 UTC"), Some(1_793_347_681));
        assert_eq!(seconds("Thu, 29 Feb 2024 23:59:59 UTC"), Some(1_709_251_199));
        for bad in ["", "tomorrow", "Fri, 30 Oct 2026 08:08:01", "Fri, 30 Xxx 2026 08:08:01 UTC"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn release_files_name_indexes_with_their_checksums() {
        let sum = "ab".repeat(32);
        let text = format!(
            "Suite: testing\nCodename: forky\nDate: Fri, 30 Oct 2026 08:08:01 UTC\nAcquire-By-Hash: yes\n\
             Components: main contrib\nMD5Sum:\n 00 1 x\nSHA256:\n {sum}  12 main/binary-amd64/Packages.xz\n"
        );
        let release = Release::parse(&text).unwrap();
        assert!(release.is_of("forky") && release.is_of("testing") && !release.is_of("trixie"));
        assert_eq!(release.files.len(), 1);
        assert_eq!(release.files["main/binary-amd64/Packages.xz"].1, 12);
        assert!(Release::parse(&text.replace("  12", " x")).is_err());
        assert!(Release::parse(&text.replace("Date", "Dote")).is_err());
        assert!(Release::parse(&format!("{text}Suite: other\n")).is_err());
    }
}
