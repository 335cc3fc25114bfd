//! What the bytes of two files say about why they differ. The simplest form: where they begin to, and
//! what is there. Readers of particular formats belong behind [`explain`].

use serde::Serialize;

use crate::store::tree::RelPath;

/// So many bytes before the first difference are shown, and from it on.
const BEFORE: usize = 12;
const FROM: usize = 28;

/// How two files differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The first byte that differs, counted from 0.
    pub offset: u64,
    /// What is around it, in each; bytes that are no plain ASCII are escaped.
    pub before: String,
    pub after: String,
}

/// Looks into two files of the same path; nothing if their bytes are equal.
pub fn explain(_path: &RelPath, before: &[u8], after: &[u8]) -> Option<Explanation> {
    let common = before.iter().zip(after).take_while(|(one, other)| one == other).count();
    if common == before.len() && common == after.len() {
        return None;
    }
    let around = |bytes: &[u8]| {
        let end = bytes.len().min(common + FROM);
        bytes[common.saturating_sub(BEFORE)..end].escape_ascii().to_string()
    };
    Some(Explanation { offset: common as u64, before: around(before), after: around(after) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found_with_what_is_around_it() {
        let path = RelPath::parse("x").unwrap();
        let told = |one: &[u8], other: &[u8]| {
            explain(&path, one, other).map(|told| (told.offset, told.before, told.after))
        };
        assert_eq!(told(b"built on alpha\n", b"built on beta\n"), {
            Some((9, "built on alpha\\n".into(), "built on beta\\n".into()))
        });
        assert_eq!(told(b"same", b"same, and more"), Some((4, "same".into(), "same, and more".into())));
        assert_eq!(told(b"\0\xff", b"\0\xfe"), Some((1, "\\x00\\xff".into(), "\\x00\\xfe".into())));
        assert_eq!(told(b"same", b"same"), None);
    }
}
